//! The frame that a terminal shows: a line for each image, and the layers that are moving below it.
//!
//! All lines have the same columns. Those that a narrow terminal has no room for are left out, the least important
//! first; no line is as wide as the terminal, and there are fewer lines than it has.

use anstyle::Style;

use super::report::{Layer, Report};
use crate::output::human::{share, size, time};
use crate::output::screen::{Line, Size};
use crate::output::style::{self, painted};

/// The space between columns.
const GAP: usize = 2;
/// The narrowest column for names: an indented digest.
const NAME: usize = 14;
const BAR: std::ops::RangeInclusive<usize> = 8..=30;
/// `512.0/512.0 MiB`; four digits before the point need a wider one.
const AMOUNT: usize = 15;
/// In place of the amount, where that has no room.
const PERCENT: usize = 4;
const RATE: usize = 12;
const LEFT: usize = 6;
const BLOBS: usize = 7;
/// How many layers are shown of an image at most.
const LAYERS: usize = 12;

/// The frame for a terminal of this size.
pub(super) fn frame(reports: &[Report], size: Size, colours: bool) -> Vec<Line> {
    let rows = size.rows.saturating_sub(1).max(1); // the cursor is in the last one
    let columns = Columns::fit(reports, size.columns.saturating_sub(1));
    let (images, rest) =
        if reports.len() > rows { (rows - 1, 0) } else { (reports.len(), rows - reports.len()) };
    let layers = (rest / images.max(1)).min(LAYERS);
    let mut lines = Vec::new();
    for report in &reports[..images] {
        lines.push(columns.image(report, colours));
        lines.extend(columns.layers(&report.moving, layers, colours));
    }
    if images < reports.len() {
        lines.push(columns.note(0, &format!("and {} more images", reports.len() - images), colours));
    }
    lines
}

/// The widths of the columns. Those of width 0 are left out.
#[derive(Debug)]
struct Columns {
    usable: usize,
    name: usize,
    bar: usize,
    amount: usize,
    rate: usize,
    left: usize,
    blobs: usize,
}

impl Columns {
    fn fit(reports: &[Report], usable: usize) -> Self {
        let longest = reports.iter().map(|report| report.name().len()).max().unwrap_or_default().max(NAME);
        let amount = reports.iter().map(widest_amount).max().unwrap_or_default();
        let amount = if usable < NAME + GAP + amount { PERCENT } else { amount };
        let mut columns = Self { usable, name: longest, bar: 0, amount, rate: 0, left: 0, blobs: 0 };
        // The amount is worth more than the beginning of a long name.
        columns.name = longest.min((usable / 3).max(NAME)).min(usable.saturating_sub(GAP + amount));
        let mut rest = usable.saturating_sub(columns.name + GAP + amount);
        for (column, width) in [
            (&mut columns.left, LEFT),
            (&mut columns.rate, RATE),
            (&mut columns.bar, *BAR.start()),
            (&mut columns.blobs, BLOBS),
        ] {
            if rest < GAP + width {
                break;
            }
            *column = width;
            rest -= GAP + width;
        }
        let name = rest.min(longest - columns.name);
        columns.name += name;
        if columns.bar > 0 {
            columns.bar = (columns.bar + rest - name).min(*BAR.end());
        }
        columns
    }

    fn image(&self, report: &Report, colours: bool) -> Line {
        let mut line = Builder::new(self.usable, colours);
        line.left(style::NAME, &shortened(&report.name(), self.name), self.name);
        if report.sum.blobs == 0 {
            line.gap();
            line.push(style::DIM, "asking the registry");
            return line.line;
        }
        line.bar(report.sum.done, report.sum.total, self.bar);
        line.right(&self.amount(report.sum.done, report.sum.total), self.amount);
        let rate = report.rate.map(|rate| format!("{}/s", size(rate)));
        line.right(&rate.unwrap_or_default(), self.rate);
        line.right(&report.left().map(time).unwrap_or_default(), self.left);
        line.right(&format!("{}/{}", report.sum.blobs_done, report.sum.blobs), self.blobs);
        line.line
    }

    fn layers(&self, layers: &[Layer], most: usize, colours: bool) -> Vec<Line> {
        let shown = if layers.len() > most { most.saturating_sub(1) } else { layers.len() };
        let mut lines: Vec<Line> = layers[..shown].iter().map(|layer| self.layer(layer, colours)).collect();
        if shown < layers.len() && most > 0 {
            lines.push(self.note(GAP, &format!("and {} more", layers.len() - shown), colours));
        }
        lines
    }

    fn layer(&self, layer: &Layer, colours: bool) -> Line {
        let mut line = Builder::new(self.usable, colours);
        line.left(style::DIM, &format!("{:GAP$}{}", "", layer.name), self.name);
        line.bar(layer.done, layer.total, self.bar);
        line.right(&self.amount(layer.done, layer.total), self.amount);
        if layer.done >= layer.total {
            line.right("checking", self.rate);
        }
        line.line
    }

    fn amount(&self, done: u64, total: u64) -> String {
        if self.amount > PERCENT { share(done, total) } else { format!("{}%", part(done, total, 100)) }
    }

    fn note(&self, indent: usize, text: &str, colours: bool) -> Line {
        let mut line = Builder::new(self.usable, colours);
        line.push(style::DIM, &format!("{:indent$}{text}", ""));
        line.line
    }
}

fn widest_amount(report: &Report) -> usize {
    let totals = report.moving.iter().map(|layer| layer.total).chain([report.sum.total]);
    totals.map(|total| share(total, total).len()).max().unwrap_or_default().max(AMOUNT)
}

/// How much of `whole` is done.
fn part(done: u64, total: u64, whole: usize) -> usize {
    let part = (u128::from(done) * whole as u128).checked_div(total.into());
    part.and_then(|part| usize::try_from(part).ok()).unwrap_or(whole).min(whole)
}

/// A name, without its beginning if it is too long: the end says more.
fn shortened(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let kept: String = name.chars().skip(length - width.saturating_sub(2)).collect();
    format!("..{kept}").chars().take(width).collect()
}

/// Makes a line that is never wider than the terminal.
struct Builder {
    line: Line,
    usable: usize,
    colours: bool,
}

impl Builder {
    fn new(usable: usize, colours: bool) -> Self {
        Self { line: Line::default(), usable, colours }
    }

    fn push(&mut self, style: Style, text: &str) {
        let text: String = text.chars().take(self.usable - self.line.width).collect();
        self.line.width += text.chars().count();
        if self.colours && !text.trim().is_empty() {
            self.line.text += &painted(style, &text);
        } else {
            self.line.text += &text;
        }
    }

    fn gap(&mut self) {
        self.push(Style::new(), &" ".repeat(GAP));
    }

    /// A column that begins the line.
    fn left(&mut self, style: Style, text: &str, width: usize) {
        let text: String = text.chars().take(width).collect();
        self.push(style, &text);
        self.push(Style::new(), &" ".repeat(width - text.chars().count()));
    }

    /// A column on the right of others; none if its width is 0.
    fn right(&mut self, text: &str, width: usize) {
        if width > 0 {
            self.gap();
            self.push(Style::new(), &format!("{text:>width$}"));
        }
    }

    fn bar(&mut self, done: u64, total: u64, width: usize) {
        if width == 0 {
            return;
        }
        let inner = width.saturating_sub(2);
        let filled = part(done, total, inner);
        let tip = if filled < inner { ">" } else { "" };
        self.gap();
        self.push(Style::new(), "[");
        self.push(style::BAR, &format!("{}{tip}", "=".repeat(filled)));
        self.push(Style::new(), &" ".repeat(inner - filled - tip.len()));
        self.push(Style::new(), "]");
    }
}
