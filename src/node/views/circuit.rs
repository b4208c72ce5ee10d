//! The circuits at the node.

use serde::{Deserialize, Serialize};

/// Circuits, and their cells since the start. A byte here is one of a cell, of 912 bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct CircuitsView {
    /// Number of circuits that this node opened.
    pub own: usize,
    /// Number of circuits of other nodes through this one.
    pub relayed: usize,
    /// Number of these that end here and wait for their other half.
    pub unpaired: usize,
    /// Number of cells that wait for a link or for the other half.
    pub queued_cells: usize,
    /// Bytes of cells received.
    pub bytes_received: u64,
    /// Bytes of cells sent.
    pub bytes_sent: u64,
    /// Number of received cells dropped because their link exceeds its rate.
    pub cells_dropped: u64,
}
