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
fn full_queue_counts_what_it_displaces_and_finds_it_again_in_the_pool() {
    let mut gossip = between([LinkId(1), LinkId(2)]);
    let mut pool = Pool::new(1 << 20);
    for number in 0..20_000 {
        let (pow, _) = gossip.validate(NOW, &envelope(number)).unwrap();
        gossip.on_pooled(NOW, &envelope(number), &pow, Some(LinkId(1)));
        assert!(gossip.peers().all(|(_, peer)| peer.waiting <= SLACK));
    }
    assert_eq!(gossip.displaced(), 20_000 - 2_048);
    let last = envelope(20_000);
    let (pow, not_expired) = gossip.validate(NOW, &last).unwrap();
    assert_eq!(
        pool.insert(last.clone(), pow, not_expired),
        crate::envelope_pool::InsertOutcome::New
    );
    gossip.on_pooled(NOW, &last, &pow, Some(LinkId(1)));
    // The queue has no room for the envelope, and a walk through the pool finds it.
    let sends = gossip.tick(NOW, &pool, |_| false);
    assert_eq!(sends.len(), 1);
    assert_eq!(sends[0].payload, outgoing::messages(&[last]));
    // What is queued and not in the pool goes when it is due.
    let later = Now {
        mono: NOW.mono.after(Duration::from_secs(60)),
        ..NOW
    };
    assert!(gossip.tick(later, &pool, |_| false).is_empty());
    assert!(gossip.peers().all(|(_, peer)| peer.waiting == 0));
    let displaced = gossip.displaced();
    gossip.remove_peer(later, LinkId(2));
    assert_eq!(gossip.displaced(), displaced);
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

#[test]
fn overflow_towards_a_peer_that_pulls_leaves_nothing_due_at_once() {
    let mut gossip = between([LinkId(1), LinkId(100)]);
    let links: Vec<LinkId> = (2..10).map(LinkId).collect();
    let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
    let mut pool = Pool::new(1 << 24);
    for link in &links {
        let _ = gossip.add_peer(NOW, *link, "whisht/v0.1.0");
        gossip.defer_delivery(*link);
        let _ = gossip.receive(NOW, *link, code::STATUS, &status, &pool);
        gossip.decide_delivery(*link, true);
    }
    for number in 0..20_000 {
        let envelope = envelope(number);
        let (pow, not_expired) = gossip.validate(NOW, &envelope).unwrap();
        gossip.on_pooled(NOW, &envelope, &pow, Some(LinkId(1)));
        let _ = pool.insert(envelope, pow, not_expired);
    }
    // The peers' links are congested: what is due waits, and its time must not stay in the past.
    let mut now = NOW;
    let mut ticks = 0;
    while now.mono < Instant::from_micros(10_000_000) {
        let _ = gossip.tick(now, &pool, |_| true);
        let due = gossip.next_due().unwrap();
        now.mono = due.max(now.mono.after(Duration::from_micros(1)));
        ticks += 1;
        assert!(ticks < 2_000, "the gossip is always due");
    }
}
