//! No path asks a relay to dial what it cannot: onion services without Tor.

use circuits::directory::{EligibleRelay, EndpointKinds, RelayEndpoint, Snapshot, Subnet};
use circuits::ids::Profile;
use circuits::path::{PathPicker, PathRule, PathRules};

use crate::world::{EPOCH, NOW, alone, id, outsider, relay, rng, seeded_guards, subnet};

fn onion() -> EndpointKinds {
    EndpointKinds::of(&[RelayEndpoint::Onion([7; 32], 1)])
}

/// A relay without Tor.
fn clear(number: u16) -> EligibleRelay {
    relay(number, &[subnet(number)], &[])
}

/// A relay with an address that dials through Tor.
fn through_tor(number: u16) -> EligibleRelay {
    EligibleRelay {
        dials: EndpointKinds::ALL,
        ..clear(number)
    }
}

/// A relay with an onion service only.
fn hidden(number: u16) -> EligibleRelay {
    EligibleRelay {
        endpoints: onion(),
        dials: EndpointKinds::ALL,
        ..relay(number, &[Subnet::Onion], &[])
    }
}

#[test]
fn no_relay_of_a_path_has_to_dial_what_it_cannot() {
    let relays = (0..30).map(|number| match number % 3 {
        0 => clear(number),
        1 => through_tor(number),
        _ => hidden(number),
    });
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, relays);
    let rules = PathRules::new(3, 3).unwrap();
    let (mut hidden_hops, mut hidden_ends) = (0, 0);
    for seed in 0..=255 {
        let mut guards = seeded_guards(seed, outsider());
        let guard = guards.choose(NOW, &snapshot, 0).unwrap();
        let exclusions = alone(outsider());
        let picker = PathPicker::new(&snapshot, rules, guard, &exclusions).unwrap();
        let plan = picker.pick(&mut rng(seed)).unwrap();
        for lane in &plan.lanes {
            let hops: Vec<_> = lane.hops.iter().collect();
            for pair in hops.windows(2) {
                let (one, next) = (
                    snapshot.get(&pair[0].id).unwrap(),
                    snapshot.get(&pair[1].id).unwrap(),
                );
                assert!(one.can_dial(next), "seed {seed}");
                hidden_hops += usize::from(next.endpoints == onion());
            }
            let last = snapshot.get(&lane.hops.last().unwrap().id).unwrap();
            hidden_ends += usize::from(last.endpoints == onion());
        }
    }
    // Relays with onion services only are used where others can dial them.
    assert!(hidden_hops > hidden_ends && hidden_ends > 0);
}

#[test]
fn guard_that_cannot_dial_any_middle_is_refused_with_the_rule() {
    let relays = (0..12).map(|number| match number {
        0 => clear(0),
        _ => hidden(number),
    });
    let snapshot = Snapshot::new(EPOCH, Profile::Local, false, relays);
    let mut guards = seeded_guards(1, outsider());
    guards.pin(Some(id(0)));
    let guard = guards.choose(NOW, &snapshot, 0).unwrap();
    let (rules, exclusions) = (PathRules::new(3, 3).unwrap(), alone(outsider()));
    let picker = PathPicker::new(&snapshot, rules, guard, &exclusions).unwrap();
    let refusal = picker.pick(&mut rng(1)).unwrap_err();
    assert_eq!(
        (refusal.rule, refusal.needed, refusal.known),
        (PathRule::Dialling, 6, 0)
    );
    assert!(refusal.to_string().contains("dials no onion service"));
}

#[test]
fn small_network_finds_the_one_order_in_which_relays_can_dial_each_other() {
    // Only the relay through Tor can dial the hidden one.
    let relays = [clear(0), through_tor(1), hidden(2), clear(3)];
    let snapshot = Snapshot::new(EPOCH, Profile::Local, false, relays);
    let rules = PathRules::new(3, 1).unwrap().with_fixed_length();
    for seed in 0..=63 {
        let mut guards = seeded_guards(seed, outsider());
        guards.pin(Some(id(0)));
        let guard = guards.choose(NOW, &snapshot, 0).unwrap();
        let exclusions = alone(outsider());
        let picker = PathPicker::new(&snapshot, rules, guard, &exclusions).unwrap();
        let plan = picker.pick(&mut rng(seed)).unwrap();
        let hops = &plan.lanes[0].hops;
        let place = |number| hops.iter().position(|hop| hop.id == id(number)).unwrap();
        assert_eq!(place(1) + 1, place(2));
    }
}

#[test]
fn node_without_tor_has_no_guard_with_an_onion_service_only() {
    let mixed = (0..40).map(|number| match number % 2 {
        0 => clear(number),
        _ => hidden(number),
    });
    let mixed = Snapshot::new(EPOCH, Profile::Main, false, mixed);
    let none = Snapshot::new(EPOCH, Profile::Main, false, (0..5).map(hidden));
    for seed in 0..=63 {
        let mut guards = seeded_guards(seed, outsider()).that_dial(EndpointKinds::IP);
        let refusal = guards.choose(NOW, &none, 0).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the guard is not in the directory (of 5 relays, 5 that this node cannot dial)"
        );
        let guard = guards.choose(NOW, &mixed, 0).unwrap();
        assert_eq!(guard.relay().endpoints, EndpointKinds::IP);
        guards.pin(Some(id(1)));
        let refusal = guards.choose(NOW, &mixed, 0).unwrap_err();
        assert_eq!(refusal.rule, PathRule::DialPinnedGuard);
    }
}
