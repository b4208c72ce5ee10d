//! What nodes that spy learn of senders: who first showed them an envelope, and which messages took a
//! hostile relay both as guard and as rendezvous.
//!
//! The log keeps, for every envelope of the scenario, the order in which nodes saw it and from which
//! peer. Nodes that spy behave as all others do, so one run answers for every choice of spies: the
//! figures are exact means over all choices in which each node spies with a given probability. Truth
//! is used for scoring alone: a spy names the peer that showed it the envelope first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use circuits::ids::ShortId;
use circuits::time::Instant;

use super::frames::{FrameKind, frames};
use super::observer::{Observation, Observer};
use crate::envelope::EnvelopeHash;
use crate::node::{Event, MessageId, RelayLabel, Stage, Trace};

/// Who saw which envelope first, and by which relays it went.
#[derive(Default)]
pub(super) struct SpyLog {
    /// The relays of the messages of the scenario, by sender.
    messages: BTreeMap<(usize, MessageId), RelayPairs>,
    /// Lanes that a node has drawn and that no message has taken yet.
    drawn: BTreeMap<usize, VecDeque<RelayPairs>>,
    envelopes: BTreeMap<EnvelopeHash, FirstSights>,
}

/// Guard and rendezvous of each attempt.
type RelayPairs = BTreeSet<(ShortId, ShortId)>;

/// The nodes that have seen an envelope.
#[derive(Default)]
struct FirstSights {
    origin: usize,
    seen: BTreeSet<usize>,
    /// In the order of their first sight: whether the origin itself showed it to this node.
    from_origin: Vec<bool>,
}

/// The means of one world.
#[derive(Clone, Copy, Debug)]
pub struct SpyFigures {
    /// Probability that a node spies.
    pub hostile: f64,
    /// How often the peer that first showed an envelope to a spy is its sender.
    pub first_spy: f64,
    /// How often a message went through a hostile guard and a hostile rendezvous.
    pub linked: f64,
}

impl SpyLog {
    /// A node has accepted a message of the scenario.
    pub(super) fn sent(&mut self, node: usize, message: MessageId) {
        self.messages.insert((node, message), RelayPairs::new());
    }

    /// The means over all choices in which each node is hostile with the probability `hostile`,
    /// apart from the sender; none before the first envelope.
    pub(super) fn figures(&self, hostile: f64) -> Option<SpyFigures> {
        let first_spy = self.envelopes.values().map(|seen| seen.success(hostile));
        let linked = self
            .messages
            .values()
            .map(|relays| both_hostile(relays, hostile));
        Some(SpyFigures {
            hostile,
            first_spy: mean(first_spy)?,
            linked: mean(linked)?,
        })
    }

    fn notified(&mut self, node: usize, event: &Event) {
        match event {
            Event::Trace(Trace::Lanes { lanes }) => {
                let drawn = self.drawn.entry(node).or_default();
                drawn.push_back(lanes.iter().filter_map(|lane| ends(lane)).collect());
            }
            Event::Outgoing(id, Stage::Planned { .. }) => {
                let drawn = self.drawn.get_mut(&node).and_then(VecDeque::pop_front);
                if let Some(relays) = self.messages.get_mut(&(node, *id)) {
                    relays.extend(drawn.unwrap_or_default());
                }
            }
            Event::Outgoing(id, Stage::Sealed { envelope, .. }) => {
                if self.messages.contains_key(&(node, *id))
                    && let Some(hash) = parse_hash(envelope)
                {
                    let sights = self.envelopes.entry(hash).or_default();
                    sights.origin = node;
                }
            }
            _ => {}
        }
    }

    fn received(&mut self, node: usize, from: usize, bytes: &[u8]) {
        if self.envelopes.is_empty() {
            return;
        }
        for frame in frames(bytes) {
            if !matches!(
                frame.kind,
                FrameKind::Stem | FrameKind::Announcement | FrameKind::Envelopes
            ) {
                continue;
            }
            for hash in frame.envelopes() {
                if let Some(sights) = self.envelopes.get_mut(&hash) {
                    sights.add(node, from);
                }
            }
        }
    }
}

impl Observer for SpyLog {
    fn observe(&mut self, _: Instant, node: usize, what: &Observation<'_>) {
        match what {
            Observation::Notified(event) => self.notified(node, event),
            Observation::Received(from, bytes) => self.received(node, *from, bytes),
            _ => {}
        }
    }
}

impl FirstSights {
    fn add(&mut self, node: usize, from: usize) {
        if node != self.origin && self.seen.insert(node) {
            self.from_origin.push(from == self.origin);
        }
    }

    /// The probability that the first spy was shown the envelope by its sender: the spy with the
    /// number r is the first if those before it do not spy.
    fn success(&self, hostile: f64) -> f64 {
        let mut first = hostile;
        let mut success = 0.0;
        for from_origin in &self.from_origin {
            if *from_origin {
                success += first;
            }
            first *= 1.0 - hostile;
        }
        success
    }
}

/// The guard and the rendezvous of a lane.
fn ends(lane: &[RelayLabel]) -> Option<(ShortId, ShortId)> {
    Some((lane.first()?.0, lane.last()?.0))
}

/// The probability that both relays of at least one pair are hostile.
fn both_hostile(pairs: &RelayPairs, hostile: f64) -> f64 {
    let relays: BTreeSet<ShortId> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let relays: Vec<ShortId> = relays.into_iter().take(MOST_RELAYS).collect();
    let mut probability = 0.0;
    for choice in 0_u32..(1 << relays.len()) {
        let chosen = |relay: &ShortId| {
            let place = relays.iter().position(|one| one == relay);
            place.is_some_and(|place| choice >> place & 1 == 1)
        };
        if pairs
            .iter()
            .any(|(one, other)| chosen(one) && chosen(other))
        {
            let hostile_relays = relays.iter().filter(|relay| chosen(relay)).count();
            let honest = relays.len() - hostile_relays;
            probability += power(hostile, hostile_relays) * power(1.0 - hostile, honest);
        }
    }
    probability
}

fn power(base: f64, exponent: usize) -> f64 {
    (0..exponent).map(|_| base).product()
}

/// The hash that an event states as hexadecimal.
pub(super) fn parse_hash(text: &str) -> Option<EnvelopeHash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(EnvelopeHash(hash))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Relays of one message that are looked at: one guard and an R for each of many attempts.
const MOST_RELAYS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(number: u8) -> ShortId {
        ShortId([number; 16])
    }

    #[test]
    fn first_spy_succeeds_if_the_sender_showed_it_the_envelope() {
        let mut sights = FirstSights::default();
        // Node 1 has it from the sender, node 2 from node 1, node 3 from the sender.
        for (node, from) in [(1, 0), (2, 1), (1, 2), (3, 0), (0, 3)] {
            sights.add(node, from);
        }
        assert_eq!(sights.from_origin, [true, false, true]);
        let f = 0.25;
        let expected = f + (1.0 - f) * (1.0 - f) * f;
        assert!((sights.success(f) - expected).abs() < 1e-12);
        assert!(sights.success(0.0).abs() < 1e-12);
        assert!((sights.success(1.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn attempts_through_one_guard_share_its_hostility() {
        let f: f64 = 0.1;
        let one = RelayPairs::from([(relay(1), relay(2))]);
        assert!((both_hostile(&one, f) - f * f).abs() < 1e-12);
        let two = RelayPairs::from([(relay(1), relay(2)), (relay(1), relay(3))]);
        let expected = f * (1.0 - (1.0 - f).powi(2));
        assert!((both_hostile(&two, f) - expected).abs() < 1e-12);
        let apart = RelayPairs::from([(relay(1), relay(2)), (relay(4), relay(3))]);
        let expected = 1.0 - (1.0 - f * f).powi(2);
        assert!((both_hostile(&apart, f) - expected).abs() < 1e-12);
        assert!(both_hostile(&RelayPairs::new(), f).abs() < 1e-12);
    }
}
