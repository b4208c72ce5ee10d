use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ENVELOPE: EnvelopeHash = EnvelopeHash([7; 32]);

#[test]
fn bringing_counts_each_peer_once_and_what_we_send_counts_for_nobody() {
    let mut known = Known::default();
    known.brought(ENVELOPE, LinkId(2));
    known.brought(ENVELOPE, LinkId(2));
    known.given(ENVELOPE, LinkId(1));
    assert_eq!(known.bearers(ENVELOPE).count(), 1);
    known.brought(ENVELOPE, LinkId(1));
    assert_eq!(known.bearers(ENVELOPE).count(), 2);
    assert!(known.knows(&ENVELOPE, LinkId(1)) && known.knows(&ENVELOPE, LinkId(2)));
    assert!(!known.knows(&ENVELOPE, LinkId(3)));
}

#[test]
fn who_was_first_is_settled_by_the_first_crossing() {
    let mut known = Known::default();
    known.given(ENVELOPE, LinkId(1));
    known.brought(ENVELOPE, LinkId(2));
    assert!(known.given_first(&ENVELOPE));
    let other = EnvelopeHash([8; 32]);
    known.brought(other, LinkId(1));
    known.close(LinkId(1));
    known.given(other, LinkId(2));
    assert!(!known.given_first(&other) && !known.given_first(&EnvelopeHash([9; 32])));
}

#[test]
fn who_was_told_of_an_envelope_does_not_have_it() {
    let mut known = Known::default();
    known.tell(ENVELOPE, LinkId(1));
    assert!(known.told(&ENVELOPE, LinkId(1)) && !known.told(&ENVELOPE, LinkId(2)));
    assert!(!known.knows(&ENVELOPE, LinkId(1)));
    assert_eq!(known.given_to(ENVELOPE), 0);
    assert!(known.given_first(&ENVELOPE), "it was heard of here first");
    known.given(ENVELOPE, LinkId(2));
    assert!(known.told(&ENVELOPE, LinkId(2)));
    // Who says that it has the envelope is told so of us too, and is not given it.
    assert!(known.announced(ENVELOPE, LinkId(3)) && !known.announced(ENVELOPE, LinkId(3)));
    assert!(known.knows(&ENVELOPE, LinkId(3)) && !known.told(&ENVELOPE, LinkId(3)));
    assert_eq!(known.bearers(ENVELOPE).collect::<Vec<_>>(), [LinkId(3)]);
    known.close(LinkId(1));
    assert!(!known.told(&ENVELOPE, LinkId(1)));
}

#[test]
fn a_peer_that_comes_back_cannot_count_twice() {
    let mut known = Known::default();
    known.brought(ENVELOPE, LinkId(1));
    known.close(LinkId(1));
    known.brought(ENVELOPE, LinkId(2));
    assert_eq!(known.bearers(ENVELOPE).count(), 1);
}

#[test]
fn what_is_forgotten_takes_no_room() {
    let mut known = Known::default();
    known.brought(ENVELOPE, LinkId(1));
    known.given(EnvelopeHash([8; 32]), LinkId(1));
    known.forget(&ENVELOPE);
    assert_eq!((known.len(), known.bearers(ENVELOPE).count()), (1, 0));
    known.keep_only(core::iter::empty());
    assert_eq!(known.len(), 0);
}

#[test]
fn only_what_is_still_pooled_is_kept() {
    let mut known = Known::default();
    let all = (0..100).map(|first| EnvelopeHash([first; 32]));
    for envelope in all.clone() {
        known.given(envelope, LinkId(1));
        known.brought(envelope, LinkId(2));
    }
    let kept = |envelope: &EnvelopeHash| envelope.0[0].is_multiple_of(7);
    known.keep_only(all.clone().filter(kept).chain([EnvelopeHash([200; 32])]));
    assert_eq!(known.len(), 15);
    for envelope in all {
        assert_eq!(known.knows(&envelope, LinkId(2)), kept(&envelope));
        assert_eq!(known.given_first(&envelope), kept(&envelope));
    }
}

#[test]
fn nothing_of_a_peer_that_left_shows_at_the_next_on_its_seat() {
    for before in [0, 31, 32, 70] {
        let mut known = Known::default();
        for peer in 0..=before {
            known.given(ENVELOPE, LinkId(peer));
        }
        known.brought(ENVELOPE, LinkId(before));
        known.close(LinkId(before));
        known.tell(ENVELOPE, LinkId(999));
        assert_eq!(known.sitting.len(), usize::try_from(before).unwrap() + 1);
        assert!(!known.knows(&ENVELOPE, LinkId(999)) && known.told(&ENVELOPE, LinkId(999)));
        assert_eq!(known.bearers(ENVELOPE).count(), 0);
    }
}

#[test]
fn no_envelope_prints() {
    let mut known = Known::default();
    known.brought(ENVELOPE, LinkId(1));
    assert_eq!(format!("{known:?}"), "Known(1 envelopes)");
}

/// What stands in a table that is kept in the plainest way: marks by envelope and peer.
type Plain = BTreeMap<(EnvelopeHash, LinkId), u8>;

proptest! {
    #[test]
    fn as_many_peers_as_there_may_be_are_told_apart(
        steps in proptest::collection::vec((0_u8..6, 0_u64..100, 0_u8..6), 1..400),
    ) {
        let mut known = Known::default();
        let mut plain = Plain::new();
        for (envelope, peer, what) in steps {
            let (envelope, peer) = (EnvelopeHash([envelope; 32]), LinkId(peer));
            let mark = match what {
                0 => { known.brought(envelope, peer); Marks::BROUGHT }
                1 => { known.announced(envelope, peer); Marks::ANNOUNCED }
                2 => { known.given(envelope, peer); Marks::GIVEN }
                3 => { known.tell(envelope, peer); Marks::TOLD }
                4 => {
                    known.forget(&envelope);
                    plain.retain(|(other, _), _| *other != envelope);
                    continue;
                }
                _ => {
                    known.close(peer);
                    plain.retain(|(_, other), _| *other != peer);
                    continue;
                }
            };
            *plain.entry((envelope, peer)).or_default() |= mark;
        }
        for envelope in (0..6).map(|first| EnvelopeHash([first; 32])) {
            for peer in (0..100).map(LinkId) {
                let marks = plain.get(&(envelope, peer)).copied().unwrap_or_default();
                prop_assert_eq!(known.get(&envelope, peer), marks);
            }
            let mut shown: Vec<_> = known.bearers(envelope).collect();
            shown.sort();
            let of_it = plain.iter().filter(|((other, _), _)| *other == envelope);
            let bearers = of_it.filter(|(_, marks)| *marks & Marks::SHOWN != 0);
            prop_assert_eq!(shown, bearers.map(|((_, peer), _)| *peer).collect::<Vec<_>>());
        }
    }
}
