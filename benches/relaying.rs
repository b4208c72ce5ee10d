//! The time that a relay takes for a cell, beside the parts that no relay can leave out.
//!
//! A whole relay without sockets receives cells from one peer, each in a frame and an input of its
//! own, and forwards them to another peer: frames, ingress queue, peeling, replay log, mix, send
//! queue. The unavoidable parts are peeling the cell and its two frames. Both are timed in turns, and
//! the fastest turn of each counts.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a benchmark, which reads the clock and prints its results"
)]

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::geometry::DELTA_LEN;
use circuits::ids::{LinkId, RelayId, ShortId};
use circuits::keys::OnionSecret;
use circuits::relay::{OnionRelay, PeelResult, Peeled, RelayLimits, ReplaySet};
use circuits::secret::Secret;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::link::LinkKey;
use whisht::link::frame::{HEADER_LEN, Opener, Sealer};
use whisht::link::secrets::{Half, SessionSecrets};
use whisht::onion_wire::OnionMessage;

#[path = "support/node_with_peers.rs"]
mod node_with_peers;

use node_with_peers::NodeWithPeers;

/// Cells in one turn: fewer than a peer may send at once.
const CELLS: usize = 20;
/// Turns of each side.
const ROUNDS: usize = 200;
/// The goal of the ratio of the two.
const GOAL: f64 = 1.4;

const RELAY_SECRET: [u8; 32] = [7; 32];
const NEXT_SECRET: [u8; 32] = [8; 32];

fn onion_secret(secret: [u8; 32]) -> OnionSecret {
    OnionSecret::from_secret(Secret::init_with(|bytes| *bytes = secret))
}

/// The identity of the node that `support` builds.
fn relay_id() -> RelayId {
    LinkKey::from_bytes(&mut [1; 32]).unwrap().public().id()
}

/// A cell that the relay forwards to the peer with this handle.
fn cell(rng: &mut ChaCha20Rng, handle: ShortId) -> Cell {
    let mut next = [0; 32];
    next[..16].copy_from_slice(&handle.0);
    let layers = [(relay_id(), RELAY_SECRET), (RelayId(next), NEXT_SECRET)].map(|(id, secret)| {
        let onion = *onion_secret(secret).public();
        LayerSpec {
            hop: Hop { id, onion },
            delay: HopDelay::ZERO,
        }
    });
    seal(rng, NodeWithPeers::epoch(), &layers, false, &[7; DELTA_LEN]).unwrap()
}

/// The unavoidable parts.
struct Parts {
    relay: OnionRelay,
    /// The codecs of the link by which cells come, and of that by which they leave.
    sealer: Sealer,
    opener: Opener,
    now: Now,
    peel: Duration,
    frames: Duration,
}

impl Parts {
    fn new() -> Self {
        let limits = RelayLimits {
            link_rate: u32::MAX,
            link_burst: u32::MAX,
            peel_rate: u32::MAX,
            waiting: usize::MAX,
        };
        let mut relay = OnionRelay::new(relay_id(), limits);
        let epoch = NodeWithPeers::epoch();
        relay
            .install_key(epoch, onion_secret(RELAY_SECRET), ReplaySet::default())
            .unwrap();
        let secrets = SessionSecrets::derive(&[1; 32], &[2; 32], &[3; 32]);
        let end = Half {
            nonce: &[2; 32],
            packet: &[4; 400],
        };
        let (sealer, _) = secrets.codecs(&end, &end);
        let (_, opener) = secrets.codecs(&end, &end);
        Self {
            relay,
            sealer,
            opener,
            now: Now {
                mono: Instant::ZERO,
                unix: epoch.start(),
            },
            peel: Duration::MAX,
            frames: Duration::MAX,
        }
    }

    fn measure(&mut self, cells: &[Cell]) {
        for cell in cells {
            self.relay
                .accept(self.now, LinkId(1), cell.clone())
                .unwrap();
        }
        let begun = Clock::now();
        for _ in cells {
            let PeelResult { outcome, .. } = black_box(self.relay.next_peel(self.now).unwrap());
            assert!(matches!(outcome, Peeled::Forward { .. }));
        }
        self.peel = self.peel.min(begun.elapsed());

        let mut wire = Vec::new();
        let begun = Clock::now();
        for cell in cells {
            wire.clear();
            self.sealer.seal(19, cell.as_bytes(), &mut wire).unwrap();
            let (header, body) = wire.split_first_chunk_mut::<HEADER_LEN>().unwrap();
            let size = self.opener.open_header(header).unwrap();
            black_box(self.opener.open_body(size, body).unwrap());
        }
        self.frames = self.frames.min(begun.elapsed());
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0 / CELLS as f64
}

fn main() {
    let is_check = std::env::args().any(|argument| argument == "--test");
    let rounds = if is_check { 2 } else { ROUNDS };
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut node = NodeWithPeers::relay(2, RELAY_SECRET);
    node.advance(Duration::from_secs(5));
    let (mut whole, mut parts) = (Duration::MAX, Parts::new());
    for round in 1..=rounds {
        let cells: Vec<_> = (0..CELLS)
            .map(|_| cell(&mut rng, node.handle_of(1)))
            .collect();
        parts.measure(&cells);
        let before = node.spent;
        for cell in cells {
            let message = OnionMessage::Cell(Box::new(*cell.as_bytes()));
            node.send_onion(0, &message);
        }
        // The delay of a cell has a random part of at most ten milliseconds; peeling is paced.
        node.advance(Duration::from_millis(100));
        whole = whole.min(node.spent - before);
        assert_eq!(node.cells(1), round * CELLS, "all cells are forwarded");
        node.advance(Duration::from_secs(2));
    }
    println!("per cell, in microseconds:");
    println!("  peeling       {:7.2}", micros(parts.peel));
    println!("  two frames    {:7.2}", micros(parts.frames));
    println!("  unavoidable   {:7.2}", micros(parts.peel + parts.frames));
    println!("  the relay     {:7.2}", micros(whole));
    let ratio = micros(whole) / micros(parts.peel + parts.frames);
    println!("  ratio         {ratio:7.2} (goal: {GOAL})");
}
