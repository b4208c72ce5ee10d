//! What a client of `shh_*` can ask, what it gets, and what it is told when that cannot be.

use std::sync::Arc;

use circuits::ids::RelayKey;
use circuits::level::Level;
use circuits::secret::Secret;
use zeroize::Zeroizing;

use super::super::command::Refusal;
use crate::envelope::{EnvelopeHash, Topic, Ttl};
use crate::message::{ClientPublic, ClientSecret};
use crate::pow::OutOfTime;
use crate::subscriptions::{FilterId, FilteredMessage};

/// A call of a `shh_*` method, unless another [`Command`](crate::node::Command) does what it says.
/// Keys and filters go by ids that the node made up.
pub enum ShhCommand {
    /// How the node is.
    Info,
    /// Take what this peer hands over past all checks, until its connection ends.
    TrustPeer(RelayKey),
    /// Make a key pair.
    NewKeyPair,
    /// Keep this key pair.
    AddKeyPair(ClientSecret),
    /// Forget a key pair. Filters that have it keep it.
    DeleteKeyPair(String),
    /// Whether there is such a key pair.
    HasKeyPair(String),
    /// The public half of a key pair.
    PublicKey(String),
    /// The secret half of a key pair.
    PrivateKey(String),
    /// Make a shared key.
    NewSymKey,
    /// Keep this shared key. That of zeros is kept too, and cannot be used.
    AddSymKey(Secret<32>),
    /// Forget a shared key. Filters that have it keep it.
    DeleteSymKey(String),
    /// Whether there is such a shared key.
    HasSymKey(String),
    /// A shared key itself.
    SymKey(String),
    /// Send a message; answered when its envelope is sealed.
    Post(Box<Post>),
    /// Keep messages that fit until they are fetched.
    NewFilter(Criteria),
    /// What a filter has kept since the last time.
    Messages(String),
    /// Remove a filter.
    DeleteFilter(String),
    /// Tell messages that fit as [`Event::Filtered`](crate::node::Event::Filtered).
    Subscribe(Criteria),
    /// Tell them no more.
    Unsubscribe(FilterId),
}

/// Which messages a client wants to see.
#[derive(Debug)]
pub struct Criteria {
    /// The key that opens them.
    pub key: FilterKeyId,
    /// Whose signature they bear; anybody's or nobody's if `None`.
    pub signer: Option<ClientPublic>,
    /// The least work.
    pub min_pow: f64,
    /// Their topics; any if there is none.
    pub topics: Vec<Topic>,
    /// Whether messages that a trusted peer hands over are wanted.
    pub allow_p2p: bool,
}

/// The key that opens messages, by its id.
#[derive(Debug)]
pub enum FilterKeyId {
    /// A key pair.
    Pair(String),
    /// A shared key.
    Shared(String),
}

/// A message to be posted.
pub struct Post {
    /// Who can read it.
    pub to: PostTo,
    /// The id of the key pair that signs it, if any.
    pub sign_as: Option<String>,
    /// How long it lives; at private levels at the least.
    pub ttl: Ttl,
    /// The hint for its readers.
    pub topic: Topic,
    /// What it says.
    pub payload: Zeroizing<Vec<u8>>,
    /// What is added to hide how much was said; by itself to a multiple of 256 bytes if empty.
    pub padding: Vec<u8>,
    /// The work that it has to have; less than zero for as much as there is time for.
    pub pow_target: f64,
    /// Seconds that sealing may take.
    pub pow_time: u32,
    /// The peer that it is handed to and nobody else, or what is wrong with its URL.
    pub peer: Option<Result<RelayKey, String>>,
    /// How well the sender is hidden; the node's own level if `None`.
    pub level: Option<Level>,
}

/// Who can read a post.
#[derive(Debug)]
pub enum PostTo {
    /// The holder of this key.
    Public(ClientPublic),
    /// Everybody who has the shared key of this id.
    Shared(String),
}

/// The answer to a [`ShhCommand`].
#[derive(Debug)]
pub enum ShhReply {
    /// Done; nothing to say.
    Done,
    /// Whether there is (or was) such a thing.
    Known(bool),
    /// The id of a new key or filter: 64 hexadecimal digits.
    Id(String),
    /// A public key.
    PublicKey(ClientPublic),
    /// A secret key.
    Secret(Secret<32>),
    /// How the node is.
    Info(ShhInfo),
    /// What a filter took, oldest first.
    Messages(Vec<Arc<FilteredMessage>>),
    /// The envelope that a post became.
    Posted(EnvelopeHash),
    /// The filter whose messages come as events.
    Subscribed(FilterId),
}

/// How the node is, in go-ethereum's figures.
#[derive(Clone, Copy, Debug)]
pub struct ShhInfo {
    /// Bytes of all envelopes in the pool, counted as 20 and the data of each.
    pub memory: usize,
    /// Envelopes that no key was tried on yet.
    pub messages: usize,
    /// The work that peers are asked for.
    pub min_pow: f64,
    /// The largest envelope accepted.
    pub max_message_size: usize,
}

/// Why a call fails, in go-ethereum's words where it has some.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShhError {
    /// So many posts are being sealed that there is no room for another.
    #[error("too many messages are being sealed; wait for one of them")]
    Busy,
    /// The node's own filter has no room for the topic of a post.
    #[error("envelope does not match bloom filter, hash=[0x{hash}]")]
    BloomMismatch {
        /// Of the envelope.
        hash: String,
    },
    /// The envelope is larger than the node accepts.
    #[error("huge messages are not allowed [{hash}]")]
    Huge {
        /// Of the envelope.
        hash: String,
    },
    /// There is no such filter to remove.
    #[error("Unsubscribe: Invalid ID")]
    InvalidFilterId,
    /// There is no such key pair.
    #[error("invalid id")]
    InvalidId,
    /// There is no such key pair for a subscription.
    #[error("invalid public key")]
    InvalidPublicKey,
    /// The shared key consists of zeros.
    #[error("invalid symmetric key")]
    InvalidSymKey,
    /// There is no such key pair to remove.
    #[error("key pair {id} not found")]
    KeyPairNotFound {
        /// What was asked for.
        id: String,
    },
    /// The message cannot go the way that it was to go.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The message fits no envelope.
    #[error("message too large: {most} bytes fit at the most")]
    MessageTooLarge {
        /// Bytes that would fit.
        most: usize,
    },
    /// A subscription to a shared key, or a post under one, names no topic.
    #[error("missing topic(s)")]
    MissingTopic,
    /// There is no such filter to fetch from.
    #[error("filter not found")]
    NoFilter,
    /// The peer is not connected.
    #[error("Could not find peer with ID: {id}")]
    NoPeer {
        /// The hash of its key.
        id: String,
    },
    /// There is no such shared key.
    #[error("non-existent key ID")]
    NoSymKey,
    /// The envelope expired before it was sealed.
    #[error("failed to add envelope")]
    NotAdded,
    /// The work asked for is below the node's minimum.
    #[error("message rejected, PoW too low")]
    PowTooLow,
    /// The time for sealing is over.
    #[error(transparent)]
    OutOfTime(#[from] OutOfTime),
    /// The URL of the peer that a post is for cannot be read.
    #[error("failed to parse target peer: {0}")]
    TargetPeer(String),
    /// There is no room for another key.
    #[error("the node keeps {0} keys of this kind and no more; delete one first")]
    TooManyKeys(usize),
    /// There is no room for another filter.
    #[error("the node keeps {0} filters and no more; delete one first")]
    TooManyFilters(usize),
}
