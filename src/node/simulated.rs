//! What a simulator does to a node beside its inputs.
//!
//! Neither method changes a rule of the node: one spares a computation that another node has done,
//! the other makes load.

use circuits::cell::Cell;
use circuits::directory::DescriptorMemo;
use circuits::ids::ShortId;
use circuits::time::Now;

use super::{Drain, Node};

impl Node {
    /// Takes verified descriptors from the other nodes of a world.
    pub(crate) fn share_descriptors(&mut self, memo: DescriptorMemo) {
        self.relays.directory.share(memo);
    }

    /// Sends a cell to a relay as if this node had built it.
    pub(crate) fn send_synthetic_cell(&mut self, now: Now, next: ShortId, cell: Cell) -> Drain<'_> {
        self.send_cell(now, next, cell);
        self.transmit(now);
        self.schedule(now);
        Drain { node: self }
    }
}
