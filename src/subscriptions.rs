//! Local subscriptions: which of the envelopes that pass by are for us.
//!
//! Everybody holds every envelope; who reads which must not show. So an envelope is not sorted by
//! topic first: each distinct key tries each envelope, a failed trial does the work of a
//! successful one, and one message is decrypted and one signature recovered per envelope, whether
//! there is one or not. Only then are topic, source and work compared. The price is a trial per key
//! (half a microsecond for a shared key, fifty for a person's: docs/benchmarks.md) and one
//! recovery; the gain is that timing tells a neighbour how many keys are tried here and not which
//! envelopes they open.
//!
//! Forwarding must not wait for any of this, and nothing here answers anybody.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use crate::bloom::Bloom;
use crate::envelope::{EncryptionHint, Envelope, EnvelopeHash, Topic};
use crate::message::{
    self, ClientPublic, ClientSecret, DecryptedMessage, SymKey, TrialDecryption, UnverifiedMessage,
};

/// What a subscriber asks for.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The key that opens the messages.
    pub key: FilterKey,
    /// The topics, or beginnings of topics; none means all.
    pub topics: Vec<TopicPrefix>,
    /// Whose signature a message must bear; `None` takes everybody's and nobody's.
    pub source: Option<ClientPublic>,
    /// The least work, by the better of the two generations.
    pub minimum_pow: f64,
    /// Whether messages that a trusted peer hands over directly are taken.
    pub allow_p2p: bool,
}

/// The key of a filter; several filters may share one.
#[derive(Clone, Debug)]
pub enum FilterKey {
    /// Reads what was sent to a person.
    Asymmetric(Arc<ClientSecret>),
    /// Reads what was sent to all who share a key.
    Symmetric(Arc<SymKey>),
}

/// The first one to four bytes of a topic.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TopicPrefix {
    bytes: [u8; 4],
    len: usize,
}

impl TopicPrefix {
    /// Takes the beginning of a topic.
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

    /// Whether `topic` begins so.
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

/// How an envelope came to us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeliveryPath {
    /// Handed over by a trusted peer; its work was not looked at.
    Direct,
    /// With the gossip, and with this much work.
    Gossip {
        /// By the better of the two generations.
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

/// A message that a filter took.
#[derive(Clone, Debug, PartialEq)]
pub struct FilteredMessage {
    /// The envelope it came in.
    pub envelope: Envelope,
    /// What was in it.
    pub opened: DecryptedMessage,
    /// How it came.
    pub arrival: DeliveryPath,
}

/// Names an installed filter.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FilterId(pub u64);

/// All installed filters, and what they took.
#[derive(Default)]
pub struct Filters {
    next_id: u64,
    installed: BTreeMap<FilterId, InstalledFilter>,
    /// Each distinct key once, and the filters that use it.
    keys: BTreeMap<KeyId, (FilterKey, BTreeSet<FilterId>)>,
}

impl Filters {
    /// No filters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Installs a filter. It sees what is offered from now on.
    pub fn install(&mut self, filter: Filter) -> FilterId {
        let id = FilterId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        let key = KeyId::of(&filter.key);
        self.keys
            .entry(key)
            .or_insert_with(|| (filter.key.clone(), BTreeSet::new()))
            .1
            .insert(id);
        let inbox = MessageQueue::default();
        self.installed.insert(id, InstalledFilter { filter, inbox });
        id
    }

    /// Removes a filter and what it took; says whether there was one.
    pub fn remove(&mut self, id: FilterId) -> bool {
        let Some(InstalledFilter { filter, inbox: _ }) = self.installed.remove(&id) else {
            return false;
        };
        let key = KeyId::of(&filter.key);
        if let Some((_, users)) = self.keys.get_mut(&key) {
            users.remove(&id);
            if users.is_empty() {
                self.keys.remove(&key);
            }
        }
        true
    }

    /// Tries an envelope with every key, and files what opens with every filter that takes it.
    ///
    /// What is returned was also put into the inboxes, for those who poll.
    pub fn offer(
        &mut self,
        envelope: &Envelope,
        arrival: DeliveryPath,
    ) -> Vec<(FilterId, Arc<FilteredMessage>)> {
        self.deliver(envelope, arrival, None)
    }

    /// The same for one filter alone: the others had the envelope before it was installed.
    pub fn offer_again(
        &mut self,
        envelope: &Envelope,
        arrival: DeliveryPath,
        only: FilterId,
    ) -> Vec<(FilterId, Arc<FilteredMessage>)> {
        self.deliver(envelope, arrival, Some(only))
    }

    fn deliver(
        &mut self,
        envelope: &Envelope,
        arrival: DeliveryPath,
        only: Option<FilterId>,
    ) -> Vec<(FilterId, Arc<FilteredMessage>)> {
        let mut taken = Vec::new();
        for (key, opened) in self.open(envelope) {
            let received = Arc::new(FilteredMessage {
                envelope: envelope.clone(),
                opened,
                arrival,
            });
            let users = self.keys.get(&key).map(|(_, users)| users);
            let wanted = |id: &&FilterId| only.is_none_or(|only| only == **id);
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

    /// Drops the oldest messages of the fullest inboxes as long as all of them together hold too
    /// much.
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

    /// Everything that a filter took since it was last asked, oldest first; `None` if there is no
    /// such filter.
    pub fn drain(&mut self, id: FilterId) -> Option<Vec<Arc<FilteredMessage>>> {
        self.installed
            .get_mut(&id)
            .map(|installed| core::mem::take(&mut installed.inbox).messages.into())
    }

    /// A filter as it was installed.
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

    /// The narrowest bloom that admits all topics asked for. Only a light node announces it, and
    /// it tells the peers what its owner reads.
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

    /// The keys that open this envelope, and what they open. Costs the same whether any does.
    ///
    /// An envelope of `shh/5` shows which kind of key it is for, and only those are tried: what
    /// that saves depends on what everybody sees, and not on what we read.
    fn open(&self, envelope: &Envelope) -> Vec<(KeyId, DecryptedMessage)> {
        let Some(hint) = envelope.hint() else {
            return Vec::new();
        };
        let data = envelope.data();
        let mut shared = match hint {
            EncryptionHint::Absent => TrialDecryption::v6(data).ok(),
            EncryptionHint::Symmetric(nonce) => TrialDecryption::v5(nonce, data).ok(),
            EncryptionHint::Asymmetric => None,
        };
        let unverified: Vec<_> = self
            .keys
            .iter()
            .filter_map(|(id, (key, _))| {
                let opened = match (key, hint) {
                    (
                        FilterKey::Asymmetric(key),
                        EncryptionHint::Absent | EncryptionHint::Asymmetric,
                    ) => UnverifiedMessage::asymmetric(envelope.protocol(), key, data),
                    (FilterKey::Symmetric(key), _) => shared.as_mut()?.attempt(key),
                    (FilterKey::Asymmetric(_), EncryptionHint::Symmetric(_)) => return None,
                };
                Some((*id, opened.ok()?))
            })
            .collect();
        if let Some(shared) = shared {
            shared.finish();
        }
        if !self.keys.is_empty() && !unverified.iter().any(|(_, opened)| opened.is_signed()) {
            message::decoy_recovery(data);
        }
        unverified
            .into_iter()
            .filter_map(|(id, opened)| Some((id, opened.verify().ok()?)))
            .collect()
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filters({})", self.installed.len())
    }
}

impl Filter {
    /// The rules of protocol sheet 6 for a message that this filter's key opened.
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

/// Tells keys apart without holding them.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum KeyId {
    Asymmetric(ClientPublic),
    Symmetric([u8; 32]),
}

impl KeyId {
    fn of(key: &FilterKey) -> Self {
        match key {
            FilterKey::Asymmetric(key) => Self::Asymmetric(key.public()),
            FilterKey::Symmetric(key) => Self::Symmetric(key.digest()),
        }
    }
}

struct InstalledFilter {
    filter: Filter,
    inbox: MessageQueue,
}

/// What a filter took and nobody fetched yet: bounded, the oldest goes first.
#[derive(Default)]
struct MessageQueue {
    messages: VecDeque<Arc<FilteredMessage>>,
    known: BTreeSet<EnvelopeHash>,
    bytes: usize,
}

impl MessageQueue {
    fn put(&mut self, received: &Arc<FilteredMessage>) {
        if !self.known.insert(received.envelope.hash()) {
            return;
        }
        self.bytes = self.bytes.saturating_add(received.envelope.size());
        self.messages.push_back(Arc::clone(received));
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        match self.messages.pop_front() {
            Some(oldest) => {
                self.bytes = self.bytes.saturating_sub(oldest.envelope.size());
                self.known.remove(&oldest.envelope.hash());
            }
            None => self.bytes = 0,
        }
    }
}

/// Most messages that wait in one inbox.
const MAX_MESSAGES: usize = 4_096;
/// Most bytes of data that wait in one inbox.
const MAX_BYTES: usize = 32 << 20;
/// Most bytes of data that wait in all inboxes together.
const MAX_TOTAL_BYTES: usize = 128 << 20;

#[cfg(test)]
mod tests;
