//! The challenges of a 401, in its `WWW-Authenticate`
//! ([RFC 9110, section 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).

use std::collections::HashMap;

/// One challenge: a scheme, and its parameters by lower-case names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) parameters: HashMap<String, String>,
}

/// All challenges in one header's value. Unreadable parts are ignored. Parameters may be parted by commas, as the RFC
/// wants it, or by spaces alone.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header.trim_start_matches(is_between);
    while !rest.is_empty() {
        let (word, after) = split_at_end(rest, |c| is_between(c) || c == '=');
        if let Some(after) = after.trim_start().strip_prefix('=') {
            let (value, after) = value(after.trim_start());
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.insert(word.to_ascii_lowercase(), value);
            }
            rest = after;
        } else {
            // A word without `=` behind it starts a new challenge.
            challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: HashMap::new() });
            rest = after;
        }
        rest = rest.trim_start_matches(is_between);
    }
    challenges
}

fn is_between(c: char) -> bool {
    matches!(c, ' ' | '\t' | ',')
}

/// Splits before the first character that ends a word.
fn split_at_end(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// A parameter's value, and what follows it. Some servers leave out the end of a quoted one.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = split_at_end(text, is_between);
        return (value.to_owned(), after);
    };
    let (mut value, mut chars) = (String::new(), quoted.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            _ => value.push(c),
        }
    }
    (value, chars.as_str())
}

#[cfg(test)]
mod tests;
