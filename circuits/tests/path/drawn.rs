//! Properties of drawn paths on random directories, and their distribution.

use std::collections::{BTreeMap, BTreeSet};

use circuits::directory::{EndpointKinds, RelayEndpoint, Snapshot, Subnet};
use circuits::ids::{Profile, RelayId};
use circuits::path::{LoopEnd, PathExclusions, PathPicker, PathRule, PathRules};
use proptest::prelude::*;

use crate::world::{
    NOW, alone, assert_keeps_the_rules, id, outsider, pick, related, relay, rng, seeded_guards,
    subnet, unrelated_relays,
};

/// A directory with few subnets and many families, in which the rules often apply.
fn crowded(profile: Profile, max: u16) -> impl Strategy<Value = Snapshot> {
    let one = (
        proptest::collection::vec(0_u16..9, 1..=2),
        any::<bool>(),
        any::<bool>(),
        proptest::collection::vec(0..max, 0..3),
    );
    proptest::collection::vec(one, 0..usize::from(max)).prop_map(move |relays| {
        let relays = relays
            .iter()
            .zip(0..)
            .map(|((subnets, onion, tor, family), number)| {
                let is_hidden = *onion && number % 4 == 0;
                let subnets: Vec<_> = if is_hidden {
                    vec![Subnet::Onion]
                } else {
                    subnets.iter().copied().map(subnet).collect()
                };
                let mut relay = relay(number, &subnets, family);
                if is_hidden {
                    relay.endpoints = EndpointKinds::of(&[RelayEndpoint::Onion([7; 32], 1)]);
                }
                if is_hidden || *tor {
                    relay.dials = EndpointKinds::ALL;
                }
                relay
            });
        Snapshot::new(crate::world::EPOCH, profile, false, relays)
    })
}

fn exclusions(max: u16) -> impl Strategy<Value = PathExclusions> {
    (
        prop_oneof![Just(outsider()), (0..max).prop_map(id)],
        proptest::collection::vec(0_u16..9, 0..2),
        proptest::collection::btree_set(0..max, 0..4),
    )
        .prop_map(|(own, own_subnets, peers)| PathExclusions {
            own,
            own_subnets: own_subnets.into_iter().map(subnet).collect(),
            peers: peers.into_iter().map(id).collect(),
        })
}

/// Whether lanes of the floor's length exist, found by exhaustive search.
fn exists(
    snapshot: &Snapshot,
    guard: RelayId,
    rules: PathRules,
    exclusions: &PathExclusions,
) -> bool {
    let ids: Vec<_> = snapshot
        .relays()
        .iter()
        .map(|relay| relay.hop.id)
        .filter(|id| *id != exclusions.own && *id != guard && !related(snapshot, *id, guard))
        .collect();
    ids.iter().any(|rendezvous| {
        let subnets = &snapshot.get(rendezvous).unwrap().subnets;
        let is_allowed = !exclusions.peers.contains(rendezvous)
            && !subnets
                .iter()
                .any(|subnet| exclusions.own_subnets.contains(subnet));
        let pool: Vec<_> = ids
            .iter()
            .copied()
            .filter(|id| id != rendezvous && !related(snapshot, *id, *rendezvous))
            .collect();
        let middles = usize::from(rules.floor()) - 1;
        is_allowed
            && can_fill(
                snapshot,
                (guard, *rendezvous),
                &pool,
                &vec![middles; usize::from(rules.lanes())],
                &[],
            )
    })
}

/// Whether the pool can fill lanes with the given numbers of middles.
fn can_fill(
    snapshot: &Snapshot,
    ends: (RelayId, RelayId),
    pool: &[RelayId],
    lanes: &[usize],
    open: &[RelayId],
) -> bool {
    let can_dial = |next: RelayId| {
        let before = open.last().copied().unwrap_or(ends.0);
        let before = snapshot.get(&before).unwrap();
        before.can_dial(snapshot.get(&next).unwrap())
    };
    match lanes {
        [] => true,
        [0, later @ ..] => can_dial(ends.1) && can_fill(snapshot, ends, pool, later, &[]),
        [count, later @ ..] => {
            let rest = [&[count - 1], later].concat();
            pool.iter().enumerate().any(|(place, one)| {
                let fits =
                    can_dial(*one) && open.iter().all(|other| !related(snapshot, *one, *other));
                let mut pool = pool.to_vec();
                pool.remove(place);
                fits && can_fill(snapshot, ends, &pool, &rest, &[open, &[*one]].concat())
            })
        }
    }
}

/// Whether a draw agrees with the exhaustive search, which knows lanes of the floor's length only. A
/// longer lane may exist where none of that length does, if its middles can dial what the guard cannot.
fn agrees(snapshot: &Snapshot, is_drawn: bool, possible: bool) -> bool {
    let relays = snapshot.relays();
    let mut pairs = relays
        .iter()
        .flat_map(|one| relays.iter().map(move |other| (one, other)));
    let may_be_longer = pairs.any(|(one, other)| !one.can_dial(other));
    is_drawn == possible || is_drawn && may_be_longer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn plan_on_main_keeps_every_rule(
        snapshot in crowded(Profile::Main, 40),
        exclusions in exclusions(40),
        floor in 1_u8..=5,
        lanes in 1_u8..=4,
        seed: u8,
    ) {
        let rules = PathRules::new(floor, lanes).unwrap();
        if let Ok(plan) = pick(&snapshot, rules, &exclusions, seed) {
            assert_keeps_the_rules(&plan, &snapshot, rules, &exclusions);
        }
    }

    #[test]
    fn plan_on_local_keeps_every_rule_not_reported_lifted(
        snapshot in crowded(Profile::Local, 14),
        exclusions in exclusions(14),
        floor in 1_u8..=5,
        lanes in 1_u8..=4,
        seed: u8,
    ) {
        let rules = PathRules::new(floor, lanes).unwrap();
        if let Ok(plan) = pick(&snapshot, rules, &exclusions, seed) {
            assert_keeps_the_rules(&plan, &snapshot, rules, &exclusions);
        }
    }

    #[test]
    fn refusal_on_main_means_no_plan_exists(
        snapshot in crowded(Profile::Main, 9),
        exclusions in exclusions(9),
        floor in 1_u8..=4,
        lanes in 1_u8..=2,
        seed: u8,
    ) {
        let rules = PathRules::new(floor, lanes).unwrap();
        let mut guards = seeded_guards(seed, exclusions.own);
        if let Ok(guard) = guards.choose(NOW, &snapshot, 0) {
            let possible = exists(&snapshot, guard.relay().hop.id, rules, &exclusions);
            let drawn = pick(&snapshot, rules, &exclusions, seed);
            prop_assert!(agrees(&snapshot, drawn.is_ok(), possible), "{:?}", drawn.err());
        }
    }

    #[test]
    fn refusal_on_local_means_no_plan_exists_even_with_shared_middles(
        snapshot in crowded(Profile::Local, 8),
        exclusions in exclusions(8),
        floor in 1_u8..=5,
        lanes in 1_u8..=3,
        seed: u8,
    ) {
        let rules = PathRules::new(floor, lanes).unwrap();
        let mut guards = seeded_guards(seed, exclusions.own);
        if let Ok(guard) = guards.choose(NOW, &snapshot, 0) {
            let guard = guard.relay().hop.id;
            let drawn = pick(&snapshot, rules, &exclusions, seed);
            // Lanes that may share their middles exist if one lane exists.
            let one_lane = PathRules::new(floor, 1).unwrap();
            let strict = PathExclusions { own_subnets: Vec::new(), ..exclusions };
            let mut possible = exists(&snapshot, guard, one_lane, &strict);
            if snapshot.relays().iter().all(|relay| {
                let id = relay.hop.id;
                id == guard || id == strict.own || related(&snapshot, id, guard)
                    || strict.peers.contains(&id)
            }) {
                possible = exists(&snapshot, guard, one_lane, &alone(strict.own));
            }
            prop_assert!(agrees(&snapshot, drawn.is_ok(), possible), "{:?}", drawn.err());
        }
    }

    #[test]
    fn scattered_shards_have_distinct_rendezvous_and_keep_rules(
        snapshot in crowded(Profile::Main, 40),
        exclusions in exclusions(40),
        shards in 1_usize..8,
        seed: u8,
    ) {
        let rules = PathRules::new(3, 1).unwrap();
        let mut guards = seeded_guards(seed, exclusions.own);
        let Ok(guard) = guards.choose(NOW, &snapshot, 0) else { return Ok(()) };
        let Ok(picker) = PathPicker::new(&snapshot, rules, guard, &exclusions) else { return Ok(()) };
        if let Ok(plans) = picker.pick_scattered(shards, &mut rng(seed)) {
            prop_assert_eq!(plans.len(), shards);
            let distinct: BTreeSet<_> = plans.iter().map(|plan| plan.rendezvous.id).collect();
            prop_assert_eq!(distinct.len(), shards);
            for plan in &plans {
                assert_keeps_the_rules(plan, &snapshot, rules, &exclusions);
            }
        }
    }

    #[test]
    fn loops_keep_rules_and_return_to_sender(
        snapshot in crowded(Profile::Main, 40),
        floor in 2_u8..=5,
        seed: u8,
    ) {
        let exclusions = alone(outsider());
        let rules = PathRules::new(floor, 1).unwrap();
        let mut guards = seeded_guards(seed, exclusions.own);
        let Ok(guard) = guards.choose(NOW, &snapshot, 0) else { return Ok(()) };
        let Ok(picker) = PathPicker::new(&snapshot, rules, guard, &exclusions) else { return Ok(()) };
        for end in [LoopEnd::Relay, LoopEnd::ThroughGuard] {
            let Ok(hops) = picker.pick_loop(end, &mut rng(seed)) else { continue };
            let mut ids: Vec<_> = hops.iter().map(|hop| hop.id).collect();
            prop_assert_eq!(ids.len(), usize::from(floor));
            prop_assert_eq!(ids[0], guard.relay().hop.id);
            if end == LoopEnd::ThroughGuard {
                prop_assert_eq!(ids.pop(), Some(guard.relay().hop.id));
            }
            for (place, one) in ids.iter().enumerate() {
                prop_assert!(ids[place + 1..].iter().all(|other| !related(&snapshot, *one, *other)));
            }
        }
    }
}

#[test]
fn rendezvous_and_middles_are_uniform_over_candidates() {
    let snapshot = unrelated_relays(Profile::Main, 21);
    let exclusions = alone(outsider());
    let rules = PathRules::new(3, 3).unwrap();
    let mut guards = seeded_guards(1, outsider());
    let guard = guards.choose(NOW, &snapshot, 0).unwrap();
    let picker = PathPicker::new(&snapshot, rules, guard, &exclusions).unwrap();
    let (mut rendezvous, mut first) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
    let mut rng = rng(2);
    for _ in 0..20_000 {
        let plan = picker.pick(&mut rng).unwrap();
        *rendezvous.entry(plan.rendezvous.id).or_default() += 1;
        *first.entry(plan.lanes[2].hops[1].id).or_default() += 1;
    }
    // Twenty other relays, a thousand times each; standard deviation 31.
    for counts in [rendezvous, first] {
        assert_eq!(counts.len(), 20);
        assert!(
            counts.values().all(|count| count.abs_diff(1_000) < 155),
            "{counts:?}"
        );
    }
}

#[test]
fn lanes_of_one_envelope_differ_in_length() {
    let snapshot = unrelated_relays(Profile::Main, 60);
    let rules = PathRules::new(3, 3).unwrap();
    for seed in 0..100 {
        let plan = pick(&snapshot, rules, &alone(outsider()), seed).unwrap();
        let lengths: BTreeSet<_> = plan.lanes.iter().map(|lane| lane.hops.len()).collect();
        assert!(lengths.len() >= 2);
    }
    let fixed = PathRules::new(4, 3).unwrap().with_fixed_length();
    let plan = pick(&snapshot, fixed, &alone(outsider()), 1).unwrap();
    assert!(plan.lanes.iter().all(|lane| lane.hops.len() == 5));
}

#[test]
fn equal_seeds_give_equal_paths() {
    let snapshot = unrelated_relays(Profile::Main, 30);
    let rules = PathRules::new(3, 3).unwrap();
    let ids = |seed| {
        let plan = pick(&snapshot, rules, &alone(outsider()), seed).unwrap();
        let hops = plan.lanes.into_iter().flat_map(|lane| lane.hops);
        hops.map(|hop| hop.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
}

#[test]
fn path_search_is_bounded_on_hostile_directories() {
    // Two thousand relays in two subnets: three unrelated relays for a lane do not exist.
    let relays = (0..2_000).map(|number| relay(number, &[subnet(number % 2)], &[]));
    let snapshot = Snapshot::new(crate::world::EPOCH, Profile::Main, false, relays);
    let rules = PathRules::new(3, 3).unwrap();
    let refusal = pick(&snapshot, rules, &alone(outsider()), 1).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.needed, refusal.known),
        (PathRule::Middles, 6, 0)
    );

    // Many lanes, and each relay has only one unrelated partner: the search must stop at its step
    // limit.
    let relays =
        (0..400).map(|number| relay(number, &[subnet(number % 3), subnet(100 + number % 7)], &[]));
    let snapshot = Snapshot::new(crate::world::EPOCH, Profile::Main, false, relays);
    let rules = PathRules::new(5, 16).unwrap();
    let refusal = pick(&snapshot, rules, &alone(outsider()), 1).unwrap_err();
    assert_eq!(refusal.rule, PathRule::Middles);
}

#[test]
fn debug_output_contains_no_relay_id() {
    let snapshot = unrelated_relays(Profile::Main, 30);
    let exclusions = alone(outsider());
    let mut guards = seeded_guards(1, outsider());
    let guard = guards.choose(NOW, &snapshot, 0).unwrap();
    let rules = PathRules::new(3, 3).unwrap();
    let picker = PathPicker::new(&snapshot, rules, guard, &exclusions).unwrap();
    let plan = picker.pick(&mut rng(1)).unwrap();
    assert_eq!(format!("{:?}", plan.lanes[0]), "PathLane([redacted])");
    let shown = format!("{plan:?} {picker:?} {exclusions:?} {guard:?}");
    for hop in plan.lanes.iter().flat_map(|lane| &lane.hops) {
        let start: String = hop.id.short().to_string().chars().take(8).collect();
        assert!(!shown.contains(&start), "{shown}");
    }
}
