//! Output: lines, tables and JSON on standard output.
//!
//! Texts that strangers wrote are shown without control characters, so that a message cannot move
//! the cursor, change colours or turn the direction of what follows. Where the figures are those
//! of a local network, every line with a number says so (spec M17).

use std::fmt::Display;
use std::io::{self, Write};

use serde_json::Value;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    /// Whether results are printed as JSON.
    pub(super) json: bool,
    /// Whether the figures are those of a local network.
    pub(super) local: bool,
}

impl Printer {
    /// One line.
    pub(super) fn line(self, text: impl Display) -> io::Result<()> {
        let text = text.to_string();
        let mark = self.local && has_figure(&text);
        writeln!(
            io::stdout().lock(),
            "{}{text}",
            if mark { LOCAL } else { "" }
        )
    }

    /// One line of JSON.
    pub(super) fn value(self, value: &Value) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{value}")?;
        stdout.flush()
    }

    /// A table with a heading, or a remark if there are no rows.
    pub(super) fn table<const N: usize>(
        self,
        heading: [&str; N],
        rows: &[[String; N]],
        empty: &str,
    ) -> io::Result<()> {
        if rows.is_empty() {
            return self.line(empty);
        }
        let heading = heading.map(str::to_owned);
        let mut widths = [0; N];
        for row in std::iter::once(&heading).chain(rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut stdout = io::stdout().lock();
        for row in std::iter::once(&heading).chain(rows) {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let mark = match (self.local, has_figure(&line)) {
                (false, _) => "",
                (true, false) => NO_MARK,
                (true, true) => LOCAL,
            };
            writeln!(stdout, "{mark}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text that strangers wrote, fit to be shown: line ends and tabs stay, other control characters
/// and marks of direction become `?`.
pub(super) fn safe(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A field of a view as text: without quotes, empty if there is none.
pub(super) fn field(view: &Value, name: &str) -> String {
    match view.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => safe(text).replace(['\n', '\t'], "?"),
        Some(Value::Array(list)) => {
            let texts = list
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), safe));
            texts.collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// A field of a view as a number, rounded if it has a fraction.
pub(super) fn number(view: &Value, name: &str) -> u64 {
    match view.get(name) {
        Some(Value::Number(number)) => number
            .as_u64()
            .or_else(|| format!("{:.0}", number.as_f64()?).parse().ok())
            .unwrap_or_default(),
        _ => 0,
    }
}

/// The rows of a list of views.
pub(super) fn rows<const N: usize>(
    views: &Value,
    row: impl Fn(&Value) -> [String; N],
) -> Vec<[String; N]> {
    views.as_array().into_iter().flatten().map(row).collect()
}

/// A count with its digits in groups: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time in the unit that suits it: `250 ms`, `3.2 s`, `2 min`, `5 h`.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

fn has_figure(line: &str) -> bool {
    line.contains(|c: char| c.is_ascii_digit())
}

/// The mark of a local network's figures.
const LOCAL: &str = "LOCAL ";
/// As wide as the mark.
const NO_MARK: &str = "      ";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_strangers_text_cannot_touch_the_terminal() {
        assert_eq!(
            safe("a\u{1b}[31mb\u{202e}c\r\nd\te\u{7f}\u{9b}"),
            "a?[31mb?c?\nd\te??"
        );
        assert_eq!(field(&json!({"name": "a\nb"}), "name"), "a?b");
    }

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!((grouped(0), grouped(999)), ("0".into(), "999".into()));
        assert_eq!(
            (grouped(1_000), grouped(1_234_567)),
            ("1,000".into(), "1,234,567".into())
        );
        let shown = [250, 3_250, 125_000, 7_200_000].map(duration);
        assert_eq!(shown, ["250 ms", "3.2 s", "2 min", "2 h"]);
    }

    #[test]
    fn fields_are_shown_without_quotes() {
        let view = json!({"a": "x", "b": null, "c": [1, "y"], "d": true});
        let figures = json!({"whole": 7, "part": 2.5e5, "below": -1, "text": "7"});
        let read = ["whole", "part", "below", "text"].map(|name| number(&figures, name));
        assert_eq!(read, [7, 250_000, 0, 0]);
        let shown = ["a", "b", "c", "d", "e"].map(|name| field(&view, name));
        assert_eq!(shown, ["x", "", "1, y", "true", ""]);
    }
}
