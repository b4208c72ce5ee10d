//! Writing: from what the user says to a message that is durable, and its first attempt.
//!
//! Everything that can be refused is checked before a conversation changes: a number that is used up and
//! never sent would be shown as a gap at the other side.

use core::time::Duration;

use circuits::level::Level;
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

use super::arrivals::day_of;
use super::book::ContactKey;
use super::command::{Attachment, ContactReply, ContactSend, IntroductionRequest, SentMessage};
use super::conversations::ConversationUpdate;
use super::event::ContactStage;
use super::file_parts::stored_parts;
use super::history::{HistoryMessage, Sending};
use super::pending::{PendingId, PendingMessage, PendingProgress};
use super::record::ConversationFacts;
use super::views::{MessageDirection, SendPriceView};
use super::{ContactContext, Contacts};
use crate::contact::card::VerifiedCard;
use crate::contact::conversation::{
    ComposeError, Conversation, ConversationId, ConversationState, Part,
};
use crate::contact::first_contact::FirstBox;
use crate::contact::parts;
use crate::envelope_builder::SealedShape;
use crate::node::action::{Action, TransferAction};
use crate::node::command::Refusal;
use crate::node::effects::Effects;
use crate::node::hex;
use crate::node::input::CommandId;
use crate::node::views::PriceView;
use crate::state::StateChange;

/// Where a message goes.
pub(super) enum Target {
    /// Into a conversation.
    Conversation(ConversationId),
    /// To the owner of a card, in a new conversation.
    Card(ContactKey, Box<VerifiedCard>),
}

/// A message that was checked and not composed yet.
pub(super) struct Draft {
    target: Target,
    parts: Vec<Part>,
    level: Level,
    life: Duration,
    /// The stale conversation that it continues.
    pub(super) renews: Option<ConversationId>,
    /// Whether it reports files that arrived.
    reports_files: bool,
}

/// A message that was composed. Its changes have to be stored.
pub(in crate::node) struct WrittenMessage {
    /// Its conversation.
    pub(in crate::node) conversation: ConversationId,
    /// Its number.
    pub(in crate::node) number: u64,
    /// What stores it.
    pub(in crate::node) changes: Vec<StateChange>,
}

impl Contacts {
    // -- commands

    /// Sends a message. It is answered when the message is durable.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause; nothing has changed.
    pub(super) fn write(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        send: &ContactSend,
        further: Vec<Part>,
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        if let Some(id) = self.letters_with(&send.to) {
            return self.write_letter(fx, now, command, (id, send, &further), context);
        }
        let target = self.target(now, &send.to)?;
        let draft = self.draft(target, send, further, context)?;
        self.write_draft(fx, now, command, draft, context)
    }

    /// Stores a message, answers the command once it is durable, and begins to send it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the message cannot be written; nothing is stored then.
    pub(super) fn write_draft(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        draft: Draft,
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        let written = self.compose_draft(fx, now, draft, context)?;
        let id = (written.conversation, written.number);
        let sent = SentMessage {
            conversation: hex(&written.conversation.0),
            number: written.number,
        };
        Self::store_and_reply(fx, written.changes, command, ContactReply::Sent(sent));
        self.begin_message(fx, now, id, context);
        Ok(())
    }

    /// Composes a message. The caller stores the changes, and then
    /// [begins](Self::begin_message) to send it.
    pub(super) fn compose_draft(
        &mut self,
        fx: &mut Effects,
        now: Now,
        mut draft: Draft,
        context: ContactContext<'_>,
    ) -> Result<WrittenMessage, Refusal> {
        self.check_room(fx)?;
        let price = self.price_of(now, &draft, context)?;
        // A level that cannot be used now is refused before a number is used up.
        let estimate = price.estimate.ok_or_else(no_estimate)?;
        let (id, mut changes) = self.open_target(fx, now, &draft)?;
        // The proof names the new conversation, so it is made when that exists.
        let old = draft.renews.and_then(|old| self.conversations.get(old));
        draft
            .parts
            .extend(old.map(|old| old.conversation.continuity(&id)));
        let rng = fx.key_rng();
        let update = self.conversations.update(id, now.unix, |record| {
            let composed = record.conversation.compose(rng, now.unix, &draft.parts);
            if composed.is_ok() && draft.parts.contains(&Part::Goodbye) {
                record.conversation.close(now.unix);
            }
            composed
        });
        let Some(ConversationUpdate { result, change, .. }) = update else {
            return Err(no_conversation(&hex(&id.0)));
        };
        let composed = result.map_err(|error| refused(&error))?;
        changes.push(change);
        let number = composed.number();
        changes.push(self.pending.add(
            (id, number),
            PendingMessage {
                composed: Some(composed),
                level: draft.level,
                life: draft.life,
                attempts: 0,
                until: now.unix.after(MAX_TIME_SECS),
                price: Some(PriceView::of(&estimate)),
                progress: PendingProgress::Next(now.unix),
            },
        ));
        changes.extend(self.add_outgoing(now, id, number, &draft));
        if draft.reports_files {
            fx.request(Action::Transfer(TransferAction::Reported(id)));
        }
        Ok(WrittenMessage {
            conversation: id,
            number,
            changes,
        })
    }

    /// Takes the first step of a message whose changes are stored.
    pub(in crate::node) fn begin_message(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: PendingId,
        context: ContactContext<'_>,
    ) {
        self.advance(fx, now, id, context);
        self.schedule(fx, now.mono);
    }

    /// What a message would cost.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for which [`write`](Self::write) would refuse it.
    pub(in crate::node) fn price(
        &self,
        now: Now,
        send: &ContactSend,
        context: ContactContext<'_>,
    ) -> Result<SendPriceView, Refusal> {
        if let Some(id) = self.letters_with(&send.to) {
            return self.price_of_letter(now, id, send, context);
        }
        let target = self.target(now, &send.to)?;
        let draft = self.draft(target, send, Vec::new(), context)?;
        self.price_of(now, &draft, context)
    }

    /// Introduces a contact to another one.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause.
    pub(super) fn introduce(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        introduction: &IntroductionRequest,
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        let (_, about) = self.book.named(&introduction.about)?;
        let id = about.id.ok_or_else(|| {
            Refusal::usage(
                format!("{} has shown no address", introduction.about),
                "introduce a contact whose address you have",
            )
        })?;
        let part = Part::Introduction(parts::Introduction {
            id,
            day: day_of(now),
            how: introduction.how.code(),
            name: about.name.clone(),
            note: introduction.note.clone(),
        });
        self.write(fx, now, command, &introduction.send, vec![part], context)
    }

    // -- steps

    /// Where a message to this name goes.
    pub(super) fn target(&self, now: Now, to: &str) -> Result<Target, Refusal> {
        let Some((key, entry)) = self.book.by_name(to) else {
            return Ok(Target::Conversation(self.conversation_named(to)?));
        };
        if let Some(id) = self.conversations.writable_of(key) {
            return Ok(Target::Conversation(id));
        }
        if entry.is_pending {
            return Err(Refusal::usage(
                format!("{to} was introduced, and you have not accepted it"),
                format!("accept it first: `whisht contact accept {to}`"),
            ));
        }
        let id = entry.id.ok_or_else(|| {
            Refusal::usage(
                format!("the conversation with {to} is closed, and {to} has shown no address"),
                "wait until the other side writes again",
            )
        })?;
        match self.finder.card(&id, now.unix) {
            Some(card) => Ok(Target::Card(key, Box::new(card.clone()))),
            None => Err(Refusal::policy(
                format!(
                    "no card of {to} is known: its owner is away, or the peers of this node hide it"
                ),
                "wait until one is found (`whisht contact show`); cards are published once a day",
            )),
        }
    }

    /// What a user's message consists of: its parts, the reports about files that travel with it, its level.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the message is empty, or its level is below what the card asks for.
    pub(super) fn draft(
        &self,
        target: Target,
        send: &ContactSend,
        further: Vec<Part>,
        context: ContactContext<'_>,
    ) -> Result<Draft, Refusal> {
        check_filter(context)?;
        let level = send.level.unwrap_or_else(|| context.send.default_level());
        if let Target::Card(_, card) = &target
            && level < card.terms().least_level
        {
            let least = card.terms().least_level;
            return Err(Refusal::policy(
                format!("the card of {} asks for level `{least}` or above", send.to),
                format!("send at level `{least}`, or at a higher one"),
            ));
        }
        let mut parts = Vec::new();
        if !send.text.is_empty() {
            parts.push(Part::Text(send.text.to_string()));
        }
        parts.extend(send.attachment.as_ref().map(file_part));
        parts.extend(further);
        if parts.is_empty() {
            return Err(Refusal::usage("the message is empty", "write something"));
        }
        let reports = match &target {
            Target::Conversation(id) => context.transfers.reports(*id),
            Target::Card(..) => Vec::new(),
        };
        let reports_files = !reports.is_empty();
        parts.extend(reports);
        Ok(Draft {
            target,
            parts,
            level,
            life: send.life.unwrap_or(DEFAULT_LIFE),
            renews: None,
            reports_files,
        })
    }

    /// Checks that there is room for another message without answer.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there are [`MAX_PENDING`], or the disk is behind.
    pub(super) fn check_room(&self, fx: &Effects) -> Result<(), Refusal> {
        if fx.state_is_congested() {
            return Err(Refusal::policy(
                "the disk is slow: changes that were made before wait to be stored",
                "try again in a moment",
            ));
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(Refusal::policy(
                format!("{MAX_PENDING} messages are without answer, the most that a node keeps"),
                "wait for answers, or cancel some (`whisht outbox`)",
            ));
        }
        Ok(())
    }

    fn price_of(
        &self,
        now: Now,
        draft: &Draft,
        context: ContactContext<'_>,
    ) -> Result<SendPriceView, Refusal> {
        let encoded = Part::encode_all(&draft.parts);
        let encoded = encoded.map_err(|error| Refusal::usage(error.to_string(), "shorten it"))?;
        let proof = draft.renews.map_or(0, |_| CONTINUITY_LEN);
        let len = encoded.len().saturating_add(proof);
        let (body_len, first, ticket_bits) = match &draft.target {
            Target::Conversation(id) => {
                let record = self.conversations.get(*id);
                let record = record.ok_or_else(|| no_conversation(&hex(&id.0)))?;
                let conversation = &record.conversation;
                let first = conversation.state() == ConversationState::Opening;
                let bits = conversation
                    .needs_ticket()
                    .then_some(record.facts.ticket_bits);
                let len = conversation.body_len(now.unix, len);
                (len, first, bits.unwrap_or(0))
            }
            Target::Card(_, card) => {
                // Nothing of this conversation is used: it only tells the length.
                let mut rng = ChaCha20Rng::from_seed([0; 32]);
                let conversation = begin(&mut rng, now, card)?;
                let len = conversation.body_len(now.unix, len);
                (len, true, card.terms().ticket_bits)
            }
        };
        let shape = SealedShape {
            body_len,
            is_resync: false,
        };
        let (level, life) = (draft.level, draft.life);
        let estimate = context
            .send
            .estimate_shape(now, shape, (level, life), context.others)?;
        Ok(SendPriceView {
            level,
            first,
            ticket_bits,
            body_bytes: body_len,
            estimate: Some(estimate),
        })
    }

    /// The conversation of a draft; begins it if there is none.
    fn open_target(
        &mut self,
        fx: &mut Effects,
        now: Now,
        draft: &Draft,
    ) -> Result<(ConversationId, Vec<StateChange>), Refusal> {
        let (key, card) = match &draft.target {
            Target::Conversation(id) => return Ok((*id, Vec::new())),
            Target::Card(key, card) => (*key, card),
        };
        if self.conversations.len() >= MAX_CONVERSATIONS {
            return Err(Refusal::policy(
                format!("there are {MAX_CONVERSATIONS} conversations, the most that a node keeps"),
                "forget one first (`whisht contact forget`)",
            ));
        }
        let conversation = begin(fx.key_rng(), now, card)?;
        let mut facts = ConversationFacts::new(now.unix, card.terms().ticket_bits);
        facts.contact = Some(key);
        let (id, change) = self.conversations.add(conversation, facts);
        self.conversations.follow(id, now.unix);
        Ok((id, vec![change]))
    }

    fn add_outgoing(
        &mut self,
        now: Now,
        id: ConversationId,
        number: u64,
        draft: &Draft,
    ) -> Vec<StateChange> {
        let parts = stored_parts(&draft.parts);
        let (_, changes) = self.history.add(
            id,
            HistoryMessage {
                direction: MessageDirection::Out,
                number,
                time: now.unix,
                parts,
                is_read: true,
                sending: Some(Sending {
                    level: draft.level,
                    stage: ContactStage::Sealing { attempt: 1 },
                }),
            },
        );
        changes
    }
}

/// Begins a conversation with the owner of a card.
fn begin(rng: &mut impl CryptoRng, now: Now, card: &VerifiedCard) -> Result<Conversation, Refusal> {
    let unusable = |error: &dyn core::fmt::Display| {
        let cause = format!("the card cannot be used: {error}");
        Refusal::policy(cause, "wait for another one")
    };
    let first_box = FirstBox::create(rng, card.id(), card.block());
    let first_box = first_box.map_err(|error| unusable(&error))?;
    let started = Conversation::start(now.unix, card.block(), card.id(), first_box);
    started.map_err(|error| unusable(&error))
}

/// Refuses to write from a node that would not hear the answer.
///
/// # Errors
///
/// [`Refusal`] if the node requests chosen topics only.
pub(super) fn check_filter(context: ContactContext<'_>) -> Result<(), Refusal> {
    if context.others.gossip.has_narrow_bloom() {
        return Err(Refusal::policy(
            "this node requests chosen topics only, which would hide answers from it",
            "use contacts on a node without a Bloom filter of its own",
        ));
    }
    Ok(())
}

fn file_part(attachment: &Attachment) -> Part {
    Part::SmallFile {
        name: attachment.name.clone(),
        bytes: attachment.bytes.to_vec(),
    }
}

fn refused(error: &ComposeError) -> Refusal {
    let text = error.to_string();
    match text.split_once(": ") {
        Some((cause, remedy)) => Refusal::policy(cause, remedy),
        None => Refusal::policy(text, "see `whisht contact show`"),
    }
}

pub(super) fn no_estimate() -> Refusal {
    Refusal::policy("the message cannot be estimated", "try again in a moment")
}

pub(super) fn no_conversation(named: &str) -> Refusal {
    Refusal::usage(
        format!("there is no conversation {named:?}"),
        "`whisht inbox` lists them",
    )
}

/// Minimum lifetime of the envelopes of a message for which the user asks none: the other side may be away
/// for two days.
pub(super) const DEFAULT_LIFE: Duration = Duration::from_secs(48 * 3_600);
/// Time during which the user can ask for further attempts, in seconds: that of the key block of a card.
pub(super) const MAX_TIME_SECS: u32 = 14 * 86_400;
/// Length of the proof of an earlier conversation, with its head.
const CONTINUITY_LEN: usize = parts::PART_HEAD_LEN + 64;
/// Maximum number of messages without answer.
const MAX_PENDING: usize = 1024;
/// Maximum number of conversations.
const MAX_CONVERSATIONS: usize = 4096;
