//! The history of conversations: every message that was stored, in the order of storing.
//!
//! A message stays until the user forgets its conversation, for [`RETENTION_SECS`], or until the limits of
//! the history are reached; then the oldest message that the user has read goes first. Nothing here is
//! sent, and nothing is erased before a later row is durable: the caller stores the changes.

use std::collections::BTreeMap;

use circuits::level::Level;
use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use super::event::ContactStage;
use super::views::MessageDirection;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::conversation::ConversationId;
use crate::state::{StateChange, StateRow, StateTable};

/// A message as it is stored.
pub(super) struct HistoryMessage {
    /// Which side wrote it.
    pub(super) direction: MessageDirection,
    /// Its number among the messages of its side.
    pub(super) number: u64,
    /// When this node stored it.
    pub(super) time: UnixSecs,
    /// Its parts, as the conversation encodes them.
    pub(super) parts: Zeroizing<Vec<u8>>,
    /// Whether the user has read it, or wrote it.
    pub(super) is_read: bool,
    /// What is known about it, if this node sends it.
    pub(super) sending: Option<Sending>,
}

/// What is known about a message that this node sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Sending {
    /// The level that it is sent at.
    pub(super) level: Level,
    /// How far it is.
    pub(super) stage: ContactStage,
}

/// The place of a message: its conversation, and its number in the order of storing, from 1 on.
pub(super) type MessagePlace = (ConversationId, u64);

/// All messages of all conversations.
#[derive(Default)]
pub(super) struct History {
    messages: BTreeMap<MessagePlace, HistoryMessage>,
    /// The place of each message that this node sends, by its number.
    sent: BTreeMap<(ConversationId, u64), u64>,
    bytes: usize,
}

impl History {
    /// Reads a row of the last run.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<(), BadState> {
        let id = row.id.as_bytes();
        let (conversation, place) = id.split_first_chunk().ok_or(BadState::Length)?;
        let place = place.try_into().map_err(|_| BadState::Length)?;
        let place = (ConversationId(*conversation), u64::from_be_bytes(place));
        self.insert(place, HistoryMessage::from_bytes(&row.value)?);
        Ok(())
    }

    /// Adds a message at the end of its conversation. Returns its place, and the changes that store it
    /// and erase what it displaces.
    pub(super) fn add(
        &mut self,
        conversation: ConversationId,
        message: HistoryMessage,
    ) -> (u64, Vec<StateChange>) {
        let place = self.last_place(conversation).saturating_add(1);
        let mut changes = vec![put((conversation, place), &message)];
        self.insert((conversation, place), message);
        if self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            changes.extend(self.make_room());
        }
        (place, changes)
    }

    /// Changes the stage of a message that this node sends. Returns nothing if the stage is not new.
    pub(super) fn set_stage(
        &mut self,
        conversation: ConversationId,
        number: u64,
        stage: ContactStage,
    ) -> Option<StateChange> {
        let place = (conversation, *self.sent.get(&(conversation, number))?);
        let message = self.messages.get_mut(&place)?;
        let sending = message.sending.as_mut()?;
        if sending.stage == stage {
            return None;
        }
        sending.stage = stage;
        Some(put(place, message))
    }

    /// Marks the messages of a conversation up to a place as read.
    pub(super) fn mark_read(
        &mut self,
        conversation: ConversationId,
        until: u64,
    ) -> Vec<StateChange> {
        self.of_mut(conversation)
            .filter(|(place, message)| place.1 <= until && !message.is_read)
            .map(|(place, message)| {
                message.is_read = true;
                put(place, message)
            })
            .collect()
    }

    /// Erases the messages that are older than the retention, and read.
    pub(super) fn expire(&mut self, now: UnixSecs) -> Vec<StateChange> {
        let old = self.messages.iter().filter(|(_, message)| {
            message.is_read
                && !message.is_under_way()
                && now.0.saturating_sub(message.time.0) > RETENTION_SECS
        });
        let old: Vec<_> = old.map(|(place, _)| *place).collect();
        old.into_iter().map(|place| self.remove(place)).collect()
    }

    /// Erases messages of a conversation. The last one leaves an empty row behind: its place must not be used
    /// twice.
    pub(super) fn erase(
        &mut self,
        conversation: ConversationId,
        places: &[u64],
    ) -> Vec<StateChange> {
        let last = self.last_place(conversation);
        let places = places.iter().map(|place| (conversation, *place));
        places
            .filter_map(|place| self.erase_one(place, last))
            .collect()
    }

    fn erase_one(&mut self, place: MessagePlace, last: u64) -> Option<StateChange> {
        let message = self.messages.get_mut(&place)?;
        if place.1 != last {
            return Some(self.remove(place));
        }
        self.bytes = self.bytes.saturating_sub(message.parts.len());
        message.parts = Zeroizing::default();
        message.is_read = true;
        Some(put(place, message))
    }

    /// The messages of this node whose sending has not ended, by conversation and number.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (MessagePlace, &HistoryMessage)> {
        let places = self
            .sent
            .iter()
            .map(|((conversation, _), place)| (*conversation, *place));
        let messages = places.filter_map(|place| Some((place, self.messages.get(&place)?)));
        messages.filter(|(_, message)| message.is_under_way())
    }

    /// Erases a conversation.
    pub(super) fn forget(&mut self, conversation: ConversationId) -> Vec<StateChange> {
        let all = (conversation, 0)..=(conversation, u64::MAX);
        let places: Vec<_> = self.messages.range(all).map(|(place, _)| *place).collect();
        let places = places.into_iter();
        places.map(|place| self.remove(place)).collect()
    }

    /// The messages of a conversation with their places, in the order of storing; not those that the user
    /// erased.
    pub(super) fn of(
        &self,
        conversation: ConversationId,
    ) -> impl DoubleEndedIterator<Item = (u64, &HistoryMessage)> {
        self.messages
            .range((conversation, 0)..=(conversation, u64::MAX))
            .filter(|(_, message)| !message.is_erased())
            .map(|(place, message)| (place.1, message))
    }

    /// Bytes of the messages of a conversation.
    pub(super) fn bytes_of(&self, conversation: ConversationId) -> usize {
        let sizes = self
            .of(conversation)
            .map(|(_, message)| message.parts.len());
        sizes.fold(0, usize::saturating_add)
    }

    /// A message by its place.
    pub(super) fn get(&self, place: MessagePlace) -> Option<&HistoryMessage> {
        self.messages.get(&place)
    }

    /// A message that this node sends, by its number.
    pub(super) fn sent(
        &self,
        conversation: ConversationId,
        number: u64,
    ) -> Option<&HistoryMessage> {
        let place = self.sent.get(&(conversation, number))?;
        self.messages.get(&(conversation, *place))
    }

    fn of_mut(
        &mut self,
        conversation: ConversationId,
    ) -> impl Iterator<Item = (MessagePlace, &mut HistoryMessage)> {
        self.messages
            .range_mut((conversation, 0)..=(conversation, u64::MAX))
            .map(|(place, message)| (*place, message))
    }

    fn last_place(&self, conversation: ConversationId) -> u64 {
        let all = (conversation, 0)..=(conversation, u64::MAX);
        let last = self.messages.range(all).next_back();
        last.map_or(0, |((_, place), _)| *place)
    }

    fn insert(&mut self, place: MessagePlace, message: HistoryMessage) {
        self.bytes = self.bytes.saturating_add(message.parts.len());
        if message.sending.is_some() {
            self.sent.insert((place.0, message.number), place.1);
        }
        self.messages.insert(place, message);
    }

    fn remove(&mut self, place: MessagePlace) -> StateChange {
        if let Some(removed) = self.messages.remove(&place) {
            self.bytes = self.bytes.saturating_sub(removed.parts.len());
            if removed.sending.is_some() {
                self.sent.remove(&(place.0, removed.number));
            }
        }
        StateChange::delete(StateTable::Message, row_id(place))
    }

    /// Erases a sixteenth of the history at once, so that the search is rare: read messages before unread
    /// ones, old before new. The last message of a conversation stays: its place must not be used twice.
    fn make_room(&mut self) -> Vec<StateChange> {
        let mut order: Vec<_> = self
            .messages
            .iter()
            .filter(|((conversation, place), _)| self.last_place(*conversation) != *place)
            .map(|(place, message)| (!message.is_read, message.time, *place))
            .collect();
        order.sort_unstable();
        let (messages, bytes) = (MAX_MESSAGES / 16 * 15, MAX_BYTES / 16 * 15);
        let mut changes = Vec::new();
        for (_, _, place) in order {
            if self.messages.len() <= messages && self.bytes <= bytes {
                break;
            }
            changes.push(self.remove(place));
        }
        changes
    }
}

fn put(place: MessagePlace, message: &HistoryMessage) -> StateChange {
    StateChange::put(StateTable::Message, row_id(place), message.to_bytes())
}

fn row_id((conversation, place): MessagePlace) -> Vec<u8> {
    [&conversation.0[..], &place.to_be_bytes()].concat()
}

impl HistoryMessage {
    /// Whether the user erased it. The encoding of a message is never empty.
    fn is_erased(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether this node is still sending it, or can send it again.
    pub(super) fn is_under_way(&self) -> bool {
        let sending = self.sending.as_ref();
        sending.is_some_and(|sending| !sending.stage.is_final())
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.bool(self.direction == MessageDirection::Out);
        writer.u64(self.number);
        writer.u32(self.time.0);
        writer.bool(self.is_read);
        writer.bytes(&self.parts);
        writer.option(self.sending.as_ref(), |writer, sending| {
            writer.bytes(sending.level.word().as_bytes());
            sending.stage.write(writer);
        });
        writer.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let direction = if reader.bool()? {
            MessageDirection::Out
        } else {
            MessageDirection::In
        };
        let message = Self {
            direction,
            number: reader.u64()?,
            time: UnixSecs(reader.u32()?),
            is_read: reader.bool()?,
            parts: Zeroizing::new(reader.bytes()?.to_vec()),
            sending: reader.option(|reader| {
                let level = reader.text()?.parse();
                Ok(Sending {
                    level: level.map_err(|_| BadState::Field("level"))?,
                    stage: ContactStage::read(reader)?,
                })
            })?,
        };
        reader.finish()?;
        Ok(message)
    }
}

/// Time that a read message stays in the history: 30 days.
const RETENTION_SECS: u32 = 30 * 86_400;
/// Maximum number of messages in the history.
const MAX_MESSAGES: usize = 100_000;
/// Maximum size of all messages in the history, 256 MB.
const MAX_BYTES: usize = 256 << 20;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const CONVERSATION: ConversationId = ConversationId([7; 32]);

    fn message(number: u64) -> HistoryMessage {
        HistoryMessage {
            direction: MessageDirection::In,
            number,
            time: UnixSecs(1_800_000_000),
            parts: Zeroizing::new(vec![1; 100]),
            is_read: false,
            sending: None,
        }
    }

    fn history(messages: u64) -> History {
        let mut history = History::default();
        for number in 1..=messages {
            history.add(CONVERSATION, message(number));
        }
        history
    }

    fn places(history: &History) -> Vec<u64> {
        history.of(CONVERSATION).map(|(place, _)| place).collect()
    }

    #[test]
    fn erased_messages_are_gone_and_no_place_is_used_twice() {
        let mut history = history(4);
        let changes = history.erase(CONVERSATION, &[2, 4, 99]);
        assert_eq!(changes.len(), 2, "an unknown place changes nothing");
        assert_eq!(places(&history), [1, 3]);
        assert_eq!(history.bytes, 200);
        let (place, _) = history.add(CONVERSATION, message(5));
        assert_eq!(place, 5);
        assert_eq!(places(&history), [1, 3, 5]);
        assert_eq!(
            history.forget(CONVERSATION).len(),
            4,
            "the empty row goes too"
        );
    }

    #[test]
    fn erased_message_stays_erased_after_a_restart() {
        let mut history = history(1);
        history.erase(CONVERSATION, &[1]);
        let place = (CONVERSATION, 1);
        let row = history.messages[&place].to_bytes();
        assert!(row.len() < 40, "nothing of the text is in the row");
        let mut restored = History::default();
        restored.insert(place, HistoryMessage::from_bytes(&row).unwrap());
        assert!(places(&restored).is_empty());
        assert_eq!(restored.add(CONVERSATION, message(2)).0, 2);
    }
}
