//! Shows how far a file is, on standard error: one line that changes on a terminal, a line for each
//! stage and each tenth elsewhere, objects under `--json`.

use std::io::{IsTerminal, stderr};
use std::mem::{Discriminant, discriminant};

use super::{percent, stage_words};
use crate::cli::output::{Printer, Spinner, say, say_value};
use crate::node::{FileStage, FileView};

/// The form in which stages are shown.
pub(super) enum FileProgress {
    /// A line that changes.
    Spinner(Option<Spinner>, Option<Discriminant<FileStage>>),
    /// A line for each stage and each tenth; the last that was shown.
    Lines(Option<(Discriminant<FileStage>, u64)>),
    /// An object for each report.
    Json,
}

impl FileProgress {
    pub(super) fn start(printer: Printer) -> Self {
        if printer.json {
            Self::Json
        } else if stderr().is_terminal() {
            Self::Spinner(None, None)
        } else {
            Self::Lines(None)
        }
    }

    /// Shows how far a file is.
    pub(super) fn show(&mut self, view: &FileView) {
        let stage = discriminant(&view.stage);
        match self {
            Self::Json => say_value(view),
            Self::Lines(last) => {
                let now = (stage, percent(view) / 10);
                if last.replace(now) != Some(now) {
                    say(stage_words(view));
                }
            }
            Self::Spinner(spinner, last) => match spinner {
                None => *spinner = Some(Spinner::start(stage_words(view))),
                Some(line) if last.replace(stage) == Some(stage) => line.set(stage_words(view)),
                Some(line) => line.next(stage_words(view)),
            },
        }
    }

    /// Leaves the last stage on the screen.
    pub(super) fn end(&mut self) {
        if let Self::Spinner(Some(spinner), _) = self {
            spinner.leave();
        }
    }
}
