//! Our own messages, from the user's wish to the network's echo.
//!
//! Every attempt is a new envelope: the one before may be in the hands of a rendezvous that keeps
//! it (spec 6). Nothing is ever asked of the network; a message counts as delivered when its
//! envelope comes back by gossip from at least [`MIN_WITNESSES`] peers. A level that cannot be kept is
//! refused before anything leaves, and is never lowered.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use circuits::cell::HopDelay;
use circuits::cell_builder::Hop;
use circuits::dispersal::{Class, Cookie, Shard};
use circuits::distributions::exponential;
use circuits::ids::{Epoch, ShortId};
use circuits::level::Level;
use circuits::path::PathPlan;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;

use crate::envelope::{Envelope, EnvelopeHash, UnminedEnvelope};
use crate::node::command::SendRequest;
use crate::node::event::{MessageId, Stage};
use crate::node::jobs::JobId;

/// All messages of this run that are not forgotten yet.
#[derive(Default)]
pub(in crate::node) struct Outbox {
    pub(in crate::node) messages: BTreeMap<MessageId, QueuedMessage>,
    last: u64,
}

/// One message.
pub(in crate::node) struct QueuedMessage {
    pub(in crate::node) level: Level,
    /// What it is made of, if it can be made again.
    pub(in crate::node) request: Option<SendRequest>,
    pub(in crate::node) attempt: u32,
    pub(in crate::node) stage: Stage,
    pub(in crate::node) state: SendState,
    /// The envelope of this attempt and when to give it up; set once it has left.
    pub(in crate::node) watch: Option<EchoWatch>,
}

/// What a message waits for.
pub(in crate::node) enum SendState {
    /// Its nonce.
    Mining(JobId, UnminedEnvelope),
    /// A ticket for its rendezvous.
    Ticket(JobId, Box<PlannedEnvelope>),
    /// The next moment at which a cell may leave.
    Emitting(CellEmission),
    /// A way out of this machine.
    Queued,
    /// The echo.
    Confirming,
    /// Nothing.
    Ended,
}

/// An envelope with a way to go.
pub(in crate::node) struct PlannedEnvelope {
    pub(in crate::node) envelope: Envelope,
    pub(in crate::node) epoch: Epoch,
    pub(in crate::node) plan: PathPlan,
    pub(in crate::node) class: Class,
    pub(in crate::node) cookie: Cookie,
}

/// Pieces on their way to the guard, each lane at its own pace.
pub(in crate::node) struct CellEmission {
    pub(in crate::node) guard: ShortId,
    /// Whose onion keys all layers use.
    pub(in crate::node) epoch: Epoch,
    /// Mean wait at each relay.
    pub(in crate::node) delay: Duration,
    /// Wait at the rendezvous, the same for all pieces.
    pub(in crate::node) hold: HopDelay,
    /// Mean time between two pieces of one lane.
    pub(in crate::node) gap: Duration,
    pub(in crate::node) lanes: Vec<LaneQueue>,
    pub(in crate::node) sent: usize,
    pub(in crate::node) total: usize,
}

/// What is left to send on one lane.
pub(in crate::node) struct LaneQueue {
    /// Guard, middles, rendezvous.
    pub(in crate::node) hops: Vec<Hop>,
    pub(in crate::node) shards: VecDeque<Shard>,
    pub(in crate::node) next: Instant,
}

/// An envelope that is out there.
#[derive(Clone, Copy)]
pub(in crate::node) struct EchoWatch {
    pub(in crate::node) hash: EnvelopeHash,
    /// The first relay of its lanes, if it has any.
    pub(in crate::node) guard: Option<ShortId>,
    /// When to try again; `None` while cells are still leaving.
    pub(in crate::node) deadline: Option<Instant>,
    /// Peers that brought it, as last reported.
    pub(in crate::node) witnesses: usize,
}

impl Outbox {
    pub(in crate::node) fn add(&mut self, message: QueuedMessage) -> MessageId {
        self.last = self.last.saturating_add(1);
        let id = MessageId(self.last);
        self.messages.insert(id, message);
        while self.messages.len() > MAX_REMEMBERED {
            let ended = |message: &QueuedMessage| matches!(message.state, SendState::Ended);
            let Some(oldest) = self
                .messages
                .iter()
                .find(|(_, message)| ended(message))
                .map(|(id, _)| *id)
            else {
                break;
            };
            self.messages.remove(&oldest);
        }
        id
    }

    /// Messages that have not come to an end.
    pub(in crate::node) fn in_flight(&self) -> usize {
        self.messages
            .values()
            .filter(|message| !matches!(message.state, SendState::Ended))
            .count()
    }

    /// When the next cell may leave, or a message is given up.
    pub(in crate::node) fn next_due(&self) -> Option<Instant> {
        self.messages
            .values()
            .filter_map(QueuedMessage::next_due)
            .min()
    }
}

impl QueuedMessage {
    pub(in crate::node) fn next_due(&self) -> Option<Instant> {
        match &self.state {
            SendState::Emitting(emission) => emission
                .lanes
                .iter()
                .filter(|lane| !lane.shards.is_empty())
                .map(|lane| lane.next)
                .min(),
            SendState::Confirming => self.watch.and_then(|watch| watch.deadline),
            SendState::Mining(..)
            | SendState::Ticket(..)
            | SendState::Queued
            | SendState::Ended => None,
        }
    }
}

impl CellEmission {
    /// The pieces whose time has come, each with its way.
    pub(in crate::node) fn pop_due(
        &mut self,
        rng: &mut ChaCha20Rng,
        now: Instant,
    ) -> Vec<(Vec<Hop>, Shard)> {
        let mut due = Vec::new();
        for lane in &mut self.lanes {
            while lane.next <= now {
                let Some(shard) = lane.shards.pop_front() else {
                    break;
                };
                due.push((lane.hops.clone(), shard));
                lane.next = lane.next.after(exponential(rng, self.gap));
            }
        }
        self.sent = self.sent.saturating_add(due.len());
        due
    }
}

impl LaneQueue {
    /// Relays before the rendezvous.
    pub(in crate::node) const fn relays(&self) -> usize {
        self.hops.len().saturating_sub(1)
    }
}

/// Peers that must bring an envelope back: the guard alone could be lying (anonymity 3.10).
pub(in crate::node) const MIN_WITNESSES: usize = 2;

/// Envelopes made for one message at the most.
pub(in crate::node) const MAX_ATTEMPTS: u32 = 3;

/// Messages on their way at once.
pub(in crate::node) const MAX_IN_FLIGHT: usize = 64;

/// Messages kept for `whisht outbox`, ended ones included.
const MAX_REMEMBERED: usize = 256;
