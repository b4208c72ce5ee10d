//! A line of progress on a terminal, which changes and is erased at the end.

use std::fmt::Display;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line of progress on standard error. It is cut at the width of the terminal: of a line that wraps,
/// terminals erase the last row only.
pub(in crate::cli) struct Spinner(ProgressBar);

impl Spinner {
    /// Shows a first text.
    pub(in crate::cli) fn start(text: impl Display) -> Self {
        Self::of(ProgressBar::new_spinner(), "{spinner} {wide_msg}", text)
    }

    /// Shows a first text and how much of `total` units is done.
    #[cfg(feature = "sim")]
    pub(in crate::cli) fn counting(total: u64, unit: &str, text: impl Display) -> Self {
        let template = format!("{{pos}}/{{len}} {unit}, {{elapsed}}: {{wide_msg}}");
        Self::of(ProgressBar::new(total), &template, text)
    }

    fn of(bar: ProgressBar, template: &str, text: impl Display) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(text.to_string());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Replaces the text.
    pub(in crate::cli) fn set(&self, text: impl Display) {
        self.0.set_message(text.to_string());
    }

    /// Sets how many units are done.
    #[cfg(feature = "sim")]
    pub(in crate::cli) fn reach(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Leaves the current text above, as a line that stays, and shows the next one.
    pub(in crate::cli) fn next(&self, text: impl Display) {
        let last = self.0.message();
        self.0.suspend(|| super::say(indented(&last)));
        self.set(text);
    }

    /// Erases the line, and leaves its text as a line that stays.
    pub(in crate::cli) fn leave(&self) {
        let last = self.0.message();
        self.erase();
        super::say(indented(&last));
    }

    /// Erases the line.
    pub(in crate::cli) fn erase(&self) {
        self.0.finish_and_clear();
    }
}

/// A text under the text of the line of progress, which a sign and a space precede.
fn indented(text: &str) -> String {
    format!("  {text}")
}

/// Time between two turns of the sign.
const TICK: Duration = Duration::from_millis(100);
