//! System calls as `strace -f` writes them down: which of them were under way at once decides what a sync covers.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A system call of a traced command.
#[derive(Debug, Clone)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// What it is called, such as `openat2`.
    pub name: String,
    /// What it was given.
    pub arguments: Vec<Argument>,
    /// What it returned. `None`: it failed, or never returned.
    pub result: Option<u64>,
    /// Whether it was not made at all, but answered with an error for the sake of a test.
    pub is_injected: bool,
    /// When it was under way.
    pub span: Span,
}

/// From when to when: lines of the trace, each of which is a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The call was made.
    pub entered: usize,
    /// The call was answered.
    pub returned: usize,
}

/// An argument of a call, in strace's notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument(String);

impl Call {
    /// Reads a trace, in the order of the calls' entries.
    ///
    /// # Panics
    ///
    /// If a line of it is not understood.
    pub fn read_all(trace: &str) -> Vec<Self> {
        let mut under_way: HashMap<u32, (usize, String)> = HashMap::new();
        let mut calls = Vec::new();
        for (line, text) in (1..).zip(trace.lines()) {
            let (thread, text) = text.split_once(' ').unwrap_or_else(|| panic!("not of a trace: {text}"));
            let (thread, text) = (thread.parse().expect("each line begins with a thread"), text.trim());
            if let Some(begun) = text.strip_suffix("<unfinished ...>") {
                under_way.insert(thread, (line, begun.to_owned()));
            } else if let Some((_, rest)) = text.strip_prefix("<... ").and_then(|t| t.split_once("resumed>"))
            {
                let (entered, begun) = under_way.remove(&thread).expect("what is resumed was begun");
                calls.push(Self::read(thread, &(begun + rest), Span { entered, returned: line }));
            } else if !text.starts_with(['+', '-']) {
                calls.push(Self::read(thread, text, Span { entered: line, returned: line }));
            }
        }
        let killed = usize::MAX;
        let broken_off = |(thread, (entered, begun)): (u32, (usize, String))| {
            Self::read(thread, &format!("{begun}) = ?"), Span { entered, returned: killed })
        };
        calls.extend(under_way.into_iter().map(broken_off));
        calls.sort_by_key(|call: &Self| call.span.entered);
        calls
    }

    fn read(thread: u32, text: &str, span: Span) -> Self {
        let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("not a call: {text}"));
        let (arguments, rest) = split_arguments(rest);
        let result = rest.trim().strip_prefix('=').unwrap_or_else(|| panic!("not answered: {text}")).trim();
        Self {
            thread,
            name: name.to_owned(),
            arguments,
            result: number(result),
            is_injected: result.ends_with("(INJECTED)"),
            span,
        }
    }

    /// The argument at this place.
    ///
    /// # Panics
    ///
    /// If the call has fewer.
    pub fn argument(&self, place: usize) -> &Argument {
        self.arguments.get(place).unwrap_or_else(|| panic!("{} has no argument {place}", self.name))
    }

    /// The paths that it is about, given as such or as descriptors with their paths.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let path = |a: &Argument| if a.is_string() { Some(a.path()) } else { a.opened() };
        self.arguments.iter().filter_map(path)
    }

    /// Whether it is about this directory or what is below it.
    pub fn is_below(&self, dir: &Path) -> bool {
        self.paths().any(|path| path.starts_with(dir))
    }
}

impl Argument {
    /// The number that it is, such as a file descriptor.
    pub fn number(&self) -> Option<u64> {
        number(&self.0)
    }

    /// The bytes of the string that it is, or of all strings in it.
    ///
    /// # Panics
    ///
    /// If the trace has them only in part.
    pub fn bytes(&self) -> Vec<u8> {
        assert!(!self.0.contains("\"..."), "the trace has only a part of {}", self.0);
        self.0.split('"').skip(1).step_by(2).flat_map(unescape).collect()
    }

    /// Whether it is a string.
    pub fn is_string(&self) -> bool {
        self.0.starts_with('"')
    }

    /// The path that it is.
    pub fn path(&self) -> PathBuf {
        OsString::from_vec(self.bytes()).into()
    }

    /// The path that a file descriptor was said to be open on.
    fn opened(&self) -> Option<PathBuf> {
        let (_, path) = self.0.split_once('<')?;
        Some(OsString::from_vec(unescape(path.split_once('>')?.0)).into())
    }

    /// Whether it is, or has in it, this constant.
    pub fn has(&self, constant: &str) -> bool {
        self.0.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == constant)
    }
}

/// Splits at the commas that are not within something, up to the bracket that ends a call.
fn split_arguments(text: &str) -> (Vec<Argument>, &str) {
    let (mut arguments, mut begin, mut depth, mut is_quoted) = (Vec::new(), 0, 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'{' | b'[' | b'(' => depth += 1,
            b',' | b')' if depth == 0 => {
                arguments.push(Argument(text[begin..at].trim().to_owned()));
                begin = at + 1;
                if byte == b')' {
                    return (arguments, &text[begin..]);
                }
            }
            b'}' | b']' | b')' => depth -= 1,
            _ => {}
        }
    }
    panic!("a call without an end: {text}")
}

fn number(text: &str) -> Option<u64> {
    let is_end = |c: char| !c.is_ascii_alphanumeric();
    let digits = text.split(is_end).next()?;
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// The bytes of a string in which some or all are written as `\xHH`.
fn unescape(text: &str) -> Vec<u8> {
    let mut pieces = text.split("\\x");
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_several_threads_are_put_together() {
        let trace = r#"
10 openat2(5</s>, "\x61", {flags=O_RDWR|O_CREAT, mode=0600}, 24 <unfinished ...>
11 fsync(6 <unfinished ...>
10 <... openat2 resumed>)            = 7</s/a>
11 <... fsync resumed>)              = -1 EIO (Input/output error) (INJECTED)
10 writev(7, [{iov_base="a,)", iov_len=3}, {iov_base="\x0a", iov_len=1}], 2) = 4
11 read(4 <unfinished ...>
10 +++ exited with 0 +++"#;
        let calls = Call::read_all(trace.trim());
        let spans: Vec<_> = calls.iter().map(|c| (&c.name[..], c.span.entered, c.span.returned)).collect();
        assert_eq!(spans, [("openat2", 1, 3), ("fsync", 2, 4), ("writev", 5, 5), ("read", 6, usize::MAX)]);
        let [open, sync, write, read] = &calls[..] else { unreachable!() };
        assert_eq!((open.argument(1).path(), open.result), ("a".into(), Some(7)));
        assert_eq!((open.is_below(Path::new("/s")), open.is_below(Path::new("/t"))), (true, false));
        assert!(open.argument(2).has("O_CREAT") && !open.argument(2).has("O_EXCL"));
        assert_eq!((sync.result, sync.is_injected), (None, true));
        assert_eq!((write.argument(1).bytes(), write.result), (b"a,)\n".to_vec(), Some(4)));
        assert_eq!((read.argument(0).number(), read.result), (Some(4), None));
    }
}
