//! The configuration of discovery, and the addresses that it permits.
//!
//! The rules on scope stand beside the settings that they follow from: which addresses discovery may
//! send to, and which own address a node may learn. Nothing here sends or remembers anything.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::contact::{AddressScope, Contact};

/// The configuration of discovery.
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// The first nodes to ask.
    pub bootnodes: Vec<Contact>,
    /// The addresses on which this node accepts links and datagrams.
    pub own: Vec<SocketAddr>,
    /// Whether to communicate with this machine only (spec M17).
    pub loopback_only: bool,
}

impl DiscoveryConfig {
    /// Our endpoint as told to a node at `to`: our address only if its scope permits.
    pub(super) fn own_address(&self, to: IpAddr) -> SocketAddr {
        let fits = |own: &&SocketAddr| own.is_ipv4() == to.is_ipv4();
        let own = self.own.iter().find(fits);
        let own = own.or_else(|| self.own.first());
        let ip = own
            .map(SocketAddr::ip)
            .filter(|ip| AddressScope::of(to).may_learn_of(AddressScope::of(*ip)))
            .unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into());
        (ip, own.map_or(0, SocketAddr::port)).into()
    }

    /// Whether discovery communicates with this address.
    pub(super) fn is_in_scope(&self, ip: IpAddr) -> bool {
        match AddressScope::of(ip) {
            AddressScope::Unroutable => false,
            AddressScope::Loopback => true,
            AddressScope::Private | AddressScope::Global => !self.loopback_only,
        }
    }
}
