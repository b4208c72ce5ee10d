//! What happens by itself: keys expire, cards are published, requests and old messages are erased, the next
//! attempts begin.
//!
//! Times come from stored draws and from the formats. Nothing here answers a peer.

use core::time::Duration;

use circuits::time::{Instant, Now, UnixSecs};
use zeroize::Zeroizing;

use super::arrivals::cancel;
use super::book::ContactKey;
use super::event::ContactEvent;
use super::publication::{CardName, Prepared};
use super::scan::Rescan;
use super::{AttemptOwner, ContactContext, ContactContinuation, Contacts};
use crate::contact::card::MAX_TICKET_BITS;
use crate::contact::conversation::ConversationId;
use crate::contact::id::ContactId;
use crate::node::action::{Action, TalkAction, TransferAction};
use crate::node::command::{PreparedData, ReaderKind, Recipient, Refusal, SendRequest};
use crate::node::durability::{Continuation, StateContinuation};
use crate::node::effects::Effects;
use crate::node::event::{Event, MessageId};
use crate::node::send::AttemptEnd;
use crate::node::timers::TimerId;
use crate::state::StateChange;

impl Contacts {
    /// Does what is due.
    pub(in crate::node) fn upkeep(
        &mut self,
        fx: &mut Effects,
        now: Now,
        context: ContactContext<'_>,
    ) {
        if !fx.state_is_open() {
            return;
        }
        let (changes, awaits_more) = self.conversations.tick(now.unix);
        store(fx, changes);
        if awaits_more {
            self.rescan(fx, now.mono, Rescan::Topics);
        }
        self.advance_due(fx, now, context);
        if now.unix.0.saturating_sub(self.expired_at.0) >= EXPIRY_INTERVAL_SECS {
            self.expired_at = now.unix;
            store(fx, self.history.expire(now.unix));
            self.erase_old_conversations(fx, now);
            self.lower_ticket_bits(fx, now);
        }
        self.schedule(fx, now.mono);
    }

    /// Sets the timer: soon while messages are being sent.
    pub(super) fn schedule(&self, fx: &mut Effects, now: Instant) {
        if self.awaits_nothing() && self.pending.len() == 0 {
            return;
        }
        let wait = if self.pending.len() > 0 {
            BUSY_INTERVAL
        } else {
            IDLE_INTERVAL
        };
        fx.expedite(TimerId::Contacts, now.after(wait));
    }

    // -- own cards

    /// Makes the keys and cards of the coming days, and publishes what is due.
    pub(in crate::node) fn publish_cards(
        &mut self,
        fx: &mut Effects,
        now: Now,
        context: ContactContext<'_>,
    ) {
        // With a wrong clock, keys that are in use would be erased.
        if context.others.clock.check(now).is_err() {
            return fx.expedite(TimerId::PublishCards, now.mono.after(IDLE_INTERVAL));
        }
        if fx.state_is_open() {
            let prepared = self.own.prepare(fx, now);
            self.store_prepared(fx, now, prepared);
        } else {
            self.own.prepare_locked(fx, now);
        }
        for due in self.own.publish(fx, now.unix) {
            let request = SendRequest {
                to: Recipient::Prepared(PreparedData {
                    topic: due.topic,
                    data: due.data,
                }),
                sign_as: None,
                payload: Zeroizing::default(),
                level: Some(self.card_level),
                life: Duration::ZERO,
                reader: ReaderKind::Whisht,
            };
            let owner = AttemptOwner::Card(due.name);
            fx.request(Action::BeginAttempt(owner, Box::new(request)));
        }
        self.own.arm(fx, now);
    }

    /// Stores what the cards need, and follows the keys.
    pub(super) fn store_prepared(&mut self, fx: &mut Effects, now: Now, prepared: Prepared) {
        let Prepared {
            mut changes,
            keys_changed,
            erased,
        } = prepared;
        // Counted before: the changes that follow belong to the same record.
        let is_stored = !changes.is_empty();
        for generation in erased {
            changes.extend(self.first.forget_generation(generation));
        }
        if is_stored {
            fx.store_state_then(
                changes,
                StateContinuation::Contact(ContactContinuation::CardsStored),
            );
        }
        if keys_changed {
            self.follow_keys(fx, now);
        }
    }

    /// Opens first messages with the keys of now.
    pub(super) fn follow_keys(&mut self, fx: &mut Effects, now: Now) {
        let own = self.own.live_keys(now.unix);
        let has_added = self.first.set_keys(own, self.letters.recipients());
        if has_added {
            self.rescan(fx, now.mono, Rescan::Recipients);
        }
    }

    /// Changes of the cards are durable.
    pub(in crate::node) fn on_cards_stored(&mut self, fx: &mut Effects, now: Now) {
        self.own.on_stored();
        fx.expedite(TimerId::PublishCards, now.mono);
    }

    /// The attempt that publishes an own card has begun, or was refused.
    pub(super) fn on_card_begun(
        &mut self,
        fx: &mut Effects,
        now: Now,
        name: CardName,
        begun: Result<MessageId, Refusal>,
    ) {
        let begun = begun.map_err(|refusal| refusal.to_string());
        self.own.on_started(now.unix, name, begun);
        self.own.arm(fx, now);
    }

    /// An own card has left this node.
    pub(super) fn on_card_left(&mut self, fx: &mut Effects, message: MessageId) {
        let change = self.own.on_left(message);
        store_if_open(fx, change);
    }

    /// The attempt that publishes an own card has ended.
    pub(super) fn on_card_ended(
        &mut self,
        fx: &mut Effects,
        now: Now,
        message: MessageId,
        end: &AttemptEnd,
    ) {
        let is_seen = matches!(end, AttemptEnd::Seen { .. });
        let change = self.own.on_ended(now.unix, message, is_seen);
        store_if_open(fx, change);
        self.own.arm(fx, now);
    }

    /// Cards of these contacts were found.
    pub(super) fn on_cards_found(
        &mut self,
        fx: &mut Effects,
        found: Vec<(ContactId, StateChange)>,
    ) {
        for (id, change) in found {
            fx.store_state(vec![change]);
            // The view is made when the card is durable, with what is known then.
            let then = StateContinuation::Contact(ContactContinuation::CardFound(id));
            fx.defer(Continuation::State(then));
        }
    }

    /// A card of a contact is durable: the user is told.
    pub(in crate::node) fn on_card_durable(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: &ContactId,
        context: ContactContext<'_>,
    ) {
        if let Some((key, _)) = self.book.by_id(id)
            && let Some(view) = self.contact_view(now, key, context)
        {
            fx.notify(Event::Contact(Box::new(ContactEvent::Contact(view))));
        }
    }

    // -- tickets

    /// Bits that a first message to an address must have: the least that a card of the last days asked for.
    pub(super) fn required_ticket_bits(&self, own: &ContactId, now: UnixSecs) -> u8 {
        let address = self.own.addresses().find(|address| address.id() == own);
        address.map_or(MAX_TICKET_BITS, |address| address.required_bits(now))
    }

    /// Too many requests come: the next cards ask for more work.
    pub(super) fn raise_ticket_bits(&mut self, fx: &mut Effects, now: Now, own: &ContactId) {
        self.change_ticket_bits(fx, now, own, |bits| {
            bits.saturating_add(1).min(MAX_TICKET_BITS)
        });
    }

    /// Few requests come: the next cards ask for less work, down to what they asked for first.
    fn lower_ticket_bits(&mut self, fx: &mut Effects, now: Now) {
        if !self.first.requests_mut().is_quiet() {
            return;
        }
        let raised = self.own.addresses().filter(|address| {
            let base = crate::contact::card::CardTerms::default().ticket_bits;
            address.terms().ticket_bits > base
        });
        let raised: Vec<_> = raised.map(|address| *address.id()).collect();
        for own in raised {
            self.change_ticket_bits(fx, now, &own, |bits| bits.saturating_sub(1));
        }
    }

    fn change_ticket_bits(
        &mut self,
        fx: &mut Effects,
        now: Now,
        own: &ContactId,
        change: impl FnOnce(u8) -> u8,
    ) {
        let address = self.own.addresses().find(|address| address.id() == own);
        let Some(mut terms) = address.map(|address| address.terms()) else {
            return;
        };
        terms.ticket_bits = change(terms.ticket_bits);
        let prepared = self.own.set_terms(now.unix, own, terms);
        self.store_prepared(fx, now, prepared);
    }

    // -- erasure

    /// Erases requests that the user did not answer, and what is left of closed conversations.
    fn erase_old_conversations(&mut self, fx: &mut Effects, now: Now) {
        let is_over = |since: UnixSecs, secs| now.unix.0.saturating_sub(since.0) > secs;
        let old = self.conversations.iter().filter(|(_, record)| {
            let facts = &record.facts;
            (record.is_request() && is_over(facts.begun, REQUEST_SECS))
                || (facts.is_declined && is_over(facts.begun, DECLINED_SECS))
        });
        let letters = self.letters.iter().filter(|(_, record)| {
            let secs = record.kept_unanswered(REQUEST_SECS, DECLINED_SECS);
            secs.is_some_and(|secs| is_over(record.begun(), secs))
        });
        let letters = letters.map(|(id, _)| id);
        let old: Vec<_> = old.map(|(id, _)| id).chain(letters).collect();
        for id in old {
            let changes = self.erase_conversation(fx, id);
            store(fx, changes);
        }
        let losers = self
            .conversations
            .iter()
            .filter(|(_, record)| record.facts.closes.is_some_and(|at| at <= now.unix));
        let losers: Vec<_> = losers.map(|(id, _)| id).collect();
        for id in losers {
            let closed = self.conversations.update(id, now.unix, |record| {
                record.facts.closes = None;
                record.conversation.close(now.unix);
            });
            store(fx, closed.map(|closed| closed.change).into_iter().collect());
        }
    }

    /// Erases a conversation: its keys, its history, what is still sent.
    pub(super) fn erase_conversation(
        &mut self,
        fx: &mut Effects,
        id: ConversationId,
    ) -> Vec<StateChange> {
        fx.request(Action::Transfer(TransferAction::ConversationErased(id)));
        fx.request(Action::Talk(TalkAction::ConversationErased(id)));
        let mut changes = vec![self.conversations.remove(id)];
        changes.extend(self.letters.remove(id));
        changes.extend(self.history.forget(id));
        for pending in self.pending.of(id) {
            let (change, running) = self.pending.remove(pending);
            cancel(fx, running);
            changes.push(change);
        }
        self.first.requests_mut().remove(id);
        changes
    }

    /// If a contact has several open conversations, all but one are closed in a week.
    pub(super) fn settle_glare(&mut self, now: Now, id: ConversationId) -> Vec<StateChange> {
        let contact = self
            .conversations
            .get(id)
            .and_then(|record| record.facts.contact);
        let closes = now.unix.after(GLARE_SECS);
        contact.map_or_else(Vec::new, |contact: ContactKey| {
            self.conversations.settle_glare(contact, closes)
        })
    }
}

fn store(fx: &mut Effects, changes: Vec<StateChange>) {
    if !changes.is_empty() {
        fx.store_state(changes);
    }
}

/// Stores a change of the cards. While the state is locked, it is stored once it is open.
fn store_if_open(fx: &mut Effects, change: Option<StateChange>) {
    if fx.state_is_open() {
        store(fx, change.into_iter().collect());
    }
}

/// Interval of the upkeep while messages are being sent.
const BUSY_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of the upkeep otherwise.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);
/// Interval at which what is old is erased, in seconds.
const EXPIRY_INTERVAL_SECS: u32 = 86_400;
/// A request that is not answered for so long is erased: 14 days.
const REQUEST_SECS: u32 = 14 * 86_400;
/// A declined request is remembered as long as messages to its key block may come: 21 days.
const DECLINED_SECS: u32 = 21 * 86_400;
/// Of two conversations with one contact, one is closed after 7 days.
const GLARE_SECS: u32 = 7 * 86_400;
