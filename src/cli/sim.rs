//! `whisht sim`: a network of many nodes in simulated time, and what messages cost in it.
//!
//! The nodes are real and their links carry real frames; the clock, the network, the disks and the
//! searches are simulated. The figures are those of the profile `local`, which the first line states.

mod anonymity;
mod progress;

use std::fs;
use std::time::{Duration, Instant};

use circuits::level::Level;
use serde::Serialize;

use self::progress::{Interruption, Progress};
use super::output::{Printer, duration, grouped};
use super::{Exit, Failure};
use crate::config::{ConfigError, value};
use crate::sim::{NetworkModel, Scenario, Simulation, SimulationReport};

/// Options of `whisht sim`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    kind: Option<Kind>,
    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    nodes: u32,
    /// Number of relays among them [default: a tenth, at least 12]
    #[arg(long, value_name = "N")]
    relays: Option<u32>,
    /// Time to simulate, in seconds, after 40 s in which the nodes meet
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    seconds: u32,
    /// Level of the messages: open, swift or normal
    #[arg(long, value_parser = value::level, default_value = "normal")]
    level: Level,
    /// Number of messages to send
    #[arg(long, value_name = "M", default_value_t = 20)]
    messages: u32,
    /// Seed of everything random; equal seeds give equal runs
    #[arg(long, value_name = "X", default_value_t = 1)]
    seed: u64,
    /// Replace ciphers of links and cells by stand-ins of equal sizes
    #[arg(long)]
    fast: bool,
    /// Synthetic cells that each node sends per second, through six relays
    #[arg(long, value_name = "R", default_value_t = 0.0, value_parser = rate)]
    synthetic_cells: f64,
}

/// Other simulations.
#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// Measure how well mixing hides a sender, on model traffic without nodes
    Anonymity(Box<anonymity::Args>),
}

/// Runs the simulation.
///
/// # Errors
///
/// [`Failure`] if the level is refused, or a message breaks a rule of its level.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    if let Some(Kind::Anonymity(args)) = &args.kind {
        return anonymity::run(json, args);
    }
    if !args.level.is_implemented() {
        return Err(ConfigError::LevelNotImplemented(args.level).into());
    }
    let stop = Interruption::watch()?;
    let progress = Progress::new(json, u64::from(args.seconds), "simulated s");
    progress.phase("the nodes meet");
    let mut simulation = Simulation::new(args.scenario()?)?;
    simulation.warm_up(|| !stop.is_wanted());
    progress.phase("messages are on their way");
    let begun = now();
    let end = Duration::from_secs(args.seconds.into());
    while simulation.elapsed() < end && !stop.is_wanted() {
        simulation.advance(simulation.elapsed() + STEP)?;
        progress.reached(simulation.elapsed().as_secs());
    }
    let wall = begun.elapsed();
    progress.finish();
    let report = MeasuredRun::new(simulation.report(), wall, stop.is_wanted());
    report.print(Printer { json, local: !json })?;
    Ok(Exit::Done)
}

impl Args {
    fn scenario(&self) -> Result<Scenario, Failure> {
        let count = |number: u32| usize::try_from(number).map_err(Failure::usage);
        Ok(Scenario {
            nodes: count(self.nodes)?,
            relays: self.relays.map(count).transpose()?,
            time: Duration::from_secs(self.seconds.into()),
            level: self.level,
            messages: count(self.messages)?,
            seed: self.seed,
            synthetic_cells: self.synthetic_cells,
            fast: self.fast,
            network: NetworkModel::internet(),
        })
    }
}

/// Reads a number of cells per second.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate| (0.0..=1_000.0).contains(rate));
    rate.ok_or_else(|| format!("expected a number from 0 to 1000, not {text:?}"))
}

/// A report, and what it cost this machine.
#[derive(Debug, Serialize)]
struct MeasuredRun {
    #[serde(flatten)]
    report: SimulationReport,
    /// Whether the user stopped it early.
    interrupted: bool,
    /// Time that the measured part took here.
    wall_seconds: f64,
    /// Simulated seconds per second of that.
    speed: f64,
    /// The most memory that this process had, if the system says.
    peak_memory_bytes: Option<u64>,
}

impl MeasuredRun {
    fn new(report: SimulationReport, wall: Duration, interrupted: bool) -> Self {
        let wall_seconds = wall.as_secs_f64();
        Self {
            speed: report.simulated_seconds / wall_seconds.max(1e-6),
            report,
            interrupted,
            wall_seconds,
            peak_memory_bytes: peak_memory(),
        }
    }

    fn print(&self, printer: Printer) -> Result<(), Failure> {
        if printer.json {
            let value = serde_json::to_value(self).map_err(|error| {
                Failure::new(Exit::Failed, format_args!("cannot write JSON: {error}"))
            })?;
            return Ok(printer.value(&value)?);
        }
        let rows = self.rows();
        Ok(printer.table(["FIGURE", "VALUE"], &rows, "")?)
    }

    fn rows(&self) -> Vec<[String; 2]> {
        let report = &self.report;
        let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), grouped);
        let count = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
        let mut rows = vec![
            ("nodes", count(report.nodes)),
            ("relays", count(report.relays)),
            (
                "simulated seconds",
                format!("{:.1}", report.simulated_seconds),
            ),
            (
                "delivered",
                format!("{} of {}", report.delivered, report.sent),
            ),
            ("refused", count(report.refused)),
        ];
        if let Some(latency) = report.latency {
            rows.extend([
                ("latency p50", duration(latency.p50_ms)),
                ("latency p90", duration(latency.p90_ms)),
                ("latency p95", duration(latency.p95_ms)),
                ("latency p99", duration(latency.p99_ms)),
            ]);
        }
        rows.extend([
            ("bytes per node", grouped(report.bytes_per_node)),
            ("bytes per message", bytes(report.bytes_per_message)),
            ("synthetic cells sent", grouped(report.synthetic_cells)),
            ("cells forwarded", grouped(report.cells)),
            ("cells dropped", grouped(report.cells_dropped)),
            ("wall seconds", format!("{:.1}", self.wall_seconds)),
            (
                "simulated seconds per wall second",
                format!("{:.2}", self.speed),
            ),
            ("peak memory in bytes", bytes(self.peak_memory_bytes)),
        ]);
        let row = |(name, value): (&str, String)| [name.to_owned(), value];
        rows.into_iter().map(row).collect()
    }
}

/// The peak of this process's resident memory, in bytes. Linux only.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1_024))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the speed of a simulation is measured by the clock of this machine"
)]
fn now() -> Instant {
    Instant::now()
}

/// Simulated time between two looks at the signal.
const STEP: Duration = Duration::from_millis(250);
