//! Makes text from other sources safe for a terminal and a log.

/// The maximum length of a message, in characters. A server may put megabytes into a name.
const MAX_MESSAGE: usize = 4000;

/// The text in one line, without characters that move the cursor, change colours, or hide or reorder text.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_MESSAGE));
    let mut chars = text.chars();
    let mut left = MAX_MESSAGE;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            _ if left == 0 => return clean + "...",
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => clean.push(' '),
            _ if c.is_control() || is_invisible(c) => continue,
            _ => clean.push(c),
        }
        left -= usize::from(c != '\u{1b}');
    }
    clean
}

/// Skips the rest of an escape sequence: a control sequence up to its final letter, or a title up to its end
/// (ECMA-48).
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    let mut ahead = chars.clone();
    let end: fn(char) -> bool = match ahead.next() {
        Some('[') => |c| ('@'..='~').contains(&c),
        Some(']' | 'P' | 'X' | '^' | '_') => |c| matches!(c, '\u{7}' | '\u{1b}' | '\u{9c}' | '\\'),
        _ => return,
    };
    if ahead.any(end) {
        *chars = ahead;
    }
}

/// Characters that change the direction of text, or are invisible.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        for (text, shown) in [
            ("plain, with \u{fc}mlauts and \u{1f40b}", "plain, with \u{fc}mlauts and \u{1f40b}"),
            ("two\r\nlines\tand a tab", "two  lines and a tab"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;a title\u{7}after", "after"),
            ("\u{1b}[2J\u{1b}[1;1Hcleared", "cleared"),
            ("\u{1b}", ""),
            ("an \u{1b}[unfinished", "an nfinished"),
            ("\u{9b}31mC1", "31mC1"),
            ("\u{202e}reversed\u{202c} \u{2066}isolated\u{2069}", "reversed isolated"),
            ("zero\u{200b}width\u{feff}\u{0}\u{8}", "zerowidth"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_text_without_end_has_one() {
        assert_eq!(clean(&"x".repeat(MAX_MESSAGE)).len(), MAX_MESSAGE);
        assert_eq!(clean(&"x".repeat(1 << 20)), "x".repeat(MAX_MESSAGE) + "...");
        assert!(clean(&"\u{1b}[".repeat(1 << 16)).len() <= 2 * MAX_MESSAGE);
    }
}
