//! Sizes of files and functions.

use crate::assert_none;
use crate::code::CODE;
use crate::source::Source;
use crate::tree::{files, is_node};

/// Lines of a file.
const MAX_FILE: usize = 500;
/// Lines of a function.
const MAX_FUNCTION: usize = 60;
/// Functions that may be longer, in the whole repository: lists that gain nothing by a cut.
const MAX_LONG_FUNCTIONS: usize = 5;

#[test]
fn source_files_have_at_most_500_lines() {
    assert_none("split them", long_files(|path| !is_node(path)));
}

#[test]
fn node_files_have_at_most_500_lines() {
    assert_none("split them", long_files(is_node));
}

fn long_files(selects: impl Fn(&str) -> bool) -> Vec<String> {
    files(CODE, "rs")
        .into_iter()
        .filter(|(path, _)| selects(path))
        .map(|(path, text)| (text.lines().count(), path))
        .filter(|(lines, _)| *lines > MAX_FILE)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect()
}

#[test]
fn functions_have_at_most_60_lines_with_few_exceptions() {
    let mut long = Vec::new();
    for (path, text) in files(CODE, "rs") {
        let functions = Source::of(&text).functions();
        let functions = functions
            .into_iter()
            .filter(|found| found.lines > MAX_FUNCTION);
        long.extend(functions.map(|found| {
            format!(
                "{path}:{}: {} has {} lines",
                found.line, found.name, found.lines
            )
        }));
    }
    if long.len() > MAX_LONG_FUNCTIONS {
        assert_none("split some of them", long);
    }
}
