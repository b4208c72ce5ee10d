//! Local subscriptions: which received envelopes decrypt with our keys.
//!
//! Every node has every envelope, and timing must not reveal which node reads which. So envelopes
//! are not sorted by topic first: each distinct key is tried on each envelope, a failed trial does
//! the work of a successful one, and per envelope one message is decrypted and one signature
//! recovered, real or dummy. Topic, source and work are compared afterwards. The cost is a trial
//! per key (half a microsecond for a shared key, fifty for a key pair: docs/benchmarks.md) and one
//! recovery. In return, timing shows a peer the number of keys and not which envelopes they
//! decrypt.
//!
//! Forwarding must not wait for decryption, and this module must not send anything.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use self::trials::KeyId;
pub use self::trials::{TrialBatch, TrialKeys, TrialResult};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::message::{ClientPublic, ClientSecret, DecryptedMessage, SymKey};

mod trials;

/// The criteria of a subscriber.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The key that decrypts the messages.
    pub key: FilterKey,
    /// Topics, or prefixes of topics; none means all.
    pub topics: Vec<TopicPrefix>,
    /// The required signer; `None` accepts all messages, signed or not.
    pub source: Option<ClientPublic>,
    /// Minimum work, by the greater of the two counts.
    pub minimum_pow: f64,
    /// Whether direct messages of trusted peers are accepted.
    pub allow_p2p: bool,
}

/// The key of a filter; several filters may share one.
#[derive(Clone, Debug)]
pub enum FilterKey {
    /// Decrypts messages to one public key.
    Asymmetric(Arc<ClientSecret>),
    /// Decrypts messages under a shared key.
    Symmetric(Arc<SymKey>),
}

/// The first one to four bytes of a topic.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TopicPrefix {
    bytes: [u8; 4],
    len: usize,
}

impl TopicPrefix {
    /// Takes a topic prefix.
    ///
    /// # Errors
    ///
    /// [`TopicLength`] unless there are one to four bytes.
    pub fn new(prefix: &[u8]) -> Result<Self, TopicLength> {
        let mut bytes = [0; 4];
        match bytes.get_mut(..prefix.len()) {
            Some(head) if !head.is_empty() => head.copy_from_slice(prefix),
            _ => return Err(TopicLength),
        }
        Ok(Self {
            bytes,
            len: prefix.len(),
        })
    }

    /// Whether `topic` has this prefix.
    #[must_use]
    pub fn matches(self, topic: Topic) -> bool {
        self.bytes
            .iter()
            .zip(topic.0)
            .take(self.len)
            .all(|(&ours, theirs)| ours == theirs)
    }
}

impl From<Topic> for TopicPrefix {
    fn from(topic: Topic) -> Self {
        Self {
            bytes: topic.0,
            len: 4,
        }
    }
}

impl fmt::Debug for TopicPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicPrefix({} bytes)", self.len)
    }
}

/// A topic prefix is empty or longer than a topic.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a topic has one to four bytes")]
pub struct TopicLength;

/// The path by which an envelope arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeliveryPath {
    /// From a trusted peer, outside gossip; its work was not checked.
    Direct,
    /// By gossip, with this work.
    Gossip {
        /// By the greater of the two counts.
        pow: f64,
    },
}

impl DeliveryPath {
    const fn pow(self) -> f64 {
        match self {
            Self::Direct => 0.0,
            Self::Gossip { pow } => pow,
        }
    }
}

/// A message that a filter accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct FilteredMessage {
    /// The envelope of the message.
    pub envelope: Envelope,
    /// The decrypted message.
    pub opened: DecryptedMessage,
    /// The path by which it arrived.
    pub arrival: DeliveryPath,
}

/// Identifies an installed filter.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FilterId(pub u64);

/// All installed filters, and the messages that they accepted.
#[derive(Default)]
pub struct Filters {
    next_id: u64,
    installed: BTreeMap<FilterId, InstalledFilter>,
    /// Each distinct key once, and the filters that use it.
    keys: BTreeMap<KeyId, (FilterKey, BTreeSet<FilterId>)>,
    /// The keys as they are now; `None` if they have changed since they were asked for.
    snapshot: Option<Arc<TrialKeys>>,
}

impl Filters {
    /// A table without filters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Installs a filter. It receives envelopes offered from now on.
    pub fn install(&mut self, filter: Filter) -> FilterId {
        let id = FilterId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        let key = KeyId::of(&filter.key);
        self.keys
            .entry(key)
            .or_insert_with(|| (filter.key.clone(), BTreeSet::new()))
            .1
            .insert(id);
        self.snapshot = None;
        let inbox = MessageQueue::default();
        self.installed.insert(id, InstalledFilter { filter, inbox });
        id
    }

    /// Removes a filter and its messages; returns whether it existed.
    pub fn remove(&mut self, id: FilterId) -> bool {
        let Some(InstalledFilter { filter, inbox: _ }) = self.installed.remove(&id) else {
            return false;
        };
        let key = KeyId::of(&filter.key);
        if let Some((_, users)) = self.keys.get_mut(&key) {
            users.remove(&id);
            if users.is_empty() {
                self.keys.remove(&key);
                self.snapshot = None;
            }
        }
        true
    }

    /// Tries an envelope with every key, and stores the message with every filter that accepts it.
    ///
    /// The returned messages are also in the inboxes, for clients that poll. The node divides this
    /// into [`keys`](Self::keys), a [`TrialBatch`] and [`deliver`](Self::deliver).
    pub fn offer(
        &mut self,
        envelope: &Envelope,
        arrival: DeliveryPath,
    ) -> Vec<(FilterId, Arc<FilteredMessage>)> {
        let opened = self.keys().open(envelope);
        self.accept(envelope, arrival, opened, None)
    }

    /// A snapshot of all keys, to be tried on envelopes elsewhere.
    pub fn keys(&mut self) -> Arc<TrialKeys> {
        let snapshot = self.snapshot.get_or_insert_with(|| {
            let keys = self.keys.iter();
            let keys = keys.map(|(id, (key, _))| (*id, key.clone()));
            Arc::new(TrialKeys::new(keys))
        });
        Arc::clone(snapshot)
    }

    /// A snapshot of the keys of these filters.
    #[must_use]
    pub fn keys_of(&self, filters: impl Iterator<Item = FilterId>) -> Arc<TrialKeys> {
        let installed = filters.filter_map(|id| self.installed.get(&id));
        let keys: BTreeMap<KeyId, FilterKey> = installed
            .map(|installed| &installed.filter.key)
            .map(|key| (KeyId::of(key), key.clone()))
            .collect();
        Arc::new(TrialKeys::new(keys.into_iter()))
    }

    /// Stores what a [`TrialBatch`] decrypted in an envelope with every filter that accepts it, or
    /// with those of `only`: the others received the envelope before.
    ///
    /// A filter that was removed meanwhile receives nothing.
    pub fn deliver(
        &mut self,
        envelope: &Envelope,
        arrival: DeliveryPath,
        results: Vec<TrialResult>,
        only: Option<&BTreeSet<FilterId>>,
    ) -> Vec<(FilterId, Arc<FilteredMessage>)> {
        let opened = results
            .into_iter()
            .map(|result| (result.key, result.message));
        self.accept(envelope, arrival, opened, only)
    }

    fn accept(
        &mut self,
        envelope: &Envelope,
        arrival: DeliveryPath,
        opened: impl IntoIterator<Item = (KeyId, DecryptedMessage)>,
        only: Option<&BTreeSet<FilterId>>,
    ) -> Vec<(FilterId, Arc<FilteredMessage>)> {
        let mut taken = Vec::new();
        for (key, opened) in opened {
            let received = Arc::new(FilteredMessage {
                envelope: envelope.clone(),
                opened,
                arrival,
            });
            let users = self.keys.get(&key).map(|(_, users)| users);
            let wanted = |id: &&FilterId| only.is_none_or(|only| only.contains(*id));
            for &id in users.into_iter().flatten().filter(wanted) {
                if let Some(InstalledFilter { filter, inbox }) = self.installed.get_mut(&id)
                    && filter.takes(&received)
                {
                    inbox.put(&received);
                    taken.push((id, Arc::clone(&received)));
                }
            }
        }
        if !taken.is_empty() {
            self.make_room();
        }
        taken
    }

    /// Drops the oldest messages of the fullest inboxes while the total exceeds its limit.
    fn make_room(&mut self) {
        loop {
            let inboxes = || self.installed.values().map(|installed| &installed.inbox);
            if inboxes().map(|inbox| inbox.bytes).sum::<usize>() <= MAX_TOTAL_BYTES {
                return;
            }
            let inboxes = self.installed.values_mut();
            let fullest = inboxes.max_by_key(|installed| installed.inbox.bytes);
            match fullest {
                Some(installed) => installed.inbox.drop_oldest(),
                None => return,
            }
        }
    }

    /// The messages that a filter accepted since the last call, oldest first; `None` if there is no
    /// such filter.
    pub fn drain(&mut self, id: FilterId) -> Option<Vec<Arc<FilteredMessage>>> {
        let inbox = &mut self.installed.get_mut(&id)?.inbox;
        let lost = inbox.lost;
        let drained = core::mem::take(inbox);
        inbox.lost = lost;
        Some(drained.messages.into())
    }

    /// Number of messages that were dropped from a filter's inbox since the last call; 0 if there is no
    /// such filter.
    pub fn take_lost(&mut self, id: FilterId) -> u64 {
        let installed = self.installed.get_mut(&id);
        installed.map_or(0, |installed| core::mem::take(&mut installed.inbox.lost))
    }

    /// An installed filter.
    #[must_use]
    pub fn get(&self, id: FilterId) -> Option<&Filter> {
        self.installed.get(&id).map(|installed| &installed.filter)
    }

    /// Number of filters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.installed.len()
    }

    /// Whether there is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.installed.is_empty()
    }

    /// The narrowest bloom filter that matches all topics of all filters. Only a light node
    /// announces it; it reveals to peers what its owner reads.
    #[must_use]
    pub fn bloom(&self) -> Bloom {
        let mut bloom = Bloom::EMPTY;
        for InstalledFilter { filter, .. } in self.installed.values() {
            if filter.topics.is_empty() {
                return Bloom::FULL;
            }
            for prefix in &filter.topics {
                if prefix.len < 4 {
                    return Bloom::FULL;
                }
                bloom.add(&Bloom::merged(Topic(prefix.bytes)));
            }
        }
        bloom
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filters({})", self.installed.len())
    }
}

impl Filter {
    /// The rules of protocol sheet 6 for a message that this filter's key decrypted.
    fn takes(&self, received: &FilteredMessage) -> bool {
        let topic = received.envelope.topic();
        let Self {
            key: _,
            topics,
            source,
            minimum_pow,
            allow_p2p,
        } = self;
        (*allow_p2p || received.arrival != DeliveryPath::Direct)
            && (topics.is_empty() || topics.iter().any(|prefix| prefix.matches(topic)))
            && (*minimum_pow <= 0.0 || received.arrival.pow() >= *minimum_pow)
            && (source.is_none() || *source == received.opened.signer)
    }
}

struct InstalledFilter {
    filter: Filter,
    inbox: MessageQueue,
}

/// Messages that a filter accepted and that are not fetched yet: bounded, the oldest is dropped
/// first and counted.
#[derive(Default)]
struct MessageQueue {
    messages: VecDeque<Arc<FilteredMessage>>,
    known: BTreeSet<EnvelopeHash>,
    bytes: usize,
    /// Number of messages dropped and not reported yet.
    lost: u64,
}

impl MessageQueue {
    fn put(&mut self, received: &Arc<FilteredMessage>) {
        if !self.known.insert(received.envelope.hash()) {
            return;
        }
        self.bytes = self.bytes.saturating_add(cost(received));
        self.messages.push_back(Arc::clone(received));
        while self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        match self.messages.pop_front() {
            Some(oldest) => {
                self.bytes = self.bytes.saturating_sub(cost(&oldest));
                self.known.remove(&oldest.envelope.hash());
                self.lost = self.lost.saturating_add(1);
            }
            None => self.bytes = 0,
        }
    }
}

/// Memory of one message in bytes.
fn cost(received: &FilteredMessage) -> usize {
    let FilteredMessage {
        envelope, opened, ..
    } = received;
    let opened = opened.payload.len().saturating_add(opened.padding.len());
    let bytes = envelope.size().saturating_add(opened);
    bytes.saturating_add(OVERHEAD)
}

/// Maximum memory of the messages in one inbox: some 30,000 short ones.
const MAX_BYTES: usize = 32 << 20;
/// Maximum memory of the messages in all inboxes.
const MAX_TOTAL_BYTES: usize = 128 << 20;
/// Memory of a message besides its bytes: its fields, its hash in the index, the allocator.
const OVERHEAD: usize = 512;

#[cfg(test)]
mod tests;
