//! A stand-in for peeling: the checks of `peel` in the same order, on cells in plain text.
//!
//! The verdicts and the records are those of the real operation; the arithmetic is missing. Only
//! simulated nodes use it.

use super::peel::OpenedCell;
use super::{DropReason, Peeled, ReplayMark, ReplaySet, ReplayTag};
use crate::bytes::{part, part_mut};
use crate::cell::Cell;
use crate::cell_builder::Hop;
use crate::cell_builder::stand_in::{gamma, next_alpha};
use crate::circuit::HopKeys;
use crate::geometry::HEADER_STREAM_LEN;
use crate::ids::{Epoch, RelayId};
use crate::keys::HeldKey;

/// Peels `cell` with the key of `epoch`.
pub(super) fn peel(
    id: &RelayId,
    epoch: Epoch,
    held: &mut HeldKey<ReplaySet>,
    cell: Cell,
) -> Result<Peeled, DropReason> {
    let HeldKey {
        secret,
        companion: seen,
    } = held;
    if seen.is_full() {
        return Err(DropReason::ReplaySetFull);
    }
    let alpha = *cell.view().alpha();
    let hop = Hop {
        id: *id,
        onion: *secret.public(),
    };
    if *cell.view().gamma() != gamma(&alpha, &hop, epoch) {
        return Err(DropReason::Forged);
    }
    let mut tag = ReplayTag(*part::<16, _, _>(&alpha));
    for (to, from) in tag.0.iter_mut().zip(part::<0, 16, _>(&alpha)) {
        *to ^= from;
    }
    seen.insert(tag)?;
    let mark = ReplayMark { epoch, tag };

    let mut slots = [0; HEADER_STREAM_LEN];
    *part_mut::<0, _, _>(&mut slots) = *cell.view().beta();
    let opened = OpenedCell {
        arrived: *cell.as_bytes(),
        cell,
        slots,
        mark,
    };
    opened.follow(id, || HopKeys::stand_in(&alpha, id), || next_alpha(alpha))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::super::{OnionRelay, PeelResult, RelayLimits};
    use super::*;
    use crate::arithmetic::Arithmetic;
    use crate::cell::HopDelay;
    use crate::cell_builder::{LayerSpec, seal_with};
    use crate::ids::LinkId;
    use crate::keys::OnionSecret;
    use crate::time::{Instant, Now};

    const EPOCH: Epoch = Epoch(41_000);

    fn now() -> Now {
        Now {
            mono: Instant::ZERO,
            unix: EPOCH.start(),
        }
    }

    /// Three relays, the first of which is on the path twice, and their hops.
    fn path(arithmetic: Arithmetic) -> (Vec<OnionRelay>, Vec<LayerSpec>) {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let (mut relays, mut layers) = (Vec::new(), Vec::new());
        for number in 1..=3 {
            let secret = OnionSecret::generate(&mut rng);
            let id = RelayId([number; 32]);
            let hop = Hop {
                id,
                onion: *secret.public(),
            };
            let delay = HopDelay::from_units(u16::from(number)).unwrap();
            layers.push(LayerSpec { hop, delay });
            let relay = OnionRelay::new(id, RelayLimits::default());
            let mut relay = relay.with_arithmetic(arithmetic);
            let seen = ReplaySet::default();
            relay.install_key(EPOCH, secret, seen).unwrap();
            relays.push(relay);
        }
        layers.insert(2, layers[0]);
        (relays, layers)
    }

    fn peeled(relay: &mut OnionRelay, cell: &Cell) -> Peeled {
        let cell = Cell::parse(cell.as_bytes()).unwrap();
        relay.accept(now(), LinkId(1), cell).unwrap();
        let PeelResult { outcome, .. } = relay.next_peel(now()).unwrap();
        outcome
    }

    /// The next relays, the delays and the body that the relays of the path read; and the next
    /// draw of the builder's generator.
    fn journey(arithmetic: Arithmetic) -> (Vec<String>, u64) {
        let (mut relays, layers) = path(arithmetic);
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let mut cell = seal_with(arithmetic, &mut rng, EPOCH, &layers, &[9; 647]).unwrap();
        let mut read = Vec::new();
        for relay in [0, 1, 0, 2] {
            let outcome = peeled(&mut relays[relay], &cell);
            let again = peeled(&mut relays[relay], &cell);
            assert!(matches!(again, Peeled::Dropped(DropReason::Replayed)));
            let other = peeled(&mut relays[(relay + 1) % 3], &cell);
            assert!(matches!(other, Peeled::Dropped(DropReason::Forged)));
            match outcome {
                Peeled::Forward {
                    next,
                    delay,
                    cell: inner,
                    ..
                } => {
                    read.push(format!("{next:?} {delay:?}"));
                    cell = inner;
                }
                Peeled::Terminal { hold, delta, .. } => read.push(format!("{hold:?} {delta:?}")),
                other => panic!("{other:?}"),
            }
        }
        (read, rng.next_u64())
    }

    #[test]
    fn stand_in_reads_what_real_relays_read() {
        let (read, draw) = journey(Arithmetic::stand_in());
        assert_eq!((read.len(), read.last().unwrap().len() > 647), (4, true));
        assert_eq!((read, draw), journey(Arithmetic::REAL));
    }
}
