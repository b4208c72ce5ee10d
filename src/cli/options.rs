//! The settings of a node as flags and environment variables.
//!
//! Every setting has one name: the flag `--min-pow`, the variable `WHISHT_MIN_POW` and the key
//! `min-pow` of the file are the same. A list given as a flag replaces the list in the file. A
//! table of the file has a module of its own here, flattened into [`Options`]: the flag
//! `--rpc-http` is the key `rpc.http`.

mod discovery;
mod mail;
mod rpc;
mod tor;

use std::net::SocketAddr;
use std::path::PathBuf;

use circuits::ids::{Profile, RelayId};
use circuits::level::Level;

use crate::config::Settings;
use crate::config::value::{self, BadValue, NetworkName};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::node::PowGeneration;

/// Flags of a node.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The rules that apply: main, or local for a network that never leaves this machine
    #[arg(long, env = "WHISHT_PROFILE", value_parser = value::profile)]
    profile: Option<Profile>,
    /// The network's name
    #[arg(long, env = "WHISHT_NETWORK", value_name = "NAME")]
    network: Option<NetworkName>,
    /// The level of messages that name none: open, swift or normal [default: normal]
    #[arg(long, env = "WHISHT_LEVEL", value_parser = value::level)]
    level: Option<Level>,
    /// Relay cells for others, and stand in the directory with an address
    #[arg(
        long, env = "WHISHT_RELAY", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    relay: Option<bool>,
    /// Listen here; may be repeated [default: every address, port 20819 or one of the next few]
    #[arg(
        long,
        env = "WHISHT_LISTEN",
        value_name = "ADDRESS:PORT",
        value_delimiter = ','
    )]
    listen: Option<Vec<SocketAddr>>,
    /// Do not listen: connections go out only, under a new key for every run
    #[arg(long, conflicts_with = "listen")]
    no_listen: bool,
    /// Where others can reach this relay; may be repeated
    #[arg(
        long,
        env = "WHISHT_ADVERTISE",
        value_name = "ADDRESS:PORT",
        value_delimiter = ','
    )]
    advertise: Option<Vec<Endpoint>>,
    /// Another relay of the same operator, by id or enode URL; may be repeated
    #[arg(
        long, env = "WHISHT_FAMILY", value_name = "RELAY", value_delimiter = ',',
        value_parser = value::relay
    )]
    family: Option<Vec<RelayId>>,
    /// Stay connected to this peer; may be repeated
    #[arg(long, env = "WHISHT_PEER", value_name = "ENODE", value_delimiter = ',')]
    peer: Option<Vec<PeerAddr>>,
    /// Stay connected to this peer, and take what it hands over past all checks; may be repeated
    #[arg(
        long,
        env = "WHISHT_TRUSTED_PEER",
        value_name = "ENODE",
        value_delimiter = ','
    )]
    trusted_peer: Option<Vec<PeerAddr>>,
    /// Maximum number of peers [default: 25]
    #[arg(long, env = "WHISHT_MAX_PEERS", value_name = "COUNT", value_parser = max_peers)]
    max_peers: Option<usize>,
    /// The least proof of work accepted [default: 0.2, in a local network 0.002]
    #[arg(long, env = "WHISHT_MIN_POW", value_name = "POW", value_parser = min_pow)]
    min_pow: Option<f64>,
    /// Whose rule of proof of work open messages satisfy: auto, both, legacy or modern [default: auto]
    #[arg(
        long,
        env = "WHISHT_POW_GENERATION",
        value_name = "WHOSE",
        value_parser = value::pow_generation
    )]
    pow_generation: Option<PowGeneration>,
    /// Room for envelopes, in megabytes [default: 64]
    #[arg(long, env = "WHISHT_POOL_MB", value_name = "MB", value_parser = pool_mb)]
    pool_mb: Option<usize>,
    /// Use this relay as the guard, by id or enode URL
    #[arg(long, env = "WHISHT_GUARD", value_name = "RELAY", value_parser = value::relay)]
    guard: Option<RelayId>,
    /// Threads for proof of work [default: one per core]
    #[arg(long, env = "WHISHT_THREADS", value_name = "COUNT", value_parser = threads)]
    threads: Option<usize>,
    /// The file whose first line is the password of the identities [default: ask]
    #[arg(long, env = "WHISHT_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    discovery: discovery::Options,
    #[command(flatten)]
    mail: mail::Options,
    #[command(flatten)]
    rpc: rpc::Options,
    #[command(flatten)]
    tor: tor::Options,
}

impl From<Options> for Settings {
    fn from(options: Options) -> Self {
        let Options {
            profile,
            network,
            level,
            relay,
            listen,
            no_listen,
            advertise,
            family,
            peer,
            trusted_peer,
            max_peers,
            min_pow,
            pow_generation,
            pool_mb,
            guard,
            threads,
            discovery,
            mail,
            password_file,
            rpc,
            tor,
        } = options;
        let listen = if no_listen { Some(Vec::new()) } else { listen };
        Self {
            profile,
            network,
            level,
            relay,
            listen,
            advertise,
            family,
            peers: peer,
            trusted_peers: trusted_peer,
            max_peers,
            min_pow,
            pow_generation,
            pool_mb,
            guard,
            threads,
            discovery: discovery.into(),
            mail: mail.into(),
            password_file,
            rpc: rpc.into(),
            tor: tor.into(),
        }
    }
}

fn integer(text: &str) -> i128 {
    // What is no number is out of every bound.
    text.parse().unwrap_or(-1)
}

fn max_peers(text: &str) -> Result<usize, BadValue> {
    value::count(integer(text), value::PEERS)
}

fn pool_mb(text: &str) -> Result<usize, BadValue> {
    value::count(integer(text), value::POOL_MB)
}

fn threads(text: &str) -> Result<usize, BadValue> {
    value::count(integer(text), value::THREADS)
}

fn min_pow(text: &str) -> Result<f64, BadValue> {
    value::min_pow(text.parse().unwrap_or(f64::NAN))
}
