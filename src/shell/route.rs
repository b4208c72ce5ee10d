//! How a link leaves the machine: directly, through the Tor in this process, or by a Tor daemon.
//!
//! There is one route for all links, fixed when the node starts, and no second one for when it
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

use super::listen::tune;
use super::random;
use crate::endpoint::{Endpoint, onion_name};

/// The way that all links of a node take.
#[derive(Clone, Debug)]
pub(super) enum Route {
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
pub(super) enum Unreached {
    /// The other side does not answer, or not yet.
    #[error("the other side does not answer")]
    NoAnswer,
    /// Only Tor leads there, and there is none.
    #[error("an onion service is reached through Tor only; set tor.mode")]
    NeedsTor,
    /// Tor itself cannot be reached, or cannot reach its network.
    #[error("Tor is not there")]
    NoTor,
}

impl Route {
    /// Connects.
    pub(super) async fn dial(&self, endpoint: Endpoint) -> Result<Wire, Unreached> {
        let patience = match self {
            Self::Direct => DIAL,
            _ => DIAL_TOR,
        };
        let dial = async {
            match self {
                Self::Direct => direct(endpoint).await,
                #[cfg(feature = "tor")]
                Self::Arti(tor) => arti(tor, endpoint).await,
                Self::Daemon(socks) => daemon(*socks, endpoint).await,
            }
        };
        timeout(patience, dial)
            .await
            .unwrap_or(Err(Unreached::NoAnswer))
    }
}

async fn direct(endpoint: Endpoint) -> Result<Wire, Unreached> {
    let Endpoint::Tcp(address) = endpoint else {
        return Err(Unreached::NeedsTor);
    };
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        tune(&stream)?;
        io::Result::Ok(stream)
    };
    connected
        .await
        .map(Wire::Tcp)
        .map_err(|_| Unreached::NoAnswer)
}

#[cfg(feature = "tor")]
async fn arti(tor: &whisht_tor::Tor, endpoint: Endpoint) -> Result<Wire, Unreached> {
    use whisht_tor::{ConnectError, Target};
    let target = match endpoint {
        Endpoint::Tcp(address) => Target::Clear(address),
        Endpoint::Onion(key, port) => Target::Onion(onion_name(&key), port),
    };
    match tor.dial(target).await {
        Ok(stream) => Ok(Wire::Arti(Box::new(stream))),
        Err(ConnectError::NoTor) => Err(Unreached::NoTor),
        Err(error) => {
            tracing::debug!(%error, "a dial through Tor failed");
            Err(Unreached::NoAnswer)
        }
    }
}

/// By SOCKS5 with the address as text, so that the daemon and nobody else looks it up, and under
/// a name of its own, which the daemon's `IsolateSOCKSAuth` turns into circuits of its own.
async fn daemon(socks: SocketAddr, endpoint: Endpoint) -> Result<Wire, Unreached> {
    let isolation = hex::encode(random::<16>().map_err(|_| Unreached::NoAnswer)?);
    let (host, port) = match endpoint {
        Endpoint::Tcp(address) => (address.ip().to_string(), address.port()),
        Endpoint::Onion(key, port) => (onion_name(&key), port),
    };
    let socket = TcpStream::connect(socks)
        .await
        .map_err(|_| Unreached::NoTor)?;
    tune(&socket).map_err(|_| Unreached::NoTor)?;
    let target = (host.as_str(), port);
    match Socks5Stream::connect_with_password_and_socket(socket, target, &isolation, "x").await {
        Ok(stream) => Ok(Wire::Tcp(stream.into_inner())),
        Err(error) => {
            tracing::debug!(%error, "the Tor daemon could not connect");
            Err(Unreached::NoAnswer)
        }
    }
}

/// A connection, whichever way it went.
#[derive(Debug)]
pub(super) enum Wire {
    /// A socket: a plain connection, or one to a Tor daemon.
    Tcp(TcpStream),
    /// A stream of the Tor in this process.
    #[cfg(feature = "tor")]
    Arti(Box<whisht_tor::Stream>),
}

/// The half that is read.
pub(super) type Reader = Pin<Box<dyn AsyncRead + Send>>;
/// The half that is written. What is written may stay in it until it is flushed.
pub(super) type Writer = Pin<Box<dyn AsyncWrite + Send>>;

impl Wire {
    pub(super) fn split(self) -> (Reader, Writer) {
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
const DIAL: Duration = Duration::from_secs(10);
/// Tor looks for the service's descriptor and builds two circuits first.
const DIAL_TOR: Duration = Duration::from_secs(60);
