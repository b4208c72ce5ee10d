//! Cost of a cell for a relay and for an origin, compared with X25519 and with Sphinx.
//!
//! Compare ratios within one run, because absolute times depend on the machine. `x25519` is one
//! plain Diffie-Hellman; peeling needs two. `sphinx` is the crate `sphinx-packet` with the same
//! payload length and number of hops; it allows at most five hops, so both use five.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::geometry::DELTA_LEN;
use circuits::ids::{Epoch, LinkId, RelayId};
use circuits::keys::OnionSecret;
use circuits::relay::{OnionRelay, PeelResult, RelayLimits, ReplaySet};
use circuits::secret::Secret;
use circuits::time::{Instant, Now};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sphinx_packet::header::delays::Delay;
use sphinx_packet::packet::builder::SphinxPacketBuilder;
use sphinx_packet::payload::PAYLOAD_OVERHEAD_SIZE;
use sphinx_packet::route::{Destination, DestinationAddressBytes, Node, NodeAddressBytes};
use sphinx_packet::{ProcessedPacket, SphinxPacket};
use x25519_dalek::{PublicKey, StaticSecret};

const EPOCH: Epoch = Epoch(41_007);

/// The relays of a path of `len`, with their secrets.
fn relays(len: u8) -> Vec<(RelayId, [u8; 32])> {
    (1..=len).map(|n| (RelayId([n; 32]), [n; 32])).collect()
}

fn onion_secret(secret: [u8; 32]) -> OnionSecret {
    OnionSecret::from_secret(Secret::init_with(|bytes| *bytes = secret))
}

fn layers(len: u8) -> Vec<LayerSpec> {
    let hops = relays(len).into_iter().map(|(id, secret)| Hop {
        id,
        onion: *onion_secret(secret).public(),
    });
    hops.map(|hop| LayerSpec {
        hop,
        delay: HopDelay::ZERO,
    })
    .collect()
}

fn cell(rng: &mut ChaCha20Rng, layers: &[LayerSpec]) -> Cell {
    seal(rng, EPOCH, layers, false, &[7; DELTA_LEN]).unwrap()
}

/// A relay with unlimited rates and queue.
fn relay() -> OnionRelay {
    let limits = RelayLimits {
        link_rate: u32::MAX,
        link_burst: u32::MAX,
        peel_rate: u32::MAX,
        waiting: usize::MAX,
    };
    let (id, secret) = relays(1).remove(0);
    let mut relay = OnionRelay::new(id, limits);
    relay
        .install_key(EPOCH, onion_secret(secret), ReplaySet::default())
        .unwrap();
    relay
}

fn peel(relay: &mut OnionRelay, cell: Cell) -> PeelResult {
    let now = Now {
        mono: Instant::ZERO,
        unix: EPOCH.start(),
    };
    relay.accept(now, LinkId(1), cell).unwrap();
    relay.next_peel(now).unwrap()
}

fn sphinx_route(len: u8) -> Vec<Node> {
    let nodes = relays(len).into_iter().map(|(id, secret)| {
        let key = PublicKey::from(&StaticSecret::from(secret));
        Node::new(NodeAddressBytes::from_bytes(id.0), key)
    });
    nodes.collect()
}

fn sphinx(route: &[Node]) -> SphinxPacket {
    let destination = Destination::new(DestinationAddressBytes::from_bytes([3; 32]), [4; 16]);
    let delays = vec![Delay::new_from_millis(10); route.len()];
    SphinxPacketBuilder::new()
        .with_payload_size(DELTA_LEN + PAYLOAD_OVERHEAD_SIZE)
        .build_packet([7; DELTA_LEN], route, &destination, &delays)
        .unwrap()
}

fn at_a_relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("peel");
    let mut rng = ChaCha20Rng::from_seed([1; 32]);

    let mut point = [0; 32];
    rng.fill_bytes(&mut point);
    let (secret, point) = (StaticSecret::from([9; 32]), PublicKey::from(point));
    group.bench_function("x25519", |bencher| {
        bencher.iter(|| black_box(&secret).diffie_hellman(black_box(&point)));
    });

    let layers = layers(5);
    let mut relay = relay();
    group.bench_function("cell", |bencher| {
        bencher.iter_batched(
            || cell(&mut rng, &layers),
            |cell| peel(&mut relay, cell),
            BatchSize::SmallInput,
        );
    });

    let route = sphinx_route(5);
    let (_, secret) = relays(1).remove(0);
    let secret = StaticSecret::from(secret);
    group.bench_function("sphinx", |bencher| {
        bencher.iter_batched(
            || sphinx(&route),
            |packet| -> ProcessedPacket { packet.process(&secret).unwrap() },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn at_an_origin(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    for len in [3, 5] {
        let layers = layers(len);
        group.bench_function(format!("cell/{len}"), |bencher| {
            bencher.iter(|| cell(&mut rng, black_box(&layers)));
        });
        let route = sphinx_route(len);
        group.bench_function(format!("sphinx/{len}"), |bencher| {
            bencher.iter(|| sphinx(black_box(&route)));
        });
    }
    group.finish();
}

criterion_group!(benches, at_a_relay, at_an_origin);
criterion_main!(benches);
