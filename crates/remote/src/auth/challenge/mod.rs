//! The challenges of a 401, in its `WWW-Authenticate`
//! ([RFC 9110, section 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).

use std::collections::HashMap;

/// One challenge: a scheme, and its parameters by lower-case names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) parameters: HashMap<String, String>,
}

/// All challenges in one header's value. Unreadable parts are ignored.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    for part in split_unquoted(header) {
        let part = part.trim();
        // A word without `=` behind it starts a new challenge.
        let (first, rest) = part.split_once([' ', '\t']).unwrap_or((part, ""));
        if !first.is_empty() && !first.contains('=') && !rest.trim_start().starts_with('=') {
            challenges.push(Challenge { scheme: first.to_ascii_lowercase(), parameters: HashMap::new() });
            add_parameter(&mut challenges, rest);
        } else {
            add_parameter(&mut challenges, part);
        }
    }
    challenges
}

fn add_parameter(challenges: &mut [Challenge], text: &str) {
    let Some(((name, value), challenge)) = text.split_once('=').zip(challenges.last_mut()) else { return };
    challenge.parameters.insert(name.trim().to_ascii_lowercase(), unquote(value.trim()));
}

/// Splits at the commas that are not in a quoted string.
fn split_unquoted(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unquote(value: &str) -> String {
    // Some servers leave out the end.
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests;
