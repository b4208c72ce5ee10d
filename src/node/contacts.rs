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
mod event;
mod first_messages;
mod history;
mod pending;
mod publication;
mod record;
mod scan;
mod show;
mod upkeep;
mod views;
mod watch;
mod writing;

use std::sync::Arc;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now, UnixSecs};

pub use command::{
    Attachment, ContactCommand, ContactReply, ContactSend, HowKnown, IntroduceContact, SentMessage,
};
pub use event::{ContactEvent, ContactStage};
pub use views::{
    AddressView, CardView, ContactState, ContactView, ConversationMessageView,
    ConversationStateView, ConversationView, IntroducedView, MessageDirection, MessagePartView,
    MissingCardView, SendPriceView,
};

pub(super) use self::delivery::AttemptOwner;

use self::arrivals::ConversationShards;
use self::book::ContactBook;
use self::conversations::Conversations;
use self::first_messages::FirstMessages;
use self::history::History;
use self::pending::PendingMessages;
use self::scan::{ContactScanner, Rescan, WatchedKeys};
use super::command::{Refusal, Reply};
use super::durability::{Continuation, StateContinuation};
use super::effects::Effects;
use super::event::Event;
use super::input::CommandId;
use super::jobs::{JobId, JobResult};
use super::send::{SendContext, Sender};
use super::timers::TimerId;
use crate::contact::job::ContactJobResult;
use crate::contact::scan::{ScanCandidate, ScanKeys};
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::envelope_pool::Pool;
use crate::pow::PowChecked;
use crate::state::{StateChange, StateRows, StateTable};

/// The contacts and conversations of the user.
#[derive(Default)]
pub(super) struct Contacts {
    book: ContactBook,
    conversations: Conversations,
    history: History,
    pending: PendingMessages,
    scanner: ContactScanner,
    shards: ConversationShards,
    first: FirstMessages,
    /// When the history was last checked for messages that are too old.
    expired_at: UnixSecs,
}

/// What contacts need to know about the other components.
#[derive(Clone, Copy)]
pub(super) struct ContactContext<'a> {
    /// The messages in flight.
    pub(super) send: &'a Sender,
    /// What sending knows about the others.
    pub(super) others: SendContext<'a>,
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
    /// Takes what the last run left. Every conversation of an old copy becomes stale.
    pub(super) fn open_state(
        &mut self,
        fx: &mut Effects,
        now: Now,
        rows: &mut StateRows,
        is_stale: bool,
    ) {
        let mut bad = 0_usize;
        let mut check = |result: Result<(), _>| {
            let result: Result<(), crate::contact::codec::BadState> = result;
            bad = bad.saturating_add(usize::from(result.is_err()));
        };
        for row in rows.take(StateTable::Contact) {
            check(self.book.restore(&row));
        }
        for row in rows.take(StateTable::Conversation) {
            check(self.conversations.restore(&row));
        }
        for row in rows.take(StateTable::Message) {
            check(self.history.restore(&row));
        }
        for row in rows.take(StateTable::Unanswered) {
            check(self.pending.restore(&row));
        }
        for row in rows.take(StateTable::SeenKey) {
            check(self.first.restore(&row));
        }
        if bad > 0 {
            tracing::error!(
                rows = bad,
                "rows of the state cannot be read and are left out; restore a backup"
            );
        }
        if is_stale {
            let mut changes = self.conversations.set_all_stale();
            changes.push(StateChange::stale_is_handled());
            fx.store_state(changes);
        }
        self.conversations.follow_all(now.unix);
        self.rescan(fx, now.mono, Rescan::Topics);
        self.rescan(fx, now.mono, Rescan::Recipients);
        self.schedule(fx, now.mono);
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
        if self.awaits_nothing() {
            return;
        }
        self.scanner.on_pooled(fx, now, from, envelope, pow);
    }

    /// The mempool dropped these envelopes.
    pub(super) fn on_dropped(&mut self, fx: &mut Effects, hashes: &[EnvelopeHash]) {
        self.scanner.on_dropped(fx, hashes);
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.scanner.on_link_closed(link);
    }

    /// Begins to scan envelopes that wait. Waits while the disk is behind: what is found has to be stored.
    pub(super) fn scan(&mut self, fx: &mut Effects, now: Now, pool: &Pool) {
        if fx.state_is_congested() {
            return fx.expedite(TimerId::ScanContacts, now.mono.after(CONGESTION_DELAY));
        }
        let watched = Watched {
            conversations: &self.conversations,
            recipients: self.first.recipients(),
        };
        self.scanner.dispatch(fx, now.mono, &watched, pool);
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
            Some(JobResult::Contact(result)) => Some(result),
            _ => None,
        };
        match result {
            Some(ContactJobResult::Ticket(ticket)) => {
                self.on_ticket(fx, now, job, Some(ticket), context);
            }
            Some(ContactJobResult::Opened(opened)) => {
                self.on_box_opened(fx, now, job, opened.ok());
            }
            result => {
                if !self.scanner.on_ended(fx, job, result) {
                    self.on_ticket(fx, now, job, None, context);
                    self.on_box_opened(fx, now, job, None);
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

/// While so much waits for the disk, nothing is scanned for this time.
const CONGESTION_DELAY: core::time::Duration = core::time::Duration::from_millis(250);

