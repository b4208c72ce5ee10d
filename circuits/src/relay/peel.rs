//! Peels one layer off one cell.
//!
//! The order of the checks is part of the protocol (spec F2): element, tag, replay, slot. No field
//! of a cell is used before the tag is verified, and the sender gets no answer when a check fails.

use super::{DropReason, Peeled, ReplayMark, ReplaySet, ReplaySetError, ReplayTag};
use crate::bytes::{part, part_mut};
use crate::cell::{Cell, Slot};
use crate::circuit::{CircuitIds, HopKeys, MeetCookie};
use crate::geometry::{CELL_LEN, HEADER_STREAM_LEN, SLOT_LEN};
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
    let opened = OpenedCell {
        cell,
        arrived,
        slots,
        mark,
    };
    let next_alpha = || element.x25519(&keys.blind());
    opened.follow(id, || HopKeys::new(&keys), next_alpha)
}

/// A cell whose tag is verified and recorded, and whose slots are decrypted.
pub(super) struct OpenedCell {
    pub(super) cell: Cell,
    /// As it crossed the link, by which a circuit is named.
    pub(super) arrived: [u8; CELL_LEN],
    pub(super) slots: [u8; HEADER_STREAM_LEN],
    pub(super) mark: ReplayMark,
}

impl OpenedCell {
    /// Does what the first slot says. The keys of a circuit and the next element are computed if the slot
    /// needs them.
    pub(super) fn follow(
        mut self,
        id: &RelayId,
        hop_keys: impl FnOnce() -> HopKeys,
        next_alpha: impl FnOnce() -> [u8; 32],
    ) -> Result<Peeled, DropReason> {
        let mark = self.mark;
        match Slot::parse(part::<0, _, _>(&self.slots)).map_err(DropReason::Slot)? {
            Slot::Terminal { hold, bulletin } => Ok(Peeled::Terminal {
                hold: hold.as_duration(),
                bulletin,
                delta: Box::new(*self.cell.view().delta()),
                mark,
            }),
            Slot::Forward { next, .. } | Slot::Extend { next, .. } if next == id.short() => {
                Err(DropReason::NextIsSelf)
            }
            Slot::Meet => Ok(Peeled::Meet {
                cookie: MeetCookie::parse(self.cell.view().delta()).ok_or(DropReason::NoCookie)?,
                ids: CircuitIds::of(&self.arrived),
                keys: hop_keys(),
                mark,
            }),
            Slot::Extend { next, gamma } => {
                self.shift(next_alpha(), gamma);
                Ok(Peeled::Extend {
                    next,
                    cell: self.cell,
                    ids: CircuitIds::of(&self.arrived),
                    keys: hop_keys(),
                    mark,
                })
            }
            Slot::Forward { next, delay, gamma } => {
                self.shift(next_alpha(), gamma);
                Ok(Peeled::Forward {
                    next,
                    delay: delay.as_duration(),
                    cell: self.cell,
                    mark,
                })
            }
        }
    }

    /// Makes the cell that of the next relay.
    fn shift(&mut self, alpha: [u8; 32], gamma: [u8; 16]) {
        *self.cell.alpha_mut() = alpha;
        *self.cell.gamma_mut() = gamma;
        *self.cell.beta_mut() = *part::<SLOT_LEN, _, _>(&self.slots);
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
