//! Parts of conversations that arrived and belong to files: rows that wait until the component has acted on
//! them.
//!
//! A part is stored in the record of its message. The component erases the row in the record of what it does
//! with the part, so that a crash between the two repeats the part and loses nothing.

use zeroize::Zeroizing;

use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::conversation::{ConversationId, Part};
use crate::state::{StateChange, StateRow, StateTable};

/// A part that arrived.
pub(in crate::node) struct ArrivedPart {
    conversation: ConversationId,
    number: u64,
    index: u8,
    part: Part,
}

impl ArrivedPart {
    /// The part at a place of a message.
    pub(in crate::node) const fn new(
        conversation: ConversationId,
        number: u64,
        index: u8,
        part: Part,
    ) -> Self {
        Self {
            conversation,
            number,
            index,
            part,
        }
    }

    /// Its conversation.
    pub(super) const fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// The part.
    pub(super) const fn part(&self) -> &Part {
        &self.part
    }

    /// What stores it.
    pub(in crate::node) fn put(&self) -> StateChange {
        let mut writer = StateWriter::new(VERSION);
        // A part that was decoded is within the limits of the encoding.
        let encoded = Part::encode_all(core::slice::from_ref(&self.part));
        writer.bytes(&encoded.unwrap_or_else(|_| Zeroizing::new(Vec::new())));
        StateChange::put(StateTable::File, self.row_id(), writer.finish())
    }

    /// What erases it.
    pub(super) fn delete(&self) -> StateChange {
        StateChange::delete(StateTable::File, self.row_id())
    }

    fn row_id(&self) -> Vec<u8> {
        let (number, index) = (self.number.to_be_bytes(), [self.index]);
        [&[ROW_KIND][..], &self.conversation.0, &number, &index].concat()
    }

    /// Reads a row; `None` if it is one of another kind.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn restore(row: &StateRow) -> Result<Option<Self>, BadState> {
        let Some((&ROW_KIND, id)) = row.id.as_bytes().split_first() else {
            return Ok(None);
        };
        let (conversation, id) = id.split_first_chunk().ok_or(BadState::Length)?;
        let (number, id) = id.split_first_chunk().ok_or(BadState::Length)?;
        let [index] = id else {
            return Err(BadState::Length);
        };
        let mut reader = StateReader::new(&row.value, VERSION)?;
        let parts = Part::decode_all(reader.bytes()?);
        reader.finish()?;
        let mut parts = parts.map_err(|_| BadState::Field("part"))?.into_iter();
        let part = parts.next().ok_or(BadState::Field("part"))?;
        let number = u64::from_be_bytes(*number);
        let conversation = ConversationId(*conversation);
        Ok(Some(Self::new(conversation, number, *index, part)))
    }
}

/// The first byte of the names of these rows.
const ROW_KIND: u8 = b'a';
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrived_part_is_read_as_it_was_written() {
        let part = Part::FileOffer(vec![1, 2, 3]);
        let arrived = ArrivedPart::new(ConversationId([7; 32]), 9, 2, part.clone());
        let StateChange::Put { table, id, value } = arrived.put() else {
            panic!("a part is written");
        };
        let row = StateRow { table, id, value };
        let again = ArrivedPart::restore(&row).unwrap().unwrap();
        assert_eq!(again.part(), &part);
        assert_eq!(again.conversation().0, [7; 32]);
        assert_eq!(again.row_id(), arrived.row_id());
    }
}
