//! Output: lines, tables and JSON on standard output, and texts on standard error.
//!
//! Texts from the network are shown without control characters, so that a message cannot move the
//! cursor, change colours or reverse the direction of the text that follows. Every line of a local
//! network is marked, because its figures do not hold for the real network (spec M17). On a terminal no
//! line is longer than the terminal is wide; in a file or pipe every line is whole.

mod spinner;
mod table;
mod width;
mod wrap;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub(super) use self::spinner::Spinner;
pub(super) use self::width::width;
pub(super) use self::wrap::wrap;
pub(super) use crate::printable::{one_line, safe};

/// Prints the results of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    /// Whether results are printed as JSON.
    pub(super) json: bool,
    /// Whether the figures are from a local network.
    pub(super) local: bool,
}

impl Printer {
    /// One line of text, in as many lines of the terminal as it needs.
    pub(super) fn line(self, text: impl Display) -> io::Result<()> {
        let text = text.to_string();
        let lines = match self.width() {
            Some(width) => wrap(&text, width),
            None => vec![text],
        };
        self.lines(&lines)
    }

    /// One line of JSON.
    pub(super) fn value(self, value: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_string(value)?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{json}")?;
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
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.to_vec()).collect();
        self.lines(&table::render(&heading, &rows, self.width()))
    }

    /// Columns for the text of a line, without the mark; `None` for no limit.
    fn width(self) -> Option<usize> {
        let width = width(&io::stdout())?;
        Some(width.saturating_sub(self.mark().len()))
    }

    const fn mark(self) -> &'static str {
        if self.local { LOCAL } else { "" }
    }

    fn lines(self, lines: &[String]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        for line in lines {
            let mark = if line.is_empty() { "" } else { self.mark() };
            writeln!(stdout, "{mark}{line}")?;
        }
        Ok(())
    }
}

/// The text of clap with its colours, if the stream is a terminal and the user wants colours.
pub(super) fn styled(text: &clap::builder::StyledStr, stream: &impl IsTerminal) -> String {
    if stream.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        text.ansi().to_string()
    } else {
        text.to_string()
    }
}

/// Prints a value on standard error, as one line of JSON.
pub(super) fn say_value(value: &impl Serialize) {
    // The value is lost if standard error is closed.
    if let Ok(json) = serde_json::to_string(value) {
        let _ = writeln!(io::stderr().lock(), "{json}");
    }
}

/// Prints a text on standard error, in lines that fit the terminal.
pub(super) fn say(text: impl Display) {
    let text = text.to_string();
    let lines = match width(&io::stderr()) {
        Some(width) => wrap(&text, width),
        None => vec![text],
    };
    let mut stderr = io::stderr().lock();
    for line in lines {
        // The text is lost if standard error is closed.
        let _ = writeln!(stderr, "{line}");
    }
}

/// A number without its fraction, rounded; 0 for a negative number.
pub(super) fn rounded(number: f64) -> u64 {
    format!("{number:.0}").parse().unwrap_or_default()
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

/// As [`grouped`], for the length of a collection.
pub(super) fn count(count: usize) -> String {
    grouped(u64::try_from(count).unwrap_or(u64::MAX))
}

/// A time in milliseconds, in a readable unit: `250 ms`, `3.2 s`, `2 min`, `5 h`.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

/// The mark of a local network's figures.
const LOCAL: &str = "LOCAL ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_network_loses_control_characters() {
        assert_eq!(
            safe("a\u{1b}[31mb\u{202e}c\r\nd\te\u{7f}\u{9b}"),
            "a?[31mb?c?\nd\te??"
        );
        assert_eq!(one_line("a\nb\tc"), "a?b?c");
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
    fn number_with_fraction_is_rounded() {
        assert_eq!([7.0, 2.5e5, 0.6, -1.0].map(rounded), [7, 250_000, 1, 0]);
    }
}
