//! Receiving: which messages are addressed to this user.
//!
//! Trial decryption (`trial_decryption`) tries every key on every envelope, apart from forwarding and
//! on other threads. The shards of a scattered message are collected (`shards`). No envelope of the mempool is forgotten (`node::untried`), and a new identity searches
//! the mempool (`node::pool_scan`). Messages for an identity of the user (`identities`) go to the `inbox`; messages that match a
//! filter of an API client are pushed to it, or kept in memory until it polls. A message of the inbox is
//! durable before it is announced.

mod identities;
mod inbox;
mod shards;
mod trial_decryption;

use std::collections::BTreeSet;
use std::sync::Arc;

use circuits::ids::LinkId;
use circuits::time::Now;

use self::identities::Identities;
use self::inbox::{Inbox, StoredMessage};
use self::shards::{MalformedShards, ShardCollector};
use self::trial_decryption::{TrialQueue, TriedEnvelope};
use super::command::{Identity, PublicIdentity, Refusal};
use super::durability::StateContinuation;
use super::effects::{Counter, Effects};
use super::event::Event;
use super::inbox_query::InboxQuery;
use super::jobs::{JobId, JobResult};
use super::shh_api::ShhError;
use super::views::{IdentityView, MessageView};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::envelope_pool::{Pool, work_rank};
use crate::message::{ClientSecret, SymKey};
use crate::pow::PowChecked;
use crate::state::StateRow;
use crate::subscriptions::{DeliveryPath, Filter, FilterId, FilteredMessage, Filters};

/// The identities and filters of this user, and the messages that they received.
#[derive(Default)]
pub(super) struct Receiver {
    filters: Filters,
    /// Filters whose messages are reported at once; the others keep theirs until polled.
    push_filters: BTreeSet<FilterId>,
    identities: Identities,
    queue: TrialQueue,
    shards: ShardCollector,
    inbox: Inbox,
}

impl Receiver {
    // -- envelopes

    /// An envelope entered the mempool; `from` is the link that brought it.
    pub(super) fn on_pooled(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: Option<LinkId>,
        envelope: &Envelope,
        pow: PowChecked,
        path: DeliveryPath,
    ) {
        if self.filters.is_empty() {
            return;
        }
        let rank = work_rank(envelope, &pow, now.unix);
        self.queue.push_pooled(from, rank, envelope.hash(), path);
        TrialQueue::schedule(fx, now.mono);
    }

    /// A trusted peer sent a direct envelope, which does not enter the mempool.
    pub(super) fn on_direct(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        envelope: Envelope,
    ) {
        if self.filters.is_empty() {
            return;
        }
        self.queue.push_direct(fx, from, envelope);
        TrialQueue::schedule(fx, now.mono);
    }

    /// The mempool dropped these envelopes: they expired or were evicted.
    pub(super) fn on_dropped(&mut self, fx: &mut Effects, hashes: &[EnvelopeHash]) {
        self.queue.on_dropped(fx, hashes);
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.queue.on_link_closed(link);
    }

    /// Whether a direct envelope still waits for trial decryption, or is being tried.
    pub(super) fn has_direct(&self) -> bool {
        self.queue.has_direct()
    }

    /// Whether an envelope of the mempool still waits for a key of ours.
    pub(super) fn is_untried(&self, hash: &EnvelopeHash) -> bool {
        self.queue.is_untried(hash)
    }

    /// Number of envelopes that wait for trial decryption, or are being tried.
    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    // -- trial decryption

    /// Begins to try our keys on waiting envelopes.
    pub(super) fn try_decrypt(&mut self, fx: &mut Effects, now: Now, pool: &Pool) {
        // A disk that hangs must not fill the memory: the envelopes wait in the mempool instead.
        if !fx.state_is_congested() {
            self.queue.dispatch(fx, now.mono, &mut self.filters, pool);
        }
    }

    /// A job of trial decryption has ended; `None` if it was lost. Returns the number of messages for identities that came
    /// in direct envelopes.
    pub(super) fn on_tried(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        result: Option<JobResult>,
        pool: &Pool,
    ) -> u32 {
        let mut direct_messages = 0_u32;
        let results = match result {
            Some(JobResult::Trials(results)) => Some(results),
            _ => None,
        };
        self.queue.on_ended(fx, job, results);
        let Self {
            queue,
            filters,
            identities,
            push_filters,
            shards,
            inbox,
        } = self;
        while queue.take_ended(|tried| {
            let TriedEnvelope {
                envelope,
                path,
                is_direct,
                only,
                results,
            } = tried;
            for (filter, received) in filters.deliver(&envelope, path, results, only) {
                if let Some(name) = identities.name_of(filter) {
                    // The inbox keeps it; the filter of an identity is never polled.
                    let _kept = filters.drain(filter);
                    let arrived = match shards.accept(now.mono, filter, &received) {
                        Ok(Some(arrived)) => arrived,
                        Ok(None) => continue,
                        Err(MalformedShards) => {
                            fx.count(Counter::Malformed);
                            continue;
                        }
                    };
                    let Some(stored) = inbox.store(now.unix, name, arrived) else {
                        continue;
                    };
                    direct_messages = direct_messages.saturating_add(u32::from(is_direct));
                    announce(fx, stored);
                } else if push_filters.contains(&filter) {
                    let _kept = filters.drain(filter);
                    fx.notify(Event::Filtered(filter, received));
                }
            }
        }) {}
        self.try_decrypt(fx, now, pool);
        direct_messages
    }

    // -- the user's state

    /// Takes the messages of earlier runs. Messages that came while the state was locked become durable.
    pub(super) fn open_state(&mut self, fx: &mut Effects, now: Now, rows: Vec<StateRow>) {
        let changes = self.inbox.restore(now.unix, &rows);
        if !changes.is_empty() {
            fx.store_state(changes);
        }
    }

    /// Drops messages that are too old.
    pub(super) fn drop_old_messages(&mut self, fx: &mut Effects, now: Now) {
        let changes = self.inbox.drop_oldest(now.unix);
        if fx.state_is_open() && !changes.is_empty() {
            fx.store_state(changes);
        }
    }

    /// The disk has taken what waited for it: envelopes that had to wait are tried.
    pub(super) fn on_state_stored(&mut self, fx: &mut Effects, now: Now) {
        if self.queue.waiting() > 0 {
            TrialQueue::schedule(fx, now.mono);
        }
    }

    // -- identities

    /// Listens for an identity, in the envelopes of the mempool too. Returns the topics that peers
    /// must be asked for.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the name is taken or there are too many identities.
    pub(super) fn add_identity(
        &mut self,
        fx: &mut Effects,
        now: Now,
        name: String,
        identity: Identity,
    ) -> Result<Bloom, Refusal> {
        let filter = self.identities.add(name, identity, &mut self.filters)?;
        self.queue.scan_for(filter);
        TrialQueue::schedule(fx, now.mono);
        Ok(self.filters.bloom())
    }

    /// Records an identity whose key is locked.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the name is taken.
    pub(super) fn add_locked(
        &mut self,
        name: String,
        identity: PublicIdentity,
    ) -> Result<(), Refusal> {
        self.identities.add_locked(name, identity)
    }

    /// Forgets the keys of these identities. Their messages wait in the mempool until they are unlocked.
    pub(super) fn lock_identities(&mut self, names: &[String]) {
        for name in names {
            if let Some(filter) = self.identities.lock(name) {
                self.queue.on_uninstalled(filter);
                self.filters.remove(filter);
            }
        }
    }

    /// Forgets the received messages, which are in the state of the user.
    pub(super) fn lock_inbox(&mut self) {
        self.inbox = Inbox::default();
        self.shards = ShardCollector::default();
    }

    /// Forgets an identity. Peers still send its topics until the next connection.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none.
    pub(super) fn remove_identity(&mut self, name: &str) -> Result<(), Refusal> {
        if let Some(filter) = self.identities.remove(name)? {
            self.queue.on_uninstalled(filter);
            self.filters.remove(filter);
        }
        Ok(())
    }

    /// Gives an identity another name.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if a name is unknown or taken.
    pub(super) fn rename_identity(&mut self, old: &str, new: String) -> Result<(), Refusal> {
        self.identities.rename(old, new)
    }

    /// The secret key of a named key pair, to sign with.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none, or if it is locked.
    pub(super) fn signing_key(&self, name: &str) -> Result<Arc<ClientSecret>, Refusal> {
        self.identities.signing_key(name)
    }

    /// A named shared key and its topic, to encrypt with.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none, or if it is locked.
    pub(super) fn shared_key(&self, name: &str) -> Result<(Arc<SymKey>, Topic), Refusal> {
        self.identities.shared_key(name)
    }

    // -- filters of API clients

    /// Installs a filter; its messages are reported at once if `push`, and kept otherwise. `None`
    /// if there are too many filters.
    pub(super) fn install(&mut self, filter: Filter, push: bool) -> Option<FilterId> {
        if self.filters.len() >= MAX_FILTERS {
            return None;
        }
        let id = self.filters.install(filter);
        if push {
            self.push_filters.insert(id);
        }
        Some(id)
    }

    /// Removes a filter; returns whether there was one.
    pub(super) fn uninstall(&mut self, id: FilterId) -> bool {
        self.push_filters.remove(&id);
        self.queue.on_uninstalled(id);
        self.filters.remove(id)
    }

    /// The messages that a filter has kept.
    ///
    /// # Errors
    ///
    /// [`ShhError::MessagesLost`] once if messages were dropped since the last poll; the kept ones
    /// follow with the next. [`ShhError::NoFilter`] if there is no such filter.
    pub(super) fn poll(&mut self, id: FilterId) -> Result<Vec<Arc<FilteredMessage>>, ShhError> {
        match self.filters.take_lost(id) {
            0 => self.filters.drain(id).ok_or(ShhError::NoFilter),
            lost => Err(ShhError::MessagesLost { lost }),
        }
    }

    // -- views

    /// All identities, sorted by name.
    pub(super) fn identity_views(&self) -> Vec<IdentityView> {
        self.identities.views()
    }

    /// The messages of a query, in the order in which they were received.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the query names a message that is not there, and if every identity is locked:
    /// an empty list would say that there is no mail.
    pub(super) fn messages(&self, query: &InboxQuery) -> Result<Vec<MessageView>, Refusal> {
        if self.identities.are_all_locked() {
            return Err(Refusal::locked("all identities are locked".to_owned()));
        }
        self.inbox.messages(query)
    }
}

/// Tells users of a message, once it cannot be lost any more. While the state is locked there is
/// nothing to wait for.
fn announce(fx: &mut Effects, stored: StoredMessage) {
    let StoredMessage { view, changes } = stored;
    let event = Event::Message(view);
    if fx.state_is_open() {
        fx.store_state_then(changes, StateContinuation::Notify(event));
    } else {
        fx.notify(event);
    }
}

/// Maximum number of filters, including those of identities and subscriptions.
pub(super) const MAX_FILTERS: usize = 2048;

#[cfg(test)]
mod tests;
