//! Conditions under which a path may use a relay.

use std::collections::BTreeSet;
use std::sync::Arc;

use circuits::directory::{
    Descriptor, DescriptorDraft, DescriptorInsertion, Directory, DirectoryLimits, ListedRelays,
    PuzzleSearch, RelayEndpoint, Requirements, Snapshot,
};
use circuits::ids::{Epoch, NetworkId, Profile, RelayId};
use circuits::mixing::ArrivalRate;
use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::relays::{EPOCH, HOUR, START, TestRelay, at, directory, insert, is_new, peer, terms};

fn epoch(after: u32) -> Epoch {
    Epoch(EPOCH.0 + after)
}

/// Inserts these relays from two peers, in each of the first `epochs` epochs, one hour after its
/// start.
fn settle(directory: &mut Directory, relays: &[&TestRelay], epochs: u32) {
    for number in 0..epochs {
        for relay in relays {
            let raw = relay.descriptor(epoch(number));
            for name in [1, 2] {
                insert(directory, epoch(number).start().after(HOUR), name, &raw).unwrap();
            }
        }
    }
}

fn ids(snapshot: &Snapshot) -> BTreeSet<RelayId> {
    snapshot.relays().iter().map(|relay| relay.hop.id).collect()
}

#[test]
fn relay_seen_a_day_in_two_epochs_by_two_peers_is_eligible() {
    let relay = TestRelay::new(1);
    let mut directory = directory();
    settle(&mut directory, &[&relay], 4);
    // The list of the third epoch was frozen 23 hours after the start, that of the fourth after 35.
    let third = directory.snapshot(epoch(2).start());
    assert!(third.is_young() && third.relays().is_empty());
    let fourth = directory.snapshot(epoch(3).start());
    assert!(!fourth.is_young());
    assert_eq!(ids(&fourth), [relay.id()].into());
    assert_eq!(
        fourth.relays()[0].hop.onion.as_bytes(),
        &relay.onion(epoch(3))
    );
}

#[test]
fn frozen_list_does_not_change_within_epoch() {
    let (old, new) = (TestRelay::new(1), TestRelay::new(2));
    let mut directory = directory();
    settle(&mut directory, &[&old], 4);
    let before = ids(&directory.snapshot(epoch(3).start()));
    // Two hours later a new relay arrives, with descriptors for this epoch and the previous one.
    for number in [2, 3] {
        for name in 1..=9 {
            let now = epoch(3).start().after(3 * HOUR);
            insert(&mut directory, now, name, &new.descriptor(epoch(number))).unwrap();
        }
    }
    let after = ids(&directory.snapshot(epoch(4).start().before(1)));
    assert_eq!(before, after);
    assert_eq!(before, [old.id()].into());
}

#[test]
fn descriptor_after_freeze_counts_for_following_epoch() {
    let (early, late) = (TestRelay::new(1), TestRelay::new(2));
    let mut directory = directory();
    settle(&mut directory, &[&early, &late], 2);
    let frozen = epoch(3).start().before(HOUR);
    assert!(is_new(insert(
        &mut directory,
        frozen,
        1,
        &early.descriptor(epoch(2))
    )));
    assert!(is_new(insert(
        &mut directory,
        frozen.after(1),
        1,
        &late.descriptor(epoch(2))
    )));
    assert_eq!(
        ids(&directory.snapshot(epoch(3).start())),
        [early.id()].into()
    );
}

#[test]
fn relay_known_to_one_peer_never_becomes_eligible() {
    let (shared, exclusive) = (TestRelay::new(1), TestRelay::new(2));
    let mut directory = directory();
    for number in 0..4 {
        let now = epoch(number).start().after(HOUR);
        for name in [1, 2] {
            insert(&mut directory, now, name, &shared.descriptor(epoch(number))).unwrap();
        }
        insert(&mut directory, now, 1, &exclusive.descriptor(epoch(number))).unwrap();
    }
    assert_eq!(
        ids(&directory.snapshot(epoch(3).start())),
        [shared.id()].into()
    );
}

#[test]
fn peer_that_lists_relay_digest_counts_as_second_source() {
    let relay = TestRelay::new(1);
    let (mut directory, mut other) = (directory(), directory());
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    for number in 0..4 {
        let now = epoch(number).start().after(HOUR);
        let raw = relay.descriptor(epoch(number));
        insert(&mut directory, now, 1, &raw).unwrap();
        insert(&mut other, now, 1, &raw).unwrap();
        let request = &other.requests(now, peer(1), epoch(number))[0];
        assert!(
            directory
                .lacking(at(now), peer(2), request, &mut rng)
                .is_empty()
        );
    }
    assert_eq!(
        ids(&directory.snapshot(epoch(3).start())),
        [relay.id()].into()
    );
}

#[test]
fn young_directory_requires_three_peers_in_two_epochs() {
    let (thrice, twice) = (TestRelay::new(1), TestRelay::new(2));
    // Three peers report these in one of the epochs, and two in the other.
    let halves = [TestRelay::new(3), TestRelay::new(4)];
    let mut directory = directory();
    let now = epoch(1).start().after(HOUR);
    for number in [0, 1] {
        for (half, relay) in (0..).zip(&halves) {
            for name in 1..=if half == number { 3 } else { 2 } {
                insert(&mut directory, now, name, &relay.descriptor(epoch(number))).unwrap();
            }
        }
        for name in [1, 2, 3] {
            insert(&mut directory, now, name, &thrice.descriptor(epoch(number))).unwrap();
        }
        for name in [1, 2, 1, 2] {
            insert(&mut directory, now, name, &twice.descriptor(epoch(number))).unwrap();
        }
    }
    let snapshot = directory.snapshot(now);
    assert!(snapshot.is_young());
    assert_eq!(ids(&snapshot), [thrice.id()].into());
}

#[test]
fn settled_directory_under_eclipse_does_not_trust_new_peers() {
    let (old, fake) = (TestRelay::new(1), TestRelay::new(2));
    let mut directory = directory();
    settle(&mut directory, &[&old], 4);
    // All peers are malicious now, and all report the same relay.
    let now = epoch(4).start().after(HOUR);
    for number in [3, 4] {
        for name in 10..20 {
            insert(&mut directory, now, name, &fake.descriptor(epoch(number))).unwrap();
        }
    }
    let snapshot = directory.snapshot(now);
    assert!(!snapshot.is_young());
    assert_eq!(ids(&snapshot), [old.id()].into());
}

#[test]
fn equivocating_relay_leaves_frozen_list_at_once() {
    let relay = TestRelay::new(1);
    let mut directory = directory();
    settle(&mut directory, &[&relay], 4);
    let now = epoch(3).start().after(2 * HOUR);
    assert_eq!(directory.snapshot(now).relays().len(), 1);
    let other = relay.sign(DescriptorDraft {
        arrivals: ArrivalRate::MAX,
        ..relay.draft(epoch(3))
    });
    insert(&mut directory, now, 2, &other).unwrap();
    assert!(directory.snapshot(now).relays().is_empty());
}

#[test]
fn pinned_list_excludes_all_other_relays() {
    let (listed, other) = (TestRelay::new(1), TestRelay::new(2));
    let list = Arc::new(ListedRelays::from_iter([(listed.id(), 0)]));
    let mut directory = Directory::new(terms(), DirectoryLimits::default(), Some(list), START);
    // At once, while the directory is young.
    insert(&mut directory, START, 1, &listed.descriptor(EPOCH)).unwrap();
    assert_eq!(ids(&directory.snapshot(START)), [listed.id()].into());
    // Later, in the frozen list.
    settle(&mut directory, &[&listed, &other], 4);
    assert_eq!(
        ids(&directory.snapshot(epoch(3).start())),
        [listed.id()].into()
    );
}

#[test]
fn local_profile_makes_every_relay_eligible_at_once() {
    let network = NetworkId::new(Profile::Local, "demo");
    let terms = Requirements::new(network, Profile::Local);
    assert_eq!(terms.effort, 1);
    let relay = TestRelay::new(1);
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut search = PuzzleSearch::new(network, relay.key.public(), EPOCH, 1, &mut rng);
    let puzzle = core::iter::repeat_with(|| search.step())
        .flatten()
        .next()
        .unwrap();
    let draft = DescriptorDraft {
        endpoints: vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 20_819)],
        ..relay.draft(EPOCH)
    };
    let signed = Descriptor::sign(draft, puzzle, &relay.key, network).unwrap();
    let mut directory = Directory::new(terms, DirectoryLimits::default(), None, START);
    directory.insert(at(START), peer(1), signed.raw()).unwrap();
    let snapshot = directory.snapshot(START);
    assert!(!snapshot.is_young());
    assert_eq!(ids(&snapshot), [relay.id()].into());
    // In the next epoch, the announced next key is used until the relay renews its descriptor.
    let next = directory.snapshot(epoch(1).start());
    assert_eq!(
        next.relays()[0].hop.onion.as_bytes(),
        &relay.onion(epoch(1))
    );
}

#[test]
fn family_requires_mutual_declaration() {
    let relays: Vec<_> = (1..=3).map(TestRelay::new).collect();
    let family = |members: &[usize]| {
        let mut ids: Vec<_> = members.iter().map(|member| relays[*member].id()).collect();
        ids.sort();
        ids
    };
    // The first two name each other; the third names both, without being named.
    let declared = [family(&[1]), family(&[0]), family(&[0, 1])];
    let list = relays.iter().map(|relay| (relay.id(), 0)).collect();
    let list = Some(Arc::new(list));
    let mut directory = Directory::new(terms(), DirectoryLimits::default(), list, START);
    for (relay, family) in relays.iter().zip(&declared) {
        let raw = relay.sign(DescriptorDraft {
            family: family.clone(),
            ..relay.draft(EPOCH)
        });
        insert(&mut directory, START, 1, &raw).unwrap();
    }
    let snapshot = directory.snapshot(START);
    let mutual = |relay: usize| snapshot.get(&relays[relay].id()).unwrap().family.clone();
    assert_eq!(mutual(0), family(&[1]));
    assert_eq!(mutual(1), family(&[0]));
    assert!(mutual(2).is_empty());
}

#[test]
fn family_of_the_list_holds_without_declaration() {
    let relays: Vec<_> = (1..=3).map(TestRelay::new).collect();
    let numbers = [7, 7, 0];
    let list = relays.iter().map(TestRelay::id).zip(numbers).collect();
    let list = Some(Arc::new(list));
    let mut directory = Directory::new(terms(), DirectoryLimits::default(), list, START);
    for relay in &relays {
        insert(&mut directory, START, 1, &relay.descriptor(EPOCH)).unwrap();
    }
    let snapshot = directory.snapshot(START);
    let family = |relay: usize| snapshot.get(&relays[relay].id()).unwrap().family.clone();
    assert_eq!(family(0), [relays[1].id()]);
    assert_eq!(family(1), [relays[0].id()]);
    assert!(family(2).is_empty());
}

#[test]
fn list_that_is_replaced_or_missing_changes_eligibility_at_once() {
    let (one, other) = (TestRelay::new(1), TestRelay::new(2));
    let list = |relay: &TestRelay| Some(Arc::new(ListedRelays::from_iter([(relay.id(), 0)])));
    let limits = DirectoryLimits::default();
    let mut directory = Directory::new(terms(), limits, list(&one), START);
    for relay in [&one, &other] {
        insert(&mut directory, START, 1, &relay.descriptor(EPOCH)).unwrap();
    }
    let first = directory.snapshot(START);
    assert_eq!(ids(&first), [one.id()].into());
    assert!(!first.is_young() && first.is_gathering());
    directory.set_listed(list(&other));
    assert_eq!(ids(&directory.snapshot(START)), [other.id()].into());
    // Expired: the node does not fall back to what it has observed itself.
    directory.set_listed(Some(Arc::default()));
    settle(&mut directory, &[&one, &other], 4);
    assert!(directory.snapshot(epoch(3).start()).relays().is_empty());
    directory.set_listed(None);
    let observed = directory.snapshot(epoch(3).start());
    assert_eq!(ids(&observed), [one.id(), other.id()].into());
}

#[test]
fn restart_preserves_list_and_exclusions() {
    let (relay, equivocator) = (TestRelay::new(1), TestRelay::new(2));
    let mut before = directory();
    settle(&mut before, &[&relay], 4);
    let now = epoch(3).start().after(2 * HOUR);
    insert(&mut before, now, 1, &equivocator.descriptor(epoch(3))).unwrap();
    let other = equivocator.sign(DescriptorDraft {
        arrivals: ArrivalRate::MAX,
        ..equivocator.draft(epoch(3))
    });
    insert(&mut before, now, 1, &other).unwrap();

    let mut after = Directory::new(terms(), DirectoryLimits::default(), None, now);
    assert_eq!(after.import(now, before.export()), 1);
    assert_eq!(after.export(), before.export());
    let (old, new) = (before.snapshot(now), after.snapshot(now));
    assert_eq!(ids(&old), ids(&new));
    assert_eq!(ids(&new), [relay.id()].into());
    assert!(!new.is_young());
    let result = insert(&mut after, now, 3, &equivocator.descriptor(epoch(3)));
    assert!(
        matches!(result, Ok(DescriptorInsertion::Known)),
        "a descriptor of the proof must be known"
    );
    assert_eq!(after.excluded(), 1);
}

#[test]
fn directory_offline_at_freeze_accepts_known_relays_from_three_peers() {
    let (known, reported_twice, unknown) =
        (TestRelay::new(1), TestRelay::new(2), TestRelay::new(3));
    let mut directory = directory();
    settle(&mut directory, &[&known, &reported_twice], 3);
    // Offline from the third epoch until two hours into the sixth.
    let now = epoch(5).start().after(2 * HOUR);
    for (relay, peers) in [(&known, 3), (&reported_twice, 2), (&unknown, 3)] {
        for name in 1..=peers {
            insert(&mut directory, now, name, &relay.descriptor(epoch(4))).unwrap();
        }
    }
    let snapshot = directory.snapshot(now);
    assert!(!snapshot.is_young());
    assert_eq!(ids(&snapshot), [known.id()].into());
}

#[test]
fn relay_absent_for_days_is_still_known_on_return() {
    let relay = TestRelay::new(1);
    let mut first_run = directory();
    settle(&mut first_run, &[&relay], 2);
    // No descriptor for six days, with a restart in between.
    let middle = epoch(8).start();
    first_run.expire(middle);
    let mut directory = Directory::new(terms(), DirectoryLimits::default(), None, middle);
    assert_eq!(directory.import(middle, first_run.export()), 0);
    assert_eq!(directory.export(), first_run.export());
    let back = epoch(13).start().after(HOUR);
    insert(&mut directory, back, 1, &relay.descriptor(epoch(13))).unwrap();
    let snapshot = directory.snapshot(epoch(14).start());
    assert!(!snapshot.is_young());
    assert_eq!(ids(&snapshot), [relay.id()].into());
}

#[test]
fn directory_offline_for_eight_days_is_young_again() {
    let mut before = directory();
    settle(&mut before, &[&TestRelay::new(1)], 4);
    let late = UnixSecs(epoch(3).start().0 + 8 * 86_400);
    let mut after = Directory::new(terms(), DirectoryLimits::default(), None, late);
    assert_eq!(after.import(late, before.export()), 0);
    assert!(after.is_young(late));
    before.expire(late);
    assert!(before.is_young(late));
    assert_eq!(
        after.export(),
        before.export(),
        "only the date may differ from an import"
    );
}

#[test]
fn directory_import_skips_damaged_records() {
    let mut before = directory();
    settle(&mut before, &[&TestRelay::new(1), &TestRelay::new(2)], 1);
    let records = before.export();
    let now = START.after(2 * HOUR);
    for record in 0..records.len() {
        for len in 0..records[record].len() {
            let mut damaged = records.clone();
            damaged[record].truncate(len);
            let mut after = directory();
            after.import(now, &damaged);
            assert!(!after.is_empty(), "the undamaged record must be imported");
        }
    }
    let mut after = directory();
    assert_eq!(
        after.import(now, [&[9_u8, 9, 9][..], &[], &[1], &[2, 0xff, 0xff]]),
        0
    );
}
