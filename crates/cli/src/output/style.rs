//! Colours: only on a terminal, and not where `NO_COLOR` is set (<https://no-color.org>).

use std::io::stderr;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// The beginning of an error.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The name of an image in the progress, and the heads of a table.
pub(crate) const NAME: Style = Style::new().bold();
/// The part of a bar that is done.
pub(crate) const BAR: Style = AnsiColor::Green.on_default();
/// Whatever matters less.
pub(crate) const DIM: Style = Style::new().dimmed();

/// The text in this style, if stderr shows colours.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if on_stderr() { painted(style, text) } else { text.to_owned() }
}

/// The text in this style.
pub(crate) fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether stderr shows colours.
pub(crate) fn on_stderr() -> bool {
    AutoStream::choice(&stderr()) != ColorChoice::Never
}
