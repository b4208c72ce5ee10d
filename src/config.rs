//! Settings of a node.
//!
//! Each setting is declared once, by the macro of `setting`. [`Settings`] has the values of one source;
//! a flag overrides the environment, which overrides the [`mod@file`], which overrides the default.
//! [`Config`] is the result: complete and consistent. This module reads nothing from the system, and
//! never replaces a value silently: a value that cannot be used is an error with cause and remedy.

pub mod bandwidth;
pub mod check;
pub mod console;
pub mod contact;
pub mod directory;
pub mod discovery;
mod endpoints;
mod error;
pub mod file;
pub mod levels;
pub mod log;
pub mod mail;
pub mod metrics;
pub mod rpc;
mod setting;
mod settings;
pub mod state;
pub mod template;
pub mod tor;
pub mod value;
pub mod warnings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use circuits::ids::Profile;
use circuits::level::Level;

use crate::endpoint::Endpoint;
use crate::node::{Cover, MailService, NodeConfig};

pub use endpoints::Listen;
pub use error::ConfigError;
pub(crate) use setting::{Form, RawValue, Setting};
pub use settings::Settings;
pub(crate) use settings::tables;

use console::ConsoleConfig;
use endpoints::{
    advertised, bootnodes, endpoint_to_directory, is_public, listen, reachable, to_directory,
};
use log::LogConfig;
use mail::MailConfig;
use metrics::MetricsConfig;
use rpc::RpcConfig;
use tor::{TorBackend, TorConfig, TorConfigError};
use value::NetworkName;

/// Complete and consistent settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Configuration of the node. Its port is not known before [`Config::bound`].
    pub node: NodeConfig,
    /// Addresses to listen on.
    pub listen: Listen,
    /// Number of threads for proof of work; `None` for one per core.
    pub threads: Option<usize>,
    /// Settings of the mail server; `None` if the node is not one.
    pub mail: Option<MailConfig>,
    /// What is logged, and where to.
    pub log: LogConfig,
    /// Figures for the operator's monitoring.
    pub metrics: MetricsConfig,
    /// File with a signed relay list.
    pub relay_list_file: Option<PathBuf>,
    /// File with the password of the identities.
    pub password_file: Option<PathBuf>,
    /// Time without a command after which identities, contacts and messages are locked.
    pub lock_after: Option<Duration>,
    /// Endpoints for other programs.
    pub rpc: RpcConfig,
    /// The pages for the browser of the user.
    pub console: ConsoleConfig,
    /// The Tor that carries links.
    pub tor: TorConfig,
}

impl Config {
    /// Completes settings with defaults, and checks that they do not contradict each other.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first rule that is broken, and the remedy.
    pub fn build(settings: Settings) -> Result<Self, ConfigError> {
        let profile = settings.profile();
        let network = network(profile, settings.network.clone())?;
        let level = level(&settings)?;
        let tor = TorConfig::build(settings.tor.clone(), profile)?;
        let listen = listen(profile, &tor, settings.listen.clone())?;
        let (relay, advertise) = (settings.relay(), settings.advertise());
        if !relay && listen == Listen::Nowhere && !settings.tor.readers().is_empty() {
            return Err(TorConfigError::ReadersNeedService.into());
        }
        let advertise = advertised(profile, &tor, relay, advertise, &listen)?;
        let (peers, trusted_peers) = (settings.peers(), settings.trusted_peers());
        for peer in peers.iter().chain(&trusted_peers) {
            reachable(profile, &tor, peer.endpoint, "peer")?;
        }
        let mail = MailConfig::build(settings.mail.clone())?;
        let discovery = bootnodes(profile, &tor, &settings.discovery, &listen)?;
        let node = NodeConfig {
            profile,
            network,
            level,
            levels: levels::build(&settings.levels)?,
            card_level: settings.contact.card_level(),
            max_file_bytes: settings.contact.max_file_bytes(),
            relay,
            advertise,
            through_tor: tor.is_on(),
            family: settings.family(),
            listen_port: 0,
            peers,
            trusted_peers,
            discovery,
            listening: Vec::new(),
            max_peers: settings.max_peers(),
            min_pow: settings.min_pow.unwrap_or_else(|| default_min_pow(profile)),
            pow_generation: settings.pow_generation(),
            cover: settings.cover(),
            bandwidth: settings.bandwidth.build(settings.cover(), relay)?,
            pool_bytes: settings.pool_mb().saturating_mul(1 << 20),
            signers: directory::build(&settings.directory)?,
            guard: settings.guard,
            mail: mail.as_ref().map(|mail| MailService {
                allow: mail.allow.clone(),
            }),
            via_tor: tor.backend != TorBackend::Off,
            danger_reveal_paths: false,
            danger_descriptor_effort: None,
        };
        Ok(Self {
            node,
            listen,
            threads: settings.threads,
            mail,
            log: LogConfig::build(&settings.log),
            metrics: MetricsConfig::build(&settings.metrics)?,
            relay_list_file: settings.directory.file,
            password_file: settings.password_file,
            lock_after: settings.state.lock_time(),
            rpc: RpcConfig::build(settings.rpc)?,
            console: ConsoleConfig::build(&settings.console),
            tor,
        })
    }

    /// Whether the node keeps its link key across runs. A node that accepts no connections uses a new
    /// key for every run, which cannot be recognised (docs/design.md, section "Identities").
    #[must_use]
    pub fn keeps_link_key(&self) -> bool {
        self.is_reachable()
    }

    /// Adds the addresses of bound listeners. With `tor.only` they stay unpublished, because only a
    /// daemon on this machine connects to them.
    pub fn bound(&mut self, addresses: &[SocketAddr]) {
        if self.tor.only {
            return;
        }
        self.node.listening = addresses.to_vec();
        self.node.listen_port = addresses.first().map_or(0, SocketAddr::port);
        if self.node.profile == Profile::Local {
            self.publish(addresses);
        }
    }

    /// Advertises addresses of this machine, if the node is a relay and the user names none. In the public
    /// network only public addresses count.
    pub fn publish(&mut self, addresses: &[SocketAddr]) {
        if !self.finds_own_address() {
            return;
        }
        let is_useful =
            |address: &&SocketAddr| self.node.profile == Profile::Local || is_public(address.ip());
        let addresses = addresses.iter().filter(is_useful).copied();
        self.node.advertise = addresses.map(to_directory).collect();
    }

    /// Whether the relay has to find its address on this machine: the user names none, and links do not
    /// go through Tor, whose users may not want the address of this machine to be known.
    #[must_use]
    pub fn finds_own_address(&self) -> bool {
        let may_be_known = self.node.profile == Profile::Local || !self.tor.is_on();
        self.node.relay && self.node.advertise.is_empty() && may_be_known
    }

    /// Whether other machines can connect to this node without Tor, although its links use Tor.
    #[must_use]
    pub fn listens_beside_tor(&self) -> bool {
        let is_open = match &self.listen {
            Listen::Everywhere => true,
            Listen::At(addresses) => addresses.iter().any(|address| !address.ip().is_loopback()),
            Listen::Loopback | Listen::Nowhere => false,
        };
        self.tor.is_on() && is_open
    }

    /// Whether others can reach this node: it relays, or it listens.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.node.relay || self.listen != Listen::Nowhere
    }

    /// Adds the onion service that leads to this node.
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

/// The level of messages without one of their own: not a level among cover traffic that the node does not send.
fn level(settings: &Settings) -> Result<Level, ConfigError> {
    let level = settings.level();
    if level.is_mixing() && settings.cover() == Cover::Off {
        return Err(ConfigError::LevelNeedsCover(level));
    }
    Ok(level)
}

const fn default_min_pow(profile: Profile) -> f64 {
    match profile {
        Profile::Main => MIN_POW,
        Profile::Local => MIN_POW_LOCAL,
    }
}

/// The network that a node joins by default.
const PUBLIC_NETWORK: &str = "whisht";
/// The default of go-ethereum. Peers refuse envelopes with less work, and punish a node that does not
/// forward envelopes with this much.
const MIN_POW: f64 = 0.2;
/// With this minimum a demonstration takes less than a minute (spec M18).
const MIN_POW_LOCAL: f64 = 0.002;

#[cfg(test)]
mod tests;
