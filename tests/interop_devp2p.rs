//! A link with another implementation of RLPx: @ethereumjs/devp2p, inbound and outbound.
//!
//! Needs Node.js and `npm ci` in tests/interop/devp2p. Where these are missing the tests say
//! `SKIPPED` and pass, unless CI is `true` or WHISHT_REQUIRE_INTEROP is set: then they fail.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "an unexpected result is a failed test"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::link::{
    Capability, DisconnectReason, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing,
    Priority,
};

#[path = "interop/peer.rs"]
mod peer;
#[path = "interop/script.rs"]
mod script;

use peer::Devp2pPeer;

const STATUS: u16 = 0;
const MESSAGES: u16 = 1;
/// The highest code, whose number on the wire has two bytes.
const P2P_MESSAGE: u16 = 127;

#[test]
fn devp2p_dial_opens_link() {
    let Some(node) = peer::node() else { return };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let key = key(5);
    let enode = PeerAddr {
        key: key.public(),
        endpoint: Endpoint::Tcp(listener.local_addr().unwrap()),
    };
    let (port, enode) = (port.to_string(), enode.to_string());
    let peer = start(&node, &["dial", "127.0.0.1", &port, &enode]);
    let (stream, _) = listener.accept().unwrap();
    let link = Link::accept(config(), Arc::clone(&key), Instant::ZERO);
    converse(BlockingLink::new(link, stream), peer, &key);
}

#[test]
fn dial_to_devp2p_opens_link() {
    let Some(node) = peer::node() else { return };
    let mut peer = start(&node, &["listen", "127.0.0.1", "0"]);
    let listening = peer.next();
    let enode = listening.get("enode").and_then(Value::as_str);
    let enode: PeerAddr = enode.expect("the peer listens").parse().unwrap();
    let Endpoint::Tcp(addr) = enode.endpoint else {
        panic!("the peer listens on TCP");
    };
    let stream = TcpStream::connect(addr).unwrap();
    let key = key(6);
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let link = Link::dial(
        config(),
        Arc::clone(&key),
        enode.key,
        &mut rng,
        Instant::ZERO,
    );
    converse(BlockingLink::new(link.unwrap(), stream), peer, &key);
}

/// A peer that sends two packets after its status.
fn start(node: &Path, arguments: &[&str]) -> Devp2pPeer {
    let sends = ["--send", "1=c2c107", "--send", "127=81ff"];
    peer::start(node, &[arguments, &sends].concat())
}

/// The exchange of both tests once the link is connected.
fn converse(mut wire: BlockingLink, mut peer: Devp2pPeer, key: &LinkKey) {
    let open = wire.next();
    let LinkEvent::Connected {
        remote,
        client_id,
        shared,
    } = open
    else {
        panic!("{open:?}");
    };
    assert_eq!(client_id, "devp2p-js/10.0.0");
    assert_eq!(shared, [Capability::SHH_6]);

    let opened = json!({
        "event": "open",
        "id": hex::encode(key.public().0),
        "client": "whisht/interop",
        "version": 5,
        "capabilities": ["onion/1", "shh/6"],
    });
    assert_eq!(peer.next(), opened);
    assert_eq!(wire.link.remote(), Some(remote));

    // The peer's status and, once it has ours, its two packets.
    let (code, status) = wire.next_message();
    assert_eq!(code, STATUS);
    assert!(
        status.starts_with(&[0xf8, 0x4d, 0x06, 0x88, 0x3f, 0xc9]),
        "{status:02x?}"
    );
    wire.send(Priority::Control, STATUS, &status, Packing::Snappy);
    assert_eq!(peer.next(), packet(STATUS, &status));
    assert_eq!(wire.next_message(), (MESSAGES, vec![0xc2, 0xc1, 0x07]));
    assert_eq!(wire.next_message(), (P2P_MESSAGE, vec![0x81, 0xff]));

    // Our packets: compressed and as one literal, short and long.
    let mut large = vec![0; 300_000];
    ChaCha20Rng::seed_from_u64(1).fill_bytes(&mut large);
    for payload in [&b"\xc0"[..], &[0x55; 70_000], &large] {
        for packing in [Packing::Snappy, Packing::Literal] {
            wire.send(Priority::Gossip, MESSAGES, payload, packing);
            assert!(peer.next() == packet(MESSAGES, payload), "{packing:?}");
        }
    }

    wire.link.disconnect(DisconnectReason::Quitting);
    wire.flush();
    drop(wire);
    let closed = peer.next();
    assert_eq!(
        closed,
        json!({ "event": "closed", "reason": 8, "by": "them" })
    );
    peer.assert_success();
}

fn packet(code: u16, payload: &[u8]) -> Value {
    json!({ "event": "packet", "code": code, "payload": hex::encode(payload) })
}

fn key(byte: u8) -> Arc<LinkKey> {
    Arc::new(LinkKey::from_bytes(&mut [byte; 32]).unwrap())
}

fn config() -> Arc<LinkConfig> {
    Arc::new(LinkConfig {
        client_id: "whisht/interop".into(),
        listen_port: 0,
        capabilities: vec![Capability::ONION_1, Capability::SHH_6],
        limits: LinkLimits::default(),
    })
}

/// A link on a blocking socket.
struct BlockingLink {
    link: Link,
    stream: TcpStream,
    rng: ChaCha20Rng,
}

impl BlockingLink {
    fn new(link: Link, stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(READ_TIMEOUT)).unwrap();
        let rng = ChaCha20Rng::seed_from_u64(7);
        Self { link, stream, rng }
    }

    /// Waits for the next event.
    fn next(&mut self) -> LinkEvent {
        loop {
            self.flush();
            if let Some(event) = self.link.poll_event() {
                return event;
            }
            let mut buffer = [0; 4_096];
            let len = self.stream.read(&mut buffer).expect("the peer is silent");
            assert!(len > 0, "the peer disconnects");
            let bytes = buffer.get(..len).unwrap();
            self.link
                .receive(Instant::ZERO, &mut self.rng, bytes)
                .unwrap();
        }
    }

    fn next_message(&mut self) -> (u16, Vec<u8>) {
        match self.next() {
            LinkEvent::Message {
                capability: Capability::SHH_6,
                code,
                payload,
            } => (code, payload),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, priority: Priority, code: u16, payload: &[u8], packing: Packing) {
        self.link
            .send(priority, Capability::SHH_6, code, payload.to_vec(), packing)
            .unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(bytes) = self.link.poll_transmit(Instant::ZERO, 16_384) {
            self.stream.write_all(&bytes).unwrap();
        }
    }
}

/// Only bounds the wait for a hanging peer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
