//! A link of a node with a limit of bandwidth: gossip waits while the limit admits none, and a peer is not silent
//! while its bytes are read slowly.

use circuits::time::Instant;

use super::{Link, LinkState};

impl Link {
    /// As [`Self::poll_transmit`]; without `gossip`, messages of [`Priority::Gossip`](super::Priority::Gossip) wait.
    #[must_use]
    pub fn poll_transmit_of(
        &mut self,
        now: Instant,
        budget: usize,
        gossip: bool,
    ) -> Option<Vec<u8>> {
        if budget == 0 {
            return None;
        }
        let mut wire = std::mem::take(&mut self.outbox);
        if let LinkState::Connected(open) = &mut self.state {
            open.transmit(now, budget, gossip, &mut wire);
        }
        (!wire.is_empty()).then_some(wire)
    }

    /// Whether messages of [`Priority::Gossip`](super::Priority::Gossip) wait.
    #[must_use]
    pub fn has_gossip(&self) -> bool {
        match &self.state {
            LinkState::Connected(open) => open.has_gossip(),
            _ => false,
        }
    }

    /// Counts bytes as a sign of life, whole frame or not. For a node that reads slowly on purpose: a frame may
    /// take it longer than the permitted silence.
    pub fn note_heard(&mut self, now: Instant) {
        if let LinkState::Connected(open) = &mut self.state {
            open.note_heard(now);
        }
    }
}
