//! The state machine of one outgoing message. Its stage, which users see, follows from its state.

mod keeping;
mod planned;

use circuits::ids::ShortId;
use circuits::level::Level;
use circuits::path::RelaxedRules;
use circuits::time::Instant;

pub(super) use self::planned::{PlanOutline, PlannedEnvelope};

use super::attempt::{EarlierAttempts, LaneRelays};
use super::emission::CellEmission;
use super::mixed::MixedMessage;
use super::outbox::{FirstStep, Kept};
use super::retry::MAX_ATTEMPTS;
use crate::envelope::{Envelope, EnvelopeHash, UnminedEnvelope};
use crate::message::CopyTag;
use crate::node::command::SendRequest;
use crate::node::event::Stage;
use crate::node::hex;
use crate::node::jobs::JobId;
use crate::node::views::PriceView;

/// One message.
pub(super) struct Outgoing {
    level: Level,
    /// The custom level whose limits hold for it, by name.
    custom: Option<String>,
    /// Whether another component sends it, as one attempt of its own.
    is_single_attempt: bool,
    reported: ReportedAttempt,
    is_cancelled: bool,
    kept: Kept,
    /// What the user was told that it costs.
    price: Option<PriceView>,
    /// What it is composed of; `None` if it cannot be composed again.
    request: Option<SendRequest>,
    /// Marks all its envelopes, so that the reader keeps one.
    tag: CopyTag,
    attempt: u32,
    state: SendState,
    /// Whether this node sent one of its envelopes to a peer before a peer had sent it here.
    first_gossip: bool,
    /// Attempts without an echo, whose echoes may still come.
    earlier: EarlierAttempts,
    /// The relays of the current attempt, once its cells leave.
    relays: Option<LaneRelays>,
}

/// What the component of a single attempt has been told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct ReportedAttempt {
    left: bool,
    ended: bool,
}

/// The state of a message.
pub(super) enum SendState {
    /// Accepted; lasts until the first step within the same call.
    New,
    /// It is being made durable; nothing has been sent.
    Storing(FirstStep),
    /// Its proof of work is being searched.
    Mining(Mining),
    /// The envelope is complete.
    Sealed(Envelope),
    /// Lanes are chosen; the ticket for the rendezvous is being searched.
    Ticket(JobId, Box<PlannedEnvelope>),
    /// Cells leave for the guard.
    Emitting(CellEmission, EchoWatch),
    /// Its envelopes are made, leave among cover traffic, and are awaited.
    Mixed(Box<MixedMessage>),
    /// Everything has left; the echo is awaited.
    Confirming(EchoWatch, Departure),
    /// This machine is offline. The echo of an earlier attempt may still arrive.
    Queued {
        reason: String,
        watch: Option<EchoWatch>,
    },
    /// No echo came in time; lasts until the next attempt starts within the same call.
    Retrying,
    /// Written to so many peers, at a level without an echo.
    HandedOver(usize),
    /// The network has it.
    Delivered,
    /// It was given up.
    Failed(String),
}

/// A search for a nonce.
pub(super) struct Mining {
    pub(super) job: JobId,
    pub(super) unmined: UnminedEnvelope,
    pub(super) bits: u32,
    pub(super) expected_hashes: f64,
    pub(super) expected_seconds: Option<f64>,
    /// Hashes tried so far, once the shell has reported them.
    pub(super) tried: Option<u64>,
}

/// What has left this node.
pub(super) enum Departure {
    /// The envelope itself, by gossip or stem.
    Envelope {
        /// Its size.
        bytes: usize,
    },
    /// The envelope itself, to successors that did not make it public.
    BlockedStem,
    /// Nothing yet: the envelope is in the pool, and there is no peer to give it to. The reason is for
    /// users.
    Pooled(String),
    /// So many cells.
    Cells(usize),
}

/// The echo that a message waits for.
#[derive(Clone, Copy)]
pub(super) struct EchoWatch {
    hash: EnvelopeHash,
    guard: Option<ShortId>,
    /// When to try again; `None` while cells are still leaving.
    deadline: Option<Instant>,
    /// Number of peers that sent it, when that was last reported.
    peers: usize,
    first_gossip: bool,
}

impl EchoWatch {
    /// Awaits the echo of `hash`; `guard` is the first relay of its lanes, if it has lanes.
    pub(super) const fn new(
        hash: EnvelopeHash,
        guard: Option<ShortId>,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            hash,
            guard,
            deadline,
            peers: 0,
            first_gossip: false,
        }
    }

    /// The hash of the envelope.
    pub(super) const fn hash(&self) -> EnvelopeHash {
        self.hash
    }

    /// The first relay of its lanes.
    pub(super) const fn guard(&self) -> Option<ShortId> {
        self.guard
    }

    /// Number of peers that sent it, when that was last reported.
    pub(super) const fn peers(&self) -> usize {
        self.peers
    }

    /// The same watch with another deadline.
    pub(super) const fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same watch after `peers` peers have sent the envelope.
    pub(super) const fn seen_by(mut self, peers: usize, first_gossip: bool) -> Self {
        self.peers = peers;
        self.first_gossip = first_gossip;
        self
    }
}

impl Outgoing {
    /// A message that has just been accepted.
    pub(super) fn new(level: Level, request: Option<SendRequest>, tag: CopyTag) -> Self {
        let is_single_attempt = request
            .as_ref()
            .is_some_and(|request| request.to.is_single_attempt());
        Self {
            level,
            custom: None,
            is_single_attempt,
            reported: ReportedAttempt::default(),
            is_cancelled: false,
            kept: Kept::default(),
            price: None,
            request,
            tag,
            attempt: 1,
            state: SendState::New,
            first_gossip: false,
            earlier: EarlierAttempts::default(),
            relays: None,
        }
    }

    /// Its level.
    pub(super) const fn level(&self) -> Level {
        self.level
    }

    /// Whether another component sends it, and decides about further attempts.
    pub(super) const fn is_single_attempt(&self) -> bool {
        self.is_single_attempt
    }

    /// Whether it is composed again if no echo comes.
    pub(super) const fn may_retry(&self) -> bool {
        !self.is_single_attempt && self.request.is_some() && self.attempt < MAX_ATTEMPTS
    }

    /// What it is composed of; `None` if it cannot be composed again.
    pub(super) const fn request(&self) -> Option<&SendRequest> {
        self.request.as_ref()
    }

    /// The tag of all its envelopes.
    pub(super) const fn tag(&self) -> CopyTag {
        self.tag
    }

    /// Attempts without an echo, whose echoes may still come.
    pub(super) const fn earlier(&self) -> &EarlierAttempts {
        &self.earlier
    }

    /// The same, to change them.
    pub(super) const fn earlier_mut(&mut self) -> &mut EarlierAttempts {
        &mut self.earlier
    }

    /// Records the relays of the current attempt.
    pub(super) fn set_relays(&mut self, relays: LaneRelays) {
        self.relays = Some(relays);
    }

    /// The relays of the current attempt; from now on it has none.
    pub(super) const fn take_relays(&mut self) -> Option<LaneRelays> {
        self.relays.take()
    }

    /// The current attempt, from 1.
    pub(super) const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Starts the next attempt.
    pub(super) const fn count_attempt(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
    }

    /// Its state.
    pub(super) const fn state(&self) -> &SendState {
        &self.state
    }

    /// Its state, to advance it within.
    pub(super) const fn state_mut(&mut self) -> &mut SendState {
        &mut self.state
    }

    /// Enters a state.
    pub(super) fn set_state(&mut self, state: SendState) {
        self.first_gossip |= self.state.first_gossip();
        self.state = state;
    }

    /// Its cells among cover traffic, if it has any.
    pub(super) const fn mixed(&self) -> Option<&MixedMessage> {
        match &self.state {
            SendState::Mixed(mixed) => Some(mixed),
            _ => None,
        }
    }

    /// The same, to change them.
    pub(super) const fn mixed_mut(&mut self) -> Option<&mut MixedMessage> {
        match &mut self.state {
            SendState::Mixed(mixed) => Some(mixed),
            _ => None,
        }
    }

    /// Takes the planned envelope out once its ticket is found; `None` in any other state.
    pub(super) fn take_planned(&mut self) -> Option<PlannedEnvelope> {
        if !matches!(self.state, SendState::Ticket(..)) {
            return None;
        }
        match core::mem::replace(&mut self.state, SendState::New) {
            SendState::Ticket(_, planned) => Some(*planned),
            _ => None,
        }
    }

    /// Records the progress of mining.
    pub(super) const fn set_tried(&mut self, tried: u64) {
        if let SendState::Mining(mining) = &mut self.state {
            mining.tried = Some(tried);
        }
    }

    /// What users see who look at `now`; `None` for a message that has just been accepted.
    pub(super) fn stage_at(&self, now: Instant) -> Option<Stage> {
        match &self.state {
            SendState::Mixed(mixed) => Some(mixed.stage_at(now)),
            _ => self.stage(),
        }
    }

    /// What users see; `None` for a message that has just been accepted.
    pub(super) fn stage(&self) -> Option<Stage> {
        let watch = self.state.watch().filter(|watch| watch.peers > 0);
        if let (Some(watch), false) = (watch, self.state.has_ended()) {
            return Some(Stage::Seen {
                peers: watch.peers,
                first_gossip: watch.first_gossip,
            });
        }
        Some(match &self.state {
            SendState::New | SendState::Storing(_) => return None,
            SendState::Mining(mining) => mining.stage(self.attempt),
            SendState::Sealed(envelope) => sealed(envelope.hash(), envelope.as_rlp().len()),
            SendState::Ticket(_, planned) => planned.outline.stage(),
            SendState::Emitting(emission, _) if emission.sent() == 0 => emission.outline().stage(),
            SendState::Emitting(emission, _) => Stage::Dispatched {
                cells: emission.sent(),
                of: emission.total(),
            },
            SendState::Mixed(mixed) => mixed.stage(),
            SendState::Confirming(watch, Departure::Envelope { bytes }) => {
                sealed(watch.hash, *bytes)
            }
            SendState::Confirming(_, Departure::BlockedStem) => Stage::Blocked {
                reason: STEM_BLOCKED.to_owned(),
            },
            SendState::Confirming(_, Departure::Pooled(reason)) => Stage::Waiting {
                reason: reason.clone(),
            },
            SendState::Confirming(_, Departure::Cells(cells)) => Stage::Dispatched {
                cells: *cells,
                of: *cells,
            },
            SendState::Queued { reason, .. } => Stage::Waiting {
                reason: reason.clone(),
            },
            SendState::Retrying => Stage::Retrying {
                attempt: self.attempt,
            },
            SendState::HandedOver(peers) => Stage::HandedOver { peers: *peers },
            SendState::Delivered => Stage::Delivered,
            SendState::Failed(reason) => Stage::Failed {
                reason: reason.clone(),
            },
        })
    }
}

impl SendState {
    /// The job whose result the message waits for.
    pub(super) const fn job(&self) -> Option<JobId> {
        match self {
            Self::Mining(mining) => Some(mining.job),
            Self::Ticket(job, _) => Some(*job),
            Self::Mixed(mixed) => mixed.job(),
            _ => None,
        }
    }

    /// The echo that is awaited.
    pub(super) const fn watch(&self) -> Option<&EchoWatch> {
        match self {
            Self::Emitting(_, watch) | Self::Confirming(watch, _) => Some(watch),
            Self::Queued { watch, .. } => watch.as_ref(),
            _ => None,
        }
    }

    /// The echo that is awaited, to change it.
    pub(super) const fn watch_mut(&mut self) -> Option<&mut EchoWatch> {
        match self {
            Self::Emitting(_, watch) | Self::Confirming(watch, _) => Some(watch),
            Self::Queued { watch, .. } => watch.as_mut(),
            _ => None,
        }
    }

    /// Whether this node is known to have sent one of its envelopes to a peer before a peer had sent it here.
    const fn first_gossip(&self) -> bool {
        match self {
            Self::Emitting(_, watch) | Self::Confirming(watch, _) => watch.first_gossip,
            Self::Mixed(mixed) => mixed.first_gossip(),
            _ => false,
        }
    }

    /// The envelope that mining completes with this nonce.
    pub(super) fn mined(&self, nonce: u64) -> Option<Envelope> {
        match self {
            Self::Mining(mining) => Some(mining.unmined.with_nonce(nonce)),
            _ => None,
        }
    }

    /// When the next cell leaves, or the confirmation time ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        match self {
            Self::Emitting(emission, _) => emission.next_due(),
            Self::Confirming(watch, _) => watch.deadline,
            Self::Mixed(mixed) => mixed.next_due(),
            _ => None,
        }
    }

    /// Whether everything has left this node.
    pub(super) fn has_left(&self) -> bool {
        match self {
            Self::Confirming(..) | Self::HandedOver(_) | Self::Delivered => true,
            Self::Mixed(mixed) => mixed.has_left(),
            _ => false,
        }
    }

    /// Whether the message is delivered or given up.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(
            self,
            Self::HandedOver(_) | Self::Delivered | Self::Failed(_)
        )
    }
}

impl Mining {
    fn stage(&self, attempt: u32) -> Stage {
        match self.tried {
            Some(tried) => Stage::Searching {
                tried,
                expected_hashes: self.expected_hashes,
            },
            None => Stage::Sealing {
                attempt,
                bits: self.bits,
                expected_hashes: self.expected_hashes,
                expected_seconds: self.expected_seconds,
            },
        }
    }
}

/// Why a message waits at [`Departure::BlockedStem`].
const STEM_BLOCKED: &str = "no peer that it was passed to made it public; it waits for other peers \
                            instead of leaving from here, which would reveal you; connect to more \
                            whisht nodes";

fn sealed(hash: EnvelopeHash, bytes: usize) -> Stage {
    Stage::Sealed {
        envelope: hex(&hash.0),
        bytes,
    }
}

/// The rules that a message goes without, in the user's words.
pub(super) fn relaxed_words(relaxed: RelaxedRules) -> Option<String> {
    let mut rules = Vec::new();
    if relaxed.disjointness {
        rules.push("lanes share middle relays");
    }
    if relaxed.peers {
        rules.push("the rendezvous is one of our peers");
    }
    if relaxed.tor {
        rules.push("links without Tor");
    }
    if relaxed.cover {
        rules.push("reduced cover, whose senders are a smaller set");
    }
    (!rules.is_empty()).then(|| rules.join("; "))
}
