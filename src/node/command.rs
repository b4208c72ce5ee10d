//! What a user can ask of a running node, and what the node answers.

use circuits::ids::RelayKey;
use circuits::level::Level;
use circuits::time::UnixSecs;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::event::MessageId;
use super::shh_api::{ShhCommand, ShhError, ShhReply};
use super::views::{
    FetchView, IdentityView, MessageView, NodeView, OutgoingView, PeerView, RelayView, StatusView,
};
use crate::bloom::Bloom;
use crate::endpoint::PeerAddr;
use crate::envelope::{Envelope, Topic};
use crate::gossip::packet::MinPow;
use crate::message::{ClientPublic, ClientSecret, SymKey};

/// A wish of the user's.
pub enum Command {
    /// Keep a connection to this peer.
    AddPeer(PeerAddr),
    /// Let go of this peer, and connect to it no more.
    RemovePeer(RelayKey),
    /// Let this peer in however many there are, or no longer.
    AlwaysAdmit(RelayKey, bool),
    /// Trust the peer with this key until its connection ends: what it hands over directly is taken
    /// past all checks.
    TrustPeer(RelayKey),
    /// Hand an envelope to the peer with this key and to nobody else. It takes it if it trusts us,
    /// and knows then that it came from here.
    SendDirect(RelayKey, Envelope),
    /// Ask peers for envelopes with at least this much work.
    SetMinPow(MinPow),
    /// Ask peers for the topics of this filter only. It tells them what is read here.
    SetBloom(Bloom),
    /// Accept envelopes up to this many bytes, counted as 20 and the data.
    SetMaxSize(usize),
    /// Call this node a light one towards peers that come from now on, or no longer.
    SetLight(bool),
    /// Listen for messages to this identity, under this name.
    AddIdentity(String, Identity),
    /// Know that there is an identity of this name whose key is locked away.
    AddLocked(String, PublicIdentity),
    /// Send a message.
    Send(SendRequest),
    /// Forget a message that is on its way; pieces already sent cannot be recalled.
    Cancel(MessageId),
    /// Publish no further descriptor, so that nobody plans paths through us any more, or do again.
    Drain(bool),
    /// Fetch what was missed from a mail server; its progress comes as events.
    FetchMail(FetchRequest),
    /// The identities we listen for.
    Identities,
    /// Messages received with a number above this one.
    Inbox(u64),
    /// What the node is to its peers.
    Node,
    /// Messages on their way.
    Outbox,
    /// Our peers.
    Peers,
    /// The relays we know.
    Relays,
    /// How the node is.
    Status,
    /// What a message would cost, without sending it.
    Estimate(SendRequest),
    /// A call of a `shh_*` method; [`Reply::Shh`] answers it.
    Shh(ShhCommand),
    /// Close all links in good order and emit no more output.
    Shutdown,
}

impl core::fmt::Debug for Command {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Command(..)")
    }
}

/// A key to listen with.
pub enum Identity {
    /// A secp256k1 key pair: messages sealed to its public key.
    KeyPair(ClientSecret),
    /// A shared key: messages under one topic.
    Shared(SymKey, Topic),
}

impl Identity {
    /// What may be known of it without its key.
    #[must_use]
    pub const fn public_identity(&self) -> PublicIdentity {
        match self {
            Self::KeyPair(secret) => PublicIdentity::KeyPair(secret.public()),
            Self::Shared(_, topic) => PublicIdentity::Shared(*topic),
        }
    }
}

/// What is known of an identity without its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PublicIdentity {
    /// A key pair with this public key.
    KeyPair(ClientPublic),
    /// A shared key that goes with this topic.
    Shared(Topic),
}

impl PublicIdentity {
    /// The kind of the key.
    #[must_use]
    pub const fn kind(&self) -> IdentityKind {
        match self {
            Self::KeyPair(_) => IdentityKind::KeyPair,
            Self::Shared(_) => IdentityKind::SharedKey,
        }
    }
}

/// The kind of key that an identity consists of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum IdentityKind {
    /// A secp256k1 key pair.
    #[serde(rename = "key pair")]
    KeyPair,
    /// A key that a group shares, with a topic.
    #[serde(rename = "shared key")]
    SharedKey,
}

impl IdentityKind {
    /// The kind in words, as key files and listings contain it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::KeyPair => "key pair",
            Self::SharedKey => "shared key",
        }
    }
}

/// A message to be sent.
pub struct SendRequest {
    /// Who can read it.
    pub to: Recipient,
    /// Signed by the identity of this name, if any.
    pub sign_as: Option<String>,
    /// What it says.
    pub payload: Zeroizing<Vec<u8>>,
    /// How well the sender is hidden; the node's own level if not given.
    pub level: Option<Level>,
    /// How long it should stay in the network.
    pub life: Duration,
}

/// What is to be fetched from a mail server.
pub struct FetchRequest {
    /// Which server; the first trusted peer of the configuration if none is named.
    pub from: Option<MailSource>,
    /// What entered the network from this second on.
    pub since: UnixSecs,
    /// What entered it until this second; until now if not given.
    pub until: Option<UnixSecs>,
    /// Only what may be under these topics, and much else that hides them; everything if there are
    /// none.
    pub topics: Vec<Topic>,
    /// Ask for exactly these topics, and let the server know them.
    pub narrow: bool,
    /// What the server's password makes, if it has one.
    pub password: Option<SymKey>,
}

impl core::fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FetchRequest(..)")
    }
}

/// A mail server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MailSource {
    /// Here; it is connected to if it is no peer yet.
    At(PeerAddr),
    /// The peer with this key.
    Peer(RelayKey),
}

/// Whom a message is for.
pub enum Recipient {
    /// The holder of this key, under this topic.
    Public(ClientPublic, Topic),
    /// Everybody who has the shared key of this name; its topic goes with it.
    Shared(String),
}

/// A command's answer.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done; nothing to say.
    Done,
    /// The message is accepted; its progress comes as events with this number.
    Accepted(MessageId),
    /// The exchange with a mail server has begun; its progress comes as events with this number.
    Fetch(FetchView),
    /// The identities we listen for.
    Identities(Vec<IdentityView>),
    /// Messages received.
    Inbox(Vec<MessageView>),
    /// Messages on their way.
    Outbox(Vec<OutgoingView>),
    /// What the node is to its peers.
    Node(NodeView),
    /// Our peers.
    Peers(Vec<PeerView>),
    /// The relays we know.
    Relays(Vec<RelayView>),
    /// How the node is.
    Status(Box<StatusView>),
    /// What a message would cost.
    Estimate(super::views::EstimateView),
    /// What came of a `shh_*` call, errors in go-ethereum's words among it.
    #[serde(skip)]
    Shh(Result<ShhReply, ShhError>),
}

/// Why a command is not carried out: the cause, and what would help.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{cause}; {remedy}")]
pub struct Refusal {
    /// Which kind, so that a program can tell them apart.
    pub kind: RefusalKind,
    /// What is the matter.
    pub cause: String,
    /// What the user can do.
    pub remedy: String,
}

/// Kinds of refusal, with the exit code of the command line behind each.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The identity's key is locked away (exit code 6).
    Locked,
    /// The request makes no sense as it stands (exit code 2).
    Usage,
    /// A rule of the privacy level cannot be kept, so nothing was sent (exit code 5).
    Policy,
}
