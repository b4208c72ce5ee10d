//! Circuits without a node.

use circuits::cell_builder::Hop;
use circuits::keys::OnionSecret;
use circuits::path::{PathRefusal, PathRule, RemovedRelays};

use super::*;
use crate::node::fixture::{Fixture, START, peer_key};
use crate::node::peers::LinkPurpose;

const HANDLE: CircuitHandle = CircuitHandle::new(CircuitOwner::Simulation, 1);
const COOKIE: MeetCookie = MeetCookie([3; 20]);

fn circuits(test: &mut Fixture) -> Circuits {
    let rng = test.fx.circuit_rng().child();
    Circuits::new(Arithmetic::default(), rng)
}

/// A path of three relays; the first has this number.
fn path(test: &mut Fixture, guard: u8) -> CircuitPath {
    let hop = |number| Hop {
        id: peer_key(number).id(),
        onion: *OnionSecret::generate(test.fx.circuit_rng()).public(),
    };
    let hops = [guard, 8, 9].map(hop).to_vec();
    Ok((Epoch::at(START.unix), hops))
}

/// Opens a circuit over a new link to a guard.
fn open(test: &mut Fixture, circuits: &mut Circuits) -> LinkId {
    let link = test.connect(2, LinkPurpose::Guard);
    test.fx.take_actions();
    let path = path(test, 2);
    let (fx, peers) = (&mut test.fx, &test.peers);
    circuits
        .open(fx, START, HANDLE, &COOKIE, path, peers)
        .unwrap();
    link
}

fn sent_cells(fx: &mut Effects) -> usize {
    let actions = fx.take_actions().into_iter();
    let is_cell = |action: &Action| matches!(action, Action::Circuit(CircuitAction::SendCell(..)));
    actions.filter(is_cell).count()
}

#[test]
fn circuit_is_refused_while_the_link_to_the_guard_is_down() {
    let mut test = Fixture::new(|_| {});
    let mut circuits = circuits(&mut test);
    let path = path(&mut test, 2);
    let (fx, peers) = (&mut test.fx, &test.peers);
    let opened = circuits.open(fx, START, HANDLE, &COOKIE, path, peers);
    assert_eq!(opened, Err(CircuitOpenError::GuardDown));
    assert!(fx.take_actions().is_empty(), "a circuit dials nothing");
}

#[test]
fn circuit_without_a_path_is_refused_with_the_rule() {
    let mut test = Fixture::new(|_| {});
    let mut circuits = circuits(&mut test);
    let refusal = LanePlanError::Refused(PathRefusal {
        rule: PathRule::Guard,
        needed: 1,
        known: 0,
        removed: RemovedRelays::default(),
    });
    let (fx, peers) = (&mut test.fx, &test.peers);
    let opened = circuits.open(fx, START, HANDLE, &COOKIE, Err(refusal), peers);
    assert_eq!(opened, Err(CircuitOpenError::Path(refusal)));
}

#[test]
fn setup_cell_leaves_before_the_first_payload() {
    let mut test = Fixture::new(|_| {});
    let mut circuits = circuits(&mut test);
    let link = open(&mut test, &mut circuits);
    let (fx, peers) = (&mut test.fx, &test.peers);
    circuits.send(fx, START, HANDLE, &[0; CIRCUIT_PAYLOAD_LEN]);
    circuits.send_due(fx, START, peers);
    assert!(matches!(
        fx.take_actions()[..],
        [
            Action::SendCellOver(over, _),
            Action::Circuit(CircuitAction::SendCell(also, _))
        ] if over == link && also == link
    ));
}

#[test]
fn circuit_takes_as_many_payloads_as_it_has_room_for() {
    let mut test = Fixture::new(|_| {});
    let mut circuits = circuits(&mut test);
    open(&mut test, &mut circuits);
    test.fx.take_actions();
    let room = circuits.room(HANDLE);
    assert_eq!(room, 64);
    for left in (0..room).rev() {
        let payload = [0; CIRCUIT_PAYLOAD_LEN];
        circuits.send(&mut test.fx, START, HANDLE, &payload);
        assert_eq!(circuits.room(HANDLE), left);
    }
    // The burst of a circuit, and at most what the link has room for.
    circuits.send_due(&mut test.fx, START, &test.peers);
    let sent = sent_cells(&mut test.fx);
    assert_eq!((sent, circuits.room(HANDLE)), (32, 32));
    assert_eq!(
        circuits.room(CircuitHandle::new(CircuitOwner::Simulation, 2)),
        0
    );
}

#[test]
fn cells_wait_while_their_link_has_no_room_and_follow_when_it_is_written() {
    let mut test = Fixture::new(|_| {});
    let mut circuits = circuits(&mut test);
    let link = open(&mut test, &mut circuits);
    let (fx, peers) = (&mut test.fx, &mut test.peers);
    fx.take_actions();
    for _ in 0..64 {
        circuits.send(fx, START, HANDLE, &[0; CIRCUIT_PAYLOAD_LEN]);
    }
    // Nothing is flushed, so the queue of the link fills up.
    let mut now = START;
    let mut sent = 0;
    for _ in 0..10 {
        circuits.send_due(fx, now, peers);
        for action in fx.take_actions() {
            if let Action::Circuit(CircuitAction::SendCell(link, cell)) = action {
                peers.send_circuit_cell(fx, now.mono, link, cell);
                sent += 1;
            }
        }
        now.mono = now.mono.after(Duration::from_secs(1));
    }
    assert_eq!(sent, 33);
    assert_eq!(fx.counted(Counter::PacketsDropped), 0);
    peers.flush(fx, now);
    circuits.on_link_flushed(now, link);
    circuits.send_due(fx, now, peers);
    assert_eq!(sent_cells(fx), 31);
}

#[test]
fn closed_link_ends_the_circuit_and_its_owner_hears_it_once() {
    let mut test = Fixture::new(|_| {});
    let mut circuits = circuits(&mut test);
    let link = open(&mut test, &mut circuits);
    let fx = &mut test.fx;
    fx.take_actions();
    circuits.on_link_closed(fx, START, link);
    circuits.on_link_closed(fx, START, link);
    assert!(matches!(
        fx.take_actions()[..],
        [Action::Circuit(CircuitAction::Ended(HANDLE, _))]
    ));
    assert_eq!(circuits.view(fx).own, 0);
}

#[test]
fn cell_with_the_id_zero_breaks_a_rule_and_one_of_an_unknown_circuit_does_not() {
    let mut test = Fixture::new(|_| {});
    let mut circuits = circuits(&mut test);
    let fx = &mut test.fx;
    let (link, class) = (LinkId(4), LinkClass::Unlisted);
    assert!(!circuits.on_cell(fx, START, link, class, &[0; CELL_LEN]));
    assert!(circuits.on_cell(fx, START, link, class, &[1; CELL_LEN]));
    assert!(fx.take_actions().is_empty());
}
