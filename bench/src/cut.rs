//! What the proxy knows of HTTP: where heads end, and where the middle of an answer's body is.

use std::collections::VecDeque;

/// More than any head has; what goes on without an end is not HTTP.
const MAX_HEAD: usize = 64 << 10;

/// Collects a head from the pieces that it comes in.
#[derive(Debug, Default)]
pub(crate) struct Head(Vec<u8>);

impl Head {
    /// Takes bytes up to the end of the head: how many, and the head if that was its end.
    fn take(&mut self, bytes: &[u8]) -> (usize, Option<String>) {
        for (n, byte) in bytes.iter().enumerate() {
            self.0.push(*byte);
            if self.0.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.0).into_owned();
                self.0.clear();
                return (n + 1, Some(head));
            }
        }
        if self.0.len() > MAX_HEAD {
            self.0.clear();
        }
        (bytes.len(), None)
    }
}

/// Reads the requests of a client that has nothing to send but heads, as one that pulls.
#[derive(Debug, Default)]
pub(crate) struct Requests(Head);

impl Requests {
    /// For each request that ends in these bytes, whether its answer has no body.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Vec<bool> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (count, head) = self.0.take(bytes);
            bytes = &bytes[count..];
            found.extend(head.map(|head| head.starts_with("HEAD ")));
        }
        found
    }
}

/// Reads the answers, and says where one is to be cut.
#[derive(Debug)]
pub(crate) enum Answers {
    Head(Head),
    Body {
        left: u64,
        until_cut: Option<u64>,
    },
    /// Not to be understood; passed on as it is.
    Opaque,
}

impl Default for Answers {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Answers {
    /// How many of these bytes may pass, if not all. `bodiless` has an entry for each request that waits for
    /// its answer; `chosen` says whether the next answer is to be cut.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        bodiless: &mut VecDeque<bool>,
        mut chosen: impl FnMut() -> bool,
    ) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self {
                Self::Opaque => return None,
                Self::Head(head) => {
                    let (count, whole) = head.take(&bytes[at..]);
                    at += count;
                    if let Some(head) = whole {
                        *self = after(&head, bodiless, &mut chosen);
                    }
                }
                Self::Body { left, until_cut } => {
                    let here = (bytes.len() - at) as u64;
                    if let Some(cut) = until_cut {
                        if *cut <= here {
                            return Some(at + usize::try_from(*cut).expect("no more than is here"));
                        }
                        *cut -= here.min(*left);
                    }
                    let count = here.min(*left);
                    *left -= count;
                    at += usize::try_from(count).expect("no more than is here");
                    if *left == 0 {
                        *self = Self::default();
                    }
                }
            }
        }
        None
    }
}

/// What follows a head.
fn after(head: &str, bodiless: &mut VecDeque<bool>, chosen: &mut impl FnMut() -> bool) -> Answers {
    let Some(status) = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)) else {
        return Answers::Opaque;
    };
    if status.starts_with('1') {
        return Answers::default();
    }
    let is_chosen = chosen();
    if bodiless.pop_front() == Some(true) || status == "204" || status == "304" {
        return Answers::default();
    }
    match content_length(head) {
        Some(0) => Answers::default(),
        Some(left) => Answers::Body { left, until_cut: is_chosen.then_some(left / 2) },
        None => Answers::Opaque,
    }
}

fn content_length(head: &str) -> Option<u64> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}
