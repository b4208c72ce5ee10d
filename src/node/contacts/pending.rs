//! Messages of conversations that this node still sends, and when each is tried next.
//!
//! One attempt is one use of a key of the conversation: new envelopes with the same content. A failed
//! attempt is followed by another one, three in all; then the user decides. Only a message of the other
//! side tells that one arrived. This module keeps the records; `delivery` carries them out.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::level::Level;
use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::conversation::{ComposedMessage, ConversationId};
use crate::node::event::MessageId;
use crate::node::send::AttemptEnd;
use crate::node::views::PriceView;
use crate::state::{StateChange, StateRow, StateTable};

/// Names a message that this node sends: its conversation, and its number there.
pub(super) type PendingId = (ConversationId, u64);

/// A message that this node sends.
pub(super) struct PendingMessage {
    /// What is sent, encrypted for the other side. Every attempt carries the same bytes.
    /// `None` only while an attempt takes it, and for letters: each attempt is made of the stored text.
    pub(super) composed: Option<ComposedMessage>,
    /// The level of every attempt.
    pub(super) level: Level,
    /// Minimum lifetime of envelopes.
    pub(super) life: Duration,
    /// Number of attempts since the user last asked.
    pub(super) attempts: u32,
    /// After this time it is not sent any more.
    pub(super) until: UnixSecs,
    /// What an attempt costs, as estimated when it was written.
    pub(super) price: Option<PriceView>,
    /// What it waits for.
    pub(super) progress: PendingProgress,
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PendingProgress {
    /// The next attempt, not before this time.
    Next(UnixSecs),
    /// The key of the attempt that begins to be durable.
    Storing,
    /// An attempt.
    Running(MessageId),
    /// An answer. The envelopes of the last attempt stay in the network until this time.
    InNetwork(UnixSecs),
    /// The user: all attempts have ended.
    User,
}

/// All messages that this node sends.
#[derive(Default)]
pub(super) struct PendingMessages {
    messages: BTreeMap<PendingId, PendingMessage>,
    running: BTreeMap<MessageId, PendingId>,
    /// Attempts that had begun when the state was locked.
    underway: BTreeMap<PendingId, UnderwayAttempt>,
}

/// How far an attempt is that goes on while the state is locked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum UnderwayAttempt {
    /// Its key becomes durable.
    Storing,
    /// It is being sent.
    Running(MessageId),
    /// It is over.
    Ended(AttemptEnd),
}

impl PendingMessages {
    /// Reads a row of the last run. An attempt that was running then is followed by another one.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<(), BadState> {
        let id = row.id.as_bytes();
        let (conversation, number) = id.split_first_chunk().ok_or(BadState::Length)?;
        let number = number.try_into().map_err(|_| BadState::Length)?;
        let id = (ConversationId(*conversation), u64::from_be_bytes(number));
        let mut message = PendingMessage::from_bytes(&row.value)?;
        if message.progress == PendingProgress::Storing {
            // A kill ended the attempt, not the network: it does not count.
            message.attempts = message.attempts.saturating_sub(1);
            message.progress = PendingProgress::Next(UnixSecs(0));
        }
        self.messages.insert(id, message);
        Ok(())
    }

    /// Forgets all messages. What is left are the attempts that have begun.
    pub(super) fn lock(&mut self) -> Self {
        let messages = core::mem::take(&mut self.messages).into_iter();
        let underway = messages.filter_map(|(id, message)| match message.progress {
            PendingProgress::Storing => Some((id, UnderwayAttempt::Storing)),
            PendingProgress::Running(attempt) => Some((id, UnderwayAttempt::Running(attempt))),
            _ => None,
        });
        Self {
            underway: underway.collect(),
            ..Self::default()
        }
    }

    /// The attempts that had begun when the state was locked; from now on there are none.
    pub(super) fn take_underway(&mut self) -> BTreeMap<PendingId, UnderwayAttempt> {
        core::mem::take(&mut self.underway)
    }

    /// An attempt has begun, or was refused, while the state is locked. Returns whether it is known.
    pub(super) fn on_underway_begun(
        &mut self,
        id: PendingId,
        begun: Result<MessageId, String>,
    ) -> bool {
        let Some(underway) = self.underway.get_mut(&id) else {
            return false;
        };
        *underway = match begun {
            Ok(attempt) => UnderwayAttempt::Running(attempt),
            Err(reason) => UnderwayAttempt::Ended(AttemptEnd::Failed(reason)),
        };
        true
    }

    /// An attempt has ended while the state is locked.
    pub(super) fn on_underway_ended(&mut self, attempt: MessageId, end: AttemptEnd) {
        let running = UnderwayAttempt::Running(attempt);
        let mut underway = self.underway.values_mut();
        if let Some(underway) = underway.find(|underway| **underway == running) {
            *underway = UnderwayAttempt::Ended(end);
        }
    }

    /// Adds a message.
    pub(super) fn add(&mut self, id: PendingId, message: PendingMessage) -> StateChange {
        let change = put(id, &message);
        self.messages.insert(id, message);
        change
    }

    /// A message.
    pub(super) fn get(&self, id: PendingId) -> Option<&PendingMessage> {
        self.messages.get(&id)
    }

    /// Changes a message; the change has to be stored.
    pub(super) fn update(
        &mut self,
        id: PendingId,
        change: impl FnOnce(&mut PendingMessage),
    ) -> Option<StateChange> {
        let message = self.messages.get_mut(&id)?;
        let before = message.progress;
        change(message);
        if let PendingProgress::Running(attempt) = before
            && message.progress != before
        {
            self.running.remove(&attempt);
        }
        if let PendingProgress::Running(attempt) = message.progress {
            self.running.insert(attempt, id);
        }
        Some(put(id, message))
    }

    /// Takes out the content of a message, to be encrypted again if need be.
    pub(super) fn take_composed(&mut self, id: PendingId) -> Option<ComposedMessage> {
        self.messages.get_mut(&id)?.composed.take()
    }

    /// Puts the content back.
    pub(super) fn put_composed(&mut self, id: PendingId, composed: ComposedMessage) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.composed = Some(composed);
        }
    }

    /// Removes a message: it arrived, or is not sent any more. Returns its attempt if one is running.
    pub(super) fn remove(&mut self, id: PendingId) -> (StateChange, Option<MessageId>) {
        let removed = self.messages.remove(&id);
        let running = removed.and_then(|message| match message.progress {
            PendingProgress::Running(attempt) => Some(attempt),
            _ => None,
        });
        if let Some(attempt) = &running {
            self.running.remove(attempt);
        }
        (
            StateChange::delete(StateTable::Unanswered, row_id(id)),
            running,
        )
    }

    /// The message of a running attempt.
    pub(super) fn of_attempt(&self, attempt: MessageId) -> Option<PendingId> {
        self.running.get(&attempt).copied()
    }

    /// The messages of a conversation, in the order of their numbers.
    pub(super) fn of(&self, conversation: ConversationId) -> Vec<PendingId> {
        let range = (conversation, 0)..=(conversation, u64::MAX);
        self.messages.range(range).map(|(id, _)| *id).collect()
    }

    /// The messages whose time has come: for the next attempt, or because time is over.
    pub(super) fn due(&self, now: UnixSecs) -> Vec<PendingId> {
        let due = self.messages.iter().filter(|(_, message)| {
            message.until <= now
                || match message.progress {
                    PendingProgress::Next(at) | PendingProgress::InNetwork(at) => at <= now,
                    _ => false,
                }
        });
        due.map(|(id, _)| *id).collect()
    }

    /// Number of messages.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}

impl PendingMessage {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.option(self.composed.as_ref(), |writer, composed| {
            writer.bytes(&composed.to_bytes());
        });
        writer.bytes(self.level.word().as_bytes());
        writer.u64(self.life.as_secs());
        writer.u32(self.attempts);
        writer.u32(self.until.0);
        let (code, at) = match self.progress {
            PendingProgress::Next(at) => (NEXT, at),
            PendingProgress::Storing | PendingProgress::Running(_) => (RUNNING, UnixSecs(0)),
            PendingProgress::InNetwork(at) => (IN_NETWORK, at),
            PendingProgress::User => (USER, UnixSecs(0)),
        };
        writer.u8(code);
        writer.u32(at.0);
        writer.option(self.price, |writer, price| {
            writer.u64(price.bytes);
            writer.u64(price.seconds);
        });
        writer.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let (mut reader, has_price) = match StateReader::new(bytes, VERSION) {
            Ok(reader) => (reader, true),
            Err(_) => (StateReader::new(bytes, VERSION_WITHOUT_PRICE)?, false),
        };
        let mut message = Self {
            composed: reader.option(|reader| ComposedMessage::from_bytes(reader.bytes()?))?,
            level: reader
                .text()?
                .parse()
                .map_err(|_| BadState::Field("level"))?,
            life: Duration::from_secs(reader.u64()?),
            attempts: reader.u32()?,
            until: UnixSecs(reader.u32()?),
            progress: match (reader.u8()?, UnixSecs(reader.u32()?)) {
                (NEXT, at) => PendingProgress::Next(at),
                (RUNNING, _) => PendingProgress::Storing,
                (IN_NETWORK, at) => PendingProgress::InNetwork(at),
                (USER, _) => PendingProgress::User,
                _ => return Err(BadState::Field("progress")),
            },
            price: None,
        };
        if has_price {
            message.price = reader.option(|reader| {
                Ok(PriceView {
                    bytes: reader.u64()?,
                    seconds: reader.u64()?,
                })
            })?;
        }
        reader.finish()?;
        Ok(message)
    }
}

fn put(id: PendingId, message: &PendingMessage) -> StateChange {
    StateChange::put(StateTable::Unanswered, row_id(id), message.to_bytes())
}

fn row_id((conversation, number): PendingId) -> Vec<u8> {
    [&conversation.0[..], &number.to_be_bytes()].concat()
}

const NEXT: u8 = 1;
const IN_NETWORK: u8 = 2;
const USER: u8 = 3;
const RUNNING: u8 = 4;
const VERSION: u8 = 2;
/// Rows of this version lack the price; they are written again at the next change.
const VERSION_WITHOUT_PRICE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(price: Option<PriceView>) -> PendingMessage {
        PendingMessage {
            composed: None,
            level: Level::Dark,
            life: Duration::from_secs(7_200),
            attempts: 2,
            until: UnixSecs(1_800_000_000),
            price,
            progress: PendingProgress::InNetwork(UnixSecs(1_799_999_000)),
        }
    }

    fn read(bytes: &[u8]) -> (Option<PriceView>, u32, PendingProgress) {
        let message = PendingMessage::from_bytes(bytes).unwrap();
        (message.price, message.attempts, message.progress)
    }

    #[test]
    fn price_of_a_message_survives_a_restart() {
        let price = Some(PriceView {
            bytes: 65_664,
            seconds: 141,
        });
        let progress = PendingProgress::InNetwork(UnixSecs(1_799_999_000));
        assert_eq!(read(&message(price).to_bytes()), (price, 2, progress));
        assert_eq!(read(&message(None).to_bytes()), (None, 2, progress));
    }

    #[test]
    fn row_of_version_1_is_read_without_a_price() {
        let mut bytes = message(None).to_bytes();
        bytes[0] = VERSION_WITHOUT_PRICE;
        // Its last byte says that no price follows.
        bytes.pop();
        let progress = PendingProgress::InNetwork(UnixSecs(1_799_999_000));
        assert_eq!(read(&bytes), (None, 2, progress));
    }
}
