//! What the user does with conversations and messages on this node alone: stars, muting, reading, erasing.
//!
//! Nothing here is sent, and the other side learns nothing of it.

use circuits::time::Now;

use super::Contacts;
use super::command::{ContactCommand, ContactReply};
use crate::contact::codec::BadState;
use crate::contact::conversation::ConversationId;
use crate::node::command::Refusal;
use crate::node::effects::Effects;
use crate::node::input::CommandId;
use crate::state::StateChange;

/// The marks of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ConversationMarks {
    /// Whether its events are not reported.
    pub(super) is_muted: bool,
    /// Whether it stands out in lists.
    pub(super) is_starred: bool,
}

impl ConversationMarks {
    /// No mark.
    pub(super) const NONE: Self = Self {
        is_muted: false,
        is_starred: false,
    };

    /// Its byte in the state. Without a star it is the truth value that earlier versions wrote.
    pub(super) const fn code(self) -> u8 {
        match (self.is_starred, self.is_muted) {
            (false, false) => 0,
            (false, true) => 1,
            (true, false) => 2,
            (true, true) => 3,
        }
    }

    /// The marks of a byte.
    ///
    /// # Errors
    ///
    /// [`BadState`] for a byte that [`ConversationMarks::code`] does not give.
    pub(super) const fn of_code(code: u8) -> Result<Self, BadState> {
        if code > 3 {
            return Err(BadState::Field("marks"));
        }
        Ok(Self {
            is_muted: code & 1 != 0,
            is_starred: code & 2 != 0,
        })
    }
}

impl Contacts {
    /// Carries out a command that marks or erases. It is answered when what it changed is durable.
    pub(super) fn mark(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: CommandId,
        command: ContactCommand,
    ) -> Result<(), Refusal> {
        let changes = match command {
            ContactCommand::Mute { of, muted } => {
                let conversation = self.conversation_named(&of)?;
                let change = self.set_marks(now, conversation, |marks| marks.is_muted = muted);
                change.into_iter().collect()
            }
            ContactCommand::Star { of, starred } => {
                let named = of.iter().filter_map(|of| self.conversation_named(of).ok());
                let named: Vec<_> = named.collect();
                let set = |id| self.set_marks(now, id, |marks| marks.is_starred = starred);
                named.into_iter().filter_map(set).collect()
            }
            ContactCommand::MarkRead { of, place } => {
                let conversation = self.conversation_named(&of)?;
                self.history.mark_read(conversation, place)
            }
            ContactCommand::EraseMessages { of, places } => self.erase_messages(&of, &places)?,
            _ => Vec::new(),
        };
        Self::store_and_reply(fx, changes, id, ContactReply::Done);
        Ok(())
    }

    fn set_marks(
        &mut self,
        now: Now,
        id: ConversationId,
        set: impl Fn(&mut ConversationMarks),
    ) -> Option<StateChange> {
        let update = self.conversations.update(id, now.unix, |record| {
            set(&mut record.facts.marks);
        });
        let letters = self.letters.update(id, |record| {
            let mut marks = record.marks();
            set(&mut marks);
            record.set_marks(marks);
        });
        update.map(|update| update.change).or(letters)
    }

    fn erase_messages(&mut self, of: &str, places: &[u64]) -> Result<Vec<StateChange>, Refusal> {
        let conversation = self.conversation_named(of)?;
        let messages = places.iter();
        let mut messages = messages.filter_map(|place| self.history.get((conversation, *place)));
        if let Some(message) = messages.find(|message| message.is_under_way()) {
            return Err(Refusal::policy(
                format!(
                    "message {} is still being sent; nothing was erased",
                    message.number
                ),
                format!(
                    "stop it first (`whisht outbox cancel {of} {}`)",
                    message.number
                ),
            ));
        }
        Ok(self.history.erase(conversation, places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_from_their_byte_and_from_the_truth_value_of_earlier_versions() {
        for code in 0..=3 {
            assert_eq!(
                ConversationMarks::of_code(code).map(ConversationMarks::code),
                Ok(code)
            );
        }
        assert_eq!(ConversationMarks::of_code(0), Ok(ConversationMarks::NONE));
        let muted = ConversationMarks::of_code(1).unwrap();
        assert!(muted.is_muted && !muted.is_starred);
        assert!(ConversationMarks::of_code(4).is_err());
    }
}
