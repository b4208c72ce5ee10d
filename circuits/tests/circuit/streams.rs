//! What one origin sends, the other one receives; and what happens to cells that come early.

use core::time::Duration;

use circuits::circuit::{CircuitEnd, CircuitFull};
use proptest::prelude::*;

use crate::network::{Net, joined, payload};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn payloads_arrive_in_order_both_ways_for_every_pair_of_lengths(
        one in 1..=6_usize,
        other in 1..=6_usize,
        script in prop::collection::vec(any::<bool>(), 1..12),
    ) {
        let (mut net, circuits, _) = joined(one, other);
        let mut expected = [Vec::new(), Vec::new()];
        for (number, from_first) in (0..).zip(script) {
            let from = usize::from(!from_first);
            net.send(from, circuits[from], &payload(number));
            expected[1 - from].push((circuits[1 - from], payload(number)));
            if number % 3 == 0 {
                net.pump();
            }
        }
        net.run(Duration::from_secs(1));
        prop_assert!(net.nodes[0].received == expected[0]);
        prop_assert!(net.nodes[1].received == expected[1]);
        prop_assert!(net.nodes.iter().all(|node| node.ended.is_empty()));
    }
}

#[test]
fn cells_that_come_before_the_other_half_wait_for_it() {
    let mut net = Net::new(5);
    let a = net.open(0, &[3, 2], 1);
    for number in 0..5 {
        net.send(0, a, &payload(number));
    }
    net.run(Duration::from_secs(100));
    assert!(net.nodes[1].received.is_empty());
    assert_eq!(net.nodes[2].table.stats().unpaired, 1);
    assert_eq!(net.nodes[2].table.stats().queued, 5);
    let b = net.open(1, &[4, 2], 1);
    net.pump();
    let expected: Vec<_> = (0..5).map(|number| (b, payload(number))).collect();
    assert!(net.nodes[1].received == expected);
    assert_eq!(net.nodes[2].table.stats().queued, 0);
}

#[test]
fn cells_that_overtake_their_setup_cell_wait_for_it() {
    let (mut net, [a, b], _) = joined(2, 2);
    net.send(0, a, &payload(1));
    net.pump();
    let mut late = Net::new(5);
    let setup = late.setup(&[3, 2], 1);
    let now = late.now;
    let cell = setup.cell.clone();
    let table = &mut late.nodes[0].table;
    let own = table
        .originate(now, Net::link(0, 3), &cell, setup.keys)
        .unwrap();
    late.send(0, own, &payload(1));
    late.run(Duration::from_secs(2));
    late.on_setup(0, 3, cell);
    late.open(1, &[4, 2], 1);
    late.run(Duration::from_secs(1));
    assert_eq!(late.nodes[1].received.len(), 1);
    assert!(net.nodes[1].received == [(b, payload(1))]);
}

#[test]
fn closed_circuit_ends_everywhere_within_one_round() {
    let (mut net, [a, b], _) = joined(4, 3);
    net.send(0, a, &payload(0));
    net.pump();
    let now = net.now;
    net.nodes[0].table.close(now, a);
    net.pump();
    assert_eq!(net.nodes[1].ended, [(b, CircuitEnd::Broken)]);
    assert!(net.nodes[0].ended.is_empty(), "the user closed it");
    assert!((0..net.nodes.len()).all(|node| net.circuits(node) == 0));
}

#[test]
fn dead_relay_ends_both_origins_in_the_middle_of_a_stream() {
    let (mut net, [a, b], paths) = joined(4, 4);
    for number in 0..20 {
        net.send(0, a, &payload(number));
    }
    let dead = paths[0][1];
    for other in 0..net.nodes.len() {
        if other != dead {
            net.cut(dead, other);
        }
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[0].ended, [(a, CircuitEnd::Broken)]);
    assert_eq!(net.nodes[1].ended, [(b, CircuitEnd::Broken)]);
    assert!((0..net.nodes.len()).all(|node| net.circuits(node) == 0));
    assert!((0..net.nodes.len()).all(|node| net.nodes[node].table.stats().queued == 0));
}

#[test]
fn own_circuit_refuses_cells_above_its_queue_and_says_when_it_takes_more() {
    let (mut net, [a, _], paths) = joined(3, 3);
    let (now, link) = (net.now, Net::link(0, paths[0][0]));
    net.nodes[0].table.set_blocked(now, link, true);
    let table = &mut net.nodes[0].table;
    for room in (1..=64).rev() {
        assert_eq!(table.room(a), room);
        assert_eq!(table.send(now, a, &payload(0)), Ok(()));
    }
    assert_eq!(table.room(a), 0);
    net.run(Duration::from_secs(1));
    assert_eq!((net.nodes[0].ready, net.crossed), (0, 0));
    let now = net.now;
    net.nodes[0].table.set_blocked(now, link, false);
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[0].ready, 1, "although no cell was refused");
    assert_eq!(net.nodes[1].received.len(), 64);
    let now = net.now;
    net.nodes[0].table.set_blocked(now, link, true);
    let table = &mut net.nodes[0].table;
    let sent = (0..).take_while(|_| table.send(now, a, &payload(0)).is_ok());
    assert_eq!(sent.count(), 64);
    assert_eq!(table.send(now, a, &payload(0)), Err(CircuitFull));
}

#[test]
fn every_link_has_other_bytes_and_equal_lengths() {
    let (mut net, [a, _], _) = joined(6, 6);
    let seen = std::rc::Rc::new(core::cell::RefCell::new(Vec::new()));
    let log = seen.clone();
    net.tamper = Some(Box::new(move |_, _, cell| {
        log.borrow_mut().push(cell.clone());
        vec![cell]
    }));
    net.send(0, a, &payload(0));
    net.pump();
    let cells = seen.borrow();
    assert_eq!(cells.len(), 12);
    for (place, one) in cells.iter().enumerate() {
        for other in &cells[..place] {
            assert_ne!(one.id(), other.id());
            let pairs = one.body().iter().zip(other.body());
            let equal = pairs.filter(|(a, b)| a == b).count();
            assert!(
                equal < 20,
                "{equal} of 908 bytes are equal; 4 are by chance"
            );
        }
    }
}
