//! How many envelopes one core receives, checks and forwards, and how many bad ones it rejects.
//!
//! A whole node is fed by peers that it has shaken hands with: frames are decrypted, envelopes
//! decoded, named, judged and pooled, scheduled for every other peer and sealed into its frames.
//! There are no sockets here (`benches/loopback.rs` has them); time is simulated, since gossip
//! waits on purpose, and only what the node itself does is timed; of many packets the median
//! counts, so that the figures hold on a machine that does other things too.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "a benchmark, which prints what it found"
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

/// Envelopes in one packet: what 16 KB hold.
const PACKET: usize = 27;

fn packet(node: &mut NodeWithPeers) -> Vec<u8> {
    let envelopes: Vec<_> = (0..PACKET).map(|_| node.envelope()).collect();
    outgoing::messages(&envelopes)
}

/// One peer brings packets, three in a second; the others get all of it. Gives what so many
/// packets take.
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

/// So many times the median: what was interrupted does not count.
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

/// A packet of envelopes that are all bad in the same way.
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
        // The nonce of the last one begins with a zero.
        let nonce = packet.len() - 8;
        packet[nonce] = 0;
    }
    packet
}

/// Reads a packet as gossip does, and judges each envelope. What is not good is not kept.
fn reject(packet: &[u8]) -> impl FnMut() {
    let gossip = Gossip::new(GossipConfig::default(), [6; 32]);
    move || {
        let Ok(ShhPacket::Messages(envelopes)) =
            ShhPacket::decode(code::MESSAGES, black_box(packet))
        else {
            panic!("it is a list");
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
    // The same from the wire on: frames of a peer that is blamed for none of it.
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

/// Envelopes a second, of the fastest stretches.
fn goals() {
    let packet = bad("low work");
    let [each] = min_nanos([&mut reject(&packet)]);
    let rate = PACKET as f64 * 1e9 / each;
    println!("rejected for too little work: {rate:.0} a second (goal: 100000)");
}

criterion_group!(benches, forwarding, rejection);

fn main() {
    benches();
    // Not where a test only wants to see that it runs.
    if !std::env::args().any(|argument| argument == "--test") {
        goals();
    }
    Criterion::default().configure_from_args().final_summary();
}
