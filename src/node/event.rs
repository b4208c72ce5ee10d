//! What the node tells a user unasked.

use std::sync::Arc;

use circuits::ids::ShortId;
use serde::{Deserialize, Serialize, de};

use super::views::MessageView;
use crate::subscriptions::{FilterId, FilteredMessage};

/// Numbers the messages a user sends, upwards from 1, for as long as the node runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MessageId(pub u64);

/// Something that happened.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A message for one of our identities arrived.
    Message(MessageView),
    /// A message of ours moved on.
    Outgoing(MessageId, Stage),
    /// Mail that is being fetched from a server moved on.
    Fetch(FetchId, FetchStage),
    /// A peer finished its handshake, or is gone; how many there are now.
    Peers(usize),
    /// Relays usable for paths, as of now.
    Relays(usize),
    /// A message that a [`ShhCommand::Subscribe`](super::ShhCommand::Subscribe) asked for. Only its
    /// subscriber is told, in go-ethereum's shape.
    #[serde(skip)]
    Filtered(FilterId, Arc<FilteredMessage>),
    /// What only a demonstration may see; never emitted unless the configuration says
    /// `danger_reveal_paths`.
    Trace(Trace),
}

/// How far a message is, from what this node itself has seen. There is no stage "sent".
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Stage {
    /// Proof of work has begun; so many hashes are to be expected.
    Sealing {
        /// Which attempt, from 1.
        attempt: u32,
        /// Leading zero bits wanted.
        bits: u32,
        /// Mean number of hashes until they are found.
        expected_hashes: f64,
        /// Mean time until then in seconds, at the rate measured on this machine.
        #[serde(deserialize_with = "Option::deserialize")]
        expected_seconds: Option<f64>,
    },
    /// The search for proof of work goes on. However long it has lasted, what is still to be
    /// expected is the same: it is a matter of luck.
    Searching {
        /// Hashes tried so far.
        tried: u64,
        /// Mean number of hashes that such a search needs from its beginning.
        expected_hashes: f64,
    },
    /// Nothing can leave this machine; the message is kept until something can.
    Waiting {
        /// What is the matter, and what would help.
        reason: String,
    },
    /// The envelope is complete.
    Sealed {
        /// Its hash, hexadecimal.
        envelope: String,
        /// Its size in bytes.
        bytes: usize,
    },
    /// Lanes are chosen; pieces will leave on them.
    Planned {
        /// Relays before the rendezvous, for each lane.
        lanes: Vec<usize>,
        /// Pieces needed.
        k: u8,
        /// Pieces sent.
        n: u8,
        /// Which rule of path choice the local profile lifted, if any.
        #[serde(deserialize_with = "Option::deserialize")]
        lifted: Option<String>,
    },
    /// So many cells have left for the guard.
    Dispatched {
        /// Cells handed to the guard.
        cells: usize,
        /// Cells in all.
        of: usize,
    },
    /// The envelope came back by gossip.
    Seen {
        /// Peers that brought it.
        peers: usize,
        /// Whether this node gave it to a peer before a peer had brought it.
        first_gossip: bool,
    },
    /// It did not come back in time; a new envelope takes its place.
    Retrying {
        /// The attempt that begins, from 2.
        attempt: u32,
    },
    /// The network has it: it came back from at least two peers.
    Delivered,
    /// No attempt came back.
    Failed {
        /// What is the matter, and what would help.
        reason: String,
    },
}

/// Numbers the exchanges with mail servers, upwards from 1, for as long as the node runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct FetchId(pub u64);

/// How far an exchange with a mail server is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum FetchStage {
    /// The server is being connected to, unless it is a peer.
    Connecting,
    /// A request went out.
    Asked {
        /// Which page of the answer it is for, from 1.
        page: u32,
    },
    /// So much has come.
    Received {
        /// Envelopes that were asked for.
        envelopes: u32,
        /// Their bytes.
        bytes: u64,
    },
    /// It is over, and our keys were tried on everything that came.
    Ended {
        /// How.
        end: FetchEnd,
        /// What is the matter, in the server's words or ours, if something is.
        #[serde(deserialize_with = "Option::deserialize")]
        reason: Option<String>,
        /// Pages asked for.
        pages: u32,
        /// Envelopes that were asked for and came.
        envelopes: u32,
        /// Their bytes.
        bytes: u64,
        /// Of these, envelopes that the pool does not hold.
        new: u32,
        /// Messages that our keys opened.
        messages: u32,
        /// Envelopes that came unasked, and were dropped.
        unasked: u32,
    },
}

/// How an exchange with a mail server ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchEnd {
    /// That was all, says the server.
    Complete,
    /// There is more than one exchange may bring.
    Enough,
    /// The server breaks the rules of the exchange.
    Lied,
    /// Nothing more comes from a server that never says whether that was all.
    Quiet,
    /// The server does not do it.
    Refused,
    /// The server does not answer.
    Silent,
    /// The server is not there.
    Unreachable,
}

/// What a relay could see, for the demonstration's last table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "trace")]
pub enum Trace {
    /// The source chose these relays: the lanes' hops in order, the rendezvous last.
    Lanes {
        /// One list of relays for each lane.
        lanes: Vec<Vec<RelayLabel>>,
    },
    /// A relay opened a cell and passed it on.
    Peeled {
        /// Who brought it; unknown if it is no relay.
        #[serde(deserialize_with = "Option::deserialize")]
        from: Option<RelayLabel>,
        /// Whom it goes to.
        next: RelayLabel,
    },
    /// The last layer was opened here.
    Terminal {
        /// Who brought it; unknown if it is no relay.
        #[serde(deserialize_with = "Option::deserialize")]
        from: Option<RelayLabel>,
        /// Pieces needed.
        k: u8,
        /// Pieces in all.
        n: u8,
    },
    /// The rendezvous rebuilt an envelope.
    Rebuilt {
        /// Its hash, hexadecimal.
        envelope: String,
        /// How long it will be held, in milliseconds.
        hold_ms: u64,
    },
    /// An envelope went on along the stem.
    Stem {
        /// Its hash, hexadecimal.
        envelope: String,
    },
    /// An envelope entered the public pool here without a peer having gossiped it.
    Fluff {
        /// Its hash, hexadecimal.
        envelope: String,
    },
    /// An envelope entered the pool, brought by a peer.
    Pooled {
        /// Its hash, hexadecimal.
        envelope: String,
    },
    /// An envelope was given to a peer.
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
