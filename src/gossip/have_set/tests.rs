use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ENVELOPE: EnvelopeHash = EnvelopeHash([7; 32]);

#[test]
fn received_envelopes_count_each_peer_once_and_sent_ones_count_none() {
    let mut index = PeerEnvelopeIndex::default();
    index.mark_received(ENVELOPE, LinkId(2));
    index.mark_received(ENVELOPE, LinkId(2));
    index.mark_sent(ENVELOPE, LinkId(1));
    assert_eq!(index.holders(ENVELOPE).count(), 1);
    index.mark_received(ENVELOPE, LinkId(1));
    assert_eq!(index.holders(ENVELOPE).count(), 2);
    assert!(index.peer_has(&ENVELOPE, LinkId(1)) && index.peer_has(&ENVELOPE, LinkId(2)));
    assert!(!index.peer_has(&ENVELOPE, LinkId(3)));
}

#[test]
fn sent_first_depends_on_the_first_transfer_only() {
    let mut index = PeerEnvelopeIndex::default();
    index.mark_sent(ENVELOPE, LinkId(1));
    index.mark_received(ENVELOPE, LinkId(2));
    assert!(index.sent_first(&ENVELOPE));
    let other = EnvelopeHash([8; 32]);
    index.mark_received(other, LinkId(1));
    index.remove_peer(LinkId(1));
    index.mark_sent(other, LinkId(2));
    assert!(!index.sent_first(&other) && !index.sent_first(&EnvelopeHash([9; 32])));
}

#[test]
fn peer_told_of_an_envelope_does_not_have_it() {
    let mut index = PeerEnvelopeIndex::default();
    index.mark_announced_to(ENVELOPE, LinkId(1));
    assert!(
        index.is_announced_to(&ENVELOPE, LinkId(1)) && !index.is_announced_to(&ENVELOPE, LinkId(2))
    );
    assert!(!index.peer_has(&ENVELOPE, LinkId(1)));
    assert_eq!(index.sent_to_count(ENVELOPE), 0);
    assert!(index.sent_first(&ENVELOPE), "we announced it first");
    index.mark_sent(ENVELOPE, LinkId(2));
    assert!(index.is_announced_to(&ENVELOPE, LinkId(2)));
    // A peer that announces the envelope gets our announcement, but not the body.
    assert!(
        index.mark_announced_by(ENVELOPE, LinkId(3))
            && !index.mark_announced_by(ENVELOPE, LinkId(3))
    );
    assert!(index.peer_has(&ENVELOPE, LinkId(3)) && !index.is_announced_to(&ENVELOPE, LinkId(3)));
    assert_eq!(index.holders(ENVELOPE).collect::<Vec<_>>(), [LinkId(3)]);
    index.remove_peer(LinkId(1));
    assert!(!index.is_announced_to(&ENVELOPE, LinkId(1)));
}

#[test]
fn returning_peer_does_not_count_twice() {
    let mut index = PeerEnvelopeIndex::default();
    index.mark_received(ENVELOPE, LinkId(1));
    index.remove_peer(LinkId(1));
    index.mark_received(ENVELOPE, LinkId(2));
    assert_eq!(index.holders(ENVELOPE).count(), 1);
}

#[test]
fn forgotten_envelope_takes_no_memory() {
    let mut index = PeerEnvelopeIndex::default();
    index.mark_received(ENVELOPE, LinkId(1));
    index.mark_sent(EnvelopeHash([8; 32]), LinkId(1));
    index.forget(&ENVELOPE);
    assert_eq!((index.len(), index.holders(ENVELOPE).count()), (1, 0));
    index.sweep(1, |_| false);
    assert_eq!(index.len(), 0);
}

#[test]
fn sweep_drops_unpooled_envelopes_a_few_at_a_time() {
    let mut index = PeerEnvelopeIndex::default();
    let all = (0..100).map(|first| EnvelopeHash([first; 32]));
    for envelope in all.clone() {
        index.mark_sent(envelope, LinkId(1));
        index.mark_received(envelope, LinkId(2));
    }
    let kept = |first: u8| first.is_multiple_of(7);
    let mut last = index.len();
    for _ in 0..10 {
        index.sweep(10, |short| kept(short[0]));
        assert!(last - index.len() <= 10);
        last = index.len();
    }
    assert_eq!(index.len(), 15);
    for envelope in all {
        let kept = kept(envelope.0[0]);
        assert_eq!(index.peer_has(&envelope, LinkId(2)), kept);
        assert_eq!(index.sent_first(&envelope), kept);
    }
}

#[test]
fn number_of_forgotten_envelope_has_no_flags() {
    let mut index = PeerEnvelopeIndex::default();
    for peer in 0..70 {
        index.mark_sent(ENVELOPE, LinkId(peer));
    }
    index.forget(&ENVELOPE);
    let other = EnvelopeHash([8; 32]);
    index.mark_announced_to(other, LinkId(3));
    assert_eq!(index.first_shown_by.len(), 1);
    assert!(index.is_announced_to(&other, LinkId(3)));
    assert!((0..70).all(|peer| !index.peer_has(&other, LinkId(peer))));
}

/// Memory beside the pool grew with every peer, and stayed after the peers had left.
#[test]
fn departed_peer_leaves_no_memory_and_a_present_one_half_a_byte_per_envelope() {
    let mut index = PeerEnvelopeIndex::default();
    let mark = |index: &mut PeerEnvelopeIndex, peer| {
        for number in 0..10_000_u32 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            index.mark_announced_to(EnvelopeHash(hash), LinkId(peer));
        }
    };
    for peer in 0..50 {
        mark(&mut index, peer);
        let bytes = index.peers[&LinkId(peer)].0.capacity();
        assert!(bytes <= 10_000 / 2 * 17 / 16 + 64, "{bytes}");
        index.remove_peer(LinkId(peer));
        assert!(index.peers.is_empty());
        assert_eq!(index.first_shown_by.len(), 10_000);
    }
}

#[test]
fn source_is_the_first_peer_that_showed_the_envelope() {
    let mut index = PeerEnvelopeIndex::default();
    assert_eq!(index.source(&ENVELOPE), EnvelopeSource::Own);
    index.mark_received(ENVELOPE, LinkId(1));
    index.mark_received(ENVELOPE, LinkId(2));
    assert_eq!(index.source(&ENVELOPE), EnvelopeSource::Link(LinkId(1)));
    index.remove_peer(LinkId(1));
    assert_eq!(index.source(&ENVELOPE), EnvelopeSource::Closed);
    let own = EnvelopeHash([8; 32]);
    index.mark_sent(own, LinkId(2));
    index.mark_received(own, LinkId(3));
    assert_eq!(index.source(&own), EnvelopeSource::Own);
}

#[test]
fn debug_shows_count_only() {
    let mut index = PeerEnvelopeIndex::default();
    index.mark_received(ENVELOPE, LinkId(1));
    assert_eq!(format!("{index:?}"), "PeerEnvelopeIndex(1 envelopes)");
}

/// A reference implementation: flags by envelope and peer.
type Plain = BTreeMap<(EnvelopeHash, LinkId), u8>;

proptest! {
    #[test]
    fn flags_match_a_plain_map(
        steps in proptest::collection::vec((0_u8..6, 0_u64..100, 0_u8..6), 1..400),
    ) {
        let mut index = PeerEnvelopeIndex::default();
        let mut plain = Plain::new();
        for (envelope, peer, what) in steps {
            let (envelope, peer) = (EnvelopeHash([envelope; 32]), LinkId(peer));
            let flag = match what {
                0 => { index.mark_received(envelope, peer); PeerFlags::RECEIVED }
                1 => { index.mark_announced_by(envelope, peer); PeerFlags::ANNOUNCED_BY_PEER }
                2 => { index.mark_sent(envelope, peer); PeerFlags::SENT }
                3 => { index.mark_announced_to(envelope, peer); PeerFlags::ANNOUNCED_TO_PEER }
                4 => {
                    index.forget(&envelope);
                    plain.retain(|(other, _), _| *other != envelope);
                    continue;
                }
                _ => {
                    index.remove_peer(peer);
                    plain.retain(|(_, other), _| *other != peer);
                    continue;
                }
            };
            *plain.entry((envelope, peer)).or_default() |= flag;
        }
        for envelope in (0..6).map(|first| EnvelopeHash([first; 32])) {
            for peer in (0..100).map(LinkId) {
                let flags = plain.get(&(envelope, peer)).copied().unwrap_or_default();
                prop_assert_eq!(index.flags_of(&envelope, peer), flags);
            }
            let mut shown: Vec<_> = index.holders(envelope).collect();
            shown.sort();
            let of_it = plain.iter().filter(|((other, _), _)| *other == envelope);
            let bearers = of_it.filter(|(_, flags)| *flags & PeerFlags::SHOWN_BY_PEER != 0);
            prop_assert_eq!(shown, bearers.map(|((_, peer), _)| *peer).collect::<Vec<_>>());
        }
    }
}
