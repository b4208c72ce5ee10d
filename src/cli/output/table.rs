//! Tables that fit the terminal.
//!
//! A table that is too wide for the terminal loses its empty columns first. Then its widest columns
//! shrink, and their cells take several lines. Where no table fits, each row is shown as a record: one
//! line for each cell. No word is broken ([`super::wrap()`]).

use super::wrap::{columns, wrap};

/// The lines of a table on a terminal of `width` columns; `None` for no limit.
pub(super) fn render(heading: &[&str], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let mut table: Vec<Vec<&str>> = vec![heading.to_vec()];
    table.extend(
        rows.iter()
            .map(|row| row.iter().map(String::as_str).collect()),
    );
    let natural = widths(&table, columns);
    let Some(width) = width.filter(|width| total(&natural) > *width) else {
        return as_table(&table, &natural);
    };
    let table = without_empty_columns(&table);
    let least = widths(&table, longest_word);
    if width < MIN_TABLE_COLUMNS || total(&least) > width {
        return as_records(&table, width);
    }
    let natural = widths(&table, columns);
    as_table(&table, &shrunk(&natural, &least, width))
}

/// The width of each column: the largest measure of its cells.
fn widths(table: &[Vec<&str>], measure: impl Fn(&str) -> usize) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in table {
        widths.resize(row.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = measure(cell).max(*width);
        }
    }
    widths
}

/// The width of a table with columns of these widths.
fn total(widths: &[usize]) -> usize {
    let gaps = widths.len().saturating_sub(1).saturating_mul(GAP.len());
    widths
        .iter()
        .fold(gaps, |total, width| total.saturating_add(*width))
}

fn longest_word(cell: &str) -> usize {
    cell.split(' ').map(columns).max().unwrap_or(0)
}

/// A table without the columns that have a heading only.
fn without_empty_columns<'a>(table: &[Vec<&'a str>]) -> Vec<Vec<&'a str>> {
    let rows = table.iter().skip(1);
    let filled = |column: &usize| {
        rows.clone()
            .any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()))
    };
    let count = table.first().map_or(0, Vec::len);
    let kept: Vec<usize> = (0..count).filter(filled).collect();
    let cells = |row: &Vec<&'a str>| -> Vec<&'a str> {
        kept.iter()
            .filter_map(|column| row.get(*column).copied())
            .collect()
    };
    table.iter().map(cells).collect()
}

/// Takes columns from the widest column until the table fits. `least` must fit.
fn shrunk(natural: &[usize], least: &[usize], width: usize) -> Vec<usize> {
    let bounded = natural.iter().map(|natural| *natural.min(&width));
    let mut widths: Vec<usize> = bounded.collect();
    while total(&widths) > width {
        let able = widths
            .iter_mut()
            .zip(least)
            .filter(|(width, least)| **width > **least);
        let Some((widest, _)) = able.max_by_key(|(width, _)| **width) else {
            break;
        };
        *widest -= 1;
    }
    widths
}

fn as_table(table: &[Vec<&str>], widths: &[usize]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in table {
        let cells = row.iter().zip(widths);
        let cells: Vec<Vec<String>> = cells.map(|(cell, width)| wrap(cell, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            let parts = cells.iter().zip(widths).map(|(cell, width)| {
                let part = cell.get(line).map_or("", String::as_str);
                let rest = width.saturating_sub(columns(part));
                format!("{part}{}", " ".repeat(rest))
            });
            let joined = parts.collect::<Vec<_>>().join(GAP);
            lines.push(joined.trim_end().to_owned());
        }
    }
    lines
}

/// A line for each cell that is not empty, behind its heading; an empty line between two rows.
fn as_records(table: &[Vec<&str>], width: usize) -> Vec<String> {
    let Some((heading, rows)) = table.split_first() else {
        return Vec::new();
    };
    let label = heading.iter().map(|name| columns(name)).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            lines.push(String::new());
        }
        let cells = heading.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        for (name, cell) in cells {
            let rest = label.saturating_sub(columns(name));
            lines.extend(wrap(
                &format!("{name}{}{GAP}{cell}", " ".repeat(rest)),
                width,
            ));
        }
    }
    lines
}

/// Between two columns.
const GAP: &str = "  ";

/// The narrowest terminal for a table; a narrower one gets records.
const MIN_TABLE_COLUMNS: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [
            ["normal", "", "lanes (parallel onion paths) of 3 relays"],
            ["open", "", "12 bytes"],
        ]
        .map(|row| row.map(str::to_owned).to_vec())
        .to_vec()
    }

    const HEADING: [&str; 3] = ["LEVEL", "NOTE", "NETWORK BYTES"];

    #[test]
    fn table_that_fits_or_has_no_limit_keeps_every_column() {
        let expected = [
            "LEVEL   NOTE  NETWORK BYTES",
            "normal        lanes (parallel onion paths) of 3 relays",
            "open          12 bytes",
        ];
        assert_eq!(render(&HEADING, &rows(), None), expected);
        assert_eq!(render(&HEADING, &rows(), Some(80)), expected);
        assert_eq!(render(&HEADING, &rows(), Some(54)), expected);
    }

    #[test]
    fn wide_column_shrinks_at_words() {
        let long = vec![vec!["a".to_owned(), "some words ".repeat(9)]];
        let lines = render(&["ID", "STAGE"], &long, Some(60));
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| columns(line) <= 60), "{lines:?}");
        assert!(lines[1].starts_with("a   some words"));
        assert!(lines[2].starts_with("    some words"));
    }

    #[test]
    fn narrow_terminal_gets_a_record_for_each_row() {
        let expected = [
            "LEVEL          normal",
            "NETWORK BYTES  lanes (parallel onion",
            "               paths) of 3 relays",
            "",
            "LEVEL          open",
            "NETWORK BYTES  12 bytes",
        ];
        assert_eq!(render(&HEADING, &rows(), Some(40)), expected);
    }

    #[test]
    fn column_of_long_words_gets_records_instead_of_broken_words() {
        let key = "ab".repeat(40);
        let rows = vec![vec!["desk".to_owned(), key.clone()]];
        let lines = render(&["NAME", "KEY"], &rows, Some(80));
        assert_eq!(lines, ["NAME  desk", "KEY", &key]);
    }

    #[test]
    fn cell_is_padded_by_columns_and_not_by_bytes() {
        let rows = vec![vec!["日本".to_owned(), "x".to_owned()]];
        assert_eq!(render(&["A", "B"], &rows, None), ["A     B", "日本  x"]);
    }
}
