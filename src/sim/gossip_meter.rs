//! What the distribution of envelopes costs: bytes by kind of frame, and the time until nodes have
//! them.
//!
//! The meter reads the plain frames of fast mode. It counts every frame, and follows the envelopes of
//! the scenario alone.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::time::Instant;
use serde::Serialize;

use super::frames::{FrameKind, frames};
use super::measurements::percentile;
use super::observer::{Observation, Observer};
use super::spies::parse_hash;
use crate::envelope::EnvelopeHash;
use crate::node::{Event, Stage};

/// Counts frames, and follows envelopes.
#[derive(Default)]
pub(super) struct GossipMeter {
    counting: bool,
    bytes: BTreeMap<FrameKind, u64>,
    envelopes: BTreeMap<EnvelopeHash, Spread>,
    /// Bytes of these envelopes.
    envelope_bytes: u64,
}

/// How an envelope spread.
#[derive(Default)]
struct Spread {
    /// When a node first announced or sent it outside a stem.
    public: Option<Instant>,
    /// The nodes that have received it since, and after which time.
    reached: BTreeSet<usize>,
    times: Vec<Duration>,
}

/// The figures of one world.
#[derive(Clone, Debug, Default)]
pub struct GossipFigures {
    /// Envelopes that became public.
    envelopes: u64,
    envelope_bytes: u64,
    bytes: BTreeMap<FrameKind, u64>,
    times: Vec<Duration>,
}

/// What the distribution of envelopes cost in all worlds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GossipReport {
    /// Envelopes of the scenario that became public.
    pub envelopes: u64,
    /// Bytes that a node sent for each: announcements, requests and envelopes in their frames.
    pub bytes_per_node_and_envelope: f64,
    /// The same, divided by the bytes of the envelope.
    pub times_its_bytes: f64,
    /// The part of announcements in it.
    pub announcements: f64,
    /// The part of requests in it.
    pub requests: f64,
    /// Bytes of stems for each node and envelope.
    pub stems: f64,
    /// Share of the nodes that received an envelope, from peers.
    pub reached: f64,
    /// Time from the first announcement until half of these nodes had it, in milliseconds.
    pub spread_p50_ms: u64,
    /// Time until 95 % of these nodes had it.
    pub spread_p95_ms: u64,
}

impl GossipMeter {
    /// Begins to count.
    pub(super) const fn start(&mut self) {
        self.counting = true;
    }

    /// The figures so far.
    pub(super) fn figures(&self) -> GossipFigures {
        let public = self.envelopes.values().filter(|one| one.public.is_some());
        GossipFigures {
            envelopes: u64::try_from(public.count()).unwrap_or(u64::MAX),
            envelope_bytes: self.envelope_bytes,
            bytes: self.bytes.clone(),
            times: self
                .envelopes
                .values()
                .flat_map(|one| one.times.iter().copied())
                .collect(),
        }
    }

    fn sent(&mut self, at: Instant, bytes: &[u8]) {
        for frame in frames(bytes) {
            let length = u64::try_from(frame.wire.len()).unwrap_or(u64::MAX);
            *self.bytes.entry(frame.kind).or_default() += length;
            if matches!(frame.kind, FrameKind::Announcement | FrameKind::Envelopes) {
                for hash in frame.envelopes() {
                    if let Some(spread) = self.envelopes.get_mut(&hash) {
                        spread.public.get_or_insert(at);
                    }
                }
            }
        }
    }

    fn received(&mut self, at: Instant, node: usize, bytes: &[u8]) {
        for frame in frames(bytes) {
            if frame.kind != FrameKind::Envelopes {
                continue;
            }
            for hash in frame.envelopes() {
                if let Some(spread) = self.envelopes.get_mut(&hash)
                    && let Some(public) = spread.public
                    && spread.reached.insert(node)
                {
                    spread.times.push(at.since(public));
                }
            }
        }
    }
}

impl Observer for GossipMeter {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        match what {
            _ if !self.counting => {}
            Observation::Notified(Event::Outgoing(_, Stage::Sealed { envelope, bytes })) => {
                if let Some(hash) = parse_hash(envelope) {
                    self.envelopes.entry(hash).or_default();
                    self.envelope_bytes += u64::try_from(*bytes).unwrap_or(0);
                }
            }
            Observation::Sent(_, bytes) => self.sent(at, bytes),
            Observation::Received(_, bytes) if !self.envelopes.is_empty() => {
                self.received(at, node, bytes);
            }
            _ => {}
        }
    }
}

impl GossipReport {
    /// The figures of worlds of this many nodes; none if no envelope became public.
    #[must_use]
    pub fn of(worlds: &[GossipFigures], nodes: usize) -> Option<Self> {
        let envelopes: u64 = worlds.iter().map(|world| world.envelopes).sum();
        let own: u64 = worlds.iter().map(|world| world.envelope_bytes).sum();
        let total = |kind: FrameKind| -> f64 {
            let bytes = worlds.iter().filter_map(|world| world.bytes.get(&kind));
            exact(bytes.sum())
        };
        let nodes = exact(u64::try_from(nodes).ok()?);
        let each = exact(envelopes) * nodes;
        if each <= 0.0 {
            return None;
        }
        let parts = [FrameKind::Announcement, FrameKind::Request].map(total);
        let [announcements, requests] = parts;
        let all = announcements + requests + total(FrameKind::Envelopes);
        let mut times: Vec<Duration> = worlds
            .iter()
            .flat_map(|world| world.times.iter().copied())
            .collect();
        times.sort();
        Some(Self {
            envelopes,
            bytes_per_node_and_envelope: all / each,
            times_its_bytes: all / (exact(own) * nodes),
            announcements: announcements / each,
            requests: requests / each,
            stems: total(FrameKind::Stem) / each,
            reached: exact(u64::try_from(times.len()).ok()?) / each,
            spread_p50_ms: percentile(&times, 50)?,
            spread_p95_ms: percentile(&times, 95)?,
        })
    }
}

/// A count as a number with a fraction; counts stay far below 2^53.
pub(super) fn exact(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & 0xffff_ffff).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_per_node_and_envelope() {
        let world = GossipFigures {
            envelopes: 2,
            envelope_bytes: 1_000,
            bytes: BTreeMap::from([
                (FrameKind::Announcement, 400),
                (FrameKind::Request, 200),
                (FrameKind::Envelopes, 6_000),
                (FrameKind::Cell, 99_999),
            ]),
            times: vec![Duration::from_millis(10); 5],
        };
        let report = GossipReport::of(&[world.clone(), world], 5).unwrap();
        assert_eq!(report.envelopes, 4);
        // Two worlds: 13,200 bytes for 4 envelopes at 5 nodes.
        assert!((report.bytes_per_node_and_envelope - 660.0).abs() < 1e-9);
        assert!((report.times_its_bytes - 1.32).abs() < 1e-9);
        assert!((report.announcements - 40.0).abs() < 1e-9);
        assert!((report.reached - 0.5).abs() < 1e-9);
        assert_eq!(GossipReport::of(&[GossipFigures::default()], 5), None);
    }

    #[test]
    fn large_counts_stay_exact() {
        assert!((exact(5_000_000_000) - 5e9).abs() < 1e-6);
    }
}
