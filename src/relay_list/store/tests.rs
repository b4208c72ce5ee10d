//! Which list is in force, and attacks on the choice.

use super::*;
use crate::relay_list::tests::{FROM, draft, signed, signers, verify};
use crate::relay_list::{ListDraft, RelayList};

/// Seconds after the start of the epoch `FROM + after`.
fn at(after: u32, secs: i64) -> UnixSecs {
    let start = i64::from(Epoch(FROM.0 + after).start().0);
    UnixSecs(u32::try_from(start + secs).unwrap())
}

fn list(after: u32) -> VerifiedList {
    let pinned = signers(2, &[1, 2, 3]);
    verify(
        &signed(draft(FROM.0 + after, &pinned), None, &[1, 2]),
        &pinned,
    )
    .unwrap()
}

/// Another list of the same epoch.
fn rival(after: u32) -> VerifiedList {
    let pinned = signers(2, &[1, 2, 3]);
    let mut other = draft(FROM.0 + after, &pinned);
    other.relays.pop();
    verify(&signed(other, None, &[2, 3]), &pinned).unwrap()
}

fn in_force(store: &ListStore, now: UnixSecs) -> Option<u32> {
    let held = store.in_force(now, false)?;
    Some(held.list.header().from.0 - FROM.0)
}

#[test]
fn list_comes_into_force_with_its_epoch_at_every_node() {
    let mut store = ListStore::default();
    store.insert(at(0, -7_200), list(0)).unwrap();
    store.insert(at(0, 100), list(2)).unwrap();
    assert_eq!(in_force(&store, at(0, 200)), Some(0));
    assert_eq!(in_force(&store, at(1, 40_000)), Some(0));
    assert_eq!(in_force(&store, at(2, 0)), Some(2));
}

#[test]
fn list_that_arrives_after_the_freeze_waits_for_the_next_epoch() {
    let mut store = ListStore::default();
    store.insert(at(0, -7_200), list(0)).unwrap();
    store.insert(at(2, -60), list(2)).unwrap();
    store.expire(at(2, 0));
    assert_eq!(in_force(&store, at(2, 10)), Some(0));
    assert_eq!(in_force(&store, at(3, 0)), Some(2));
    // A node that was offline at the freeze uses what the others use.
    let held = store.in_force(at(2, 10), true).unwrap();
    assert_eq!(held.list.header().from, Epoch(FROM.0 + 2));
}

#[test]
fn node_without_another_list_takes_a_late_one_at_once() {
    let mut store = ListStore::default();
    store.insert(at(2, 5_000), list(0)).unwrap();
    assert_eq!(in_force(&store, at(2, 5_001)), Some(0));
}

#[test]
fn older_list_is_not_brought_back() {
    let mut store = ListStore::default();
    store.insert(at(5, 0), list(4)).unwrap();
    let refused = store.insert(at(5, 1), list(3)).unwrap_err();
    assert!(matches!(refused, ListRefusal::Older { .. }), "{refused}");
    // Nor after a restart, nor after the newer one has expired.
    let held: Vec<HeldList> = store.iter().cloned().collect();
    let mut restarted = ListStore::default();
    held.into_iter()
        .for_each(|held| restarted.restore(at(30, 0), held));
    restarted.expire(at(30, 0));
    let refused = restarted.insert(at(30, 0), list(3)).unwrap_err();
    assert!(matches!(refused, ListRefusal::Expired { .. }), "{refused}");
    assert_eq!(in_force(&restarted, at(30, 0)), None);
    assert!(restarted.newest().is_some());
}

#[test]
fn expired_list_is_refused_and_leaves_nothing_in_force() {
    let mut store = ListStore::default();
    store.insert(at(0, 0), list(0)).unwrap();
    assert_eq!(in_force(&store, at(19, 43_199)), Some(0));
    assert_eq!(in_force(&store, at(20, 0)), None);
    let refused = ListStore::default().insert(at(20, 0), list(0)).unwrap_err();
    assert!(matches!(refused, ListRefusal::Expired { .. }), "{refused}");
}

#[test]
fn list_far_in_the_future_is_refused() {
    let mut store = ListStore::default();
    assert!(store.insert(at(0, 0), list(4)).is_ok());
    let refused = store.insert(at(0, 0), list(5)).unwrap_err();
    assert!(matches!(refused, ListRefusal::TooEarly { .. }), "{refused}");
}

#[test]
fn two_lists_of_one_epoch_are_both_refused() {
    let mut store = ListStore::default();
    store.insert(at(0, -7_200), list(0)).unwrap();
    assert_eq!(store.insert(at(1, 0), list(2)), Ok(ListInsertion::New));
    assert_eq!(store.insert(at(1, 0), list(2)), Ok(ListInsertion::Known));
    let rival = rival(2);
    let conflict = store.insert(at(1, 0), rival.clone());
    assert_eq!(conflict, Ok(ListInsertion::Conflict(list(2).id())));
    assert_eq!(store.conflicts().collect::<Vec<_>>(), [Epoch(FROM.0 + 2)]);
    // The list before them stays in force, in whichever order they came.
    assert_eq!(in_force(&store, at(2, 100)), Some(0));
    // Both are passed on, and survive a restart.
    assert!(store.get(rival.id()).is_some() && store.get(list(2).id()).is_some());
    let mut restarted = ListStore::default();
    for held in store.iter().cloned() {
        restarted.restore(at(2, 100), held);
    }
    assert_eq!(in_force(&restarted, at(2, 100)), Some(0));
    // A list for a later epoch ends the conflict.
    restarted.insert(at(2, 200), list(3)).unwrap();
    assert_eq!(in_force(&restarted, at(3, 0)), Some(3));
}

#[test]
fn third_list_of_one_epoch_is_not_held() {
    let pinned = signers(2, &[1, 2, 3]);
    let mut store = ListStore::default();
    store.insert(at(0, 0), list(0)).unwrap();
    store.insert(at(0, 0), rival(0)).unwrap();
    let mut third = draft(FROM.0, &pinned);
    third.relays.truncate(1);
    let third = verify(&signed(third, None, &[1, 2]), &pinned).unwrap();
    assert!(!store.is_wanted(at(0, 0), FROM, third.id()));
    let refused = store.insert(at(0, 0), third);
    assert_eq!(refused, Err(ListRefusal::ManyOfOneEpoch));
}

/// A list that hands over from the signers 1 to 3 to others.
fn rotating(after: u32, to: &[u8]) -> RelayList {
    let next = ListDraft {
        next: Some(signers(2, to)),
        ..draft(FROM.0 + after, &signers(2, &[1, 2, 3]))
    };
    signed(next, None, &[1, 2])
}

#[test]
fn replaced_signers_cannot_sign_later_lists_or_another_succession() {
    let old = signers(2, &[1, 2, 3]);
    let rotation = rotating(0, &[4, 5, 6]);
    let mut store = ListStore::default();
    store
        .insert(at(0, 0), verify(&rotation, &old).unwrap())
        .unwrap();
    // The old quorum, by itself.
    assert_eq!(store.insert(at(0, 1), list(2)), Err(ListRefusal::Replaced));
    // The old quorum, with a succession of its own choice.
    let other = rotating(0, &[7, 8, 9]);
    let forked = signed(
        draft(FROM.0 + 2, &signers(2, &[7, 8, 9])),
        Some(&other),
        &[7, 8],
    );
    let forked = verify(&forked, &old).unwrap();
    assert_eq!(store.insert(at(0, 1), forked), Err(ListRefusal::Replaced));
    // The successors.
    let next = signed(
        draft(FROM.0 + 2, &signers(2, &[4, 5, 6])),
        Some(&rotation),
        &[4, 6],
    );
    let next = verify(&next, &old).unwrap();
    assert_eq!(store.insert(at(0, 1), next.clone()), Ok(ListInsertion::New));
    // The rotating list may be gone: the later list carries the proof.
    let mut fresh = ListStore::default();
    fresh.insert(at(0, 1), next).unwrap();
    assert_eq!(fresh.insert(at(0, 1), list(3)), Err(ListRefusal::Replaced));
}

#[test]
fn rotation_in_a_conflict_replaces_no_signers() {
    let old = signers(2, &[1, 2, 3]);
    let mut store = ListStore::default();
    for to in [[4, 5, 6], [7, 8, 9]] {
        let rotation = verify(&rotating(0, &to), &old).unwrap();
        store.insert(at(0, 0), rotation).unwrap();
    }
    assert_eq!(store.insert(at(0, 1), list(1)), Ok(ListInsertion::New));
}

#[test]
fn lists_are_announced_as_wanted_only_if_they_can_be_held() {
    let mut store = ListStore::default();
    let (newer, older) = (list(2), list(1));
    assert!(store.is_wanted(at(2, 0), Epoch(FROM.0 + 1), older.id()));
    store.insert(at(2, 0), newer.clone()).unwrap();
    assert!(!store.is_wanted(at(2, 0), Epoch(FROM.0 + 2), newer.id()));
    assert!(!store.is_wanted(at(2, 0), Epoch(FROM.0 + 1), older.id()));
    assert!(store.is_wanted(at(2, 0), Epoch(FROM.0 + 2), rival(2).id()));
    assert!(!store.is_wanted(at(2, 0), Epoch(FROM.0 + 7), older.id()));
}

#[test]
fn number_of_held_lists_is_bounded() {
    let mut store = ListStore::default();
    for after in 0..40 {
        store.insert(at(after, 0), list(after)).unwrap();
        store.expire(at(after, 0));
        assert!(store.iter().count() <= 2, "{}", store.iter().count());
    }
}
