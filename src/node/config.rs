//! What a node is told when it starts: settings, keys, and what it remembered.

use std::net::SocketAddr;

use circuits::directory::RelayEndpoint;
use circuits::ids::{Epoch, NetworkId, Profile, RelayId, RelayKey};
use circuits::level::Level;
use circuits::secret::Secret;

use crate::discovery::Contact;
use crate::endpoint::PeerAddr;
use crate::link::LinkKey;
use crate::message::SymKey;

/// Settings of a node; every value is valid by construction.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Which rules of path choice apply. `Local` marks every figure as such.
    pub profile: Profile,
    /// The network's name; relays of another name are none of ours.
    pub network: String,
    /// The level of messages that name none.
    pub level: Level,
    /// Whether to peel cells for others and to stand in the directory. Costs bandwidth, and shows
    /// our address to everybody; gives our own cells company.
    pub relay: bool,
    /// Where other relays can reach us; goes into the descriptor. A relay without is no use.
    pub advertise: Vec<RelayEndpoint>,
    /// Other relays of the same operator; no path uses two of them, if they name us too.
    pub family: Vec<RelayId>,
    /// What the hello message says we listen on; 0 for nothing, as go-ethereum does.
    pub listen_port: u16,
    /// Peers to stay connected to.
    pub peers: Vec<PeerAddr>,
    /// Peers to stay connected to whose P2P messages are taken at every connection. go-ethereum
    /// forgets whom it trusts with each.
    pub trusted_peers: Vec<PeerAddr>,
    /// Whom to ask first for peers that nobody named; `None` to ask nobody, and to answer nobody.
    /// It tells strangers our address.
    pub discovery: Option<Vec<Contact>>,
    /// Where we listen; discovery tells it.
    pub listening: Vec<SocketAddr>,
    /// Peers at the most, links that only carry cells not counted. go-ethereum's default is 25.
    pub max_peers: usize,
    /// The least proof of work that we accept, in Whisper's unit (2^bits / size / TTL).
    pub min_pow: f64,
    /// For which rule of proof of work messages are sealed that hide nobody.
    pub pow_generation: PowGeneration,
    /// Room for envelopes, in bytes.
    pub pool_bytes: usize,
    /// A relay to use as the guard, whatever the ranking says.
    pub guard: Option<RelayId>,
    /// Whether to be a mail server, and whose.
    pub mail: Option<MailService>,
    /// Tells paths and what relays see as trace events. For demonstrations only.
    pub danger_reveal_paths: bool,
}

/// For which generation of the proof-of-work rule a message at level `open` is sealed. At all other
/// levels it is the modern one (docs/decisions/0005).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PowGeneration {
    /// As the peers need it: both where there are peers of both kinds and it costs seconds.
    #[default]
    Auto,
    /// Both, where it can be done at all; else the modern one.
    Both,
    /// go-ethereum up to 1.8.
    Legacy,
    /// go-ethereum from 1.9 on.
    Modern,
}

impl PowGeneration {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Both, Self::Legacy, Self::Modern];

    /// The word that users know it by.
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
    /// The network that this node belongs to.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        NetworkId::new(self.profile, &self.network)
    }
}

/// A mail server: keeps what enters the pool, and gives it to those who may ask.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MailService {
    /// Peers that need no password. If there are none, and no password, everybody is answered.
    pub allow: Vec<RelayKey>,
}

/// The secrets of a node, none of which names a client.
pub struct NodeKeys {
    /// The key that peers know us by. A relay keeps it; a source uses a fresh one for every run.
    pub link: LinkKey,
    /// Ranks the relays for the choice of a guard, so that it outlives lost state (spec M1).
    pub guard_seed: Secret<16>,
    /// What the password of a mail server makes, if it has one.
    pub mail_password: Option<SymKey>,
}

/// What an earlier run left behind; empty for a first start.
#[derive(Default)]
pub struct Restored {
    /// Onion keys, each with the log of its replay tags.
    pub onion_keys: Vec<(Epoch, Secret<32>, Vec<u8>)>,
    /// Our own descriptors.
    pub own_descriptors: Vec<(Epoch, Vec<u8>)>,
    /// Records of the directory.
    pub directory: Vec<Vec<u8>>,
    /// Our guards; empty if none were chosen.
    pub guards: Vec<u8>,
}
