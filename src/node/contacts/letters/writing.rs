//! Writing letters: every attempt is a first message of its own, made of the stored text.
//!
//! A source writes to the key block of the reader's card, with the work that the card asks for. A reader
//! answers to the keys that the source sent, without work, as no other node knows them.

use circuits::level::Level;
use circuits::time::Now;
use zeroize::Zeroizing;

use super::super::command::{ContactReply, ContactSend, SentMessage};
use super::super::event::ContactStage;
use super::super::history::{HistoryMessage, Sending};
use super::super::pending::{PendingId, PendingMessage, PendingProgress};
use super::super::views::{MessageDirection, SendPriceView};
use super::super::writing::{
    DEFAULT_LIFE, MAX_TIME_SECS, check_filter, no_conversation, no_estimate,
};
use super::super::{ContactContext, Contacts};
use super::LetterRecord;
use super::record::{LetterDecision, LetterSealing};
use crate::contact::card::VerifiedCard;
use crate::contact::conversation::{Attempt, ConversationId, Part};
use crate::contact::first_contact::{
    FirstBox, FirstMode, FirstTicket, FirstTicketSearch, first_body_len,
};
use crate::contact::job::ContactJob;
use crate::contact::letter::{
    LETTER_OVERHEAD, LETTER_WITH_KEYS_OVERHEAD, Letter, LetterNumber, LetterWay, MAX_SEEN,
};
use crate::contact::outer::EnvelopeSealer;
use crate::envelope_builder::SealedShape;
use crate::node::command::Refusal;
use crate::node::effects::Effects;
use crate::node::hex;
use crate::node::input::CommandId;
use crate::node::jobs::{Job, JobOwner};
use crate::node::views::PriceView;

impl Contacts {
    /// Sends a letter. It is answered when the letter is durable.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause; nothing has changed.
    pub(in crate::node::contacts) fn write_letter(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (id, send, further): (ConversationId, &ContactSend, &[Part]),
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        if !further.is_empty() {
            return Err(text_only());
        }
        let price = self.price_of_letter(now, id, send, context)?;
        self.check_room(fx)?;
        let estimate = price.estimate.ok_or_else(no_estimate)?;
        let drawn = LetterNumber::draw(fx.key_rng());
        let mut number = None;
        let change = self.letters.update(id, |record| {
            number = record.note_outgoing(drawn);
        });
        let number = number.ok_or_else(|| {
            Refusal::policy(
                "so many letters were written that no more are kept",
                "forget the contact first (`whisht contact forget`)",
            )
        })?;
        let mut changes: Vec<_> = change.into_iter().collect();
        changes.push(self.pending.add(
            (id, number),
            PendingMessage {
                composed: None,
                level: price.level,
                life: send.life.unwrap_or(DEFAULT_LIFE),
                attempts: 0,
                until: now.unix.after(MAX_TIME_SECS),
                price: Some(PriceView::of(&estimate)),
                progress: PendingProgress::Next(now.unix),
            },
        ));
        let parts = [Part::Text(send.text.to_string())];
        let (_, stored) = self
            .history
            .add(id, outgoing(now, number, &parts, price.level));
        changes.extend(stored);
        let sent = SentMessage {
            conversation: hex(&id.0),
            number,
        };
        Self::store_and_reply(fx, changes, command, ContactReply::Sent(sent));
        self.advance(fx, now, (id, number), context);
        self.schedule(fx, now.mono);
        Ok(())
    }

    /// What a letter would cost.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for which it would not be sent.
    pub(in crate::node::contacts) fn price_of_letter(
        &self,
        now: Now,
        id: ConversationId,
        send: &ContactSend,
        context: ContactContext<'_>,
    ) -> Result<SendPriceView, Refusal> {
        check_filter(context)?;
        if send.attachment.is_some() {
            return Err(text_only());
        }
        if send.text.is_empty() {
            return Err(Refusal::usage("the letter is empty", "write something"));
        }
        let record = self.letters.get(id);
        let record = record.ok_or_else(|| no_conversation(&send.to))?;
        let level = send.level.unwrap_or_else(|| context.send.default_level());
        let mut ticket_bits = 0;
        if record.reader().is_some() {
            let card = self.card_for_letters(now, record, (&send.to, level))?;
            let sealing = record.sealing(card.block().kappa());
            let has_ticket = sealing.is_some_and(|sealing| sealing.ticket.is_some());
            ticket_bits = if has_ticket {
                0
            } else {
                card.terms().ticket_bits
            };
        } else if record.decision() != LetterDecision::Accepted {
            return Err(Refusal::usage(
                format!(
                    "the letters {} are a request that you have not accepted",
                    send.to
                ),
                format!(
                    "accept it first: `whisht contact accept {} --as NAME`",
                    send.to
                ),
            ));
        }
        let body_len = body_len(record, send.text.len());
        let shape = SealedShape {
            body_len,
            is_resync: false,
        };
        let life = send.life.unwrap_or(DEFAULT_LIFE);
        let estimate = context
            .send
            .estimate_shape(now, shape, (level, life), context.others)?;
        Ok(SendPriceView {
            level,
            first: true,
            ticket_bits,
            body_bytes: body_len,
            estimate: Some(estimate),
        })
    }

    /// The card to which a source writes.
    fn card_for_letters(
        &self,
        now: Now,
        record: &LetterRecord,
        (to, level): (&str, Level),
    ) -> Result<&VerifiedCard, Refusal> {
        let reader = record.reader();
        let card = reader.and_then(|reader| self.finder.card(reader, now.unix));
        let card = card.ok_or_else(|| {
            Refusal::policy(
                format!(
                    "no card of {to} is known: its owner is away, or the peers of this node hide it"
                ),
                "wait until one is found (`whisht contact show`); cards are published once a day",
            )
        })?;
        let terms = card.terms();
        if !terms.letters {
            return Err(Refusal::policy(
                format!(
                    "the card of {to} accepts no letters, and this node was started with words"
                ),
                "write from a node with a data directory, without --words",
            ));
        }
        if level < terms.least_level {
            let least = terms.least_level;
            return Err(Refusal::policy(
                format!("the card of {to} asks for level `{least}` or above"),
                format!("send at level `{least}`, or at a higher one"),
            ));
        }
        Ok(card)
    }

    /// Whether letters of a source to this reader cannot be sealed yet: no card is known, or a search for a
    /// ticket runs. Starts the search.
    pub(in crate::node::contacts) fn letter_needs_ticket(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
    ) -> bool {
        let Some(reader) = self.letters.get(id).and_then(LetterRecord::reader) else {
            return false;
        };
        let Some(card) = self.finder.card(reader, now.unix) else {
            return true;
        };
        let (kappa, bits) = (card.block().kappa(), card.terms().ticket_bits);
        let known = self
            .letters
            .get(id)
            .and_then(|record| record.sealing(kappa));
        if known.is_none() {
            let Ok(first_box) = FirstBox::create(fx.key_rng(), card.id(), card.block()) else {
                return true;
            };
            let sealing = LetterSealing {
                kappa,
                first_box,
                ticket: None,
            };
            self.letters
                .update(id, |record| record.set_sealing(sealing));
        }
        let Some(sealing) = self
            .letters
            .get(id)
            .and_then(|record| record.sealing(kappa))
        else {
            return true;
        };
        let enough = sealing
            .ticket
            .is_some_and(|ticket| ticket.bits(sealing.first_box.tau()) >= bits);
        if !enough && !self.first.is_searching(id) {
            let search = FirstTicketSearch::new(fx.key_rng(), sealing.first_box.tau(), bits);
            let job = Job::Contact(Box::new(ContactJob::Ticket(search)));
            let job = fx.start_job(JobOwner::Contact, job);
            self.first.note_search(job, id);
        }
        !enough
    }

    /// Makes the envelopes of an attempt; `None` if the letter or the card is gone.
    pub(in crate::node::contacts) fn letter_attempt(
        &self,
        fx: &mut Effects,
        now: Now,
        id: PendingId,
    ) -> Option<Attempt> {
        let record = self.letters.get(id.0)?;
        let letter = Letter {
            number: record.outgoing(id.1)?,
            seen: record.incoming().to_vec(),
            text: self.letter_text(id)?,
        };
        let Some(reader) = record.reader() else {
            let address = record.address();
            let (to, block) = (address.reply_id(), address.block());
            let first_box = FirstBox::create(fx.key_rng(), to, block).ok()?;
            let content = letter
                .encode(address, LetterWay::ToSource, &first_box)
                .ok()?;
            let (mode, ticket) = (FirstMode::LetterToSource, FirstTicket::default());
            return Some(Attempt {
                sealer: EnvelopeSealer::first(to, block),
                resync: None,
                body: first_box.wrap(fx.key_rng(), ticket, mode, &content),
            });
        };
        let card = self.finder.card(reader, now.unix)?;
        let sealing = record.sealing(card.block().kappa())?;
        let first_box = &sealing.first_box;
        let (mode, content) = if sends_keys(record) {
            let content = letter.encode_with_keys(record.address());
            (FirstMode::LetterWithKeys, content)
        } else {
            let content = letter.encode(record.address(), LetterWay::ToReader, first_box);
            (FirstMode::LetterToReader, content.ok()?)
        };
        Some(Attempt {
            sealer: EnvelopeSealer::first(card.id(), card.block()),
            resync: None,
            body: first_box.wrap(fx.key_rng(), sealing.ticket?, mode, &content),
        })
    }

    fn letter_text(&self, (id, number): PendingId) -> Option<Zeroizing<Vec<u8>>> {
        let message = self.history.sent(id, number)?;
        let parts = Part::decode_all(&message.parts).ok()?;
        parts.into_iter().find_map(|part| match part {
            Part::Text(text) => Some(Zeroizing::new(text.into_bytes())),
            _ => None,
        })
    }
}

/// Until an answer comes, the reader may not have the keys of the source.
fn sends_keys(record: &LetterRecord) -> bool {
    record.reader().is_some() && record.incoming().is_empty()
}

fn body_len(record: &LetterRecord, text: usize) -> usize {
    let overhead = if sends_keys(record) {
        LETTER_WITH_KEYS_OVERHEAD
    } else {
        LETTER_OVERHEAD
    };
    let seen = record.incoming().len().min(MAX_SEEN);
    let seen = seen.saturating_mul(size_of::<LetterNumber>());
    first_body_len(overhead.saturating_add(seen).saturating_add(text))
}

fn outgoing(now: Now, number: u64, parts: &[Part], level: Level) -> HistoryMessage {
    HistoryMessage {
        direction: MessageDirection::Out,
        number,
        time: now.unix,
        parts: Part::encode_all(parts).unwrap_or_default(),
        is_read: true,
        sending: Some(Sending {
            level,
            stage: ContactStage::Sealing { attempt: 1 },
        }),
    }
}

fn text_only() -> Refusal {
    Refusal::usage(
        "a letter carries text only",
        "send the text without the rest",
    )
}

/// An answer to a source that is not seen is sent again after so long, in seconds: 60 hours. The envelopes
/// of the attempt before may have ended then, and the source may have been away.
pub(in crate::node::contacts) const RESEND_SECS: u32 = 60 * 3_600;
