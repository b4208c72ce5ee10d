//! The packets that a node sends: to which peer, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::ids::LinkId;
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, Topic};
use whisht::gossip::packet::{MinPow, code, outgoing};
use whisht::pow::Generation::{Legacy, Modern};
use whisht::pow::PowValues;

use super::world::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn requirement(min_pow: f64) -> Vec<u8> {
    outgoing::pow_requirement(MinPow::new(min_pow).unwrap())
}

#[test]
fn envelope_is_forwarded_once_to_all_peers_except_source() {
    let mut node = TestNode::new(0.0);
    for link in [A, B, C] {
        node.connect(link, GETH_OLD);
    }
    assert_eq!(node.deliver(A, &[plain(1)]), Ok(1));
    let sent = by_peer(&node.run(MINUTE));
    assert_eq!(sent.keys().copied().collect::<Vec<_>>(), [B, C]);
    assert!(sent.values().all(|hashes| hashes == &[plain(1).hash()]));
    assert_eq!(node.deliver(B, &[plain(1)]), Ok(0));
    assert!(node.run(MINUTE).is_empty());
}

#[test]
fn queued_envelope_is_not_sent_to_peer_that_delivers_it() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    node.connect(B, GETH_OLD);
    assert_eq!(node.deliver(A, &[plain(1)]), Ok(1));
    assert_eq!(node.deliver(B, &[plain(1)]), Ok(0));
    assert!(node.run(MINUTE).is_empty());
}

#[test]
fn peer_without_status_is_sent_no_envelope() {
    let mut node = TestNode::new(0.0);
    let _ = node.gossip.add_peer(node.now, A, GETH_OLD);
    node.post(&plain(1));
    assert!(node.run(MINUTE).is_empty());
    let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
    let _ = node.receive(A, code::STATUS, &status).unwrap();
    assert!(was_sent(&node.run(SECOND), A, &plain(1)));
}

#[test]
fn new_envelopes_are_sent_before_pool_backlog() {
    let mut node = TestNode::new(0.0);
    for number in 0..1_000 {
        node.post(&sized(number, 535));
    }
    node.connect(A, GETH_OLD);
    let _ = node.run(SECOND);
    node.post(&plain(7));
    let sent = node.run(Duration::from_secs(5));
    assert!(was_sent(&sent, A, &plain(7)));
}

#[test]
fn raised_peer_min_pow_applies_at_once() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    node.post(&plain(1));
    let _ = node
        .receive(A, code::POW_REQUIREMENT, &requirement(1e6))
        .unwrap();
    assert!(node.run(MINUTE).is_empty());
}

#[test]
fn lowered_peer_min_pow_sends_pool_again() {
    let mut node = TestNode::new(0.0);
    node.connect_with(A, GETH_OLD, 1e6, &Bloom::FULL);
    node.post(&plain(1));
    assert!(node.run(MINUTE).is_empty());
    let _ = node
        .receive(A, code::POW_REQUIREMENT, &requirement(0.0))
        .unwrap();
    assert!(was_sent(&node.run(SECOND), A, &plain(1)));
}

#[test]
fn repeated_requirement_changes_delay_pool_resend() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    let _ = node.run(SECOND);
    let _ = node
        .receive(A, code::POW_REQUIREMENT, &requirement(1e6))
        .unwrap();
    node.post(&plain(1));
    let _ = node.run(SECOND);
    let _ = node
        .receive(A, code::POW_REQUIREMENT, &requirement(0.0))
        .unwrap();
    assert!(node.run(Duration::from_millis(2_900)).is_empty());
    assert!(was_sent(&node.run(SECOND), A, &plain(1)));
}

#[test]
fn peer_bloom_change_applies_at_once() {
    let (cats, dogs) = (about([1, 2, 3, 0]), about([9, 9, 9, 9]));
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    node.post(&cats);
    let narrow = outgoing::bloom_exchange(&Bloom::merged(dogs.topic()));
    let _ = node.receive(A, code::BLOOM_EXCHANGE, &narrow).unwrap();
    node.post(&dogs);
    let sent = node.run(MINUTE);
    assert!(was_sent(&sent, A, &dogs) && !was_sent(&sent, A, &cats));
    // A topic whose bits are in one byte, in geth's form.
    let mut wide = Bloom::merged(dogs.topic());
    wide.add(&Bloom::assigned(cats.topic()));
    let _ = node
        .receive(A, code::BLOOM_EXCHANGE, &outgoing::bloom_exchange(&wide))
        .unwrap();
    assert!(was_sent(&node.run(SECOND), A, &cats));
}

#[test]
fn peer_with_empty_bloom_is_sent_nothing() {
    let mut node = TestNode::new(0.0);
    node.connect_with(A, GETH_OLD, 0.0, &Bloom::EMPTY);
    node.post(&plain(1));
    assert!(node.run(MINUTE).is_empty());
}

#[test]
fn flapping_requirements_cause_no_duplicates_or_queue_growth() {
    let mut node = TestNode::new(0.0);
    for number in 0..100 {
        node.post(&plain(number));
    }
    node.connect(A, GETH_OLD);
    let mut sent = Vec::new();
    for round in 0..1_000 {
        let value = if round % 2 == 0 { 1e6 } else { 0.0 };
        let _ = node
            .receive(A, code::POW_REQUIREMENT, &requirement(value))
            .unwrap();
        let full = outgoing::bloom_exchange(&Bloom::FULL);
        let _ = node.receive(A, code::BLOOM_EXCHANGE, &full).unwrap();
        sent.extend(node.run(Duration::from_millis(10)));
        assert!(node.gossip.peers().all(|(_, peer)| peer.waiting <= 100));
    }
    sent.extend(node.run(MINUTE));
    let hashes = by_peer(&sent).remove(&A).unwrap();
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len());
    assert_eq!(hashes.len(), 100);
}

#[test]
fn envelope_is_sent_only_if_peer_pow_formula_accepts() {
    let min = 0.01;
    let of = |generations: &[_]| sealed_for(&plain(1), min, generations);
    let (legacy, modern, both) = (of(&[Legacy]), of(&[Modern]), of(&[Legacy, Modern]));
    let neither = of(&[]);
    let mut node = TestNode::new(0.0);
    let peers = [
        (GETH_OLD, vec![&legacy, &both]),
        (GETH_NEW, vec![&modern, &both]),
        ("nim-eth", vec![&modern, &both]),
        ("whisht/0.1", vec![&legacy, &modern, &both]),
        ("anything else", vec![&both]),
    ];
    for (link, (client, _)) in (1..).zip(&peers) {
        node.connect_with(LinkId(link), client, min, &Bloom::FULL);
    }
    for envelope in [&legacy, &modern, &both, &neither] {
        node.post(envelope);
    }
    let sent = node.run(MINUTE);
    for (link, (client, wanted)) in (1..).zip(&peers) {
        for envelope in [&legacy, &modern, &both, &neither] {
            let was_sent = was_sent(&sent, LinkId(link), envelope);
            assert_eq!(was_sent, wanted.contains(&envelope), "{client}");
        }
    }
}

#[test]
fn status_im_is_sent_envelopes_of_either_formula() {
    let legacy = sealed_for(&plain(1), 0.01, &[Legacy]);
    let mut node = TestNode::new(0.0);
    let _ = node.gossip.add_peer(node.now, A, "StatusIM/v0.34.0");
    let confirming = hex::decode("cd06883f60624dd2f1a9fc808001").unwrap();
    let _ = node.receive(A, code::STATUS, &confirming).unwrap();
    let _ = node
        .receive(A, code::POW_REQUIREMENT, &requirement(0.01))
        .unwrap();
    node.post(&legacy);
    assert!(was_sent(&node.run(MINUTE), A, &legacy));
}

#[test]
fn envelope_in_its_last_second_is_not_sent() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    let (doomed, alive) = (timed(START - 60, 60, 1), timed(START - 60, 62, 2));
    node.post(&doomed);
    node.post(&alive);
    let sent = node.run(MINUTE);
    assert!(was_sent(&sent, A, &alive) && !was_sent(&sent, A, &doomed));
}

#[test]
fn short_lived_envelope_is_posted_and_relayed_to_every_kind_of_peer() {
    // status-im posts with lifetimes of 7 and 10 s.
    for ttl in [4, 5, 7, 10, 12, 14, 15] {
        let mut node = TestNode::new(0.0);
        node.connect(A, GETH_OLD);
        node.connect(B, GETH_NEW);
        let (posted, relayed) = (timed(START, ttl, 1), timed(START, ttl, 2));
        node.post(&posted);
        assert_eq!(node.deliver(A, std::slice::from_ref(&relayed)), Ok(1));
        let sent = node.run(Duration::from_secs((ttl - 1).into()));
        assert!(was_sent(&sent, A, &posted), "ttl {ttl}");
        assert!(was_sent(&sent, B, &posted), "ttl {ttl}");
        assert!(was_sent(&sent, B, &relayed), "ttl {ttl}");
    }
}

#[test]
fn short_lived_envelope_with_bare_pow_waits_a_quarter_of_its_life() {
    for (ttl, wait) in [(2, 0), (7, 1), (10, 2)] {
        let bare = timed(START, ttl, 0);
        let mut node = TestNode::new(0.0);
        node.connect_with(A, GETH_OLD, bare_minimum(&bare), &Bloom::FULL);
        node.post(&bare);
        let sent = node.run(Duration::from_secs(wait) + Duration::from_millis(1_900));
        assert!(was_sent(&sent, A, &bare), "ttl {ttl}");
    }
}

/// The legacy work of an envelope: a peer that requires it leaves no spare work.
fn bare_minimum(envelope: &Envelope) -> f64 {
    PowValues::of(envelope).legacy
}

#[test]
fn future_envelope_is_deferred_until_its_time() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    let early = timed(START + 8, 600, 1);
    node.post(&early);
    assert!(node.run(Duration::from_secs(7)).is_empty());
    assert!(was_sent(&node.run(Duration::from_secs(3)), A, &early));
}

#[test]
fn envelope_with_bare_pow_is_deferred_for_clock_skew() {
    // A peer whose clock is three seconds behind divides the work by 56 instead of 52 seconds.
    let min = 0.01;
    let base = timed(START, 52, 0);
    let spare = sealed(&base, |pow| pow.legacy > min * 1.2);
    let bare = sealed(&base, |pow| pow.legacy >= min && pow.legacy < min * 1.05);
    let mut node = TestNode::new(0.0);
    node.connect_with(A, GETH_OLD, min, &Bloom::FULL);
    node.post(&spare);
    node.post(&bare);
    let sent = node.run(Duration::from_millis(2_500));
    assert!(was_sent(&sent, A, &spare) && !was_sent(&sent, A, &bare));
    assert!(was_sent(&node.run(SECOND), A, &bare));
}

#[test]
fn send_delays_are_exponential_and_independent_per_peer() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    node.connect(B, GETH_OLD);
    let rounds = 1_000_u32;
    let mut waits = [Vec::new(), Vec::new()];
    for number in 0..rounds {
        let start = node.now.mono;
        node.post(&timed(START - 60, 100_000, u64::from(number)));
        for (time, send) in node.run(Duration::from_secs(4)) {
            let peer = if send.link == A { 0 } else { 1 };
            waits[peer].push(time.since(start).as_secs_f64());
        }
    }
    for wait in &waits {
        let mean = wait.iter().sum::<f64>() / f64::from(rounds);
        assert!((mean - 0.3).abs() < 0.04, "mean {mean}");
        // The standard deviation of an exponential distribution equals its mean.
        let variance = wait.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / f64::from(rounds);
        assert!(
            (variance.sqrt() - 0.3).abs() < 0.06,
            "deviation {}",
            variance.sqrt()
        );
    }
    let pairs = waits[0].iter().zip(&waits[1]);
    let covariance = pairs.map(|(a, b)| (a - 0.3) * (b - 0.3)).sum::<f64>() / f64::from(rounds);
    assert!(
        (covariance / 0.09).abs() < 0.15,
        "correlation {}",
        covariance / 0.09
    );
}

#[test]
fn congested_link_is_skipped_and_served_later() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    node.connect(B, GETH_OLD);
    node.post(&plain(1));
    let sent = node.run_with(MINUTE, |link| link == A);
    assert_eq!(by_peer(&sent).keys().copied().collect::<Vec<_>>(), [B]);
    let sent = node.run(MINUTE);
    assert_eq!(by_peer(&sent).keys().copied().collect::<Vec<_>>(), [A]);
}

#[test]
fn congested_link_queue_stays_bounded() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    // Each exists for twenty seconds, so that the pool stays small.
    for number in 0..20_000_u32 {
        let second = START + number / 100;
        node.post(&timed(second, 20, u64::from(number)));
        let _ = node.run_with(Duration::from_millis(10), |_| true);
        assert!(node.gossip.peers().all(|(_, peer)| peer.waiting < 9_000));
    }
    let alive = node.pool.len();
    assert!(alive < 2_200);
    let sent = node.run(MINUTE);
    assert!(!by_peer(&sent)[&A].is_empty() && by_peer(&sent)[&A].len() <= alive);
}

#[test]
fn closed_link_is_sent_nothing_and_dropped() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    node.connect(B, GETH_OLD);
    assert_eq!(node.deliver(A, &[plain(1)]), Ok(1));
    node.gossip.remove_peer(node.now, A);
    node.gossip.remove_peer(node.now, B);
    assert!(node.run(MINUTE).is_empty());
    assert_eq!(node.gossip.next_due(), None);
    assert_eq!(node.gossip.holder_count(plain(1).hash()), 0);
    assert_eq!(node.gossip.peers().count(), 0);
}

#[test]
fn peer_listing_escapes_control_characters() {
    let mut node = TestNode::new(0.0);
    node.connect_with(
        A,
        "Geth/\u{1b}[2J\n/v1.8.27",
        0.5,
        &Bloom::merged(Topic([9, 8, 7, 1])),
    );
    assert_eq!(node.deliver(A, &[plain(1)]), Ok(1));
    let (link, peer) = node.gossip.peers().next().unwrap();
    assert_eq!((link, peer.client.as_str()), (A, "Geth/?[2J?/v1.8.27"));
    assert_eq!(peer.rule.label(), "legacy");
    assert!(peer.has_status && !peer.light);
    assert_eq!((peer.min_pow, peer.bloom_bits), (0.5, 3));
    assert_eq!((peer.received, peer.sent, peer.waiting), (1, 0, 0));
    let long = "x".repeat(10_000);
    node.connect(B, &long);
    assert!(node.gossip.peers().all(|(_, peer)| peer.client.len() < 200));
}

#[test]
fn envelope_expired_from_pool_is_not_sent() {
    let mut node = TestNode::new(0.0);
    node.connect_with(A, GETH_OLD, 0.0, &Bloom::FULL);
    let short: Envelope = timed(START - 5, 25, 1);
    node.post(&short);
    let _ = node.run_with(Duration::from_secs(30), |_| true);
    assert!(node.pool.is_empty());
    assert!(node.run(MINUTE).is_empty());
}
