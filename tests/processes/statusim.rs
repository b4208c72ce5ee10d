//! A peer that behaves like status-im's nodes: it requests acknowledgements of its packets.
//!
//! The link is the library's own; this module drives it over a blocking socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha3::{Digest, Keccak256};
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::envelope::Envelope;
use whisht::gossip::packet::{ShhPacket, code, outgoing};
use whisht::link::{
    Capability, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing, Priority,
};

/// A connection to a node.
pub(crate) struct StatusImPeer {
    stream: TcpStream,
    link: Link,
    rng: ChaCha20Rng,
    started: Instant,
    open: bool,
    acknowledged: Vec<[u8; 32]>,
}

impl StatusImPeer {
    /// Connects, and sends Hello and status.
    pub(crate) fn connect(enode: &str, seed: u64) -> Self {
        let peer: PeerAddr = enode.parse().unwrap();
        let Endpoint::Tcp(address) = peer.endpoint else {
            panic!("a node in a process has an address");
        };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let config = Arc::new(LinkConfig {
            client_id: "StatusIM/v0.28.4/linux-amd64/go1.12".to_owned(),
            listen_port: 0,
            capabilities: vec![Capability::SHH_6],
            limits: LinkLimits::default(),
        });
        let key = Arc::new(LinkKey::generate(&mut rng));
        let start = circuits::time::Instant::ZERO;
        let link = Link::dial(config, key, peer.key, &mut rng, start).unwrap();
        let mut node = Self {
            stream,
            link,
            rng,
            started: Instant::now(),
            open: false,
            acknowledged: Vec::new(),
        };
        while !node.open {
            assert!(node.poll_socket(), "the node disconnects after Hello");
            assert!(node.started.elapsed() < HANDSHAKE_TIMEOUT, "no handshake");
        }
        // Version 6, no work, all topics, not a light node, confirmations requested.
        node.send(code::STATUS, vec![0xc5, 6, 0x80, 0x80, 0x80, 1]);
        node
    }

    /// Floods envelopes; returns the id of their acknowledgement. If the connection has ended, it
    /// never arrives.
    pub(crate) fn send_envelopes(&mut self, envelopes: &[Envelope]) -> [u8; 32] {
        let payload = outgoing::messages(envelopes);
        let batch = Keccak256::digest(&payload).into();
        self.send(code::MESSAGES, payload);
        batch
    }

    /// The acknowledgements since the last call, after a short wait; `None` once the connection has
    /// ended.
    pub(crate) fn poll_acknowledged(&mut self) -> Option<Vec<[u8; 32]>> {
        let stands = self.poll_socket();
        let heard = std::mem::take(&mut self.acknowledged);
        (stands || !heard.is_empty()).then_some(heard)
    }

    fn send(&mut self, code: u8, payload: Vec<u8>) {
        let (capability, code) = (Capability::SHH_6, u16::from(code));
        let sent = self
            .link
            .send(Priority::Gossip, capability, code, payload, Packing::Snappy);
        sent.unwrap();
        self.write();
    }

    /// Writes queued bytes. A broken connection shows when it is read.
    fn write(&mut self) {
        let now = self.now();
        while let Some(bytes) = self.link.poll_transmit(now, usize::MAX) {
            let _written = self.stream.write_all(&bytes);
        }
    }

    /// Reads for a short time; `false` once the connection has ended.
    fn poll_socket(&mut self) -> bool {
        self.write();
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(len) => {
                let now = self.now();
                if self
                    .link
                    .receive(now, &mut self.rng, &buffer[..len])
                    .is_err()
                {
                    return false;
                }
            }
            Err(error) if is_pause(&error) => {}
            Err(_) => return false,
        }
        while let Some(event) = self.link.poll_event() {
            match event {
                LinkEvent::Connected { .. } => self.open = true,
                LinkEvent::Message { code, payload, .. } => {
                    let code = u8::try_from(code).unwrap();
                    if let Ok(ShhPacket::BatchAcknowledged(Some(batch))) =
                        ShhPacket::decode(code, &payload)
                    {
                        self.acknowledged.push(batch);
                    }
                }
                LinkEvent::Disconnected(_) => return false,
            }
        }
        self.write();
        true
    }

    fn now(&self) -> circuits::time::Instant {
        let micros = self.started.elapsed().as_micros();
        circuits::time::Instant::from_micros(u64::try_from(micros).unwrap())
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Duration of one poll of the socket.
const READ_TIMEOUT: Duration = Duration::from_millis(5);
/// Only bounds the wait for a hanging node.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
