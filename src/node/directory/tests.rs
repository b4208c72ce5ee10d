//! The directory without a node.

use circuits::directory::RelayEndpoint;
use circuits::level::Level;
use circuits::mixing::ArrivalRate;

use super::*;
use crate::node::fixture::{Fixture, START, peer_key};
use crate::node::jobs::Job;
use crate::node::output::Output;
use crate::node::peers::LinkPurpose;

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
    // The list rests for five seconds first; a redial is due a minute later.
    assert_eq!(dials, [0, 1, 0, 0]);
}
