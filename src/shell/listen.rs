//! Binds the node's listeners.
//!
//! By default a node listens on IPv4 and IPv6 at the port of its last run, or at 20819. If either
//! family finds the port in use, both move to one of the next few ports, so that one number
//! identifies the node. If the machine lacks one family, the other serves alone. Addresses that the
//! user names are used exactly or fail.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Listen;

/// Binds listeners. `remembered` is the port of the last run; it is tried first if the user names
/// no address.
///
/// # Errors
///
/// [`ListenError`] names the address that cannot be bound.
pub fn bind(listen: &Listen, remembered: Option<u16>) -> Result<Vec<TcpListener>, ListenError> {
    let (v4, v6) = match listen {
        Listen::Nowhere => return Ok(Vec::new()),
        Listen::At(addresses) => {
            let exactly = |address: &SocketAddr| {
                bind_one(*address).map_err(|error| ListenError::Refused {
                    at: *address,
                    error,
                })
            };
            return addresses.iter().map(exactly).collect();
        }
        Listen::Everywhere => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
        Listen::Loopback => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
    };
    for port in remembered.into_iter().chain(DEFAULT_PORT..=LAST_PORT) {
        let bound = [SocketAddr::from((v4, port)), SocketAddr::from((v6, port))].map(bind_one);
        match bound {
            [Ok(v4), Ok(v6)] => return Ok(vec![v4, v6]),
            [Ok(one), Err(error)] | [Err(error), Ok(one)] if is_missing(&error) => {
                return Ok(vec![one]);
            }
            // The port is in use for at least one family; the other socket is closed again.
            _ => {}
        }
    }
    Err(ListenError::AllTaken)
}

/// The addresses of this machine at which listeners can be reached: for one on every address, the address
/// from which this machine would send. The system answers from its table of routes; nothing is sent.
#[must_use]
pub fn own_addresses(listeners: &[SocketAddr]) -> Vec<SocketAddr> {
    let own = |listener: &SocketAddr| {
        if !listener.ip().is_unspecified() {
            return Some(*listener);
        }
        let (any, elsewhere): (IpAddr, IpAddr) = match listener.ip() {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), ELSEWHERE_V4.into()),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), ELSEWHERE_V6.into()),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((elsewhere, DISCARD_PORT)).ok()?;
        let source = socket.local_addr().ok()?;
        Some(SocketAddr::new(source.ip(), listener.port()))
    };
    listeners.iter().filter_map(own).collect()
}

/// Sets the socket options of a link.
///
/// # Errors
///
/// The error of the operating system; the connection is closed already in that case.
pub(super) fn set_link_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A cell cannot overtake bytes that the kernel holds, so the kernel buffer stays small.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
    Ok(())
}

pub(super) fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // Without this `[::]` binds the IPv4 port too, and the families cannot be told apart.
        socket.set_only_v6(true)?;
    }
    // A node that restarts need not wait for its old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Whether the machine lacks the address family.
fn is_missing(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

/// Why a node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Neither the default port nor the ports after it are free.
    #[error(
        "ports {DEFAULT_PORT} to {LAST_PORT} are all taken; name a free one with \
         --listen 0.0.0.0:PORT"
    )]
    AllTaken,
    /// The operating system refuses an address that the user named.
    #[error("cannot listen on {at}: {error}; name another address or port with --listen")]
    Refused {
        /// The address.
        at: SocketAddr,
        /// The error of the operating system.
        error: io::Error,
    },
}

/// Whisper's own port: "If this port is not available, it will try the next few ports."
pub const DEFAULT_PORT: u16 = 20819;
/// Addresses for documentation (RFC 5737, RFC 3849): the table of routes has no entry of their own.
const ELSEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// Port of the discard protocol; nothing is sent to it.
const DISCARD_PORT: u16 = 9;
/// The last port that is tried.
const LAST_PORT: u16 = DEFAULT_PORT + 9;
/// The operating system's queue of connections to be accepted.
const BACKLOG: i32 = 256;
/// Maximum number of bytes that the kernel may hold unsent.
#[cfg(any(target_os = "android", target_os = "linux"))]
const MAX_UNSENT_BYTES: u32 = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(listeners: &[TcpListener]) -> Vec<u16> {
        listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect()
    }

    /// A port that was free a moment ago, for both families.
    fn free_port() -> u16 {
        let probe = bind_one((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        probe.local_addr().unwrap().port()
    }

    #[test]
    fn own_address_has_the_port_of_the_listener_and_is_no_wildcard() {
        let named = "127.0.0.1:4000".parse().unwrap();
        assert_eq!(own_addresses(&[named]), [named]);
        let everywhere = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let everywhere = everywhere.map(|any: IpAddr| SocketAddr::new(any, 20_819));
        // A machine without a route has no such address.
        for own in own_addresses(&everywhere) {
            assert!(own.port() == 20_819 && !own.ip().is_unspecified(), "{own}");
        }
    }

    #[tokio::test]
    async fn both_families_bind_remembered_port() {
        let port = free_port();
        let listeners = bind(&Listen::Loopback, Some(port)).unwrap();
        assert!(ports(&listeners).iter().all(|bound| *bound == port));
        assert!(!listeners.is_empty());
    }

    #[tokio::test]
    async fn port_in_use_by_one_family_is_skipped_for_both() {
        let port = free_port();
        let _taken = bind_one((Ipv4Addr::LOCALHOST, port).into()).unwrap();
        let listeners = bind(&Listen::Loopback, Some(port)).unwrap();
        let bound = ports(&listeners);
        assert!(
            bound
                .iter()
                .all(|bound| (DEFAULT_PORT..=LAST_PORT).contains(bound)),
            "{bound:?}"
        );
        assert!(bound.windows(2).all(|pair| pair.first() == pair.last()));
    }

    #[tokio::test]
    async fn named_address_is_not_replaced() {
        let taken = bind_one((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let at = taken.local_addr().unwrap();
        let refusal = bind(&Listen::At(vec![at]), None).unwrap_err().to_string();
        assert!(
            refusal.contains(&at.to_string()) && refusal.contains("--listen"),
            "{refusal}"
        );
    }
}
