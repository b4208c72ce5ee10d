//! Socket addresses as a program hands them to the kernel: a family, then whatever it makes of the
//! rest.
//!
//! The layouts are Linux's (`ip(7)`, `ipv6(7)`, `unix(7)`). What is too short for the kernel is
//! still read if it can be: to judge more than the kernel would take costs nothing. Nothing here
//! says what an address is good for; that is [`policy`](mod@super::policy).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a socket address names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum SocketAddress {
    /// A place in the Internet. An IPv4 address within IPv6 stands as what it is.
    Internet(SocketAddr),
    /// No family; and the IPv4 address that follows all the same, if there is room for one. What
    /// the kernel makes of it depends on the call.
    NoFamily(Option<SocketAddr>),
    /// A socket of this machine, by path; `@` begins an abstract name, nothing is an unnamed one.
    Unix(String),
    /// A family of another kind.
    Other(u16),
    /// Too short to name anything, or not to be read.
    Garbled,
}

impl SocketAddress {
    /// Reads what the kernel would be given.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let Some((family, rest)) = bytes.split_first_chunk() else {
            return Self::Garbled;
        };
        match u16::from_ne_bytes(*family) {
            NO_FAMILY => Self::NoFamily(ipv4(rest)),
            UNIX => Self::Unix(unix(rest)),
            INET => ipv4(rest).map_or(Self::Garbled, Self::Internet),
            INET6 => ipv6(rest).map_or(Self::Garbled, Self::Internet),
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

/// The path of `sockaddr_un`. An abstract name begins with a zero and may hold more of them.
fn unix(bytes: &[u8]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match bytes {
        [0, name @ ..] if name.iter().any(|byte| *byte != 0) => format!("@{}", text(name)),
        path => text(path.split(|byte| *byte == 0).next().unwrap_or_default()),
    }
}

/// `AF_UNSPEC`.
const NO_FAMILY: u16 = 0;
/// `AF_UNIX`.
pub(super) const UNIX: u16 = 1;
/// `AF_INET`.
pub(super) const INET: u16 = 2;
/// `AF_INET6`.
pub(super) const INET6: u16 = 10;
/// `AF_NETLINK`.
pub(super) const NETLINK: u16 = 16;

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
        let mut bytes = INET6.to_ne_bytes().to_vec();
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
    fn addresses_of_the_internet_are_read() {
        let four = inet(INET, [192, 0, 2, 1], 30303);
        assert_eq!(SocketAddress::parse(&four), internet("192.0.2.1:30303"));
        let six = inet6("2001:db8::1".parse().unwrap(), 9);
        assert_eq!(SocketAddress::parse(&six), internet("[2001:db8::1]:9"));
    }

    #[test]
    fn an_ipv4_address_does_not_hide_in_ipv6() {
        let mapped = inet6("::ffff:192.0.2.7".parse().unwrap(), 9);
        assert_eq!(SocketAddress::parse(&mapped), internet("192.0.2.7:9"));
    }

    #[test]
    fn an_ipv6_address_without_scope_is_as_good_as_one_with() {
        // RFC 2133 knew no scope, and Linux takes its 24 bytes to this day.
        let six = inet6("2001:db8::1".parse().unwrap(), 9);
        assert_eq!(
            SocketAddress::parse(&six[..24]),
            internet("[2001:db8::1]:9")
        );
        assert_eq!(SocketAddress::parse(&six[..23]), SocketAddress::Garbled);
    }

    #[test]
    fn short_addresses_are_garbled() {
        let four = inet(INET, [192, 0, 2, 1], 30303);
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
    fn no_family_does_not_hide_an_address() {
        let hidden = inet(NO_FAMILY, [192, 0, 2, 1], 9);
        let read = Some("192.0.2.1:9".parse().unwrap());
        assert_eq!(SocketAddress::parse(&hidden), SocketAddress::NoFamily(read));
        assert_eq!(SocketAddress::parse(&[0, 0]), SocketAddress::NoFamily(None));
    }

    #[test]
    fn sockets_of_this_machine_are_named() {
        let named = |path: &[u8]| SocketAddress::parse(&[&UNIX.to_ne_bytes(), path].concat());
        let unix = |name: &str| SocketAddress::Unix(name.to_owned());
        assert_eq!(named(b"/run/a.sock\0rest"), unix("/run/a.sock"));
        assert_eq!(named(b"/run/a.sock"), unix("/run/a.sock"));
        assert_eq!(named(b"\0bus"), unix("@bus"));
        assert_eq!(named(b""), unix(""));
        assert_eq!(named(&[0; 108]), unix(""));
    }

    #[test]
    fn other_families_keep_their_number() {
        assert_eq!(
            SocketAddress::parse(&17u16.to_ne_bytes()),
            SocketAddress::Other(17)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..130)) {
            let _ = SocketAddress::parse(&bytes);
        }
    }
}
