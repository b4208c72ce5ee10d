//! What is addressed to this user, found by trying every key on every envelope.
//!
//! Trying happens on a chore of its own, after an envelope was pooled and scheduled for all peers,
//! so that forwarding never waits for decryption. Messages live in memory only: after a restart
//! the network still holds whatever has not expired, and gossip brings it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use zeroize::Zeroizing;

use circuits::time::Now;

use super::command::{Identity, PublicIdentity, Refusal};
use super::timers::Timer;
use super::views::{IdentityView, MessageView};
use super::{Event, Node, Output, hex};
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::message::{ClientPublic, ClientSecret, SymKey};
use crate::subscriptions::{
    DeliveryPath, Filter, FilterId, FilterKey, FilteredMessage, Filters, TopicPrefix,
};

/// Identities, and what they received.
#[derive(Default)]
pub(super) struct Inbox {
    filters: Filters,
    identities: BTreeMap<String, KnownIdentity>,
    /// Filters whose messages are told at once; those of other clients keep theirs until polled.
    push_filters: BTreeSet<FilterId>,
    /// Identities whose keys are locked away: what can be known of them.
    locked: BTreeMap<String, PublicIdentity>,
    /// Envelopes that no key has been tried on.
    waiting: VecDeque<QueuedEnvelope>,
    /// Bytes of those that were handed over: the pool holds the others anyway.
    direct_bytes: usize,
    messages: VecDeque<ReceivedMessage>,
    bytes: usize,
    last: u64,
}

/// An envelope in line.
struct QueuedEnvelope {
    envelope: Envelope,
    arrival: DeliveryPath,
    /// The filter that came after it, if it is in line a second time.
    only: Option<FilterId>,
}

/// An identity that is listened for.
struct KnownIdentity {
    filter: FilterId,
    key: IdentityKey,
}

#[derive(Clone)]
enum IdentityKey {
    Pair(Arc<ClientSecret>),
    Shared(Arc<SymKey>, Topic),
}

struct ReceivedMessage {
    number: u64,
    to: String,
    from: Option<ClientPublic>,
    envelope: EnvelopeHash,
    topic: Topic,
    made: u32,
    expires: u32,
    payload: Zeroizing<Vec<u8>>,
}

impl Inbox {
    /// Puts an envelope in line to be tried; `false` if there is nobody to try it for.
    pub(super) fn offer(&mut self, envelope: Envelope, arrival: DeliveryPath) -> bool {
        self.enqueue(QueuedEnvelope {
            envelope,
            arrival,
            only: None,
        })
    }

    fn enqueue(&mut self, waiting: QueuedEnvelope) -> bool {
        let wanted = !self.filters.is_empty() && self.waiting.len() < MAX_QUEUED_ENVELOPES;
        if !wanted {
            return false;
        }
        if waiting.arrival == DeliveryPath::Direct {
            let bytes = self.direct_bytes.saturating_add(waiting.envelope.size());
            if bytes > MAX_DIRECT_BYTES {
                return false;
            }
            self.direct_bytes = bytes;
        }
        self.waiting.push_back(waiting);
        true
    }

    /// Whether anything that was handed over is still in line.
    pub(super) const fn has_direct(&self) -> bool {
        self.direct_bytes > 0
    }

    /// Takes the next envelope off the line.
    fn dequeue(&mut self) -> Option<QueuedEnvelope> {
        let waiting = self.waiting.pop_front()?;
        if waiting.arrival == DeliveryPath::Direct {
            let size = waiting.envelope.size();
            self.direct_bytes = self.direct_bytes.saturating_sub(size);
        }
        Some(waiting)
    }

    /// Listens for an identity from now on; gives its filter.
    pub(super) fn add(&mut self, name: String, identity: Identity) -> Result<FilterId, Refusal> {
        if self.identities.contains_key(&name) {
            return Err(Refusal::usage(
                format!("there is an identity `{name}` already"),
                "choose another name (`whisht id list` shows those in use)",
            ));
        }
        if self.identities.len() >= MAX_IDENTITIES {
            return Err(Refusal::usage(
                format!("there are {MAX_IDENTITIES} identities already"),
                "every identity costs a trial per envelope; remove one first",
            ));
        }
        let (key, filter_key, topics) = match identity {
            Identity::KeyPair(secret) => {
                let secret = Arc::new(secret);
                (
                    IdentityKey::Pair(Arc::clone(&secret)),
                    FilterKey::Asymmetric(secret),
                    Vec::new(),
                )
            }
            Identity::Shared(key, topic) => {
                let key = Arc::new(key);
                let topics = TopicPrefix::new(&topic.0).into_iter().collect();
                (
                    IdentityKey::Shared(Arc::clone(&key), topic),
                    FilterKey::Symmetric(key),
                    topics,
                )
            }
        };
        let filter = self.filters.install(Filter {
            key: filter_key,
            topics,
            source: None,
            minimum_pow: 0.0,
            // Whom the user trusts may hand over what was missed.
            allow_p2p: true,
        });
        self.locked.remove(&name);
        self.identities.insert(name, KnownIdentity { filter, key });
        Ok(filter)
    }

    /// Notes an identity that cannot be listened for yet.
    pub(super) fn add_locked(
        &mut self,
        name: String,
        public_identity: PublicIdentity,
    ) -> Result<(), Refusal> {
        if self.identities.contains_key(&name) || self.locked.contains_key(&name) {
            return Err(Refusal::usage(
                format!("there is an identity `{name}` already"),
                "choose another name (`whisht id list` shows those in use)",
            ));
        }
        self.locked.insert(name, public_identity);
        Ok(())
    }

    /// Why an identity of this name cannot be used, if that is because its key is locked away.
    pub(super) fn check_unlocked(&self, name: &str) -> Result<(), Refusal> {
        match self.locked.contains_key(name) {
            true => Err(Refusal::locked(format!("the identity `{name}` is locked"))),
            false => Ok(()),
        }
    }

    /// The secret key of a named key pair, to sign with.
    pub(super) fn secret(&self, name: &str) -> Option<Arc<ClientSecret>> {
        match &self.identities.get(name)?.key {
            IdentityKey::Pair(secret) => Some(Arc::clone(secret)),
            IdentityKey::Shared(..) => None,
        }
    }

    /// A named shared key and its topic, to write under.
    pub(super) fn shared(&self, name: &str) -> Option<(Arc<SymKey>, Topic)> {
        match &self.identities.get(name)?.key {
            IdentityKey::Shared(key, topic) => Some((Arc::clone(key), *topic)),
            IdentityKey::Pair(_) => None,
        }
    }

    /// All of them, in the order of their names.
    pub(super) fn identities(&self) -> Vec<IdentityView> {
        let unlocked = self.identities.iter().map(|(name, known)| {
            let public_identity = match &known.key {
                IdentityKey::Pair(secret) => PublicIdentity::KeyPair(secret.public()),
                IdentityKey::Shared(_, topic) => PublicIdentity::Shared(*topic),
            };
            (name, public_identity, false)
        });
        let locked = self.locked.iter();
        let locked = locked.map(|(name, public_identity)| (name, *public_identity, true));
        let mut views: Vec<IdentityView> = unlocked
            .chain(locked)
            .map(|(name, public_identity, locked)| IdentityView {
                name: name.clone(),
                kind: public_identity.kind(),
                public_key: match public_identity {
                    PublicIdentity::KeyPair(public) => Some(hex(&public.to_bytes())),
                    PublicIdentity::Shared(_) => None,
                },
                topic: match public_identity {
                    PublicIdentity::KeyPair(_) => None,
                    PublicIdentity::Shared(topic) => Some(hex(&topic.0)),
                },
                locked,
            })
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    /// Messages with a number above `after`, oldest first. Refused if every identity is locked:
    /// an empty list would say that there is no mail.
    pub(super) fn messages(&self, after: u64) -> Result<Vec<MessageView>, Refusal> {
        if self.identities.is_empty() && !self.locked.is_empty() {
            return Err(Refusal::locked("all identities are locked".to_owned()));
        }
        let newer = self
            .messages
            .iter()
            .filter(|message| message.number > after);
        Ok(newer.map(ReceivedMessage::view).collect())
    }

    /// Installs a filter of a client; what it takes is told at once, or kept until it is polled.
    pub(super) fn install(&mut self, filter: Filter, push: bool) -> FilterId {
        let id = self.filters.install(filter);
        if push {
            self.push_filters.insert(id);
        }
        id
    }

    /// Removes a filter of a client; says whether there was one.
    pub(super) fn uninstall(&mut self, id: FilterId) -> bool {
        self.push_filters.remove(&id);
        self.filters.remove(id)
    }

    /// What a filter took since it was last asked; `None` if there is no such filter.
    pub(super) fn poll(&mut self, id: FilterId) -> Option<Vec<Arc<FilteredMessage>>> {
        self.filters.drain(id)
    }

    /// Filters of all kinds.
    pub(super) fn filters(&self) -> usize {
        self.filters.len()
    }

    /// Envelopes that no key has been tried on.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Tries one envelope with every key; what it opened is kept, and told to whom it concerns.
    fn try_decrypt(&mut self, waiting: &QueuedEnvelope) -> Vec<Event> {
        let QueuedEnvelope {
            envelope,
            arrival,
            only,
        } = waiting;
        let matches = match only {
            Some(filter) => self.filters.offer_again(envelope, *arrival, *filter),
            None => self.filters.offer(envelope, *arrival),
        };
        let mut events = Vec::with_capacity(matches.len());
        for (filter, received) in matches {
            let name = self
                .identities
                .iter()
                .find(|(_, known)| known.filter == filter);
            if let Some((name, _)) = name {
                // It is kept here; nobody polls the filter.
                let _polled = self.filters.drain(filter);
                let message = self.store_message(name.clone(), &received);
                events.extend(message.map(Event::Message));
            } else if self.push_filters.contains(&filter) {
                let _polled = self.filters.drain(filter);
                events.push(Event::Filtered(filter, received));
            }
        }
        events
    }

    /// Keeps a message, unless it is here: the pool is tried again for every new identity.
    fn store_message(&mut self, to: String, received: &FilteredMessage) -> Option<MessageView> {
        let envelope = &received.envelope;
        let same =
            |message: &ReceivedMessage| message.envelope == envelope.hash() && message.to == to;
        if self.messages.iter().any(same) {
            return None;
        }
        self.last = self.last.saturating_add(1);
        let message = ReceivedMessage {
            number: self.last,
            to,
            from: received.opened.signer,
            envelope: envelope.hash(),
            topic: envelope.topic(),
            made: envelope.sent().0,
            expires: envelope.expiry().0,
            payload: received.opened.payload.clone(),
        };
        let view = message.view();
        self.bytes = self.bytes.saturating_add(message.payload.len());
        self.messages.push_back(message);
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_PAYLOAD_BYTES {
            let Some(oldest) = self.messages.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.payload.len());
        }
        Some(view)
    }
}

impl ReceivedMessage {
    fn view(&self) -> MessageView {
        MessageView {
            number: self.number,
            to: self.to.clone(),
            from: self.from.map(|from| hex(&from.to_bytes())),
            topic: hex(&self.topic.0),
            envelope: hex(&self.envelope.0),
            made: self.made,
            expires: self.expires,
            payload: hex(&self.payload),
        }
    }
}

impl Node {
    /// Tries our keys on envelopes that were pooled since, a bounded number at a time.
    pub(super) fn try_decrypt_queued(&mut self) {
        for _ in 0..MAX_TRIED_PER_TICK {
            let Some(waiting) = self.inbox.dequeue() else {
                return self.timers.disarm(Timer::TryDecrypt);
            };
            for event in self.inbox.try_decrypt(&waiting) {
                if waiting.arrival == DeliveryPath::Direct && matches!(event, Event::Message(_)) {
                    self.on_fetched_message();
                }
                self.outputs.push_back(Output::Notify(event));
            }
        }
    }

    /// Starts to listen for an identity, in what the pool already holds too.
    pub(super) fn add_identity(
        &mut self,
        now: Now,
        name: String,
        identity: Identity,
    ) -> Result<(), Refusal> {
        let filter = self.inbox.add(name, identity)?;
        let topics = self.inbox.filters.bloom();
        self.widen_bloom(now, &topics);
        for pooled in self.pool.iter() {
            let pow = pooled.pow.best();
            self.inbox.enqueue(QueuedEnvelope {
                envelope: pooled.envelope.clone(),
                arrival: DeliveryPath::Gossip { pow },
                only: Some(filter),
            });
        }
        self.timers.expedite(Timer::TryDecrypt, now.mono);
        Ok(())
    }
}

/// Envelopes tried in one go, every 50 ms: 1,280 a second, twenty times what a busy network sends.
const MAX_TRIED_PER_TICK: usize = 64;

/// Envelopes in line at once.
const MAX_QUEUED_ENVELOPES: usize = 65_536;

/// Identities at once.
const MAX_IDENTITIES: usize = 256;

/// Bytes of envelopes in line that were handed over and are not in the pool; beyond them the rest
/// is dropped, to be asked for again.
const MAX_DIRECT_BYTES: usize = 64 * 1024 * 1024;

/// Messages kept until the node stops; the oldest go first.
const MAX_MESSAGES: usize = 4096;

/// The same in bytes of payload.
const MAX_PAYLOAD_BYTES: usize = 32 * 1024 * 1024;
