//! Sizes and times as people read them.

use std::time::Duration;

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The unit that a size of this many bytes is shown in: its place in [`UNITS`].
fn unit(bytes: u64) -> usize {
    // From 1023.95 on, one decimal would round up to the next unit.
    (0..UNITS.len() - 1).find(|&unit| in_unit(bytes, unit) < 1023.95).unwrap_or(UNITS.len() - 1)
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn in_unit(bytes: u64, unit: usize) -> f64 {
    bytes as f64 / (1_u64 << (10 * unit)) as f64
}

fn number(bytes: u64, unit: usize) -> String {
    if unit == 0 { bytes.to_string() } else { format!("{:.1}", in_unit(bytes, unit)) }
}

/// A size, such as `23.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let unit = unit(bytes);
    format!("{} {}", number(bytes, unit), UNITS[unit])
}

/// A part of a size in the unit of the whole, such as `3.4/23.4 MiB`. It never gets longer while `part` grows up
/// to `whole`.
pub(crate) fn share(part: u64, whole: u64) -> String {
    let unit = unit(whole);
    format!("{}/{} {}", number(part, unit), number(whole, unit), UNITS[unit])
}

/// A time in at most six characters, such as `4s`, `4m05s` or `3h20m`.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..MINUTE => format!("{secs}s"),
        secs @ MINUTE..HOUR => format!("{}m{:02}s", secs / MINUTE, secs % MINUTE),
        secs @ HOUR..DAY => format!("{}h{:02}m", secs / HOUR, secs % HOUR / MINUTE),
        secs => format!("{}d{:02}h", (secs / DAY).min(99), secs % DAY / HOUR),
    }
}

/// How long something took, such as `0.4s`, `6.1s` or `4m05s`.
pub(crate) fn took(time: Duration) -> String {
    if time.as_secs() < MINUTE { format!("{:.1}s", time.as_secs_f64()) } else { self::time(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_largest_unit_that_it_fills() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (24_500_000, "23.4 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(share(512 << 10, 3 << 20), "0.5/3.0 MiB");
    }

    #[test]
    fn a_time_has_two_units_at_most_and_six_characters() {
        for (secs, text) in [
            (0, "0s"),
            (59, "59s"),
            (65, "1m05s"),
            (12_000, "3h20m"),
            (100_000, "1d03h"),
            (u64::MAX, "99d07h"),
        ] {
            assert_eq!(time(Duration::from_secs(secs)), text);
            assert!(text.len() <= 6);
        }
        assert_eq!(took(Duration::from_millis(6140)), "6.1s");
    }
}
