//! `whisht sim cover`: nodes with cover traffic, and how well it hides a sender.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::progress::{Interruption, Progress};
use super::{now, worlds};
use crate::cli::output::{Printer, grouped};
use crate::cli::{Exit, Failure};
use crate::sim::anonymity::{Interval, ScoreReport};
use crate::sim::{CoverReport, CoverStudy};

/// Options of `whisht sim cover`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of clients
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    clients: u32,
    /// Number of relays
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(6..=100_000))]
    relays: u32,
    /// Time to simulate, in seconds, after 180 s in which the mixes fill
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    seconds: u32,
    /// Share of the relays that disclose which cell became which
    #[arg(long, value_name = "F", default_value_t = 0.2, value_parser = super::share)]
    hostile: f64,
    /// Number of choices of the hostile relays, for the same traffic; 0 traces nothing
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    choices: u32,
    /// Number of worlds; each has the next seed, and a report of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    worlds: u32,
    /// Seed of everything random; equal seeds give equal runs
    #[arg(long, value_name = "X", default_value_t = 1)]
    seed: u64,
}

/// Runs the study.
///
/// # Errors
///
/// [`Failure`] if the network is too small.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    let stop = Interruption::watch()?;
    let progress = Progress::new(json, args.seconds.into(), "simulated s");
    progress.phase("nodes send cover");
    let reports = worlds::run(args.worlds, &stop, |number| {
        let study = args.study(number)?;
        let mut simulation = study.start(|| !stop.is_wanted())?;
        let begun = now();
        while !stop.is_wanted() && simulation.advance(STEP) {
            progress.reached(simulation.elapsed().as_secs());
        }
        let report = simulation.report();
        let report = report.ok_or_else(|| Failure::new(Exit::Failed, "no cell was observed"))?;
        Ok(MeasuredCover::new(report, begun))
    })?;
    progress.finish();
    let printer = Printer { json, local: !json };
    for report in &reports {
        report.print(printer)?;
    }
    Ok(Exit::Done)
}

impl Args {
    fn study(&self, number: u32) -> Result<CoverStudy, Failure> {
        let count = |number: u32| usize::try_from(number).map_err(Failure::usage);
        Ok(CoverStudy {
            clients: count(self.clients)?,
            relays: count(self.relays)?,
            time: Duration::from_secs(self.seconds.into()),
            hostile: self.hostile,
            choices: self.choices,
            seed: self.seed.saturating_add(number.into()),
        })
    }
}

/// A report, and what it cost this machine.
#[derive(Debug, Serialize)]
struct MeasuredCover {
    #[serde(flatten)]
    report: CoverReport,
    /// Simulated seconds per second of the measured part.
    speed: f64,
}

impl MeasuredCover {
    fn new(report: CoverReport, begun: Instant) -> Self {
        let wall = begun.elapsed().as_secs_f64().max(1e-6);
        Self {
            speed: report.simulated_seconds / wall,
            report,
        }
    }

    fn print(&self, printer: Printer) -> Result<(), Failure> {
        if printer.json {
            return Ok(printer.value(self)?);
        }
        let report = &self.report;
        let count = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
        let kilobytes = |bytes: f64| format!("{:.2} KB/s", bytes / 1_000.0);
        let mut rows = vec![
            ("clients", count(report.clients)),
            ("relays", count(report.relays)),
            (
                "simulated seconds",
                format!("{:.1}", report.simulated_seconds),
            ),
            (
                "cells per second and client",
                format!("{:.3}", report.cells_per_client),
            ),
            ("mean time to R", format!("{:.1} s", report.mean_transit)),
            ("a client sends", kilobytes(report.client_sends)),
            ("a client receives", kilobytes(report.client_receives)),
            ("a relay sends", kilobytes(report.relay_sends)),
            ("a relay receives", kilobytes(report.relay_receives)),
        ];
        rows.extend(report.known.iter().flat_map(|score| {
            score_rows(
                score,
                [
                    "cells traced",
                    "best guess",
                    "best guess is right",
                    "entropy in bits",
                ],
            )
        }));
        rows.extend(report.strict.iter().flat_map(|score| {
            score_rows(
                score,
                [
                    "loops known: cells traced",
                    "loops known: best guess",
                    "loops known: best guess is right",
                    "loops known: entropy in bits",
                ],
            )
        }));
        rows.push((
            "simulated seconds per wall second",
            format!("{:.2}", self.speed),
        ));
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(name, value)| [name.to_owned(), value])
            .collect();
        Ok(printer.table(["FIGURE", "VALUE"], &rows, "")?)
    }
}

fn score_rows(score: &ScoreReport, names: [&'static str; 4]) -> [(&'static str, String); 4] {
    let share = |of: Interval| format!("{:.4} +- {:.4}", of.mean, of.plus_minus);
    let [targets, best, right, entropy] = names;
    [
        (targets, grouped(score.targets.into())),
        (best, share(score.best_guess)),
        (right, share(score.right)),
        (
            entropy,
            format!(
                "{:.2} +- {:.2}",
                score.entropy_bits.mean, score.entropy_bits.plus_minus
            ),
        ),
    ]
}

/// Simulated time between two looks at the signal.
const STEP: Duration = Duration::from_millis(500);
