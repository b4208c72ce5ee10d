//! Attacks on circuits by relays, origins and peers.

use core::cell::Cell as Flag;
use core::time::Duration;
use std::rc::Rc;

use circuits::circuit::{
    Broken, CircuitCell, CircuitEnd, CircuitId, CircuitKeys, CircuitRefusal, HopKeys,
};
use circuits::erasing_rng::ErasingRng;
use circuits::geometry::CELL_LEN;
use circuits::secret::Secret;

use crate::network::{Net, joined, payload};

/// The cell with one bit changed in its body.
fn flipped(cell: &CircuitCell, bit: usize) -> CircuitCell {
    let mut bytes = *cell.as_bytes();
    bytes[4 + bit / 8] ^= 1 << (bit % 8);
    CircuitCell::parse(&bytes).unwrap()
}

/// Sends three payloads each way, of which the second is attacked on one link, and checks that both
/// origins lose their circuits and receive nothing but the first.
fn assert_ends_both(
    one: usize,
    other: usize,
    from: usize,
    at: (usize, usize),
    attack: impl Fn(CircuitCell) -> Vec<CircuitCell> + 'static,
) {
    let (mut net, circuits, _) = joined(one, other);
    let count = Rc::new(Flag::new(0));
    net.tamper = Some(Box::new(move |sender, receiver, cell| {
        if (sender, receiver) != at {
            return vec![cell];
        }
        count.set(count.get() + 1);
        if count.get() == 2 {
            attack(cell)
        } else {
            vec![cell]
        }
    }));
    for number in 0..3 {
        net.send(from, circuits[from], &payload(number));
        net.pump();
    }
    net.run(Duration::from_secs(1));
    let case = format!("{one} and {other} relays, from {from}, on the link {at:?}");
    let to = 1 - from;
    assert!(
        net.nodes[to].received == [(circuits[to], payload(0))],
        "{case}: {} received",
        net.nodes[to].received.len()
    );
    for origin in [0, 1] {
        let ended = &net.nodes[origin].ended;
        assert_eq!(
            ended[..],
            [(circuits[origin], CircuitEnd::Broken)],
            "{case}"
        );
    }
    for node in 0..net.nodes.len() {
        assert_eq!(net.circuits(node), 0, "{case}: circuits are left at {node}");
    }
}

/// The links from the first origin to the second, in order.
fn links(one: usize, other: usize) -> Vec<(usize, usize)> {
    let (_, _, [first, second]) = joined(one, other);
    let back = second.iter().rev().skip(1).copied();
    let nodes: Vec<_> = [0]
        .into_iter()
        .chain(first)
        .chain(back)
        .chain([1])
        .collect();
    nodes.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[test]
fn attack_with_a_flipped_bit_on_any_link_in_either_direction_ends_the_circuit() {
    for (one, other) in [(1, 1), (3, 4), (6, 6)] {
        for (place, link) in links(one, other).into_iter().enumerate() {
            // The tag, the payload, and what is behind the payload of the longest path.
            for bit in [0, 127, 128, 3_001, 8 * 908 - 1] {
                let bit = (bit + place) % (8 * 908);
                assert_ends_both(one, other, 0, link, move |cell| vec![flipped(&cell, bit)]);
            }
        }
    }
}

#[test]
fn attack_with_a_lost_repeated_or_replaced_cell_ends_the_circuit() {
    for link in links(3, 3) {
        assert_ends_both(3, 3, 0, link, |_| Vec::new());
        assert_ends_both(3, 3, 0, link, |cell| vec![flipped(&cell, 9), cell]);
    }
}

#[test]
fn attack_with_reordered_or_repeated_cells_ends_the_circuit() {
    for repeats in [false, true] {
        for link in links(3, 3) {
            let (mut net, circuits, _) = joined(3, 3);
            let kept = Rc::new(core::cell::RefCell::new(None::<CircuitCell>));
            net.tamper = Some(Box::new(move |from, to, cell| {
                if (from, to) != link {
                    return vec![cell];
                }
                let before = kept.borrow_mut().replace(cell.clone());
                match before {
                    None if repeats => vec![cell],
                    None => Vec::new(),
                    Some(before) if repeats => vec![before, cell],
                    Some(before) => vec![cell, before],
                }
            }));
            net.send(0, circuits[0], &payload(0));
            net.pump();
            net.send(0, circuits[0], &payload(1));
            net.run(Duration::from_secs(1));
            let received = net.nodes[1].received.len();
            assert_eq!(received, usize::from(repeats), "{link:?}");
            assert_eq!(net.nodes[1].ended.len(), 1, "{link:?}");
            assert_eq!(net.nodes[0].ended.len(), 1, "{link:?}");
        }
    }
}

#[test]
fn attack_with_a_third_cookie_ends_all_three() {
    let mut net = Net::new(8);
    let a = net.open(0, &[4, 3], 1);
    let b = net.open(1, &[5, 3], 1);
    net.send(0, a, &payload(0));
    net.pump();
    let c = net.open(2, &[6, 3], 1);
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[3].refused, [CircuitRefusal::CookieUsed]);
    assert_eq!(net.nodes[0].ended, [(a, CircuitEnd::Broken)]);
    assert_eq!(net.nodes[1].ended, [(b, CircuitEnd::Broken)]);
    assert_eq!(net.nodes[2].ended, [(c, CircuitEnd::Broken)]);
    assert!((0..8).all(|node| net.circuits(node) == 0));
}

#[test]
fn attack_with_a_replayed_setup_cell_makes_no_circuit() {
    let mut net = Net::new(4);
    let setup = net.setup(&[3, 2], 1);
    net.on_setup(0, 3, setup.cell.clone());
    assert_eq!((net.circuits(3), net.circuits(2)), (1, 1));
    net.on_setup(1, 3, setup.cell.clone());
    net.on_setup(0, 3, setup.cell);
    assert_eq!((net.circuits(3), net.circuits(2)), (1, 1));
}

#[test]
fn attack_with_the_id_of_a_circuit_on_another_link_reaches_nothing() {
    let (mut net, [a, _], paths) = joined(3, 3);
    let first = paths[0][0];
    let id: Rc<Flag<Option<CircuitId>>> = Rc::default();
    let seen = id.clone();
    net.tamper = Some(Box::new(move |from, to, cell| {
        if (from, to) == (0, first) {
            seen.set(Some(cell.id()));
        }
        vec![cell]
    }));
    net.send(0, a, &payload(0));
    net.pump();
    let forged = CircuitCell::new(id.get().unwrap(), &[7; 908]);
    let now = net.now;
    for other in 1..net.nodes.len() {
        let link = Net::link(other.max(first + 1), first);
        net.nodes[first].table.receive(now, link, forged.clone());
    }
    net.send(0, a, &payload(1));
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[1].received.len(), 2);
}

#[test]
fn attack_with_random_cells_by_a_peer_ends_only_its_circuit() {
    let (mut net, [a, b], paths) = joined(3, 3);
    let other = net.open(0, &[paths[0][0], 2], 9);
    let first = paths[0][0];
    let spoiled = Rc::new(Flag::new(false));
    net.tamper = Some(Box::new(move |from, to, cell| {
        if (from, to) == (0, first) && !spoiled.replace(true) {
            return vec![CircuitCell::new(cell.id(), &[0x55; CELL_LEN - 4])];
        }
        vec![cell]
    }));
    net.send(0, a, &payload(0));
    net.pump();
    net.send(0, other, &payload(1));
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[1].ended, [(b, CircuitEnd::Broken)]);
    assert_eq!(
        net.nodes[2].table.stats().queued,
        1,
        "the other circuit works"
    );
    assert_eq!(net.nodes[2].table.stats().circuits, 1);
}

/// The layers of so many relays, as the relays have them.
fn layers(relays: u8) -> Vec<HopKeys> {
    let layer = |relay: u8| {
        let [forward, backward] = [0, 100].map(|of| Secret::init_with(|key| key.fill(relay + of)));
        HopKeys::of(forward, backward)
    };
    (1..=relays).map(layer).collect()
}

/// A body as it arrives at the origin. The last relay is hostile and seals what it wants.
fn returned(relays: &mut [HopKeys], body: [u8; 908]) -> [u8; 908] {
    let mut body = body;
    for layer in relays.iter_mut().rev() {
        layer.backward(&mut body).unwrap();
    }
    body
}

/// Bytes behind the payload would reach the user of a shorter path, and mark the circuit for the relays on it.
#[test]
fn attack_by_the_last_relay_with_bytes_behind_the_payload_ends_the_circuit() {
    for relays in 1..=6 {
        for place in [812, 827, 828, 891] {
            let mut origin = CircuitKeys::of(layers(relays));
            let mut path = layers(relays);
            assert!(origin.open(&returned(&mut path, [0; 908])).is_ok());
            let mut marked = [0; 908];
            marked[place] = 1;
            let opened = origin.open(&returned(&mut path, marked));
            assert_eq!(opened, Err(Broken), "{relays} relays, byte {place}");
        }
    }
}

#[test]
fn attack_with_one_altered_cell_leaves_an_origin_that_opens_and_seals_nothing() {
    let mut origin = CircuitKeys::of(layers(3));
    let mut path = layers(3);
    let mut altered = returned(&mut path, [0; 908]);
    altered[500] ^= 1;
    assert_eq!(origin.open(&altered), Err(Broken));
    // The next cell is as the relays sealed it.
    let next = returned(&mut path, [0; 908]);
    assert_eq!(origin.open(&next), Err(Broken));
    let mut rng = ErasingRng::from_seed(&[1; 32]);
    assert_eq!(origin.seal(&mut rng, &payload(0)), Err(Broken));
}
