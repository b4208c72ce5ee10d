//! Peers without a node: two of them, connected by hand.

use super::*;
use crate::node::fixture::{Fixture, START, deliver, link_key, peer, peer_key};

/// Peers of another node.
fn other(number: u8) -> (Peers, Effects) {
    let config = crate::node::fixture::config();
    let local = LocalPeer::new(&config, link_key(number)).unwrap();
    let peers = Peers::new(&config, Arc::new(local), None, START.mono);
    (peers, Effects::for_test())
}

#[test]
fn wanted_peer_is_dialled_once() {
    let mut test = Fixture::new(|config| config.peers = vec![peer(2)]);
    test.peers.redial(&mut test.fx, START);
    test.peers.redial(&mut test.fx, START);
    test.peers
        .dial(&mut test.fx, START, peer(2), LinkPurpose::Peer);
    let outputs = test.fx.take_outputs();
    assert!(
        matches!(outputs.as_slice(), [Output::Dial(..)]),
        "{outputs:?}"
    );
}

#[test]
fn own_address_is_not_dialled() {
    let mut test = Fixture::new(|_| {});
    test.peers
        .dial(&mut test.fx, START, peer(1), LinkPurpose::Peer);
    assert!(test.fx.take_outputs().is_empty());
}

#[test]
fn failed_dial_reports_the_relay_unreachable_and_backs_off() {
    let mut test = Fixture::new(|config| config.peers = vec![peer(2)]);
    test.peers.redial(&mut test.fx, START);
    let [Output::Dial(link, _)] = test.fx.take_outputs()[..] else {
        panic!("not dialled");
    };
    let reason = "connection refused";
    test.peers.on_dial_failed(&mut test.fx, START, link, reason);
    let unreached = test.peers.unreached_views(START.mono);
    assert_eq!(unreached[0].reason.as_deref(), Some(reason));
    let relay = peer_key(2).id().short();
    assert!(matches!(
        test.fx.take_actions()[..],
        [Action::RelayUnreachable(unreachable)] if unreachable == relay
    ));
    test.peers.redial(&mut test.fx, START);
    assert!(test.fx.take_outputs().is_empty(), "dialled without a wait");
    test.peers.expedite_redials(START.mono);
    test.peers.redial(&mut test.fx, START);
    assert_eq!(test.fx.take_outputs().len(), 1);
}

#[test]
fn handshake_connects_both_sides_and_closing_reports_the_link() {
    let mut test = Fixture::new(|_| {});
    let (mut remote, mut remote_fx) = other(2);
    test.peers
        .dial(&mut test.fx, START, peer(2), LinkPurpose::Peer);
    let ours = LinkId(1);
    test.peers.on_dialed(&mut test.fx, START, ours);
    let theirs = remote.new_link();
    remote.on_accepted(START, theirs, None);
    let (mut connected, mut accepted) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        test.peers.flush(&mut test.fx, START);
        accepted.extend(deliver(&mut test.fx, &mut remote, &mut remote_fx, theirs));
        remote.flush(&mut remote_fx, START);
        connected.extend(deliver(&mut remote_fx, &mut test.peers, &mut test.fx, ours));
    }
    let [
        LinkEvent::Connected {
            remote: key,
            client_id,
            shared,
        },
    ] = &connected[..]
    else {
        panic!("not connected");
    };
    assert_eq!(*key, peer_key(2));
    assert_eq!(accepted.len(), 1);
    let peer = RemotePeer::new(*key, client_id.clone(), shared.clone());
    let others = PeerKnowledge::new(test.gossip.machine(), &|_| false);
    assert!(test.peers.admit(&mut test.fx, START, ours, peer, others));
    assert_eq!(test.peers.to_key(peer_key(2)), Some(ours));
    assert_eq!(test.peers.gossip_peers(), 1);
    test.peers
        .disconnect(&mut test.fx, START, ours, DisconnectReason::Requested);
    assert_eq!(test.peers.gossip_peers(), 0);
    let actions = test.fx.take_actions();
    let relay = peer_key(2).id().short();
    assert!(matches!(
        actions[..],
        [Action::LinkClosed { link, peer: Some(key), unreachable: Some(gone) }]
            if link == ours && key == peer_key(2) && gone == relay
    ));
}

#[test]
fn quiet_link_costs_no_work_in_a_turn() {
    let mut test = Fixture::new(|_| {});
    let link = test.peers.new_link();
    test.peers.on_accepted(START, link, None);
    assert_eq!(test.peers.flush(&mut test.fx, START), [link].into());
    assert!(test.peers.flush(&mut test.fx, START).is_empty());
}

#[test]
fn silent_link_is_closed_by_its_timer() {
    let mut test = Fixture::new(|_| {});
    let link = test.peers.new_link();
    test.peers.on_accepted(START, link, None);
    test.peers.flush(&mut test.fx, START);
    let later = Now {
        mono: START.mono.after(Duration::from_secs(60)),
        unix: START.unix.after(60),
    };
    let timers = std::iter::from_fn(|| test.fx.pop_due(later.mono, Some(TimerId::CloseIdle)));
    assert!(timers.take(1).any(|timer| timer == TimerId::Link(link)));
    test.peers.on_link_timeout(&mut test.fx, later, link);
    assert!(matches!(test.fx.take_outputs()[..], [Output::Close(closed)] if closed == link));
}

#[test]
fn peer_is_not_blamed_for_silence_while_the_node_was_absent() {
    let mut test = Fixture::new(|_| {});
    let link = test.peers.new_link();
    test.peers.on_accepted(START, link, None);
    test.peers.flush(&mut test.fx, START);
    let at = |secs: u32| Now {
        mono: START.mono.after(Duration::from_secs(secs.into())),
        unix: START.unix.after(secs),
    };
    // The node was stopped for a minute, four seconds after the link began.
    test.peers
        .excuse_absence(&mut test.fx, Duration::from_secs(60));
    let last = Some(TimerId::CloseIdle);
    assert_eq!(test.fx.pop_due(at(64).mono, last), None);
    test.peers.on_link_timeout(&mut test.fx, at(64), link);
    assert!(test.fx.take_outputs().is_empty(), "the link stays");
    assert_eq!(
        test.fx.pop_due(at(65).mono, last),
        Some(TimerId::Link(link))
    );
    test.peers.on_link_timeout(&mut test.fx, at(65), link);
    assert!(matches!(test.fx.take_outputs()[..], [Output::Close(closed)] if closed == link));
}

/// Dials for cells; returns how many the shell is asked for, and for how many there is no room.
fn dial_for_cells(test: &mut Fixture, numbers: core::ops::RangeInclusive<u8>) -> (usize, usize) {
    for number in numbers {
        test.peers
            .dial(&mut test.fx, START, peer(number), LinkPurpose::Cells);
    }
    let outputs = test.fx.take_outputs();
    let dials = outputs.iter().filter(|o| matches!(o, Output::Dial(..)));
    let actions = test.fx.take_actions();
    let refused = actions
        .iter()
        .filter(|action| matches!(action, Action::CellsUndeliverable(_)));
    (dials.count(), refused.count())
}

#[test]
fn dials_under_way_count_as_links_for_cells() {
    let mut test = Fixture::new(|_| {});
    assert_eq!(dial_for_cells(&mut test, 2..=200), (MAX_CELL_LINKS, 135));
}

#[test]
fn guard_link_is_spared_where_links_for_cells_run_short() {
    let mut test = Fixture::new(|_| {});
    let guard = test.connect(201, LinkPurpose::Guard);
    let cells = test.connect(202, LinkPurpose::Cells);
    test.fx.take_actions();
    assert_eq!(dial_for_cells(&mut test, 2..=64), (63, 0));
    assert_eq!(dial_for_cells(&mut test, 65..=66), (1, 1));
    assert!(test.peers.get(guard).is_some());
    assert!(test.peers.get(cells).is_none());
}

#[test]
fn guard_link_is_never_closed_for_being_idle() {
    let mut test = Fixture::new(|_| {});
    let guard = test.connect(2, LinkPurpose::Guard);
    let cells = test.connect(3, LinkPurpose::Cells);
    let later = Now {
        mono: START.mono.after(CELL_LINK_IDLE_TIMEOUT * 2),
        unix: START.unix.after(1_200),
    };
    test.peers.close_idle_cell_links(&mut test.fx, later);
    assert!(test.peers.get(cells).is_none() && test.peers.get(guard).is_some());
    let guard_id = peer_key(2).id().short();
    test.peers.release_guard(&mut test.fx, guard_id);
    test.peers.close_idle_cell_links(&mut test.fx, later);
    assert!(test.peers.get(guard).is_none());
}

#[test]
fn link_for_cells_becomes_a_guard_link_without_a_second_dial() {
    let mut test = Fixture::new(|_| {});
    let link = test.connect(2, LinkPurpose::Cells);
    test.fx.take_outputs();
    test.peers
        .dial(&mut test.fx, START, peer(2), LinkPurpose::Guard);
    assert!(test.fx.take_outputs().is_empty());
    let purpose = test.peers.get(link).map(PeerConnection::purpose);
    assert_eq!(purpose, Some(LinkPurpose::Guard));
}
