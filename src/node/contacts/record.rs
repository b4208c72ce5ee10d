//! The record of a conversation: its keys, and what this node knows about it beside them.

use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use super::book::ContactKey;
use super::marks::ConversationMarks;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::conversation::{Conversation, ConversationId, ConversationState};
use crate::contact::id::ContactId;
use crate::state::{StateChange, StateTable};

/// A conversation of this node.
pub(super) struct ConversationRecord {
    /// Its keys and its state.
    pub(super) conversation: Conversation,
    /// What is known beside them.
    pub(super) facts: ConversationFacts,
}

/// What this node knows about a conversation beside its keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ConversationFacts {
    /// The contact, once there is one.
    pub(super) contact: Option<ContactKey>,
    /// The own address that the other side wrote to.
    pub(super) own: Option<ContactId>,
    /// Bits of the ticket: those that a card asks for, or those that a request came with.
    pub(super) ticket_bits: u8,
    /// What the user has marked it with.
    pub(super) marks: ConversationMarks,
    /// Whether the user declined the request: nothing of it is shown any more.
    pub(super) is_declined: bool,
    /// When it began.
    pub(super) begun: UnixSecs,
    /// The day on which the other side proved an earlier conversation that it had lost.
    pub(super) restored_day: Option<u32>,
    /// When it is closed, because a preferred conversation with the same contact is open.
    pub(super) closes: Option<UnixSecs>,
}

impl ConversationFacts {
    /// Those of a conversation that begins.
    pub(super) const fn new(begun: UnixSecs, ticket_bits: u8) -> Self {
        Self {
            contact: None,
            own: None,
            ticket_bits,
            marks: ConversationMarks::NONE,
            is_declined: false,
            begun,
            restored_day: None,
            closes: None,
        }
    }
}

impl ConversationRecord {
    /// The change that stores the record.
    pub(super) fn put(&self) -> StateChange {
        let id = self.conversation.id();
        StateChange::put(StateTable::Conversation, id.0, self.to_bytes())
    }

    /// The change that erases a record.
    pub(super) fn delete(id: ConversationId) -> StateChange {
        StateChange::delete(StateTable::Conversation, id.0)
    }

    /// Whether the user has neither accepted nor declined it.
    pub(super) fn is_request(&self) -> bool {
        self.conversation.state() == ConversationState::Asked && !self.facts.is_declined
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let facts = &self.facts;
        let mut writer = StateWriter::new(VERSION);
        writer.bytes(&self.conversation.to_bytes());
        writer.option(facts.contact, |writer, key| writer.u64(key.0));
        writer.option(facts.own, |writer, id| writer.array(&id.0));
        writer.u8(facts.ticket_bits);
        writer.u8(facts.marks.code());
        writer.bool(facts.is_declined);
        writer.u32(facts.begun.0);
        writer.option(facts.restored_day, StateWriter::u32);
        writer.option(facts.closes, |writer, at| writer.u32(at.0));
        writer.finish()
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let record = Self {
            conversation: Conversation::from_bytes(reader.bytes()?)?,
            facts: ConversationFacts {
                contact: reader.option(|reader| reader.u64().map(ContactKey))?,
                own: reader.option(|reader| reader.array().map(ContactId))?,
                ticket_bits: reader.u8()?,
                marks: ConversationMarks::of_code(reader.u8()?)?,
                is_declined: reader.bool()?,
                begun: UnixSecs(reader.u32()?),
                restored_day: reader.option(StateReader::u32)?,
                closes: reader.option(|reader| reader.u32().map(UnixSecs))?,
            },
        };
        reader.finish()?;
        Ok(record)
    }
}

const VERSION: u8 = 1;
