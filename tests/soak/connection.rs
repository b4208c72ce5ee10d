//! A valid connection to the node under attack; the caller decides what to send on it.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use whisht::link::{
    Capability, DisconnectReason, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing,
    Priority, QueueBudgets,
};
use whisht::onion_wire::OnionMessage;

use crate::testbed::TargetNode;

/// A connected link.
pub(crate) struct PeerConnection {
    pub(crate) link: Link,
    pub(crate) stream: TcpStream,
    rng: ChaCha20Rng,
}

impl PeerConnection {
    /// Connects with a new key and sends Hello.
    pub(crate) async fn open(
        target: &TargetNode,
        rng: &mut ChaCha20Rng,
        capabilities: &[Capability],
    ) -> io::Result<Self> {
        let key = new_key(rng);
        let stream = connect(target).await?;
        let config = Arc::new(LinkConfig {
            client_id: "whisht/v0.1.0".to_owned(),
            listen_port: 0,
            capabilities: capabilities.to_vec(),
            limits: LinkLimits {
                queue: QueueBudgets::UNLIMITED,
                ..LinkLimits::default()
            },
        });
        let link = Link::dial(config, key, target.key, rng, Instant::ZERO).unwrap();
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let mut connection = Self {
            link,
            stream,
            rng: ChaCha20Rng::from_seed(seed),
        };
        connection.flush().await?;
        match timeout(IO_TIMEOUT, connection.next()).await? {
            Some(LinkEvent::Connected { .. }) => Ok(connection),
            _ => Err(ErrorKind::ConnectionRefused.into()),
        }
    }

    /// Sends one message, compressed by the rules.
    pub(crate) async fn send(
        &mut self,
        capability: Capability,
        code: u16,
        payload: Vec<u8>,
    ) -> io::Result<()> {
        self.link
            .send(Priority::Gossip, capability, code, payload, Packing::Snappy)
            .map_err(io::Error::other)?;
        self.flush().await?;
        self.drain_pending()
    }

    /// Sends one message of `onion/1`.
    pub(crate) async fn send_onion(&mut self, message: &OnionMessage) -> io::Result<()> {
        let body = message.encode().unwrap();
        self.send(Capability::ONION_1, message.code().into(), body)
            .await
    }

    /// Sends Disconnect.
    pub(crate) async fn leave(&mut self, reason: DisconnectReason) -> io::Result<()> {
        self.link.disconnect(reason);
        self.flush().await
    }

    /// Writes queued bytes; gives up if the node reads nothing for a while.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.link.poll_transmit(Instant::ZERO, usize::MAX) {
            write(&mut self.stream, &bytes).await?;
        }
        Ok(())
    }

    /// Waits for the next event; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<LinkEvent> {
        let mut buffer = vec![0; 16_384];
        loop {
            if let Some(event) = self.link.poll_event() {
                return Some(event);
            }
            self.flush().await.ok()?;
            match self.stream.read(&mut buffer).await {
                Ok(len @ 1..) => self.take(&buffer[..len]),
                _ => return None,
            }
        }
    }

    /// Reads and discards for this time, or until the node disconnects.
    pub(crate) async fn drain_for(&mut self, time: Duration) {
        let _over = timeout(time, async { while self.next().await.is_some() {} }).await;
    }

    /// Reads and discards what has arrived; an error if the node has disconnected.
    fn drain_pending(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16_384];
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.take(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while self.link.poll_event().is_some() {}
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        // A fault shows as the end of the link.
        let _fault = self.link.receive(Instant::ZERO, &mut self.rng, bytes);
    }
}

/// A new key.
pub(crate) fn new_key(rng: &mut ChaCha20Rng) -> Arc<LinkKey> {
    Arc::new(LinkKey::generate(rng))
}

/// A new connection without a handshake.
pub(crate) async fn connect(target: &TargetNode) -> io::Result<TcpStream> {
    timeout(IO_TIMEOUT, TcpStream::connect(target.addr)).await?
}

/// Writes, unless the node reads nothing for a while.
pub(crate) async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(IO_TIMEOUT, stream.write_all(bytes)).await?
}

/// Waits until the node disconnects, for at most this time.
pub(crate) async fn until_closed(stream: &mut TcpStream, time: Duration) {
    let mut buffer = [0; 1_024];
    let closed = async { while let Ok(1..) = stream.read(&mut buffer).await {} };
    let _over = timeout(time, closed).await;
}

/// Timeout of an attacker for the node.
const IO_TIMEOUT: Duration = Duration::from_secs(8);
