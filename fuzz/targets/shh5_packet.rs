//! One packet of `shh/5` from a peer: the first byte is its code, the rest its payload.
//!
//! A parsed packet must survive encoding and parsing. A node that receives it forwards it unchanged
//! to another `shh/5` peer, and sends nothing of it to one that speaks `shh/6`.

use core::time::Duration;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now, UnixSecs};
use whisht::bloom::Bloom;
use whisht::envelope::ProtocolVersion;
use whisht::envelope_pool::Pool;
use whisht::gossip::packet::{self, Envelopes, MinPow, P2pKind, ShhPacket, outgoing, v5};
use whisht::gossip::{Gossip, GossipConfig, GossipFault, ProtocolViolation};
use whisht::link::Capability;

/// Parses one packet, and passes it to a node with three peers. Panics if a rule is broken.
pub fn shh5_packet(data: &[u8]) {
    let Some((&code, payload)) = data.split_first() else {
        return;
    };
    match ShhPacket::decode_v5(code, payload) {
        Ok(ShhPacket::Messages(envelopes)) => survive_rewriting(envelopes),
        Ok(ShhPacket::P2p(P2pKind::Message, envelope)) => {
            if let Ok(envelopes) = Envelopes::single(envelope) {
                survive_rewriting(envelopes);
            }
        }
        _ => {}
    }
    let mut node = Node::new();
    node.take(code, payload);
    node.take(code, payload);
    node.run();
}

fn survive_rewriting(envelopes: Envelopes<'_>) {
    let mut count = 0;
    for envelope in envelopes.flatten() {
        assert_eq!(envelope.protocol(), ProtocolVersion::V5);
        let again = v5::message(&envelope);
        let Ok(ShhPacket::Messages(mut read)) = ShhPacket::decode_v5(v5::code::MESSAGE, &again)
        else {
            panic!("an encoded envelope does not parse");
        };
        assert_eq!(read.next(), Some(Ok(envelope)));
        assert_eq!(read.next(), None);
        count += 1;
    }
    assert!(count <= 1);
}

/// A node between the sending peer and two listening ones.
struct Node {
    gossip: Gossip,
    pool: Pool,
    now: Now,
    alive: bool,
}

impl Node {
    fn new() -> Self {
        let config = GossipConfig {
            min_pow: MinPow::new(MIN_WORK).unwrap(),
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
        for (link, protocol, status) in [
            (SENDER, ProtocolVersion::V5, v5::status()),
            (OLD, ProtocolVersion::V5, v5::status()),
            (NEW, ProtocolVersion::V6, status),
        ] {
            let sends = node
                .gossip
                .add_peer_as(node.now, link, protocol, "Geth/v1.7.3");
            assert_eq!(sends.len(), 1);
            let code = packet::code::STATUS;
            let taken = node
                .gossip
                .receive(node.now, link, code, &status, &node.pool);
            assert!(taken.is_ok());
        }
        assert!(node.gossip.trust(SENDER));
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
                assert!(received.replies.is_empty() && received.p2p.is_none());
                assert!(received.direct.len() <= 1 && received.accepted.len() <= 1);
                assert!(received.admitted.len() <= received.accepted.len());
                for (envelope, pow, not_expired) in received.admitted {
                    let _ = self.pool.insert(envelope.clone(), pow, not_expired);
                    self.gossip.on_pooled(self.now, &envelope, Some(SENDER));
                }
            }
            Err(fault) => {
                // A peer that does not know our requirements gets no penalty for them.
                assert!(!matches!(
                    fault,
                    GossipFault::NoSuchLink
                        | GossipFault::Peer(ProtocolViolation::TooManyRejected(_))
                ));
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
                assert_eq!((send.link, send.capability), (OLD, Capability::SHH_5));
                let Ok(ShhPacket::Messages(envelopes)) =
                    ShhPacket::decode_v5(send.code, &send.payload)
                else {
                    panic!("a packet other than an envelope was sent");
                };
                assert!(envelopes.filter(|one| one.is_ok()).count() == 1);
            }
        }
    }
}

const SENDER: LinkId = LinkId(1);
const OLD: LinkId = LinkId(2);
const NEW: LinkId = LinkId(3);
/// Less than the work of the mined envelopes of the corpus, more than that of the others.
const MIN_WORK: f64 = 0.0001;
/// The second at which the envelopes of the corpus are valid.
const NOW: u32 = 1_600_000_000;
