//! Which peers are due, without a walk over all peers.

use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::LinkId;
use circuits::time::Instant;

/// The due time of each peer, ordered by time. Every operation costs O(log n).
#[derive(Debug, Default)]
pub(super) struct DueIndex {
    due: BTreeMap<LinkId, Instant>,
    by_due: BTreeSet<(Instant, LinkId)>,
}

impl DueIndex {
    /// Sets when a peer is due; `None` if it is not.
    pub(super) fn set(&mut self, link: LinkId, due: Option<Instant>) {
        let before = match due {
            Some(due) => self.due.insert(link, due),
            None => self.due.remove(&link),
        };
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.by_due.remove(&(before, link));
        }
        if let Some(due) = due {
            self.by_due.insert((due, link));
        }
    }

    /// When the next peer is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// The peers that are due at `now`, in the order of their links.
    pub(super) fn due(&self, now: Instant) -> BTreeSet<LinkId> {
        let due = self.by_due.iter().take_while(|(due, _)| *due <= now);
        due.map(|(_, link)| *link).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_index_follows_every_change() {
        let at = Instant::from_micros;
        let mut index = DueIndex::default();
        index.set(LinkId(1), Some(at(5)));
        index.set(LinkId(2), Some(at(3)));
        index.set(LinkId(1), Some(at(9)));
        assert_eq!(index.next_due(), Some(at(3)));
        assert_eq!(index.due(at(4)), [LinkId(2)].into());
        index.set(LinkId(2), None);
        assert_eq!(index.next_due(), Some(at(9)));
        assert!(index.due(at(8)).is_empty());
    }
}
