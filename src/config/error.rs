//! Contradictions between settings, each with its remedy.

use std::net::SocketAddr;

use circuits::level::Level;

use super::bandwidth::ByteRate;
use super::rpc::NotLoopback;
use super::tor::TorConfigError;
use crate::node::LevelPolicyError;
use crate::relay_list::BadSignerSet;

/// A contradiction between settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `advertise` without `relay`.
    #[error(
        "`advertise` publishes addresses of a relay, and this node does not relay; add --relay, or leave \
         `advertise` out"
    )]
    AdvertiseWithoutRelay,
    /// A rate that cells exceed.
    #[error(
        "`bandwidth.max` is {limit}, and cover traffic and cells of this node need up to {needed}; allow that \
         much, or send less cover traffic or relay nothing"
    )]
    BandwidthTooLow {
        /// The limit.
        limit: ByteRate,
        /// What is needed.
        needed: ByteRate,
    },
    /// A volume that cells exceed.
    #[error(
        "`bandwidth.max-mb-day` is {megabytes}, and cover traffic and cells of this node need {needed} MB a day; \
         allow that much, or send less cover traffic or relay nothing"
    )]
    DailyVolumeTooLow {
        /// The limit in megabytes.
        megabytes: u64,
        /// What is needed, in megabytes.
        needed: u64,
    },
    /// Bootnodes without discovery.
    #[error(
        "`discovery.bootnodes` names nodes to ask for peers, and discovery is off; add \
         --discovery-enabled, or leave them out"
    )]
    BootnodesWithoutDiscovery,
    /// Signers and threshold of relay lists that are not a valid set.
    #[error("`directory`: {0}")]
    Signers(#[from] BadSignerSet),
    /// Discovery with Tor, which does not carry UDP.
    #[error(
        "discovery gives this machine's address to every node that asks, by UDP, which Tor does not \
         carry; leave out --discovery-enabled, and name peers with --peer"
    )]
    DiscoveryBesideTor,
    /// Discovery without a listener, which would publish an address that cannot be reached.
    #[error(
        "discovery gives this node's address to every node that asks, and this node does not listen; \
         leave out --no-listen, or --discovery-enabled"
    )]
    DiscoveryNeedsListener,
    /// A level that hides messages in cover traffic, on a node without any.
    #[error(
        "the level `{0}` hides messages in cover traffic, and `cover` is \"off\"; leave `cover` out, or \
         choose open, swift or normal"
    )]
    LevelNeedsCover(Level),
    /// Entries of `[levels]` that contradict each other.
    #[error(transparent)]
    Levels(#[from] LevelPolicyError),
    /// An address outside of this machine, in a local network.
    #[error(
        "`{setting}` is {address}, but the local profile never leaves this machine; use an address of \
         loopback, or --profile main"
    )]
    LocalLeavesMachine {
        /// Key of the setting.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// A local network without a name, which could be mistaken for another.
    #[error("a local network needs a name; add --network NAME")]
    LocalNeedsName,
    /// A clear address in the descriptor, with `tor.only`.
    #[error(
        "`advertise` is {0}, which publishes the address of this machine; with tor.only a relay is \
         reached by its onion service alone: leave `advertise` out"
    )]
    AdvertisesBesideTor(SocketAddr),
    /// A public listener, with `tor.only`.
    #[error(
        "`listen` is {0}, which others can reach without Tor; with tor.only use an address of \
         loopback, or --no-listen"
    )]
    ListensBesideTor(SocketAddr),
    /// Metrics on an address that other machines can reach.
    #[error(
        "`metrics.listen` is {0}, which other machines can reach; the metrics stay on this machine: use \
         127.0.0.1 or [::1], and `ssh -L` or metrics.file to read them from another machine"
    )]
    MetricsLeaveMachine(SocketAddr),
    /// An onion service without Tor.
    #[error(
        "`{setting}` is an onion service, which needs Tor; set tor.mode to \"arti\", or to \"socks\" if \
         a Tor daemon runs here"
    )]
    OnionWithoutTor {
        /// The setting.
        setting: &'static str,
    },
    /// JSON-RPC on an address that other machines can reach.
    #[error(transparent)]
    RpcLeavesMachine(#[from] NotLoopback),
    /// A relay without an address that others can reach.
    #[error(
        "a relay must publish an address that others can reach, and it listens on loopback only; add \
         --advertise ADDRESS:PORT, or leave out --listen"
    )]
    RelayNeedsAddress,
    /// A relay behind a Tor daemon, without the name of its onion service.
    #[error(
        "a relay behind a Tor daemon must publish its onion service; set tor.onion to the name in the \
         file `hostname` of the daemon's HiddenServiceDir, and the port"
    )]
    RelayNeedsOnion,
    /// A contradiction between settings of Tor.
    #[error(transparent)]
    Tor(#[from] TorConfigError),
    /// A setting that only matters together with another, which is off.
    #[error("`{setting}` has no effect without `{needs}`; set `{needs}`, or leave `{setting}` out")]
    WithoutEffect {
        /// The setting.
        setting: &'static str,
        /// The setting that it needs.
        needs: &'static str,
    },
    /// A relay that does not listen.
    #[error("a relay must listen; leave out --no-listen, or --relay")]
    RelayNeedsListener,
}

impl ConfigError {
    /// Whether the settings would break a rule of privacy.
    #[must_use]
    pub const fn is_policy(&self) -> bool {
        matches!(
            self,
            Self::AdvertisesBesideTor(_)
                | Self::DiscoveryBesideTor
                | Self::DiscoveryNeedsListener
                | Self::LevelNeedsCover(_)
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
