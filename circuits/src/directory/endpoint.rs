//! Endpoints and subnets of relays.
//!
//! A relay names at most one endpoint of each kind. A descriptor does not prove its addresses. An
//! address therefore serves two purposes only: the node may dial it, and its [`Subnet`] restricts
//! the paths of the relay. On `main`, addresses in private networks are refused; otherwise a
//! descriptor could make every node probe its local network. On `local`, whose nodes must not leave
//! the machine, only loopback addresses and onion services are accepted (spec M17).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ids::Profile;

/// Address and port of a relay. `Debug` does not show it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub enum RelayEndpoint {
    /// TCP over IPv4.
    Ip4(Ipv4Addr, u16),
    /// TCP over IPv6.
    Ip6(Ipv6Addr, u16),
    /// A version 3 onion service: its ed25519 key and virtual port.
    Onion([u8; 32], u16),
}

impl RelayEndpoint {
    /// The port; never zero in a verified descriptor.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self {
            Self::Ip4(_, port) | Self::Ip6(_, port) | Self::Onion(_, port) => *port,
        }
    }

    /// The number of the endpoint kind in a descriptor.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Ip4(..) => kind::IP4,
            Self::Ip6(..) => kind::IP6,
            Self::Onion(..) => kind::ONION,
        }
    }

    /// The address without the port, as encoded in a descriptor.
    #[must_use]
    pub fn address(&self) -> Vec<u8> {
        match self {
            Self::Ip4(ip, _) => ip.octets().to_vec(),
            Self::Ip6(ip, _) => ip.octets().to_vec(),
            Self::Onion(key, _) => key.to_vec(),
        }
    }

    /// Builds an endpoint from its fields; `None` if the kind is unknown or the address has the
    /// wrong length.
    #[must_use]
    pub fn from_parts(kind: u8, address: &[u8], port: u16) -> Option<Self> {
        match kind {
            kind::IP4 => {
                let octets: [u8; 4] = address.try_into().ok()?;
                Some(Self::Ip4(octets.into(), port))
            }
            kind::IP6 => {
                let octets: [u8; 16] = address.try_into().ok()?;
                Some(Self::Ip6(octets.into(), port))
            }
            kind::ONION => Some(Self::Onion(address.try_into().ok()?, port)),
            _ => None,
        }
    }

    /// Whether nodes of this profile may dial the endpoint.
    #[must_use]
    pub fn allowed(&self, profile: Profile) -> bool {
        self.port() != 0
            && match (self, profile) {
                (Self::Onion(..), _) => true,
                (Self::Ip4(ip, _), Profile::Local) => ip.is_loopback(),
                (Self::Ip6(ip, _), Profile::Local) => ip.is_loopback(),
                (Self::Ip4(ip, _), Profile::Main) => is_public_ip4(*ip),
                (Self::Ip6(ip, _), Profile::Main) => is_public_ip6(*ip),
            }
    }
}

impl fmt::Debug for RelayEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayEndpoint([redacted])")
    }
}

/// A set of endpoint kinds: those that a node can dial, or those at which a relay can be dialled.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct EndpointKinds(u8);

impl EndpointKinds {
    /// Every kind: what a node dials through Tor.
    pub const ALL: Self = Self(0b111);
    /// IPv4 and IPv6: what a node without Tor can dial at most.
    pub const IP: Self = Self(0b011);

    /// The kinds of these endpoints.
    #[must_use]
    pub fn of(endpoints: &[RelayEndpoint]) -> Self {
        let kinds = endpoints.iter().map(RelayEndpoint::kind);
        Self(kinds.fold(0, |bits, kind| bits | Self::bit(kind)))
    }

    /// The kinds with these bits: bit `t - 1` stands for the kind with number `t` in a descriptor.
    /// `None` if there is no kind, or another bit.
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1..=0b111 => Some(Self(bits)),
            _ => None,
        }
    }

    /// The bits, as in a descriptor.
    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    /// The kinds that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether an endpoint is of one of these kinds.
    #[must_use]
    pub const fn contains(self, endpoint: &RelayEndpoint) -> bool {
        self.0 & Self::bit(endpoint.kind()) != 0
    }

    /// Whether a node that can dial these kinds can dial a relay with endpoints of `others`.
    #[must_use]
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    const fn bit(kind: u8) -> u8 {
        match kind {
            kind::IP4 => 0b001,
            kind::IP6 => 0b010,
            _ => 0b100,
        }
    }
}

/// A set of relays that a single operator could plausibly run from one place. `Debug` does not show
/// it.
///
/// All relays that are reachable only through onion services count as one subnet, because nothing
/// distinguishes them.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub enum Subnet {
    /// An IPv4 /16.
    Ip4([u8; 2]),
    /// An IPv6 /32.
    Ip6([u8; 4]),
    /// All onion services.
    Onion,
}

impl Subnet {
    /// The subnet of an address. An IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                Self::Ip4([a, b])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Self::Ip6([a, b, c, d])
            }
        }
    }

    /// The subnets of these endpoints, at most two; none if there are no endpoints, since nothing is
    /// known of a node without an address.
    #[must_use]
    pub fn of_endpoints(endpoints: &[RelayEndpoint]) -> Vec<Self> {
        let mut subnets: Vec<Self> = endpoints
            .iter()
            .filter_map(|endpoint| match endpoint {
                RelayEndpoint::Ip4(ip, _) => Some(Self::of((*ip).into())),
                RelayEndpoint::Ip6(ip, _) => Some(Self::of((*ip).into())),
                RelayEndpoint::Onion(..) => None,
            })
            .collect();
        if subnets.is_empty() && !endpoints.is_empty() {
            subnets.push(Self::Onion);
        }
        subnets
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subnet([redacted])")
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip4([a, b]) => write!(f, "{a}.{b}.0.0/16"),
            Self::Ip6([a, b, c, d]) => {
                let prefix = [*a, *b, *c, *d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                write!(f, "{}/32", Ipv6Addr::from(prefix))
            }
            Self::Onion => f.write_str("onion"),
        }
    }
}

/// Whether an IPv4 address is public, so that any node may dial it (RFC 6890).
const fn is_public_ip4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let benchmarking = a == 198 && b & 0xfe == 18;
    !(a == 0
        || a >= 224
        || shared
        || benchmarking
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation())
}

/// Whether an IPv6 address is global unicast and does not embed an IPv4 address.
///
/// Teredo and 6to4 addresses are refused: they would give one IPv4 host many subnets.
const fn is_public_ip6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    let teredo = a == 0x2001 && b == 0;
    let six_to_four = a == 0x2002;
    let documentation = (a == 0x2001 && b == 0x0db8) || a & 0xfff0 == 0x3ff0;
    global_unicast && !teredo && !six_to_four && !documentation
}

/// Numbers of the endpoint kinds on the wire.
mod kind {
    pub(super) const IP4: u8 = 1;
    pub(super) const IP6: u8 = 2;
    pub(super) const ONION: u8 = 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip4(text: &str) -> RelayEndpoint {
        RelayEndpoint::Ip4(text.parse().unwrap(), 20_819)
    }

    fn ip6(text: &str) -> RelayEndpoint {
        RelayEndpoint::Ip6(text.parse().unwrap(), 20_819)
    }

    #[test]
    fn main_profile_refuses_private_network_addresses() {
        for text in [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!ip4(text).allowed(Profile::Main), "{text}");
        }
        for text in [
            "::1",
            "::ffff:8.8.8.8",
            "fe80::1",
            "fd00::1",
            "2001:db8::1",
            "2002:808:808::1",
            "2001::1",
        ] {
            assert!(!ip6(text).allowed(Profile::Main), "{text}");
        }
        assert!(ip4("8.8.8.8").allowed(Profile::Main));
        assert!(ip6("2a00:1450::1").allowed(Profile::Main));
        assert!(RelayEndpoint::Onion([7; 32], 1).allowed(Profile::Main));
    }

    #[test]
    fn local_profile_refuses_addresses_outside_the_machine() {
        assert!(ip4("127.3.2.1").allowed(Profile::Local));
        assert!(ip6("::1").allowed(Profile::Local));
        assert!(RelayEndpoint::Onion([7; 32], 1).allowed(Profile::Local));
        assert!(!ip4("8.8.8.8").allowed(Profile::Local));
        assert!(!ip4("192.168.1.1").allowed(Profile::Local));
    }

    #[test]
    fn endpoint_with_port_zero_is_never_allowed() {
        assert!(!RelayEndpoint::Onion([7; 32], 0).allowed(Profile::Main));
        assert!(!RelayEndpoint::Ip4(Ipv4Addr::LOCALHOST, 0).allowed(Profile::Local));
    }

    #[test]
    fn onion_service_beside_address_adds_no_subnet() {
        let onion = RelayEndpoint::Onion([1; 32], 1);
        assert_eq!(Subnet::of_endpoints(&[onion]), [Subnet::Onion]);
        assert_eq!(
            Subnet::of_endpoints(&[ip4("8.9.1.1"), ip6("2a00:1450::1"), onion]),
            [Subnet::Ip4([8, 9]), Subnet::Ip6([0x2a, 0, 0x14, 0x50])]
        );
    }

    #[test]
    fn node_without_an_address_is_in_no_subnet() {
        assert!(Subnet::of_endpoints(&[]).is_empty());
    }

    #[test]
    fn endpoint_kinds_are_three_bits() {
        let onion = RelayEndpoint::Onion([1; 32], 1);
        let all = EndpointKinds::of(&[ip4("8.9.1.1"), ip6("2a00:1450::1"), onion]);
        assert_eq!(all, EndpointKinds::ALL);
        assert!(!EndpointKinds::IP.contains(&onion) && EndpointKinds::ALL.contains(&onion));
        for bits in 0..=u8::MAX {
            let kinds = EndpointKinds::from_bits(bits);
            assert_eq!(
                kinds.map(EndpointKinds::bits),
                (1..=7).contains(&bits).then_some(bits)
            );
        }
    }

    #[test]
    fn ipv4_mapped_ipv6_address_has_its_ipv4_subnet() {
        assert_eq!(
            Subnet::of("::ffff:8.9.1.1".parse().unwrap()),
            Subnet::Ip4([8, 9])
        );
    }

    #[test]
    fn subnet_display_shows_prefix_and_debug_does_not() {
        let subnet = Subnet::of("2a00:1450::1".parse().unwrap());
        assert_eq!(subnet.to_string(), "2a00:1450::/32");
        assert_eq!(Subnet::Ip4([8, 9]).to_string(), "8.9.0.0/16");
        assert_eq!(
            format!("{subnet:?} {:?}", ip4("8.8.8.8")),
            "Subnet([redacted]) RelayEndpoint([redacted])"
        );
    }
}
