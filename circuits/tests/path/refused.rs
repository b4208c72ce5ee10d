//! Refusals: the rule, the missing number, and the relays that other rules removed.

use circuits::directory::{Snapshot, Subnet};
use circuits::ids::Profile;
use circuits::path::{BadPathRules, PathExclusions, PathPicker, PathRule, PathRules};

use crate::world::{
    EPOCH, NOW, alone, id, outsider, pick, relay, rng, seeded_guards, subnet, unrelated_relays,
    young,
};

fn rules() -> PathRules {
    PathRules::new(3, 3).unwrap()
}

#[test]
fn path_rules_beyond_cell_capacity_are_refused() {
    assert_eq!(PathRules::new(0, 3).unwrap_err(), BadPathRules::Floor);
    assert_eq!(PathRules::new(6, 3).unwrap_err(), BadPathRules::Floor);
    assert_eq!(PathRules::new(3, 0).unwrap_err(), BadPathRules::Lanes);
    assert_eq!(PathRules::new(3, 17).unwrap_err(), BadPathRules::Lanes);
}

#[test]
fn empty_directory_has_no_guard() {
    let snapshot = unrelated_relays(Profile::Main, 0);
    let refusal = pick(&snapshot, rules(), &alone(outsider()), 1).unwrap_err();
    assert_eq!(refusal.rule, PathRule::Guard);
    assert_eq!(refusal.to_string(), "the guard is not in the directory");
}

#[test]
fn minimum_network_size_is_enforced() {
    let demanding = rules().with_min_network(50, 20);
    let snapshot = unrelated_relays(Profile::Main, 49);
    let refusal = pick(&snapshot, demanding, &alone(outsider()), 1).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "needs at least 50 eligible relays, 49 known"
    );

    let crowded = (0..60).map(|number| relay(number, &[subnet(number % 19)], &[]));
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, crowded);
    let refusal = pick(&snapshot, demanding, &alone(outsider()), 1).unwrap_err();
    let shown = refusal.to_string();
    assert!(
        shown.starts_with("needs eligible relays in at least 20 subnets, 19 known (of 60 relays, "),
        "{shown}"
    );
    assert!(shown.ends_with(" in the guard's subnet)"), "{shown}");
}

#[test]
fn own_relay_does_not_count() {
    let snapshot = unrelated_relays(Profile::Main, 8);
    assert!(pick(&snapshot, rules(), &alone(outsider()), 1).is_ok());
    let refusal = pick(&snapshot, rules(), &alone(id(3)), 1).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.needed, refusal.known),
        (PathRule::Relays, 8, 7)
    );
}

#[test]
fn young_directory_is_refused_by_settled_only_rule() {
    let snapshot = young(&unrelated_relays(Profile::Main, 60));
    assert!(pick(&snapshot, rules(), &alone(outsider()), 1).is_ok());
    let refusal = pick(
        &snapshot,
        rules().requiring_settled(),
        &alone(outsider()),
        1,
    )
    .unwrap_err();
    assert_eq!(refusal.rule, PathRule::Young);
    assert_eq!(refusal.to_string(), "needs a directory that is a day old");
}

#[test]
fn peer_is_never_rendezvous_on_main() {
    let snapshot = unrelated_relays(Profile::Main, 12);
    let all_but_one = PathExclusions {
        peers: (0..12).filter(|number| *number != 7).map(id).collect(),
        ..alone(outsider())
    };
    // For every guard, one relay remains as rendezvous, unless it is the guard itself.
    for seed in 0..20 {
        match pick(&snapshot, rules(), &all_but_one, seed) {
            Ok(plan) => assert_eq!(plan.rendezvous.id, id(7)),
            Err(refusal) => assert_eq!(refusal.rule, PathRule::Rendezvous),
        }
    }
    let all = PathExclusions {
        peers: (0..12).map(id).collect(),
        ..alone(outsider())
    };
    let refusal = pick(&snapshot, rules(), &all, 1).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "needs at least 1 relay that may be the rendezvous, 0 known (of 12 relays, 11 connected as peers)"
    );
}

#[test]
fn rendezvous_is_never_in_own_subnet() {
    let near = (0..6).map(|number| relay(number, &[subnet(number)], &[]));
    let far = (6..12).map(|number| relay(number, &[subnet(number), Subnet::Ip6([1; 4])], &[]));
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, near.chain(far));
    let exclusions = PathExclusions {
        own_subnets: (0..6).map(subnet).collect(),
        ..alone(outsider())
    };
    for seed in 0..50 {
        if let Ok(plan) = pick(&snapshot, rules(), &exclusions, seed) {
            assert!(plan.rendezvous.id >= id(6));
        }
    }
}

#[test]
fn scattering_needs_one_rendezvous_per_shard() {
    let snapshot = unrelated_relays(Profile::Main, 20);
    let one_lane = PathRules::new(5, 1).unwrap();
    let exclusions = alone(outsider());
    let mut guards = seeded_guards(1, outsider());
    let guard = guards.choose(NOW, &snapshot, 0).unwrap();
    let picker = PathPicker::new(&snapshot, one_lane, guard, &exclusions).unwrap();
    assert_eq!(picker.pick_scattered(19, &mut rng(1)).unwrap().len(), 19);
    let refusal = picker.pick_scattered(20, &mut rng(1)).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.needed, refusal.known),
        (PathRule::Rendezvous, 20, 19)
    );
}

#[test]
fn picker_counts_relays_removed_by_each_rule() {
    let relays = (0..20).map(|number| {
        let family: &[u16] = if number < 4 { &[0, 1, 2, 3] } else { &[] };
        relay(number, &[subnet(number / 2)], family)
    });
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, relays);
    let exclusions = PathExclusions {
        own_subnets: vec![subnet(9)],
        peers: [id(10), id(11)].into(),
        ..alone(id(16))
    };
    let mut guards = seeded_guards(1, id(16));
    guards.pin(Some(id(0)));
    let guard = guards.choose(NOW, &snapshot, 0).unwrap();
    let picker = PathPicker::new(&snapshot, rules(), guard, &exclusions).unwrap();
    let removed = picker.removed();
    assert_eq!((removed.known, removed.own, removed.guard), (20, 1, 1));
    assert_eq!((removed.guard_subnet, removed.guard_family), (1, 2));
    assert_eq!((removed.own_subnet, removed.peers), (2, 2));
}
