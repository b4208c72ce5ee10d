//! Malformed cells that no honest origin builds.

use circuits::cell::{BadSlot, Cell, CellError, HopDelay};
use circuits::relay::{DropReason, Peeled};
use curve25519_dalek::constants::EIGHT_TORSION;

use crate::path::{EPOCH, PathStop, dropped, peel, rng, sealed, stops};
use crate::reference;

const VERSION: u8 = 0x10 | EPOCH.hint();

/// A cell for one relay that is valid except for its slot.
fn with_slot(stop: &PathStop, slot: Vec<u8>) -> Cell {
    let layers = reference::schedule([9; 32], &[stop.reference()], EPOCH.0);
    let cells = reference::wrap(VERSION, &layers, &[slot], &[3; 180], &[4; 647], |_, _| {});
    Cell::parse(&cells[0]).unwrap()
}

#[test]
fn cell_parse_refuses_wrong_length() {
    let mut rng = rng(30);
    let stops = stops(&mut rng, 2);
    let (cell, _) = sealed(&mut rng, &stops);
    let long = [&cell.as_bytes()[..], &[0]].concat();
    for bytes in [&long[..], &long[..911], &[], &vec![0x10; 1 << 24]] {
        assert_eq!(
            Cell::parse(bytes),
            Err(CellError::WrongLength),
            "{}",
            bytes.len()
        );
    }
    assert_eq!(Cell::parse(&long[..912]), Ok(cell));
}

#[test]
fn low_order_element_is_refused_even_if_zero_secret_authenticates() {
    let stop = &stops(&mut rng(31), 1)[0];
    let mut elements: Vec<[u8; 32]> = EIGHT_TORSION.map(|point| point.to_montgomery().0).to_vec();
    // -1 has order 4 on the twist; p and p + 1 encode zero and one.
    for low in [0xec, 0xed, 0xee] {
        let mut element = [0xff; 32];
        element[0] = low;
        element[31] = 0x7f;
        elements.push(element);
    }
    let top_bit_set = elements.clone().into_iter().map(|mut element| {
        element[31] |= 0x80;
        element
    });
    elements.extend(top_bit_set);
    for alpha in elements {
        let layer = reference::layer(alpha, [0; 32], stop.reference(), EPOCH.0);
        let slot = reference::slot([1; 16], 0, 1, 0, [2; 16]);
        let cells = reference::wrap(VERSION, &[layer], &[slot], &[3; 180], &[4; 647], |_, _| {});
        let cell = Cell::parse(&cells[0]).unwrap();
        assert_eq!(
            dropped(&mut stop.relay(), cell),
            DropReason::LowOrder,
            "{alpha:02x?}"
        );
    }
}

#[test]
fn malformed_slot_is_dropped_with_its_own_reason() {
    let stop = &stops(&mut rng(32), 1)[0];
    let cases = [
        (0, 0b000, 1, BadSlot::Reserved),
        (0, 0b001, 0x80, BadSlot::Reserved),
        (0, 0b1000, 0, BadSlot::Reserved),
        (0, 0b1000_0001, 0, BadSlot::Reserved),
        (1, 0b010, 0, BadSlot::KeepWithDelay),
        (1, 0b011, 0, BadSlot::KeepWithDelay),
        (0, 0b110, 0, BadSlot::KeepWithDelay),
        (0, 0b111, 0, BadSlot::KeepWithDelay),
        (0, 0b100, 0, BadSlot::BulletinOnTheWay),
        (60_001, 0b000, 0, BadSlot::DelayTooLong),
        (60_001, 0b001, 0, BadSlot::DelayTooLong),
        (0xffff, 0b101, 0, BadSlot::DelayTooLong),
    ];
    for (delay, flags, reserved, why) in cases {
        let cell = with_slot(
            stop,
            reference::slot([1; 16], delay, flags, reserved, [2; 16]),
        );
        let case = format!("delay {delay}, flags {flags:#b}, reserved {reserved}");
        assert_eq!(
            dropped(&mut stop.relay(), cell),
            DropReason::Slot(why),
            "{case}"
        );
    }
}

#[test]
fn last_slot_of_a_circuit_needs_a_cookie() {
    let stop = &stops(&mut rng(37), 1)[0];
    let cell = with_slot(stop, reference::slot([1; 16], 0, 0b011, 0, [2; 16]));
    assert_eq!(dropped(&mut stop.relay(), cell), DropReason::NoCookie);
}

#[test]
fn delays_zero_and_maximum_are_honoured() {
    let stop = &stops(&mut rng(33), 1)[0];
    for units in [0, 60_000] {
        let expected = HopDelay::from_units(units).unwrap().as_duration();
        let cell = with_slot(stop, reference::slot([1; 16], units, 0, 0, [2; 16]));
        match peel(&mut stop.relay(), cell) {
            Peeled::Forward { delay, .. } => assert_eq!(delay, expected),
            other => panic!("not forwarded: {other:?}"),
        }
    }
}

#[test]
fn cell_with_own_relay_as_next_hop_is_dropped() {
    let stop = &stops(&mut rng(34), 1)[0];
    let cell = with_slot(stop, reference::slot(stop.id.short().0, 0, 0, 0, [2; 16]));
    assert_eq!(dropped(&mut stop.relay(), cell), DropReason::NextIsSelf);
}

#[test]
fn cell_with_malformed_slot_is_recorded_for_replay() {
    // The tag comes before the slot: a cell with a bad slot is dropped as a replay the second time.
    let stop = &stops(&mut rng(35), 1)[0];
    let cell = with_slot(stop, reference::slot([1; 16], 1, 0b010, 0, [2; 16]));
    let mut relay = stop.relay();
    assert_eq!(
        dropped(&mut relay, cell.clone()),
        DropReason::Slot(BadSlot::KeepWithDelay)
    );
    assert_eq!(dropped(&mut relay, cell), DropReason::Replayed);
}

#[test]
fn cell_with_unknown_epoch_hint_is_dropped_before_queueing() {
    let mut rng = rng(36);
    let stops = stops(&mut rng, 2);
    let (cell, _) = sealed(&mut rng, &stops);
    let mut relay = stops[0].relay();
    for hint in (0..16).filter(|hint| *hint != EPOCH.hint()) {
        let mut bytes = *cell.as_bytes();
        bytes[0] = 0x10 | hint;
        let cell = Cell::parse(&bytes).unwrap();
        assert_eq!(dropped(&mut relay, cell), DropReason::UnknownEpoch);
        assert_eq!(relay.next_due(), None);
    }
}

#[test]
fn random_cell_is_dropped_as_forged() {
    use rand_core::Rng;
    let mut rng = rng(37);
    let stop = &stops(&mut rng, 1)[0];
    let mut relay = stop.relay();
    for _ in 0..500 {
        let mut bytes = [0; 912];
        rng.fill_bytes(&mut bytes);
        bytes[0] = VERSION;
        assert_eq!(
            dropped(&mut relay, Cell::parse(&bytes).unwrap()),
            DropReason::Forged
        );
    }
}
