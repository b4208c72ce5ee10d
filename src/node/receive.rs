//! Receiving: which messages are addressed to this user.
//!
//! Trial decryption (`trial_decryption`) tries every key on every envelope, apart from forwarding.
//! Messages for an identity of the user (`identities`) go to the `inbox`; messages that match a
//! filter of an API client are pushed to it, or kept until it polls. Messages are held in memory
//! only: after a restart, the network still has the envelopes that have not expired.

mod identities;
mod inbox;
mod trial_decryption;

use std::collections::BTreeSet;
use std::sync::Arc;

use circuits::time::Now;

use self::identities::Identities;
use self::inbox::Inbox;
use self::trial_decryption::{QueuedEnvelope, TrialQueue};
use super::command::{Identity, PublicIdentity, Refusal};
use super::effects::Effects;
use super::shh_api::ShhError;
use super::timers::TimerId;
use super::views::{IdentityView, MessageView};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, Topic};
use crate::envelope_pool::Pool;
use crate::message::{ClientSecret, SymKey};
use crate::subscriptions::{DeliveryPath, Filter, FilterId, FilteredMessage, Filters};

/// The identities and filters of this user, and the messages that they received.
#[derive(Default)]
pub(super) struct Receiver {
    filters: Filters,
    /// Filters whose messages are reported at once; the others keep theirs until polled.
    push_filters: BTreeSet<FilterId>,
    identities: Identities,
    queue: TrialQueue,
    inbox: Inbox,
}

impl Receiver {
    // -- envelopes

    /// Queues an envelope for trial decryption, if there is a key to try.
    pub(super) fn offer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        envelope: Envelope,
        path: DeliveryPath,
    ) {
        if self.filters.is_empty() {
            return;
        }
        if self.queue.push(QueuedEnvelope::new(envelope, path)) {
            self.queue.schedule(fx, now.mono);
        }
    }

    /// Whether a direct envelope still waits for trial decryption.
    pub(super) const fn has_direct(&self) -> bool {
        self.queue.has_direct()
    }

    /// Number of envelopes that wait for trial decryption.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
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
        pool: &Pool,
    ) -> Result<Bloom, Refusal> {
        let filter = self.identities.add(name, identity, &mut self.filters)?;
        for pooled in pool.iter() {
            let path = DeliveryPath::Gossip {
                pow: pooled.pow.best(),
            };
            let queued = QueuedEnvelope::new(pooled.envelope.clone(), path);
            self.queue.push(queued.for_filter(filter));
        }
        fx.expedite(TimerId::TryDecrypt, now.mono);
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

    /// Messages with a number above `after`, oldest first.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if every identity is locked: an empty list would say that there is no mail.
    pub(super) fn messages(&self, after: u64) -> Result<Vec<MessageView>, Refusal> {
        if self.identities.are_all_locked() {
            return Err(Refusal::locked("all identities are locked".to_owned()));
        }
        Ok(self.inbox.messages(after))
    }
}

/// Maximum number of filters, including those of identities and subscriptions.
pub(super) const MAX_FILTERS: usize = 2048;

#[cfg(test)]
mod tests;
