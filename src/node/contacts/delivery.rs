//! Delivery: attempts of messages of conversations, until one is answered or all have failed.
//!
//! The key of an attempt is used up before its envelopes are made: the conversation and the message are
//! durable first, and then the sender gets the request. An attempt that failed is followed by another one;
//! one that is in the network is not repeated by itself. The user can ask for more attempts.

use core::time::Duration;
use std::sync::Arc;

use circuits::distributions;
use circuits::level::Level;
use circuits::time::{Now, UnixSecs};
use zeroize::Zeroizing;

use super::event::{ContactEvent, ContactStage};
use super::letters::RESEND_SECS;
use super::pending::{PendingId, PendingProgress};
use super::publication::CardName;
use super::{ContactContext, ContactContinuation, Contacts, SentMessage};
use crate::contact::conversation::{Attempt, AttemptRefusal, ConversationId};
use crate::contact::first_contact::{FirstTicket, FirstTicketSearch};
use crate::contact::job::ContactJob;
use crate::node::action::Action;
use crate::node::command::{ReaderKind, Recipient, Refusal, SealedRecipient, SendRequest};
use crate::node::durability::StateContinuation;
use crate::node::effects::Effects;
use crate::node::event::MessageId;
use crate::node::hex;
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::node::send::AttemptEnd;
use crate::state::StateChange;

/// What a single attempt belongs to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::node) enum AttemptOwner {
    /// An envelope with an own card.
    Card(CardName),
    /// A message of a conversation.
    Message(ConversationId, u64),
    /// A request to renew a conversation; its end does not matter.
    Renewal(ConversationId),
}

impl Contacts {
    /// Takes the next step of messages whose time has come.
    pub(super) fn advance_due(&mut self, fx: &mut Effects, now: Now, context: ContactContext<'_>) {
        for id in self.pending.due(now.unix).into_iter().take(MAX_STEPS) {
            self.advance(fx, now, id, context);
        }
    }

    /// Takes the next step of a message.
    pub(super) fn advance(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: PendingId,
        context: ContactContext<'_>,
    ) {
        let Some(message) = self.pending.get(id) else {
            return;
        };
        let is_over = message.until <= now.unix;
        let level = message.level;
        match message.progress {
            PendingProgress::Running(_) | PendingProgress::Storing => {}
            _ if is_over => self.expire(fx, now, id),
            PendingProgress::InNetwork(at) if at <= now.unix && self.letters.is_reader(id.0) => {
                let _not_stored = self.pending.update(id, |message| {
                    message.attempts = 0;
                    message.progress = PendingProgress::Next(now.unix);
                });
            }
            PendingProgress::InNetwork(at) if at <= now.unix => {
                let stage = ContactStage::Unanswered { reason: None };
                self.rest(fx, id, PendingProgress::User, stage);
            }
            PendingProgress::Next(at) if at <= now.unix => {
                if self.needs_ticket(fx, now, id.0) {
                    self.put_off(id, now.unix.after(TICKET_CHECK_SECS));
                } else if context.check_ready(fx, now, level).is_err() || fx.state_is_congested() {
                    self.put_off(id, now.unix.after(READY_CHECK_SECS));
                } else {
                    self.begin_attempt(fx, now, id);
                }
            }
            _ => {}
        }
    }

    /// Waits until a time, without a change that has to survive a crash.
    fn put_off(&mut self, id: PendingId, until: UnixSecs) {
        let _not_stored = self.pending.update(id, |message| {
            message.progress = PendingProgress::Next(until)
        });
    }

    /// Uses up a key for an attempt, and makes that durable.
    fn begin_attempt(&mut self, fx: &mut Effects, now: Now, id: PendingId) {
        if self.letters.has(id.0) {
            return match self.letter_attempt(fx, now, id) {
                Some(attempt) => self.store_attempt(fx, id, attempt, Vec::new()),
                None => self.put_off(id, now.unix.after(TICKET_CHECK_SECS)),
            };
        }
        let Some(mut composed) = self.pending.take_composed(id) else {
            return;
        };
        let rng = fx.key_rng();
        let update = self.conversations.update(id.0, now.unix, |record| {
            record.conversation.attempt(rng, now.unix, &mut composed)
        });
        self.pending.put_composed(id, composed);
        let Some(update) = update else {
            return;
        };
        match update.result {
            Ok(attempt) => self.store_attempt(fx, id, attempt, vec![update.change]),
            Err(AttemptRefusal::WaitUntil(at)) => self.put_off(id, at),
            Err(AttemptRefusal::NotOpen) => {
                let (change, _) = self.pending.remove(id);
                fx.store_state(vec![change]);
            }
            Err(AttemptRefusal::NoTicket) => {
                self.put_off(id, now.unix.after(TICKET_CHECK_SECS));
            }
            Err(
                refusal @ (AttemptRefusal::Stale
                | AttemptRefusal::Erased
                | AttemptRefusal::Ratchet(_)),
            ) => {
                let reason = Some(refusal.to_string());
                let stage = ContactStage::Unanswered { reason };
                self.rest(fx, id, PendingProgress::User, stage);
            }
        }
    }

    /// Makes an attempt durable, which then begins.
    fn store_attempt(
        &mut self,
        fx: &mut Effects,
        id: PendingId,
        attempt: Attempt,
        mut changes: Vec<StateChange>,
    ) {
        let mut request = None;
        changes.extend(self.pending.update(id, |message| {
            message.attempts = message.attempts.saturating_add(1);
            message.progress = PendingProgress::Storing;
            request = Some(request_of(attempt, message.level, message.life));
        }));
        if let Some(request) = request {
            let owner = AttemptOwner::Message(id.0, id.1);
            let then = StateContinuation::Contact(ContactContinuation::BeginAttempt(
                owner,
                Box::new(request),
            ));
            fx.store_state_then(changes, then);
        }
    }

    /// The sender took an attempt, or refused it.
    pub(in crate::node) fn on_attempt_begun(
        &mut self,
        fx: &mut Effects,
        now: Now,
        owner: AttemptOwner,
        begun: Result<MessageId, Refusal>,
    ) {
        let id = match owner {
            AttemptOwner::Message(conversation, number) => (conversation, number),
            AttemptOwner::Card(name) => return self.on_card_begun(fx, now, name, begun),
            AttemptOwner::Renewal(_) => return,
        };
        if !fx.state_is_open() {
            let attempt = begun.as_ref().ok().copied();
            let begun = begun.map_err(|refusal| refusal.to_string());
            if !self.pending.on_underway_begun(id, begun)
                && let Some(attempt) = attempt
            {
                fx.request(Action::CancelAttempt(attempt));
            }
            return;
        }
        match begun {
            Ok(attempt) => {
                let mut stage = None;
                // The row says that an attempt follows, as it has to after a crash.
                let _stored_before = self.pending.update(id, |message| {
                    message.progress = PendingProgress::Running(attempt);
                    let attempt = message.attempts;
                    stage = Some(ContactStage::Sealing { attempt });
                });
                match stage {
                    Some(stage) => self.enter_stage(fx, id, stage),
                    // The message was stopped while its key became durable.
                    None => fx.request(Action::CancelAttempt(attempt)),
                }
            }
            Err(refusal) => self.on_attempt_failed(fx, now, id, refusal.to_string()),
        }
    }

    /// All envelopes of an attempt have left.
    pub(in crate::node) fn on_attempt_left(&mut self, fx: &mut Effects, attempt: MessageId) {
        if self.own.is_running(attempt) {
            return self.on_card_left(fx, attempt);
        }
        if let Some(id) = self.pending.of_attempt(attempt)
            && let Some(message) = self.pending.get(id)
        {
            let attempt = message.attempts;
            self.enter_stage(fx, id, ContactStage::Dispatched { attempt });
        }
    }

    /// An attempt has ended.
    pub(in crate::node) fn on_attempt_ended(
        &mut self,
        fx: &mut Effects,
        now: Now,
        attempt: MessageId,
        end: AttemptEnd,
    ) {
        if self.own.is_running(attempt) {
            return self.on_card_ended(fx, now, attempt, &end);
        }
        if !fx.state_is_open() {
            return self.pending.on_underway_ended(attempt, end);
        }
        let Some(id) = self.pending.of_attempt(attempt) else {
            return;
        };
        self.settle_attempt(fx, now, id, end);
    }

    /// What follows from the end of an attempt.
    pub(super) fn settle_attempt(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: PendingId,
        end: AttemptEnd,
    ) {
        let Some(message) = self.pending.get(id) else {
            return;
        };
        match end {
            AttemptEnd::Seen { first_gossip } => {
                let life = u32::try_from(message.life.as_secs()).unwrap_or(u32::MAX);
                let is_answer = self.letters.is_reader(id.0);
                let until = now.unix.after(if is_answer { RESEND_SECS } else { life });
                let attempt = message.attempts;
                let stage = ContactStage::Seen {
                    attempt,
                    first_gossip,
                };
                self.rest(fx, id, PendingProgress::InNetwork(until), stage);
            }
            AttemptEnd::Failed(reason) => self.on_attempt_failed(fx, now, id, reason),
        }
    }

    fn on_attempt_failed(&mut self, fx: &mut Effects, now: Now, id: PendingId, reason: String) {
        let attempts = self.pending.get(id).map_or(0, |message| message.attempts);
        if attempts >= MAX_ATTEMPTS {
            let reason = Some(reason);
            let stage = ContactStage::Unanswered { reason };
            return self.rest(fx, id, PendingProgress::User, stage);
        }
        let pause = distributions::below(fx.rng(), MAX_PAUSE_SECS);
        self.put_off(id, now.unix.after(pause));
        self.schedule(fx, now.mono);
    }

    /// Ends a message whose time is over.
    fn expire(&mut self, fx: &mut Effects, now: Now, id: PendingId) {
        self.stop(fx, now, id, ContactStage::Expired);
    }

    /// Stops sending a message, for this reason. The other side learns from the next message that this one
    /// does not come.
    pub(super) fn stop(&mut self, fx: &mut Effects, now: Now, id: PendingId, stage: ContactStage) {
        let update = self.conversations.update(id.0, now.unix, |record| {
            record.conversation.give_up(id.1);
        });
        let mut changes: Vec<_> = update.map(|update| update.change).into_iter().collect();
        let (change, running) = self.pending.remove(id);
        if let Some(running) = running {
            fx.request(Action::CancelAttempt(running));
        }
        changes.push(change);
        changes.extend(self.history.set_stage(id.0, id.1, stage.clone()));
        let events = self.stage_event(id, stage).into_iter().collect();
        Self::store_and_notify(fx, changes, events);
    }

    /// Leaves a message in a state that lasts.
    fn rest(
        &mut self,
        fx: &mut Effects,
        id: PendingId,
        progress: PendingProgress,
        stage: ContactStage,
    ) {
        let mut changes: Vec<_> = self
            .pending
            .update(id, |message| message.progress = progress)
            .into_iter()
            .collect();
        changes.extend(self.history.set_stage(id.0, id.1, stage.clone()));
        let events = self.stage_event(id, stage).into_iter().collect();
        Self::store_and_notify(fx, changes, events);
    }

    fn enter_stage(&mut self, fx: &mut Effects, id: PendingId, stage: ContactStage) {
        let changed = self.history.set_stage(id.0, id.1, stage.clone());
        if let Some(change) = changed {
            let events = self.stage_event(id, stage).into_iter().collect();
            Self::store_and_notify(fx, vec![change], events);
        }
    }

    /// The event of a stage, unless the conversation is muted.
    pub(super) fn stage_event(&self, id: PendingId, stage: ContactStage) -> Option<ContactEvent> {
        let is_known = self.conversations.get(id.0).is_some() || self.letters.has(id.0);
        (is_known && !self.is_muted(id.0)).then(|| {
            let message = SentMessage {
                conversation: hex(&id.0.0),
                number: id.1,
            };
            ContactEvent::Outgoing(message, stage)
        })
    }

    /// Whether the user wants no events of a conversation.
    pub(super) fn is_muted(&self, id: ConversationId) -> bool {
        match self.conversations.get(id) {
            Some(record) => record.facts.marks.is_muted,
            None => self
                .letters
                .get(id)
                .is_some_and(|record| record.marks().is_muted),
        }
    }

    // -- tickets

    /// Whether a conversation has no ticket yet; then a search runs.
    fn needs_ticket(&mut self, fx: &mut Effects, now: Now, id: ConversationId) -> bool {
        if self.letters.has(id) {
            return self.letter_needs_ticket(fx, now, id);
        }
        let Some(record) = self.conversations.get(id) else {
            return false;
        };
        if !record.conversation.needs_ticket() {
            return false;
        }
        let tau = *record.conversation.tau();
        let bits = record.facts.ticket_bits;
        if !self.first.is_searching(id) {
            let search = FirstTicketSearch::new(fx.key_rng(), &tau, bits);
            let job = Job::Contact(Box::new(ContactJob::Ticket(search)));
            let job = fx.start_job(JobOwner::Contact, job);
            self.first.note_search(job, id);
        }
        true
    }

    /// A search has ended; without a ticket if it was lost.
    pub(super) fn on_ticket(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        ticket: Option<FirstTicket>,
        context: ContactContext<'_>,
    ) {
        let Some(id) = self.first.end_search(job) else {
            return;
        };
        let Some(ticket) = ticket else {
            return;
        };
        let update = self.conversations.update(id, now.unix, |record| {
            record.conversation.set_ticket(ticket);
        });
        let change = match update {
            Some(update) => Some(update.change),
            None => self.letters.update(id, |record| record.set_ticket(ticket)),
        };
        if let Some(change) = change {
            fx.store_state(vec![change]);
        }
        for id in self.pending.of(id) {
            if let Some(message) = self.pending.get(id)
                && matches!(message.progress, PendingProgress::Next(_))
            {
                self.put_off(id, now.unix);
                self.advance(fx, now, id, context);
            }
        }
    }
}

impl ContactContext<'_> {
    /// Whether an attempt can begin now, so that no key is used up in vain.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the obstacle.
    pub(super) fn check_ready(self, fx: &Effects, now: Now, level: Level) -> Result<(), Refusal> {
        self.others.check_level(now, level)?;
        self.send.check_ready(fx)
    }
}

/// The request of an attempt.
pub(super) fn request_of(attempt: Attempt, level: Level, life: Duration) -> SendRequest {
    SendRequest {
        to: Recipient::Sealed(SealedRecipient {
            sealer: Arc::new(attempt.sealer),
            resync: attempt.resync,
        }),
        sign_as: None,
        payload: Zeroizing::new(attempt.body),
        level: Some(level),
        life,
        reader: ReaderKind::Whisht,
    }
}

/// Maximum number of attempts of a message before the user has to ask for more.
const MAX_ATTEMPTS: u32 = 3;
/// Pause after a failed attempt, at most, in seconds.
const MAX_PAUSE_SECS: u32 = 60;
/// Time after which a message that cannot be sent now is looked at again, in seconds.
const READY_CHECK_SECS: u32 = 15;
/// Time after which a message without a ticket is looked at again, in seconds: its search was lost.
const TICKET_CHECK_SECS: u32 = 60;
/// Maximum number of messages whose next step one turn takes.
const MAX_STEPS: usize = 16;
