//! The timeline of the message, from the events of all nodes.
//!
//! Only a demonstration has this view: it needs the events of every node at once. A message that was
//! sent again has several envelopes; the timeline follows the envelope that the reader decrypted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use circuits::ids::ShortId;
use circuits::level::Level;
use sha2::{Digest, Sha256};

use super::network::Role;
use super::observations::Observations;
use crate::node::{Event, RelayLabel, Stage, Trace};

/// The timeline so far.
pub(super) struct Timeline {
    pub(super) level: Level,
    pub(super) relays: usize,
    pub(super) sent: PayloadDigest,
    pub(super) received: Option<PayloadDigest>,
    pub(super) elapsed: Option<Duration>,
    pub(super) attempts: u32,
    pub(super) lanes: Vec<Vec<usize>>,
    pub(super) shards: Option<(u8, u8)>,
    pub(super) source_first_gossip: bool,
    pub(super) seen_by: usize,
    pub(super) killed: Option<usize>,
    pub(super) failure: Option<String>,
    pub(super) observations: Observations,
    names: Vec<ShortId>,
    known: usize,
    ended: bool,
    /// Hash of the envelope that the reader decrypted.
    opened: Option<String>,
    /// For each envelope: the node that gossiped it first, and the nodes that have it.
    envelopes: BTreeMap<String, EnvelopeHistory>,
}

/// A payload's length and SHA-256, for comparison.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PayloadDigest {
    pub(super) bytes: usize,
    pub(super) sha256: String,
}

impl PayloadDigest {
    pub(super) fn of(payload: &[u8]) -> Self {
        Self {
            bytes: payload.len(),
            sha256: hex::encode(Sha256::digest(payload)),
        }
    }
}

/// The history of one envelope.
#[derive(Default)]
struct EnvelopeHistory {
    first_gossip: Option<Role>,
    pooled: BTreeSet<Role>,
    given: BTreeSet<Role>,
}

/// An event that the report shows.
pub(super) enum TimelineEvent {
    /// The source knows more relays, or fewer.
    Relays,
    /// The source's message reached a stage.
    Stage(Stage),
    /// The first cell has left: from now on a relay can fail while shards are on their way.
    FirstCell,
    /// The rendezvous has this many shards, of this many that it needs.
    Shard(usize, u8),
    /// The rendezvous rebuilt the envelope, and holds it for this many milliseconds.
    Rebuilt(usize, u64),
    /// The envelope was forwarded on the stem.
    Stem(Role),
    /// The envelope was gossiped for the first time.
    FirstGossip(Role),
    /// This many nodes have the envelope.
    Spread(usize),
    /// The reader decrypted the envelope.
    Opened,
    /// The bystander has the envelope, which only the reader can have sent.
    ReaderForwarded,
}

impl Timeline {
    pub(super) fn new(names: &[ShortId], level: Level, body: &[u8]) -> Self {
        Self {
            level,
            relays: names.len(),
            sent: PayloadDigest::of(body),
            received: None,
            elapsed: None,
            attempts: 0,
            lanes: Vec::new(),
            shards: None,
            source_first_gossip: false,
            seen_by: 0,
            killed: None,
            failure: None,
            observations: Observations::new(names.len()),
            names: names.to_vec(),
            known: 0,
            ended: false,
            opened: None,
            envelopes: BTreeMap::new(),
        }
    }

    /// Adds an event of a node; `at` is the time since the command to send.
    pub(super) fn take(
        &mut self,
        from: Role,
        event: &Event,
        at: Duration,
    ) -> Option<TimelineEvent> {
        match (from, event) {
            (Role::Source, Event::Relays(known)) => {
                self.known = *known;
                Some(TimelineEvent::Relays)
            }
            (Role::Source, Event::Outgoing(_, stage)) => self.take_stage(stage),
            (Role::Reader, Event::Message(message)) => {
                let payload = hex::decode(&message.payload).unwrap_or_default();
                self.received = Some(PayloadDigest::of(&payload));
                self.opened = Some(message.id.clone());
                self.elapsed = Some(at);
                Some(TimelineEvent::Opened)
            }
            (role, Event::Trace(trace)) => self.take_trace(role, trace),
            _ => None,
        }
    }

    fn take_stage(&mut self, stage: &Stage) -> Option<TimelineEvent> {
        match stage {
            Stage::Sealing { attempt, .. } => self.attempts = *attempt,
            // A demonstration does not use Tor.
            Stage::Waiting { .. } | Stage::Blocked { .. } => {}
            Stage::Planned { k, n, .. } => self.shards = Some((*k, *n)),
            Stage::Dispatched { cells, .. } => {
                let first = self.observations.cells_sent == 0 && *cells > 0;
                self.observations.cells_sent = *cells;
                if first {
                    return Some(TimelineEvent::FirstCell);
                }
            }
            Stage::Seen {
                peers,
                first_gossip,
            } => {
                self.seen_by = *peers;
                self.source_first_gossip |= first_gossip;
            }
            Stage::SeenShards { first_gossip, .. } => self.source_first_gossip |= first_gossip,
            Stage::HandedOver { .. } | Stage::Delivered => self.ended = true,
            Stage::Failed { reason } => {
                self.ended = true;
                self.failure = Some(reason.clone());
            }
            // Envelopes of a message among cover traffic are sealed one by one.
            Stage::Departing { .. } => self.attempts = self.attempts.max(1),
            Stage::Searching { .. } | Stage::Sealed { .. } | Stage::Retrying { .. } => {}
        }
        Some(TimelineEvent::Stage(stage.clone()))
    }

    fn take_trace(&mut self, from: Role, trace: &Trace) -> Option<TimelineEvent> {
        match trace {
            Trace::Lanes { lanes } => {
                self.take_lanes(lanes);
                None
            }
            Trace::Peeled {
                from: previous,
                next,
            } => {
                let (previous, next) =
                    (previous.and_then(|id| self.number(id)), self.number(*next));
                self.observations.passed_on(from, previous, next);
                None
            }
            Trace::Terminal {
                from: previous, k, ..
            } => {
                let previous = previous.and_then(|id| self.number(id));
                let shards = self.observations.received_shard(from, previous);
                Some(TimelineEvent::Shard(shards, *k))
            }
            Trace::Rebuilt { hold_ms, .. } => match from {
                Role::Relay(relay) => Some(TimelineEvent::Rebuilt(relay, *hold_ms)),
                _ => None,
            },
            Trace::Stem { envelope } => {
                self.history(envelope);
                self.observations.passed_stem(from);
                Some(TimelineEvent::Stem(from))
            }
            Trace::Fluff { envelope } => {
                let history = self.history(envelope);
                history.pooled.insert(from);
                None
            }
            Trace::Pooled { envelope } => {
                let history = self.history(envelope);
                history.pooled.insert(from);
                let pooled = history.pooled.len();
                match from {
                    Role::Bystander => Some(TimelineEvent::ReaderForwarded),
                    _ => Some(TimelineEvent::Spread(pooled)),
                }
            }
            Trace::Gossiped { envelope } => {
                let history = self.history(envelope);
                history.given.insert(from);
                if history.first_gossip.is_some() {
                    return None;
                }
                history.first_gossip = Some(from);
                Some(TimelineEvent::FirstGossip(from))
            }
        }
    }

    fn take_lanes(&mut self, lanes: &[Vec<RelayLabel>]) {
        let numbers = |hops: &Vec<RelayLabel>| -> Vec<usize> {
            hops.iter().filter_map(|hop| self.number(*hop)).collect()
        };
        let lanes: Vec<Vec<usize>> = lanes.iter().map(numbers).collect();
        if self.level.is_mixing() {
            // Every cell has a path of its own, chosen when its turn comes.
            self.lanes.extend(lanes);
        } else {
            self.lanes = lanes;
            self.observations.cells_sent = 0;
        }
    }

    /// Short ids of the relays, by number.
    pub(super) fn names(&self) -> &[ShortId] {
        &self.names
    }

    /// Number of relays that the source can choose from.
    pub(super) const fn relays_known(&self) -> usize {
        self.known
    }

    /// Whether no further event matters.
    pub(super) fn is_over(&self) -> bool {
        let told = self.failure.is_some() || (self.ended && self.received.is_some());
        // The shards of a scattered message have no envelope in common.
        let spread = |history: &EnvelopeHistory| history.pooled.len() >= self.alive();
        told && (self.failure.is_some() || self.opened_history().is_none_or(spread))
    }

    /// Whether the reader received exactly the body that was sent.
    pub(super) fn delivered(&self) -> bool {
        self.received.as_ref() == Some(&self.sent)
    }

    /// Whether the reader forwarded the envelope, as every node does.
    pub(super) fn reader_forwarded(&self) -> bool {
        self.opened_history()
            .is_some_and(|history| history.pooled.contains(&Role::Bystander))
    }

    /// Hash of the envelope that the reader decrypted.
    pub(super) fn envelope(&self) -> Option<&str> {
        self.opened.as_deref()
    }

    /// The first node that gossiped the envelope.
    pub(super) fn first_gossip(&self) -> Option<Role> {
        self.opened_history()?.first_gossip
    }

    /// Number of nodes that have the envelope.
    pub(super) fn spread(&self) -> usize {
        self.opened_history()
            .map_or(0, |history| history.pooled.len())
    }

    /// Number of running nodes: relays, source, reader and bystander.
    pub(super) fn alive(&self) -> usize {
        self.relays + 3 - usize::from(self.killed.is_some())
    }

    /// The rendezvous of the last attempt.
    pub(super) fn rendezvous(&self) -> Option<usize> {
        self.lanes.first()?.last().copied()
    }

    /// A middle relay of one lane that is not on any other lane.
    pub(super) fn middle_to_kill(&self) -> Option<usize> {
        let middles = |lane: &[usize]| -> Vec<usize> {
            lane.get(1..lane.len().saturating_sub(1))
                .unwrap_or_default()
                .to_vec()
        };
        self.lanes.iter().enumerate().find_map(|(at, lane)| {
            let elsewhere = |relay: &usize| {
                let others = self
                    .lanes
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != at);
                others.into_iter().any(|(_, other)| other.contains(relay))
            };
            middles(lane).into_iter().find(|relay| !elsewhere(relay))
        })
    }

    /// Records that a relay was stopped while shards were on their way.
    pub(super) const fn killed(&mut self, relay: usize) {
        self.killed = Some(relay);
    }

    fn number(&self, name: RelayLabel) -> Option<usize> {
        self.names.iter().position(|relay| *relay == name.0)
    }

    fn history(&mut self, envelope: &str) -> &mut EnvelopeHistory {
        self.envelopes.entry(envelope.to_owned()).or_default()
    }

    fn opened_history(&self) -> Option<&EnvelopeHistory> {
        self.envelopes.get(self.opened.as_ref()?)
    }
}
