//! Peels one layer off one cell.
//!
//! The order of the checks is part of the protocol (spec F2): element, tag, replay, slot. No field
//! of a cell is used before the tag is verified, and the sender gets no answer when a check fails.

use super::{DropReason, Peeled, ReplayMark, ReplaySet, ReplaySetError, ReplayTag};
use crate::bytes::{part, part_mut};
use crate::cell::{Cell, Slot};
use crate::circuit::{CircuitIds, HopKeys, MeetCookie};
use crate::geometry::{HEADER_STREAM_LEN, SLOT_LEN};
use crate::ids::{Epoch, RelayId};
use crate::keys::HeldKey;
use crate::keys::element::Element;
use crate::keys::layer::{Binding, LayerKeys};

/// Peels `cell` with the key of `epoch`, which is the key for the cell's hint.
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
    let element = Element::decode(&alpha);
    let shared = secret.agree(&element).ok_or(DropReason::LowOrder)?;
    let binding = Binding {
        alpha: &alpha,
        onion: secret.public(),
        relay: id,
        epoch,
    };
    let keys = LayerKeys::new(&shared, binding);
    // A circuit is named by the cell as it crossed the link.
    let arrived = *cell.as_bytes();
    keys.open(&mut cell).map_err(|_| DropReason::Forged)?;
    let tag = ReplayTag(keys.replay_tag());
    seen.insert(tag)?;
    let mark = ReplayMark { epoch, tag };

    let mut slots = [0; HEADER_STREAM_LEN];
    *part_mut::<0, _, _>(&mut slots) = *cell.view().beta();
    keys.apply_header_stream(&mut slots);
    match Slot::parse(part::<0, _, _>(&slots)).map_err(DropReason::Slot)? {
        Slot::Terminal { hold, bulletin } => Ok(Peeled::Terminal {
            hold: hold.as_duration(),
            bulletin,
            delta: Box::new(*cell.view().delta()),
            mark,
        }),
        Slot::Forward { next, .. } | Slot::Extend { next, .. } if next == id.short() => {
            Err(DropReason::NextIsSelf)
        }
        Slot::Meet => Ok(Peeled::Meet {
            cookie: MeetCookie::parse(cell.view().delta()).ok_or(DropReason::NoCookie)?,
            ids: CircuitIds::of(&arrived),
            keys: HopKeys::new(&keys),
            mark,
        }),
        Slot::Extend { next, gamma } => {
            *cell.alpha_mut() = element.x25519(&keys.blind());
            *cell.gamma_mut() = gamma;
            *cell.beta_mut() = *part::<SLOT_LEN, _, _>(&slots);
            Ok(Peeled::Extend {
                next,
                cell,
                ids: CircuitIds::of(&arrived),
                keys: HopKeys::new(&keys),
                mark,
            })
        }
        Slot::Forward { next, delay, gamma } => {
            *cell.alpha_mut() = element.x25519(&keys.blind());
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

impl From<ReplaySetError> for DropReason {
    fn from(why: ReplaySetError) -> Self {
        match why {
            ReplaySetError::Full => Self::ReplaySetFull,
            ReplaySetError::Seen => Self::Replayed,
        }
    }
}
