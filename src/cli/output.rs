//! Output: lines, tables and JSON on standard output.
//!
//! Texts from the network are shown without control characters, so that a message cannot move the
//! cursor, change colours or reverse the direction of the text that follows. Every line with a number
//! from a local network is marked (spec M17).

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

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

/// A time in milliseconds, in a readable unit: `250 ms`, `3.2 s`, `2 min`, `5 h`.
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
