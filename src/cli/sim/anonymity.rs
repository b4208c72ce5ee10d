//! `whisht sim anonymity`: how well mixing hides a sender from an observer of every link.
//!
//! The traffic is a model, and no node runs. The command shows what a network of a given size, rate
//! and delay can hide; docs/simulator.md states the assumptions.

mod groups;
mod network;
mod table;

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde::Serialize;

use self::network::{KnowledgeArgs, NetworkArgs};
use super::progress::{Interruption, Progress};
use crate::cli::output::{Printer, grouped};
use crate::cli::{Exit, Failure};
use crate::sim::anonymity::{
    AnonymityReport, Curve, DelayRule, Interval, MixLatency, Plot, ScoreReport, Study,
};

/// Options of `whisht sim anonymity`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    kind: Option<Kind>,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    knowledge: KnowledgeArgs,
    /// Messages of one sender that the adversary knows to belong together
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    linked: u32,
    /// Write a plot of the best guess by linked messages to a file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    size: SizeArgs,
}

/// Options of the size of a study.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Size of the study")]
struct SizeArgs {
    /// Messages that are traced in each world
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
    /// Trace scattered messages without keys, with dummies and without, and with keys
    Scatter(Box<groups::ScatterArgs>),
    /// Trace shards that leave in consecutive slots, each by itself and jointly
    Joint(Box<groups::JointArgs>),
    /// Count the senders that the choice of rendezvous leaves possible
    Exclusion(groups::ExclusionArgs),
}

/// Runs the study.
///
/// # Errors
///
/// [`Failure`] if the network has no paths, no cell was traced, or the plot cannot be written.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    match &args.kind {
        Some(Kind::Table(args)) => return table::run(json, args),
        Some(Kind::Scatter(args)) => return args.run(json),
        Some(Kind::Joint(args)) => return args.run(json),
        Some(Kind::Exclusion(args)) => return args.run(json),
        None => {}
    }
    let (model, rule) = args.network.model(args.size.seed)?;
    let study = Study {
        model,
        knowledge: args.knowledge.knowledge(),
        targets: args.size.targets,
        linked: args.linked,
        seed: args.size.seed,
    };
    let (scores, interrupted) = args.size.worlds(json, |number| study.world(number))?;
    let report = AnonymityReport::of(&scores).ok_or_else(nothing_traced)?;
    if let Some(file) = &args.svg {
        write_svg(file, &report)?;
    }
    let senders = f64::from(model.senders);
    Outcome {
        report,
        delay_seconds: model.delay.as_secs_f64(),
        rule,
        latency: MixLatency::of(&model, args.size.seed),
        blind_guess: 1.0 / senders,
        blind_bits: senders.log2(),
        interrupted,
    }
    .print(Printer { json, local: false })?;
    Ok(Exit::Done)
}

fn nothing_traced() -> Failure {
    Failure::new(
        Exit::Failed,
        "no message was traced; name more --targets or --worlds",
    )
}

/// Writes the best guess by linked messages.
fn write_svg(file: &Path, report: &AnonymityReport) -> Result<(), Failure> {
    let curve = |name: &str, of: fn(&ScoreReport) -> Interval| Curve {
        name: name.to_owned(),
        points: report
            .fewer
            .iter()
            .chain([&report.most])
            .map(|linked| (f64::from(linked.linked), of(&linked.score)))
            .collect(),
    };
    let plot = Plot {
        title: "How well mixing hides a sender".to_owned(),
        across: "messages that are known to belong together".to_owned(),
        up: "probability".to_owned(),
        curves: vec![
            curve("best guess", |score| score.best_guess),
            curve("best guess is right", |score| score.right),
        ],
    };
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Failed,
            format_args!("cannot write the plot to {}: {error}", file.display()),
        )
    };
    let svg = plot.svg().map_err(|error| failed(&error))?;
    fs::write(file, svg).map_err(|error| failed(&error))
}

impl SizeArgs {
    /// The results of all worlds that were finished, and whether the user stopped early.
    fn worlds<T: Send>(
        &self,
        json: bool,
        world: impl Fn(u32) -> T + Sync,
    ) -> Result<(Vec<T>, bool), Failure> {
        let stop = Interruption::watch()?;
        let progress = Progress::new(json, self.worlds.into(), "worlds");
        progress.phase("cells are traced");
        let reached = AtomicU32::new(0);
        let results = run_worlds(self.worlds, &stop, |number| {
            let result = world(number);
            progress.reached(u64::from(reached.fetch_add(1, Ordering::Relaxed)) + 1);
            result
        });
        progress.finish();
        Ok((results, stop.is_wanted()))
    }
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

/// A report, and what a guess without any observation would give.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: AnonymityReport,
    /// Mean delay at each relay.
    delay_seconds: f64,
    /// What the load of the network selects.
    rule: DelayRule,
    /// Time of one cell to its insertion.
    latency: MixLatency,
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
        let most = &self.report.most;
        let mut rows = vec![
            ("worlds", grouped(self.report.worlds.into())),
            ("delay at each relay", format!("{} s", self.delay_seconds)),
            (
                "delay class by the load",
                format!(
                    "{} s, {:.0} cells wait",
                    self.rule.delay_seconds, self.rule.pool
                ),
            ),
            (
                "time to insertion, p50",
                format!("{:.0} s", self.latency.p50_seconds),
            ),
            (
                "time to insertion, p95",
                format!("{:.0} s", self.latency.p95_seconds),
            ),
        ];
        rows.extend(score_rows(&most.score));
        if let Some(unlucky) = most.unluckiest_tenth {
            rows.push(("best guess, unluckiest tenth", share(unlucky)));
        }
        rows.extend([
            (
                "guess without observation",
                format!("{:.4}", self.blind_guess),
            ),
            ("most entropy possible", format!("{:.2}", self.blind_bits)),
        ]);
        let mut rows: Vec<[String; 2]> = rows
            .into_iter()
            .map(|(name, value)| [name.to_owned(), value])
            .collect();
        for fewer in &self.report.fewer {
            let name = format!("best guess, {} linked", fewer.linked);
            rows.push([name, share(fewer.score.best_guess)]);
        }
        Ok(printer.table(["FIGURE", "VALUE"], &rows, "")?)
    }
}

/// The figures of a score, calibration included.
fn score_rows(score: &ScoreReport) -> Vec<(&'static str, String)> {
    vec![
        ("messages traced", grouped(score.targets.into())),
        ("best guess", share(score.best_guess)),
        ("best guess is right", share(score.right)),
        ("entropy in bits", bits(score.entropy_bits)),
        ("min-entropy in bits", bits(score.min_entropy_bits)),
        ("best guess above 0.1", share(score.above_tenth)),
        ("best guess above 0.5", share(score.above_half)),
        (
            "calibration: true sender against expectation",
            percent(score.calibration),
        ),
    ]
}

fn share(interval: Interval) -> String {
    format!("{:.4} +- {:.4}", interval.mean, interval.plus_minus)
}

fn bits(interval: Interval) -> String {
    format!("{:.2} +- {:.2}", interval.mean, interval.plus_minus)
}

fn percent(interval: Interval) -> String {
    let (mean, plus_minus) = (100.0 * interval.mean, 100.0 * interval.plus_minus);
    format!("{mean:+.1} % +- {plus_minus:.1} %")
}
