//! Mixing paths: the rules on random directories, and the distribution of every position.

use std::collections::BTreeMap;

use circuits::cell_builder::Hop;
use circuits::directory::{EligibleRelay, EndpointKinds, RelayEndpoint, Snapshot};
use circuits::ids::{Profile, RelayId};
use circuits::mixing::Layer;
use circuits::path::{LoopEnd, MixPath, MixPaths, PathRefusal, PathRule};
use proptest::prelude::*;

use crate::world::{
    EPOCH, NOW, id, outsider, related, relay, rng, seeded_guards, subnet, unrelated_relays,
};

/// Paths with the mixing guard of `seed`.
fn paths(snapshot: &Snapshot, own: RelayId, seed: u8) -> Result<MixPaths, PathRefusal> {
    let mut guards = seeded_guards(seed, own).for_mixing();
    MixPaths::new(snapshot, guards.choose(NOW, snapshot, 0)?, own)
}

/// Checks the rules of a path, implemented from their text.
fn assert_keeps_the_rules(path: &MixPath, snapshot: &Snapshot, paths: &MixPaths, own: RelayId) {
    assert_eq!(path.relays[0].id, paths.guard());
    let rendezvous = path.rendezvous.id;
    for (position, hop) in path.relays.iter().enumerate() {
        let relay = snapshot.get(&hop.id).unwrap();
        assert_eq!(relay.layer.index(), position);
        assert_ne!(hop.id, own, "this node is only the rendezvous");
        let next = path
            .relays
            .get(position + 1)
            .map_or(rendezvous, |hop| hop.id);
        assert!(relay.can_dial(snapshot.get(&next).unwrap()));
        for other in &path.relays[..position] {
            assert!(!related(snapshot, hop.id, other.id));
        }
        if position > 0 {
            assert_ne!(hop.id, rendezvous);
            assert!(!related(snapshot, hop.id, rendezvous));
        }
    }
    let bits = snapshot.get(&rendezvous).unwrap().ticket_bits;
    assert_eq!(path.ticket_bits, bits);
}

/// Whether any path exists, by trying all of them.
fn exists(snapshot: &Snapshot, guard: RelayId, own: RelayId) -> bool {
    fn extend(snapshot: &Snapshot, path: &mut Vec<RelayId>, own: RelayId, last: RelayId) -> bool {
        let before = snapshot.get(&path[path.len() - 1]).unwrap();
        if path.len() == Layer::COUNT {
            return before.can_dial(snapshot.get(&last).unwrap());
        }
        snapshot.relays().iter().any(|relay| {
            let one = relay.hop.id;
            let fits = relay.layer.index() == path.len()
                && one != own
                && one != last
                && before.can_dial(relay)
                && !related(snapshot, one, last)
                && !path.iter().any(|other| related(snapshot, one, *other));
            if !fits {
                return false;
            }
            path.push(one);
            let is_found = extend(snapshot, path, own, last);
            path.pop();
            is_found
        })
    }
    let relays = snapshot.relays().iter();
    relays
        .map(|relay| relay.hop.id)
        .any(|last| extend(snapshot, &mut vec![guard], own, last))
}

/// A directory in which relays share subnets and families, and some dial onion services only.
fn crowded(profile: Profile) -> impl Strategy<Value = Snapshot> {
    let one = (
        0_u16..12,
        0_u8..8,
        proptest::collection::vec(0_u16..16, 0..2),
    );
    proptest::collection::vec(one, 0..16).prop_map(move |relays| {
        let relays = relays
            .iter()
            .zip(0..)
            .map(|((net, kinds, family), number)| {
                let mut relay = relay(number, &[subnet(*net)], family);
                if *kinds == 0 {
                    relay.endpoints = EndpointKinds::of(&[RelayEndpoint::Onion([7; 32], 1)]);
                }
                if *kinds < 4 {
                    relay.dials = EndpointKinds::ALL;
                }
                relay
            });
        Snapshot::new(EPOCH, profile, false, relays)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn drawn_path_keeps_every_rule_and_a_refusal_means_that_none_exists(
        snapshot in prop_oneof![crowded(Profile::Main), crowded(Profile::Local)],
        own in prop_oneof![Just(outsider()), (0_u16..16).prop_map(id)],
        seed: u8,
    ) {
        let mut guards = seeded_guards(seed, own).for_mixing();
        let Ok(guard) = guards.choose(NOW, &snapshot, 0) else {
            let is_first = |relay: &EligibleRelay| relay.layer == Layer::FIRST;
            let mut others = snapshot.relays().iter().filter(|relay| relay.hop.id != own);
            prop_assert!(!others.any(is_first));
            return Ok(());
        };
        let guard_id = guard.relay().hop.id;
        let drawn = MixPaths::new(&snapshot, guard, own)
            .and_then(|paths| Ok((paths.draw(&mut rng(seed))?, paths)));
        match drawn {
            Ok((path, paths)) => assert_keeps_the_rules(&path, &snapshot, &paths, own),
            Err(refusal) => {
                prop_assert_eq!(refusal.rule, PathRule::Layers);
                prop_assert!(!exists(&snapshot, guard_id, own));
            }
        }
    }
}

/// Chi-square of counts against one expected number.
fn chi_square(counts: impl IntoIterator<Item = u32>, expected: f64) -> f64 {
    let square = |count| (f64::from(count) - expected).powi(2) / expected;
    counts.into_iter().map(square).sum()
}

const DRAWS: u32 = 12_000;

#[test]
fn rendezvous_is_uniform_over_all_relays_this_node_and_its_guard_included() {
    let snapshot = unrelated_relays(Profile::Main, 60);
    let own = id(17);
    let paths = paths(&snapshot, own, 3).unwrap();
    let (mut rng, mut counts) = (rng(3), BTreeMap::<_, u32>::new());
    for _ in 0..DRAWS {
        let path = paths.draw(&mut rng).unwrap();
        assert_keeps_the_rules(&path, &snapshot, &paths, own);
        *counts.entry(path.rendezvous.id).or_default() += 1;
    }
    assert_eq!(counts.len(), 60);
    // An exclusion of this node or its guard would leave a candidate less.
    assert!(counts.contains_key(&own) && counts.contains_key(&paths.guard()));
    // 59 degrees of freedom: above 98.3 in one case of 1,000.
    let statistic = chi_square(counts.into_values(), f64::from(DRAWS) / 60.0);
    assert!(statistic < 98.3, "{statistic}");
}

#[test]
fn every_relay_of_a_layer_is_drawn_equally_often() {
    let snapshot = unrelated_relays(Profile::Main, 60);
    let paths = paths(&snapshot, outsider(), 4).unwrap();
    let (mut rng, mut counts) = (rng(4), BTreeMap::<_, u32>::new());
    for _ in 0..DRAWS {
        let path = paths.draw(&mut rng).unwrap();
        for hop in &path.relays[1..] {
            *counts.entry(hop.id).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 48, "twelve relays in each of four layers");
    // 44 degrees of freedom: above 78.7 in one case of 1,000.
    let statistic = chi_square(counts.into_values(), f64::from(DRAWS) / 12.0);
    assert!(statistic < 78.7, "{statistic}");
}

#[test]
fn middles_are_uniform_over_the_choices_that_fit() {
    // Layers 2 and 3 have two relays each, of which one pair shares a subnet; the others have one.
    let nets = [(0, 0), (1, 1), (2, 1), (3, 3), (4, 4), (6, 6), (7, 7)];
    let relays = nets.map(|(number, net)| relay(number, &[subnet(net)], &[]));
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, relays);
    let paths = paths(&snapshot, outsider(), 5).unwrap();
    let (mut rng, mut counts) = (rng(5), BTreeMap::<_, u32>::new());
    let mut total = 0;
    while total < DRAWS {
        let path = paths.draw(&mut rng).unwrap();
        // The rendezvous takes a choice away, unless it is the guard.
        if path.rendezvous.id == paths.guard() {
            total += 1;
            let pair = (path.relays[1].id, path.relays[2].id);
            *counts.entry(pair).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 3);
    // Two degrees of freedom: above 13.8 in one case of 1,000.
    let statistic = chi_square(counts.into_values(), f64::from(DRAWS) / 3.0);
    assert!(statistic < 13.8, "{statistic}");
}

#[test]
fn converging_paths_share_only_guard_and_rendezvous_by_design() {
    let snapshot = unrelated_relays(Profile::Main, 60);
    let paths = paths(&snapshot, outsider(), 6).unwrap();
    let drawn = paths.draw_converging(12, &mut rng(6)).unwrap();
    assert_eq!(drawn.len(), 12);
    let first = drawn[0].rendezvous.id;
    assert!(drawn.iter().all(|path| path.rendezvous.id == first));
    let mut thirds: Vec<_> = drawn.iter().map(|path| path.relays[2].id).collect();
    thirds.sort_unstable();
    thirds.dedup();
    assert!(thirds.len() > 4, "middles are drawn for every path");
}

#[test]
fn client_loop_returns_through_the_guard() {
    let snapshot = unrelated_relays(Profile::Main, 60);
    let paths = paths(&snapshot, outsider(), 7).unwrap();
    let mut rng = rng(7);
    for _ in 0..200 {
        let hops = paths.draw_loop(LoopEnd::ThroughGuard, &mut rng).unwrap();
        let ids = hops.map(|hop| hop.id);
        assert_eq!((ids[0], ids[4]), (paths.guard(), paths.guard()));
        let layer = |hop: &Hop| snapshot.get(&hop.id).unwrap().layer.index();
        assert_eq!([1, 2, 3].map(|place| layer(&hops[place])), [1, 2, 3]);
    }
    assert!(!paths.lists_own());
    assert!(paths.draw_loop(LoopEnd::Relay, &mut rng).is_err());
}

#[test]
fn relay_loop_has_the_path_of_a_cell_whose_rendezvous_is_this_node() {
    let snapshot = unrelated_relays(Profile::Main, 60);
    let own = id(21);
    let paths = paths(&snapshot, own, 8).unwrap();
    assert!(paths.lists_own());
    let mut rng = rng(8);
    for _ in 0..200 {
        let relays = paths.draw_loop(LoopEnd::Relay, &mut rng).unwrap();
        let end = snapshot.get(&own).unwrap();
        let path = MixPath {
            relays,
            rendezvous: end.hop,
            ticket_bits: end.ticket_bits,
        };
        assert_keeps_the_rules(&path, &snapshot, &paths, own);
    }
}

#[test]
fn local_network_of_five_relays_has_a_path_for_a_client() {
    let snapshot = unrelated_relays(Profile::Local, 5);
    let paths = paths(&snapshot, outsider(), 9).unwrap();
    // The only relay of the first layer is the guard and the rendezvous.
    let path = paths.draw(&mut rng(9)).unwrap();
    assert_eq!(path.rendezvous.id, paths.guard());
    // A relay among five is missing from its own layer.
    let own = id(2);
    let refusal = MixPaths::new(
        &snapshot,
        seeded_guards(9, own)
            .for_mixing()
            .choose(NOW, &snapshot, 0)
            .unwrap(),
        own,
    );
    let refusal = refusal.unwrap_err();
    assert_eq!((refusal.rule, refusal.known), (PathRule::Layers, 4));
    let text = refusal.to_string();
    assert!(text.contains("4 of 5"), "{text}");
}
