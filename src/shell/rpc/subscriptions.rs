//! The subscriptions of one client.
//!
//! The node sends every session every event; this table keeps a client from seeing another client's
//! messages. Ids are random, so that a client cannot guess another's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_core::CryptoRng;

use super::limits::MAX_SUBSCRIPTIONS;
use crate::node::Event;
use crate::rpc::shh;
use crate::subscriptions::FilterId;

/// A client's subscriptions, shared by its session and its requests in progress.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientSubscriptions(Arc<Mutex<SubscriptionTable>>);

#[derive(Debug, Default)]
struct SubscriptionTable {
    targets: BTreeMap<String, SubscriptionTarget>,
    /// Answers in progress that may name a new subscription.
    pending_subscribe: usize,
    /// The client has disconnected.
    closed: bool,
}

/// The subject of a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SubscriptionTarget {
    /// All events of the node.
    Events,
    /// The messages of one filter.
    Filter(FilterId),
}

impl ClientSubscriptions {
    /// Adds a subscription and returns its id; `None` if the limit is reached or the client has
    /// disconnected.
    pub(super) fn add(
        &self,
        target: SubscriptionTarget,
        rng: &mut impl CryptoRng,
    ) -> Option<String> {
        let id = shh::subscription_id(rng);
        let mut table = self.lock();
        if table.closed || table.targets.len() >= MAX_SUBSCRIPTIONS {
            return None;
        }
        table.targets.insert(id.clone(), target);
        Some(id)
    }

    /// Removes a subscription that `wanted` matches.
    pub(super) fn remove(
        &self,
        id: &str,
        wanted: fn(SubscriptionTarget) -> bool,
    ) -> Option<SubscriptionTarget> {
        let mut table = self.lock();
        table.targets.get(id).filter(|target| wanted(**target))?;
        table.targets.remove(id)
    }

    /// Removes all, and refuses new ones.
    pub(super) fn close(&self) -> Vec<SubscriptionTarget> {
        let mut table = self.lock();
        table.closed = true;
        std::mem::take(&mut table.targets).into_values().collect()
    }

    /// Whether there are none, and none about to be added.
    pub(super) fn is_empty(&self) -> bool {
        let table = self.lock();
        table.targets.is_empty() && table.pending_subscribe == 0
    }

    /// Marks that an answer may name a new subscription, until the guard is dropped. No
    /// notification may overtake that answer: the client could not assign it.
    pub(super) fn pending_subscribe(&self) -> PendingSubscribe {
        self.lock().pending_subscribe += 1;
        PendingSubscribe(self.clone())
    }

    /// Whether such an answer is in progress.
    pub(super) fn is_subscribing(&self) -> bool {
        self.lock().pending_subscribe > 0
    }

    /// The subscriptions that match an event.
    pub(super) fn of(&self, event: &Event) -> Vec<String> {
        let wanted = match event {
            Event::Filtered(filter, _) => SubscriptionTarget::Filter(*filter),
            _ => SubscriptionTarget::Events,
        };
        self.select(|target| target == wanted)
    }

    /// All subscriptions, with their subjects.
    pub(super) fn all(&self) -> Vec<(String, SubscriptionTarget)> {
        let table = self.lock();
        let pairs = table.targets.iter();
        pairs.map(|(id, target)| (id.clone(), *target)).collect()
    }

    fn select(&self, wanted: impl Fn(SubscriptionTarget) -> bool) -> Vec<String> {
        let all = self.all().into_iter();
        all.filter(|(_, target)| wanted(*target))
            .map(|(id, _)| id)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, SubscriptionTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that may name a new subscription.
#[derive(Debug)]
pub(super) struct PendingSubscribe(ClientSubscriptions);

impl Drop for PendingSubscribe {
    fn drop(&mut self) {
        let mut table = self.0.lock();
        table.pending_subscribe = table.pending_subscribe.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn add(subscriptions: &ClientSubscriptions, rng: &mut ChaCha20Rng) -> Option<String> {
        subscriptions.add(SubscriptionTarget::Events, rng)
    }

    #[test]
    fn subscriptions_per_client_are_bounded() {
        let subscriptions = ClientSubscriptions::default();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let ids: Vec<_> = (0..MAX_SUBSCRIPTIONS)
            .map(|_| add(&subscriptions, &mut rng).unwrap())
            .collect();
        assert_eq!(add(&subscriptions, &mut rng), None);
        assert_eq!(subscriptions.remove(&ids[0], |_| false), None);
        assert_eq!(
            subscriptions.remove(&ids[0], |_| true),
            Some(SubscriptionTarget::Events)
        );
        assert_eq!(subscriptions.remove(&ids[0], |_| true), None);
        assert!(add(&subscriptions, &mut rng).is_some());
        assert_eq!(subscriptions.close().len(), MAX_SUBSCRIPTIONS);
        assert_eq!(
            add(&subscriptions, &mut rng),
            None,
            "the client has disconnected"
        );
    }

    #[test]
    fn node_event_reaches_event_subscriptions() {
        let subscriptions = ClientSubscriptions::default();
        assert!(subscriptions.of(&Event::Peers(1)).is_empty());
        let id = add(&subscriptions, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        assert_eq!(subscriptions.of(&Event::Peers(1)), [id]);
    }

    #[test]
    fn notifications_wait_for_subscription_answer() {
        let subscriptions = ClientSubscriptions::default();
        let (first, second) = (
            subscriptions.pending_subscribe(),
            subscriptions.pending_subscribe(),
        );
        drop(first);
        assert!(subscriptions.is_subscribing() && !subscriptions.is_empty());
        drop(second);
        assert!(!subscriptions.is_subscribing() && subscriptions.is_empty());
    }
}
