//! Letters: contact with a source that keeps twelve words and stores nothing.
//!
//! A node whose user typed words is a source: it writes to a contact by letters, and derives the keys for
//! the answers again in every run. Any other node is a reader: letters become a request, and then an
//! exchange that is kept as a conversation is. History and pending messages are those of conversations; an
//! exchange takes the place of a conversation in them, under an id of its own. The keys of a source are
//! never given to the disk.

mod arrivals;
mod record;
mod show;
mod writing;

use std::collections::BTreeMap;

use circuits::time::{Now, UnixSecs};

pub(super) use self::arrivals::LetterBox;
pub(super) use self::record::{LetterDecision, LetterRecord};
pub(super) use self::writing::RESEND_SECS;

use super::Contacts;
use super::book::ContactKey;
use crate::contact::codec::BadState;
use crate::contact::conversation::ConversationId;
use crate::contact::id::ContactId;
use crate::contact::letter::{LetterAddress, LetterRoot, LetterSourceId};
use crate::contact::scan::FirstRecipient;
use crate::node::command::Refusal;
use crate::node::effects::Effects;
use crate::state::{StateChange, StateRow};

/// The exchanges of letters of this node.
#[derive(Default)]
pub(super) struct Letters {
    /// What the user's words give, if this node is a source.
    root: Option<LetterRoot>,
    records: BTreeMap<ConversationId, LetterRecord>,
}

/// The id of an exchange, the same at both ends.
pub(super) const fn exchange_of(address: &LetterAddress) -> ConversationId {
    ConversationId(address.reply_id().0)
}

impl Letters {
    /// Reads a row of the last run. Returns whether it is one of letters.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<bool, BadState> {
        if row.id.as_bytes().len() != size_of::<LetterSourceId>() {
            return Ok(false);
        }
        let record = LetterRecord::from_bytes(&row.value)?;
        self.records.insert(exchange_of(record.address()), record);
        Ok(true)
    }

    /// An exchange.
    pub(super) fn get(&self, id: ConversationId) -> Option<&LetterRecord> {
        self.records.get(&id)
    }

    /// Whether there is such an exchange.
    pub(super) fn has(&self, id: ConversationId) -> bool {
        self.records.contains_key(&id)
    }

    /// Whether this node answers letters in it: such answers are sent again until they are seen.
    pub(super) fn is_reader(&self, id: ConversationId) -> bool {
        let record = self.records.get(&id);
        record.is_some_and(|record| record.reader().is_none())
    }

    /// All exchanges.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConversationId, &LetterRecord)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// The exchange with a contact.
    pub(super) fn of_contact(&self, contact: ContactKey) -> Option<ConversationId> {
        let mut records = self.iter();
        let own = records.find(|(_, record)| record.contact() == Some(contact));
        own.map(|(id, _)| id)
    }

    /// The exchange with a source.
    fn of_source(&self, source: LetterSourceId) -> Option<ConversationId> {
        let mut records = self.iter();
        let own = records.find(|(_, record)| record.address().id() == source);
        own.map(|(id, _)| id)
    }

    /// Number of requests by letter to an own address.
    pub(super) fn requests_to(&self, own: &ContactId) -> usize {
        let records = self.records.values();
        let asked = records.filter(|record| record.request_bits().is_some());
        asked.filter(|record| record.own() == Some(own)).count()
    }

    /// The keys with which answers to this node are opened.
    pub(super) fn recipients(&self) -> Vec<FirstRecipient> {
        let Some(root) = &self.root else {
            return Vec::new();
        };
        let readers = self.records.values().filter_map(LetterRecord::reader);
        let sources = readers.filter_map(|reader| root.for_reader(reader).ok());
        sources.map(|source| source.recipient()).collect()
    }

    /// Adds an exchange. Returns its id, and what stores it.
    fn add(&mut self, record: LetterRecord) -> (ConversationId, Option<StateChange>) {
        let id = exchange_of(record.address());
        let change = record.put();
        self.records.insert(id, record);
        (id, change)
    }

    /// Changes an exchange. Returns what stores it; nothing for a source.
    pub(super) fn update(
        &mut self,
        id: ConversationId,
        change: impl FnOnce(&mut LetterRecord),
    ) -> Option<StateChange> {
        let record = self.records.get_mut(&id)?;
        change(record);
        record.put()
    }

    /// Erases an exchange.
    pub(super) fn remove(&mut self, id: ConversationId) -> Option<StateChange> {
        self.records.remove(&id)?.delete()
    }

    /// Begins to write to a contact by letters, if this node is a source and does not do so yet.
    fn begin(&mut self, contact: ContactKey, reader: ContactId, now: UnixSecs) {
        let Some(root) = &self.root else {
            return;
        };
        // Derived keys are never refused.
        if let Ok(source) = root.for_reader(&reader) {
            let address = source.into_address();
            let id = exchange_of(&address);
            self.records
                .entry(id)
                .or_insert_with(|| LetterRecord::of_source(address, reader, contact, now));
        }
    }
}

impl Contacts {
    /// Makes this node a source that writes by letters from now on.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it has words already: letters of one run have one source.
    pub(super) fn open_letters(
        &mut self,
        fx: &mut Effects,
        now: Now,
        root: LetterRoot,
    ) -> Result<(), Refusal> {
        if self.letters.root.is_some() {
            return Err(Refusal::usage(
                "this node has the words of a source already",
                "start another node for other words",
            ));
        }
        self.letters.root = Some(root);
        self.follow_letters(fx, now);
        Ok(())
    }

    /// A source writes to every contact with an address by letters.
    pub(super) fn follow_letters(&mut self, fx: &mut Effects, now: Now) {
        if self.letters.root.is_none() {
            return;
        }
        for (key, entry) in self.book.sorted() {
            if let Some(id) = entry.id.filter(|_| !entry.is_pending) {
                self.letters.begin(key, id, now.unix);
            }
        }
        self.follow_keys(fx, now);
    }

    /// The exchange of letters that a message to this name belongs to; `None` if it belongs to a
    /// conversation.
    pub(super) fn letters_with(&self, to: &str) -> Option<ConversationId> {
        match self.book.by_name(to) {
            Some((key, _)) if self.conversations.writable_of(key).is_none() => {
                self.letters.of_contact(key)
            }
            Some(_) => None,
            None => {
                let id = self.conversation_named(to).ok();
                id.filter(|id| self.letters.has(*id))
            }
        }
    }
}
