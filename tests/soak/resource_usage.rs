//! The resources of the node under attack, measured from outside, and their limits.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::testbed::{POOL_MB, Testbed};

/// The resources of a process.
#[derive(Clone, Copy)]
pub(crate) struct ResourceUsage {
    /// Bytes of memory.
    pub(crate) memory: usize,
    pub(crate) threads: usize,
    /// Open file descriptors.
    pub(crate) descriptors: usize,
    /// Bytes in its data directory and its log.
    pub(crate) disk: usize,
}

impl ResourceUsage {
    /// The present use of the node under attack.
    pub(crate) fn of(testbed: &Testbed) -> Self {
        let process = format!("/proc/{}", testbed.victim().id());
        let status = fs::read_to_string(format!("{process}/status")).expect("the node is running");
        let field = |name: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap()
        };
        Self {
            memory: field("VmRSS:") * 1_024,
            threads: field("Threads:"),
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
            disk: bytes_below(testbed.victim().dir()) + bytes_below(&testbed.log("victim")),
        }
    }
}

/// The node's resources over time.
pub(crate) struct UsageMonitor {
    attackers: usize,
    samples: Vec<Sample>,
    /// Number of turns of the node, and the processor time of the longest.
    turns: (u64, Duration),
}

/// One sample.
struct Sample {
    at: Duration,
    usage: ResourceUsage,
    peers: u64,
    pooled: u64,
    /// Time of an answer to the node's owner.
    answer: Duration,
}

impl UsageMonitor {
    /// Measures until `time` is over, and prints a row at intervals, so that a failed run shows its
    /// history.
    pub(crate) async fn watch(testbed: &Testbed, attackers: usize, time: Duration) -> Self {
        let mut client = testbed.client().await;
        let begun = Instant::now();
        let mut samples: Vec<Sample> = Vec::new();
        let mut next_row = Duration::ZERO;
        let mut turns = (0, Duration::ZERO);
        println!("{HEADING}");
        while begun.elapsed() < time {
            let asked = Instant::now();
            let status = timeout(STATUS_TIMEOUT, client.call("whisht_status", json!([]))).await;
            let status = status.expect("the node answers").unwrap();
            let figure = |name: &str| status["turns"][name].as_u64().unwrap();
            turns = (figure("count"), Duration::from_micros(figure("longest_us")));
            let sample = Sample {
                at: begun.elapsed(),
                usage: ResourceUsage::of(testbed),
                peers: status["peers"].as_u64().unwrap(),
                pooled: status["pool_envelopes"].as_u64().unwrap(),
                answer: asked.elapsed(),
            };
            if sample.at >= next_row {
                println!("{sample}");
                next_row += time / REPORT_ROWS;
            }
            samples.push(sample);
            sleep(SAMPLE_INTERVAL).await;
        }
        Self {
            attackers,
            samples,
            turns,
        }
    }

    /// Fails if a resource exceeded its limit.
    pub(crate) fn assert_within_limits(&self) {
        let ceiling = (IDLE_MB + 2 * POOL_MB + self.attackers * ATTACKER_MB) << 20;
        for Sample { at, usage, .. } in &self.samples {
            let ResourceUsage {
                memory,
                threads,
                descriptors,
                disk,
            } = *usage;
            assert!(memory <= ceiling, "{memory} bytes of memory at {at:.0?}");
            assert!(threads <= MAX_THREADS, "{threads} threads at {at:.0?}");
            assert!(
                descriptors <= MAX_DESCRIPTORS,
                "{descriptors} descriptors at {at:.0?}"
            );
            assert!(disk <= MAX_DISK, "{disk} bytes on disk at {at:.0?}");
        }
        let (_, longest) = self.turns;
        assert!(longest <= MAX_TURN, "a turn took {longest:?}");
        // The use at the end of a long run must not exceed the use before its middle: otherwise it
        // would grow without a bound.
        let end = self
            .samples
            .last()
            .map(|sample| sample.at)
            .unwrap_or_default();
        if end >= MIN_TREND_TIME {
            let (early, late) = (self.peak(end / 4, end / 2), self.peak(end * 3 / 4, end));
            assert!(
                late <= early + (MAX_DRIFT_MB << 20),
                "memory grows: {early} bytes in the second quarter, {late} in the last"
            );
        }
    }

    /// The maximum memory between two moments.
    fn peak(&self, from: Duration, to: Duration) -> usize {
        let between = self
            .samples
            .iter()
            .filter(|one| (from..=to).contains(&one.at));
        between
            .map(|one| one.usage.memory)
            .max()
            .unwrap_or_default()
    }
}

impl fmt::Display for UsageMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(last) = self.samples.last() {
            writeln!(f, "{HEADING}\n{last}")?;
        }
        let slowest = self.samples.iter().map(|sample| sample.answer).max();
        write!(
            f,
            "peak {} KB, slowest answer {:.1?}, longest of {} turns {:.1?} of processor time",
            self.peak(Duration::ZERO, Duration::MAX) / 1_024,
            slowest.unwrap_or_default(),
            self.turns.0,
            self.turns.1,
        )
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            usage,
            peers,
            pooled,
            answer,
        } = self;
        write!(
            f,
            "{:8}  {:9}  {:7}  {:11}  {:7}  {peers:5}  {pooled:6}  {:9}",
            at.as_secs(),
            usage.memory / 1_024,
            usage.threads,
            usage.descriptors,
            usage.disk / 1_024,
            answer.as_millis(),
        )
    }
}

/// Names the columns of a [`Sample`].
const HEADING: &str =
    "  second  memory KB  threads  descriptors  disk KB  peers  pooled  answer ms";

/// Bytes of a file, or of all files below a folder; a file that vanishes meanwhile does not count.
fn bytes_below(path: &Path) -> usize {
    let Ok(entries) = fs::read_dir(path) else {
        let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
        return usize::try_from(length).unwrap();
    };
    entries
        .flatten()
        .map(|entry| bytes_below(&entry.path()))
        .sum()
}

/// Time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// Timeout of an answer to the node's owner.
const STATUS_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows of the report.
const REPORT_ROWS: u32 = 12;

/// Processor time of the longest turn. An optimised node takes a tenth of it.
const MAX_TURN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 400 } else { 40 });
/// Memory of a node without peers and envelopes, and unused memory that the allocator keeps.
const IDLE_MB: usize = 48;
/// Memory that one peer can make a link use: a frame of 2 MiB, its buffer, and its decompressed
/// payload.
const ATTACKER_MB: usize = 6;
/// Two for the runtime, one for the disk and one for searches, and a few temporary ones.
const MAX_THREADS: usize = 24;
/// The connections, local clients and TCP clients that the node accepts, and its own files.
const MAX_DESCRIPTORS: usize = 256 + 32 + 128 + 64;
/// Keys, records, tags of replayed cells, and a log.
const MAX_DISK: usize = 64 << 20;
/// Minimum duration of a run for a trend.
const MIN_TREND_TIME: Duration = Duration::from_secs(600);
/// Tolerance for random variation of a quarter's peak.
const MAX_DRIFT_MB: usize = 24;
