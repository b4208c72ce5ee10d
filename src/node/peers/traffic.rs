//! Counts of what crosses all links.

use crate::node::views::FlowView;

/// Counts since the start, over all links. They contain traffic of this node's own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::node) struct LinkTraffic {
    /// Bytes received.
    bytes_received: u64,
    /// Bytes handed to the shell.
    bytes_sent: u64,
    /// One-shot cells received.
    cells_received: u64,
    /// One-shot cells sent.
    cells_sent: u64,
}

impl LinkTraffic {
    /// The counts, in a view that has nothing else yet.
    pub(in crate::node) fn view(self) -> FlowView {
        FlowView {
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            cells_received: self.cells_received,
            cells_sent: self.cells_sent,
            ..FlowView::default()
        }
    }

    /// Counts received bytes.
    pub(super) fn on_received(&mut self, bytes: usize) {
        self.bytes_received = add(self.bytes_received, bytes);
    }

    /// Counts bytes that are handed to the shell.
    pub(super) fn on_sent(&mut self, bytes: usize) {
        self.bytes_sent = add(self.bytes_sent, bytes);
    }

    /// Counts a received cell.
    pub(super) fn on_cell_received(&mut self) {
        self.cells_received = add(self.cells_received, 1);
    }

    /// Counts a sent cell.
    pub(super) fn on_cell_sent(&mut self) {
        self.cells_sent = add(self.cells_sent, 1);
    }
}

fn add(count: u64, more: usize) -> u64 {
    count.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
}
