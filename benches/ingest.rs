//! The time that a node takes to receive an envelope, beside the parts that no node can leave out.
//!
//! A whole node without sockets receives packets of 27 envelopes of 600 bytes from its only peer:
//! frame, decompression, decoding, hashes, rules, pool. The unavoidable parts of the same packet are
//! the MAC and the keystream of its frame, its decompression, and one Keccak-256 of each envelope.
//! Both are timed in turns on the same packets, and the fastest turn of each counts. The median of the
//! node's turns is printed too: in it the pool is full of envelopes, and some expire.
//!
//! The MAC of the parts is that of the crate `sha3`, so that the yardstick stays when our own Keccak
//! gets faster. The same MAC by our own is printed beside it, and is not in the sum.

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

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use sha3::{Digest, Keccak256};
use whisht::gossip::packet::{code, outgoing};
use whisht::keccak::{RunningKeccak, hash_all};

#[path = "support/node_with_peers.rs"]
mod node_with_peers;

use node_with_peers::NodeWithPeers;

/// Envelopes in one packet: the content of 16 KB.
const PACKET: usize = 27;
/// Packets of each side.
const ROUNDS: usize = 500;
/// The goal of the ratio of the two.
const GOAL: f64 = 1.6;

/// The minimum of each part of one packet.
#[derive(Clone, Copy)]
struct Parts {
    mac: Duration,
    keystream: Duration,
    decompression: Duration,
    hashes: Duration,
    /// The MAC by our own Keccak: not in the sum.
    own_mac: Duration,
}

impl Parts {
    const UNKNOWN: Self = Self {
        mac: Duration::MAX,
        keystream: Duration::MAX,
        decompression: Duration::MAX,
        hashes: Duration::MAX,
        own_mac: Duration::MAX,
    };

    fn measure(&mut self, envelopes: &[&[u8]], payload: &[u8]) {
        let compressed = snap::raw::Encoder::new().compress_vec(payload).unwrap();
        let mut frame = compressed.clone();
        frame.resize(frame.len().next_multiple_of(16), 0);
        let mut mac = Keccak256::new_with_prefix([3; 600]);
        let mut keystream = Ctr128BE::<Aes256>::new(&[1; 32].into(), &[2; 16].into());

        keep_min(&mut self.mac, || {
            // A frame needs three digests: of its header, of its body, and of the body's MAC.
            mac.update([4; 16]);
            black_box(mac.clone().finalize());
            mac.update(black_box(&frame));
            black_box(mac.clone().finalize());
            mac.update([5; 16]);
            black_box(mac.clone().finalize());
        });
        let mut own_mac = RunningKeccak::new();
        own_mac.update(&[3; 600]);
        keep_min(&mut self.own_mac, || {
            own_mac.update(&[4; 16]);
            black_box(own_mac.digest());
            own_mac.update(black_box(&frame));
            black_box(own_mac.digest());
            own_mac.update(&[5; 16]);
            black_box(own_mac.digest());
        });
        keep_min(&mut self.keystream, || {
            keystream.apply_keystream(black_box(&mut frame))
        });
        let mut decoder = snap::raw::Decoder::new();
        keep_min(&mut self.decompression, || {
            black_box(decoder.decompress_vec(black_box(&compressed)).unwrap());
        });
        keep_min(&mut self.hashes, || {
            black_box(hash_all(black_box(envelopes)));
        });
    }

    fn sum(&self) -> Duration {
        self.mac + self.keystream + self.decompression + self.hashes
    }
}

fn keep_min(least: &mut Duration, work: impl FnOnce()) {
    let begun = Clock::now();
    work();
    *least = (*least).min(begun.elapsed());
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0 / PACKET as f64
}

fn main() {
    let is_check = std::env::args().any(|argument| argument == "--test");
    let rounds = if is_check { 2 } else { ROUNDS };
    let mut node = NodeWithPeers::new(1);
    let (mut turns, mut parts) = (Vec::new(), Parts::UNKNOWN);
    for _ in 0..rounds {
        let envelopes: Vec<_> = (0..PACKET).map(|_| node.envelope()).collect();
        let payload = outgoing::messages(&envelopes);
        let rlps: Vec<_> = envelopes.iter().map(|envelope| envelope.as_rlp()).collect();
        parts.measure(&rlps, &payload);
        let before = node.spent;
        node.send(0, code::MESSAGES, payload);
        node.advance(Duration::from_millis(350));
        turns.push(node.spent - before);
    }
    turns.sort_unstable();
    let (whole, median) = (turns[0], turns[turns.len() / 2]);
    println!("per envelope of 600 bytes, in microseconds:");
    println!("  MAC of the frame       {:6.3}", micros(parts.mac));
    println!("  keystream              {:6.3}", micros(parts.keystream));
    println!(
        "  decompression          {:6.3}",
        micros(parts.decompression)
    );
    println!("  hash of the envelope   {:6.3}", micros(parts.hashes));
    println!("  unavoidable            {:6.3}", micros(parts.sum()));
    println!("  the node               {:6.3}", micros(whole));
    println!("  the same, median       {:6.3}", micros(median));
    println!("  MAC by our own Keccak  {:6.3}", micros(parts.own_mac));
    let ratio = micros(whole) / micros(parts.sum());
    println!("  ratio                  {ratio:6.2} (goal: {GOAL})");
}
