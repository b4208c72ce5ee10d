//! The table `[tor]` as flags and environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::tor::{ControlPort, PluggableTransport, ServiceReader, TorMode, TorSettings};
use crate::endpoint::Endpoint;

/// Flags of the way through Tor.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Tor")]
#[group(id = "tor")]
pub(super) struct Options {
    /// Send every link through Tor: off, arti (in this process) or socks (a daemon) [default: off]
    #[arg(long, env = "WHISHT_TOR_MODE", value_name = "MODE")]
    tor_mode: Option<TorMode>,
    /// Let nothing in or out but through Tor
    #[arg(
        long, env = "WHISHT_TOR_ONLY", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    tor_only: Option<bool>,
    /// The daemon's SOCKS port [default: 127.0.0.1:9050]
    #[arg(long, env = "WHISHT_TOR_SOCKS", value_name = "ADDRESS:PORT")]
    tor_socks: Option<SocketAddr>,
    /// The daemon's control port, to ask how far it is: 127.0.0.1:9051 or unix:PATH
    #[arg(long, env = "WHISHT_TOR_CONTROL", value_name = "ADDRESS")]
    tor_control: Option<ControlPort>,
    /// The daemon's onion service that leads to our listener, such as NAME.onion:20819
    #[arg(long, env = "WHISHT_TOR_ONION", value_name = "NAME:PORT")]
    tor_onion: Option<Endpoint>,
    /// The port of arti's onion service [default: 20819]
    #[arg(long, env = "WHISHT_TOR_ONION_PORT", value_name = "PORT")]
    tor_onion_port: Option<u16>,
    /// A bridge line for arti; may be repeated
    #[arg(long, value_name = "LINE")]
    tor_bridge: Option<Vec<String>>,
    /// A program that carries traffic to bridges: NAME=PROGRAM; may be repeated
    #[arg(long, value_name = "NAME=PROGRAM")]
    tor_transport: Option<Vec<PluggableTransport>>,
    /// A directory of *.auth_private files, for services that not everybody may find
    #[arg(long, env = "WHISHT_TOR_KEYS", value_name = "DIRECTORY")]
    tor_keys: Option<PathBuf>,
    /// Who may find our onion service: NAME=descriptor:x25519:KEY; may be repeated
    #[arg(long, value_name = "READER")]
    tor_reader: Option<Vec<ServiceReader>>,
    /// A file that describes a private Tor network, as arti's configuration does
    #[arg(long, env = "WHISHT_TOR_NETWORK", value_name = "FILE")]
    tor_network: Option<PathBuf>,
    /// The daemon belongs to a private Tor network; needed in a local network
    #[arg(
        long, env = "WHISHT_TOR_PRIVATE_DAEMON", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    tor_private_daemon: Option<bool>,
}

impl From<Options> for TorSettings {
    fn from(options: Options) -> Self {
        let Options {
            tor_mode,
            tor_only,
            tor_socks,
            tor_control,
            tor_onion,
            tor_onion_port,
            tor_bridge,
            tor_transport,
            tor_keys,
            tor_reader,
            tor_network,
            tor_private_daemon,
        } = options;
        Self {
            mode: tor_mode,
            only: tor_only,
            socks: tor_socks,
            control: tor_control,
            onion: tor_onion,
            onion_port: tor_onion_port,
            bridges: tor_bridge,
            transports: tor_transport,
            keys: tor_keys,
            readers: tor_reader,
            network: tor_network,
            private_daemon: tor_private_daemon,
        }
    }
}
