//! `whisht sim anonymity`: how well mixing hides a sender from an observer of every link.
//!
//! The traffic is a model, and no node runs. The command shows what a network of a given size, rate
//! and delay can hide; docs/simulator.md states the assumptions.

mod table;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::progress::{Interruption, Progress};
use crate::cli::output::{Printer, grouped};
use crate::cli::{Exit, Failure};
use crate::sim::anonymity::{AnonymityReport, Interval, Knowledge, MixModel, Routes, Study};

/// Options of `whisht sim anonymity`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    kind: Option<Kind>,
    /// Number of honest senders
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    senders: u32,
    /// Number of relays
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    relays: u32,
    /// Share of the relays that disclose which cell became which
    #[arg(long, value_name = "F", default_value_t = 0.2)]
    hostile: f64,
    /// Relays on a path, without the rendezvous
    #[arg(long, value_name = "H", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    hops: u32,
    /// Choose each relay of a path among all, not within its layer
    #[arg(long)]
    free_routes: bool,
    /// First relays that each sender uses
    #[arg(long, value_name = "G", default_value_t = 1)]
    guards: u32,
    /// Mean delay at each relay, in seconds
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = seconds)]
    delay: f64,
    /// Payload cells, cover included, that each sender emits per second
    #[arg(long, value_name = "R", default_value_t = 0.45)]
    payload_rate: f64,
    /// Loops that each sender emits per second
    #[arg(long, value_name = "R", default_value_t = 0.05)]
    loop_rate: f64,
    /// Let the adversary recognise loops: an upper bound for every passive adversary
    #[arg(long)]
    loops_known: bool,
    /// Messages of one sender that the adversary knows to belong together
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    linked: u32,
    /// Cells that are traced in each world, or groups of linked ones
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    targets: u32,
    /// Number of worlds: networks with hostile relays and traffic of their own
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    worlds: u32,
    /// Seed of everything random; equal seeds give equal runs
    #[arg(long, value_name = "X", default_value_t = 1)]
    seed: u64,
}

/// Other studies.
#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// Measure the table from which a node tells what a network like its own hides
    Table(table::Args),
}

/// Runs the study.
///
/// # Errors
///
/// [`Failure`] if the network has no paths, or no cell was traced.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    if let Some(Kind::Table(args)) = &args.kind {
        return table::run(json, args);
    }
    let study = args.study()?;
    let stop = Interruption::watch()?;
    let progress = Progress::new(json, args.worlds.into(), "worlds");
    progress.phase("cells are traced");
    let reached = AtomicU32::new(0);
    let scores = run_worlds(args.worlds, &stop, |number| {
        let score = study.world(number);
        progress.reached(u64::from(reached.fetch_add(1, Ordering::Relaxed)) + 1);
        score
    });
    progress.finish();
    let report = AnonymityReport::of(&scores).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "no cell was traced; name more --targets or --worlds",
        )
    })?;
    Outcome {
        report,
        blind_guess: 1.0 / f64::from(args.senders),
        blind_bits: f64::from(args.senders).log2(),
        interrupted: stop.is_wanted(),
    }
    .print(Printer { json, local: false })?;
    Ok(Exit::Done)
}

/// The worlds that were finished, in order. One thread for each processor draws them.
fn run_worlds<T: Send>(
    worlds: u32,
    stop: &Interruption,
    world: impl Fn(u32) -> T + Sync,
) -> Vec<T> {
    let next = AtomicU32::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while !stop.is_wanted() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= worlds {
                break;
            }
            let score = world(number);
            let mut done = done.lock().unwrap_or_else(|held| held.into_inner());
            done.push((number, score));
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|held| held.into_inner());
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, score)| score).collect()
}

impl Args {
    fn study(&self) -> Result<Study, Failure> {
        let model = MixModel {
            senders: self.senders,
            relays: self.relays,
            hostile: self.hostile,
            routes: if self.free_routes {
                Routes::Free(self.hops)
            } else {
                Routes::Layers(self.hops)
            },
            guards: self.guards,
            delay: Duration::from_secs_f64(self.delay),
            payload_rate: self.payload_rate,
            loop_rate: self.loop_rate,
            ..MixModel::reference()
        };
        model.check().map_err(Failure::usage)?;
        Ok(Study {
            model,
            knowledge: if self.loops_known {
                Knowledge::Loops
            } else {
                Knowledge::Positions
            },
            targets: self.targets,
            linked: self.linked,
            seed: self.seed,
        })
    }
}

/// Reads a delay.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.001..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| format!("expected seconds from 0.001 to 3600, not {text:?}"))
}

/// A report, and what a guess without any observation would give.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: AnonymityReport,
    /// The probability of a guess without any observation.
    blind_guess: f64,
    /// The entropy of the senders in bits.
    blind_bits: f64,
    /// Whether the user stopped it early.
    interrupted: bool,
}

impl Outcome {
    fn print(&self, printer: Printer) -> Result<(), Failure> {
        if printer.json {
            return Ok(printer.value(self)?);
        }
        let score = &self.report.most.score;
        let share =
            |interval: Interval| format!("{:.4} +- {:.4}", interval.mean, interval.plus_minus);
        let bits =
            |interval: Interval| format!("{:.2} +- {:.2}", interval.mean, interval.plus_minus);
        let rows = [
            ("worlds", grouped(self.report.worlds.into())),
            ("cells or groups traced", grouped(score.targets.into())),
            ("best guess", share(score.best_guess)),
            ("best guess is right", share(score.right)),
            (
                "guess without observation",
                format!("{:.4}", self.blind_guess),
            ),
            ("entropy in bits", bits(score.entropy_bits)),
            ("most entropy possible", format!("{:.2}", self.blind_bits)),
            ("min-entropy in bits", bits(score.min_entropy_bits)),
            ("best guess above 0.1", share(score.above_tenth)),
            ("best guess above 0.5", share(score.above_half)),
        ];
        let rows = rows.map(|(name, value)| [name.to_owned(), value]);
        Ok(printer.table(["FIGURE", "VALUE"], &rows, "")?)
    }
}
