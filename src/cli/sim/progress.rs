//! What a long simulation shows while it runs, and how the user ends it.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::remote_node::runtime;
use crate::cli::{Exit, Failure};
use crate::shell::signal::Interrupts;

/// Whether the user wants it to end: noted by a thread of its own, since the simulation waits for
/// nothing.
pub(super) struct Interruption(Arc<AtomicBool>);

impl Interruption {
    pub(super) fn watch() -> Result<Self, Failure> {
        let wanted = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&wanted);
        let runtime = runtime()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                if let Ok(mut interrupts) = Interrupts::take() {
                    interrupts.next().await;
                    noted.store(true, Ordering::Relaxed);
                    // A second signal ends the process: a step of a large network takes long.
                    interrupts.next().await;
                    std::process::exit(i32::from(Exit::Failed.code()));
                }
            });
        });
        Ok(Self(wanted))
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Progress on standard error: a bar on a terminal, one line for each phase elsewhere, nothing
/// under `--json`.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines,
    Silent,
}

impl Progress {
    /// Progress up to `total` units, which the bar calls `unit`.
    pub(super) fn new(json: bool, total: u64, unit: &str) -> Self {
        if json {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new(total);
        let style = format!("{{msg}} {{bar:30}} {{pos}}/{{len}} {unit}, {{elapsed}}");
        if let Ok(style) = ProgressStyle::with_template(&style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Bar(bar)
    }

    pub(super) fn phase(&self, what: &'static str) {
        match self {
            Self::Bar(bar) => bar.set_message(what),
            // If standard error is closed, nothing is lost.
            Self::Lines => drop(io::Write::write_fmt(
                &mut io::stderr(),
                format_args!("{what}\n"),
            )),
            Self::Silent => {}
        }
    }

    pub(super) fn reached(&self, units: u64) {
        if let Self::Bar(bar) = self {
            bar.set_position(units);
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
