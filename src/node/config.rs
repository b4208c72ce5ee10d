//! What a node starts with: settings, keys, and restored state.

use std::net::SocketAddr;

use circuits::directory::{EndpointKinds, RelayEndpoint, Requirements};
use circuits::ids::{Epoch, NetworkId, Profile, RelayId, RelayKey};
use circuits::level::Level;
use circuits::secret::Secret;
use circuits::stream::StreamRate;

use super::level_policy::LevelPolicy;
use crate::bandwidth::BandwidthLimits;
use crate::discovery::Contact;
use crate::endpoint::PeerAddr;
use crate::link::LinkKey;
use crate::message::SymKey;
use crate::relay_list::SignerSet;
use crate::state::StateRows;

/// Settings of a node; every value is valid by construction.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The rules of path choice; `Local` relaxes some, and is shown with every figure.
    pub profile: Profile,
    /// The network's name; relays of other networks are ignored.
    pub network: String,
    /// The default level of messages.
    pub level: Level,
    /// Custom levels, and the levels of recipients.
    pub levels: LevelPolicy,
    /// The level of the cards of own addresses; they wait while it is not available.
    pub card_level: Level,
    /// Maximum size in bytes of a file that is handed over, in either direction.
    pub max_file_bytes: u64,
    /// Whether to relay cells of other nodes and to be listed in the directory. It costs bandwidth and
    /// publishes our address; it mixes our own cells with others.
    pub relay: bool,
    /// Our addresses in the descriptor. A relay without any is not listed.
    pub advertise: Vec<RelayEndpoint>,
    /// Whether every link is dialled through Tor, which reaches onion services too.
    pub through_tor: bool,
    /// Other relays of the same operator. If they name us too, no path uses two of them.
    pub family: Vec<RelayId>,
    /// The listening port in the hello message; 0 for none, as go-ethereum sends.
    pub listen_port: u16,
    /// Peers to stay connected to.
    pub peers: Vec<PeerAddr>,
    /// Peers to stay connected to whose direct messages are accepted at every connection.
    /// go-ethereum's trust ends with each connection.
    pub trusted_peers: Vec<PeerAddr>,
    /// The bootnodes of discovery; `None` disables discovery. Discovery reveals our address to unknown
    /// nodes.
    pub discovery: Option<Vec<Contact>>,
    /// Our listening addresses, which discovery announces.
    pub listening: Vec<SocketAddr>,
    /// Maximum number of peers, without links that carry only cells. go-ethereum's default is 25.
    pub max_peers: usize,
    /// Minimum proof of work of accepted envelopes, in Whisper's unit (2^bits / size / TTL).
    pub min_pow: f64,
    /// The proof-of-work formula of messages at level `open`.
    pub pow_generation: PowGeneration,
    /// Maximum size of the mempool in bytes.
    pub pool_bytes: usize,
    /// How much cover traffic this node sends.
    pub cover: Cover,
    /// Limits of what crosses all links.
    pub bandwidth: BandwidthLimits,
    /// The pinned signers of relay lists. With them, paths use the relays of their list and no others.
    pub signers: Option<SignerSet>,
    /// A relay to use as the guard instead of the ranked one.
    pub guard: Option<RelayId>,
    /// The mail server, if this node is one.
    pub mail: Option<MailService>,
    /// Whether Tor carries the links. Only the status depends on it.
    pub via_tor: bool,
    /// Whether trace events reveal paths and what relays observe. For demonstrations only.
    pub danger_reveal_paths: bool,
    /// Mean number of puzzle solutions that a descriptor costs; `None` for that of the profile. For tests of
    /// the main network between processes only: no setting reaches it, and nodes of another effort refuse
    /// descriptors of a lower one (docs/decisions/0039).
    pub danger_descriptor_effort: Option<u32>,
}

/// How much cover traffic a node sends, from its start to its exit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cover {
    /// A cell every two seconds on average.
    #[default]
    Full,
    /// A tenth of it. The senders of less cover traffic are a smaller set to hide in.
    Reduced,
    /// None. Levels that need it are refused.
    Off,
}

impl Cover {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Full, Self::Reduced, Self::Off];

    /// Its word in settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
            Self::Off => "off",
        }
    }

    /// The rate of the stream; `None` without one.
    #[must_use]
    pub const fn rate(self) -> Option<StreamRate> {
        match self {
            Self::Full => Some(StreamRate::FULL),
            Self::Reduced => Some(StreamRate::REDUCED),
            Self::Off => None,
        }
    }
}

/// The proof-of-work formula of messages at level `open`. At all other levels it is the modern one
/// (docs/decisions/0005).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PowGeneration {
    /// The one that the peers apply; both if there are peers of both kinds and it takes seconds.
    #[default]
    Auto,
    /// Both where that is affordable, otherwise the modern one.
    Both,
    /// go-ethereum up to 1.8.
    Legacy,
    /// go-ethereum from 1.9 on.
    Modern,
}

impl PowGeneration {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Both, Self::Legacy, Self::Modern];

    /// Its word in settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Both => "both",
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

impl NodeConfig {
    /// What descriptors of this node's network must satisfy.
    #[must_use]
    pub fn requirements(&self) -> Requirements {
        let requirements = Requirements::new(self.network_id(), self.profile);
        Requirements {
            effort: self.danger_descriptor_effort.unwrap_or(requirements.effort),
            ..requirements
        }
    }

    /// The kinds of addresses that this node can dial, as far as it knows.
    #[must_use]
    pub const fn dials(&self) -> EndpointKinds {
        if self.through_tor {
            EndpointKinds::ALL
        } else {
            EndpointKinds::IP
        }
    }

    /// The kinds of addresses that this node promises to dial, as a relay. Without Tor they are
    /// those of its own addresses: a machine may lack IPv6.
    #[must_use]
    pub fn promises_to_dial(&self) -> EndpointKinds {
        if self.through_tor {
            return EndpointKinds::ALL;
        }
        EndpointKinds::of(&self.advertise).and(EndpointKinds::IP)
    }

    /// The id of the node's network.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        NetworkId::new(self.profile, &self.network)
    }
}

/// A mail server: archives what enters the mempool, and serves it to permitted peers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MailService {
    /// Peers that need no password. If there are none, and no password, every peer is served.
    pub allow: Vec<RelayKey>,
}

/// The secrets of a node. None of them identifies a client.
pub struct NodeKeys {
    /// The key of our links. A relay keeps it; a source uses a new one for every run.
    pub link: LinkKey,
    /// Ranks the relays for guard choice, so that the guard survives a loss of state (spec M1).
    pub guard_seed: Secret<16>,
    /// The key derived from the mail server's password, if it has one.
    pub mail_password: Option<SymKey>,
}

/// The state that an earlier run stored; empty at the first start.
#[derive(Default)]
pub struct Restored {
    /// Onion keys, each with the log of its replay tags.
    pub onion_keys: Vec<(Epoch, Secret<32>, Vec<u8>)>,
    /// Our own descriptors.
    pub own_descriptors: Vec<(Epoch, Vec<u8>)>,
    /// Records of the directory.
    pub directory: Vec<Vec<u8>>,
    /// The relay lists that the node held; empty if it held none.
    pub relay_lists: Vec<u8>,
    /// The relay list of the configured file.
    pub relay_list_file: Option<Vec<u8>>,
    /// Our guards; empty if none have been chosen.
    pub guards: Vec<u8>,
    /// The state of the user, empty at the first start; `None` while it is locked. A node that keeps
    /// everything in memory starts with an empty one.
    pub state: Option<StateRows>,
    /// Whether the state is an old copy, such as a backup, which the node must not continue.
    pub state_is_stale: bool,
}
