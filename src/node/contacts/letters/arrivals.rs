//! Letters that came: a new one becomes a message, one that came before changes nothing that is seen.

use circuits::time::Now;

use super::super::Contacts;
use super::super::event::{ContactEvent, ContactStage};
use super::record::LetterDecision;
use super::{LetterRecord, exchange_of};
use crate::contact::conversation::{ConversationId, Part};
use crate::contact::first_contact::{FirstContent, FirstMode, Tau};
use crate::contact::id::ContactId;
use crate::contact::letter::{Letter, LetterWay};
use crate::node::effects::{Counter, Effects};
use crate::state::StateChange;

/// The box in which a letter came.
pub(in crate::node::contacts) struct LetterBox {
    /// The id that it names: an own address, or the one to which answers to this source go.
    pub(in crate::node::contacts) own: ContactId,
    /// Its transcript.
    pub(in crate::node::contacts) tau: Tau,
    /// The changes that keep its envelopes from being opened again.
    pub(in crate::node::contacts) seen: Vec<StateChange>,
}

/// A letter of an exchange.
struct ArrivedLetter {
    exchange: ConversationId,
    letter: Letter,
    /// The exchange, if it begins with this letter.
    begins: Option<LetterRecord>,
}

impl Contacts {
    /// A box contains a letter.
    pub(in crate::node::contacts) fn on_letter(
        &mut self,
        fx: &mut Effects,
        now: Now,
        within: LetterBox,
        content: &FirstContent,
    ) {
        let arrived = match content.mode {
            FirstMode::Conversation => None,
            FirstMode::LetterToSource => self.open_answer(&within, content),
            FirstMode::LetterWithKeys | FirstMode::LetterToReader => {
                self.open_letter(now, &within, content)
            }
        };
        let Some(arrived) = arrived else {
            return;
        };
        let Ok(text) = core::str::from_utf8(&arrived.letter.text) else {
            return fx.count(Counter::Malformed);
        };
        let text = Part::Text(text.to_owned());
        let mut changes = within.seen;
        let is_new_request = arrived.begins.is_some();
        changes.extend(arrived.begins.and_then(|new| self.letters.add(new).1));
        self.take_letter(fx, now, arrived.exchange, (&arrived.letter, text), changes);
        if is_new_request {
            self.note_request(fx, now, arrived.exchange, &within.own);
        } else {
            self.measure_request(arrived.exchange);
        }
    }

    /// A letter to an own address.
    fn open_letter(
        &self,
        now: Now,
        within: &LetterBox,
        content: &FirstContent,
    ) -> Option<ArrivedLetter> {
        let mut addresses = self.own.addresses();
        let address = addresses.find(|address| *address.id() == within.own)?;
        let required = self.required_ticket_bits(&within.own, now.unix);
        if !address.terms().letters || content.ticket_bits < required {
            return None;
        }
        if content.mode == FirstMode::LetterToReader {
            let source = Letter::source_of(&content.content).ok()?;
            let exchange = self.letters.of_source(source)?;
            let record = self.letters.get(exchange)?;
            let way = LetterWay::ToReader;
            let letter = Letter::decode(&content.content, record.address(), way, &within.tau);
            return Some(ArrivedLetter {
                exchange,
                letter: letter.ok().filter(|_| record.own().is_some())?,
                begins: None,
            });
        }
        let (address, letter) = Letter::decode_with_keys(&content.content).ok()?;
        let exchange = exchange_of(&address);
        let begins = match self.letters.get(exchange) {
            // Only the source knows the key by which letters are authenticated.
            Some(known) if known.address().id() == address.id() && known.own().is_some() => None,
            Some(_) => return None,
            None => {
                let bits = content.ticket_bits;
                Some(LetterRecord::of_reader(address, within.own, bits, now.unix))
            }
        };
        Some(ArrivedLetter {
            exchange,
            letter,
            begins,
        })
    }

    /// An answer to a letter of this node.
    fn open_answer(&self, within: &LetterBox, content: &FirstContent) -> Option<ArrivedLetter> {
        let exchange = ConversationId(within.own.0);
        let record = self.letters.get(exchange)?;
        record.reader()?;
        let way = LetterWay::ToSource;
        let letter = Letter::decode(&content.content, record.address(), way, &within.tau);
        Some(ArrivedLetter {
            exchange,
            letter: letter.ok()?,
            begins: None,
        })
    }

    /// Stores a letter and what it says about those of this node, and tells the user of it afterwards.
    fn take_letter(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        (letter, text): (&Letter, Part),
        mut changes: Vec<StateChange>,
    ) {
        let mut place = None;
        let mut answered = Vec::new();
        let is_declined = self
            .letters
            .get(id)
            .is_some_and(|record| record.decision() == LetterDecision::Declined);
        if !is_declined {
            changes.extend(self.letters.update(id, |record| {
                answered = record.places_of(&letter.seen);
                place = record.note_incoming(letter.number);
            }));
        }
        let mut events = Vec::new();
        self.note_letters_seen(fx, id, &answered, &mut changes, &mut events);
        if let Some(number) = place {
            let place = self.add_incoming(now, id, number, &[text], &mut changes);
            events.extend(self.message_view(id, place).map(ContactEvent::Message));
            events.extend(self.conversation_view(id).map(ContactEvent::Conversation));
        }
        if self
            .letters
            .get(id)
            .is_none_or(|record| record.marks().is_muted)
        {
            events.clear();
        }
        Self::store_and_notify(fx, changes, events);
        self.schedule(fx, now.mono);
    }

    /// Letters of this node that the other end has.
    fn note_letters_seen(
        &mut self,
        fx: &mut Effects,
        id: ConversationId,
        answered: &[u64],
        changes: &mut Vec<StateChange>,
        events: &mut Vec<ContactEvent>,
    ) {
        let waiting: Vec<_> = answered
            .iter()
            .copied()
            .filter(|number| self.pending.get((id, *number)).is_some())
            .collect();
        self.note_answers(fx, id, &waiting, changes, events);
        // A letter whose time was over may be seen all the same.
        for number in answered {
            let stage = ContactStage::Answered;
            changes.extend(self.history.set_stage(id, *number, stage));
        }
    }
}
