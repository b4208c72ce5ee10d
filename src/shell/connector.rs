//! How a link leaves the machine: directly, through the Tor in this process, or by a Tor daemon.
//!
//! There is one connector for all links, fixed when the node starts, and no second one for when it
//! fails: a dial that Tor cannot make is a dial that failed. No name is resolved here. Every dial
//! through Tor has circuits of its own, so that two links of ours have nothing in common for a
//! relay of Tor to see, and a link that is dialled again goes another way.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_socks::tcp::Socks5Stream;

use super::listen::set_link_options;
use super::random;
use crate::endpoint::{Endpoint, onion_name};

/// The way that all links of a node take.
#[derive(Clone, Debug)]
pub(super) enum Connector {
    /// Plain connections.
    Direct,
    /// The Tor in this process.
    #[cfg(feature = "tor")]
    Arti(std::sync::Arc<whisht_tor::Tor>),
    /// A daemon's SOCKS port.
    Daemon(SocketAddr),
}

/// Why a link cannot be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum DialError {
    /// The other side does not answer, or not yet.
    #[error("the other side does not answer")]
    NoAnswer,
    /// Only Tor leads there, and there is none.
    #[error("an onion service is reached through Tor only; set tor.mode")]
    NeedsTor,
    /// Tor itself cannot be reached, or cannot reach its network.
    #[error("Tor is not there")]
    TorUnreachable,
}

impl Connector {
    /// Connects.
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
        .map_err(|_| DialError::NoAnswer)
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

/// By SOCKS5 with the address as text, so that the daemon and nobody else looks it up, and under
/// a name of its own, which the daemon's `IsolateSOCKSAuth` turns into circuits of its own.
async fn daemon(socks: SocketAddr, endpoint: Endpoint) -> Result<LinkStream, DialError> {
    let isolation = hex::encode(random::<16>().map_err(|_| DialError::NoAnswer)?);
    let (host, port) = match endpoint {
        Endpoint::Tcp(address) => (address.ip().to_string(), address.port()),
        Endpoint::Onion(key, port) => (onion_name(&key), port),
    };
    let socket = TcpStream::connect(socks)
        .await
        .map_err(|_| DialError::TorUnreachable)?;
    set_link_options(&socket).map_err(|_| DialError::TorUnreachable)?;
    let target = (host.as_str(), port);
    match Socks5Stream::connect_with_password_and_socket(socket, target, &isolation, "x").await {
        Ok(stream) => Ok(LinkStream::Tcp(stream.into_inner())),
        Err(error) => {
            tracing::debug!(%error, "the Tor daemon could not connect");
            Err(DialError::NoAnswer)
        }
    }
}

/// A connection, whichever way it went.
#[derive(Debug)]
pub(super) enum LinkStream {
    /// A socket: a plain connection, or one to a Tor daemon.
    Tcp(TcpStream),
    /// A stream of the Tor in this process.
    #[cfg(feature = "tor")]
    Arti(Box<whisht_tor::Stream>),
}

/// The half that is read.
pub(super) type StreamReader = Pin<Box<dyn AsyncRead + Send>>;
/// The half that is written. What is written may stay in it until it is flushed.
pub(super) type StreamWriter = Pin<Box<dyn AsyncWrite + Send>>;

impl LinkStream {
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

/// A plain connection that takes longer would be useless for cells.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Tor looks for the service's descriptor and builds two circuits first.
const TOR_DIAL_TIMEOUT: Duration = Duration::from_secs(60);
