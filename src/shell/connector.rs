//! Connects links: directly, through the embedded Tor client, or through a Tor daemon.
//!
//! A node has one connector, fixed at start, and no fallback: a dial that Tor cannot make is a
//! failed dial. No name is resolved here. Every dial through Tor uses circuits of its own, so that
//! a Tor relay cannot correlate two links of this node, and a repeated dial takes another path.

pub(super) mod socks;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::socks::SocksError;
use super::listen::set_link_options;
use super::random;
use crate::endpoint::{Endpoint, onion_name};

/// The transport of all links of a node.
#[derive(Clone, Debug)]
pub(super) enum Connector {
    /// Direct TCP connections.
    Direct,
    /// The embedded Tor client.
    #[cfg(feature = "tor")]
    Arti(std::sync::Arc<whisht_tor::Tor>),
    /// The SOCKS port of a Tor daemon.
    Daemon(SocketAddr),
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum DialError {
    /// The peer does not answer.
    #[error("the peer does not answer")]
    NoAnswer,
    /// No program listens at the address.
    #[error("connection refused: no program listens at this address")]
    Refused,
    /// The endpoint is an onion service, and the node has no Tor.
    #[error("an onion service is reached through Tor only; set tor.mode")]
    NeedsTor,
    /// Tor cannot be reached, or cannot reach its network.
    #[error("Tor is not running")]
    TorUnreachable,
    /// The Tor daemon does not keep this link apart from others.
    #[error("the Tor daemon accepts no user name, so links would share circuits")]
    NoIsolation,
}

impl Connector {
    /// Connects to an endpoint.
    pub(super) async fn dial(&self, endpoint: Endpoint) -> Result<LinkStream, DialError> {
        let limit = match self {
            Self::Direct => DIAL_TIMEOUT,
            _ => TOR_DIAL_TIMEOUT,
        };
        let dial = async {
            match self {
                Self::Direct => direct(endpoint).await,
                #[cfg(feature = "tor")]
                Self::Arti(tor) => arti(tor, endpoint).await,
                Self::Daemon(socks) => daemon(*socks, endpoint).await,
            }
        };
        timeout(limit, dial)
            .await
            .unwrap_or(Err(DialError::NoAnswer))
    }
}

async fn direct(endpoint: Endpoint) -> Result<LinkStream, DialError> {
    let Endpoint::Tcp(address) = endpoint else {
        return Err(DialError::NeedsTor);
    };
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        set_link_options(&stream)?;
        io::Result::Ok(stream)
    };
    connected
        .await
        .map(LinkStream::Tcp)
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => DialError::Refused,
            _ => DialError::NoAnswer,
        })
}

#[cfg(feature = "tor")]
async fn arti(tor: &whisht_tor::Tor, endpoint: Endpoint) -> Result<LinkStream, DialError> {
    use whisht_tor::{ConnectError, DialTarget};
    let target = match endpoint {
        Endpoint::Tcp(address) => DialTarget::Clear(address),
        Endpoint::Onion(key, port) => DialTarget::Onion(onion_name(&key), port),
    };
    match tor.dial(target).await {
        Ok(stream) => Ok(LinkStream::Arti(Box::new(stream))),
        Err(ConnectError::NoTor) => Err(DialError::TorUnreachable),
        Err(error) => {
            tracing::debug!(%error, "a dial through Tor failed");
            Err(DialError::NoAnswer)
        }
    }
}

/// Connects by SOCKS5 with the address as text, so that only the daemon resolves it, and with a
/// user name of its own, which the daemon's `IsolateSOCKSAuth` turns into separate circuits. A
/// daemon that accepts no user name carries no link.
async fn daemon(socks: SocketAddr, endpoint: Endpoint) -> Result<LinkStream, DialError> {
    let isolation = hex::encode(random::<16>().map_err(|_| DialError::NoAnswer)?);
    let (host, port) = match endpoint {
        Endpoint::Tcp(address) => (address.ip().to_string(), address.port()),
        Endpoint::Onion(key, port) => (onion_name(&key), port),
    };
    let mut socket = TcpStream::connect(socks)
        .await
        .map_err(|_| DialError::TorUnreachable)?;
    set_link_options(&socket).map_err(|_| DialError::TorUnreachable)?;
    match socks::connect(&mut socket, &isolation, &host, port).await {
        Ok(()) => Ok(LinkStream::Tcp(socket)),
        Err(error) => {
            tracing::debug!(%error, "the Tor daemon could not connect");
            Err(match error {
                SocksError::NoIsolation => DialError::NoIsolation,
                SocksError::NotSocks => DialError::TorUnreachable,
                SocksError::Io(_) | SocksError::Refused(_) => DialError::NoAnswer,
            })
        }
    }
}

/// A connected byte stream, over TCP or Tor.
#[derive(Debug)]
pub(super) enum LinkStream {
    /// A socket: a direct connection, or one to a Tor daemon.
    Tcp(TcpStream),
    /// A stream of the embedded Tor client.
    #[cfg(feature = "tor")]
    Arti(Box<whisht_tor::Stream>),
}

/// The read half.
pub(super) type StreamReader = Pin<Box<dyn AsyncRead + Send>>;
/// The write half. It may buffer bytes until it is flushed.
pub(super) type StreamWriter = Pin<Box<dyn AsyncWrite + Send>>;

impl LinkStream {
    /// The socket of the connection, if it has one of its own.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub(super) fn socket(&self) -> Option<socket2::SockRef<'_>> {
        match self {
            Self::Tcp(stream) => Some(stream.into()),
            #[cfg(feature = "tor")]
            Self::Arti(_) => None,
        }
    }

    pub(super) fn split(self) -> (StreamReader, StreamWriter) {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Box::pin(reader), Box::pin(writer))
            }
            #[cfg(feature = "tor")]
            Self::Arti(stream) => {
                let (reader, writer) = stream.split();
                (Box::pin(reader), Box::pin(writer))
            }
        }
    }
}

/// A direct connection that takes longer is too slow for cells.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Tor first fetches the service's descriptor and builds two circuits.
const TOR_DIAL_TIMEOUT: Duration = Duration::from_secs(60);
