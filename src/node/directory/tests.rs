//! The directory without a node.

use circuits::directory::RelayEndpoint;
use circuits::level::Level;
use circuits::mixing::ArrivalRate;

use super::*;
use crate::node::fixture::{Fixture, START, peer_key};
use crate::node::jobs::Job;
use crate::node::output::Output;
use crate::node::peers::LinkPurpose;
use crate::node::send::LaneRelays;

const READY: RelayState = RelayState {
    can_stem: true,
    arrivals: ArrivalRate::NONE,
    ticket_bits: 17,
    clock_is_wrong: false,
};

fn puzzles(outputs: &[Output]) -> usize {
    let is_puzzle = |output: &&Output| matches!(output, Output::Work(_, Job::Puzzle(_)));
    outputs.iter().filter(is_puzzle).count()
}

fn turn(test: &mut Fixture, state: RelayState) -> Vec<Output> {
    let peers = &test.peers;
    test.directory
        .turn_epoch(&mut test.fx, START, &[], state, peers);
    test.fx.take_outputs()
}

#[test]
fn relay_makes_keys_for_two_epochs_and_starts_its_descriptor() {
    let mut test = Fixture::new(|_| {});
    assert_eq!(puzzles(&turn(&mut test, READY)), 1);
    let installed = test.fx.take_actions();
    let keys = installed
        .iter()
        .filter(|action| matches!(action, Action::InstallOnionKey(_)));
    assert_eq!(keys.count(), 2);
    assert_eq!(
        puzzles(&turn(&mut test, READY)),
        0,
        "one descriptor per epoch"
    );
}

#[test]
fn relay_without_a_stem_publishes_nothing() {
    let mut test = Fixture::new(|_| {});
    let state = RelayState {
        can_stem: false,
        ..READY
    };
    assert_eq!(puzzles(&turn(&mut test, state)), 0);
    let status = test
        .directory
        .publisher()
        .listing_status(START, false, false);
    assert!(status.starts_with("no: it needs two peers"), "{status}");
}

#[test]
fn relay_with_a_wrong_clock_publishes_nothing() {
    let mut test = Fixture::new(|_| {});
    let state = RelayState {
        clock_is_wrong: true,
        ..READY
    };
    assert_eq!(puzzles(&turn(&mut test, state)), 0);
    let publisher = test.directory.publisher();
    let status = publisher.listing_status(START, true, true);
    assert!(status.starts_with("no: the clock"), "{status}");
    // Set right, it publishes in the same epoch.
    assert_eq!(puzzles(&turn(&mut test, READY)), 1);
}

#[test]
fn draining_cancels_an_unfinished_descriptor() {
    let mut test = Fixture::new(|_| {});
    turn(&mut test, READY);
    let publisher = test.directory.publisher_mut();
    publisher.drain(&mut test.fx, START, true).unwrap();
    assert!(matches!(
        test.fx.take_outputs()[..],
        [Output::CancelWork(_)]
    ));
    assert_eq!(test.directory.publisher().drained_in(START), Some(0));
}

#[test]
fn node_that_is_no_relay_has_nothing_to_drain() {
    let mut test = Fixture::new(|config| config.relay = false);
    let publisher = test.directory.publisher_mut();
    assert!(publisher.drain(&mut test.fx, START, true).is_err());
}

#[test]
fn question_for_lanes_draws_nothing_from_the_generator() {
    use rand_core::Rng;
    let mut test = Fixture::new(|_| {});
    let rules = Level::Normal.rules();
    let mut untouched = Fixture::new(|_| {});
    let refused = test.directory.preview_lanes(START, rules, &test.peers);
    assert!(refused.is_err(), "there are no relays");
    assert_eq!(test.fx.rng().next_u64(), untouched.fx.rng().next_u64());
}

/// The list of relays is kept until something changes, and a report changes what a young directory may use.
#[test]
fn relays_are_usable_once_a_third_peer_has_reported_them() {
    let mut test = Fixture::new(|config| {
        config.profile = Profile::Main;
        config.danger_descriptor_effort = Some(1);
    });
    let epoch = Epoch::at(START.unix);
    let endpoint = RelayEndpoint::Ip4([9, 9, 9, 9].into(), 30_303);
    let both = [epoch.previous(), epoch].map(|epoch| test.descriptor(9, endpoint, epoch));
    let mut usable = Vec::new();
    for subnet in 1..=3 {
        let source = DescriptorSource::Peer {
            link: LinkId(subnet.into()),
            peer: ShortId([subnet; 16]),
            subnet: Subnet::Ip4([45, subnet]),
        };
        for descriptor in &both {
            let (directory, peers) = (&mut test.directory, &test.peers);
            let raw = descriptor.raw();
            assert!(directory.insert(&mut test.fx, START, source, None, raw, peers));
            assert!(!directory.insert(&mut test.fx, START, source, None, raw, peers));
        }
        // As every path and every count of relays does.
        usable.push(test.directory.refresh_snapshot(START).relays().len());
    }
    assert_eq!(usable, [0, 0, 1]);
}

#[test]
fn client_without_an_address_is_in_no_known_subnet() {
    let client = Fixture::new(|config| config.advertise = Vec::new());
    assert!(client.directory.own_subnets.is_empty());
}

#[test]
fn onion_service_is_dialled_through_tor_only() {
    for through_tor in [false, true] {
        let mut test = Fixture::new(|config| config.through_tor = through_tor);
        test.list_relay(9, RelayEndpoint::Onion([1; 32], 1));
        let address = test.directory.address_of(peer_key(9).id().short());
        assert_eq!(address.is_some(), through_tor);
    }
}

#[test]
fn guard_is_chosen_and_dialled_before_any_message() {
    let mut test = Fixture::new(|_| {});
    test.list_relay(9, RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1));
    let after = |secs| Now {
        mono: START.mono.after(Duration::from_secs(secs)),
        unix: START.unix,
    };
    let mut dials = Vec::new();
    for secs in [0, 5, 10, 15] {
        let (directory, peers) = (&mut test.directory, &test.peers);
        directory.turn_epoch(&mut test.fx, after(secs), &[], READY, peers);
        let actions = test.fx.take_actions();
        let to_guard = |action: &&Action| matches!(action, Action::Dial(_, LinkPurpose::Guard));
        dials.push(actions.iter().filter(to_guard).count());
    }
    // The list rests for five seconds first. A redial is due after a minute on average, so that chance
    // may bring one within ten seconds, and not one at every turn.
    assert_eq!(dials[..2], [0, 1]);
    assert!(dials[2..].iter().sum::<usize>() < 2, "{dials:?}");
}

/// A moment after the start.
fn after(secs: u64) -> Now {
    Now {
        mono: START.mono.after(Duration::from_secs(secs)),
        unix: START.unix.after(u32::try_from(secs).unwrap()),
    }
}

/// A client that knows `relays` relays, numbered from 10, and has chosen its guards.
fn client_of(relays: u8) -> Fixture {
    let mut test = Fixture::new(|config| config.relay = false);
    for number in 10..10 + relays {
        test.list_relay(number, RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1));
    }
    turn_at(&mut test, after(0));
    turn_at(&mut test, after(5));
    test
}

/// One turn; returns the relays that it dials as guards.
fn turn_at(test: &mut Fixture, now: Now) -> Vec<ShortId> {
    let (directory, peers) = (&mut test.directory, &test.peers);
    directory.turn_epoch(&mut test.fx, now, &[], RelayState::IDLE, peers);
    let actions = test.fx.take_actions();
    let dialled = |action: Action| match action {
        Action::Dial(peer, LinkPurpose::Guard) => Some(peer.key.id().short()),
        _ => None,
    };
    actions.into_iter().filter_map(dialled).collect()
}

#[test]
fn mixing_guard_is_in_the_first_layer_and_starts_every_path() {
    let test = client_of(20);
    let guard = test.directory.mixing_guard(after(5)).unwrap();
    let snapshot = test.directory.snapshot(after(5));
    let mut relays = snapshot.relays().iter();
    let relay = relays.find(|relay| relay.hop.id.short() == guard).unwrap();
    assert_eq!(relay.layer.index(), 0);
    assert!(test.directory.keeps_guard_link(guard));
    let (epoch, paths) = test.directory.mix_paths(after(5)).unwrap();
    assert_eq!((epoch, paths.guard().short()), (snapshot.epoch(), guard));
}

#[test]
fn mixing_guard_that_is_down_is_redialled_and_not_replaced_for_a_day() {
    let mut test = client_of(20);
    let guard = test.directory.mixing_guard(after(5)).unwrap();
    let (mut dials, mut others) = (0, 0);
    // Lane guards may be the backups of mixing; only what mixing wants counts.
    for minute in 1..(24 * 60) {
        let now = after(5 + minute * 60);
        test.directory.guard_failed(&mut test.fx, after(6), guard);
        test.fx.take_actions();
        for dialled in turn_at(&mut test, after(5 + minute * 60 + 55)) {
            dials += u32::from(dialled == guard);
        }
        // Directory entries of the epoch expire; the choice of the guard does not.
        others += u32::from(test.directory.mixing_guard(now) != Some(guard));
    }
    assert_eq!(others, 0, "another guard was used");
    assert!(dials > 300, "{dials} dials in a day");
    let backup = test.directory.mixing_guard(after(6 + 86_400));
    assert!(backup.is_some_and(|backup| backup != guard));
    test.directory.guard_answered(guard);
    assert_eq!(test.directory.mixing_guard(after(7 + 86_400)), Some(guard));
}

#[test]
fn lanes_without_an_echo_do_not_change_the_mixing_guard() {
    let mut test = client_of(20);
    let guard = test.directory.mixing_guard(after(5)).unwrap();
    for number in 0..30 {
        let relays = LaneRelays {
            guard,
            rendezvous: ShortId([number; 16]),
            middles: vec![ShortId([100 + number; 16])],
        };
        test.directory.on_lanes_silent(after(60).unix, relays);
    }
    assert_eq!(test.directory.mixing_guard(after(60)), Some(guard));
}

#[test]
fn dials_of_the_mixing_guard_do_not_depend_on_other_draws() {
    let mut dials = Vec::new();
    for draws in [0, 1_000] {
        let mut test = client_of(20);
        let guard = test.directory.mixing_guard(after(5)).unwrap();
        let mut bytes = vec![0; draws];
        rand_core::Rng::fill_bytes(test.fx.rng(), &mut bytes);
        rand_core::Rng::fill_bytes(test.fx.path_rng(), &mut bytes);
        let mut times = Vec::new();
        for secs in 6..900 {
            if turn_at(&mut test, after(secs)).contains(&guard) {
                times.push(secs);
            }
        }
        assert!(!times.is_empty());
        dials.push(times);
    }
    assert_eq!(dials[0], dials[1]);
}

#[test]
fn mixing_guard_survives_a_restart() {
    let mut test = client_of(20);
    let guard = test.directory.mixing_guard(after(5));
    let outputs = test.fx.take_outputs().into_iter();
    let stored = outputs.filter_map(|output| match output {
        Output::Store(_, Record::Guards(guards)) => Some(guards),
        _ => None,
    });
    let guards = stored.last().unwrap();
    let mut restarted = Fixture::new(|config| config.relay = false);
    let restored = Restored {
        guards,
        ..Restored::default()
    };
    restarted
        .directory
        .restore(&mut restarted.fx, START, restored);
    assert_eq!(restarted.directory.mixing_guard(START), guard);
    // A record of a version without mixing guards has the guards of lanes alone.
    let mut record = GuardRecord::default();
    let old = record.restore(vec![0, 0, 0, 170, 0]);
    let lanes = vec![0, 0, 0, 170, 0];
    let alone = GuardChoices {
        lanes,
        ..GuardChoices::default()
    };
    assert_eq!(old, alone);
}

#[test]
fn record_of_guards_holds_what_it_was_given_with_and_without_second_hops() {
    for (second_hops, first) in [(vec![], 0xff), (vec![3; 128], 0xfe)] {
        let choices = GuardChoices {
            lanes: vec![1; 40],
            mixing: vec![2; 70],
            second_hops,
        };
        let mut fx = Effects::for_test();
        let mut record = GuardRecord::default();
        record.store_if_changed(&mut fx, &choices);
        record.store_if_changed(&mut fx, &choices);
        let outputs = fx.take_outputs();
        let [Output::Store(_, Record::Guards(stored))] = &outputs[..] else {
            panic!("{} records", outputs.len());
        };
        assert_eq!(stored[0], first);
        assert_eq!(GuardRecord::default().restore(stored.clone()), choices);
    }
    // A damaged record holds nothing, and the ranking finds the same relays.
    let damaged = GuardRecord::default().restore(vec![0xfe, 200, 1, 0]);
    assert_eq!(damaged, GuardChoices::default());
}

#[test]
fn second_hops_of_circuits_are_four_relays_and_survive_a_restart() {
    let mut test = client_of(20);
    let mut seconds = BTreeSet::new();
    let circuit = |test: &mut Fixture, number: u8| {
        let (directory, fx) = (&mut test.directory, &mut test.fx);
        let last = peer_key(number).id();
        let path = directory.pick_circuit(fx, after(6), &last, &test.peers);
        path.ok().map(|(_, hops)| hops)
    };
    for round in 0..20_u8 {
        // The relays have the numbers from 10 on.
        if let Some(hops) = circuit(&mut test, 10 + round) {
            assert_eq!(hops.last().unwrap().id, peer_key(10 + round).id());
            assert!(hops.len() >= 4, "guard, second hop, middle, rendezvous");
            let distinct: BTreeSet<_> = hops.iter().map(|hop| hop.id).collect();
            assert_eq!(distinct.len(), hops.len());
            seconds.insert(hops[1].id);
        }
    }
    assert!((2..=4).contains(&seconds.len()), "{}", seconds.len());

    turn_at(&mut test, after(11));
    let stored = test.fx.take_outputs().into_iter();
    let stored = stored.filter_map(|output| match output {
        Output::Store(_, Record::Guards(guards)) => Some(guards),
        _ => None,
    });
    let restored = Restored {
        guards: stored.last().unwrap(),
        ..Restored::default()
    };
    let mut restarted = Fixture::new(|config| config.relay = false);
    restarted
        .directory
        .restore(&mut restarted.fx, START, restored);
    let members = test.directory.second_hops.members();
    assert_eq!(members.len(), SecondHops::COUNT);
    assert_eq!(restarted.directory.second_hops.members(), members);
}

#[test]
fn machine_that_was_offline_for_days_keeps_its_mixing_guard() {
    let mut test = client_of(20);
    let guard = test.directory.mixing_guard(after(5)).unwrap();
    test.directory.guard_failed(&mut test.fx, after(6), guard);
    let back = after(3 * 86_400);
    let directory = &mut test.directory;
    directory.expedite_guard_dials(&mut test.fx, back.mono);
    assert_eq!(directory.mixing_guard(back), Some(guard));
}
