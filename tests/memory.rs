//! The memory of a hundred thousand envelopes, beside their own bytes.
//!
//! The test counts the bytes requested from the allocator, so the result does not depend on the
//! machine. Two components keep data per envelope: the pool, and the gossip's have set. The binary
//! contains this one test, because allocations of others would count too.

#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    reason = "a test may fail loudly, and prints its measurements"
)]

use std::alloc::System;
use std::time::Duration;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now, UnixSecs};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::envelope_pool::{InsertOutcome, Pool};
use whisht::gossip::packet::{MinPow, code, outgoing};
use whisht::gossip::{Gossip, GossipConfig};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn pool_and_gossip_memory_overhead_is_bounded() {
    let before = allocated();
    let mut node = GossipAndPool::new();
    let idle = allocated();
    for packet in 0..ENVELOPES / PACKET {
        node.receive(packet);
    }
    node.run_until_idle();
    let (pool, rest) = node.take_apart();
    let all = allocated() - idle;
    drop(rest);
    let pooled = allocated() - before;

    let own: usize = pool.iter().map(|one| one.envelope.as_rlp().len()).sum();
    assert_eq!((pool.len(), own), (ENVELOPES, ENVELOPES * 600));
    let ratio = |bytes: usize| bytes as f64 / own as f64;
    println!(
        "{ENVELOPES} envelopes of 600 bytes: the pool takes {:.3} times as much, with the table \
         of {PEERS} peers {:.3}",
        ratio(pooled),
        ratio(all)
    );
    assert!(ratio(all) <= 1.3, "{}", ratio(all));
    // The size that the pool reports includes the table.
    let said = pool.bytes() as f64 / all as f64;
    assert!((0.98..1.05).contains(&said), "{said}");

    drop(pool);
    assert!(allocated() - before < 4_096, "memory is not released");
}

/// A pool, and gossip with eight peers, one of which sends all envelopes.
struct GossipAndPool {
    pool: Pool,
    gossip: Gossip,
    now: Now,
}

impl GossipAndPool {
    fn new() -> Self {
        let config = GossipConfig {
            min_pow: MinPow::ZERO,
            ..GossipConfig::default()
        };
        let mut node = Self {
            pool: Pool::new(1 << 30),
            gossip: Gossip::new(config, &[1; 32]),
            now: Now {
                mono: Instant::ZERO,
                unix: START,
            },
        };
        for peer in 1..=PEERS {
            let link = LinkId(peer);
            let _status = node.gossip.add_peer(node.now, link, "Geth/v1.9.25-stable");
            let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
            node.take(link, code::STATUS, &status);
        }
        node
    }

    /// Receives one packet, and lets the gossip forward it to the other peers.
    fn receive(&mut self, packet: usize) {
        let first = packet * PACKET;
        let envelopes: Vec<_> = (first..first + PACKET).map(envelope).collect();
        self.take(LinkId(1), code::MESSAGES, &outgoing::messages(&envelopes));
        self.run_until_idle();
    }

    fn take(&mut self, link: LinkId, code: u8, payload: &[u8]) {
        let received = self
            .gossip
            .receive(self.now, link, code, payload, &self.pool);
        for (envelope, pow, not_expired) in received.unwrap().admitted {
            let inserted = self.pool.insert(envelope.clone(), pow, not_expired);
            assert_eq!(inserted, InsertOutcome::New);
            self.gossip.on_pooled(self.now, &envelope, Some(link));
        }
    }

    /// Advances time until no timer is pending.
    fn run_until_idle(&mut self) {
        while let Some(due) = self.gossip.next_due() {
            self.now.mono = due.max(self.now.mono).after(Duration::from_millis(1));
            let _sent = self.gossip.tick(self.now, &self.pool, |_| false);
        }
    }

    fn take_apart(self) -> (Pool, Gossip) {
        (self.pool, self.gossip)
    }
}

/// An envelope of 600 bytes.
fn envelope(number: usize) -> Envelope {
    let number = u64::try_from(number).unwrap();
    let mut data = vec![0x5a; 600 - 29];
    data.iter_mut()
        .zip(number.to_be_bytes())
        .for_each(|(to, from)| *to = from);
    Envelope::build(
        START.after(80_000),
        Ttl(86_400),
        Topic([7; 4]),
        data,
        number | 1 << 63,
    )
}

/// Bytes in use.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// As many as a pool of 80 MB contains.
const ENVELOPES: usize = 100_000;
/// Envelopes in one packet.
const PACKET: usize = 25;
/// Peers, one of which sends all envelopes.
const PEERS: u64 = 8;
/// A Saturday in 2026.
const START: UnixSecs = UnixSecs(1_795_240_000);
