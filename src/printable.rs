//! Texts of other machines, made fit for a terminal.
//!
//! Control characters start escape sequences, and marks of direction turn the order of what follows:
//! both let a peer or a server write into the operator's screen. Every text from the network goes
//! through this module before it is shown, logged or put into an error.

/// The text with line ends and tabs; other control characters and marks of direction become `?`.
pub(crate) fn safe(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// As [`safe`], on one line: line ends and tabs become `?` too.
pub(crate) fn one_line(text: &str) -> String {
    safe(text).replace(['\n', '\t'], "?")
}

/// The first characters of a text, as [`one_line`].
pub(crate) fn excerpt(text: &str, max_chars: usize) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(max_chars).collect();
    let more = if chars.next().is_some() { "..." } else { "" };
    format!("{}{more}", one_line(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_contains_no_escape_sequence() {
        assert_eq!(excerpt("\u{1b}[31mred\r\n\u{202e}x", 9), "?[31mred?...");
        assert_eq!(excerpt("grün", 4), "grün");
    }
}
