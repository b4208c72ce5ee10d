//! Line breaks: a text in lines of a terminal's width, broken at spaces only.
//!
//! A word is never broken: a key that is cut by a line break cannot be copied. A word that is longer
//! than a line stands alone on a line of its own, from the first column on.

use unicode_width::UnicodeWidthChar;

/// Columns that a text takes on a terminal. Colours, as clap writes them, take none.
pub(in crate::cli) fn columns(text: &str) -> usize {
    let mut in_colour = false;
    let mut columns = 0_usize;
    for c in text.chars() {
        match c {
            '\u{1b}' => in_colour = true,
            'm' if in_colour => in_colour = false,
            _ if in_colour => {}
            c => columns = columns.saturating_add(c.width().unwrap_or(0)),
        }
    }
    columns
}

/// The lines of a text on a terminal of `width` columns. The lines of the text itself stay; a line in
/// columns, such as `level     normal`, continues under its last column.
pub(in crate::cli) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        if columns(line) <= width {
            lines.push(line.to_owned());
        } else {
            let hang = hanging_indent(line).min(width / 2);
            break_line(line, width, hang, &mut lines);
        }
    }
    lines
}

/// Breaks a line that is too long. Further lines begin after `hang` spaces, or after fewer if a word
/// would not fit otherwise.
fn break_line(line: &str, width: usize, hang: usize, lines: &mut Vec<String>) {
    let mut current = String::new();
    for (gap, word) in words(line) {
        let length = columns(word);
        let taken = columns(&current);
        if current.is_empty() {
            current.push_str(&" ".repeat(gap.min(width.saturating_sub(length))));
        } else if taken + gap + length <= width {
            current.push_str(&" ".repeat(gap));
        } else {
            lines.push(core::mem::take(&mut current));
            current.push_str(&" ".repeat(hang.min(width.saturating_sub(length))));
        }
        current.push_str(word);
    }
    lines.push(current);
}

/// The words of a line, each with the number of spaces before it.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut gap = 0;
    line.split(' ').filter_map(move |word| {
        if word.is_empty() {
            gap += 1;
            return None;
        }
        Some((core::mem::replace(&mut gap, 1), word))
    })
}

/// The column of the text after a label, which two spaces or more end; without a label, the number of
/// leading spaces.
fn hanging_indent(line: &str) -> usize {
    let text = line.trim_start_matches(' ');
    let leading = line.len() - text.len();
    let Some((label, rest)) = text.split_once("  ") else {
        return leading;
    };
    let gap = rest.len() - rest.trim_start_matches(' ').len();
    leading + columns(label) + 2 + gap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_at_spaces_and_continues_under_its_column() {
        let line = "relays    12 known, 3 usable; directory young";
        assert_eq!(wrap(line, 80), [line]);
        assert_eq!(
            wrap(line, 30),
            ["relays    12 known, 3 usable;", "          directory young"]
        );
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("  one two three", 9), ["  one two", "  three"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
    }

    #[test]
    fn word_longer_than_a_line_stays_whole_on_a_line_of_its_own() {
        let key = "0x04aabbccddeeff";
        assert_eq!(
            wrap(&format!("key       {key} of it"), 12),
            ["key", key, "      of it"]
        );
        assert_eq!(wrap(key, 12), [key]);
        assert_eq!(
            wrap("label     elevenchars", 12),
            ["label", " elevenchars"],
            "a word that fits keeps to the width"
        );
    }

    #[test]
    fn width_counts_columns_and_not_bytes_or_colours() {
        assert_eq!(columns("日本"), 4);
        assert_eq!(columns("e\u{301}"), 1);
        assert_eq!(columns("\u{1b}[1mbold\u{1b}[0m"), 4);
        assert_eq!(wrap("日本 日本 日本", 9), ["日本 日本", "日本"]);
    }
}
