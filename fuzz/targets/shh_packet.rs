//! One packet of `shh/6` from a peer: the first byte is its code, the rest its payload.
//!
//! A parsed packet must survive encoding and parsing, and a node that receives it must keep to the
//! protocol towards another peer.

use core::time::Duration;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now, UnixSecs};
use whisht::bloom::Bloom;
use whisht::envelope_pool::Pool;
use whisht::gossip::packet::{Envelopes, MinPow, P2pKind, ShhPacket, code, outgoing};
use whisht::gossip::{Gossip, GossipConfig};

/// Parses one packet, and passes it to a node with two peers. Panics if a rule is broken.
pub fn shh_packet(data: &[u8]) {
    let Some((&code, payload)) = data.split_first() else {
        return;
    };
    if let Ok(packet) = ShhPacket::decode(code, payload) {
        survives_rewriting(packet);
    }
    let mut node = Node::new();
    node.take(code, payload);
    node.take(code, payload);
    node.run();
}

fn survives_rewriting(packet: ShhPacket<'_>) {
    match packet {
        ShhPacket::Status(status) => {
            let bloom = status.bloom.unwrap_or(Bloom::FULL);
            let again = outgoing::status(status.min_pow, &bloom, status.light);
            let read = ShhPacket::decode(code::STATUS, &again);
            assert!(matches!(read, Ok(ShhPacket::Status(read))
                if read.min_pow == status.min_pow && read.bloom.unwrap_or(Bloom::FULL) == bloom));
        }
        ShhPacket::Messages(envelopes) => {
            let envelopes: Result<Vec<_>, _> = envelopes.collect();
            let Ok(envelopes) = envelopes else { return };
            let again = outgoing::messages(&envelopes);
            let Ok(ShhPacket::Messages(read)) = ShhPacket::decode(code::MESSAGES, &again) else {
                panic!("encoded messages do not parse");
            };
            assert!(read.map(Result::ok).eq(envelopes.into_iter().map(Some)));
        }
        ShhPacket::PowRequirement(min) => {
            let again = outgoing::pow_requirement(min);
            let read = ShhPacket::decode(code::POW_REQUIREMENT, &again);
            assert!(matches!(read, Ok(ShhPacket::PowRequirement(read)) if read == min));
        }
        ShhPacket::BloomExchange(bloom) => {
            let again = outgoing::bloom_exchange(&bloom);
            let read = ShhPacket::decode(code::BLOOM_EXCHANGE, &again);
            assert!(matches!(read, Ok(ShhPacket::BloomExchange(read)) if read == bloom));
        }
        ShhPacket::P2p(P2pKind::Message, payload) => {
            if let Ok(envelopes) = Envelopes::p2p(payload) {
                assert!(envelopes.count() <= payload.len());
            }
        }
        ShhPacket::BatchAcknowledged(_)
        | ShhPacket::MessagesResponse(_)
        | ShhPacket::RateLimits(_)
        | ShhPacket::P2p(..)
        | ShhPacket::Unknown(_) => {}
    }
}

/// A node between the sending peer and a listening one.
struct Node {
    gossip: Gossip,
    pool: Pool,
    now: Now,
    alive: bool,
}

impl Node {
    fn new() -> Self {
        let config = GossipConfig {
            min_pow: MinPow::ZERO,
            ..GossipConfig::default()
        };
        let mut node = Self {
            gossip: Gossip::new(config, &[7; 32]),
            pool: Pool::new(1 << 20),
            now: Now {
                mono: Instant::ZERO,
                unix: UnixSecs(NOW),
            },
            alive: true,
        };
        let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
        for link in [SENDER, LISTENER] {
            assert_eq!(node.gossip.add_peer(node.now, link, "Geth/v1.9.0").len(), 1);
            let taken = node
                .gossip
                .receive(node.now, link, code::STATUS, &status, &node.pool);
            assert!(taken.is_ok());
        }
        node
    }

    fn take(&mut self, code: u8, payload: &[u8]) {
        if !self.alive {
            return;
        }
        match self
            .gossip
            .receive(self.now, SENDER, code, payload, &self.pool)
        {
            Ok(received) => {
                assert!(received.admitted.len() <= received.accepted.len());
                for (envelope, pow, not_expired) in received.admitted {
                    let _ = self.pool.insert(envelope.clone(), pow, not_expired);
                    self.gossip.on_pooled(self.now, &envelope, Some(SENDER));
                }
            }
            Err(fault) => {
                assert!(fault.blames_peer());
                self.gossip.remove_peer(self.now, SENDER);
                self.alive = false;
            }
        }
    }

    fn run(&mut self) {
        for _ in 0..8 {
            self.now.mono = self.now.mono.after(Duration::from_secs(1));
            self.now.unix = self.now.unix.after(1);
            for send in self.gossip.tick(self.now, &self.pool, |_| false) {
                // All envelopes come from the sender.
                assert_eq!(send.link, LISTENER);
                assert!(send.payload.len() <= 1 << 20);
                let read = ShhPacket::decode(send.code, &send.payload);
                let Ok(ShhPacket::Messages(envelopes)) = read else {
                    panic!("a packet other than messages was sent");
                };
                let count = envelopes.map(|one| assert!(one.is_ok())).count();
                assert!(count == 1 || count > 1 && send.payload.len() <= 131_072);
            }
        }
    }
}

const SENDER: LinkId = LinkId(1);
const LISTENER: LinkId = LinkId(2);
/// The second at which the envelopes of the corpus are valid.
const NOW: u32 = 1_600_000_000;
