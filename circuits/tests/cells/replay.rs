//! No cell passes a relay twice, also not after a restart.

use circuits::cell::Cell;
use circuits::ids::{Epoch, LinkId};
use circuits::relay::{
    DropReason, OnionRelay, Peeled, RelayLimits, ReplayLog, ReplayMark, ReplaySet,
};
use circuits::time::Now;

use crate::path::{EPOCH, PathStop, at, dropped, forward, peel, peel_at, rng, sealed, stops};
use crate::reference;

/// The replay mark of a peeled cell.
fn mark(peeled: Peeled) -> ReplayMark {
    match peeled {
        Peeled::Forward { mark, .. } | Peeled::Terminal { mark, .. } => mark,
        other => panic!("{other:?}"),
    }
}

/// The cell with its element replaced.
fn with_alpha(cell: &[u8], alpha: [u8; 32]) -> Cell {
    let mut bytes = cell.to_vec();
    bytes[1..33].copy_from_slice(&alpha);
    Cell::parse(&bytes).unwrap()
}

#[test]
fn replayed_cell_is_dropped_on_any_link() {
    let mut rng = rng(20);
    let stops = stops(&mut rng, 2);
    let (cell, _) = sealed(&mut rng, &stops);
    let mut first = stops[0].relay();
    let inner = forward(&mut first, cell.clone());
    assert_eq!(dropped(&mut first, cell.clone()), DropReason::Replayed);
    first.accept(at(EPOCH, 1), LinkId(99), cell).unwrap();
    let outcome = first.next_peel(at(EPOCH, 1)).unwrap().outcome;
    assert!(
        matches!(outcome, Peeled::Dropped(DropReason::Replayed)),
        "{outcome:?}"
    );

    let mut last = stops[1].relay();
    mark(peel(&mut last, inner.clone()));
    assert_eq!(dropped(&mut last, inner), DropReason::Replayed);
}

#[test]
fn cells_with_equal_path_and_body_are_not_replays() {
    let mut rng = rng(21);
    let stops = stops(&mut rng, 2);
    let mut first = stops[0].relay();
    for _ in 0..200 {
        let (cell, _) = sealed(&mut rng, &stops);
        forward(&mut first, cell);
    }
}

#[test]
fn replay_after_restart_is_detected_from_log() {
    let mut rng = rng(22);
    let stops = stops(&mut rng, 2);
    let key = *stops[0].secret().public();
    let (mut log, mut file) = ReplayLog::create(EPOCH, &key);
    let mut before = stops[0].relay();
    let cells: Vec<_> = (0..20).map(|_| sealed(&mut rng, &stops).0).collect();
    for batch in cells.chunks(3) {
        let marks = batch
            .iter()
            .map(|cell| mark(peel(&mut before, cell.clone())));
        let tags: Vec<_> = marks.map(|mark| mark.tag).collect();
        file.extend(log.append(&tags));
    }
    drop(before);

    let (_, seen) = ReplayLog::read(&file, EPOCH, &key, 1_000).unwrap();
    let mut after = OnionRelay::new(stops[0].id, RelayLimits::default());
    after.install_key(EPOCH, stops[0].secret(), seen).unwrap();
    for cell in cells {
        assert_eq!(dropped(&mut after, cell), DropReason::Replayed);
    }
    let (fresh, _) = sealed(&mut rng, &stops);
    forward(&mut after, fresh);
}

#[test]
fn replay_in_next_epoch_is_detected_until_key_expires() {
    let mut rng = rng(23);
    let stops = stops(&mut rng, 2);
    let (cell, _) = sealed(&mut rng, &stops);
    let (unseen, _) = sealed(&mut rng, &stops);
    let mut relay = stops[0].relay();
    relay
        .install_key(EPOCH.next(), stops[1].secret(), ReplaySet::default())
        .unwrap();
    forward(&mut relay, cell.clone());

    let mut renamed = *cell.as_bytes();
    renamed[0] = 0x10 | EPOCH.next().hint();
    let renamed = Cell::parse(&renamed).unwrap();
    let later = at(EPOCH.next(), 2);
    assert!(relay.expire(later).is_empty());
    for (cell, why) in [
        (&cell, DropReason::Replayed),
        (&renamed, DropReason::Forged),
    ] {
        let outcome = peel_at(&mut relay, later, cell.clone());
        assert!(
            matches!(outcome, Peeled::Dropped(got) if got == why),
            "{outcome:?}"
        );
    }

    // The last second in which the key is valid, and the first one after it.
    let end = EPOCH.next().next().start();
    let last = Now {
        unix: end.before(1),
        ..later
    };
    let outcome = peel_at(&mut relay, last, cell.clone());
    assert!(
        matches!(outcome, Peeled::Dropped(DropReason::Replayed)),
        "{outcome:?}"
    );
    let over = Now { unix: end, ..later };
    for cell in [&cell, &unseen] {
        let outcome = peel_at(&mut relay, over, cell.clone());
        assert!(
            matches!(outcome, Peeled::Dropped(DropReason::UnknownEpoch)),
            "{outcome:?}"
        );
    }
    assert_eq!(relay.expire(over), [EPOCH]);
    assert!(relay.key(EPOCH).is_none());
}

#[test]
fn queued_cell_is_dropped_after_its_key_expires() {
    let mut rng = rng(24);
    let stops = stops(&mut rng, 2);
    let (cell, _) = sealed(&mut rng, &stops);
    let mut relay = stops[0].relay();
    relay.accept(at(EPOCH, 1), LinkId(1), cell).unwrap();
    let later = at(Epoch(EPOCH.0 + 2), 1);
    assert_eq!(relay.expire(later), [EPOCH]);
    let outcome = relay.next_peel(later).unwrap().outcome;
    assert!(
        matches!(outcome, Peeled::Dropped(DropReason::UnknownEpoch)),
        "{outcome:?}"
    );
}

#[test]
fn element_with_top_bit_set_is_forged() {
    let mut rng = rng(25);
    let stops = stops(&mut rng, 2);
    let (cell, _) = sealed(&mut rng, &stops);
    let mut alpha = *cell.view().alpha();
    alpha[31] ^= 0x80;
    let twin = with_alpha(cell.as_bytes(), alpha);
    let mut relay = stops[0].relay();
    assert_eq!(dropped(&mut relay, twin.clone()), DropReason::Forged);
    forward(&mut relay, cell);
    assert_eq!(dropped(&mut relay, twin), DropReason::Forged);
}

#[test]
fn non_canonical_element_is_forged() {
    // Only elements below 19 have a second encoding. This sender picks 9, the base point: with the
    // scalar 1, the shared secret is the relay's public key.
    let stops = stops(&mut rng(26), 1);
    let relay = stops[0].reference();
    let mut nine = [0; 32];
    nine[0] = 9;
    let layer = reference::layer(nine, relay.onion, relay, EPOCH.0);
    let slots = [reference::slot([1; 16], 0, 1, 0, [2; 16])];
    let cells = reference::wrap(
        0x10 | EPOCH.hint(),
        &[layer],
        &slots,
        &[3; 180],
        &[4; 647],
        |_, _| {},
    );

    let mut nine_plus_p = [0xff; 32];
    nine_plus_p[0] = 0xed + 9;
    nine_plus_p[31] = 0x7f;
    let twin = with_alpha(&cells[0], nine_plus_p);
    let mut relay = stops[0].relay();
    assert_eq!(dropped(&mut relay, twin.clone()), DropReason::Forged);
    mark(peel(&mut relay, Cell::parse(&cells[0]).unwrap()));
    assert_eq!(dropped(&mut relay, twin), DropReason::Forged);
}

#[test]
fn full_replay_set_drops_new_and_old_cells() {
    let mut rng = rng(27);
    let stops = stops(&mut rng, 2);
    let mut relay = OnionRelay::new(stops[0].id, RelayLimits::default());
    relay
        .install_key(EPOCH, stops[0].secret(), ReplaySet::with_limit(3))
        .unwrap();
    let cells: Vec<_> = (0..4).map(|_| sealed(&mut rng, &stops).0).collect();
    for cell in &cells[..3] {
        forward(&mut relay, cell.clone());
    }
    for cell in cells {
        assert_eq!(dropped(&mut relay, cell), DropReason::ReplaySetFull);
    }
}

#[test]
fn installed_key_cannot_be_replaced_with_empty_replay_set() {
    let stop: &PathStop = &stops(&mut rng(28), 1)[0];
    let mut relay = stop.relay();
    let again = relay.install_key(EPOCH, stop.secret(), ReplaySet::default());
    assert!(again.is_err());
}
