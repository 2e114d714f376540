//! The lines at the bottom of the terminal that are drawn again and again. Whatever else is printed goes above them.

use std::io::{Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::termios::tcgetwinsize;

/// The size that is assumed where the terminal does not tell its own.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// The process has one terminal.
static SCREEN: Mutex<Drawn> = Mutex::new(Drawn { lines: Vec::new() });

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Size {
    /// The size of the terminal that stderr is.
    pub(crate) fn of_stderr() -> Self {
        let size = tcgetwinsize(stderr()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(USUAL, |size| Self { columns: size.ws_col.into(), rows: size.ws_row.into() })
    }
}

/// A line of the terminal, with its width in columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) width: usize,
}

/// Replaces the lines at the bottom of the terminal.
pub(crate) fn draw(lines: Vec<Line>) {
    let mut drawn = lock();
    let text = drawn.erase(Size::of_stderr().columns) + &drawn.show(lines);
    _ = stderr().write_all(text.as_bytes());
}

/// Prints something else above these lines.
pub(crate) fn above<T>(print: impl FnOnce() -> T) -> T {
    let mut drawn = lock();
    if drawn.lines.is_empty() {
        return print();
    }
    _ = stderr().write_all(drawn.erase(Size::of_stderr().columns).as_bytes());
    let printed = print();
    let lines = std::mem::take(&mut drawn.lines);
    _ = stderr().write_all(drawn.show(lines).as_bytes());
    printed
}

/// Removes the lines.
pub(crate) fn clear() {
    draw(Vec::new());
}

fn lock() -> MutexGuard<'static, Drawn> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes log lines above the lines at the bottom.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        above(|| stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that the terminal shows. The cursor is at the beginning of the line below them.
struct Drawn {
    lines: Vec<Line>,
}

impl Drawn {
    /// The control sequences that remove the lines from a terminal of this width. It may have become narrower since
    /// the lines were drawn, and then shows each in several rows.
    fn erase(&self, columns: usize) -> String {
        let columns = columns.max(1);
        let rows: usize = self.lines.iter().map(|line| line.width.div_ceil(columns).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A\x1b[J") }
    }

    fn show(&mut self, lines: Vec<Line>) -> String {
        self.lines = lines;
        self.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line { text: (*text).to_owned(), width: text.len() }).collect()
    }

    /// The rows of a terminal that shows these frames one after the other, with a result printed before the last.
    fn shown(terminal: &mut vt100::Parser, frames: &[&[&str]]) -> String {
        let mut drawn = Drawn { lines: Vec::new() };
        for (place, frame) in frames.iter().enumerate() {
            let columns = terminal.screen().size().1.into();
            terminal.process(drawn.erase(columns).replace('\n', "\r\n").as_bytes());
            if place + 1 == frames.len() {
                terminal.process(b"a result\r\n");
            }
            terminal.process(drawn.show(lines(frame)).replace('\n', "\r\n").as_bytes());
        }
        terminal.screen().contents()
    }

    #[test]
    fn a_frame_replaces_the_one_before_and_results_stay_above() {
        let mut terminal = vt100::Parser::new(6, 20, 0);
        let frames: &[&[&str]] = &[&["one", "two", "three"], &["four"], &["five", "six"]];
        assert_eq!(shown(&mut terminal, frames), "a result\nfive\nsix");
    }

    #[test]
    fn a_frame_that_fills_the_terminal_is_replaced_as_a_whole() {
        let mut terminal = vt100::Parser::new(4, 20, 10);
        let frames: &[&[&str]] = &[&["1", "2", "3"], &["4", "5", "6"], &["7", "8"]];
        assert_eq!(shown(&mut terminal, frames), "a result\n7\n8");
    }

    #[test]
    fn lines_of_a_terminal_that_became_narrower_are_removed_with_all_their_rows() {
        let drawn = Drawn { lines: lines(&["0123456789", "01234", ""]) };
        assert_eq!(drawn.erase(10), "\r\x1b[3A\x1b[J");
        assert_eq!(drawn.erase(4), "\r\x1b[6A\x1b[J");
    }
}
