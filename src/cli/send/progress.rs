//! Shows stages as they come: a spinner on a terminal, plain lines elsewhere, nothing under
//! `--json`.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use super::stage::describe;
use crate::cli::print::Screen;

/// Where stages are shown.
pub(super) enum Progress {
    /// One line that moves.
    Spinner(ProgressBar),
    /// A line for each stage.
    Lines,
    /// Nowhere.
    Silent,
}

impl Progress {
    pub(super) fn start(screen: Screen, id: u64) -> Self {
        if screen.json {
            return Self::Silent;
        }
        if !stderr().is_terminal() {
            return Self::Lines;
        }
        let spinner = ProgressBar::new_spinner().with_message(format!("message {id} accepted"));
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self::Spinner(spinner)
    }

    /// Shows that a message reached a stage.
    pub(super) fn show(&mut self, stage: &Value) {
        let text = describe(stage);
        match self {
            Self::Spinner(spinner) => {
                spinner.println(format!("  {}", spinner.message()));
                spinner.set_message(text);
            }
            Self::Lines => {
                // If nobody reads this, nothing is lost.
                let _ = writeln!(stderr(), "{text}");
            }
            Self::Silent => {}
        }
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
