//! The guards of mixing paths: ranked in the first layer, under a label of their own.

use std::collections::BTreeSet;

use circuits::ids::{Profile, RelayId};
use circuits::mixing::Layer;
use circuits::path::{Guards, PathRule};

use crate::world::{NOW, id, outsider, seeded_guards, unrelated_relays};

/// A day: the patience of mixing levels.
const DAY: u32 = 86_400;

fn members(guards: &Guards) -> Vec<RelayId> {
    guards.members().collect()
}

#[test]
fn mixing_guards_are_in_the_first_layer() {
    let snapshot = unrelated_relays(Profile::Main, 100);
    for seed in 0..50 {
        let mut guards = seeded_guards(seed, outsider()).for_mixing();
        guards.choose(NOW, &snapshot, DAY).unwrap();
        assert_eq!(members(&guards).len(), 3);
        for member in guards.members() {
            assert_eq!(snapshot.get(&member).unwrap().layer, Layer::FIRST);
        }
    }
}

#[test]
fn mixing_ranking_is_independent_of_the_other() {
    let snapshot = unrelated_relays(Profile::Main, 100);
    let first_layer: BTreeSet<_> = (0..20).map(|rank| id(rank * 5)).collect();
    let agreeing = (0..100).filter(|seed| {
        let mut lanes = seeded_guards(*seed, outsider());
        let mut mixing = seeded_guards(*seed, outsider()).for_mixing();
        // With the same label, the mixing guard would be the best of the first layer.
        let others = snapshot.clone().only(&first_layer);
        lanes.choose(NOW, &others, DAY).unwrap();
        mixing.choose(NOW, &snapshot, DAY).unwrap();
        members(&lanes)[0] == members(&mixing)[0]
    });
    // One in twenty by chance: standard deviation 2.2.
    assert!(agreeing.count() < 14);
}

#[test]
fn mixing_guard_that_is_down_is_waited_for_a_day() {
    let snapshot = unrelated_relays(Profile::Main, 100);
    let mut guards = seeded_guards(1, outsider()).for_mixing();
    let guard = |guards: &mut Guards, now| {
        let guard = guards.choose(now, &snapshot, DAY).unwrap();
        guard.relay().hop.id
    };
    let first = guard(&mut guards, NOW);
    guards.failed(NOW, &first);
    assert_eq!(guard(&mut guards, NOW.after(DAY - 1)), first);
    let backup = guard(&mut guards, NOW.after(DAY));
    assert_ne!(backup, first);
    guards.answered(&first);
    assert_eq!(guard(&mut guards, NOW.after(DAY + 1)), first);
}

#[test]
fn pinned_mixing_guard_of_another_layer_is_refused() {
    let snapshot = unrelated_relays(Profile::Main, 100);
    let mut guards = seeded_guards(1, outsider()).for_mixing();
    guards.pin(Some(id(10)));
    let guard = guards.choose(NOW, &snapshot, DAY).unwrap();
    assert_eq!(guard.relay().hop.id, id(10));
    guards.pin(Some(id(11)));
    let refusal = guards.choose(NOW, &snapshot, DAY).unwrap_err();
    assert_eq!(refusal.rule, PathRule::PinnedGuardLayer);
}

#[test]
fn guard_that_a_growing_local_network_moves_to_another_layer_is_replaced() {
    let mut guards = seeded_guards(2, outsider()).for_mixing();
    for count in 1..40 {
        let snapshot = unrelated_relays(Profile::Local, count);
        // Relays of lower ids move all others.
        let ids = (40 - count..40).map(id).collect();
        let all = unrelated_relays(Profile::Local, 40).only(&ids);
        for snapshot in [snapshot, all] {
            let Ok(guard) = guards.choose(NOW, &snapshot, DAY) else {
                continue;
            };
            assert_eq!(guard.relay().layer, Layer::FIRST, "{count} relays");
        }
    }
    assert!(!members(&guards).is_empty());
}
