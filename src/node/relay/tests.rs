//! The relay role without a node.

use std::net::Ipv4Addr;

use circuits::cell::Cell;
use circuits::directory::RelayEndpoint;
use circuits::geometry::CELL_LEN;

use super::egress::DepartingCell;
use super::replay::blur;
use super::*;
use crate::node::action::{Action, StemSource};
use crate::node::fixture::{Fixture, START, envelope, peer_key};
use crate::node::peers::LinkPurpose;

fn cell(number: u8) -> Cell {
    let mut bytes = [number; CELL_LEN];
    bytes[0] = 0x10;
    Cell::parse(&bytes).unwrap()
}

fn one_shot(number: u8) -> DepartingCell {
    DepartingCell::OneShot(cell(number))
}

fn relay(test: &Fixture) -> Relay {
    Relay::new(test.local.id(), test.config.relay, Arithmetic::default())
}

#[test]
fn node_that_is_no_relay_drops_cells() {
    let mut test = Fixture::new(|config| config.relay = false);
    let mut relay = relay(&test);
    let (fx, context, _) = test.relaying();
    assert!(!relay.on_cell(fx, START, LinkId(1), cell(1), context));
    assert_eq!(fx.counted(Counter::CellsDropped), 1);
}

#[test]
fn delay_carries_no_residue_of_its_unit() {
    let mut test = Fixture::new(|_| {});
    let mut bins = [0_u32; 10];
    for _ in 0..10_000 {
        let delay = core::time::Duration::from_millis(250);
        let extra = blur(test.fx.rng(), delay).checked_sub(delay).unwrap();
        let bin = extra.as_millis();
        bins[usize::try_from(bin).unwrap()] += 1;
    }
    assert!(
        bins.iter().all(|count| (850..1_150).contains(count)),
        "{bins:?}"
    );
}

#[test]
fn cell_to_an_unknown_relay_is_dropped() {
    let mut test = Fixture::new(|_| {});
    let mut relay = relay(&test);
    let (fx, context, _) = test.relaying();
    relay.send_own_cell(fx, peer_key(9).id().short(), cell(1), context);
    assert!(fx.take_actions().is_empty());
    assert_eq!(fx.counted(Counter::CellsDropped), 1);
}

#[test]
fn rebuilt_envelope_without_a_stem_waits_and_tries_again() {
    let mut test = Fixture::new(|_| {});
    let mut relay = relay(&test);
    let (fx, _, gossip) = test.relaying();
    relay.on_no_stem(fx, START, envelope(1));
    relay.release_delayed(fx, START, gossip);
    assert!(fx.take_actions().is_empty());
    let later = Now {
        mono: START.mono.after(core::time::Duration::from_secs(5)),
        unix: START.unix.after(5),
    };
    assert_eq!(
        fx.pop_due(later.mono, Some(TimerId::ShardSets)),
        Some(TimerId::Insertion)
    );
    relay.release_delayed(fx, later, gossip);
    assert!(matches!(
        fx.take_actions()[..],
        [Action::InsertByStem(_, StemSource::Rendezvous)]
    ));
}

#[test]
fn cell_follows_the_handle_of_a_link_and_not_the_key_of_its_peer() {
    let mut test = Fixture::new(|_| {});
    let link = test.connect(2, LinkPurpose::Peer);
    let handle = test.peers.get(link).unwrap().handle().unwrap();
    let mut relay = relay(&test);
    test.fx.take_actions();
    let (fx, context, _) = test.relaying();
    relay.send_own_cell(fx, peer_key(2).id().short(), cell(1), context);
    assert!(fx.take_actions().is_empty());
    relay.send_own_cell(fx, handle, cell(1), context);
    assert!(matches!(
        fx.take_actions()[..],
        [Action::SendCellOver(over, _)] if over == link
    ));
}

/// An address of a listed relay.
const ADDRESS: RelayEndpoint = RelayEndpoint::Ip4(Ipv4Addr::LOCALHOST, 9_999);

fn dials(actions: &[Action]) -> usize {
    let dials = actions
        .iter()
        .filter(|action| matches!(action, Action::Dial(..)));
    dials.count()
}

#[test]
fn cells_of_one_link_make_a_relay_dial_within_a_quota() {
    let mut test = Fixture::new(|_| {});
    for number in 10..50 {
        test.list_relay(number, ADDRESS);
    }
    let mut relay = relay(&test);
    test.fx.take_actions();
    let (fx, context, _) = test.relaying();
    for number in 10..50 {
        let next = peer_key(number).id().short();
        relay.forward(fx, START, LinkId(1), next, one_shot(number), context);
    }
    assert_eq!(dials(&fx.take_actions()), 32);
    assert_eq!(fx.counted(Counter::CellsDropped), 8);
    // Further cells for a relay that is being dialled, and those of another link, are taken.
    let next = peer_key(10).id().short();
    relay.forward(fx, START, LinkId(1), next, one_shot(1), context);
    let next = peer_key(49).id().short();
    relay.forward(fx, START, LinkId(2), next, one_shot(1), context);
    assert_eq!(dials(&fx.take_actions()), 1);
    assert_eq!(fx.counted(Counter::CellsDropped), 8);
}

#[test]
fn own_cell_waits_for_the_guard_and_dials_nothing() {
    let mut test = Fixture::new(|config| config.guard = Some(peer_key(9).id()));
    test.list_relay(9, ADDRESS);
    let guard = peer_key(9).id().short();
    test.directory
        .keep_guard_links(&mut test.fx, START, &test.peers);
    assert_eq!(dials(&test.fx.take_actions()), 1, "dialled before any cell");
    let mut relay = relay(&test);
    let (fx, context, _) = test.relaying();
    relay.send_own_cell(fx, guard, cell(1), context);
    assert_eq!(dials(&fx.take_actions()), 0);
    relay.send_awaiting_cells(fx, LinkId(7), guard);
    assert!(matches!(
        fx.take_actions()[..],
        [Action::SendCellOver(LinkId(7), _)]
    ));
}
