//! The figures of `whisht sim`, as a table and as JSON.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::cli::output::{Printer, duration, grouped};
use crate::cli::{Exit, Failure};
use crate::sim::anonymity::Interval;
use crate::sim::{GossipReport, SimulationReport, SpyReport};

/// A report, and what it cost this machine.
#[derive(Debug, Serialize)]
pub(super) struct MeasuredRun {
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
    pub(super) fn new(report: SimulationReport, wall: Duration, interrupted: bool) -> Self {
        let wall_seconds = wall.as_secs_f64();
        let worlds = f64::from(u32::try_from(report.worlds).unwrap_or(u32::MAX));
        Self {
            speed: worlds * report.simulated_seconds / wall_seconds.max(1e-6),
            report,
            interrupted,
            wall_seconds,
            peak_memory_bytes: peak_memory(),
        }
    }

    pub(super) fn print(&self, printer: Printer) -> Result<(), Failure> {
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
            ("worlds", count(report.worlds)),
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
            (
                "within three attempts",
                format!(
                    "{} of {}",
                    report.delivered_within_three_attempts, report.sent
                ),
            ),
            ("refused", count(report.refused)),
        ];
        if let Some(least) = report.share_within_three_at_least {
            rows.push(("share of these, at least", format!("{least:.4}")));
        }
        rows.extend(latency_rows(report));
        rows.extend(report.spies.iter().flat_map(spy_rows));
        rows.extend(report.gossip.iter().flat_map(gossip_rows));
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

/// The latencies of all messages; of several worlds also their spread from world to world.
fn latency_rows(report: &SimulationReport) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(latency) = report.latency {
        rows.extend([
            ("latency p50", duration(latency.p50_ms)),
            ("latency p90", duration(latency.p90_ms)),
            ("latency p95", duration(latency.p95_ms)),
            ("latency p99", duration(latency.p99_ms)),
        ]);
    }
    let seconds = |of: &Interval| {
        let (mean, plus_minus) = (of.mean / 1_000.0, of.plus_minus / 1_000.0);
        format!("{mean:.2} +- {plus_minus:.2} s")
    };
    if let (Some(p50), Some(p95)) = (&report.latency_p50_ms, &report.latency_p95_ms)
        && report.worlds > 1
    {
        rows.extend([
            ("latency p50 by world", seconds(p50)),
            ("latency p95 by world", seconds(p95)),
        ]);
    }
    rows
}

fn spy_rows(spies: &SpyReport) -> [(&'static str, String); 3] {
    let share = |of: Interval| format!("{:.4} +- {:.4}", of.mean, of.plus_minus);
    [
        (
            "probability that a node spies",
            format!("{}", spies.hostile),
        ),
        ("first spy names the sender", share(spies.first_spy)),
        ("hostile guard and rendezvous", share(spies.linked)),
    ]
}

fn gossip_rows(gossip: &GossipReport) -> [(&'static str, String); 6] {
    [
        ("public envelopes", grouped(gossip.envelopes)),
        (
            "gossip bytes per node and envelope",
            format!("{:.0}", gossip.bytes_per_node_and_envelope),
        ),
        (
            "the same, by the envelope's bytes",
            format!("{:.2}", gossip.times_its_bytes),
        ),
        ("nodes reached by gossip", format!("{:.4}", gossip.reached)),
        ("spread p50", duration(gossip.spread_p50_ms)),
        ("spread p95", duration(gossip.spread_p95_ms)),
    ]
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
