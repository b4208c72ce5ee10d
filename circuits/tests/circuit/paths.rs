//! Paths of circuits, and their second hops.

use std::collections::BTreeSet;

use circuits::cell_builder::Hop;
use circuits::directory::{EligibleRelay, EndpointKinds, Snapshot, Subnet};
use circuits::ids::{Epoch, Profile, RelayId};
use circuits::keys::OnionSecret;
use circuits::mixing::{ArrivalRate, Layer};
use circuits::path::{
    GuardSeed, Guards, PathExclusions, PathPicker, PathRule, PathRules, SecondHops,
};
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const OWN: RelayId = RelayId([0xff; 32]);
const NOW: UnixSecs = UnixSecs(1_728_000_000);

fn relay(number: u8, subnet: u8) -> EligibleRelay {
    EligibleRelay {
        hop: Hop {
            id: RelayId([number; 32]),
            onion: *OnionSecret::from_secret(Secret::init_with(|key| key.fill(1))).public(),
        },
        subnets: vec![Subnet::Ip4([8, subnet])],
        endpoints: EndpointKinds::IP,
        dials: EndpointKinds::IP,
        family: Vec::new(),
        layer: Layer::FIRST,
        arrivals: ArrivalRate::NONE,
        ticket_bits: 17,
    }
}

fn snapshot(relays: impl IntoIterator<Item = u8>) -> Snapshot {
    let relays = relays.into_iter().map(|number| relay(number, number));
    Snapshot::new(Epoch(40_000), Profile::Main, false, relays)
}

fn seed(byte: u8) -> GuardSeed {
    GuardSeed(Secret::init_with(|seed| seed.fill(byte)))
}

fn exclusions() -> PathExclusions {
    PathExclusions {
        own: OWN,
        own_subnets: Vec::new(),
        peers: BTreeSet::new(),
    }
}

#[test]
fn circuit_path_is_guard_then_one_of_four_then_middles_then_last_relay() {
    let snapshot = snapshot(0..40);
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let exclusions = exclusions();
    for node in 0..20 {
        let mut guards = Guards::new(seed(node), OWN);
        let guard = guards.choose(NOW, &snapshot, 0).unwrap();
        let mut second_hops = SecondHops::new(seed(node), OWN);
        assert!(second_hops.refresh(&snapshot, guard));
        assert_eq!(second_hops.members().len(), 4);
        let rules = PathRules::new(3, 3).unwrap();
        let picker = PathPicker::new(&snapshot, rules, guard, &exclusions).unwrap();
        let mut seconds = BTreeSet::new();
        for _ in 0..60 {
            let last = picker.pick_meeting_relays(1, &mut rng)[0];
            assert!(picker.may_meet_at(&last) && last != guard.relay().hop.id);
            let hops = picker.pick_circuit(&last, &second_hops, &mut rng).unwrap();
            let ids: Vec<_> = hops.iter().map(|hop| hop.id).collect();
            assert_eq!((ids.len(), ids[0], ids[3]), (4, guard.relay().hop.id, last));
            assert!(second_hops.members().contains(&ids[1]));
            seconds.insert(ids[1]);
            let different: BTreeSet<_> = ids.iter().collect();
            assert_eq!(different.len(), 4, "a relay is on the path twice");
            assert!(!ids.contains(&OWN));
        }
        assert_eq!(seconds.len(), 4, "all four are used");
    }
}

#[test]
fn second_hops_stay_when_relays_join_and_only_the_lost_one_is_replaced() {
    let mut guards = Guards::new(seed(7), OWN);
    let small = snapshot(0..30);
    let guard = guards.choose(NOW, &small, 0).unwrap().relay().hop.id.0[0];
    let mut second_hops = SecondHops::new(seed(7), OWN);
    second_hops.refresh(&small, guards.choose(NOW, &small, 0).unwrap());
    let before = second_hops.members().to_vec();

    let large = snapshot(0..200);
    assert!(!second_hops.refresh(&large, guards.choose(NOW, &large, 0).unwrap()));
    assert_eq!(second_hops.members(), before);

    let lost = before[1];
    let less = snapshot((0..200).filter(|number| RelayId([*number; 32]) != lost));
    assert!(less.get(&RelayId([guard; 32])).is_some());
    assert!(second_hops.refresh(&less, guards.choose(NOW, &less, 0).unwrap()));
    let after = second_hops.members();
    assert_eq!(after.len(), 4);
    assert_eq!(after.iter().filter(|id| before.contains(id)).count(), 3);

    let mut restored = SecondHops::new(seed(7), OWN);
    restored.import(&second_hops.export());
    assert_eq!(restored.members(), after);
    restored.import(&[1, 2, 3]);
    assert!(restored.members().is_empty());
}

#[test]
fn second_hops_depend_on_the_seed() {
    let snapshot = snapshot(0..100);
    let mut sets = BTreeSet::new();
    for node in 0..30 {
        let mut guards = Guards::new(seed(node), OWN);
        let mut second_hops = SecondHops::new(seed(node), OWN);
        second_hops.refresh(&snapshot, guards.choose(NOW, &snapshot, 0).unwrap());
        sets.insert(second_hops.members().to_vec());
    }
    assert_eq!(sets.len(), 30);
}

#[test]
fn circuit_is_refused_with_the_rule_that_fails() {
    let snapshot = snapshot(0..10);
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut guards = Guards::new(seed(1), OWN);
    let guard = guards.choose(NOW, &snapshot, 0).unwrap();
    let mut exclusions = exclusions();
    let mut ids = snapshot.relays().iter().map(|relay| relay.hop.id);
    let peer = ids.rfind(|id| *id != guard.relay().hop.id).unwrap();
    exclusions.peers.insert(peer);
    let rules = PathRules::new(3, 3).unwrap();
    let picker = PathPicker::new(&snapshot, rules, guard, &exclusions).unwrap();
    let mut second_hops = SecondHops::new(seed(1), OWN);
    let other = picker.pick_meeting_relays(1, &mut rng)[0];
    let refusal = picker
        .pick_circuit(&other, &second_hops, &mut rng)
        .unwrap_err();
    assert_eq!(refusal.rule, PathRule::SecondHop);
    second_hops.refresh(&snapshot, guard);
    for refused in [peer, guard.relay().hop.id, RelayId([0xee; 32])] {
        assert!(!picker.may_meet_at(&refused));
        let refusal = picker
            .pick_circuit(&refused, &second_hops, &mut rng)
            .unwrap_err();
        assert_eq!(refusal.rule, PathRule::Rendezvous);
    }
    assert!(picker.pick_circuit(&other, &second_hops, &mut rng).is_ok());
}
