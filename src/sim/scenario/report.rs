//! What simulations measured, in one world and in several.

use std::time::Duration;

use serde::Serialize;

use super::Simulation;
use super::synthetic::CellSource;
use crate::node::{Command, Reply};
use crate::sim::anonymity::Interval;
use crate::sim::gossip_meter::{GossipFigures, GossipMeter, GossipReport};
use crate::sim::measurements::{LatencyReport, TrafficReport};
use crate::sim::spies::SpyFigures;

/// What one world measured.
#[derive(Clone, Debug)]
pub struct WorldOutcome {
    nodes: usize,
    relays: usize,
    level: &'static str,
    fast: bool,
    time: Duration,
    sent: usize,
    refused: usize,
    delivered: usize,
    within_three: usize,
    /// In order of size.
    latencies: Vec<Duration>,
    traffic: TrafficReport,
    synthetic_cells: u64,
    cells: u64,
    cells_dropped: u64,
    /// By the probability that a node spies.
    spies: Vec<SpyFigures>,
    gossip: Option<GossipFigures>,
}

impl Simulation {
    /// What was measured so far.
    pub fn outcome(&mut self) -> WorldOutcome {
        let time = self.elapsed();
        let (mut cells, mut cells_dropped) = (0, 0);
        for node in 0..self.world.len() {
            if !self.world.is_running(node) {
                continue;
            }
            if let Ok(Reply::Status(status)) = self.world.command(node, Command::Status) {
                cells += status.cells_forwarded;
                cells_dropped += status.cells_dropped;
            }
        }
        let scenario = &self.scenario;
        let shares = scenario.hostile.clone();
        let mut outcome = WorldOutcome {
            nodes: scenario.nodes,
            relays: self.relays,
            level: scenario.level.word(),
            fast: scenario.fast,
            time,
            sent: self.sent,
            refused: self.refused,
            delivered: 0,
            within_three: 0,
            latencies: Vec::new(),
            traffic: TrafficReport::default(),
            synthetic_cells: self.cells.as_ref().map_or(0, CellSource::sent),
            cells,
            cells_dropped,
            spies: Vec::new(),
            gossip: None,
        };
        if let Some(instruments) = self.instruments() {
            let seen = &instruments.measurements;
            outcome.delivered = seen.delivered();
            outcome.within_three = seen.delivered_within(3);
            outcome.latencies = seen.latencies();
            outcome.traffic = seen.traffic();
            if let Some(spies) = &instruments.spies {
                let figures = shares.iter().filter_map(|share| spies.figures(*share));
                outcome.spies = figures.collect();
            }
            outcome.gossip = instruments.gossip.as_ref().map(GossipMeter::figures);
        }
        outcome
    }
}

/// What a simulation measured, in all its worlds.
#[derive(Clone, Debug, Serialize)]
pub struct SimulationReport {
    /// Worlds: networks of the same size with another seed each.
    pub worlds: usize,
    /// Nodes of each.
    pub nodes: usize,
    /// Relays among them.
    pub relays: usize,
    /// Level of the messages.
    pub level: &'static str,
    /// Seed of the first world; each further one has the next number.
    pub seed: u64,
    /// Whether nodes computed with stand-ins.
    pub fast: bool,
    /// Synthetic cells that were sent.
    pub synthetic_cells: u64,
    /// Measured time of each world.
    pub simulated_seconds: f64,
    /// Messages that a node accepted.
    pub sent: usize,
    /// Messages that a node refused, or that had no running node to send them.
    pub refused: usize,
    /// Messages that arrived.
    pub delivered: usize,
    /// Messages that arrived by at most three attempts.
    pub delivered_within_three_attempts: usize,
    /// The share of these that is exceeded with a confidence of 97.5 % (Wilson's lower bound).
    pub share_within_three_at_least: Option<f64>,
    /// Latency of the messages of all worlds; none if none arrived.
    pub latency: Option<LatencyReport>,
    /// Median in milliseconds, by world.
    pub latency_p50_ms: Option<Interval>,
    /// 95th percentile in milliseconds, by world.
    pub latency_p95_ms: Option<Interval>,
    /// Mean number of bytes that a node sent.
    pub bytes_per_node: u64,
    /// Bytes on all links, divided by the messages; none without messages.
    pub bytes_per_message: Option<u64>,
    /// Cells that relays forwarded since they started.
    pub cells: u64,
    /// Cells that nodes dropped since they started.
    pub cells_dropped: u64,
    /// What spies learned, for each probability that was asked for.
    pub spies: Vec<SpyReport>,
    /// What the distribution of envelopes cost, in fast mode.
    pub gossip: Option<GossipReport>,
    /// Further figures.
    #[serde(flatten)]
    pub traffic: TrafficReport,
}

/// What spies learn, as means over all choices of the spies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SpyReport {
    /// Probability that a node spies.
    pub hostile: f64,
    /// How often the peer that first showed an envelope to a spy is its sender.
    pub first_spy: Interval,
    /// How often a message went through a hostile guard and a hostile rendezvous.
    pub linked: Interval,
}

impl SimulationReport {
    /// The figures of these worlds, the first of which has the seed `seed`; none without a world.
    #[must_use]
    pub fn of(worlds: &[WorldOutcome], seed: u64) -> Option<Self> {
        let first = worlds.first()?;
        let count = |of: fn(&WorldOutcome) -> usize| worlds.iter().map(of).sum::<usize>();
        let total = |of: fn(&WorldOutcome) -> u64| worlds.iter().map(of).sum::<u64>();
        let mut latencies: Vec<Duration> = worlds
            .iter()
            .flat_map(|world| world.latencies.iter().copied())
            .collect();
        latencies.sort();
        let sent = count(|world| world.sent);
        let within_three = count(|world| world.within_three);
        let traffic = traffic(worlds);
        let gossip: Vec<GossipFigures> = worlds
            .iter()
            .filter_map(|world| world.gossip.clone())
            .collect();
        Some(Self {
            worlds: worlds.len(),
            nodes: first.nodes,
            relays: first.relays,
            level: first.level,
            seed,
            fast: first.fast,
            synthetic_cells: total(|world| world.synthetic_cells),
            simulated_seconds: first.time.as_secs_f64(),
            sent,
            refused: count(|world| world.refused),
            delivered: count(|world| world.delivered),
            delivered_within_three_attempts: within_three,
            share_within_three_at_least: wilson(within_three, sent),
            latency: LatencyReport::of(&latencies),
            latency_p50_ms: by_world(worlds, |latency| latency.p50_ms),
            latency_p95_ms: by_world(worlds, |latency| latency.p95_ms),
            bytes_per_node: share(traffic.bytes, first.nodes.saturating_mul(worlds.len()))
                .unwrap_or(0),
            bytes_per_message: share(traffic.bytes, sent),
            cells: total(|world| world.cells),
            cells_dropped: total(|world| world.cells_dropped),
            spies: SpyReport::of(worlds),
            gossip: GossipReport::of(&gossip, first.nodes),
            traffic,
        })
    }
}

impl SpyReport {
    /// One report for each probability that was asked for.
    fn of(worlds: &[WorldOutcome]) -> Vec<Self> {
        let asked = worlds.iter().map(|world| world.spies.len()).max();
        let report = |number: usize| {
            let figures: Vec<SpyFigures> = worlds
                .iter()
                .filter_map(|world| world.spies.get(number).copied())
                .collect();
            let interval = |of: fn(&SpyFigures) -> f64| {
                let values: Vec<f64> = figures.iter().map(of).collect();
                Interval::of(&values)
            };
            Some(Self {
                hostile: figures.first()?.hostile,
                first_spy: interval(|world| world.first_spy),
                linked: interval(|world| world.linked),
            })
        };
        (0..asked.unwrap_or(0)).filter_map(report).collect()
    }
}

/// The traffic of all worlds.
fn traffic(worlds: &[WorldOutcome]) -> TrafficReport {
    let total =
        |of: fn(&TrafficReport) -> u64| worlds.iter().map(|world| of(&world.traffic)).sum::<u64>();
    let busiest = worlds
        .iter()
        .map(|world| world.traffic.most_bytes_of_a_node);
    TrafficReport {
        bytes: total(|traffic| traffic.bytes),
        packets: total(|traffic| traffic.packets),
        datagrams: total(|traffic| traffic.datagrams),
        dials: total(|traffic| traffic.dials),
        retries: total(|traffic| traffic.retries),
        most_bytes_of_a_node: busiest.max().unwrap_or(0),
    }
}

/// A percentile of each world that delivered a message.
fn by_world(worlds: &[WorldOutcome], of: fn(&LatencyReport) -> u64) -> Option<Interval> {
    let values: Vec<f64> = worlds
        .iter()
        .filter_map(|world| LatencyReport::of(&world.latencies))
        .filter_map(|latency| Some(f64::from(u32::try_from(of(&latency)).ok()?)))
        .collect();
    (!values.is_empty()).then(|| Interval::of(&values))
}

/// Wilson's lower bound of a share at 97.5 % (Wilson 1927); none of nothing.
fn wilson(successes: usize, trials: usize) -> Option<f64> {
    let number = |count: usize| u32::try_from(count).ok().map(f64::from);
    let trials = number(trials).filter(|trials| *trials > 0.0)?;
    let share = number(successes)? / trials;
    let square = NORMAL_975 * NORMAL_975 / trials;
    let spread = (share * (1.0 - share) / trials + square / (4.0 * trials)).sqrt();
    Some((share + square / 2.0 - NORMAL_975 * spread) / (1.0 + square))
}

fn share(total: u64, parts: usize) -> Option<u64> {
    total.checked_div(u64::try_from(parts).ok()?)
}

/// The normal quantile of 97.5 %.
const NORMAL_975: f64 = 1.96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_bound_is_the_textbook_one() {
        // Brown, Cai and DasGupta (2001) and others tabulate 0.7224 for 10 of 10.
        let bound = wilson(10, 10).unwrap();
        assert!((bound - 0.7224).abs() < 0.001, "{bound}");
        assert!(wilson(4_000, 4_000).unwrap() > 0.999);
        assert_eq!(wilson(0, 0), None);
    }
}
