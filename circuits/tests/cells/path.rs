//! A path of relays whose secrets the test knows.

use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::geometry::DELTA_LEN;
use circuits::ids::{Epoch, LinkId, RelayId};
use circuits::keys::OnionSecret;
use circuits::relay::{DropReason, OnionRelay, Peeled, RelayLimits, ReplaySet};
use circuits::secret::Secret;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::reference;

/// Default epoch of the tests.
pub(crate) const EPOCH: Epoch = Epoch(41_007);
/// Default peer that sends the cells.
pub(crate) const LINK: LinkId = LinkId(1);

/// A deterministic generator with its own seed for each test.
pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The middle of `epoch`, `micros` after the start of the monotonic clock.
pub(crate) fn at(epoch: Epoch, micros: u64) -> Now {
    Now {
        mono: Instant::from_micros(micros),
        unix: epoch.start().after(Epoch::SECS / 2),
    }
}

/// A relay of the path: id and key of [`EPOCH`].
pub(crate) struct PathStop {
    pub(crate) id: RelayId,
    pub(crate) secret: [u8; 32],
}

impl PathStop {
    pub(crate) fn secret(&self) -> OnionSecret {
        OnionSecret::from_secret(Secret::init_with(|bytes| *bytes = self.secret))
    }

    pub(crate) fn hop(&self) -> Hop {
        Hop {
            id: self.id,
            onion: *self.secret().public(),
        }
    }

    /// The same relay for the reference implementation.
    pub(crate) fn reference(&self) -> reference::ReferenceRelay {
        reference::ReferenceRelay {
            id: self.id.0,
            onion: *self.secret().public().as_bytes(),
        }
    }

    /// A relay with this key for [`EPOCH`] and limits that no test reaches.
    pub(crate) fn relay(&self) -> OnionRelay {
        let limits = RelayLimits {
            link_rate: 1_000_000,
            link_burst: 1_000_000,
            peel_rate: 1_000_000,
            waiting: 1_000_000,
        };
        let mut relay = OnionRelay::new(self.id, limits);
        relay
            .install_key(EPOCH, self.secret(), ReplaySet::default())
            .unwrap();
        relay
    }
}

/// `len` relays.
pub(crate) fn stops(rng: &mut ChaCha20Rng, len: usize) -> Vec<PathStop> {
    let mut bytes = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    (0..len)
        .map(|_| PathStop {
            id: RelayId(bytes()),
            secret: bytes(),
        })
        .collect()
}

/// The layers of a path, with delays that differ from hop to hop.
pub(crate) fn layers(stops: &[PathStop]) -> Vec<LayerSpec> {
    let delays = (1..).map(|n| HopDelay::from_units(n * 111).unwrap());
    stops
        .iter()
        .zip(delays)
        .map(|(stop, delay)| LayerSpec {
            hop: stop.hop(),
            delay,
        })
        .collect()
}

/// A random body.
pub(crate) fn body(rng: &mut ChaCha20Rng) -> [u8; DELTA_LEN] {
    let mut delta = [0; DELTA_LEN];
    rng.fill_bytes(&mut delta);
    delta
}

/// A cell for the path, and its body.
pub(crate) fn sealed(rng: &mut ChaCha20Rng, stops: &[PathStop]) -> (Cell, [u8; DELTA_LEN]) {
    let delta = body(rng);
    let cell = seal(rng, EPOCH, &layers(stops), false, &delta).unwrap();
    (cell, delta)
}

/// Result of `cell` at `relay`, when it is accepted or when it is peeled.
pub(crate) fn peel(relay: &mut OnionRelay, cell: Cell) -> Peeled {
    peel_at(relay, at(EPOCH, 1), cell)
}

/// Like [`peel`], at a given time.
pub(crate) fn peel_at(relay: &mut OnionRelay, now: Now, cell: Cell) -> Peeled {
    match relay.accept(now, LINK, cell) {
        Ok(()) => relay.next_peel(now).unwrap().outcome,
        Err(why) => Peeled::Dropped(why),
    }
}

/// Like [`peel`]; the relay must forward the cell.
pub(crate) fn forward(relay: &mut OnionRelay, cell: Cell) -> Cell {
    match peel(relay, cell) {
        Peeled::Forward { cell, .. } => cell,
        other => panic!("not forwarded: {other:?}"),
    }
}

/// Like [`peel`]; the relay must drop the cell.
pub(crate) fn dropped(relay: &mut OnionRelay, cell: Cell) -> DropReason {
    match peel(relay, cell) {
        Peeled::Dropped(why) => why,
        other => panic!("not dropped: {other:?}"),
    }
}
