//! The sockets of discovery: at the same addresses and ports as the listeners.
//!
//! Datagrams may be lost, so nothing here waits: a datagram that the node or the system does not
//! accept at once is dropped. They arrive through a queue of their own, so that a flood of them
//! does not delay links.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;

/// Binds a socket for each listener.
///
/// # Errors
///
/// [`UdpError`] names the address that cannot be bound.
pub fn bind(listeners: &[SocketAddr]) -> Result<Vec<UdpSocket>, UdpError> {
    let bind = |at: &SocketAddr| bind_one(*at).map_err(|error| UdpError { at: *at, error });
    listeners.iter().map(bind).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        // As with the listeners: each address family has its own socket.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// The discovery sockets of a node.
#[derive(Debug)]
pub(super) struct DiscoverySockets {
    sockets: Vec<Arc<UdpSocket>>,
    loopback_only: bool,
    _readers: JoinSet<()>,
}

/// A datagram, and its source.
pub(super) type ReceivedDatagram = (SocketAddr, Vec<u8>);

impl DiscoverySockets {
    /// Starts reading; datagrams go to `to_node`.
    pub(super) fn start(
        sockets: Vec<UdpSocket>,
        loopback_only: bool,
        to_node: &mpsc::Sender<ReceivedDatagram>,
    ) -> Self {
        let sockets: Vec<Arc<UdpSocket>> = sockets.into_iter().map(Arc::new).collect();
        let mut readers = JoinSet::new();
        for socket in &sockets {
            readers.spawn(read(Arc::clone(socket), loopback_only, to_node.clone()));
        }
        Self {
            sockets,
            loopback_only,
            _readers: readers,
        }
    }

    /// Sends a datagram from the socket of its address family, if there is one.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) {
        if self.loopback_only && !to.ip().is_loopback() {
            return;
        }
        let fits = |socket: &&Arc<UdpSocket>| {
            let own = socket.local_addr();
            own.is_ok_and(|own| own.is_ipv4() == to.is_ipv4())
        };
        if let Some(socket) = self.sockets.iter().find(fits) {
            // The network may lose it as well.
            let _ = socket.try_send_to(bytes, to);
        }
    }
}

async fn read(
    socket: Arc<UdpSocket>,
    loopback_only: bool,
    to_node: mpsc::Sender<ReceivedDatagram>,
) {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, from)) if !loopback_only || from.ip().is_loopback() => {
                let bytes = buffer.get(..len).unwrap_or_default().to_vec();
                if let Err(TrySendError::Closed(_)) = to_node.try_send((from, bytes)) {
                    return;
                }
            }
            Ok(_) => {}
            // An ICMP error for an earlier answer is reported by the next read.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::warn!(%error, "cannot read datagrams; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Why discovery has no socket.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot take datagrams at {at}: {error}; name another address or port with --listen, or leave \
     out --discovery-enabled"
)]
pub struct UdpError {
    /// The address.
    pub at: SocketAddr,
    /// The error of the operating system.
    pub error: io::Error,
}

/// One byte more than the longest packet, so that a longer one is recognised as too long.
const BUFFER_BYTES: usize = 1281;
/// Queue length for datagrams.
pub(super) const QUEUE: usize = 64;
