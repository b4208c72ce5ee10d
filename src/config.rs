//! Settings of a node: what the user said, and what it means.
//!
//! [`Settings`] holds what one source said; a flag wins over the environment, which wins over the
//! [`mod@file`], which wins over the default. [`Config`] is what they come to: every value is there,
//! and they fit together. Nothing is read from the system here but the text of a file that the
//! shell has opened, and nothing is ever lowered silently: what cannot be had is an error that
//! names the cause and the remedy.

pub mod discovery;
mod endpoints;
mod error;
pub mod file;
pub mod mail;
pub mod rpc;
mod toml_value;
pub mod tor;
pub mod value;

use std::net::SocketAddr;
use std::path::PathBuf;

use circuits::ids::{Profile, RelayId};
use circuits::level::Level;

use crate::endpoint::{Endpoint, PeerAddr};
use crate::node::{MailService, NodeConfig, PowGeneration};

pub use endpoints::Listen;
pub use error::ConfigError;

use discovery::DiscoverySettings;
use endpoints::{advertised, bootnodes, endpoint_to_directory, listen, reachable, to_directory};
use mail::{MailConfig, MailSettings};
use rpc::{RpcConfig, RpcSettings};
use tor::{TorConfig, TorSettings};
use value::NetworkName;

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which rules apply. Default: `main`.
    pub profile: Option<Profile>,
    /// Which network to join. Default: the public one; a local network needs a name.
    pub network: Option<NetworkName>,
    /// The level of messages that name none. Default: `normal`.
    pub level: Option<Level>,
    /// Whether to relay cells for others. Default: no.
    pub relay: Option<bool>,
    /// Where to listen; an empty list for nowhere. Default: everywhere, at port 20819.
    pub listen: Option<Vec<SocketAddr>>,
    /// Where others can reach this relay. Default: where it listens, if that says it.
    pub advertise: Option<Vec<Endpoint>>,
    /// Other relays of the same operator. Default: none.
    pub family: Option<Vec<RelayId>>,
    /// Peers to stay connected to. Default: none.
    pub peers: Option<Vec<PeerAddr>>,
    /// Peers to stay connected to and to trust: mail servers. Default: none.
    pub trusted_peers: Option<Vec<PeerAddr>>,
    /// Maximum number of peers. Default: 25, as go-ethereum.
    pub max_peers: Option<usize>,
    /// The least proof of work accepted. Default: 0.2, as go-ethereum; 0.002 in a local network.
    pub min_pow: Option<f64>,
    /// Whose rule of proof of work open messages satisfy. Default: the peers'.
    pub pow_generation: Option<PowGeneration>,
    /// Room for envelopes, in megabytes. Default: 64.
    pub pool_mb: Option<usize>,
    /// The relay to use as the guard. Default: as the guard seed ranks them.
    pub guard: Option<RelayId>,
    /// Threads for proof of work. Default: one per core.
    pub threads: Option<usize>,
    /// The table `[discovery]`.
    pub discovery: DiscoverySettings,
    /// The table `[mail]`.
    pub mail: MailSettings,
    /// The file with the password of the identities. Default: ask, if there is a terminal.
    pub password_file: Option<PathBuf>,
    /// The table `[rpc]`.
    pub rpc: RpcSettings,
    /// The table `[tor]`.
    pub tor: TorSettings,
}

impl Settings {
    /// What these settings say, and what `weaker` ones say where these are silent.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            profile: self.profile.or(weaker.profile),
            network: self.network.or(weaker.network),
            level: self.level.or(weaker.level),
            relay: self.relay.or(weaker.relay),
            listen: self.listen.or(weaker.listen),
            advertise: self.advertise.or(weaker.advertise),
            family: self.family.or(weaker.family),
            peers: self.peers.or(weaker.peers),
            trusted_peers: self.trusted_peers.or(weaker.trusted_peers),
            max_peers: self.max_peers.or(weaker.max_peers),
            min_pow: self.min_pow.or(weaker.min_pow),
            pow_generation: self.pow_generation.or(weaker.pow_generation),
            pool_mb: self.pool_mb.or(weaker.pool_mb),
            guard: self.guard.or(weaker.guard),
            threads: self.threads.or(weaker.threads),
            discovery: self.discovery.or(weaker.discovery),
            mail: self.mail.or(weaker.mail),
            password_file: self.password_file.or(weaker.password_file),
            rpc: self.rpc.or(weaker.rpc),
            tor: self.tor.or(weaker.tor),
        }
    }
}

/// Settings that are complete and fit together.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the node is told. Its port is not known before [`Config::bound`].
    pub node: NodeConfig,
    /// Where to listen.
    pub listen: Listen,
    /// Threads for proof of work; as many as there are cores if not given.
    pub threads: Option<usize>,
    /// The mail server, if the node is one.
    pub mail: Option<MailConfig>,
    /// The file with the password of the identities.
    pub password_file: Option<PathBuf>,
    /// The doors for other programs.
    pub rpc: RpcConfig,
    /// Whether links go through Tor.
    pub tor: TorConfig,
}

impl Config {
    /// Completes settings with defaults and checks that they fit together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first rule broken, and what to do.
    pub fn build(settings: Settings) -> Result<Self, ConfigError> {
        let profile = settings.profile.unwrap_or(Profile::Main);
        let network = network(profile, settings.network)?;
        let level = settings.level.unwrap_or(Level::Normal);
        if !matches!(level, Level::Open | Level::Swift | Level::Normal) {
            return Err(ConfigError::LevelNotThere(level));
        }
        let tor = TorConfig::build(settings.tor, profile)?;
        let listen = listen(profile, &tor, settings.listen)?;
        let relay = settings.relay.unwrap_or(false);
        let advertise = settings.advertise.unwrap_or_default();
        for endpoint in &advertise {
            reachable(profile, &tor, *endpoint, "advertise")?;
        }
        let advertise = advertised(profile, &tor, relay, advertise, &listen)?;
        let peers = settings.peers.unwrap_or_default();
        let trusted_peers = settings.trusted_peers.unwrap_or_default();
        for peer in peers.iter().chain(&trusted_peers) {
            reachable(profile, &tor, peer.endpoint, "peer")?;
        }
        let min_pow = settings.min_pow.unwrap_or(match profile {
            Profile::Main => MIN_POW,
            Profile::Local => MIN_POW_LOCAL,
        });
        let mail = MailConfig::build(settings.mail);
        let discovery = bootnodes(profile, &tor, settings.discovery, &listen)?;
        let node = NodeConfig {
            profile,
            network,
            level,
            relay,
            advertise,
            family: settings.family.unwrap_or_default(),
            listen_port: 0,
            peers,
            trusted_peers,
            discovery,
            listening: Vec::new(),
            max_peers: settings.max_peers.unwrap_or(MAX_PEERS),
            min_pow,
            pow_generation: settings.pow_generation.unwrap_or_default(),
            pool_bytes: settings.pool_mb.unwrap_or(POOL_MB).saturating_mul(1 << 20),
            guard: settings.guard,
            mail: mail.as_ref().map(|mail| MailService {
                allow: mail.allow.clone(),
            }),
            danger_reveal_paths: false,
        };
        Ok(Self {
            node,
            listen,
            threads: settings.threads,
            mail,
            password_file: settings.password_file,
            rpc: RpcConfig::build(settings.rpc)?,
            tor,
        })
    }

    /// Whether the node should be known by one key for all time. A node that nobody connects to
    /// is better off with a new one for every run (docs/design.md, section "Identities").
    #[must_use]
    pub fn keeps_link_key(&self) -> bool {
        self.is_reachable()
    }

    /// Fills in what is known once the listeners are bound. With `tor.only` nobody is told, since
    /// only a daemon on this machine connects to them.
    pub fn bound(&mut self, addresses: &[SocketAddr]) {
        if self.tor.only {
            return;
        }
        self.node.listening = addresses.to_vec();
        self.node.listen_port = addresses.first().map_or(0, SocketAddr::port);
        if self.node.relay && self.node.advertise.is_empty() {
            self.node.advertise = addresses.iter().copied().map(to_directory).collect();
        }
    }

    /// Whether others are to reach this node: a relay always, any other that listens.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.node.relay || self.listen != Listen::Nowhere
    }

    /// Tells the node the onion service that leads to it.
    pub fn reached_by(&mut self, onion: Option<Endpoint>) {
        if let Some(onion) = onion.filter(|_| self.node.relay).map(endpoint_to_directory)
            && !self.node.advertise.contains(&onion)
        {
            self.node.advertise.push(onion);
        }
    }
}

fn network(profile: Profile, name: Option<NetworkName>) -> Result<String, ConfigError> {
    match (profile, name) {
        (_, Some(name)) => Ok(name.into()),
        (Profile::Main, None) => Ok(PUBLIC_NETWORK.to_owned()),
        (Profile::Local, None) => Err(ConfigError::LocalNeedsName),
    }
}

/// The network that a node joins unless told otherwise.
const PUBLIC_NETWORK: &str = "whisht";
/// go-ethereum's default.
const MAX_PEERS: usize = 25;
/// go-ethereum's default: with less, most nodes of the network would not pass us their mail, and
/// with more they would punish us for not passing theirs.
const MIN_POW: f64 = 0.2;
/// So that a demonstration takes less than a minute (spec M18).
const MIN_POW_LOCAL: f64 = 0.002;
/// Half a day of a busy network.
const POOL_MB: usize = 64;

#[cfg(test)]
mod tests;
