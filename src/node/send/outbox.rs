//! The durable outbox: a message is on the disk before its first step, and until the network has it.
//!
//! A user who is told "accepted" may pull the plug. The next run restores the message and sends it as a
//! new attempt, with the tag of the first, so a reader that has both keeps one. A restored message waits
//! for peers, for its level, and until the keys that it names are unlocked. A message that failed stays
//! until it is renewed or [`OUTBOX_LIFE`] old. While the state of the user is locked, messages are in
//! memory only; they become durable when it is opened.
//!
//! Single attempts of other components are not stored here: their components store what they are made
//! of. Nothing here encrypts or reads a disk.

mod record;

use core::time::Duration;

use circuits::time::{Now, UnixSecs};
use zeroize::Zeroizing;

use self::record::OutboxRecord;
use super::message::{Outgoing, SendState};
use super::mixed::MixedMessage;
use super::{SendContext, Sender};
use crate::contact::codec::BadState;
use crate::envelope_builder::EnvelopeDraft;
use crate::node::command::{Recipient, Refusal};
use crate::node::durability::StateContinuation;
use crate::node::effects::{Counter, Effects};
use crate::node::event::MessageId;
use crate::node::timers::TimerId;
use crate::pow::PowJob;
use crate::state::{StateChange, StateRow, StateTable};

/// What a message does first, once it is durable.
pub(super) enum FirstStep {
    /// Search the proof of work of its envelope.
    Mine(Box<(EnvelopeDraft, PowJob)>),
    /// Leave among cover traffic.
    Mix(Box<MixedMessage>),
    /// Wait until this machine is online, for this reason.
    Queue(String),
}

/// How a message is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Kept {
    /// When it was accepted.
    pub(super) accepted: UnixSecs,
    /// Whether it has a row in the state of the user.
    pub(super) is_stored: bool,
    /// Whether an earlier run accepted it. It then waits as long as it has to.
    pub(super) is_restored: bool,
}

impl Sender {
    /// Makes a new message durable, then takes its first step. While the state of the user is locked,
    /// the step is taken at once.
    pub(super) fn begin(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        step: FirstStep,
        context: SendContext<'_>,
    ) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.kept_mut().accepted = now.unix;
        }
        let Some(change) = self.put(fx, id) else {
            return self.take_first_step(fx, now, id, step, context);
        };
        self.replace_state(fx, id, SendState::Storing(step));
        let changes = vec![change, self.put_last_number()];
        fx.store_state_then(changes, StateContinuation::BeginMessage(id));
    }

    /// Whether a message is not durable yet, and is answered once it is.
    pub(in crate::node) fn is_storing(&self, id: MessageId) -> bool {
        let message = self.messages.get(&id);
        message.is_some_and(|message| matches!(message.state(), SendState::Storing(_)))
    }

    /// A message is durable.
    pub(in crate::node) fn on_message_stored(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) {
        let step = self.messages.get_mut(&id).and_then(Outgoing::take_step);
        if let Some(step) = step {
            self.take_first_step(fx, now, id, step, context);
        }
    }

    fn take_first_step(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        step: FirstStep,
        context: SendContext<'_>,
    ) {
        match step {
            FirstStep::Mine(draft) => self.start_mining(fx, id, draft.0, &draft.1, context),
            FirstStep::Mix(mixed) => self.start_mixed(fx, now, id, *mixed, context),
            FirstStep::Queue(reason) => {
                let watch = None;
                self.enter(fx, id, SendState::Queued { reason, watch });
            }
        }
    }

    /// The row of a message as it is now; `None` if it is not kept in the state of the user. The
    /// message counts as stored from now on.
    fn put(&mut self, fx: &Effects, id: MessageId) -> Option<StateChange> {
        let message = self.messages.get_mut(&id)?;
        if message.is_single_attempt() || !fx.state_is_open() {
            return None;
        }
        let failure = match message.state() {
            SendState::Failed(reason) => Some(reason.as_str()),
            _ => None,
        };
        let value = record::encode(id, message, failure)?;
        let row = message.tag().as_bytes().to_vec();
        message.kept_mut().is_stored = true;
        Some(StateChange::put(StateTable::Outbox, row, value))
    }

    /// The row of the last number. It becomes durable together with the message that has the number: the
    /// row of a delivered message is erased, and its number must not name another one after a restart.
    fn put_last_number(&self) -> StateChange {
        let value = Zeroizing::new(self.last.to_be_bytes().to_vec());
        StateChange::put(StateTable::Outbox, LAST_NUMBER.to_vec(), value)
    }

    /// A message has ended: a delivered one is erased from the disk, a failed one is kept with the
    /// reason.
    pub(super) fn keep_end(&mut self, fx: &mut Effects, id: MessageId) {
        let message = self.messages.get(&id);
        let Some(message) = message.filter(|message| message.kept().is_stored) else {
            return;
        };
        let has_failed = matches!(message.state(), SendState::Failed(_));
        if has_failed && !message.is_cancelled() {
            if let Some(change) = self.put(fx, id) {
                fx.store_state(vec![change]);
            }
            return;
        }
        self.erase(fx, id);
    }

    /// Erases the row of a message; if the state is locked, once it is open.
    pub(super) fn erase(&mut self, fx: &mut Effects, id: MessageId) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        if !fx.state_is_open() {
            return;
        }
        if core::mem::take(&mut message.kept_mut().is_stored) {
            let row = message.tag().as_bytes().to_vec();
            fx.store_state(vec![StateChange::delete(StateTable::Outbox, row)]);
        }
    }

    // -- locking

    /// The state is locked: forgets the messages that have ended. Those on their way go on.
    pub(in crate::node) fn lock(&mut self) {
        self.messages
            .retain(|_, message| !message.state().has_ended());
    }

    /// What becomes of the row of a message of this run when the state is opened.
    fn settle_row(&mut self, fx: &mut Effects, id: MessageId, changes: &mut Vec<StateChange>) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let has_failed = matches!(message.state(), SendState::Failed(_));
        let is_over = message.state().has_ended() && !has_failed || message.is_cancelled();
        if !is_over {
            changes.extend(self.put(fx, id));
            changes.push(self.put_last_number());
        } else if core::mem::take(&mut message.kept_mut().is_stored) {
            let row = message.tag().as_bytes().to_vec();
            changes.push(StateChange::delete(StateTable::Outbox, row));
        }
    }

    // -- restoring

    /// The state of the user is open: takes the messages of earlier runs, and stores those that were
    /// accepted while it was locked.
    pub(in crate::node) fn restore(&mut self, fx: &mut Effects, now: Now, rows: Vec<StateRow>) {
        let mut changes = Vec::new();
        let accepted: Vec<MessageId> = self.messages.keys().copied().collect();
        for row in rows {
            if row.id.as_bytes() == LAST_NUMBER {
                match row.value.as_slice().try_into() {
                    Ok(last) => self.last = self.last.max(u64::from_be_bytes(last)),
                    Err(_) => fx.count(Counter::Malformed),
                }
                continue;
            }
            match OutboxRecord::decode(&row.value) {
                Ok(record) => self.restore_one(fx, now, record, &mut changes),
                Err(BadState::Version { .. }) => {}
                Err(_) => fx.count(Counter::Malformed),
            }
        }
        for id in accepted {
            self.settle_row(fx, id, &mut changes);
        }
        if !changes.is_empty() {
            fx.store_state(changes);
        }
        fx.expedite(TimerId::Resume, now.mono);
    }

    fn restore_one(
        &mut self,
        fx: &mut Effects,
        now: Now,
        record: OutboxRecord,
        changes: &mut Vec<StateChange>,
    ) {
        let OutboxRecord {
            id,
            level,
            custom,
            tag,
            accepted,
            failure,
            request,
        } = record;
        let mut known = self.messages.values();
        if known.any(|message| message.kept().is_stored && message.tag() == tag) {
            // It was on its way when the state was locked.
            return;
        }
        if is_over(now.unix, accepted) {
            let row = tag.as_bytes().to_vec();
            return changes.push(StateChange::delete(StateTable::Outbox, row));
        }
        // A message of this run may have the number already.
        let id = if self.messages.contains_key(&id) {
            self.next_id()
        } else {
            id
        };
        self.last = self.last.max(id.0);
        let mut message = Outgoing::new(level, Some(request), tag);
        message.set_custom(custom);
        *message.kept_mut() = Kept {
            accepted,
            is_stored: true,
            is_restored: true,
        };
        self.messages.insert(id, message);
        let state = match failure {
            Some(reason) => SendState::Failed(reason),
            None => SendState::Queued {
                reason: RESTORED.to_owned(),
                watch: None,
            },
        };
        self.enter_silently(id, state);
        changes.extend(self.put(fx, id));
    }

    /// Whether a restored message can be sent now, or what it waits for.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if its level is not available, or a key that it names is locked or missing.
    pub(super) fn check_restored(
        &self,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) -> Result<(), Refusal> {
        let Some(message) = self.messages.get(&id) else {
            return Ok(());
        };
        context.check_level(now, message.level())?;
        let Some(request) = message.request() else {
            return Ok(());
        };
        if let Some(name) = &request.sign_as {
            context.receive.signing_key(name)?;
        }
        if let Recipient::Shared(name) = &request.to {
            context.receive.shared_key(name)?;
        }
        self.check_limits(now, id, context)
    }

    /// A restored message still waits, for this reason. After [`OUTBOX_LIFE`] it fails.
    pub(super) fn keep_waiting(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        refusal: &Refusal,
    ) {
        let Some(message) = self.messages.get(&id) else {
            return;
        };
        if is_over(now.unix, message.kept().accepted) {
            return self.fail(fx, id, refusal.to_string());
        }
        let SendState::Queued { reason, watch } = message.state() else {
            return;
        };
        if *reason != refusal.to_string() {
            let (reason, watch) = (refusal.to_string(), *watch);
            self.enter(fx, id, SendState::Queued { reason, watch });
        }
    }

    // -- renewing

    /// Sends a message that failed once more, as new attempts.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is no such message, or if it cannot be sent now.
    pub(in crate::node) fn renew(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) -> Result<(), Refusal> {
        let message = self.messages.get(&id);
        let failed = message.is_some_and(Outgoing::can_be_renewed);
        if !failed {
            return Err(Refusal::usage(
                format!(
                    "message {} has not failed, or cannot be composed again",
                    id.0
                ),
                "`whisht outbox` lists the messages and their stages",
            ));
        }
        self.check_room(fx)?;
        if !self.connectivity.is_down() {
            self.check_restored(now, id, context)?;
        }
        if let Some(message) = self.messages.get_mut(&id) {
            message.renew(now.unix);
        }
        if let Some(change) = self.put(fx, id) {
            fx.store_state(vec![change]);
        }
        if !self.queue_if_offline(fx, id) {
            self.start_attempt(fx, now, id, context);
        }
        Ok(())
    }
}

fn is_over(now: UnixSecs, accepted: UnixSecs) -> bool {
    u64::from(now.0.saturating_sub(accepted.0)) > OUTBOX_LIFE.as_secs()
}

/// Time for which a message of an earlier run is kept. Later, its sender has to decide again.
const OUTBOX_LIFE: Duration = Duration::from_secs(72 * 3_600);

/// The id of the row with the last number. The ids of messages are longer.
const LAST_NUMBER: &[u8] = b"last";

/// Why a restored message waits.
const RESTORED: &str = "the node was started again; the message is sent once peers are connected";

#[cfg(test)]
mod tests;
