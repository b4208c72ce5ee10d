//! The commands of users to a running node, and its replies.

use circuits::ids::RelayKey;
use circuits::level::Level;
use circuits::time::UnixSecs;
use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::contacts::{ContactCommand, ContactReply};
use super::event::MessageId;
use super::inbox_query::InboxQuery;
use super::shh_api::{ShhCommand, ShhError, ShhReply};
use super::talks::{TalkCommand, TalkReply};
use super::transfers::{FileCommand, FileReply};
use super::views::{
    FetchView, IdentityView, MessageView, NodeView, OutgoingView, PeerView, RelayView, StatusView,
};
use crate::bandwidth::BandwidthLimits;
use crate::bloom::Bloom;
use crate::contact::outer::EnvelopeSealer;
use crate::endpoint::PeerAddr;
use crate::envelope::{Envelope, Topic};
use crate::gossip::packet::MinPow;
use crate::message::{ClientPublic, ClientSecret, SymKey};
use crate::state::StateRows;

/// A command of a user.
pub enum Command {
    /// Add a peer to stay connected to.
    AddPeer(PeerAddr),
    /// Remove a peer, and disconnect it.
    RemovePeer(RelayKey),
    /// Admit a peer above the maximum number of peers, or no longer.
    AlwaysAdmit(RelayKey, bool),
    /// Trust the peer with this key until its connection ends: its direct messages are accepted
    /// without proof-of-work or expiry checks.
    TrustPeer(RelayKey),
    /// Send an envelope to the peer with this key alone. The peer accepts it if it trusts us, and
    /// knows that this node sent it.
    SendDirect(RelayKey, Envelope),
    /// Require this proof of work of envelopes from peers.
    SetMinPow(MinPow),
    /// Let no more than this cross all links together, from now on.
    SetBandwidth(BandwidthLimits),
    /// Request only the topics of this filter from peers, which reveals what this node reads.
    SetBloom(Bloom),
    /// Accept envelopes of at most this size: 20 bytes plus the data.
    SetMaxSize(usize),
    /// Announce this node as a light node to new peers, or no longer.
    SetLight(bool),
    /// Receive messages for this identity, under this name.
    AddIdentity(String, Identity),
    /// Record an identity of this name whose key is locked.
    AddLocked(String, PublicIdentity),
    /// Receive nothing more for the identity of this name, and forget its key.
    RemoveIdentity(String),
    /// Call the identity of the first name by the second.
    RenameIdentity(String, String),
    /// Send a message.
    Send(SendRequest),
    /// Send a message at the custom level of this name.
    SendCustom(String, SendRequest),
    /// Cancel a message in flight; shards that have left cannot be recalled.
    Cancel(MessageId),
    /// Send a message that failed once more, as a new envelope.
    Renew(MessageId),
    /// Publish no further descriptor, so that no new path leads through this relay, or publish
    /// again.
    Drain(bool),
    /// Take a signed relay list, and pass it on to peers.
    PublishRelayList(Vec<u8>),
    /// Fetch missed messages from a mail server; its progress is reported by events.
    FetchMail(FetchRequest),
    /// List the identities.
    Identities,
    /// List received messages.
    Inbox(InboxQuery),
    /// Describe the node as its peers see it.
    Node,
    /// List outgoing messages.
    Outbox,
    /// List the peers.
    Peers,
    /// List the known relays.
    Relays,
    /// Report the state of the node.
    Status,
    /// Take the figures of the metrics.
    Metrics,
    /// Estimate the cost of a message without sending it.
    Estimate(SendRequest),
    /// The same at the custom level of this name, whose limits are checked.
    EstimateCustom(String, SendRequest),
    /// Count the cells of other nodes that a stop would lose.
    HeldCells,
    /// Ask peers to dial this node; [`Reply::DialBack`] answers when they have answered.
    DialBack,
    /// Report which level can be used, and what it protects from.
    Levels,
    /// A command about contacts; [`Reply::Contact`] answers it.
    Contact(ContactCommand),
    /// A message to a contact at the custom level of this name, whose limits are checked.
    ContactCustom(String, Box<ContactCommand>),
    /// A command about files that are handed over; [`Reply::File`] answers it.
    File(FileCommand),
    /// A command about talk lines; [`Reply::Talk`] answers it.
    Talk(TalkCommand),
    /// A call of a `shh_*` method; [`Reply::Shh`] answers it.
    Shh(ShhCommand),
    /// Continue with the state of the user, which was locked at the start.
    OpenState(OpenedState),
    /// Forget the keys of these identities and, if it asks for it, the state of the user, until they are unlocked
    /// again. Answered when every change of the state is durable.
    Lock(LockRequest),
    /// Close all links, and emit no further output.
    Shutdown,
}

impl Command {
    /// Whether the reply may take megabytes.
    #[must_use]
    pub const fn has_long_reply(&self) -> bool {
        matches!(
            self,
            Self::Inbox(_)
                | Self::Outbox
                | Self::Peers
                | Self::Relays
                | Self::File(FileCommand::Read { .. } | FileCommand::List)
                | Self::Shh(ShhCommand::Messages(_))
                | Self::Contact(
                    ContactCommand::Contacts
                        | ContactCommand::Conversations
                        | ContactCommand::Conversation { .. }
                        | ContactCommand::ConversationPage { .. }
                        | ContactCommand::History { .. }
                )
        )
    }
}

impl Command {
    /// Whether it shows that the user is there. A view does not: a page or a program repeats it by itself.
    #[must_use]
    pub const fn is_use(&self) -> bool {
        match self {
            Self::AddIdentity(..)
            | Self::Send(_)
            | Self::SendCustom(..)
            | Self::Cancel(_)
            | Self::Renew(_)
            | Self::FetchMail(_)
            | Self::Estimate(_)
            | Self::EstimateCustom(..)
            | Self::OpenState(_) => true,
            Self::Contact(command) => !command.is_view(),
            Self::ContactCustom(_, command) => !command.is_view(),
            Self::File(command) => !matches!(command, FileCommand::List),
            Self::Talk(command) => !matches!(command, TalkCommand::List),
            _ => false,
        }
    }
}

impl core::fmt::Debug for Command {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Command(..)")
    }
}

/// A key that messages are received with.
pub enum Identity {
    /// A secp256k1 key pair: messages encrypted to its public key.
    KeyPair(ClientSecret),
    /// A shared key: messages under one topic.
    Shared(SymKey, Topic),
}

impl Identity {
    /// Its public part.
    #[must_use]
    pub const fn public_identity(&self) -> PublicIdentity {
        match self {
            Self::KeyPair(secret) => PublicIdentity::KeyPair(secret.public()),
            Self::Shared(_, topic) => PublicIdentity::Shared(*topic),
        }
    }
}

/// The public part of an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PublicIdentity {
    /// A key pair with this public key.
    KeyPair(ClientPublic),
    /// A shared key with this topic.
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

/// The state of a user that has just been unlocked.
#[derive(Debug)]
pub struct OpenedState {
    /// What the last run left.
    pub rows: StateRows,
    /// Whether it is an old copy.
    pub is_stale: bool,
}

/// What a node forgets until it is unlocked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LockRequest {
    /// Names of identities.
    pub identities: Vec<String>,
    /// Whether contacts, conversations, files and received messages are locked.
    pub state: bool,
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
    /// The content.
    pub payload: Zeroizing<Vec<u8>>,
    /// The privacy level; the node's default if `None`.
    pub level: Option<Level>,
    /// Minimum time that it stays in the network.
    pub life: Duration,
    /// What its recipient reads with.
    pub reader: ReaderKind,
}

/// What the recipient of a message reads with. It decides how a message that does not fit into one
/// cell is divided at levels with cover traffic.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderKind {
    /// A node of whisht, which puts scattered messages together.
    #[default]
    Whisht,
    /// Any program for Whisper, which reads whole envelopes only.
    AnyClient,
}

/// A request to fetch mail.
pub struct FetchRequest {
    /// The server; the first trusted peer of the configuration if `None`.
    pub from: Option<MailSource>,
    /// Beginning of the range, by the time when envelopes entered the network.
    pub since: UnixSecs,
    /// End of the range; now if `None`.
    pub until: Option<UnixSecs>,
    /// The topics, which are requested together with many others that hide them; all if empty.
    pub topics: Vec<Topic>,
    /// Request exactly these topics, which reveals them to the server.
    pub narrow: bool,
    /// The key derived from the server's password, if it has one.
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
    /// At this address; it is dialled unless it is connected.
    At(PeerAddr),
    /// The connected peer with this key.
    Peer(RelayKey),
}

/// The recipient of a message.
pub enum Recipient {
    /// The holder of this key, under this topic.
    Public(ClientPublic, Topic),
    /// All holders of the shared key of this name, under its topic.
    Shared(String),
    /// The other end of a conversation. The payload is a body whose content is encrypted already.
    Sealed(SealedRecipient),
    /// The holders of a key: data that are encrypted already. The request has no payload.
    Prepared(PreparedData),
}

/// The other end of a conversation, as one attempt reaches it.
pub struct SealedRecipient {
    /// What encrypts the envelopes of this attempt. No other attempt uses it.
    pub sealer: Arc<EnvelopeSealer>,
    /// The sender's next index, if the body travels by a resync slot.
    pub resync: Option<u32>,
}

/// Data that are encrypted already, and fill an envelope that lives three days.
pub struct PreparedData {
    /// The topic of the envelope.
    pub topic: Topic,
    /// Its data.
    pub data: Vec<u8>,
}

impl Recipient {
    /// Whether the request is one attempt of another component, which decides about the next one.
    pub(super) const fn is_single_attempt(&self) -> bool {
        matches!(self, Self::Sealed(_) | Self::Prepared(_))
    }
}

/// The reply to a command.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done, without a result.
    Done,
    /// The message is accepted; its progress is reported by events with this number.
    Accepted(MessageId),
    /// The exchange with a mail server has started; its progress is reported by events with this
    /// number.
    Fetch(FetchView),
    /// The identities.
    Identities(Vec<IdentityView>),
    /// Received messages.
    Inbox(Vec<MessageView>),
    /// Outgoing messages.
    Outbox(Vec<OutgoingView>),
    /// The node as its peers see it.
    Node(NodeView),
    /// The peers.
    Peers(Vec<PeerView>),
    /// The known relays.
    Relays(Vec<RelayView>),
    /// The state of the node.
    Status(Box<StatusView>),
    /// The figures of the metrics.
    #[serde(skip)]
    Metrics(Box<super::views::MetricsView>),
    /// The cost of a message.
    Estimate(super::views::EstimateView),
    /// The levels, and the network that mixes.
    Levels(Box<super::views::LevelsView>),
    /// What peers report that dialled this node.
    DialBack(super::views::DialBackView),
    /// Number of cells and rebuilt envelopes of other nodes that this relay holds.
    HeldCells(usize),
    /// The reply to a command about contacts.
    Contact(Box<ContactReply>),
    /// The reply to a command about files.
    File(Box<FileReply>),
    /// The reply to a command about talk lines.
    Talk(Box<TalkReply>),
    /// The result of a `shh_*` call; errors have go-ethereum's words.
    #[serde(skip)]
    Shh(Result<ShhReply, ShhError>),
}

/// Why a command is refused: the cause and the remedy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{cause}; {remedy}")]
pub struct Refusal {
    /// The kind, for programs.
    pub kind: RefusalKind,
    /// The cause.
    pub cause: String,
    /// The remedy.
    pub remedy: String,
}

impl Refusal {
    /// The request is not valid as it stands.
    pub(super) fn usage(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Usage,
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }

    /// The key that the request needs is locked.
    pub(super) fn locked(cause: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Locked,
            cause: cause.into(),
            remedy: "run `whisht unlock`".to_owned(),
        }
    }

    /// A rule of the level is not satisfied.
    pub(super) fn policy(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Policy,
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }

    /// No gossip peer with the given key is connected.
    pub(super) fn no_such_peer() -> Self {
        Self::usage(
            "no connected peer that gossips has this key",
            "`whisht peers` lists those that are connected",
        )
    }
}

/// Kinds of refusal, with the exit code of the command line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The identity's key is locked (exit code 6).
    Locked,
    /// The request is not valid (exit code 2).
    Usage,
    /// A rule of the privacy level is not satisfied, so nothing was sent (exit code 5).
    Policy,
}
