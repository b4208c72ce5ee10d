//! Contacts: own addresses, other people's, and the conversations with them.
//!
//! The component owns which contacts and conversations there are (`book`, `record`), what was written
//! (`history`) and what is still sent (`pending`, `delivery`). Envelopes of the mempool are scanned on other
//! threads (`scan`); what is found becomes messages and requests (`arrivals`, `first_messages`). The formats
//! and the cryptography are in `crate::contact`.
//!
//! Nothing is acted on before it is durable: a key is not used, and an event not reported, before the state
//! that follows from it would survive a crash. What is awaited here changes nothing that this node
//! announces, requests or forwards.

mod arrivals;
mod book;
mod cards;
mod command;
mod commands;
mod conversations;
mod delivery;
mod delivery_view;
mod event;
mod file_parts;
mod first_messages;
mod history;
mod letters;
mod marks;
mod pending;
mod publication;
mod record;
mod requests;
mod resending;
mod scan;
mod show;
mod underway;
mod upkeep;
mod views;
mod watch;
mod writing;

use std::sync::Arc;

use circuits::ids::{LinkId, Profile};
use circuits::level::Level;
use circuits::time::{Instant, Now, UnixSecs};

pub use command::{
    Attachment, ContactCommand, ContactReply, ContactSend, HistoryQuery, HowKnown,
    IntroductionRequest, SentMessage,
};
pub use event::{ContactEvent, ContactStage};
pub use views::{
    AddressView, CardView, ContactState, ContactView, ConversationMessageView,
    ConversationStateView, ConversationView, DeliveryView, FileVerdictView, IntroducedView,
    MessageDirection, MessagePartView, MissingCardView, SendPriceView,
};

pub(super) use self::delivery::AttemptOwner;
pub(super) use self::writing::WrittenMessage;

use self::arrivals::ConversationShards;
use self::book::ContactBook;
use self::cards::CardFinder;
use self::conversations::Conversations;
use self::first_messages::FirstMessages;
use self::history::History;
use self::letters::Letters;
use self::pending::PendingMessages;
use self::publication::OwnCards;
use self::scan::{ContactScanner, Rescan, WatchedKeys};
use super::action::Action;
use super::command::{Refusal, Reply, SendRequest};
use super::durability::{Continuation, StateContinuation};
use super::effects::Effects;
use super::event::Event;
use super::input::CommandId;
use super::jobs::{JobId, JobOwner, JobResult};
use super::send::{SendContext, Sender};
use super::timers::TimerId;
use super::transfers::Transfers;
use crate::contact::codec::BadState;
use crate::contact::id::ContactId;
use crate::contact::job::ContactJobResult;
use crate::contact::scan::{ScanCandidate, ScanKeys};
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::envelope_pool::Pool;
use crate::pow::PowChecked;
use crate::state::{StateChange, StateRow, StateRows, StateTable};

/// The contacts and conversations of the user.
pub(super) struct Contacts {
    book: ContactBook,
    /// Own addresses, their keys and their cards.
    own: OwnCards,
    /// Cards of contacts.
    finder: CardFinder,
    card_level: Level,
    conversations: Conversations,
    letters: Letters,
    history: History,
    pending: PendingMessages,
    scanner: ContactScanner,
    shards: ConversationShards,
    first: FirstMessages,
    /// When the history was last checked for messages that are too old.
    expired_at: UnixSecs,
}

/// What continues when a change of contacts is durable.
pub(super) enum ContactContinuation {
    /// Send an attempt, whose key is used up.
    BeginAttempt(AttemptOwner, Box<SendRequest>),
    /// Publish cards, whose keys a crash no longer loses.
    CardsStored,
    /// Tell users of a card of this contact.
    CardFound(ContactId),
}

/// What contacts need to know about the other components.
#[derive(Clone, Copy)]
pub(super) struct ContactContext<'a> {
    /// The messages in flight.
    pub(super) send: &'a Sender,
    /// What sending knows about the others.
    pub(super) others: SendContext<'a>,
    /// The files that are handed over.
    pub(super) transfers: &'a Transfers,
}

/// The keys that envelopes are scanned with.
struct Watched<'a> {
    conversations: &'a Conversations,
    recipients: Arc<ScanKeys>,
}

impl WatchedKeys for Watched<'_> {
    fn recipients(&self) -> Arc<ScanKeys> {
        Arc::clone(&self.recipients)
    }

    fn candidates(&self, topic: Topic) -> Vec<ScanCandidate> {
        self.conversations.candidates(topic)
    }
}

impl Contacts {
    /// No contacts yet; their state is locked until [`open_state`](Self::open_state).
    pub(super) fn new(profile: Profile, card_level: Level, now: Instant) -> Self {
        Self::with_cards(OwnCards::new(profile), card_level, now)
    }

    fn with_cards(own: OwnCards, card_level: Level, now: Instant) -> Self {
        Self {
            book: ContactBook::default(),
            own,
            finder: CardFinder::new(now),
            card_level,
            conversations: Conversations::default(),
            letters: Letters::default(),
            history: History::default(),
            pending: PendingMessages::default(),
            scanner: ContactScanner::default(),
            shards: ConversationShards::default(),
            first: FirstMessages::default(),
            expired_at: UnixSecs(0),
        }
    }

    /// Takes what the last run left. Every conversation of an old copy becomes stale.
    pub(super) fn open_state(
        &mut self,
        fx: &mut Effects,
        now: Now,
        rows: &mut StateRows,
        is_stale: bool,
    ) {
        let mut bad = 0_usize;
        for table in TABLES {
            for row in rows.take(table) {
                bad = bad.saturating_add(usize::from(self.restore(table, &row).is_err()));
            }
        }
        if bad > 0 {
            tracing::error!(
                rows = bad,
                "rows of the state cannot be read and are left out; restore a backup"
            );
        }
        let ids = self.book.sorted().into_iter();
        let ids = ids.filter(|(_, entry)| !entry.is_pending);
        for id in ids.filter_map(|(_, entry)| entry.id).collect::<Vec<_>>() {
            self.finder.watch(fx, now.mono, id);
        }
        self.restore_requests();
        let changes = self.own.on_unlocked();
        if !changes.is_empty() {
            fx.store_state(changes);
        }
        if is_stale {
            let mut changes = self.conversations.set_all_stale();
            changes.push(StateChange::stale_is_handled());
            fx.store_state(changes);
        }
        self.finder.verify_restored();
        self.follow_restored(fx, now);
        self.follow_keys(fx, now);
        self.own.arm(fx, now);
        self.resume_attempts(fx, now);
        self.schedule(fx, now.mono);
    }

    /// Forgets everything until the state is opened again, but for cards that are signed and the attempts
    /// that have begun.
    pub(super) fn lock(&mut self, fx: &mut Effects, now: Now) {
        fx.cancel_jobs_of(JobOwner::Contact);
        let (own, prepared) = self.own.lock(fx, now.unix);
        if !prepared.changes.is_empty() {
            let then = StateContinuation::Contact(ContactContinuation::CardsStored);
            fx.store_state_then(prepared.changes, then);
        }
        let pending = self.pending.lock();
        *self = Self {
            pending,
            ..Self::with_cards(own, self.card_level, now.mono)
        };
        self.own.arm(fx, now);
    }

    fn restore(&mut self, table: StateTable, row: &StateRow) -> Result<(), BadState> {
        match table {
            StateTable::Contact if self.finder.restore(row)? => Ok(()),
            StateTable::Contact => self.book.restore(row),
            StateTable::Conversation if self.letters.restore(row)? => Ok(()),
            StateTable::Conversation => self.conversations.restore(row),
            StateTable::Message => self.history.restore(row),
            StateTable::Unanswered => self.pending.restore(row),
            StateTable::SeenKey => self.first.restore(row),
            _ => self.own.restore(row),
        }
    }

    fn restore_requests(&mut self) {
        let conversations = self.conversations.iter().map(|(id, _)| id);
        let letters = self.letters.iter().map(|(id, _)| id);
        for id in conversations.chain(letters).collect::<Vec<_>>() {
            self.measure_request(id);
        }
    }

    // -- envelopes

    /// An envelope entered the mempool; `from` is the link that brought it.
    pub(super) fn on_pooled(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: Option<LinkId>,
        envelope: &Envelope,
        pow: PowChecked,
    ) {
        self.finder.on_pooled(fx, now.mono, envelope);
        if self.awaits_nothing() {
            return;
        }
        self.scanner.on_pooled(fx, now, from, envelope, pow);
    }

    /// The mempool dropped these envelopes.
    pub(super) fn on_dropped(&mut self, fx: &mut Effects, hashes: &[EnvelopeHash]) {
        self.finder.on_dropped(hashes);
        self.scanner.on_dropped(fx, hashes);
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.scanner.on_link_closed(link);
    }

    /// Computes the topics of restored conversations, a bounded number of them; the timer continues. After the
    /// last one the mempool is scanned for them.
    fn follow_restored(&mut self, fx: &mut Effects, now: Now) {
        match self.conversations.follow_restored(now.unix) {
            (_, true) => fx.expedite(TimerId::ScanContacts, now.mono),
            (true, false) => self.rescan(fx, now.mono, Rescan::Topics),
            (false, false) => {}
        }
    }

    /// Begins to scan envelopes that wait. Waits while the disk is behind: what is found has to be stored.
    pub(super) fn scan(&mut self, fx: &mut Effects, now: Now, pool: &Pool) {
        if fx.state_is_congested() {
            return fx.expedite(TimerId::ScanContacts, now.mono.after(CONGESTION_DELAY));
        }
        self.follow_restored(fx, now);
        let watched = Watched {
            conversations: &self.conversations,
            recipients: self.first.recipients(),
        };
        self.scanner.dispatch(fx, now.mono, &watched, pool);
    }

    /// Looks for the cards of contacts.
    pub(super) fn find_cards(&mut self, fx: &mut Effects, now: Now, pool: &Pool) {
        self.finder.run(fx, now, pool);
    }

    /// A job has ended; `None` if it was lost.
    pub(super) fn on_job_ended(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        result: Option<JobResult>,
        context: ContactContext<'_>,
    ) {
        let result = match result {
            Some(JobResult::Contact(result)) => Some(*result),
            _ => None,
        };
        match result {
            Some(ContactJobResult::Ticket(ticket)) => {
                self.on_ticket(fx, now, job, Some(ticket), context);
            }
            Some(ContactJobResult::Opened(opened)) => {
                self.on_box_opened(fx, now, job, opened.ok());
            }
            Some(ContactJobResult::Cards(found)) => {
                let found = self.finder.on_searched(fx, now, job, Some(found));
                self.on_cards_found(fx, found);
            }
            result => {
                if !self.scanner.on_ended(fx, job, result) {
                    self.on_ticket(fx, now, job, None, context);
                    self.on_box_opened(fx, now, job, None);
                    let _none = self.finder.on_searched(fx, now, job, None);
                }
                while let Some(hits) = self.scanner.take_ended() {
                    for (_, hit) in hits {
                        self.on_hit(fx, now, hit);
                    }
                }
                self.scan(fx, now, context.others.gossip.pool());
            }
        }
    }

    fn awaits_nothing(&self) -> bool {
        self.conversations.is_empty() && self.first.recipients().is_empty()
    }

    fn rescan(&mut self, fx: &mut Effects, now: Instant, what: Rescan) {
        if !self.awaits_nothing() {
            self.scanner.rescan(fx, now, what);
        }
    }

    // -- durability

    /// A change is durable.
    pub(super) fn on_stored(
        &mut self,
        fx: &mut Effects,
        now: Now,
        continuation: ContactContinuation,
        context: ContactContext<'_>,
    ) {
        match continuation {
            ContactContinuation::BeginAttempt(owner, request) => {
                fx.request(Action::BeginAttempt(owner, request));
            }
            ContactContinuation::CardsStored => self.on_cards_stored(fx, now),
            ContactContinuation::CardFound(id) => self.on_card_durable(fx, now, &id, context),
        }
    }

    /// Stores changes, and answers a command when they are durable.
    fn store_and_reply(
        fx: &mut Effects,
        changes: Vec<StateChange>,
        command: CommandId,
        reply: ContactReply,
    ) {
        let reply: Result<Reply, Refusal> = Ok(Reply::Contact(Box::new(reply)));
        fx.store_state_then(changes, StateContinuation::Reply(command, reply));
    }

    /// Stores changes, and reports events when they are durable.
    fn store_and_notify(fx: &mut Effects, changes: Vec<StateChange>, events: Vec<ContactEvent>) {
        fx.store_state(changes);
        for event in events {
            let event = Event::Contact(Box::new(event));
            fx.defer(Continuation::State(StateContinuation::Notify(event)));
        }
    }
}

/// The tables of this component.
const TABLES: [StateTable; 8] = [
    StateTable::Identity,
    StateTable::Generation,
    StateTable::Schedule,
    StateTable::Contact,
    StateTable::Conversation,
    StateTable::Message,
    StateTable::Unanswered,
    StateTable::SeenKey,
];

/// Maximum number of introduced contacts of one contact that the user has not accepted.
const MAX_INTRODUCED: usize = 32;

/// While so much waits for the disk, nothing is scanned for this time.
const CONGESTION_DELAY: core::time::Duration = core::time::Duration::from_millis(250);
