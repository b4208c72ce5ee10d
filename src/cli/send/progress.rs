//! Shows stages as they come, on standard error: a spinner on a terminal, plain lines elsewhere,
//! objects under `--json`.

use std::io::{IsTerminal, stderr};

use serde_json::json;

use super::stage::describe;
use crate::cli::output::{Printer, Spinner, rounded, say, say_value};
use crate::node::{MessageId, Stage};

/// The form in which stages are shown.
pub(super) enum SendProgress {
    /// One line that changes.
    Spinner(Spinner),
    /// A line for each stage, and one for each quarter of the expected hashes; this many quarters were
    /// shown.
    Lines(u64),
    /// An object for each stage, with the number of the message.
    Json(MessageId),
}

impl SendProgress {
    pub(super) fn start(printer: Printer, id: MessageId) -> Self {
        if printer.json {
            return Self::Json(id);
        }
        if !stderr().is_terminal() {
            return Self::Lines(0);
        }
        let accepted = format!("message {} accepted", id.0);
        Self::Spinner(Spinner::start(accepted))
    }

    /// Shows that the message reached a stage.
    pub(super) fn show(&mut self, stage: &Stage) {
        match self {
            Self::Json(id) => say_value(&json!({"id": id, "reached": stage})),
            // A count replaces the line before it; only its end stays.
            Self::Spinner(spinner) if is_count(stage) && !is_quarter(stage) => {
                spinner.set(describe(stage));
            }
            Self::Spinner(spinner) => spinner.next(describe(stage)),
            Self::Lines(shown) => match quarters_of_search(stage) {
                Some(quarters) if quarters <= *shown => {}
                Some(quarters) => {
                    *shown = quarters;
                    say(describe(stage));
                }
                None if is_count(stage) && !is_quarter(stage) => {}
                None => say(describe(stage)),
            },
        }
    }

    /// Leaves the last stage on the screen.
    pub(super) fn end(&mut self) {
        if let Self::Spinner(spinner) = self {
            spinner.leave();
        }
    }
}

/// Whether a stage is a count that may rise often: hashes tried, or cells that have left.
const fn is_count(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::Searching { .. } | Stage::Dispatched { .. } | Stage::Departing { .. }
    )
}

/// Quarters of the expected hashes that were tried, possibly more than four; `None` for a stage other
/// than the search.
fn quarters_of_search(stage: &Stage) -> Option<u64> {
    let Stage::Searching {
        tried,
        expected_hashes,
    } = stage
    else {
        return None;
    };
    let quarters = tried
        .saturating_mul(4)
        .checked_div(rounded(*expected_hashes));
    Some(quarters.unwrap_or(0))
}

/// Whether a count of cells has just passed a quarter of the whole.
fn is_quarter(stage: &Stage) -> bool {
    let Stage::Dispatched { cells, of } = stage else {
        return false;
    };
    let quarters = |cells: usize| cells.saturating_mul(4).checked_div(*of).unwrap_or(0);
    quarters(*cells) != quarters(cells.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_of_cells_is_shown_four_times() {
        let shown = (1..=162)
            .map(|cells| Stage::Dispatched { cells, of: 162 })
            .filter(is_quarter);
        assert_eq!(shown.count(), 4);
    }

    #[test]
    fn search_is_counted_in_quarters_of_the_expected_hashes() {
        let quarters = |tried| {
            quarters_of_search(&Stage::Searching {
                tried,
                expected_hashes: 1_000.0,
            })
        };
        let counted = [0, 249, 250, 1_000, 1_500].map(quarters);
        assert_eq!(counted, [Some(0), Some(0), Some(1), Some(4), Some(6)]);
        assert_eq!(quarters_of_search(&Stage::Delivered), None);
    }
}
