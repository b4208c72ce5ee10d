//! Events: what the node reports without a request.

use std::sync::Arc;

use circuits::ids::ShortId;
use serde::{Deserialize, Serialize, de};

use super::contacts::ContactEvent;
use super::talks::TalkEvent;
use super::transfers::FileView;
use super::views::{ClockView, MessageView};
use crate::subscriptions::{FilterId, FilteredMessage};

/// The number of an outgoing message, from 1 on in every run of the node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MessageId(pub u64);

/// A report to users.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A message for one of our identities arrived.
    Message(MessageView),
    /// An outgoing message reached another stage.
    Outgoing(MessageId, Stage),
    /// A fetch of mail reached another stage.
    Fetch(FetchId, FetchStage),
    /// The number of connected peers, after a peer connected or disconnected.
    Peers(usize),
    /// The number of relays that paths can use, when it has changed.
    Relays(usize),
    /// How far this machine's clock is from those of its peers, when its meaning has changed.
    Clock(ClockView),
    /// A report about contacts and conversations.
    Contact(Box<ContactEvent>),
    /// A file reached another stage, or more of it is stored.
    File(Box<FileView>),
    /// A report about a talk line.
    Talk(Box<TalkEvent>),
    /// A message for a [`ShhCommand::Subscribe`](super::ShhCommand::Subscribe). Only its subscriber
    /// is notified, in go-ethereum's format.
    #[serde(skip)]
    Filtered(FilterId, Arc<FilteredMessage>),
    /// A trace for a demonstration; emitted only if the configuration sets
    /// `danger_reveal_paths`.
    Trace(Trace),
}

/// The stage of an outgoing message, as far as this node has observed it. There is no stage
/// "sent".
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Stage {
    /// Its proof of work is being searched.
    Sealing {
        /// The attempt, from 1.
        attempt: u32,
        /// Required leading zero bits.
        bits: u32,
        /// Mean number of hashes of the search.
        expected_hashes: f64,
        /// Mean duration of the search in seconds, at the measured hash rate.
        #[serde(deserialize_with = "Option::deserialize")]
        expected_seconds: Option<f64>,
    },
    /// The search for proof of work continues. Its expected remaining duration does not depend on
    /// the time spent so far.
    Searching {
        /// Hashes tried so far.
        tried: u64,
        /// Mean number of hashes of such a search.
        expected_hashes: f64,
    },
    /// This machine is offline; the message is queued.
    Waiting {
        /// The cause, and the remedy.
        reason: String,
    },
    /// The envelope is complete.
    Sealed {
        /// Its hash, hexadecimal.
        envelope: String,
        /// Its size in bytes.
        bytes: usize,
    },
    /// Lanes are chosen; the shards leave on them next.
    Planned {
        /// Relays before the rendezvous, for each lane.
        lanes: Vec<usize>,
        /// Number of shards needed.
        k: u8,
        /// Number of shards sent.
        n: u8,
        /// The rule of path choice that the profile `local` relaxed, if any.
        #[serde(deserialize_with = "Option::deserialize")]
        lifted: Option<String>,
    },
    /// Cells have left for the guard.
    Dispatched {
        /// Number of cells sent to the guard.
        cells: usize,
        /// Number of all cells.
        of: usize,
    },
    /// The message leaves in cells among cover traffic, one per slot.
    Departing {
        /// Number of envelopes that are complete.
        sealed: usize,
        /// Number of all envelopes.
        envelopes: usize,
        /// Number of cells that have left for the guard.
        left: usize,
        /// Number of all cells.
        cells: usize,
        /// Expected time until the last cell leaves, in seconds.
        wait_seconds: u64,
    },
    /// Some envelopes of a scattered message came back by gossip.
    SeenShards {
        /// Number of envelopes that a peer sent.
        shards: usize,
        /// Number that the reader needs.
        needed: usize,
        /// Number of all envelopes.
        of: usize,
        /// Whether this node sent one of them to a peer before a peer had sent it to this node.
        first_gossip: bool,
    },
    /// The peers that it was passed to did not make it public. It waits for other peers.
    Blocked {
        /// The cause, and the remedy.
        reason: String,
    },
    /// The envelope came back by gossip.
    Seen {
        /// Number of peers that sent it.
        peers: usize,
        /// Whether this node sent it to a peer before a peer had sent it to this node.
        first_gossip: bool,
    },
    /// It did not come back in time; another attempt starts with a new envelope.
    Retrying {
        /// The attempt that starts, from 2.
        attempt: u32,
    },
    /// An envelope of level `open` was written to so many peers. They may not have read it, and no
    /// other peer has shown it yet, so this does not mean that it is in the network. Final.
    HandedOver {
        /// Number of peers.
        peers: usize,
    },
    /// The envelope is in the network: it came back from at least two peers.
    Delivered,
    /// The message was given up.
    Failed {
        /// The cause, and the remedy.
        reason: String,
    },
}

/// The number of an exchange with a mail server, from 1 on in every run of the node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct FetchId(pub u64);

/// The stage of an exchange with a mail server.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum FetchStage {
    /// The server is being connected.
    Connecting,
    /// A request was sent.
    Asked {
        /// The requested page, from 1.
        page: u32,
    },
    /// Envelopes were received.
    Received {
        /// Number of requested envelopes.
        envelopes: u32,
        /// Their bytes.
        bytes: u64,
    },
    /// The exchange has ended, and our keys were tried on all envelopes.
    Ended {
        /// The result.
        end: FetchEnd,
        /// The cause, in the server's words or ours, if the exchange failed.
        #[serde(deserialize_with = "Option::deserialize")]
        reason: Option<String>,
        /// Number of requested pages.
        pages: u32,
        /// Number of requested envelopes that were received.
        envelopes: u32,
        /// Their bytes.
        bytes: u64,
        /// Number of these that were not in the mempool.
        new: u32,
        /// Number of messages that our keys decrypted.
        messages: u32,
        /// Number of unrequested envelopes, which were dropped.
        unasked: u32,
    },
}

/// The result of an exchange with a mail server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchEnd {
    /// The server has sent everything.
    Complete,
    /// The limit of one exchange was reached.
    Enough,
    /// The server violated the protocol.
    Lied,
    /// A server that does not report completion sends nothing more.
    Quiet,
    /// The server refused the request.
    Refused,
    /// The server did not answer.
    Silent,
    /// No connection to the server could be established.
    Unreachable,
}

/// What a relay could observe; a demonstration shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "trace")]
pub enum Trace {
    /// The source chose lanes: the hops in order, the rendezvous last.
    Lanes {
        /// One list of relays for each lane.
        lanes: Vec<Vec<RelayLabel>>,
    },
    /// A relay peeled a cell and forwards it.
    Peeled {
        /// The relay that sent it; `None` if the sender is not in the directory.
        #[serde(deserialize_with = "Option::deserialize")]
        from: Option<RelayLabel>,
        /// The next hop.
        next: RelayLabel,
    },
    /// The last layer was peeled here.
    Terminal {
        /// The relay that sent it; `None` if the sender is not in the directory.
        #[serde(deserialize_with = "Option::deserialize")]
        from: Option<RelayLabel>,
        /// Number of shards needed.
        k: u8,
        /// Number of all shards.
        n: u8,
    },
    /// The rendezvous rebuilt an envelope.
    Rebuilt {
        /// Its hash, hexadecimal.
        envelope: String,
        /// The hold in milliseconds.
        hold_ms: u64,
    },
    /// An envelope was forwarded along the stem.
    Stem {
        /// Its hash, hexadecimal.
        envelope: String,
    },
    /// An envelope became public here, before any peer gossiped it.
    Fluff {
        /// Its hash, hexadecimal.
        envelope: String,
    },
    /// An envelope from a peer entered the mempool.
    Pooled {
        /// Its hash, hexadecimal.
        envelope: String,
    },
    /// An envelope was sent to a peer for the first time.
    Gossiped {
        /// Its hash, hexadecimal.
        envelope: String,
    },
}

/// A relay's short id, as text.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RelayLabel(pub ShortId);

impl Serialize for RelayLabel {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RelayLabel {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let mut id = [0; 16];
        hex::decode_to_slice(&digits, &mut id)
            .map_err(|error| de::Error::custom(format_args!("{digits:?}: {error}")))?;
        Ok(Self(ShortId(id)))
    }
}
