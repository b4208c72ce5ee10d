//! Views of contacts and conversations.

use circuits::time::{Now, UnixSecs};

use super::book::ContactKey;
use super::command::{ContactReply, HistoryQuery, HowKnown};
use super::commands::not_begun;
use super::history::HistoryMessage;
use super::views::{
    AddressView, CardView, ContactState, ContactView, ConversationMessageView,
    ConversationStateView, ConversationView, FileVerdictView, IntroducedView, MessageDirection,
    MessagePartView, MissingCardView,
};
use super::{ContactContext, Contacts};
use crate::contact::card::VerifiedCard;
use crate::contact::conversation::{ConversationId, ConversationState, Part};
use crate::contact::id::ContactId;
use crate::contact::voice::VoiceWords;
use crate::node::command::Refusal;
use crate::node::hex;
use crate::transfer::answer::{FileAnswer, FileVerdict};
use crate::transfer::offer::FileOffer;
use crate::transfer::talk_part::TalkAnswer;

impl Contacts {
    /// Why cards of own addresses that are due cannot be published now.
    pub(in crate::node) fn cards_wait(&self) -> Option<String> {
        self.own.any_obstacle().map(str::to_owned)
    }

    /// An own address.
    pub(super) fn address_view(&self, now: Now, id: &ContactId) -> Option<AddressView> {
        let address = self.own.addresses().find(|address| address.id() == id)?;
        let terms = address.terms();
        let next = self.own.next_planned(id);
        let requests = self
            .conversations
            .iter()
            .filter(|(_, record)| record.is_request() && record.facts.own.as_ref() == Some(id));
        let requests = requests
            .count()
            .saturating_add(self.letters.requests_to(id));
        Some(AddressView {
            name: address.name().to_owned(),
            id: hex(&id.0),
            cards: self.own.published_today(id, now.unix),
            next_card_secs: next.map(|at| at.0.saturating_sub(now.unix.0).into()),
            obstacle: self.own.obstacle(id).map(str::to_owned),
            least_level: terms.least_level,
            ticket_bits: terms.ticket_bits,
            requests,
        })
    }

    /// A contact.
    pub(super) fn contact_view(
        &self,
        now: Now,
        key: ContactKey,
        context: ContactContext<'_>,
    ) -> Option<ContactView> {
        let entry = self.book.get(key)?;
        let id = entry.id.as_ref();
        let card = id.and_then(|id| self.finder.card(id, now.unix));
        let state = match card {
            _ if entry.is_pending => ContactState::Introduced,
            Some(_) => ContactState::Ready,
            None => ContactState::Named,
        };
        let looks_for = id.filter(|_| state == ContactState::Named);
        let introduced = entry.introduced.as_ref().map(|introduced| IntroducedView {
            by: introduced.by.clone(),
            how: introduced.how,
            day: introduced.day,
            note: introduced.note.clone(),
        });
        let mut conversations = self.conversations.of_contact(key);
        conversations.extend(self.letters.of_contact(key));
        Some(ContactView {
            name: entry.name.clone(),
            id: id.map(|id| hex(&id.0)),
            state,
            words: id.map(|id| VoiceWords::of(id).words().join(" ")),
            verified: entry.is_verified,
            card: card.map(card_view),
            missing_card: looks_for.map(|id| MissingCardView {
                peers: context.others.peers.connected(),
                pool_envelopes: context.others.gossip.pool().len(),
                since_secs: self.finder.newest(id).map(|card| {
                    let since = now.unix.0.saturating_sub(card.ends().0);
                    since.into()
                }),
            }),
            introduced,
            conversations: conversations.iter().map(|id| hex(&id.0)).collect(),
        })
    }

    /// The card of an own address or of a contact.
    pub(super) fn card_of(&self, now: Now, name: &str) -> Option<CardView> {
        if let Ok(own) = self.own.named(name) {
            let id = own.id();
            let card = self.own.card(id, now.unix)?.clone();
            let period = card.claimed_period()?;
            return card.verify(id, period).ok().as_ref().map(card_view);
        }
        let (_, entry) = self.book.by_name(name)?;
        let card = self.finder.card(entry.id.as_ref()?, now.unix);
        card.map(card_view)
    }

    /// A conversation; `None` if there is none, or the user declined it.
    pub(super) fn conversation_view(&self, id: ConversationId) -> Option<ConversationView> {
        let Some(record) = self.conversations.get(id) else {
            return self.letters_view(id);
        };
        if record.facts.is_declined {
            return None;
        }
        let facts = &record.facts;
        let own = facts.own.as_ref();
        let (messages, unread, last) = self.history_counts(id, facts.begun);
        Some(ConversationView {
            id: hex(&id.0),
            contact: self.contact_name(id),
            to: own
                .and_then(|own| self.own.addresses().find(|address| address.id() == own))
                .map(|address| address.name().to_owned()),
            state: state_view(record.conversation.state()),
            letters: false,
            messages,
            unread,
            last: last.0.into(),
            epoch: record.conversation.newest_epoch(),
            missing: record.conversation.missing(),
            muted: facts.marks.is_muted,
            starred: facts.marks.is_starred,
            restored_day: facts.restored_day,
        })
    }

    /// The numbers of messages and of unread ones, and when the last was stored.
    pub(super) fn history_counts(
        &self,
        id: ConversationId,
        begun: UnixSecs,
    ) -> (usize, usize, UnixSecs) {
        let (mut messages, mut unread, mut last) = (0_usize, 0_usize, begun);
        for (_, message) in self.history.of(id) {
            messages = messages.saturating_add(1);
            unread = unread.saturating_add(usize::from(!message.is_read));
            last = last.max(message.time);
        }
        (messages, unread, last)
    }

    /// A message of a conversation by its place.
    pub(super) fn message_view(
        &self,
        id: ConversationId,
        place: u64,
    ) -> Option<ConversationMessageView> {
        let message = self.history.get((id, place))?;
        Some(self.view_of_message(id, place, message))
    }

    /// The messages of a conversation with places after `after`.
    pub(super) fn message_views(
        &self,
        id: ConversationId,
        after: u64,
    ) -> Vec<ConversationMessageView> {
        let messages = self.history.of(id);
        messages
            .filter(|(place, _)| *place > after)
            .map(|(place, message)| self.view_of_message(id, place, message))
            .collect()
    }

    /// The messages of a conversation that a query selects, in their order.
    pub(super) fn selected_messages(
        &self,
        id: ConversationId,
        query: &HistoryQuery,
    ) -> Vec<ConversationMessageView> {
        let messages = self.history.of(id).rev();
        let messages = messages
            .take_while(|(place, _)| *place > query.after)
            .filter(|(_, message)| query.selects(message))
            .take(query.limit.unwrap_or(usize::MAX));
        let mut views: Vec<_> = messages
            .map(|(place, message)| self.view_of_message(id, place, message))
            .collect();
        views.reverse();
        views
    }

    /// A conversation, with the messages that `messages` selects.
    pub(super) fn conversation_reply(
        &self,
        of: &str,
        messages: impl FnOnce(&Self, ConversationId) -> Vec<ConversationMessageView>,
    ) -> Result<ContactReply, Refusal> {
        let id = self.conversation_named(of)?;
        let view = self.conversation_view(id);
        Ok(ContactReply::Conversation {
            // A conversation of letters begins with the first one.
            conversation: view.ok_or_else(|| not_begun(of))?,
            messages: messages(self, id),
        })
    }

    /// The last messages of a conversation with places before `before`, in their order.
    pub(super) fn message_page(
        &self,
        id: ConversationId,
        before: u64,
        limit: usize,
    ) -> Vec<ConversationMessageView> {
        let messages = self.history.of(id).rev();
        let messages = messages.filter(|(place, _)| *place < before).take(limit);
        let mut views: Vec<_> = messages
            .map(|(place, message)| self.view_of_message(id, place, message))
            .collect();
        views.reverse();
        views
    }

    fn view_of_message(
        &self,
        id: ConversationId,
        place: u64,
        message: &HistoryMessage,
    ) -> ConversationMessageView {
        let parts = Part::decode_all(&message.parts).unwrap_or_default();
        ConversationMessageView {
            conversation: hex(&id.0),
            contact: self.contact_name(id),
            place,
            direction: message.direction,
            number: message.number,
            time: message.time.0.into(),
            parts: parts.into_iter().filter_map(part_view).collect(),
            stage: message
                .sending
                .as_ref()
                .map(|sending| sending.stage.clone()),
            level: message.sending.as_ref().map(|sending| sending.level),
            read: message.is_read || message.direction == MessageDirection::Out,
            delivery: None,
        }
    }

    /// The name of the contact to whom a message to this name goes: a contact, or digits of a conversation.
    pub(in crate::node) fn contact_named(&self, to: &str) -> Option<String> {
        if let Some((_, entry)) = self.book.by_name(to) {
            return Some(entry.name.clone());
        }
        self.contact_name(self.conversation_named(to).ok()?)
    }

    fn contact_name(&self, id: ConversationId) -> Option<String> {
        let contact = match self.conversations.get(id) {
            Some(record) => record.facts.contact,
            None => self.letters.get(id)?.contact(),
        };
        Some(self.book.get(contact?)?.name.clone())
    }
}

impl HistoryQuery {
    fn selects(&self, message: &HistoryMessage) -> bool {
        let is_unfinished = message
            .sending
            .as_ref()
            .is_some_and(|sending| !sending.stage.is_final());
        self.since.is_none_or(|since| message.time >= since)
            && self.before.is_none_or(|before| message.time < before)
            && (!self.unfinished || is_unfinished)
    }
}

const fn state_view(state: ConversationState) -> ConversationStateView {
    match state {
        ConversationState::Opening => ConversationStateView::Opening,
        ConversationState::Asked => ConversationStateView::Asked,
        ConversationState::Open => ConversationStateView::Open,
        ConversationState::Stale => ConversationStateView::Stale,
        ConversationState::Closed => ConversationStateView::Closed,
    }
}

fn card_view(card: &VerifiedCard) -> CardView {
    let terms = card.terms();
    let rank = card.rank();
    CardView {
        period: card.period().0,
        ends: card.ends().0.into(),
        serial: rank.serial.0,
        revision: rank.revision,
        generation: card.period().generation().0,
        least_level: terms.least_level,
        ticket_bits: terms.ticket_bits,
        letters: terms.letters,
        files: terms.files,
    }
}

/// How a part is shown; parts of the conversation itself are not.
fn part_view(part: Part) -> Option<MessagePartView> {
    Some(match part {
        Part::Text(text) => MessagePartView::Text { text },
        Part::SmallFile { name, bytes } => MessagePartView::File {
            name,
            bytes: hex(&bytes),
        },
        Part::Address(id) => MessagePartView::Address { id: hex(&id.0) },
        Part::Introduction(introduction) => MessagePartView::Introduction {
            id: hex(&introduction.id.0),
            name: introduction.name,
            how: HowKnown::of_code(introduction.how),
            note: introduction.note,
        },
        Part::Continuity(continuity) => MessagePartView::Continuity {
            of: hex(&continuity.old.0),
        },
        Part::Goodbye => MessagePartView::Goodbye,
        Part::NeedsNewer(kind) => MessagePartView::Unknown { kind },
        Part::FileOffer(bytes) => {
            let offer = FileOffer::decode(&bytes).ok()?;
            MessagePartView::FileOffer {
                name: offer.name.as_str().to_owned(),
                size: offer.size.bytes(),
            }
        }
        Part::FileAnswer(bytes) => MessagePartView::FileAnswer {
            verdict: match FileAnswer::decode(&bytes).ok()?.verdict {
                FileVerdict::Declined => FileVerdictView::Declined,
                FileVerdict::OtherRelays(_) => FileVerdictView::OtherRelays,
                FileVerdict::Accepted(_) => FileVerdictView::Accepted,
                FileVerdict::Received => FileVerdictView::Received,
            },
        },
        Part::TalkOffer(_) => MessagePartView::TalkOffer,
        Part::TalkAnswer(bytes) => MessagePartView::TalkAnswer {
            accepted: TalkAnswer::decode(&bytes).ok()?.schedule.is_some(),
        },
        Part::Offer(_) | Part::Accept(_) | Part::GivenUp(_) | Part::AlsoCame(_) => return None,
    })
}
