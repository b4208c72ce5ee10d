//! The record of an exchange of letters: who the other end is, and which letters there were.

use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use super::super::book::ContactKey;
use super::super::marks::ConversationMarks;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::first_contact::{FirstBox, FirstTicket};
use crate::contact::id::ContactId;
use crate::contact::key_block::Kappa;
use crate::contact::letter::{LetterAddress, LetterNumber};
use crate::state::{StateChange, StateTable};

/// An exchange of letters.
pub(in crate::node::contacts) struct LetterRecord {
    address: LetterAddress,
    end: LetterEnd,
    contact: Option<ContactKey>,
    marks: ConversationMarks,
    begun: UnixSecs,
    /// Letters that came, in the order in which they came first.
    incoming: Vec<LetterNumber>,
    /// Letters that this node wrote, in order.
    outgoing: Vec<LetterNumber>,
}

/// What this node is in an exchange.
enum LetterEnd {
    /// The source. It lasts as long as the process.
    Source {
        reader: ContactId,
        /// The box of all letters to one key block.
        sealing: Option<LetterSealing>,
    },
    /// The reader.
    Reader(LetterRequest),
}

/// What a reader knows about the letters of a source.
struct LetterRequest {
    /// The own address that the source wrote to.
    own: ContactId,
    /// The work of the first letter.
    ticket_bits: u8,
    decision: LetterDecision,
}

/// What the user decided about the letters of a source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node::contacts) enum LetterDecision {
    /// Nothing yet.
    Asked,
    /// They are answered.
    Accepted,
    /// Nothing of them is shown any more.
    Declined,
}

/// How a source seals letters to one key block of a reader.
pub(super) struct LetterSealing {
    /// The key block.
    pub(super) kappa: Kappa,
    /// The box.
    pub(super) first_box: FirstBox,
    /// Its ticket, once it is found.
    pub(super) ticket: Option<FirstTicket>,
}

impl LetterRecord {
    /// Of a source, to the owner of a card.
    pub(super) const fn of_source(
        address: LetterAddress,
        reader: ContactId,
        contact: ContactKey,
        begun: UnixSecs,
    ) -> Self {
        let end = LetterEnd::Source {
            reader,
            sealing: None,
        };
        Self::new(address, end, Some(contact), begun)
    }

    /// Of a reader, whose address `own` a source wrote to.
    pub(super) const fn of_reader(
        address: LetterAddress,
        own: ContactId,
        ticket_bits: u8,
        begun: UnixSecs,
    ) -> Self {
        let request = LetterRequest {
            own,
            ticket_bits,
            decision: LetterDecision::Asked,
        };
        Self::new(address, LetterEnd::Reader(request), None, begun)
    }

    const fn new(
        address: LetterAddress,
        end: LetterEnd,
        contact: Option<ContactKey>,
        begun: UnixSecs,
    ) -> Self {
        Self {
            address,
            end,
            contact,
            marks: ConversationMarks::NONE,
            begun,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// The keys of the source, as both ends know them.
    pub(super) const fn address(&self) -> &LetterAddress {
        &self.address
    }

    /// The id of the reader, if this node is the source.
    pub(super) const fn reader(&self) -> Option<&ContactId> {
        match &self.end {
            LetterEnd::Source { reader, .. } => Some(reader),
            LetterEnd::Reader(_) => None,
        }
    }

    /// The own address that a source wrote to.
    pub(super) const fn own(&self) -> Option<&ContactId> {
        match &self.end {
            LetterEnd::Source { .. } => None,
            LetterEnd::Reader(request) => Some(&request.own),
        }
    }

    /// The contact, once there is one.
    pub(in crate::node::contacts) const fn contact(&self) -> Option<ContactKey> {
        self.contact
    }

    /// When it began.
    pub(in crate::node::contacts) const fn begun(&self) -> UnixSecs {
        self.begun
    }

    /// What the user has marked it with.
    pub(in crate::node::contacts) const fn marks(&self) -> ConversationMarks {
        self.marks
    }

    /// Changes the marks.
    pub(in crate::node::contacts) const fn set_marks(&mut self, marks: ConversationMarks) {
        self.marks = marks;
    }

    /// What the user decided. A source has decided by writing.
    pub(in crate::node::contacts) const fn decision(&self) -> LetterDecision {
        match &self.end {
            LetterEnd::Source { .. } => LetterDecision::Accepted,
            LetterEnd::Reader(request) => request.decision,
        }
    }

    /// Notes that the user accepted it, as this contact.
    pub(in crate::node::contacts) const fn accept(&mut self, contact: ContactKey) {
        self.contact = Some(contact);
        self.decide(LetterDecision::Accepted);
    }

    /// Notes that the user declined it.
    pub(in crate::node::contacts) const fn decline(&mut self) {
        self.decide(LetterDecision::Declined);
    }

    const fn decide(&mut self, decision: LetterDecision) {
        if let LetterEnd::Reader(request) = &mut self.end {
            request.decision = decision;
        }
    }

    /// The work of a request; `None` if it is none.
    pub(in crate::node::contacts) fn request_bits(&self) -> Option<u8> {
        match &self.end {
            LetterEnd::Reader(request) if request.decision == LetterDecision::Asked => {
                Some(request.ticket_bits)
            }
            _ => None,
        }
    }

    /// How long it is kept without an answer of the user; `None` without a limit.
    pub(in crate::node::contacts) const fn kept_unanswered(
        &self,
        asked: u32,
        declined: u32,
    ) -> Option<u32> {
        match self.decision() {
            LetterDecision::Asked => Some(asked),
            LetterDecision::Declined => Some(declined),
            LetterDecision::Accepted => None,
        }
    }

    // -- letters

    /// The letters that came.
    pub(super) fn incoming(&self) -> &[LetterNumber] {
        &self.incoming
    }

    /// Notes a letter that came. Returns its place among those that came, from 1 on; `None` if it came
    /// before, or if there are too many.
    pub(super) fn note_incoming(&mut self, number: LetterNumber) -> Option<u64> {
        if self.incoming.len() >= MAX_LETTERS || self.incoming.contains(&number) {
            return None;
        }
        self.incoming.push(number);
        u64::try_from(self.incoming.len()).ok()
    }

    /// Notes a letter that this node writes. Returns its place among them, from 1 on; `None` if there are
    /// too many.
    pub(super) fn note_outgoing(&mut self, number: LetterNumber) -> Option<u64> {
        if self.outgoing.len() >= MAX_LETTERS {
            return None;
        }
        self.outgoing.push(number);
        u64::try_from(self.outgoing.len()).ok()
    }

    /// The number of the letter at a place among those that this node wrote.
    pub(super) fn outgoing(&self, place: u64) -> Option<LetterNumber> {
        let index = usize::try_from(place.checked_sub(1)?).ok()?;
        self.outgoing.get(index).copied()
    }

    /// The places of letters of this node with these numbers.
    pub(super) fn places_of(&self, numbers: &[LetterNumber]) -> Vec<u64> {
        let own = (1_u64..).zip(&self.outgoing);
        own.filter(|(_, number)| numbers.contains(number))
            .map(|(place, _)| place)
            .collect()
    }

    // -- sealing

    /// How a source seals letters to this key block.
    pub(super) fn sealing(&self, kappa: Kappa) -> Option<&LetterSealing> {
        match &self.end {
            LetterEnd::Source { sealing, .. } => {
                sealing.as_ref().filter(|sealing| sealing.kappa == kappa)
            }
            LetterEnd::Reader(_) => None,
        }
    }

    /// Seals letters so from now on.
    pub(super) fn set_sealing(&mut self, new: LetterSealing) {
        if let LetterEnd::Source { sealing, .. } = &mut self.end {
            *sealing = Some(new);
        }
    }

    /// A ticket was found. It may be one of an earlier box, and worth nothing.
    pub(in crate::node::contacts) const fn set_ticket(&mut self, ticket: FirstTicket) {
        if let LetterEnd::Source { sealing, .. } = &mut self.end
            && let Some(sealing) = sealing
        {
            sealing.ticket = Some(ticket);
        }
    }

    // -- state

    /// The change that stores the record; `None` for a source, whose keys stay in memory.
    pub(super) fn put(&self) -> Option<StateChange> {
        let LetterEnd::Reader(request) = &self.end else {
            return None;
        };
        let mut writer = StateWriter::new(VERSION);
        writer.bytes(&self.address.to_bytes());
        writer.array(&request.own.0);
        writer.u8(request.ticket_bits);
        writer.u8(request.decision.code());
        writer.option(self.contact, |writer, key| writer.u64(key.0));
        writer.u8(self.marks.code());
        writer.u32(self.begun.0);
        for numbers in [&self.incoming, &self.outgoing] {
            writer.list(numbers.iter(), |writer, number| writer.array(&number.0));
        }
        let id = self.address.id();
        Some(StateChange::put(
            StateTable::Conversation,
            id.0,
            writer.finish(),
        ))
    }

    /// The change that erases the record; `None` for a source.
    pub(super) fn delete(&self) -> Option<StateChange> {
        let is_stored = matches!(self.end, LetterEnd::Reader(_));
        let id = self.address.id();
        is_stored.then(|| StateChange::delete(StateTable::Conversation, id.0))
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn from_bytes(bytes: &Zeroizing<Vec<u8>>) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let address = LetterAddress::from_bytes(reader.bytes()?)?;
        let request = LetterRequest {
            own: ContactId(reader.array()?),
            ticket_bits: reader.u8()?,
            decision: LetterDecision::of_code(reader.u8()?)?,
        };
        let record = Self {
            address,
            end: LetterEnd::Reader(request),
            contact: reader.option(|reader| reader.u64().map(ContactKey))?,
            marks: ConversationMarks::of_code(reader.u8()?)?,
            begun: UnixSecs(reader.u32()?),
            incoming: reader.list(MAX_LETTERS, |reader| reader.array().map(LetterNumber))?,
            outgoing: reader.list(MAX_LETTERS, |reader| reader.array().map(LetterNumber))?,
        };
        reader.finish()?;
        Ok(record)
    }
}

impl LetterDecision {
    const fn code(self) -> u8 {
        match self {
            Self::Asked => 0,
            Self::Accepted => 1,
            Self::Declined => 2,
        }
    }

    const fn of_code(code: u8) -> Result<Self, BadState> {
        match code {
            0 => Ok(Self::Asked),
            1 => Ok(Self::Accepted),
            2 => Ok(Self::Declined),
            _ => Err(BadState::Field("decision")),
        }
    }
}

/// Maximum number of letters of one end in one exchange.
const MAX_LETTERS: usize = 4096;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::letter::LetterRoot;
    use crate::state::StateRow;

    fn address() -> LetterAddress {
        let root = LetterRoot::from_seed(&[1; 64]);
        let source = root.for_reader(&ContactId([9; 32])).unwrap();
        source.into_address()
    }

    #[test]
    fn record_of_reader_is_read_as_it_was_written() {
        let mut record = LetterRecord::of_reader(address(), ContactId([9; 32]), 17, UnixSecs(5));
        assert_eq!(record.request_bits(), Some(17));
        record.accept(ContactKey(3));
        record.note_incoming(LetterNumber([1; 8]));
        record.note_outgoing(LetterNumber([2; 8]));
        let Some(StateChange::Put { table, id, value }) = record.put() else {
            panic!("a record of a reader is stored");
        };
        assert_eq!(id.as_bytes(), record.address.id().0);
        let row = StateRow { table, id, value };
        let again = LetterRecord::from_bytes(&row.value).unwrap();
        assert_eq!(again.decision(), LetterDecision::Accepted);
        assert_eq!(again.contact(), Some(ContactKey(3)));
        assert_eq!(again.incoming(), [LetterNumber([1; 8])]);
        assert_eq!(again.outgoing(1), Some(LetterNumber([2; 8])));
        assert_eq!(again.address.id(), record.address.id());
    }

    #[test]
    fn record_of_source_is_never_stored() {
        let reader = ContactId([9; 32]);
        let record = LetterRecord::of_source(address(), reader, ContactKey(1), UnixSecs(5));
        assert!(record.put().is_none() && record.delete().is_none());
    }

    #[test]
    fn letter_that_comes_again_has_no_new_place() {
        let mut record = LetterRecord::of_reader(address(), ContactId([9; 32]), 0, UnixSecs(5));
        assert_eq!(record.note_incoming(LetterNumber([1; 8])), Some(1));
        assert_eq!(record.note_incoming(LetterNumber([2; 8])), Some(2));
        assert_eq!(record.note_incoming(LetterNumber([1; 8])), None);
        assert_eq!(record.outgoing(0), None);
        record.note_outgoing(LetterNumber([3; 8]));
        let seen = [LetterNumber([4; 8]), LetterNumber([3; 8])];
        assert_eq!(record.places_of(&seen), [1]);
    }
}
