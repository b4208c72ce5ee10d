//! Memory bounds of the gossip, which are not visible from outside.

use circuits::time::{Instant, UnixSecs};

use super::*;
use crate::bloom::Bloom;
use crate::envelope::{Topic, Ttl};

const NOW: Now = Now {
    mono: Instant::ZERO,
    unix: UnixSecs(1_700_000_000),
};

fn envelope(number: u32) -> Envelope {
    let data = number.to_be_bytes().to_vec();
    Envelope::build(NOW.unix.after(600), Ttl(660), Topic([1, 2, 3, 4]), data, 7)
}

fn between(links: [LinkId; 2]) -> Gossip {
    let config = GossipConfig {
        min_pow: MinPow::ZERO,
        ..GossipConfig::default()
    };
    let mut gossip = Gossip::new(config, &[1; 32]);
    let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
    for link in links {
        let _ = gossip.add_peer(NOW, link, "Geth/v1.8.27");
        let _ = gossip.receive(NOW, link, code::STATUS, &status, &Pool::new(0));
    }
    gossip
}

#[test]
fn envelopes_refused_by_pool_are_not_remembered() {
    let mut gossip = between([LinkId(1), LinkId(2)]);
    let pool = Pool::new(0);
    for batch in 0..200 {
        let envelopes: Vec<_> = (0..100).map(|one| envelope(batch * 100 + one)).collect();
        let packet = outgoing::messages(&envelopes);
        let received = gossip.receive(NOW, LinkId(1), code::MESSAGES, &packet, &pool);
        assert_eq!(received.unwrap().admitted.len(), 100);
        assert!(gossip.index.len() <= SLACK + 100);
    }
}

#[test]
fn queue_that_outgrows_pool_is_rebuilt_from_pool() {
    let mut gossip = between([LinkId(1), LinkId(2)]);
    let mut pool = Pool::new(1 << 20);
    for number in 0..20_000 {
        gossip.on_pooled(NOW, &envelope(number), Some(LinkId(1)));
        assert!(gossip.peers().all(|(_, peer)| peer.waiting <= SLACK));
    }
    let last = envelope(20_000);
    let (pow, not_expired) = gossip.validate(NOW, &last).unwrap();
    assert_eq!(
        pool.insert(last.clone(), pow, not_expired),
        crate::envelope_pool::InsertOutcome::New
    );
    gossip.on_pooled(NOW, &last, Some(LinkId(1)));
    // The queue is dropped, and the envelopes of the pool are found again by a scan.
    let sends = gossip.tick(NOW, &pool, |_| false);
    assert_eq!(sends.len(), 1);
    assert_eq!(sends[0].payload, outgoing::messages(&[last]));
    // Entries that came after the last reset are not in the pool, and go when they are due.
    let later = Now {
        mono: NOW.mono.after(Duration::from_secs(60)),
        ..NOW
    };
    assert!(gossip.tick(later, &pool, |_| false).is_empty());
    assert!(gossip.peers().all(|(_, peer)| peer.waiting == 0));
}

#[test]
fn closed_link_leaves_only_envelope_hashes() {
    let mut gossip = between([LinkId(1), LinkId(2)]);
    let packet = outgoing::messages(&[envelope(1)]);
    let _ = gossip.receive(NOW, LinkId(1), code::MESSAGES, &packet, &Pool::new(0));
    gossip.remove_peer(NOW, LinkId(1));
    let hash = envelope(1).hash();
    assert!(!gossip.index.peer_has(&hash, LinkId(1)));
    gossip.forget(&[hash]);
    assert_eq!(gossip.index.len(), 0);
}
