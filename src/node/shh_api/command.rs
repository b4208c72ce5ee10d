//! The calls of `shh_*` clients, their replies, and their errors.

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

/// A call of a `shh_*` method for which there is no other [`Command`](crate::node::Command). Keys and
/// filters have ids that the node chose.
pub enum ShhCommand {
    /// Report the state of the node.
    Info,
    /// Accept direct messages of this peer without checks until its connection ends.
    TrustPeer(RelayKey),
    /// Generate a key pair.
    NewKeyPair,
    /// Store this key pair.
    AddKeyPair(ClientSecret),
    /// Delete a key pair. Filters that use it keep it.
    DeleteKeyPair(String),
    /// Whether there is such a key pair.
    HasKeyPair(String),
    /// The public half of a key pair.
    PublicKey(String),
    /// The secret half of a key pair.
    PrivateKey(String),
    /// Generate a shared key.
    NewSymKey,
    /// Store this shared key. The key of zeros is stored too, and cannot be used.
    AddSymKey(Secret<32>),
    /// Delete a shared key. Filters that use it keep it.
    DeleteSymKey(String),
    /// Whether there is such a shared key.
    HasSymKey(String),
    /// A shared key itself.
    SymKey(String),
    /// Send a message; answered when its proof of work is done.
    Post(Box<Post>),
    /// Keep matching messages until they are polled.
    NewFilter(Criteria),
    /// Poll the messages of a filter.
    Messages(String),
    /// Remove a filter.
    DeleteFilter(String),
    /// Report matching messages as [`Event::Filtered`](crate::node::Event::Filtered).
    Subscribe(Criteria),
    /// End a subscription.
    Unsubscribe(FilterId),
}

/// The criteria of a filter.
#[derive(Debug)]
pub struct Criteria {
    /// The key that decrypts the messages.
    pub key: FilterKeyId,
    /// The required signer; `None` accepts any signer and unsigned messages.
    pub signer: Option<ClientPublic>,
    /// Minimum proof of work.
    pub min_pow: f64,
    /// The topics; all if empty.
    pub topics: Vec<Topic>,
    /// Whether direct messages of trusted peers match.
    pub allow_p2p: bool,
}

/// The id of the key that decrypts messages.
#[derive(Debug)]
pub enum FilterKeyId {
    /// A key pair.
    Pair(String),
    /// A shared key.
    Shared(String),
}

/// A message to be posted.
pub struct Post {
    /// The recipient.
    pub to: PostTo,
    /// The id of the key pair that signs it, if any.
    pub sign_as: Option<String>,
    /// Its lifetime; at private levels a minimum.
    pub ttl: Ttl,
    /// The topic.
    pub topic: Topic,
    /// The content.
    pub payload: Zeroizing<Vec<u8>>,
    /// The padding; if empty, the node pads to a multiple of 256 bytes.
    pub padding: Vec<u8>,
    /// The required proof of work; negative for as much as the time limit allows.
    pub pow_target: f64,
    /// Time limit of the proof of work in seconds.
    pub pow_time: u32,
    /// The only peer that it is sent to, or the error in its URL; `None` for the network.
    pub peer: Option<Result<RelayKey, String>>,
    /// The privacy level; the node's default if `None`.
    pub level: Option<Level>,
}

/// The recipient of a post.
#[derive(Debug)]
pub enum PostTo {
    /// The holder of this key.
    Public(ClientPublic),
    /// All holders of the shared key with this id.
    Shared(String),
}

/// The answer to a [`ShhCommand`].
#[derive(Debug)]
pub enum ShhReply {
    /// Done, without a result.
    Done,
    /// Whether it exists, or existed before a removal.
    Known(bool),
    /// The id of a new key or filter: 64 hexadecimal digits.
    Id(String),
    /// A public key.
    PublicKey(ClientPublic),
    /// A secret key.
    Secret(Secret<32>),
    /// The state of the node.
    Info(ShhInfo),
    /// The messages of a filter, oldest first.
    Messages(Vec<Arc<FilteredMessage>>),
    /// The hash of a post's envelope.
    Posted(EnvelopeHash),
    /// The filter of a subscription.
    Subscribed(FilterId),
}

/// The state of the node, in go-ethereum's figures.
#[derive(Clone, Copy, Debug)]
pub struct ShhInfo {
    /// Size of all envelopes in the mempool: 20 bytes plus the data of each.
    pub memory: usize,
    /// Number of envelopes that wait for trial decryption.
    pub messages: usize,
    /// The proof of work that is required of peers.
    pub min_pow: f64,
    /// Size of the largest accepted envelope.
    pub max_message_size: usize,
}

/// Why a call fails, in go-ethereum's words where go-ethereum has the error.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShhError {
    /// The client has its maximum number of posts in progress.
    #[error("{0} messages of this client wait for their proof of work; wait for one of them")]
    Busy(usize),
    /// The posts of all clients took too much memory, and those of this client most.
    #[error(
        "the messages that wait for their proof of work take too much memory, those of this client \
         most; send fewer at once, and this one again"
    )]
    Displaced,
    /// The topic of a post is outside the node's own topic filter.
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
    /// The filter to remove does not exist.
    #[error("Unsubscribe: Invalid ID")]
    InvalidFilterId,
    /// The key pair does not exist.
    #[error("invalid id")]
    InvalidId,
    /// The key pair of a subscription does not exist.
    #[error("invalid public key")]
    InvalidPublicKey,
    /// The shared key consists of zeros.
    #[error("invalid symmetric key")]
    InvalidSymKey,
    /// The key pair to delete does not exist.
    #[error("key pair {id} not found")]
    KeyPairNotFound {
        /// The requested id.
        id: String,
    },
    /// The message cannot be sent as requested.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No envelope can hold the message.
    #[error("message too large: at most {most} bytes fit")]
    MessageTooLarge {
        /// Bytes that would fit.
        most: usize,
    },
    /// A subscription or post with a shared key has no topic.
    #[error("missing topic(s)")]
    MissingTopic,
    /// Messages of the polled filter were dropped, because it was polled too rarely.
    #[error(
        "{lost} messages were lost: the filter was full; poll again for the others, and more often"
    )]
    MessagesLost {
        /// Number of dropped messages, the oldest ones.
        lost: u64,
    },
    /// The filter to poll does not exist.
    #[error("filter not found")]
    NoFilter,
    /// The peer is not connected.
    #[error("Could not find peer with ID: {id}")]
    NoPeer {
        /// The hash of its key.
        id: String,
    },
    /// The shared key does not exist.
    #[error("non-existent key ID")]
    NoSymKey,
    /// The envelope expired during its proof of work, or the search was stopped.
    #[error("failed to add envelope")]
    NotAdded,
    /// The requested proof of work is below the node's minimum.
    #[error("message rejected, PoW too low")]
    PowTooLow,
    /// The time limit of the proof of work is over.
    #[error(transparent)]
    OutOfTime(#[from] OutOfTime),
    /// The URL of the peer that a post is for is not valid.
    #[error("failed to parse target peer: {0}")]
    TargetPeer(String),
    /// The maximum number of keys is reached.
    #[error("the node keeps {0} keys of this kind and no more; delete one first")]
    TooManyKeys(usize),
    /// The maximum number of filters is reached.
    #[error("the node keeps {0} filters and no more; delete one first")]
    TooManyFilters(usize),
}
