//! Our own messages, from the user's wish to the network's echo.
//!
//! Every attempt is a new envelope: the one before may be in the hands of a rendezvous that keeps
//! it (spec 6). Nothing is ever asked of the network; a message counts as delivered when its
//! envelope comes back by gossip from at least [`WITNESSES`] peers. A level that cannot be kept is
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

use super::command::SendRequest;
use super::event::{MessageId, Stage};
use super::work::JobId;
use crate::envelope::{Envelope, EnvelopeHash, UnminedEnvelope};

/// All messages of this run that are not forgotten yet.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) messages: BTreeMap<MessageId, Outgoing>,
    last: u64,
}

/// One message.
pub(super) struct Outgoing {
    pub(super) level: Level,
    /// What it is made of, if it can be made again.
    pub(super) request: Option<SendRequest>,
    pub(super) attempt: u32,
    pub(super) stage: Stage,
    pub(super) state: State,
    /// The envelope of this attempt and when to give it up; set once it has left.
    pub(super) watch: Option<Watch>,
}

/// What a message waits for.
pub(super) enum State {
    /// Its nonce.
    Sealing(JobId, UnminedEnvelope),
    /// A ticket for its rendezvous.
    Ticket(JobId, Box<Addressed>),
    /// The next moment at which a cell may leave.
    Emitting(Emission),
    /// A way out of this machine.
    Held,
    /// The echo.
    Watching,
    /// Nothing.
    Ended,
}

/// An envelope with a way to go.
pub(super) struct Addressed {
    pub(super) envelope: Envelope,
    pub(super) epoch: Epoch,
    pub(super) plan: PathPlan,
    pub(super) class: Class,
    pub(super) cookie: Cookie,
}

/// Pieces on their way to the guard, each lane at its own pace.
pub(super) struct Emission {
    pub(super) guard: ShortId,
    /// Whose onion keys all layers use.
    pub(super) epoch: Epoch,
    /// Mean wait at each relay.
    pub(super) delay: Duration,
    /// Wait at the rendezvous, the same for all pieces.
    pub(super) hold: HopDelay,
    /// Mean time between two pieces of one lane.
    pub(super) gap: Duration,
    pub(super) lanes: Vec<LaneQueue>,
    pub(super) sent: usize,
    pub(super) total: usize,
}

/// What is left to send on one lane.
pub(super) struct LaneQueue {
    /// Guard, middles, rendezvous.
    pub(super) hops: Vec<Hop>,
    pub(super) shards: VecDeque<Shard>,
    pub(super) next: Instant,
}

/// An envelope that is out there.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    pub(super) hash: EnvelopeHash,
    /// The first relay of its lanes, if it has any.
    pub(super) guard: Option<ShortId>,
    /// When to try again; `None` while cells are still leaving.
    pub(super) deadline: Option<Instant>,
    /// Peers that brought it, as last reported.
    pub(super) witnesses: usize,
}

impl Outbox {
    pub(super) fn add(&mut self, outgoing: Outgoing) -> MessageId {
        self.last = self.last.saturating_add(1);
        let id = MessageId(self.last);
        self.messages.insert(id, outgoing);
        while self.messages.len() > REMEMBERED {
            let ended = |outgoing: &Outgoing| matches!(outgoing.state, State::Ended);
            let Some(oldest) = self
                .messages
                .iter()
                .find(|(_, outgoing)| ended(outgoing))
                .map(|(id, _)| *id)
            else {
                break;
            };
            self.messages.remove(&oldest);
        }
        id
    }

    /// Messages that have not come to an end.
    pub(super) fn on_their_way(&self) -> usize {
        self.messages
            .values()
            .filter(|outgoing| !matches!(outgoing.state, State::Ended))
            .count()
    }

    /// When the next cell may leave, or a message is given up.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.messages.values().filter_map(Outgoing::next_due).min()
    }
}

impl Outgoing {
    pub(super) fn next_due(&self) -> Option<Instant> {
        match &self.state {
            State::Emitting(emission) => emission
                .lanes
                .iter()
                .filter(|lane| !lane.shards.is_empty())
                .map(|lane| lane.next)
                .min(),
            State::Watching => self.watch.and_then(|watch| watch.deadline),
            State::Sealing(..) | State::Ticket(..) | State::Held | State::Ended => None,
        }
    }
}

impl Emission {
    /// The pieces whose time has come, each with its way.
    pub(super) fn pop_due(
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
    pub(super) const fn relays(&self) -> usize {
        self.hops.len().saturating_sub(1)
    }
}

/// Peers that must bring an envelope back: the guard alone could be lying (anonymity 3.10).
pub(super) const WITNESSES: usize = 2;

/// Envelopes made for one message at the most.
pub(super) const ATTEMPTS: u32 = 3;

/// Messages on their way at once.
pub(super) const MOST_ON_THEIR_WAY: usize = 64;

/// Messages kept for `whisht outbox`, ended ones included.
const REMEMBERED: usize = 256;
