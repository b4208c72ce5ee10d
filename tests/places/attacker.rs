//! Links of an attacker over loopback, each under a key of its own.
//!
//! They answer what keeps a link open, and do nothing for the node.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use circuits::ids::{Epoch, NetworkId, Profile, RelayKey};
use circuits::time::{Instant, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use whisht::bloom::Bloom;
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::gossip::packet::{MinPow, code, outgoing};
use whisht::link::frame::Sealer;
use whisht::link::handshake::{Ack, Initiator, Reading};
use whisht::link::{
    Capability, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing, Priority, QueueBudgets,
    hello,
};
use whisht::onion_wire::OnionMessage;

/// The node under attack.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) key: RelayKey,
    pub(crate) addr: SocketAddr,
}

impl Target {
    pub(crate) fn of(enode: &str) -> Self {
        let peer: PeerAddr = enode.parse().unwrap();
        let Endpoint::Tcp(addr) = peer.endpoint else {
            panic!("the node listens on loopback");
        };
        Self {
            key: peer.key,
            addr,
        }
    }
}

/// A link with a complete handshake and its statuses.
pub(crate) struct AttackLink {
    link: Link,
    stream: TcpStream,
    rng: ChaCha20Rng,
}

impl AttackLink {
    pub(crate) async fn open(
        target: Target,
        number: u64,
        capabilities: &[Capability],
    ) -> io::Result<Self> {
        let mut rng = ChaCha20Rng::seed_from_u64(number);
        let key = Arc::new(LinkKey::generate(&mut rng));
        let config = Arc::new(LinkConfig {
            client_id: "Geth/v1.9.25-stable".to_owned(),
            listen_port: 0,
            capabilities: capabilities.to_vec(),
            limits: LinkLimits {
                queue: QueueBudgets::UNLIMITED,
                ..LinkLimits::default()
            },
        });
        let link = Link::dial(config, key, target.key, &mut rng, Instant::ZERO).unwrap();
        let stream = timeout(WAIT, TcpStream::connect(target.addr)).await??;
        let mut attacker = Self { link, stream, rng };
        let connected = timeout(WAIT, attacker.next()).await?;
        let Some(LinkEvent::Connected { .. }) = connected else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        if capabilities.contains(&Capability::ONION_1) {
            let status = onion_status();
            let body = status.encode().unwrap();
            attacker.queue(Capability::ONION_1, status.code().into(), body);
        }
        if capabilities.contains(&Capability::SHH_6) {
            let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
            attacker.queue(Capability::SHH_6, code::STATUS.into(), status);
        }
        attacker.flush().await?;
        Ok(attacker)
    }

    fn queue(&mut self, capability: Capability, code: u16, payload: Vec<u8>) {
        let priority = Priority::Control;
        self.link
            .send(priority, capability, code, payload, Packing::Literal)
            .unwrap();
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.link.poll_transmit(Instant::ZERO, usize::MAX) {
            timeout(WAIT, self.stream.write_all(&bytes)).await??;
        }
        Ok(())
    }

    /// Answers pings until the node closes the link.
    pub(crate) async fn idle(&mut self) {
        while self.next().await.is_some() {}
    }

    /// The next event; `None` when the link has ended.
    async fn next(&mut self) -> Option<LinkEvent> {
        let mut buffer = vec![0; 16_384];
        loop {
            if let Some(event) = self.link.poll_event() {
                return Some(event);
            }
            self.flush().await.ok()?;
            match self.stream.read(&mut buffer).await {
                Ok(len @ 1..) => {
                    let bytes = &buffer[..len];
                    self.link
                        .receive(Instant::ZERO, &mut self.rng, bytes)
                        .ok()?;
                }
                _ => return None,
            }
        }
    }
}

/// A connection whose frames may have any content.
pub(crate) struct RawLink {
    stream: TcpStream,
    sealer: Sealer,
}

impl RawLink {
    /// Agrees on keys, and sends Hello and the status of this capability.
    pub(crate) async fn open(
        target: Target,
        number: u64,
        capability: Capability,
    ) -> io::Result<Self> {
        let mut rng = ChaCha20Rng::seed_from_u64(number);
        let key = Arc::new(LinkKey::generate(&mut rng));
        let us = key.public();
        let initiator = Initiator::new(key, target.key, &mut rng).unwrap();
        let mut stream = timeout(WAIT, TcpStream::connect(target.addr)).await??;
        stream.write_all(initiator.auth()).await?;
        let mut ack = vec![0; Ack::LEN];
        stream.read_exact(&mut ack).await?;
        let sealer = loop {
            match initiator.read_ack(&ack) {
                Ok(Reading::Needs(total)) => {
                    let had = ack.len();
                    ack.resize(total, 0);
                    stream.read_exact(&mut ack[had..]).await?;
                }
                Ok(Reading::Done(session, _)) => break session.sealer,
                Err(fault) => panic!("{fault}"),
            }
        };
        let mut raw = Self { stream, sealer };
        let hello = hello::encode("Geth/v1.9.25-stable", 0, &[capability], &us);
        let (code, status) = if capability == Capability::ONION_1 {
            let status = onion_status();
            (status.code(), status.encode().unwrap())
        } else {
            let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
            (code::STATUS, status)
        };
        let status = snap::raw::Encoder::new().compress_vec(&status).unwrap();
        let mut wire = Vec::new();
        raw.sealer.seal(0, &hello, &mut wire).unwrap();
        // The first capability begins after the codes of the base protocol.
        let code = 16 + u16::from(code);
        raw.sealer.seal(code, &status, &mut wire).unwrap();
        raw.stream.write_all(&wire).await?;
        Ok(raw)
    }

    /// Announces a frame of `len` bytes and sends all of it but the end. The content need not be
    /// right: the node checks it at the end.
    pub(crate) async fn send_unfinished(&mut self, len: usize) -> io::Result<()> {
        let mut wire = Vec::new();
        self.sealer.seal_header(len, &mut wire).unwrap();
        wire.resize(len, 0);
        timeout(WAIT, self.stream.write_all(&wire)).await?
    }

    /// Reads until the node closes the connection, for at most this time.
    pub(crate) async fn hold(&mut self, time: Duration) {
        let mut buffer = [0; 4_096];
        let read = async { while let Ok(1..) = self.stream.read(&mut buffer).await {} };
        let _over = timeout(time, read).await;
    }
}

fn onion_status() -> OnionMessage {
    OnionMessage::Status {
        network: NetworkId::new(Profile::Local, "processes"),
        epoch: Epoch::at(UnixSecs(0)),
        time: None,
    }
}

/// Only bounds the wait.
const WAIT: Duration = Duration::from_secs(30);
