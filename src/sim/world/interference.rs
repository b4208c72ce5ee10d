//! Active adversaries: programs that drop cells on their way, in fast mode.
//!
//! A hostile relay runs the code of a node and drops some of the cells that it should forward; an adversary of
//! lines drops cells in the network. Both are an [`Interference`]: the world asks it about every cell that
//! leaves a node. It is granted what a test grants it: the name of a cell, which no adversary sees, serves to
//! score. Nothing is delayed or added here.

use std::any::Any;

use circuits::time::Instant;

use super::World;
use crate::sim::frames::without_cells;
use crate::sim::plain_cell::PlainCell;

/// An adversary that drops cells.
pub trait Interference: Any {
    /// Whether the cell that the first machine of `link` sends to the second one is dropped.
    fn drops(&mut self, now: Instant, link: (usize, usize), cell: &PlainCell) -> bool;
}

impl World {
    /// Lets an adversary drop cells from now on. Cells can be told apart in fast mode only.
    pub fn set_interference(&mut self, interference: impl Interference) {
        self.interference = Some(Box::new(interference));
    }

    /// The adversary, if it is of type `T`.
    #[must_use]
    pub fn interference<T: Interference>(&self) -> Option<&T> {
        let interference: &dyn Any = &**self.interference.as_ref()?;
        interference.downcast_ref()
    }

    /// The adversary, if it is of type `T`, to change its plan.
    pub fn interference_mut<T: Interference>(&mut self) -> Option<&mut T> {
        let interference: &mut dyn Any = &mut **self.interference.as_mut()?;
        interference.downcast_mut()
    }

    /// What is left of the bytes of a link after the loss of cells, by chance and by the adversary.
    pub(super) fn without_lost_cells(&mut self, link: (usize, usize), bytes: Vec<u8>) -> Vec<u8> {
        if !self.config.fast {
            return bytes;
        }
        let loss = self.config.network.cell_loss;
        if loss <= 0.0 && self.interference.is_none() {
            return bytes;
        }
        let (rng, now) = (&mut self.losses, self.now);
        let interference = &mut self.interference;
        let left = without_cells(&bytes, |frame| {
            let hostile = interference.as_mut().is_some_and(|hostile| {
                let cell = PlainCell::in_frame(frame);
                cell.is_some_and(|cell| hostile.drops(now, link, &cell))
            });
            hostile || (loss > 0.0 && rng.unit() <= loss)
        });
        left.unwrap_or(bytes)
    }
}
