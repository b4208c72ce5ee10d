//! Addresses at which peers can be dialled.

mod enode;
mod onion;

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use circuits::directory;
use circuits::ids::RelayKey;

pub use enode::EnodeUrlError;

/// An address to dial. `Debug` redacts it; `Display` prints it, for the user who gave it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub enum Endpoint {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A version 3 onion service: its ed25519 key and virtual port.
    Onion([u8; 32], u16),
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint([redacted])")
    }
}

/// A peer that the user names: its key and its address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerAddr {
    /// Its link key, which the handshake proves.
    pub key: RelayKey,
    /// Where it listens.
    pub endpoint: Endpoint,
}

impl From<directory::RelayEndpoint> for Endpoint {
    fn from(endpoint: directory::RelayEndpoint) -> Self {
        match endpoint {
            directory::RelayEndpoint::Ip4(ip, port) => Self::Tcp((ip, port).into()),
            directory::RelayEndpoint::Ip6(ip, port) => Self::Tcp((ip, port).into()),
            directory::RelayEndpoint::Onion(key, port) => Self::Onion(key, port),
        }
    }
}

/// The name of an onion service's key, with `.onion`.
#[must_use]
pub fn onion_name(key: &[u8; 32]) -> String {
    format!("{}.onion", onion::encode(key))
}

impl Endpoint {
    /// Whether it can be dialled only through Tor.
    #[must_use]
    pub const fn is_onion(&self) -> bool {
        matches!(self, Self::Onion(..))
    }

    /// The subnet of this address for subnet diversity limits.
    #[must_use]
    pub fn subnet(&self) -> directory::Subnet {
        match self {
            Self::Tcp(addr) => directory::Subnet::of(addr.ip()),
            Self::Onion(..) => directory::Subnet::Onion,
        }
    }
}

/// The part of an address that its owner cannot easily change: the /24 of IPv4, the /48 of IPv6.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Prefix([u8; 6]);

impl Prefix {
    /// The prefix of an address. An IPv4-mapped IPv6 address counts as IPv4.
    pub(crate) const fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                // No allocated IPv6 prefix begins with these bytes.
                Self([0xff, 0xff, 0xff, a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Self([a, b, c, d, e, f])
            }
        }
    }
}
