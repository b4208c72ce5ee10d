//! Counts of what crosses all links.

/// Counts since the start, over all links. They contain traffic of this node's own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::node) struct LinkTraffic {
    /// Bytes received.
    pub(in crate::node) bytes_received: u64,
    /// Bytes handed to the shell.
    pub(in crate::node) bytes_sent: u64,
    /// One-shot cells received.
    pub(in crate::node) cells_received: u64,
    /// One-shot cells sent.
    pub(in crate::node) cells_sent: u64,
}

impl LinkTraffic {
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
