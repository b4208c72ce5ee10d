//! The bounds of a relay: circuits, queues, rates and times.

use core::time::Duration;
use std::time::Instant as WallClock;

use circuits::circuit::{CircuitEnd, CircuitRefusal, limits};

use crate::network::{Net, joined, payload};

#[test]
fn stalled_links_of_64_circuits_leave_memory_bounded_and_others_working() {
    let mut net = Net::new(24);
    let mut stalled = Vec::new();
    for cookie in 0..64 {
        let end = usize::from(cookie / 8);
        stalled.push((8 + end, net.open(8 + end, &[4, 3], cookie)));
        net.open(16 + end, &[5, 3], cookie);
    }
    let good = net.open(0, &[6, 3], 200);
    net.open(1, &[6, 3], 200);
    let now = net.now;
    net.nodes[3].table.set_blocked(now, Net::link(3, 5), true);
    let mut most = 0;
    for step in 0..40 {
        let now = net.now;
        for (origin, circuit) in &stalled {
            for _ in 0..7 {
                let _full = net.nodes[*origin].table.send(now, *circuit, &payload(0));
            }
        }
        if step < 20 {
            net.send(0, good, &payload(1));
        }
        net.run(Duration::from_millis(500));
        most = most.max(net.nodes[3].table.stats().queued);
    }
    assert!(most <= 64 * limits::MAX_QUEUE_CELLS, "{most} cells");
    assert!(most >= 64 * 200, "{most} cells: the queues never filled");
    assert_eq!(net.nodes[1].received.len(), 20);
    let ended = net.nodes[8..16].iter().map(|node| node.ended.len());
    assert_eq!(ended.sum::<usize>(), 64, "full queues end circuits");
    assert_eq!(net.nodes[3].table.stats().queued, 0);
    assert_eq!(net.circuits(3), 2);
}

#[test]
fn circuit_passes_200_cells_a_second_and_a_link_1000() {
    let (mut net, [a, _], _) = joined(1, 1);
    for circuits in [1_u32, 8] {
        let mut own = vec![a];
        if circuits > 1 {
            net = Net::new(11);
            own.clear();
            for cookie in 0..8 {
                own.push(net.open(0, &[2], cookie));
                net.open(3 + usize::from(cookie), &[2], cookie);
            }
        }
        let before = net
            .nodes
            .iter()
            .map(|node| node.received.len())
            .sum::<usize>();
        for _ in 0..100 {
            for circuit in &own {
                let now = net.now;
                while net.nodes[0].table.send(now, *circuit, &payload(0)).is_ok() {}
            }
            net.run(Duration::from_millis(100));
        }
        let after = net
            .nodes
            .iter()
            .map(|node| node.received.len())
            .sum::<usize>();
        let rate = (after - before) / 10;
        let permitted = if circuits == 1 { 200 } else { 1_000 };
        assert!(
            (permitted * 9 / 10..=permitted * 102 / 100).contains(&rate),
            "{rate} cells/s over {circuits} circuits"
        );
    }
}

#[test]
fn flood_on_one_circuit_leaves_its_turn_to_another() {
    let mut net = Net::new(6);
    let loud = net.open(0, &[2], 1);
    let quiet = net.open(0, &[2], 2);
    net.open(3, &[2], 1);
    let receiver = net.open(3, &[2], 2);
    let now = net.now;
    while net.nodes[0].table.send(now, loud, &payload(0)).is_ok() {}
    net.send(0, quiet, &payload(9));
    net.pump();
    let place = net.nodes[3]
        .received
        .iter()
        .position(|(circuit, _)| *circuit == receiver);
    assert!(place.unwrap() <= 2, "{place:?}");
}

#[test]
fn unpaired_circuits_are_limited_for_each_link_and_end_after_120_s() {
    let mut net = Net::new(6);
    for cookie in 0..6 {
        net.open(0, &[4, 3], cookie);
    }
    assert_eq!(net.circuits(3), limits::MAX_UNPAIRED_PER_LINK);
    assert_eq!(net.nodes[3].refused, [CircuitRefusal::TooManyUnpaired; 2]);
    net.open(1, &[5, 3], 77);
    assert_eq!(net.circuits(3), 5, "another link has its own places");
    net.run(Duration::from_secs(119));
    assert_eq!(net.circuits(3), 5);
    net.run(Duration::from_secs(2));
    assert_eq!(net.circuits(3), 0);
    assert_eq!(
        net.nodes[0].ended.len(),
        4,
        "the last relay tells the origins"
    );
    net.run(Duration::from_secs(40));
    assert_eq!(net.nodes[0].ended.len(), 6);
    assert!(
        net.nodes[0].ended[4..]
            .iter()
            .all(|end| end.1 == CircuitEnd::NoAnswer)
    );
    assert!((0..6).all(|node| net.circuits(node) == 0));
}

#[test]
fn client_link_has_8_circuits_and_relay_link_64() {
    let mut net = Net::new(14);
    net.clients = 2;
    for cookie in 0..7 {
        net.open(0, &[3, 2], cookie);
        net.open(1, &[3, 2], cookie);
    }
    let setup = net.setup(&[3, 2], 50);
    net.on_setup(0, 3, setup.cell);
    let setup = net.setup(&[3, 2], 51);
    net.on_setup(0, 3, setup.cell);
    assert_eq!(net.nodes[3].refused, [CircuitRefusal::TooManyOnLink]);
    for cookie in 0..60 {
        let setup = net.setup(&[3, 2], 100 + cookie);
        net.on_setup(5 + usize::from(cookie % 5), 3, setup.cell);
    }
    let refused = &net.nodes[3].refused[1..];
    assert_eq!(net.circuits(3), 64);
    assert!(
        refused
            .iter()
            .all(|why| *why == CircuitRefusal::TooManyOnLink)
    );
    assert_eq!(refused.len(), 15 + 60 - 64);
}

#[test]
fn unpaired_circuit_that_sends_too_much_ends() {
    let mut net = Net::new(4);
    let a = net.open(0, &[3, 2], 1);
    for number in 0..=limits::MAX_WAITING_CELLS {
        net.send(0, a, &payload(u8::try_from(number).unwrap()));
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[0].ended, [(a, CircuitEnd::Broken)]);
    assert_eq!(net.nodes[2].table.stats().queued, 0);
}

#[test]
fn circuit_that_sends_too_much_before_its_next_relay_has_a_link_ends() {
    for (cells, circuits) in [
        (limits::MAX_WAITING_CELLS, 1),
        (limits::MAX_WAITING_CELLS + 1, 0),
    ] {
        let mut net = Net::new(4);
        let setup = net.setup(&[3, 2], 1);
        let now = net.now;
        let table = &mut net.nodes[0].table;
        let own = table.originate(now, Net::link(0, 3), &setup.cell, setup.keys);
        let own = own.unwrap();
        net.extend_only(0, 3, setup.cell);
        for _ in 0..cells {
            net.send(0, own, &payload(0));
        }
        net.run(Duration::from_secs(1));
        assert_eq!(net.circuits(3), circuits, "{cells} cells");
        let queued = net.nodes[3].table.stats().queued;
        assert_eq!(queued, cells * circuits, "{cells} cells");
    }
}

#[test]
fn joined_circuits_end_after_60_s_without_a_cell_and_after_10_minutes() {
    let (mut net, [a, b], _) = joined(3, 3);
    net.send(0, a, &payload(0));
    net.send(1, b, &payload(0));
    net.run(Duration::from_secs(59));
    assert!(net.nodes[0].ended.is_empty() && net.circuits(2) == 2);
    net.run(Duration::from_secs(3));
    assert_eq!((net.nodes[0].ended.len(), net.nodes[1].ended.len()), (1, 1));
    assert!((0..net.nodes.len()).all(|node| net.circuits(node) == 0));

    let (mut net, [a, b], _) = joined(3, 3);
    for _ in 0..11 {
        net.send(0, a, &payload(0));
        net.send(1, b, &payload(0));
        net.run(Duration::from_secs(54));
    }
    assert!(net.nodes[0].ended.is_empty(), "{:?}", net.nodes[0].ended);
    // Cells still come: it is the age that ends them.
    net.send(0, a, &payload(0));
    net.send(1, b, &payload(0));
    net.run(Duration::from_secs(8));
    assert_eq!((net.nodes[0].ended.len(), net.nodes[1].ended.len()), (1, 1));
    assert!((0..net.nodes.len()).all(|node| net.circuits(node) == 0));
}

#[test]
fn circuit_without_a_link_to_its_next_relay_ends_after_30_s() {
    let mut net = Net::new(4);
    let setup = net.setup(&[3, 2], 1);
    let now = net.now;
    let own = net.nodes[0]
        .table
        .originate(now, Net::link(0, 3), &setup.cell, setup.keys);
    let own = own.unwrap();
    net.extend_only(0, 3, setup.cell);
    net.send(0, own, &payload(0));
    net.run(Duration::from_secs(29));
    assert_eq!((net.circuits(3), net.nodes[3].table.stats().queued), (1, 1));
    net.run(Duration::from_secs(2));
    assert_eq!((net.circuits(3), net.nodes[3].table.stats().queued), (0, 0));
    assert_eq!(net.nodes[0].ended, [(own, CircuitEnd::Broken)]);
}

#[test]
fn origin_has_8_circuits() {
    let mut net = Net::new(4);
    for cookie in 0..8 {
        net.open(0, &[3, 2], cookie);
    }
    let setup = net.setup(&[3, 2], 99);
    let (now, link) = (net.now, Net::link(0, 3));
    let table = &mut net.nodes[0].table;
    let refused = table.originate(now, link, &setup.cell, setup.keys);
    assert_eq!(refused, Err(CircuitRefusal::TooMany));
    assert_eq!(table.stats().own, 8);
}

/// What circuits may cost one turn of a relay, in nanoseconds a cell. A read of 16 KiB brings at most 17 cells, and
/// the links are served every 10 ms, when each circuit may send two cells in each direction.
#[test]
#[ignore = "prints what a machine takes, and compares it with nothing"]
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn cost_of_cells_with_64_circuits_at_their_rates() {
    let mut net = Net::new(24);
    let mut ends = Vec::new();
    for cookie in 0..64 {
        let end = usize::from(cookie / 8);
        ends.push((8 + end, net.open(8 + end, &[4, 3, 2], cookie)));
        net.open(16 + end, &[5, 2], cookie);
    }
    let (mut cells, mut received, mut popped) = (0_u32, Duration::ZERO, Duration::ZERO);
    for _ in 0..200 {
        net.now = net.now.after(Duration::from_millis(10));
        let now = net.now;
        for (origin, circuit) in &ends {
            while net.nodes[*origin]
                .table
                .send(now, *circuit, &payload(0))
                .is_ok()
            {}
        }
        // As far as the relay before, which is not measured.
        for origin in 8..16 {
            let link = Net::link(origin, 4);
            while let Some(cell) = net.nodes[origin].table.pop(now, link) {
                net.nodes[4].table.receive(now, link, cell);
            }
        }
        let mut arriving = Vec::new();
        while let Some(cell) = net.nodes[4].table.pop(now, Net::link(3, 4)) {
            arriving.push(cell);
        }
        let relay = &mut net.nodes[3].table;
        cells += u32::try_from(arriving.len()).unwrap();
        let begun = WallClock::now();
        for cell in arriving {
            relay.receive(now, Net::link(3, 4), cell);
        }
        received += begun.elapsed();
        let begun = WallClock::now();
        while relay.pop(now, Net::link(2, 3)).is_some() {}
        popped += begun.elapsed();
        while relay.poll_event().is_some() {}
    }
    assert!(cells > 1_500, "{cells} cells over one link in two seconds");
    println!(
        "{cells} cells of 64 circuits: {} ns to receive one, {} ns to hand one to its link",
        received.as_nanos() / u128::from(cells),
        popped.as_nanos() / u128::from(cells)
    );
}
