//! Tables in Markdown, and the medians in them.

use std::fmt::Write;

use crate::images::Kind;
use crate::measure::Sample;
use crate::networks::Network;
use crate::peers::Peer;
use crate::proxy::Counts;

const HEADING: &str =
    "| image | client | wall, s | from to | of best | of floor | CPU, s | peak, MiB | requests | MB |";
const UNDERLINE: &str = "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

/// All pulls of one image by one client over one network.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) image: Kind,
    pub(crate) peer: Peer,
    pub(crate) samples: Vec<Sample>,
    pub(crate) counts: Vec<Counts>,
    pub(crate) failures: usize,
    /// Answers that were cut, in the failures too.
    pub(crate) cuts: u64,
}

impl Row {
    pub(crate) fn new(image: Kind, peer: Peer) -> Self {
        Self { image, peer, samples: Vec::new(), counts: Vec::new(), failures: 0, cuts: 0 }
    }

    fn wall(&self) -> Option<f64> {
        self.median(|sample| sample.wall)
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.samples.iter().map(of).collect())
    }

    fn median_count(&self, of: impl Fn(&Counts) -> u64) -> Option<f64> {
        median(self.counts.iter().map(|counts| of(counts) as f64).collect())
    }

    fn spread(&self) -> String {
        let walls = || self.samples.iter().map(|sample| sample.wall);
        let (least, most) = (walls().fold(f64::MAX, f64::min), walls().fold(0.0, f64::max));
        if self.samples.is_empty() {
            "-".to_owned()
        } else {
            format!("{} to {}", seconds(least), seconds(most))
        }
    }

    fn line(&self, best: Option<f64>, floor: Option<f64>) -> String {
        let wall = self.wall();
        let ratio = |to: Option<f64>| wall.zip(to).map(|(wall, to)| wall / to);
        let failed = match (self.failures, self.samples.len()) {
            (0, _) => String::new(),
            (failures, others) => format!(" (failed {failures} of {})", failures + others),
        };
        format!(
            "| {} | {}{failed} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.image,
            self.peer,
            shown(wall, seconds),
            self.spread(),
            shown(ratio(best), |n| format!("{n:.2}")),
            shown(ratio(floor), |n| format!("{n:.2}")),
            shown(self.median(|sample| sample.cpu), seconds),
            shown(self.median(|sample| sample.memory as f64), |n| format!("{:.0}", n / f64::from(1 << 20))),
            shown(self.median_count(|counts| counts.requests).filter(|n| *n > 0.0), |n| format!("{n:.0}")),
            shown(self.median_count(|counts| counts.bytes), |n| format!("{:.1}", n / 1e6)),
        )
    }
}

/// The table of one network.
pub(crate) fn render(network: Network, rows: &[Row]) -> String {
    let mut text = format!("### {}\n\n{}\n\n", network.title(), network.note());
    let (cut, line) = if network == Network::Cut { (" cut |", " ---: |") } else { ("", "") };
    _ = writeln!(text, "{HEADING}{cut}\n{UNDERLINE}{line}");
    for row in rows {
        let wall_of = |peer| {
            rows.iter().find(|other| other.image == row.image && other.peer == peer).and_then(Row::wall)
        };
        let best = Peer::OTHERS.into_iter().filter_map(wall_of).min_by(f64::total_cmp);
        text.push_str(&row.line(best, wall_of(Peer::Floor)));
        _ = if network == Network::Cut { writeln!(text, " {} |", row.cuts) } else { writeln!(text) };
    }
    text
}

/// The one in the middle, or the mean of the two that are.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    Some(if numbers.len() % 2 == 1 { upper } else { f64::midpoint(numbers[middle - 1], upper) })
}

fn shown(number: Option<f64>, how: impl Fn(f64) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), how)
}

/// Three digits.
fn seconds(number: f64) -> String {
    let digits = if number < 1.0 {
        3
    } else if number < 10.0 {
        2
    } else {
        1
    };
    format!("{number:.digits$}")
}
