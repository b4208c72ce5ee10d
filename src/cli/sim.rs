//! `whisht sim`: a network of many nodes in simulated time, and what messages cost in it.
//!
//! The nodes are real and their links carry real frames; the clock, the network, the disks and the
//! searches are simulated. The figures are those of the profile `local`, which the first line states.

mod anonymity;
mod cover;
mod progress;
mod receiver;
mod report;
mod worlds;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use circuits::level::Level;

use self::progress::{Interruption, Progress};
use self::report::MeasuredRun;
use super::output::Printer;
use super::{Exit, Failure};
use crate::config::value;
use crate::sim::{Churn, NetworkModel, Scenario, Simulation, SimulationReport, WorldOutcome};

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
    /// Number of clients beside the relays, which only dial, write and read; replaces --nodes
    #[arg(long, value_name = "N", conflicts_with = "nodes", requires = "relays", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    clients: Option<u32>,
    /// Time to simulate, in seconds, after 40 s in which the nodes meet
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    seconds: u32,
    /// Level of the messages: open, swift or normal
    #[arg(long, value_parser = value::level, default_value = "normal")]
    level: Level,
    /// Number of messages to send in each world
    #[arg(long, value_name = "M", default_value_t = 20)]
    messages: u32,
    /// Seed of everything random; equal seeds give equal runs
    #[arg(long, value_name = "X", default_value_t = 1)]
    seed: u64,
    /// Number of worlds, for confidence intervals; each has the next seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    worlds: u32,
    /// Replace ciphers of links and cells by stand-ins of equal sizes
    #[arg(long)]
    fast: bool,
    /// Synthetic cells that each node sends per second, through six relays
    #[arg(long, value_name = "R", default_value_t = 0.0, value_parser = rate)]
    synthetic_cells: f64,
    /// Delays of links: worldwide, as measured between Ethereum nodes, or continent, 10 to 110 ms
    #[arg(long, value_enum, default_value = "worldwide")]
    latency: LinkLatency,
    /// Probability that a cell is lost at each hop; needs --fast
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share, requires = "fast")]
    cell_loss: f64,
    /// Mean share of the relays that are down
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    relays_down: f64,
    /// Mean share of the clients that are down
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    clients_down: f64,
    /// Mean time in seconds for which a node that fails is up
    #[arg(long, value_name = "S", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    session: u32,
    /// Measure what spies learn if each node spies with one of these probabilities; needs --fast
    #[arg(long, value_name = "F,..", value_parser = share, value_delimiter = ',', requires = "fast")]
    hostile: Vec<f64>,
}

/// Delays of links.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LinkLatency {
    Worldwide,
    Continent,
}

/// Other simulations.
#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// Measure how well mixing hides a sender, on model traffic without nodes
    Anonymity(Box<anonymity::Args>),
    /// Measure whether peers can tell the recipient of an envelope from a bystander
    Receiver(receiver::Args),
    /// Run nodes with cover traffic, and measure how well it hides a sender
    Cover(cover::Args),
}

/// Runs the simulation.
///
/// # Errors
///
/// [`Failure`] if the level is refused, or a message breaks a rule of its level.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    super::no_data_dir("sim")?;
    match &args.kind {
        Some(Kind::Anonymity(args)) => return anonymity::run(json, args),
        Some(Kind::Receiver(args)) => return receiver::run(json, args),
        Some(Kind::Cover(args)) => return cover::run(json, args),
        None => {}
    }
    let stop = Interruption::watch()?;
    let total = u64::from(args.seconds).saturating_mul(args.worlds.into());
    let run = Run {
        scenario: args.scenario()?,
        progress: Progress::new(json, total, "simulated s"),
        stop: &stop,
        reached: AtomicU64::new(0),
    };
    run.progress.phase("the nodes meet");
    let outcomes = worlds::run(args.worlds, &stop, |number| run.world(number))?;
    run.progress.finish();
    let wall = outcomes.iter().map(|(_, wall)| *wall).sum();
    let outcomes: Vec<WorldOutcome> = outcomes.into_iter().map(|(outcome, _)| outcome).collect();
    let report = SimulationReport::of(&outcomes, args.seed)
        .ok_or_else(|| Failure::new(Exit::Failed, "no world was simulated"))?;
    let report = MeasuredRun::new(report, wall, stop.is_wanted());
    report.print(Printer { json, local: !json })?;
    Ok(Exit::Done)
}

/// Worlds that are simulated.
struct Run<'a> {
    scenario: Scenario,
    progress: Progress,
    stop: &'a Interruption,
    /// Simulated seconds of all worlds so far.
    reached: AtomicU64,
}

impl Run<'_> {
    /// Simulates the world with this number; returns the time that its measured part took here.
    fn world(&self, number: u32) -> Result<(WorldOutcome, Duration), Failure> {
        let seed = self.scenario.seed.saturating_add(number.into());
        let scenario = Scenario {
            seed,
            ..self.scenario.clone()
        };
        let mut simulation = Simulation::new(scenario)?;
        simulation.warm_up(|| !self.stop.is_wanted());
        self.progress.phase("messages are on their way");
        let begun = now();
        while simulation.elapsed() < simulation.time() && !self.stop.is_wanted() {
            let before = simulation.elapsed().as_secs();
            simulation.advance(simulation.elapsed() + STEP)?;
            let passed = simulation.elapsed().as_secs().saturating_sub(before);
            let reached = self.reached.fetch_add(passed, Ordering::Relaxed);
            self.progress.reached(reached.saturating_add(passed));
        }
        let wall = begun.elapsed();
        Ok((simulation.outcome(), wall))
    }
}

impl Args {
    fn scenario(&self) -> Result<Scenario, Failure> {
        let count = |number: u32| usize::try_from(number).map_err(Failure::usage);
        let relays = self.relays.map(count).transpose()?;
        let nodes = match self.clients {
            Some(clients) => count(clients)?.saturating_add(relays.unwrap_or(0)),
            None => count(self.nodes)?,
        };
        Ok(Scenario {
            nodes,
            relays,
            clients: self.clients.is_some(),
            time: Duration::from_secs(self.seconds.into()),
            level: self.level,
            messages: count(self.messages)?,
            seed: self.seed,
            synthetic_cells: self.synthetic_cells,
            fast: self.fast,
            network: self.network(),
            churn: Churn {
                relays_down: self.relays_down,
                clients_down: self.clients_down,
                session: Duration::from_secs(self.session.into()),
            },
            hostile: self.hostile.clone(),
        })
    }

    const fn network(&self) -> NetworkModel {
        let network = match self.latency {
            LinkLatency::Worldwide => NetworkModel::worldwide(),
            LinkLatency::Continent => NetworkModel::internet(),
        };
        NetworkModel {
            cell_loss: self.cell_loss,
            ..network
        }
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

/// Reads a share or a probability below one.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| {
        format!("expected a number from 0 up to, but not including, 1, not {text:?}")
    })
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
