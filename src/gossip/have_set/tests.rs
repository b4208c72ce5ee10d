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
    index.keep_only(core::iter::empty());
    assert_eq!(index.len(), 0);
}

#[test]
fn keep_only_drops_unpooled_envelopes() {
    let mut index = PeerEnvelopeIndex::default();
    let all = (0..100).map(|first| EnvelopeHash([first; 32]));
    for envelope in all.clone() {
        index.mark_sent(envelope, LinkId(1));
        index.mark_received(envelope, LinkId(2));
    }
    let kept = |envelope: &EnvelopeHash| envelope.0[0].is_multiple_of(7);
    index.keep_only(all.clone().filter(kept).chain([EnvelopeHash([200; 32])]));
    assert_eq!(index.len(), 15);
    for envelope in all {
        assert_eq!(index.peer_has(&envelope, LinkId(2)), kept(&envelope));
        assert_eq!(index.sent_first(&envelope), kept(&envelope));
    }
}

#[test]
fn reused_slot_has_no_flags_of_former_peer() {
    for before in [0, 31, 32, 70] {
        let mut index = PeerEnvelopeIndex::default();
        for peer in 0..=before {
            index.mark_sent(ENVELOPE, LinkId(peer));
        }
        index.mark_received(ENVELOPE, LinkId(before));
        index.remove_peer(LinkId(before));
        index.mark_announced_to(ENVELOPE, LinkId(999));
        assert_eq!(index.occupants.len(), usize::try_from(before).unwrap() + 1);
        assert!(
            !index.peer_has(&ENVELOPE, LinkId(999))
                && index.is_announced_to(&ENVELOPE, LinkId(999))
        );
        assert_eq!(index.holders(ENVELOPE).count(), 0);
    }
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
                0 => { index.mark_received(envelope, peer); Flags::RECEIVED }
                1 => { index.mark_announced_by(envelope, peer); Flags::ANNOUNCED_BY_PEER }
                2 => { index.mark_sent(envelope, peer); Flags::SENT }
                3 => { index.mark_announced_to(envelope, peer); Flags::ANNOUNCED_TO_PEER }
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
            let bearers = of_it.filter(|(_, flags)| *flags & Flags::SHOWN_BY_PEER != 0);
            prop_assert_eq!(shown, bearers.map(|((_, peer), _)| *peer).collect::<Vec<_>>());
        }
    }
}
