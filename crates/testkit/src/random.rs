//! Bytes that look random and are the same each time, so that a failure can be repeated.

/// So many bytes that no compressor can shrink, the same ones for the same seed.
pub fn random_bytes(len: usize, seed: u64) -> Vec<u8> {
    let words = len.div_ceil(8) as u64;
    let mut bytes: Vec<u8> =
        (1..=words).flat_map(|n| split_mix(seed.wrapping_add(n.wrapping_mul(STEP))).to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn split_mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_alone_decides() {
        assert_eq!(random_bytes(1000, 7), random_bytes(1000, 7));
        assert_ne!(random_bytes(1000, 7), random_bytes(1000, 8));
        assert_eq!(random_bytes(13, 7), random_bytes(1000, 7)[..13]);
    }
}
