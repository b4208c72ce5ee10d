//! Cells that are damaged, too many, or lead nowhere (anonymity 3.11).

use std::time::Duration;

use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::geometry::CELL_LEN;
use circuits::keys::OnionSecret;

use crate::scene::{RELAYS, Scene, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

/// The cell with one bit of this byte flipped.
fn flipped(cell: &Cell, at: usize) -> Cell {
    let mut bytes = *cell.as_bytes();
    bytes[at] ^= 1 << (at % 8);
    Cell::parse(&bytes).unwrap()
}

#[test]
fn a_cell_that_is_flipped_anywhere_dies_at_the_next_relay_and_nothing_comes_back() {
    let mut scene = Scene::new();
    // The first byte names the version; a cell with another is none.
    let places: Vec<usize> = (1..CELL_LEN).step_by(41).collect();
    for places in places.chunks(20) {
        let cells: Vec<Cell> = places
            .iter()
            .map(|at| flipped(&scene.echo(), *at))
            .collect();
        scene.bring(&cells);
        scene.run(5);
    }
    assert!(scene.session().cells().is_empty());
    assert!(scene.session().is_open(), "whoever brings it may be honest");
    assert_eq!(scene.forwarded(), 0);
    let honest = scene.echo();
    scene.bring(&[honest]);
    scene.run(1);
    assert_eq!(scene.session().cells().len(), 1);
}

#[test]
fn a_cell_made_to_die_at_the_second_relay_does_not_cost_the_first_its_link() {
    let mut scene = Scene::new();
    let peers = scene.world.status(TARGET).peers;
    let wrong = scene.myself().onion;
    let id = scene.hop(1).id;
    let hops = [scene.hop(TARGET), Hop { id, onion: wrong }];
    for _ in 0..20 {
        let cell = scene.cell(&hops);
        scene.bring(&[cell]);
        scene.run(1);
    }
    assert_eq!(scene.forwarded(), 20);
    assert_eq!(scene.world.status(1).cells_dropped, 20);
    assert_eq!(scene.world.status(TARGET).peers, peers);
}

#[test]
fn a_cell_for_nobody_is_dropped_quietly() {
    let mut scene = Scene::new();
    let mut stranger = scene.myself();
    stranger.id.0[0] ^= 1;
    let hops = [scene.hop(TARGET), stranger];
    let cell = scene.cell(&hops);
    scene.bring(&[cell]);
    scene.run(2);
    assert_eq!(scene.dropped(), 1);
    assert!(scene.session().cells().is_empty() && scene.session().is_open());
}

#[test]
fn a_cell_that_comes_round_in_a_circle_is_peeled_once_at_each_layer() {
    let mut scene = Scene::new();
    let (target, other) = (scene.hop(TARGET), scene.hop(1));
    let me = scene.myself();
    let cell = scene.cell(&[target, other, target, other, target, me]);
    scene.bring(&[cell.clone(), cell]);
    scene.run(2);
    assert_eq!(scene.session().cells().len(), 1);
    assert_eq!(scene.forwarded(), 3);
}

#[test]
fn cells_for_a_relay_that_is_gone_are_lost_and_not_kept() {
    let mut scene = Scene::new();
    let hops = [scene.hop(TARGET), scene.hop(1)];
    scene.world.kill(1);
    scene.run(1);
    let cells: Vec<Cell> = (0..20).map(|_| scene.cell(&hops)).collect();
    scene.bring(&cells);
    scene.run(5);
    assert_eq!(scene.dropped(), 20);
    assert!(scene.session().is_open());
}

#[test]
fn a_neighbour_that_floods_cells_loses_its_own_and_nobody_elses() {
    let mut scene = Scene::new();
    let accomplice = scene.world.add_scripted_peer(PeerBehaviour::cells_only());
    let link = scene.world.connect_scripted(accomplice, TARGET);
    let flood: Vec<Cell> = (0..400).map(|_| scene.echo()).collect();
    let honest: Vec<Cell> = (0..20).map(|_| scene.echo()).collect();
    for (pair, cell) in flood.chunks(20).zip(honest) {
        scene.world.act(accomplice, |attacker, now| {
            ((), attacker.send_cells(now, link, pair))
        });
        scene.bring(&[cell]);
        scene.world.run(Duration::from_millis(100));
    }
    scene.run(5);
    // A burst of 100 and 20 a second for two seconds; all of the other neighbour's.
    let passed = scene.session().cells().len();
    let dropped = usize::try_from(scene.dropped()).unwrap();
    assert_eq!(passed + dropped, 420);
    assert!((20 + 130..=20 + 145).contains(&passed), "{passed} passed");
}

#[test]
fn the_33rd_stranger_may_not_bring_cells() {
    let mut scene = Scene::with(PeerBehaviour::cells_only());
    let cells: Vec<Cell> = (0..33).map(|_| scene.echo()).collect();
    let mut strangers = Vec::new();
    for _ in 0..32 {
        let stranger = scene.world.add_scripted_peer(PeerBehaviour::cells_only());
        let link = scene.world.connect_scripted(stranger, TARGET);
        strangers.push((stranger, link));
    }
    // The scene's own attacker is the first stranger, so the last of these is the 33rd.
    for ((stranger, link), cell) in strangers.into_iter().zip(cells) {
        scene.world.act(stranger, |attacker, now| {
            ((), attacker.send_cells(now, link, &[cell]))
        });
    }
    scene.run(2);
    assert_eq!(scene.session().cells().len(), 31);
    assert_eq!(scene.dropped(), 1);
}

#[test]
fn a_node_that_is_no_relay_opens_no_cell() {
    let mut scene = Scene::new();
    let client = scene.world.add(false, &[0, 1]);
    scene.run(2);
    let link = scene.world.connect_scripted(scene.attacker, client);
    let cell = scene.echo();
    scene.world.act(scene.attacker, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    scene.run(1);
    assert_eq!(scene.world.status(client).cells_dropped, 1);
    assert!(scene.world.scripted(scene.attacker).session(link).is_open());
}

#[test]
fn cells_that_wait_for_a_neighbour_that_never_says_its_status_are_dropped_not_kept() {
    let mut scene = Scene::new();
    let mute = scene.world.add_scripted_peer(PeerBehaviour {
        network: None,
        ..PeerBehaviour::relay()
    });
    scene.world.connect_scripted(mute, TARGET);
    let id = scene.world.addr(mute).key.id();
    let endpoint = circuits::directory::RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1);
    let raw = scene.world.act(mute, |attacker, now| {
        (attacker.descriptor(now, vec![endpoint], 0), Vec::new())
    });
    scene.say(&whisht::onion_wire::OnionMessage::Descriptors(vec![raw]));
    scene.run(1);
    let onion = scene.world.act(mute, |attacker, _| {
        (
            *OnionSecret::generate(&mut attacker.rng).public(),
            Vec::new(),
        )
    });
    let hops = [scene.hop(TARGET), Hop { id, onion }];
    let cells: Vec<Cell> = (0..20).map(|_| scene.cell(&hops)).collect();
    scene.bring(&cells);
    scene.run(20);
    assert_eq!(scene.dropped(), 20);
    let cells: Vec<Cell> = (0..20).map(|_| scene.cell(&hops)).collect();
    scene.bring(&cells);
    scene.run(1);
    assert_eq!(scene.dropped(), 40);
}

#[test]
fn a_relay_that_lets_callers_wait_is_dialled_once_and_costs_nobody_elses_cells() {
    let mut scene = Scene::new();
    let tarpit = scene.world.add_scripted_peer(PeerBehaviour {
        handshakes: false,
        ..PeerBehaviour::relay()
    });
    let addr = scene.world.addr(tarpit);
    let whisht::endpoint::Endpoint::Tcp(socket) = addr.endpoint else {
        panic!("the world has sockets only")
    };
    let endpoint = circuits::directory::RelayEndpoint::Ip4([127, 0, 0, 1].into(), socket.port());
    let raw = scene.world.act(tarpit, |attacker, now| {
        (attacker.descriptor(now, vec![endpoint], 0), Vec::new())
    });
    scene.say(&whisht::onion_wire::OnionMessage::Descriptors(vec![raw]));
    scene.run(1);
    let me = scene.myself();
    let hops = [
        scene.hop(TARGET),
        Hop {
            id: addr.key.id(),
            onion: me.onion,
        },
    ];
    let cells: Vec<Cell> = (0..50).map(|_| scene.cell(&hops)).collect();
    for cell in cells {
        scene.bring(&[cell]);
        scene.world.run(Duration::from_millis(50));
    }
    assert_eq!(scene.world.scripted(tarpit).sessions().count(), 1);
    scene.run(20);
    assert_eq!(scene.dropped(), 50, "nothing waits for ever");
    assert_eq!(scene.world.status(TARGET).peers, RELAYS);
}
