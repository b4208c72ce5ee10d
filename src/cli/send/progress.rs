//! Shows stages as they come, on standard error: a spinner on a terminal, plain lines elsewhere,
//! objects under `--json`.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::stage::describe;
use crate::cli::output::{Printer, field, number};

/// Where stages are shown.
pub(super) enum SendProgress {
    /// One line that moves.
    Spinner(ProgressBar),
    /// A line for each stage, and one for each quarter of the expected work, of which so many
    /// were told.
    Lines(u64),
    /// An object for each stage, with the message's number in it.
    Json(u64),
}

impl SendProgress {
    pub(super) fn start(printer: Printer, id: u64) -> Self {
        if printer.json {
            return Self::Json(id);
        }
        if !stderr().is_terminal() {
            return Self::Lines(0);
        }
        let spinner = ProgressBar::new_spinner().with_message(format!("message {id} accepted"));
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self::Spinner(spinner)
    }

    /// Shows that a message reached a stage.
    pub(super) fn show(&mut self, stage: &Value) {
        // If nobody reads this, nothing is lost.
        let _ = match self {
            Self::Json(id) => writeln!(stderr(), "{}", json!({"id": id, "reached": stage})),
            // A count goes on in its place; what is left behind is its end.
            Self::Spinner(spinner) if is_count(stage) && !is_quarter(stage) => {
                spinner.set_message(describe(stage));
                Ok(())
            }
            Self::Spinner(spinner) => {
                spinner.println(format!("  {}", spinner.message()));
                spinner.set_message(describe(stage));
                Ok(())
            }
            Self::Lines(told) if is_search(stage) => match quarters_of_search(stage) {
                quarters if quarters > *told => {
                    *told = quarters;
                    writeln!(stderr(), "{}", describe(stage))
                }
                _ => Ok(()),
            },
            Self::Lines(_) if is_count(stage) && !is_quarter(stage) => Ok(()),
            Self::Lines(_) => writeln!(stderr(), "{}", describe(stage)),
        };
    }

    /// Leaves the last stage standing.
    pub(super) fn end(&mut self) {
        if let Self::Spinner(spinner) = self {
            let last = spinner.message();
            spinner.finish_and_clear();
            // As above.
            let _ = writeln!(stderr(), "  {last}");
        }
    }
}

/// Whether a stage counts what may be many: hashes tried, or cells that leave.
fn is_count(stage: &Value) -> bool {
    is_search(stage) || field(stage, "stage") == "dispatched"
}

fn is_search(stage: &Value) -> bool {
    field(stage, "stage") == "searching"
}

/// How many quarters of the expected work are done; luck may ask for more than four.
fn quarters_of_search(stage: &Value) -> u64 {
    let (tried, expected) = (number(stage, "tried"), number(stage, "expected_hashes"));
    tried.saturating_mul(4).checked_div(expected).unwrap_or(0)
}

/// Whether a count of cells has just passed a quarter of its way.
fn is_quarter(stage: &Value) -> bool {
    let (cells, of) = (number(stage, "cells"), number(stage, "of"));
    let quarters = |cells: u64| cells.saturating_mul(4).checked_div(of).unwrap_or(0);
    quarters(cells) != quarters(cells.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_count_is_told_four_times() {
        let told = (1..=162)
            .map(|cells| json!({"stage": "dispatched", "cells": cells, "of": 162}))
            .filter(is_quarter);
        assert_eq!(told.count(), 4);
    }
}
