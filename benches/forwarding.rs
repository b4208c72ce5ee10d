//! Rates of one core for envelopes: received, validated and forwarded, and rejected.
//!
//! A whole node receives frames from connected peers: it decrypts frames, decodes, hashes and
//! validates envelopes, adds them to the pool, schedules them for every other peer and encrypts
//! their frames. There are no sockets here (`benches/loopback.rs` has them). Time is simulated,
//! because gossip waits on purpose, and only the node's own work is timed. The median of many
//! packets counts, so that the figures hold on a busy machine.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "a benchmark, which prints its results"
)]

use std::hint::black_box;
use std::time::Duration;

use circuits::time::{Instant, Now, UnixSecs};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::gossip::packet::{ShhPacket, code, outgoing};
use whisht::gossip::{Gossip, GossipConfig};

#[path = "support/min_time.rs"]
mod min_time;
#[path = "support/node_with_peers.rs"]
mod node_with_peers;

use min_time::min_nanos;
use node_with_peers::NodeWithPeers;

/// Envelopes in one packet: the content of 16 KB.
const PACKET: usize = 27;

fn packet(node: &mut NodeWithPeers) -> Vec<u8> {
    let envelopes: Vec<_> = (0..PACKET).map(|_| node.envelope()).collect();
    outgoing::messages(&envelopes)
}

/// One peer sends packets, three in a second; the others get all envelopes. Returns the node's time
/// for this many packets.
fn forward(node: &mut NodeWithPeers, packets: u64, sinks: usize) -> Duration {
    let received: Vec<_> = (1..=sinks).map(|sink| node.received(sink)).collect();
    let each = (0..packets).map(|_| {
        let packet = packet(node);
        let spent = node.spent;
        node.send(0, code::MESSAGES, packet);
        node.advance(Duration::from_millis(350));
        node.spent - spent
    });
    let all = median_times(each.collect(), packets);
    node.advance(Duration::from_secs(5));
    let wanted = PACKET * usize::try_from(packets).unwrap();
    for (sink, received) in received.into_iter().enumerate() {
        assert_eq!(node.received(sink + 1) - received, wanted);
    }
    all
}

/// The median times `count`: interrupted packets do not count.
fn median_times(mut times: Vec<Duration>, count: u64) -> Duration {
    times.sort();
    times[times.len() / 2] * u32::try_from(count).unwrap()
}

fn forwarding(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward");
    group.throughput(Throughput::Elements(u64::try_from(PACKET).unwrap()));
    for sinks in [1, 8, 64] {
        let mut node = NodeWithPeers::new(1 + sinks);
        group.bench_function(BenchmarkId::new("peers", sinks), |b| {
            b.iter_custom(|packets| forward(&mut node, packets, sinks));
        });
    }
    group.finish();
}

const NOW: Now = Now {
    mono: Instant::ZERO,
    unix: UnixSecs(1_700_000_000),
};

/// A packet of envelopes with the same defect.
fn bad(what: &str) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut data = vec![0; 600 - 28];
    let (expiry, ttl) = match what {
        "low work" => (NOW.unix.after(3_600), Ttl(3_601)),
        "just expired" => (NOW.unix.before(5), Ttl(3_600)),
        "long expired" => (NOW.unix.before(500), Ttl(3_600)),
        "malformed" => (NOW.unix.after(20), Ttl(3_600)),
        _ => panic!("{what}"),
    };
    let envelopes: Vec<_> = (0..PACKET)
        .map(|_| {
            rng.fill_bytes(&mut data);
            Envelope::build(
                expiry,
                ttl,
                Topic([1; 4]),
                data.clone(),
                rng.next_u64() | 1 << 63,
            )
        })
        .collect();
    let mut packet = outgoing::messages(&envelopes);
    if what == "malformed" {
        // The nonce of the last envelope begins with a zero.
        let nonce = packet.len() - 8;
        packet[nonce] = 0;
    }
    packet
}

/// Reads a packet like gossip, and validates each envelope. Invalid envelopes are dropped.
fn reject(packet: &[u8]) -> impl FnMut() {
    let gossip = Gossip::new(GossipConfig::default(), &[6; 32]);
    move || {
        let Ok(ShhPacket::Messages(envelopes)) =
            ShhPacket::decode(code::MESSAGES, black_box(packet))
        else {
            panic!("not a list");
        };
        let mut good = 0;
        for envelope in envelopes {
            good +=
                usize::from(envelope.is_ok_and(|envelope| gossip.validate(NOW, &envelope).is_ok()));
        }
        assert!(good < PACKET);
    }
}

fn rejection(c: &mut Criterion) {
    let mut group = c.benchmark_group("reject");
    group.throughput(Throughput::Elements(u64::try_from(PACKET).unwrap()));
    for what in ["low work", "just expired", "long expired", "malformed"] {
        let packet = bad(what);
        group.bench_function(what, |b| b.iter(reject(&packet)));
    }
    // The same from the wire on: frames of a peer that is not penalised for them.
    let mut node = NodeWithPeers::new(2);
    group.bench_function("just expired, whole node", |b| {
        b.iter_custom(|packets| reject_whole(&mut node, packets));
    });
    group.finish();
}

fn reject_whole(node: &mut NodeWithPeers, packets: u64) -> Duration {
    let each = (0..packets).map(|_| {
        let packet = node.expired(PACKET);
        let spent = node.spent;
        node.send(0, code::MESSAGES, packet);
        node.spent - spent
    });
    median_times(each.collect(), packets)
}

/// Envelopes per second, of the fastest rounds.
fn goals() {
    let packet = bad("low work");
    let [each] = min_nanos([&mut reject(&packet)]);
    let rate = PACKET as f64 * 1e9 / each;
    println!("rejected for too little work: {rate:.0} a second (goal: 100000)");
}

criterion_group!(benches, forwarding, rejection);

fn main() {
    benches();
    // `--test` only checks that the benchmark runs.
    if !std::env::args().any(|argument| argument == "--test") {
        goals();
    }
    Criterion::default().configure_from_args().final_summary();
}
