//! What one envelope costs a running node: sockets, threads and everything.
//!
//! The program runs in a process of its own; one peer brings sealed envelopes of 600 bytes over
//! loopback, as fast as gossip passes them on, and one or eight others are given all of them. What
//! counts is the processor time that the node's threads used, which Linux tells to the nanosecond,
//! so that the figure does not depend on what else the machine does, nor on the waiting that
//! gossip does on purpose.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    reason = "a benchmark, which waits, reads clocks and prints what it found"
)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use circuits::time::{Instant, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use whisht::bloom::Bloom;
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::envelope::{EncryptionHint, Envelope, Topic, Ttl, UnminedEnvelope};
use whisht::gossip::packet::{MinPow, ShhPacket, code, outgoing};
use whisht::link::{
    Capability, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing, Priority,
};
use whisht::pow::{Generations, PowJob};

#[path = "../tests/processes/node.rs"]
mod node;

use node::NodeProcess;

fn main() {
    // Not where a test only wants to see that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    for sinks in [1, 8] {
        measure(sinks);
    }
}

/// Has a new node forward envelopes to so many peers.
fn measure(sinks: u64) {
    let scratch = tempfile::tempdir().unwrap();
    let node = NodeProcess::start(scratch.path(), "node", &["--listen", "127.0.0.1:0"]);
    let mut source = LoopbackPeer::dial(node.enode(), 1);
    let received = Arc::new(AtomicUsize::new(0));
    for sink in 0..sinks {
        let (mut peer, received) = (
            LoopbackPeer::dial(node.enode(), 2 + sink),
            Arc::clone(&received),
        );
        thread::spawn(move || {
            while let Some(count) = peer.next_envelopes() {
                received.fetch_add(count, Ordering::Relaxed);
            }
        });
    }
    let mut rng = ChaCha20Rng::seed_from_u64(99);
    let packets: Vec<Vec<Envelope>> = (0..PACKETS)
        .map(|_| (0..PACKET).map(|_| sealed(&mut rng)).collect())
        .collect();
    thread::sleep(Duration::from_secs(1));

    let before = processor_time(node.id());
    for packet in &packets {
        source.send(code::MESSAGES, outgoing::messages(packet));
        thread::sleep(Duration::from_millis(350));
    }
    let all = PACKETS * PACKET;
    let wanted = all * usize::try_from(sinks).unwrap();
    for _ in 0..600 {
        if received.load(Ordering::Relaxed) >= wanted {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let spent = processor_time(node.id()) - before;
    assert_eq!(
        received.load(Ordering::Relaxed),
        wanted,
        "all are forwarded"
    );

    let each = spent.as_nanos() as f64 / all as f64;
    println!(
        "loopback: {all} envelopes of 600 bytes to {sinks} peers: {:.1} us of processor time each, \
         {:.0} a second on one core",
        each / 1e3,
        1e9 / each
    );
}

/// What the threads of a process have used.
fn processor_time(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("this needs Linux");
    let nanos = threads.map(|thread| {
        let path = thread.unwrap().path().join("schedstat");
        let text = fs::read_to_string(path).unwrap();
        let running = text.split(' ').next().unwrap();
        running.parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}

/// An envelope of 600 bytes that is worth what a local network asks.
fn sealed(rng: &mut ChaCha20Rng) -> Envelope {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = UnixSecs(u32::try_from(now.as_secs()).unwrap());
    let mut unmined = UnminedEnvelope {
        expiry: now.after(120),
        ttl: Ttl(120),
        topic: Topic([7; 4]),
        hint: EncryptionHint::Absent,
        data: vec![0; 600 - 26],
    };
    rng.fill_bytes(&mut unmined.data);
    let job = PowJob::for_minimum(&unmined, Generations::Modern, 0.002).unwrap();
    let mut search = job.search(rng);
    loop {
        if let Some(nonce) = search.step(1 << 12) {
            return unmined.with_nonce(nonce);
        }
    }
}

/// A peer of the node, on a blocking socket.
struct LoopbackPeer {
    link: Link,
    stream: TcpStream,
    rng: ChaCha20Rng,
}

impl LoopbackPeer {
    fn dial(enode: &str, seed: u64) -> Self {
        let PeerAddr { key, endpoint } = enode.parse().unwrap();
        let Endpoint::Tcp(addr) = endpoint else {
            panic!("it listens on TCP")
        };
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let ours = Arc::new(LinkKey::generate(&mut rng));
        let config = Arc::new(LinkConfig {
            client_id: "Geth/v1.9.25-stable".to_owned(),
            listen_port: 0,
            capabilities: vec![Capability::SHH_6],
            limits: LinkLimits::default(),
        });
        let link = Link::dial(config, ours, key, &mut rng, Instant::ZERO).unwrap();
        let stream = TcpStream::connect(addr).unwrap();
        let mut peer = Self { link, stream, rng };
        while !matches!(peer.next(), Some(LinkEvent::Connected { .. })) {}
        peer.send(
            code::STATUS,
            outgoing::status(MinPow::ZERO, &Bloom::FULL, false),
        );
        peer
    }

    fn send(&mut self, code: u8, payload: Vec<u8>) {
        let (priority, packing) = (Priority::Gossip, Packing::Snappy);
        let sent = self
            .link
            .send(priority, Capability::SHH_6, code.into(), payload, packing);
        sent.unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(bytes) = self.link.poll_transmit(Instant::ZERO, 1 << 20) {
            self.stream.write_all(&bytes).unwrap();
        }
    }

    /// The next thing that happens; `None` when the node has ended.
    fn next(&mut self) -> Option<LinkEvent> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.flush();
            if let Some(event) = self.link.poll_event() {
                return Some(event);
            }
            let len = match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            };
            let received = self
                .link
                .receive(Instant::ZERO, &mut self.rng, &buffer[..len]);
            received.unwrap();
        }
    }

    /// How many envelopes the next packet of them has.
    fn next_envelopes(&mut self) -> Option<usize> {
        loop {
            if let LinkEvent::Message { code, payload, .. } = self.next()?
                && let Ok(ShhPacket::Messages(envelopes)) =
                    ShhPacket::decode(u8::try_from(code).unwrap(), &payload)
            {
                return Some(envelopes.count());
            }
        }
    }
}

/// Envelopes in one packet: what 16 KB hold.
const PACKET: usize = 27;
/// Packets: enough for a second of the processor's time or so.
const PACKETS: usize = 40;
