//! Cells of fast mode, whose layers are plain text: what they say of themselves.

use circuits::cell::{Cell, Slot};
use circuits::dispersal::Payload;
use circuits::geometry::{DELTA_LEN, SLOT_LEN};

use super::frames::{FrameKind, PlainFrame};

/// The bytes of the body that differ for every cell: cookie or nonce, and index.
pub type CellName = [u8; 17];

/// What a cell of fast mode says of itself. No adversary reads this from a real cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlainCell {
    /// The same on every link of its path.
    pub name: CellName,
    /// Whether it ends at its sender.
    pub is_loop: bool,
    /// Whether the node that receives it is the last one.
    pub ends: bool,
}

impl PlainCell {
    /// The cell in a frame; none if the frame carries something else.
    pub(super) fn in_frame(frame: &PlainFrame<'_>) -> Option<Self> {
        if frame.kind != FrameKind::Cell {
            return None;
        }
        let cell = Cell::from_box(frame.cell()?).ok()?;
        let view = cell.view();
        let slot: &[u8; SLOT_LEN] = view.beta().first_chunk()?;
        Some(Self {
            name: view.delta().first_chunk().copied()?,
            is_loop: is_loop(view.delta()),
            ends: matches!(Slot::parse(slot), Ok(Slot::Terminal { .. })),
        })
    }
}

fn is_loop(delta: &[u8; DELTA_LEN]) -> bool {
    matches!(Payload::parse(delta), Ok(Payload::Loop { .. }))
}
