//! The cost of one envelope at a running node, with sockets and threads.
//!
//! The program runs in a process of its own. One peer sends envelopes of 600 bytes over loopback at
//! the rate of gossip, and one or eight others receive all of them. The result is the processor
//! time of the node's threads, which Linux reports in nanoseconds, so it depends neither on the
//! machine's load nor on the intended delays of gossip.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    reason = "a benchmark, which waits, reads clocks and prints its results"
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
    // `--test` only checks that the benchmark builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    for sinks in [1, 8] {
        measure(sinks);
    }
}

/// Has a new node forward envelopes to this many peers.
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

/// The processor time of a process's threads.
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

/// An envelope of 600 bytes with the minimum work of a local network.
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
            panic!("the node listens on TCP")
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

    /// The next event; `None` when the node has ended.
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

    /// The number of envelopes in the next packet that contains any.
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

/// Envelopes in one packet: the content of 16 KB.
const PACKET: usize = 27;
/// Number of packets: about one second of processor time.
const PACKETS: usize = 40;
