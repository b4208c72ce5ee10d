//! Why settings do not fit together, each with its remedy.

use std::net::SocketAddr;

use circuits::level::Level;

use super::rpc::NotLoopback;
use super::tor::TorConfigError;

/// Why settings do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An address is advertised by a node that relays nothing.
    #[error("`advertise` is for relays; add --relay, or leave it out")]
    AdvertiseWithoutRelay,
    /// Somebody is to be asked for peers, by a node that asks nobody.
    #[error(
        "`discovery.bootnodes` names nodes to ask for peers, and discovery is off; add \
         --discovery-enabled, or leave them out"
    )]
    BootnodesWithoutDiscovery,
    /// Discovery goes by UDP, which Tor does not carry.
    #[error(
        "discovery tells strangers where this machine is, by UDP, which Tor does not carry; leave \
         out --discovery-enabled, and name peers with --peer"
    )]
    DiscoveryBesideTor,
    /// A node that does not listen does not want to be known.
    #[error(
        "discovery tells strangers where this node is, and a node that does not listen tells \
         nobody; leave out --no-listen, or --discovery-enabled"
    )]
    DiscoveryNeedsListener,
    /// A level that this version does not have.
    #[error(
        "the level `{0}` is not there yet: it needs cover traffic that this version does not send; \
         choose open, swift or normal"
    )]
    LevelNotThere(Level),
    /// A local network must stay on this machine.
    #[error(
        "`{setting}` names {address}, but the local profile never leaves this machine; use an \
         address of loopback, or --profile main"
    )]
    LocalLeavesMachine {
        /// The setting.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// A local network must not be mistaken for another.
    #[error("a local network needs a name; add --network NAME")]
    LocalNeedsName,
    /// An address of this machine would be told to everybody.
    #[error(
        "`advertise` names {0}, which tells everybody where this machine is; with tor.only a relay \
         is reached by its onion service alone"
    )]
    AdvertisesBesideTor(SocketAddr),
    /// Others could reach this machine without Tor.
    #[error(
        "`listen` names {0}, which others can reach without Tor; with tor.only use an address of \
         loopback, or --no-listen"
    )]
    ListensBesideTor(SocketAddr),
    /// An onion service is dialled through Tor, or not at all.
    #[error(
        "`{setting}` names an onion service, which needs Tor; set tor.mode to \"arti\", or to \
         \"socks\" if a Tor daemon runs here"
    )]
    OnionWithoutTor {
        /// The setting.
        setting: &'static str,
    },
    /// A door for programs would open to other machines.
    #[error(transparent)]
    RpcLeavesMachine(#[from] NotLoopback),
    /// A relay that says no address is no use to anybody.
    #[error(
        "a relay must say where others can reach it, and the addresses it listens on do not say \
         it; add --advertise ADDRESS:PORT"
    )]
    RelayNeedsAddress,
    /// A relay behind a daemon has to know its onion service.
    #[error(
        "a relay behind a Tor daemon must say its onion service; set tor.onion to what stands in the \
         file `hostname` of the daemon's HiddenServiceDir, and the port"
    )]
    RelayNeedsOnion,
    /// The settings of Tor do not fit together.
    #[error(transparent)]
    Tor(#[from] TorConfigError),
    /// A relay that does not listen cannot be reached.
    #[error("a relay must listen; leave out --no-listen, or --relay")]
    RelayNeedsListener,
}

impl ConfigError {
    /// Whether a rule of privacy is the reason, rather than a mistake.
    #[must_use]
    pub const fn is_policy(&self) -> bool {
        matches!(
            self,
            Self::AdvertisesBesideTor(_)
                | Self::DiscoveryBesideTor
                | Self::DiscoveryNeedsListener
                | Self::LevelNotThere(_)
                | Self::ListensBesideTor(_)
                | Self::LocalLeavesMachine { .. }
                | Self::OnionWithoutTor { .. }
                | Self::RpcLeavesMachine(_)
                | Self::Tor(
                    TorConfigError::LocalNeedsPrivateTor
                        | TorConfigError::OnlyNeedsTor
                        | TorConfigError::SocksLeavesMachine(_)
                )
        )
    }
}
