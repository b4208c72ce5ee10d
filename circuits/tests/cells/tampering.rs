//! Altered cells are dropped at the next honest relay.

use circuits::cell::{Cell, CellError};
use circuits::geometry::CELL_LEN;
use circuits::ids::{Epoch, LinkId};
use circuits::relay::{DropReason, OnionRelay, Peeled, ReplaySet};

use crate::path::{EPOCH, PathStop, at, forward, peel, rng, sealed, stops};
use crate::reference;

/// The reason for which `relay` drops `cell` with one bit flipped; `None` if the cell does not
/// parse. Panics if the relay accepts it.
fn drop_reason(relay: &mut OnionRelay, cell: &Cell, bit: usize) -> Option<DropReason> {
    let mut bytes = *cell.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    match Cell::parse(&bytes) {
        Err(CellError::UnknownVersion) => None,
        Err(other) => panic!("bit {bit}: {other}"),
        Ok(cell) => match peel(relay, cell) {
            Peeled::Dropped(why) => Some(why),
            other => panic!("bit {bit} passed: {other:?}"),
        },
    }
}

/// Flips every bit of the cell as it arrives at `stop`, on eight threads, and checks that the
/// unaltered cell still passes.
fn flip_every_bit(stop: &PathStop, next: &PathStop, cell: &Cell) {
    let relay = || {
        let mut relay = stop.relay();
        // The key of the previous epoch is valid too, so that a flipped hint selects another key.
        let seen = ReplaySet::default();
        relay
            .install_key(EPOCH.previous(), next.secret(), seen)
            .unwrap();
        relay
    };
    let bits = CELL_LEN * 8;
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || {
                let mut relay = relay();
                for bit in (part..bits).step_by(8) {
                    let drop_reason = drop_reason(&mut relay, cell, bit);
                    let expected = match bit {
                        0 => Some(DropReason::Forged),
                        1..4 => Some(DropReason::UnknownEpoch),
                        4..8 => None,
                        _ => Some(DropReason::Forged),
                    };
                    assert_eq!(drop_reason, expected, "bit {bit}");
                }
                let drop_reason = peel(&mut relay, cell.clone());
                assert!(
                    !matches!(drop_reason, Peeled::Dropped(_)),
                    "{drop_reason:?}"
                );
            });
        }
    });
}

#[test]
fn any_flipped_bit_is_dropped_at_next_relay() {
    assert_eq!(
        EPOCH.hint() & 1,
        1,
        "the hint must be odd, so that bit 0 selects the previous epoch"
    );
    let mut rng = rng(10);
    let stops = stops(&mut rng, 6);
    let (mut cell, _) = sealed(&mut rng, &stops);
    for (place, stop) in stops.iter().enumerate() {
        flip_every_bit(stop, &stops[(place + 1) % 6], &cell);
        if place < 5 {
            cell = forward(&mut stop.relay(), cell);
        }
    }
}

#[test]
fn cell_for_other_relay_name_or_epoch_is_forged() {
    let mut rng = rng(11);
    let stops = stops(&mut rng, 2);
    let (cell, _) = sealed(&mut rng, &stops);
    // Another key; the same key under another id; the same key in another epoch with an equal hint.
    let renamed = PathStop {
        id: stops[1].id,
        secret: stops[0].secret,
    };
    for relay in [&mut stops[1].relay(), &mut renamed.relay()] {
        let drop_reason = peel(relay, cell.clone());
        assert!(
            matches!(drop_reason, Peeled::Dropped(DropReason::Forged)),
            "{drop_reason:?}"
        );
    }
    let later = Epoch(EPOCH.0 + 16);
    let mut relay = OnionRelay::new(stops[0].id, circuits::relay::RelayLimits::default());
    relay
        .install_key(later, stops[0].secret(), ReplaySet::default())
        .unwrap();
    relay.accept(at(later, 1), LinkId(1), cell).unwrap();
    let drop_reason = relay.next_peel(at(later, 1)).unwrap().outcome;
    assert!(
        matches!(drop_reason, Peeled::Dropped(DropReason::Forged)),
        "{drop_reason:?}"
    );
}

#[test]
fn cell_spliced_from_two_cells_is_forged() {
    let mut rng = rng(12);
    let stops = stops(&mut rng, 3);
    let (one, _) = sealed(&mut rng, &stops);
    let (other, _) = sealed(&mut rng, &stops);
    for range in [1..33, 33..49, 49..265, 265..912] {
        let mut bytes = *one.as_bytes();
        bytes[range.clone()].copy_from_slice(&other.as_bytes()[range.clone()]);
        let drop_reason = peel(&mut stops[0].relay(), Cell::parse(&bytes).unwrap());
        assert!(
            matches!(drop_reason, Peeled::Dropped(DropReason::Forged)),
            "{range:?}: {drop_reason:?}"
        );
    }
}

#[test]
fn cell_forged_for_second_hop_does_not_affect_later_cells() {
    let mut rng = rng(13);
    let stops = stops(&mut rng, 3);
    let relays: Vec<_> = stops.iter().map(PathStop::reference).collect();
    let layers = reference::schedule([9; 32], &relays, EPOCH.0);
    let slots: Vec<_> = (0..3)
        .map(|place| match stops.get(place + 1) {
            Some(next) => reference::slot(next.id.short().0, 0, 0, 0, [0; 16]),
            None => reference::slot([3; 16], 0, 1, 0, [4; 16]),
        })
        .collect();
    // The second layer is altered before the first one encrypts it.
    let alter = |place: usize, cell: &mut Vec<u8>| {
        if place == 1 {
            cell[500] ^= 1;
        }
    };
    let cells = reference::wrap(
        0x10 | EPOCH.hint(),
        &layers,
        &slots,
        &[7; 108],
        &[5; 647],
        alter,
    );
    let mut second = stops[1].relay();
    let framed = forward(&mut stops[0].relay(), Cell::parse(&cells[0]).unwrap());
    for _ in 0..50 {
        let drop_reason = peel(&mut second, framed.clone());
        assert!(
            matches!(drop_reason, Peeled::Dropped(DropReason::Forged)),
            "{drop_reason:?}"
        );
    }
    // The next cell still passes over the link from the first relay to the second.
    let (cell, _) = sealed(&mut rng, &stops);
    let cell = forward(&mut stops[0].relay(), cell);
    forward(&mut second, cell);
}
