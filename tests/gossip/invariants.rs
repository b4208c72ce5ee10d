//! Invariants of the gossip, tested on random histories.

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::ids::LinkId;
use proptest::prelude::*;
use whisht::bloom::Bloom;
use whisht::envelope::{EnvelopeHash, Topic};
use whisht::gossip::packet::{MinPow, code, outgoing};

use super::world::*;

/// An event.
#[derive(Clone, Debug)]
enum PeerEvent {
    Open(u64, usize),
    Status(u64, bool),
    Require(u64, bool),
    Filter(u64, u8),
    Bring(u64, Vec<u16>),
    Garbage(u64, u8, Vec<u8>),
    Post(u16),
    Close(u64),
    Wait(u16, bool),
}

fn event() -> impl Strategy<Value = PeerEvent> {
    let peer = 1..5_u64;
    let number = 0..60_u16;
    prop_oneof![
        2 => (peer.clone(), 0..CLIENTS.len()).prop_map(|(peer, client)| PeerEvent::Open(peer, client)),
        3 => (peer.clone(), any::<bool>()).prop_map(|(peer, strict)| PeerEvent::Status(peer, strict)),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, strict)| PeerEvent::Require(peer, strict)),
        1 => (peer.clone(), 0..3_u8).prop_map(|(peer, kind)| PeerEvent::Filter(peer, kind)),
        5 => (peer.clone(), prop::collection::vec(number.clone(), 0..8))
            .prop_map(|(peer, numbers)| PeerEvent::Bring(peer, numbers)),
        1 => (peer.clone(), any::<u8>(), any::<Vec<u8>>())
            .prop_map(|(peer, code, payload)| PeerEvent::Garbage(peer, code, payload)),
        2 => number.prop_map(PeerEvent::Post),
        1 => peer.prop_map(PeerEvent::Close),
        5 => (0..2_000_u16, any::<bool>())
            .prop_map(|(millis, congested)| PeerEvent::Wait(millis, congested)),
    ]
}

const CLIENTS: [&str; 4] = [GETH_OLD, GETH_NEW, "whisht/0.1", "unknown"];

/// The test's model of one link.
#[derive(Clone, Debug, Default)]
struct LinkModel {
    open: bool,
    has_status: bool,
    wants_nothing: bool,
    crossed: BTreeSet<EnvelopeHash>,
    last: Option<circuits::time::Instant>,
}

struct GossipModel {
    node: TestNode,
    links: Vec<LinkModel>,
    /// Link numbers, never reused.
    numbers: Vec<u64>,
    next: u64,
}

impl GossipModel {
    fn new() -> Self {
        Self {
            node: TestNode::new(0.0),
            links: vec![LinkModel::default(); 5],
            numbers: vec![0; 5],
            next: 1,
        }
    }

    fn slot(peer: u64) -> usize {
        usize::try_from(peer).unwrap()
    }

    fn link(&self, peer: u64) -> LinkId {
        LinkId(self.numbers[Self::slot(peer)])
    }

    fn close(&mut self, peer: u64) {
        let now = self.node.now;
        self.node.gossip.remove_peer(now, self.link(peer));
        self.links[Self::slot(peer)] = LinkModel::default();
    }

    /// Passes a packet to the node; a fault closes the link.
    fn give(&mut self, peer: u64, code: u8, payload: &[u8]) -> bool {
        let link = self.link(peer);
        let given =
            self.links[Self::slot(peer)].open && self.node.receive(link, code, payload).is_ok();
        if !given {
            self.close(peer);
        }
        given
    }

    fn apply(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Open(peer, client) => self.open(peer, CLIENTS[client]),
            PeerEvent::Status(peer, strict) => self.status(peer, strict),
            PeerEvent::Require(peer, strict) => self.require(peer, strict),
            PeerEvent::Filter(peer, kind) => self.filter(peer, kind),
            PeerEvent::Bring(peer, numbers) => self.bring(peer, &numbers),
            PeerEvent::Garbage(peer, code, payload) => {
                // The model ignores settings in the packet; the node only has to survive.
                let _ = self.give(peer, code, &payload);
                self.close(peer);
            }
            PeerEvent::Post(number) => {
                if !self.node.pool.contains(&envelope(number).hash()) {
                    self.node.post(&envelope(number));
                }
            }
            PeerEvent::Close(peer) => self.close(peer),
            PeerEvent::Wait(millis, congested) => {
                let span = Duration::from_millis(millis.into());
                let sent = self
                    .node
                    .run_with(span, |link| congested && link.0 % 2 == 0);
                for (time, send) in &sent {
                    self.check(*time, send);
                }
            }
        }
    }

    fn open(&mut self, peer: u64, client: &str) {
        self.close(peer);
        self.numbers[Self::slot(peer)] = self.next;
        self.next += 1;
        let link = self.link(peer);
        let sends = self.node.gossip.add_peer(self.node.now, link, client);
        assert_eq!(sends.len(), 1);
        self.links[Self::slot(peer)].open = true;
    }

    fn status(&mut self, peer: u64, strict: bool) {
        let min_pow = MinPow::new(if strict { 1e9 } else { 0.0 }).unwrap();
        let had_status = self.links[Self::slot(peer)].has_status;
        let status = outgoing::status(min_pow, &Bloom::FULL, false);
        if self.give(peer, code::STATUS, &status) && !had_status {
            let link = &mut self.links[Self::slot(peer)];
            link.has_status = true;
            link.wants_nothing |= strict;
        }
    }

    fn require(&mut self, peer: u64, strict: bool) {
        let min_pow = MinPow::new(if strict { 1e9 } else { 0.0 }).unwrap();
        let payload = outgoing::pow_requirement(min_pow);
        if self.links[Self::slot(peer)].has_status
            && self.give(peer, code::POW_REQUIREMENT, &payload)
        {
            self.links[Self::slot(peer)].wants_nothing = strict;
        }
    }

    fn filter(&mut self, peer: u64, kind: u8) {
        let bloom = match kind {
            0 => Bloom::FULL,
            1 => Bloom::merged(Topic([1, 2, 3, 4])),
            _ => Bloom::assigned(Topic([1, 2, 3, 4])),
        };
        let _ = self.give(
            peer,
            code::BLOOM_EXCHANGE,
            &outgoing::bloom_exchange(&bloom),
        );
    }

    fn bring(&mut self, peer: u64, numbers: &[u16]) {
        let envelopes: Vec<_> = numbers.iter().map(|n| envelope(*n)).collect();
        if self.give(peer, code::MESSAGES, &outgoing::messages(&envelopes)) {
            let hashes = envelopes.iter().map(|envelope| envelope.hash());
            self.links[Self::slot(peer)].crossed.extend(hashes);
        }
    }

    fn check(&mut self, time: circuits::time::Instant, send: &whisht::gossip::OutboundPacket) {
        let slot = self
            .numbers
            .iter()
            .position(|number| *number == send.link.0)
            .unwrap();
        let link = &mut self.links[slot];
        assert!(link.open && link.has_status && !link.wants_nothing);
        assert_eq!(send.code, code::MESSAGES);
        let envelopes = envelopes(send);
        assert!(!envelopes.is_empty());
        assert!(send.payload.len() <= 131_072 || envelopes.len() == 1);
        for envelope in envelopes {
            assert!(
                link.crossed.insert(envelope.hash()),
                "sent an envelope that the peer has"
            );
        }
        if let Some(last) = link.last.replace(time) {
            assert!(time.since(last) >= Duration::from_millis(334));
        }
    }
}

/// Sixty envelopes, some of them long.
fn envelope(number: u16) -> whisht::envelope::Envelope {
    let len = if number.is_multiple_of(7) { 9_000 } else { 40 };
    sized(number.into(), len)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn peer_is_never_sent_known_unwanted_or_excess_envelopes(
        events in prop::collection::vec(event(), 1..200)
    ) {
        let mut model = GossipModel::new();
        for event in events {
            model.apply(event);
        }
    }
}
