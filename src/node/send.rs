//! Sending: one state machine per outgoing message, from the request to the network's echo.
//!
//! A message is composed and mined; at private levels lanes are chosen, a ticket is searched, and
//! the envelope's shards leave one by one (`emission`); then the message is confirmed by its echo
//! (`confirm`), sent again as a new envelope (`retry`), or kept while this machine is offline
//! (`offline`). `message` holds the states; the stage that users see is derived from the state. A
//! level that cannot be satisfied is refused before anything leaves, and is never lowered (`level`).
//!
//! Every attempt is a new envelope: the rendezvous of the previous one may be keeping it (spec 6).

mod attempt;
mod compose;
mod confirm;
mod content;
mod dummies;
mod emission;
mod estimate;
#[cfg(test)]
mod fixture;
mod lanes;
mod level;
mod levels_view;
mod listing;
mod message;
mod mixed;
mod offline;
mod outbox;
mod retry;
mod stem;

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::arithmetic::Arithmetic;
use circuits::ids::Profile;
use circuits::level::{Insertion, Level};
use circuits::time::{Instant, Now};

pub(super) use self::attempt::{AttemptEnd, LaneRelays};
pub(super) use self::level::SendContext;

use self::attempt::EarlierAttempt;
use self::compose::compose;
use self::dummies::DummyMaker;
use self::emission::CellPace;
use self::message::{Departure, EchoWatch, Mining, Outgoing, SendState};
use self::mixed::{ShardWindow, check_envelope};
use self::outbox::FirstStep;
use super::action::{Action, StemSource};
use super::command::{Refusal, SendRequest};
use super::config::NodeConfig;
use super::effects::Effects;
use super::event::{Event, MessageId, Stage};
use super::input::Connectivity;
use super::jobs::{Job, JobOwner};
use super::timers::TimerId;
use crate::envelope::{Envelope, EnvelopeHash};
use crate::envelope_builder::EnvelopeDraft;
use crate::message::CopyTag;
use crate::pow::{OutOfTime, PowJob};

/// All messages of this run that are not forgotten yet.
pub(super) struct Sender {
    arithmetic: Arithmetic,
    default_level: Level,
    profile: Profile,
    messages: BTreeMap<MessageId, Outgoing>,
    last: u64,
    /// The message of each envelope whose echo is awaited, those of earlier attempts included.
    by_hash: BTreeMap<EnvelopeHash, MessageId>,
    pace: CellPace,
    /// The limit of scattered shards of all messages.
    window: ShardWindow,
    dummies: DummyMaker,
    connectivity: Connectivity,
    connectivity_changed: Instant,
}

impl Sender {
    /// No messages yet.
    pub(super) fn new(config: &NodeConfig, arithmetic: Arithmetic, now: Instant) -> Self {
        Self {
            arithmetic,
            default_level: config.level,
            profile: config.profile,
            messages: BTreeMap::new(),
            last: 0,
            by_hash: BTreeMap::new(),
            pace: CellPace::default(),
            window: ShardWindow::default(),
            dummies: DummyMaker::default(),
            connectivity: Connectivity::default(),
            connectivity_changed: now,
        }
    }

    /// Accepts a message.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause; nothing is sent.
    pub(super) fn send(
        &mut self,
        fx: &mut Effects,
        now: Now,
        request: SendRequest,
        context: SendContext<'_>,
    ) -> Result<MessageId, Refusal> {
        let level = request.level.unwrap_or(self.default_level);
        if let Connectivity::Down(reason) = &self.connectivity {
            let reason = reason.clone();
            return self.queue_new(fx, now, (level, request), reason, context);
        }
        context.check_level(now, level)?;
        self.check_room(fx)?;
        let tag = CopyTag::draw(fx.key_rng());
        let step = if level.is_mixing() {
            Self::compose_mixed(fx, now, &request, level, tag, context)?
        } else {
            let drafted = compose(fx.key_rng(), now, &request, level, tag, context)?;
            FirstStep::Mine(Box::new(drafted))
        };
        let id = self.add(fx, level, Some(request), tag);
        self.set_price(now, id, context);
        self.begin(fx, now, id, step, context);
        Ok(id)
    }

    /// Accepts an envelope that is already mined, for a `shh_*` client. It is sent once: the client
    /// knows it by its hash, and another attempt would have another hash.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause; nothing is sent.
    pub(super) fn send_envelope(
        &mut self,
        fx: &mut Effects,
        now: Now,
        level: Level,
        envelope: Envelope,
        context: SendContext<'_>,
    ) -> Result<MessageId, Refusal> {
        context.check_level(now, level)?;
        check_envelope(level, envelope.as_rlp().len())?;
        self.check_room(fx)?;
        let tag = CopyTag::draw(fx.key_rng());
        let id = self.add(fx, level, None, tag);
        self.insert(fx, now, id, envelope, context);
        Ok(id)
    }

    /// Checks that a message could leave now, whatever its level.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if this machine is offline, or too much is in flight.
    pub(super) fn check_ready(&self, fx: &Effects) -> Result<(), Refusal> {
        if let Connectivity::Down(reason) = &self.connectivity {
            return Err(Refusal::policy(reason.clone(), "go online"));
        }
        self.check_room(fx)
    }

    fn check_room(&self, fx: &Effects) -> Result<(), Refusal> {
        if fx.state_is_congested() {
            return Err(Refusal::policy(
                "the disk is slow: messages that were accepted before wait to be stored",
                "try again in a moment",
            ));
        }
        if self.in_flight() < MAX_IN_FLIGHT {
            return Ok(());
        }
        Err(Refusal::policy(
            format!("{MAX_IN_FLIGHT} messages are already in flight"),
            "wait for one to arrive, or cancel one (`whisht outbox` lists them)",
        ))
    }

    /// Adds a message; forgets the oldest one that has ended if there are too many.
    fn add(
        &mut self,
        fx: &mut Effects,
        level: Level,
        request: Option<SendRequest>,
        tag: CopyTag,
    ) -> MessageId {
        let id = self.next_id();
        self.messages.insert(id, Outgoing::new(level, request, tag));
        if self.messages.len() > MAX_REMEMBERED {
            let mut messages = self.messages.iter();
            let oldest = messages.find(|(_, message)| message.state().has_ended());
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.erase(fx, oldest);
                self.messages.remove(&oldest);
            }
        }
        id
    }

    const fn next_id(&mut self) -> MessageId {
        self.last = self.last.saturating_add(1);
        MessageId(self.last)
    }

    /// Moves a message to another state, and reports its stage if that has changed.
    fn enter(&mut self, fx: &mut Effects, id: MessageId, state: SendState) {
        let before = self.messages.get(&id).and_then(Outgoing::stage);
        self.replace_state(fx, id, state);
        self.settle(fx, id, before.as_ref());
    }

    /// Cancels the job of the old state, and keeps the index of awaited echoes. An envelope that is not
    /// watched any more becomes an earlier attempt. A message that has ended watches nothing: it
    /// never ends twice, or otherwise.
    fn replace_state(&mut self, fx: &mut Effects, id: MessageId, state: SendState) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        if let Some(job) = message.state().job() {
            fx.cancel_job(job);
        }
        let before = message.state().watch().copied();
        let mixed = message.mixed().map(|mixed| {
            let hashes: Vec<_> = mixed.hashes().collect();
            (hashes, mixed.shards_underway())
        });
        message.set_state(state);
        let watch = message.state().watch();
        let left = before.filter(|before| watch.map(EchoWatch::hash) != Some(before.hash()));
        if let Some(watch) = watch {
            self.by_hash.insert(watch.hash(), id);
        }
        let ended = message.state().has_ended();
        let by_stem = message.level().rules().insertion == Insertion::Stem;
        let earlier = message.earlier_mut();
        let mut forgotten = Vec::new();
        if let Some(left) = left {
            forgotten.extend(earlier.push(EarlierAttempt {
                hash: left.hash(),
                guard: left.guard(),
            }));
        }
        if ended {
            forgotten.extend(earlier.take());
        }
        if let Some((hashes, shards)) = mixed {
            for hash in hashes {
                self.by_hash.remove(&hash);
            }
            self.window.give_up(shards);
            fx.request(Action::WithdrawCells(id));
        }
        for attempt in forgotten {
            self.by_hash.remove(&attempt.hash);
            if ended && by_stem {
                fx.request(Action::WithdrawStem(attempt.hash));
            }
        }
    }

    /// Sets the timer of a message after a change of its state, and reports its stage if that is
    /// not `before` any more.
    fn settle(&mut self, fx: &mut Effects, id: MessageId, before: Option<&Stage>) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        fx.arm(TimerId::Message(id), message.state().next_due());
        if message.is_single_attempt() {
            let (left, end) = message.unreported();
            if left {
                fx.request(Action::AttemptLeft(id));
            }
            let stage = message.stage().filter(|stage| before != Some(stage));
            match end {
                Some(end) => fx.request(Action::AttemptEnded(id, end)),
                None => {
                    if let Some(stage) = stage {
                        fx.request(Action::AttemptProgress(id, stage));
                    }
                }
            }
            return;
        }
        let Some(stage) = message.stage().filter(|stage| before != Some(stage)) else {
            return;
        };
        fx.notify(Event::Outgoing(id, stage));
        if message.state().has_ended() {
            self.keep_end(fx, id);
        }
    }

    /// Enters a state that was reported before.
    fn enter_silently(&mut self, id: MessageId, state: SendState) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.set_state(state);
        }
    }

    fn fail(&mut self, fx: &mut Effects, id: MessageId, reason: impl Into<String>) {
        self.enter(fx, id, SendState::Failed(reason.into()));
    }

    // -- mining

    fn start_mining(
        &mut self,
        fx: &mut Effects,
        id: MessageId,
        draft: EnvelopeDraft,
        job: &PowJob,
        context: SendContext<'_>,
    ) {
        let search = Job::ProofOfWork(Box::new(job.search(fx.rng())));
        let mining = Mining {
            job: fx.start_job(JobOwner::Message(id), search),
            unmined: draft.unmined,
            bits: job.bits(),
            expected_hashes: job.expected_hashes(),
            expected_seconds: context.gossip.expected_seconds(job),
            tried: None,
        };
        self.enter(fx, id, SendState::Mining(mining));
    }

    /// The search for a nonce has tried so many hashes.
    pub(super) fn on_progress(&mut self, fx: &mut Effects, id: MessageId, tried: u64) {
        if let Some(message) = self.messages.get_mut(&id) {
            let before = message.stage();
            message.set_tried(tried);
            self.settle(fx, id, before.as_ref());
        }
    }

    /// The search for a nonce has ended.
    pub(super) fn on_nonce(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        nonce: Result<u64, OutOfTime>,
        context: SendContext<'_>,
    ) {
        // The search of a message has no time limit.
        let Ok(nonce) = nonce else {
            return fx.bug("the proof of work of a message ran out of time");
        };
        let message = self.messages.get(&id);
        if message.is_some_and(|message| message.mixed().is_some()) {
            return self.on_mixed_nonce(fx, now, id, nonce, context);
        }
        let Some(envelope) = message.and_then(|message| message.state().mined(nonce)) else {
            return;
        };
        self.insert(fx, now, id, envelope, context);
    }

    // -- insertion

    /// Sends a mined envelope by the way of its level.
    fn insert(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        envelope: Envelope,
        context: SendContext<'_>,
    ) {
        self.enter(fx, id, SendState::Sealed(envelope.clone()));
        let Some(level) = self.messages.get(&id).map(Outgoing::level) else {
            return;
        };
        match level.rules().insertion {
            Insertion::Gossip => match context.gossip.validate(now, &envelope) {
                Ok(_) => {
                    let deadline = now.mono.after(GOSSIP_TIMEOUT);
                    match context.check_gossip_peer(level) {
                        Ok(()) => self.await_echo(fx, id, &envelope, deadline),
                        Err(refusal) => {
                            let watch = EchoWatch::new(envelope.hash(), None, Some(deadline));
                            let departure = Departure::Pooled(refusal.to_string());
                            self.enter(fx, id, SendState::Confirming(watch, departure));
                        }
                    }
                    fx.request(Action::Diffuse(envelope));
                }
                Err(rejected) => self.fail(fx, id, format!("after its proof of work: {rejected}")),
            },
            _ if level.is_mixing() => self.insert_mixed(fx, now, id, envelope, context),
            _ if self.queue_if_offline(fx, id) => {}
            Insertion::Stem => {
                self.await_echo(fx, id, &envelope, now.mono.after(STEM_TIMEOUT));
                fx.request(Action::InsertByStem(envelope, StemSource::Message(id)));
            }
            Insertion::HeldStem => fx.request(Action::PlanLanes(id, level)),
        }
    }

    fn await_echo(
        &mut self,
        fx: &mut Effects,
        id: MessageId,
        envelope: &Envelope,
        deadline: Instant,
    ) {
        let watch = EchoWatch::new(envelope.hash(), None, Some(deadline));
        let departure = Departure::Envelope {
            bytes: envelope.as_rlp().len(),
        };
        self.enter(fx, id, SendState::Confirming(watch, departure));
    }
}

/// Time that an envelope at level `open` has to reach a peer.
const GOSSIP_TIMEOUT: Duration = Duration::from_secs(60);

/// Time that a stem has: several embargoes of a minute each.
const STEM_TIMEOUT: Duration = Duration::from_secs(300);

/// Maximum number of messages in flight.
const MAX_IN_FLIGHT: usize = 64;

/// Maximum number of messages in the outbox, including those that have ended.
const MAX_REMEMBERED: usize = 256;

#[cfg(test)]
mod tests;
