//! A stand-in for peeling: the checks of `peel` in the same order, on cells in plain text.
//!
//! The verdicts and the records are those of the real operation; the arithmetic is missing. Only
//! simulated nodes use it.

use super::{DropReason, Peeled, ReplayMark, ReplaySet, ReplayTag};
use crate::bytes::{part, part_mut};
use crate::cell::{Cell, Slot};
use crate::cell_builder::Hop;
use crate::cell_builder::stand_in::{gamma, next_alpha};
use crate::geometry::{HEADER_STREAM_LEN, SLOT_LEN};
use crate::ids::{Epoch, RelayId};
use crate::keys::HeldKey;

/// Peels `cell` with the key of `epoch`.
pub(super) fn peel(
    id: &RelayId,
    epoch: Epoch,
    held: &mut HeldKey<ReplaySet>,
    mut cell: Cell,
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
    match Slot::parse(part::<0, _, _>(&slots)).map_err(DropReason::Slot)? {
        Slot::Terminal { hold, bulletin } => Ok(Peeled::Terminal {
            hold: hold.as_duration(),
            bulletin,
            delta: Box::new(*cell.view().delta()),
            mark,
        }),
        Slot::Forward { next, .. } if next == id.short() => Err(DropReason::NextIsSelf),
        Slot::Forward { next, delay, gamma } => {
            *cell.alpha_mut() = next_alpha(alpha);
            *cell.gamma_mut() = gamma;
            *cell.beta_mut() = *part::<SLOT_LEN, _, _>(&slots);
            Ok(Peeled::Forward {
                next,
                delay: delay.as_duration(),
                cell,
                mark,
            })
        }
    }
}
