//! Path choice with the few relays of a demonstration (spec M18): rules that hold, rules that are
//! relaxed and reported, and the minimum number of relays.

use std::collections::BTreeSet;

use circuits::directory::Snapshot;
use circuits::ids::Profile;
use circuits::path::{PathExclusions, PathPlan, PathRule, PathRules};

use crate::world::{
    alone, assert_keeps_the_rules, id, outsider, pick, relay, subnet, unrelated_relays,
};

fn lengths(plan: &PathPlan) -> BTreeSet<usize> {
    plan.lanes.iter().map(|lane| lane.hops.len() - 1).collect()
}

fn normal() -> PathRules {
    PathRules::new(3, 3).unwrap()
}

#[test]
fn twelve_relays_give_disjoint_lanes_of_three_four_and_five() {
    let snapshot = unrelated_relays(Profile::Local, 12);
    // The sender is one of the twelve relays.
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let plan = pick(&snapshot, normal(), &alone(id(5)), seed).unwrap();
        assert_keeps_the_rules(&plan, &snapshot, normal(), &alone(id(5)));
        assert!(!plan.relaxed.disjointness);
        assert!(lengths(&plan).len() >= 2);
        seen.insert(lengths(&plan));
    }
    assert!(
        seen.contains(&[3, 4, 5].into()),
        "eleven other relays suffice for all three lengths"
    );
}

#[test]
fn eight_other_relays_give_equal_lane_lengths() {
    let snapshot = unrelated_relays(Profile::Local, 8);
    for seed in 0..50 {
        let plan = pick(&snapshot, normal(), &alone(outsider()), seed).unwrap();
        assert_eq!(lengths(&plan), [3].into());
        assert!(!plan.relaxed.disjointness);
    }
}

#[test]
fn seven_other_relays_share_middles_and_report_it() {
    let snapshot = unrelated_relays(Profile::Local, 8);
    for seed in 0..50 {
        let plan = pick(&snapshot, normal(), &alone(id(0)), seed).unwrap();
        assert_keeps_the_rules(&plan, &snapshot, normal(), &alone(id(0)));
        assert!(plan.relaxed.disjointness);
        assert!(
            lengths(&plan).len() >= 2,
            "shared middles must allow lengths to vary"
        );
    }
}

#[test]
fn shared_middles_use_every_available_relay() {
    let snapshot = unrelated_relays(Profile::Local, 7);
    let rules = normal().with_fixed_length();
    for seed in 0..50 {
        let plan = pick(&snapshot, rules, &alone(outsider()), seed).unwrap();
        let middles = plan.lanes.iter().flat_map(|lane| &lane.hops[1..3]);
        let different: BTreeSet<_> = middles.map(|hop| hop.id).collect();
        assert_eq!(
            different.len(),
            5,
            "six middles of five relays: one relay must appear twice"
        );
    }
}

#[test]
fn main_profile_refuses_seven_relays() {
    let snapshot = unrelated_relays(Profile::Main, 7);
    let refusal = pick(&snapshot, normal(), &alone(outsider()), 1).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.needed, refusal.known),
        (PathRule::Relays, 8, 7)
    );
    assert_eq!(
        refusal.to_string(),
        "needs at least 8 eligible relays, 7 known"
    );
}

#[test]
fn three_relays_are_too_few_for_three_hops_and_rendezvous() {
    let snapshot = unrelated_relays(Profile::Local, 3);
    let refusal = pick(&snapshot, normal(), &alone(outsider()), 1).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.needed, refusal.known),
        (PathRule::Relays, 4, 3)
    );
    assert_eq!(
        refusal.to_string(),
        "needs at least 4 eligible relays, 3 known"
    );
    // Four relays suffice, with lanes of one length and shared middles.
    let snapshot = unrelated_relays(Profile::Local, 4);
    let plan = pick(&snapshot, normal(), &alone(outsider()), 1).unwrap();
    assert!(plan.relaxed.disjointness);
    assert_eq!(lengths(&plan), [3].into());
}

#[test]
fn local_profile_lifts_subnet_rule_but_not_family_rule() {
    let one_machine = (0..12).map(|number| relay(number, &[subnet(0)], &[]));
    let snapshot = Snapshot::new(crate::world::EPOCH, Profile::Local, false, one_machine);
    let mut exclusions = alone(outsider());
    exclusions.own_subnets = vec![subnet(0)];
    assert!(pick(&snapshot, normal(), &exclusions, 1).is_ok());

    let all: Vec<_> = (0..12).collect();
    let one_family = (0..12).map(|number| relay(number, &[subnet(0)], &all));
    let snapshot = Snapshot::new(crate::world::EPOCH, Profile::Local, false, one_family);
    let refusal = pick(&snapshot, normal(), &alone(outsider()), 1).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.removed.guard_family),
        (PathRule::Rendezvous, 11)
    );
}

#[test]
fn local_profile_lifts_minimum_size_and_age() {
    let snapshot = crate::world::young(&unrelated_relays(Profile::Local, 12));
    let rules = normal().with_min_network(50, 20).requiring_settled();
    assert!(pick(&snapshot, rules, &alone(outsider()), 1).is_ok());
}

#[test]
fn rendezvous_may_be_peer_only_if_all_relays_are_peers() {
    let snapshot = unrelated_relays(Profile::Local, 12);
    let some = PathExclusions {
        peers: (0..9).map(id).collect(),
        ..alone(outsider())
    };
    for seed in 0..50 {
        let plan = pick(&snapshot, normal(), &some, seed).unwrap();
        assert!(!plan.relaxed.peers);
        assert!(!some.peers.contains(&plan.rendezvous.id));
    }
    let all = PathExclusions {
        peers: (0..12).map(id).collect(),
        ..alone(outsider())
    };
    let plan = pick(&snapshot, normal(), &all, 1).unwrap();
    assert!(plan.relaxed.peers);
    assert_keeps_the_rules(&plan, &snapshot, normal(), &all);
}
