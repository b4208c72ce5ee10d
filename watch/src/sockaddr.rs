//! Socket addresses as a program passes them to the kernel: a family, then a layout of its own.
//!
//! The layouts are Linux's (`ip(7)`, `ipv6(7)`, `unix(7)`). An address that is too short for the
//! kernel is still read where possible: a policy then decides about more than the kernel would
//! accept, which is safe. The parser decides nothing about an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The meaning of a socket address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SocketAddress {
    /// An IP address and port. An IPv4-mapped IPv6 address is given as IPv4.
    Internet(SocketAddr),
    /// `AF_UNSPEC`, with the IPv4 address that follows if there is one. The kernel's reading of it
    /// depends on the call.
    NoFamily(Option<SocketAddr>),
    /// A Unix socket by path. `@` begins an abstract name; an empty text is an unnamed socket.
    Unix(String),
    /// Another family (`AF_*`).
    Other(u16),
    /// Too short, or unreadable memory.
    Garbled,
}

impl SocketAddress {
    /// Parses the bytes that a program passes to the kernel.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let Some((family, rest)) = bytes.split_first_chunk() else {
            return Self::Garbled;
        };
        match u16::from_ne_bytes(*family) {
            AF_UNSPEC => Self::NoFamily(ipv4(rest)),
            AF_UNIX => Self::Unix(unix(rest)),
            AF_INET => ipv4(rest).map_or(Self::Garbled, Self::Internet),
            AF_INET6 => ipv6(rest).map_or(Self::Garbled, Self::Internet),
            other => Self::Other(other),
        }
    }
}

/// Port and address of `sockaddr_in`, behind its family.
fn ipv4(bytes: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = bytes.split_first_chunk()?;
    let (ip, _) = rest.split_first_chunk::<4>()?;
    Some((Ipv4Addr::from(*ip), u16::from_be_bytes(*port)).into())
}

/// Port and address of `sockaddr_in6`; between them lies the flow label.
fn ipv6(bytes: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = bytes.split_first_chunk()?;
    let (_flow, rest) = rest.split_first_chunk::<4>()?;
    let (ip, _) = rest.split_first_chunk::<16>()?;
    let ip = IpAddr::V6(Ipv6Addr::from(*ip)).to_canonical();
    Some((ip, u16::from_be_bytes(*port)).into())
}

/// The path of `sockaddr_un`. An abstract name begins with a zero byte and may contain more of them.
fn unix(bytes: &[u8]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match bytes {
        [0, name @ ..] if name.iter().any(|byte| *byte != 0) => format!("@{}", text(name)),
        path => text(path.split(|byte| *byte == 0).next().unwrap_or_default()),
    }
}

/// No address family (`<bits/socket.h>`).
const AF_UNSPEC: u16 = 0;
/// The family of Unix sockets.
pub const AF_UNIX: u16 = 1;
/// The family of IPv4.
pub const AF_INET: u16 = 2;
/// The family of IPv6.
pub const AF_INET6: u16 = 10;
/// The family of netlink, by which a program asks the kernel for addresses and routes.
pub const AF_NETLINK: u16 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inet(family: u16, ip: [u8; 4], port: u16) -> Vec<u8> {
        let mut bytes = family.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(ip);
        bytes.extend([0; 8]);
        bytes
    }

    fn inet6(ip: Ipv6Addr, port: u16) -> Vec<u8> {
        let mut bytes = AF_INET6.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(ip.octets());
        bytes.extend([9, 0, 0, 0]);
        bytes
    }

    fn internet(text: &str) -> SocketAddress {
        SocketAddress::Internet(text.parse().unwrap())
    }

    #[test]
    fn ip_address_is_parsed() {
        let four = inet(AF_INET, [192, 0, 2, 1], 30303);
        assert_eq!(SocketAddress::parse(&four), internet("192.0.2.1:30303"));
        let six = inet6("2001:db8::1".parse().unwrap(), 9);
        assert_eq!(SocketAddress::parse(&six), internet("[2001:db8::1]:9"));
    }

    #[test]
    fn mapped_ipv4_address_becomes_ipv4() {
        let mapped = inet6("::ffff:192.0.2.7".parse().unwrap(), 9);
        assert_eq!(SocketAddress::parse(&mapped), internet("192.0.2.7:9"));
    }

    #[test]
    fn ipv6_address_without_scope_is_parsed() {
        // RFC 2133 had no scope; Linux still accepts its 24 bytes.
        let six = inet6("2001:db8::1".parse().unwrap(), 9);
        assert_eq!(
            SocketAddress::parse(&six[..24]),
            internet("[2001:db8::1]:9")
        );
        assert_eq!(SocketAddress::parse(&six[..23]), SocketAddress::Garbled);
    }

    #[test]
    fn short_address_is_garbled() {
        let four = inet(AF_INET, [192, 0, 2, 1], 30303);
        for length in [0, 1, 2, 3, 4, 7] {
            assert_eq!(
                SocketAddress::parse(&four[..length]),
                SocketAddress::Garbled,
                "{length}"
            );
        }
        assert_eq!(
            SocketAddress::parse(&four[..8]),
            internet("192.0.2.1:30303")
        );
    }

    #[test]
    fn unspecified_family_keeps_address() {
        let hidden = inet(AF_UNSPEC, [192, 0, 2, 1], 9);
        let read = Some("192.0.2.1:9".parse().unwrap());
        assert_eq!(SocketAddress::parse(&hidden), SocketAddress::NoFamily(read));
        assert_eq!(SocketAddress::parse(&[0, 0]), SocketAddress::NoFamily(None));
    }

    #[test]
    fn unix_address_yields_path() {
        let named = |path: &[u8]| SocketAddress::parse(&[&AF_UNIX.to_ne_bytes(), path].concat());
        let unix = |name: &str| SocketAddress::Unix(name.to_owned());
        assert_eq!(named(b"/run/a.sock\0rest"), unix("/run/a.sock"));
        assert_eq!(named(b"/run/a.sock"), unix("/run/a.sock"));
        assert_eq!(named(b"\0bus"), unix("@bus"));
        assert_eq!(named(b""), unix(""));
        assert_eq!(named(&[0; 108]), unix(""));
    }

    #[test]
    fn other_family_keeps_number() {
        assert_eq!(
            SocketAddress::parse(&17u16.to_ne_bytes()),
            SocketAddress::Other(17)
        );
    }

    proptest! {
        #[test]
        fn parse_accepts_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..130)) {
            let _ = SocketAddress::parse(&bytes);
        }
    }
}
