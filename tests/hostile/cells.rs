//! Cells that are damaged, too many, or undeliverable (anonymity 3.11).

use std::time::Duration;

use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::geometry::CELL_LEN;
use circuits::ids::Epoch;
use circuits::keys::OnionSecret;
use whisht::onion_wire::OnionMessage;

use crate::fixture::{Fixture, RELAYS, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

/// The cell with one bit of this byte flipped.
fn flipped(cell: &Cell, at: usize) -> Cell {
    let mut bytes = *cell.as_bytes();
    bytes[at] ^= 1 << (at % 8);
    Cell::parse(&bytes).unwrap()
}

#[test]
fn cell_with_any_flipped_bit_is_dropped_silently() {
    let mut fixture = Fixture::new();
    // The first byte is the version; another version makes the cell invalid.
    let places: Vec<usize> = (1..CELL_LEN).step_by(41).collect();
    for places in places.chunks(20) {
        let cells: Vec<Cell> = places
            .iter()
            .map(|at| flipped(&fixture.echo_cell(), *at))
            .collect();
        fixture.send_cells(&cells);
        fixture.run(5);
    }
    assert!(fixture.session().cells().is_empty());
    assert!(fixture.session().is_open(), "the sender may be honest");
    assert_eq!(fixture.cells_forwarded(), 0);
    let honest = fixture.echo_cell();
    fixture.send_cells(&[honest]);
    fixture.run(1);
    assert_eq!(fixture.session().cells().len(), 1);
}

#[test]
fn cell_dropped_at_second_relay_does_not_disconnect_first() {
    let mut fixture = Fixture::new();
    let peers = fixture.world.status(TARGET).peers;
    let wrong = fixture.attacker_hop().onion;
    let id = fixture.hop(1).id;
    let hops = [fixture.hop(TARGET), Hop { id, onion: wrong }];
    for _ in 0..20 {
        let cell = fixture.cell(&hops);
        fixture.send_cells(&[cell]);
        fixture.run(1);
    }
    assert_eq!(fixture.cells_forwarded(), 20);
    assert_eq!(fixture.world.status(1).cells_dropped, 20);
    assert_eq!(fixture.world.status(TARGET).peers, peers);
}

#[test]
fn cell_for_unknown_relay_is_dropped_silently() {
    let mut fixture = Fixture::new();
    let mut unlisted = fixture.attacker_hop();
    unlisted.id.0[0] ^= 1;
    let hops = [fixture.hop(TARGET), unlisted];
    let cell = fixture.cell(&hops);
    fixture.send_cells(&[cell]);
    fixture.run(2);
    assert_eq!(fixture.cells_dropped(), 1);
    assert!(fixture.session().cells().is_empty() && fixture.session().is_open());
}

#[test]
fn public_name_of_a_client_leads_no_cell_to_it() {
    let mut fixture = Fixture::new();
    let client = fixture.world.add(false, &[TARGET, 1]);
    fixture.run(5);
    let mut hop = fixture.attacker_hop();
    hop.id = fixture.world.addr(client).key.id();
    let cell = fixture.cell(&[fixture.hop(TARGET), hop]);
    fixture.send_cells(&[cell]);
    fixture.run(2);
    assert_eq!(fixture.cells_dropped(), 1);
    // A client counts and drops the cells that it gets.
    assert_eq!(fixture.world.status(client).cells_dropped, 0);
}

#[test]
fn status_after_the_timeout_still_opens_the_link_for_cells() {
    let network = PeerBehaviour::relay().network.unwrap();
    let mut fixture = Fixture::with(PeerBehaviour {
        network: None,
        ..PeerBehaviour::relay()
    });
    fixture.run(10);
    let epoch = Epoch::at(fixture.world.clock().unix);
    fixture.send_onion(&OnionMessage::Status {
        network,
        epoch,
        time: None,
    });
    fixture.run(1);
    fixture.fetch_descriptors();
    let cell = fixture.echo_cell();
    fixture.send_cells(&[cell]);
    fixture.run(2);
    assert_eq!(fixture.session().cells().len(), 1);
}

#[test]
fn circular_path_cell_is_peeled_once_per_layer() {
    let mut fixture = Fixture::new();
    let (target, other) = (fixture.hop(TARGET), fixture.hop(1));
    let me = fixture.attacker_hop();
    let cell = fixture.cell(&[target, other, target, other, target, me]);
    fixture.send_cells(&[cell.clone(), cell]);
    fixture.run(2);
    assert_eq!(fixture.session().cells().len(), 1);
    assert_eq!(fixture.cells_forwarded(), 3);
}

#[test]
fn cells_for_offline_relay_are_dropped() {
    let mut fixture = Fixture::new();
    let hops = [fixture.hop(TARGET), fixture.hop(1)];
    fixture.world.kill(1);
    fixture.run(1);
    let cells: Vec<Cell> = (0..20).map(|_| fixture.cell(&hops)).collect();
    fixture.send_cells(&cells);
    fixture.run(5);
    assert_eq!(fixture.cells_dropped(), 20);
    assert!(fixture.session().is_open());
}

#[test]
fn cell_flood_affects_only_flooding_peer() {
    let mut fixture = Fixture::new();
    let second_attacker = fixture.world.add_scripted_peer(PeerBehaviour::cells_only());
    let link = fixture.world.connect_scripted(second_attacker, TARGET);
    let flood: Vec<Cell> = (0..400).map(|_| fixture.echo_cell()).collect();
    let honest: Vec<Cell> = (0..20).map(|_| fixture.echo_cell()).collect();
    for (pair, cell) in flood.chunks(20).zip(honest) {
        fixture.world.act(second_attacker, |attacker, now| {
            ((), attacker.send_cells(now, link, pair))
        });
        fixture.send_cells(&[cell]);
        fixture.world.run(Duration::from_millis(100));
    }
    fixture.run(5);
    // A burst of 100 and 20 a second for two seconds, all of the other peer's.
    let passed = fixture.session().cells().len();
    let dropped = usize::try_from(fixture.cells_dropped()).unwrap();
    assert_eq!(passed + dropped, 420);
    assert!((20 + 130..=20 + 145).contains(&passed), "{passed} passed");
}

#[test]
fn client_is_served_beside_forty_unlisted_peers() {
    let mut fixture = Fixture::with(PeerBehaviour::cells_only());
    let cells: Vec<Cell> = (0..41).map(|_| fixture.echo_cell()).collect();
    let mut unlisted_peers = Vec::new();
    for _ in 0..40 {
        let unlisted = fixture.world.add_scripted_peer(PeerBehaviour::cells_only());
        let link = fixture.world.connect_scripted(unlisted, TARGET);
        unlisted_peers.push((unlisted, link));
    }
    let (own, cells) = cells.split_first().unwrap();
    for ((unlisted, link), cell) in unlisted_peers.into_iter().zip(cells) {
        fixture.world.act(unlisted, |attacker, now| {
            (
                (),
                attacker.send_cells(now, link, std::slice::from_ref(cell)),
            )
        });
    }
    fixture.send_cells(std::slice::from_ref(own));
    fixture.run(2);
    assert_eq!(fixture.session().cells().len(), 41);
    assert_eq!(fixture.cells_dropped(), 0);
}

#[test]
fn client_node_drops_cells() {
    let mut fixture = Fixture::new();
    let client = fixture.world.add(false, &[0, 1]);
    fixture.run(2);
    let link = fixture.world.connect_scripted(fixture.attacker, client);
    let cell = fixture.echo_cell();
    fixture.world.act(fixture.attacker, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    fixture.run(1);
    assert_eq!(fixture.world.status(client).cells_dropped, 1);
    assert!(
        fixture
            .world
            .scripted(fixture.attacker)
            .session(link)
            .is_open()
    );
}

#[test]
fn cells_for_peer_without_status_are_dropped_after_timeout() {
    let mut fixture = Fixture::new();
    let silent_peer = fixture.world.add_scripted_peer(PeerBehaviour {
        network: None,
        ..PeerBehaviour::relay()
    });
    fixture.world.connect_scripted(silent_peer, TARGET);
    let id = fixture.world.addr(silent_peer).key.id();
    let endpoint = circuits::directory::RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1);
    let raw = fixture.world.act(silent_peer, |attacker, now| {
        (attacker.descriptor(now, vec![endpoint], 0), Vec::new())
    });
    fixture.send_onion(&OnionMessage::Descriptors(vec![raw]));
    fixture.run(1);
    let onion = fixture.world.act(silent_peer, |attacker, _| {
        (
            *OnionSecret::generate(&mut attacker.rng).public(),
            Vec::new(),
        )
    });
    let hops = [fixture.hop(TARGET), Hop { id, onion }];
    let cells: Vec<Cell> = (0..20).map(|_| fixture.cell(&hops)).collect();
    fixture.send_cells(&cells);
    fixture.run(20);
    assert_eq!(fixture.cells_dropped(), 20);
    let cells: Vec<Cell> = (0..20).map(|_| fixture.cell(&hops)).collect();
    fixture.send_cells(&cells);
    fixture.run(1);
    assert_eq!(fixture.cells_dropped(), 40);
}

#[test]
fn unresponsive_relay_is_dialled_once_and_its_cells_expire() {
    let mut fixture = Fixture::new();
    let tarpit = fixture.world.add_scripted_peer(PeerBehaviour {
        handshakes: false,
        ..PeerBehaviour::relay()
    });
    let addr = fixture.world.addr(tarpit);
    let whisht::endpoint::Endpoint::Tcp(socket) = addr.endpoint else {
        panic!("the world has sockets only")
    };
    let endpoint = circuits::directory::RelayEndpoint::Ip4([127, 0, 0, 1].into(), socket.port());
    let raw = fixture.world.act(tarpit, |attacker, now| {
        (attacker.descriptor(now, vec![endpoint], 0), Vec::new())
    });
    fixture.send_onion(&OnionMessage::Descriptors(vec![raw]));
    fixture.run(1);
    let me = fixture.attacker_hop();
    let hops = [
        fixture.hop(TARGET),
        Hop {
            id: addr.key.id(),
            onion: me.onion,
        },
    ];
    let cells: Vec<Cell> = (0..50).map(|_| fixture.cell(&hops)).collect();
    for cell in cells {
        fixture.send_cells(&[cell]);
        fixture.world.run(Duration::from_millis(50));
    }
    assert_eq!(fixture.world.scripted(tarpit).sessions().count(), 1);
    fixture.run(20);
    assert_eq!(fixture.cells_dropped(), 50, "no cell waits without a limit");
    assert_eq!(fixture.world.status(TARGET).peers, RELAYS);
}
