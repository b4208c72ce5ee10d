//! A node as discovery knows it, and which addresses may be told to which nodes.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use circuits::ids::RelayKey;
use sha3::{Digest, Keccak256};

use crate::endpoint::{Endpoint, EnodeUrlError, PeerAddr};

/// A node's key and address. `Debug` does not print them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Contact {
    /// The link key.
    pub key: RelayKey,
    /// The IP address of both sockets.
    pub ip: IpAddr,
    /// The UDP port of discovery.
    pub udp: u16,
    /// The TCP port of links; 0 if the node accepts none.
    pub tcp: u16,
}

impl Contact {
    /// The contact of a peer whose discovery port equals its link port, which is the default of
    /// enode URLs; `None` for an onion service, which has no UDP socket.
    #[must_use]
    pub fn of(peer: &PeerAddr) -> Option<Self> {
        match peer.endpoint {
            Endpoint::Tcp(address) => Some(Self {
                key: peer.key,
                ip: address.ip().to_canonical(),
                udp: address.port(),
                tcp: address.port(),
            }),
            Endpoint::Onion(..) => None,
        }
    }

    /// The source and destination of its packets.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        (self.ip, self.udp).into()
    }

    /// The address to dial; `None` if the node accepts no links.
    #[must_use]
    pub fn peer(&self) -> Option<PeerAddr> {
        (self.tcp != 0).then(|| PeerAddr {
            key: self.key,
            endpoint: Endpoint::Tcp((self.ip, self.tcp).into()),
        })
    }

    /// Its position in the key space.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId::of(&self.key)
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact([redacted])")
    }
}

impl FromStr for Contact {
    type Err = EnodeUrlError;

    /// Reads an enode URL, with go-ethereum's `?discport=` where the two ports differ.
    fn from_str(url: &str) -> Result<Self, EnodeUrlError> {
        let contact = Self::of(&url.parse()?).ok_or(EnodeUrlError::NotAnAddress)?;
        let discport = url.split_once("?discport=").map(|(_, port)| port.parse());
        match discport {
            None => Ok(contact),
            Some(Ok(udp)) if udp != 0 => Ok(Self { udp, ..contact }),
            Some(_) => Err(EnodeUrlError::BadPort),
        }
    }
}

/// The Keccak-256 hash of a key: distances are measured between these.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NodeId([u8; 32]);

impl NodeId {
    /// The position of a key, or of a target that is not a valid key.
    #[must_use]
    pub fn of(key: &RelayKey) -> Self {
        Self(Keccak256::digest(key.0).into())
    }

    /// The XOR distance of two positions.
    #[must_use]
    pub fn distance(&self, other: &Self) -> [u8; 32] {
        let mut distance = self.0;
        for (byte, other) in distance.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        distance
    }

    /// The number of the highest bit in which two positions differ, from 1 to 256; 0 if they are
    /// equal.
    #[must_use]
    pub fn log_distance(&self, other: &Self) -> u16 {
        let distance = self.distance(other);
        let mut bits: u16 = 256;
        for byte in distance {
            let zeros = byte.leading_zeros();
            bits = bits.saturating_sub(u16::try_from(zeros).unwrap_or(0));
            if byte != 0 {
                break;
            }
        }
        bits
    }
}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AddressScope {
    /// Not a host address: unspecified, multicast, reserved, or for documentation.
    Unroutable,
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// The Internet.
    Global,
}

impl AddressScope {
    /// The scope of an address.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    const fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, c, _] = ip.octets();
        match (a, b, c) {
            (127, ..) => Self::Loopback,
            (10, ..) | (192, 168, _) | (172, 16..=31, _) | (169, 254, _) | (100, 64..=127, _) => {
                Self::Private
            }
            (0 | 224.., ..)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113) => Self::Unroutable,
            _ => Self::Global,
        }
    }

    const fn of_v6(ip: Ipv6Addr) -> Self {
        if ip.is_loopback() {
            return Self::Loopback;
        }
        if ip.is_unique_local() || ip.is_unicast_link_local() {
            return Self::Private;
        }
        // Only 2000::/3 is allocated; parts of it are for documentation and tunnels.
        match ip.segments() {
            [0x2001, 0xdb8, ..] | [0x2001, 0..0x200, ..] | [0x2002, ..] => Self::Unroutable,
            [0x2000..=0x3fff, ..] => Self::Global,
            _ => Self::Unroutable,
        }
    }

    /// Whether a node at an address of this scope may be told of an address of the other scope, or
    /// may tell of one: no node is sent to machines of another private network.
    #[must_use]
    pub fn may_learn_of(self, other: Self) -> bool {
        other >= self && other != Self::Unroutable
    }
}

/// Ports below this one belong to system services; discovery sends nothing to them.
pub(super) const MIN_PORT: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(ip: &str) -> AddressScope {
        AddressScope::of(ip.parse().unwrap())
    }

    #[test]
    fn addresses_have_the_scope_of_their_range() {
        for (expected, addresses) in [
            (
                AddressScope::Loopback,
                &["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"][..],
            ),
            (
                AddressScope::Private,
                &[
                    "10.1.2.3",
                    "192.168.0.1",
                    "172.31.0.1",
                    "169.254.1.1",
                    "100.64.0.1",
                    "fd00::1",
                    "fe80::1",
                ],
            ),
            (
                AddressScope::Unroutable,
                &[
                    "0.0.0.0",
                    "0.1.2.3",
                    "224.0.0.1",
                    "255.255.255.255",
                    "240.0.0.1",
                    "192.0.2.1",
                    "198.51.100.7",
                    "203.0.113.9",
                    "198.18.0.1",
                    "192.0.0.1",
                    "::",
                    "ff02::1",
                    "2001:db8::1",
                    "2002:7f00:1::1",
                    "2001::1",
                    "64:ff9b::1",
                    "4000::1",
                ],
            ),
            (
                AddressScope::Global,
                &[
                    "8.8.8.8",
                    "172.32.0.1",
                    "100.128.0.1",
                    "2001:4860::1",
                    "2a00::1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(scope(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn scope_learns_only_of_equal_or_wider_scopes() {
        use AddressScope::{Global, Loopback, Private, Unroutable};
        for (who, may) in [
            (Global, &[Global][..]),
            (Private, &[Private, Global]),
            (Loopback, &[Loopback, Private, Global]),
            (Unroutable, &[Loopback, Private, Global]),
        ] {
            for of in [Unroutable, Loopback, Private, Global] {
                assert_eq!(who.may_learn_of(of), may.contains(&of), "{who:?} of {of:?}");
            }
        }
    }

    #[test]
    fn log_distance_counts_from_highest_bit() {
        let place = |byte: u8, at: usize| {
            let mut bytes = [0; 32];
            bytes[at] = byte;
            NodeId(bytes)
        };
        let zero = NodeId([0; 32]);
        assert_eq!(zero.log_distance(&zero), 0);
        assert_eq!(zero.log_distance(&place(0x80, 0)), 256);
        assert_eq!(zero.log_distance(&place(0x01, 0)), 249);
        assert_eq!(zero.log_distance(&place(0x80, 1)), 248);
        assert_eq!(zero.log_distance(&place(0x01, 31)), 1);
        assert_eq!(place(0x81, 3).log_distance(&place(0x80, 3)), 225);
    }

    #[test]
    fn enode_url_with_discport_sets_udp_port() {
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                   483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let read = |rest: &str| format!("enode://{key}@{rest}").parse::<Contact>();
        let ports = |rest: &str| read(rest).map(|contact| (contact.udp, contact.tcp));
        assert_eq!(ports("8.8.8.8:30303"), Ok((30303, 30303)));
        assert_eq!(ports("8.8.8.8:30303?discport=30301"), Ok((30301, 30303)));
        assert_eq!(
            read("8.8.8.8:30303?discport=0"),
            Err(EnodeUrlError::BadPort)
        );
        let onion = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion:80";
        assert_eq!(read(onion), Err(EnodeUrlError::NotAnAddress));
    }

    #[test]
    fn contact_debug_is_redacted() {
        let contact = Contact {
            key: RelayKey([7; 64]),
            ip: Ipv4Addr::LOCALHOST.into(),
            udp: 1,
            tcp: 2,
        };
        assert_eq!(format!("{contact:?}"), "Contact([redacted])");
    }
}
