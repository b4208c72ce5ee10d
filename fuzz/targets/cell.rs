//! Arbitrary bytes as a cell for a relay with a known key, as a slot, and as a replay log.
//!
//! A fuzzer forges no tags, so the corpus contains cells that the known key peels. Inputs of
//! another length are the content that an origin puts into a cell of its own: this cell must arrive
//! unchanged, and must be rejected after a change of one bit.

use std::sync::OnceLock;

use circuits::bytes::part;
use circuits::cell::{Cell, HopDelay, Slot};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::geometry::{CELL_LEN, DELTA_LEN, SLOT_LEN};
use circuits::ids::{Epoch, LinkId, RelayId};
use circuits::keys::{OnionPublic, OnionSecret};
use circuits::relay::{
    DropReason, OnionRelay, Peeled, RelayLimits, ReplayLog, ReplaySet, ReplayTag,
};
use circuits::secret::Secret;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// Reads, peels and encrypts. Panics if a rule is broken.
pub fn cell(data: &[u8]) {
    if let Ok(cell) = Cell::parse(data) {
        assert_eq!(cell.as_bytes()[..], *data);
        arrives_once(cell);
    } else {
        from_an_origin(data);
    }
    if let Some(bytes) = data.first_chunk::<SLOT_LEN>() {
        slot_has_one_spelling(bytes);
    }
    log_is_whole_or_cut_or_refused(data);
}

/// A relay accepts a cell at most once.
fn arrives_once(cell: Cell) {
    let mut relay = relay(0);
    match peel(&mut relay, &cell) {
        Peeled::Dropped(_) => {}
        Peeled::Forward {
            next,
            cell: inner,
            delay,
            ..
        } => {
            assert_eq!(Cell::parse(inner.as_bytes()).as_ref(), Ok(&inner));
            assert_eq!(inner.view().version(), cell.view().version());
            assert_ne!(next, ids()[0].short());
            assert!(HopDelay::from_duration(delay).is_ok());
            assert_eq!(dropped(&mut relay, &cell), Some(DropReason::Replayed));
        }
        Peeled::Extend { cell: inner, .. } => {
            assert_eq!(inner.view().version(), cell.view().version());
            assert_eq!(dropped(&mut relay, &cell), Some(DropReason::Replayed));
        }
        Peeled::Meet { .. } => {
            assert_eq!(dropped(&mut relay, &cell), Some(DropReason::Replayed));
        }
        Peeled::Terminal { hold, .. } => {
            assert!(HopDelay::from_duration(hold).is_ok());
            assert_eq!(dropped(&mut relay, &cell), Some(DropReason::Replayed));
        }
    }
}

/// Encrypts the bytes for two relays, with delays and a changed bit that the bytes determine.
fn from_an_origin(data: &[u8]) {
    let byte = |place: usize| data.get(place).copied().unwrap_or_default();
    let mut delta = [0; DELTA_LEN];
    for (to, from) in delta.iter_mut().zip(data) {
        *to = *from;
    }
    let layers = [0, 1].map(|place| LayerSpec {
        hop: Hop {
            id: ids()[place],
            onion: publics()[place],
        },
        delay: HopDelay::from_units(u16::from_be_bytes([byte(place), byte(place + 1)]))
            .unwrap_or(HopDelay::MAX),
    });
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(byte(2)));
    let bulletin = byte(3) & 1 == 1;
    let cell = seal(&mut rng, EPOCH, &layers, bulletin, &delta).unwrap();

    let bit = usize::from(u16::from_be_bytes([byte(4), byte(5)])) % (8 * CELL_LEN);
    let mut changed = *cell.as_bytes();
    changed[bit / 8] ^= 1 << (bit % 8);
    let mut first = relay(0);
    if let Ok(changed) = Cell::parse(&changed) {
        assert!(dropped(&mut first, &changed).is_some());
    }
    let Peeled::Forward { cell, delay, .. } = peel(&mut first, &cell) else {
        panic!("an honest cell was not forwarded");
    };
    assert_eq!(delay, layers[0].delay.as_duration());
    let Peeled::Terminal {
        hold,
        bulletin: flag,
        delta: got,
        ..
    } = peel(&mut relay(1), &cell)
    else {
        panic!("an honest cell was not delivered");
    };
    assert_eq!(hold, layers[1].delay.as_duration());
    assert_eq!((flag, *got), (bulletin, delta));
}

fn slot_has_one_spelling(bytes: &[u8; SLOT_LEN]) {
    if let Ok(slot) = Slot::parse(bytes) {
        let mut again = *bytes;
        slot.emit(&mut again);
        assert_eq!(&again, bytes);
        // All fields of a slot with a next hop are explicit.
        let mut blank = [0; SLOT_LEN];
        slot.emit(&mut blank);
        if matches!(slot, Slot::Forward { .. } | Slot::Extend { .. }) {
            assert_eq!(&blank, bytes);
        }
        assert_eq!(part::<16, 4, _>(&blank), part::<16, 4, _>(bytes));
    }
}

fn log_is_whole_or_cut_or_refused(data: &[u8]) {
    let key = &publics()[0];
    if let Some(sound) = ReplayLog::torn_at(data, EPOCH, key) {
        assert!(ReplayLog::read(data, EPOCH, key, 1_000).is_err());
        assert!(ReplayLog::read(&data[..sound], EPOCH, key, 1_000).is_ok());
    }
    let Ok((mut log, seen)) = ReplayLog::read(data, EPOCH, key, 1_000) else {
        return;
    };
    let tag = ReplayTag([0xa5; 16]);
    let longer = [data, &log.append(&[tag])].concat();
    let (_, mut again) = ReplayLog::read(&longer, EPOCH, key, usize::MAX).unwrap();
    assert!(again.insert(tag).is_err());
    assert!(again.len() == seen.len() || again.len() == seen.len() + 1);
}

fn relay(place: usize) -> OnionRelay {
    let mut relay = OnionRelay::new(ids()[place], RelayLimits::default());
    let installed = relay.install_key(EPOCH, secret(place), ReplaySet::default());
    assert!(installed.is_ok());
    relay
}

fn peel(relay: &mut OnionRelay, cell: &Cell) -> Peeled {
    let now = Now {
        mono: Instant::ZERO,
        unix: EPOCH.start(),
    };
    match relay.accept(now, LinkId(1), cell.clone()) {
        Ok(()) => relay.next_peel(now).unwrap().outcome,
        Err(why) => Peeled::Dropped(why),
    }
}

fn dropped(relay: &mut OnionRelay, cell: &Cell) -> Option<DropReason> {
    match peel(relay, cell) {
        Peeled::Dropped(why) => Some(why),
        _ => None,
    }
}

fn ids() -> [RelayId; 2] {
    [RelayId([9; 32]), RelayId([8; 32])]
}

fn secret(place: usize) -> OnionSecret {
    let byte = [7, 6][place];
    OnionSecret::from_secret(Secret::init_with(|bytes| bytes.fill(byte)))
}

fn publics() -> &'static [OnionPublic; 2] {
    static PUBLICS: OnceLock<[OnionPublic; 2]> = OnceLock::new();
    PUBLICS.get_or_init(|| [0, 1].map(|place| *secret(place).public()))
}

/// The epoch of the known keys.
const EPOCH: Epoch = Epoch(41_007);
