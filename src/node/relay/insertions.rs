//! Envelopes that wait for the end of their hold at this rendezvous.
//!
//! A package that travels whole in one cell brings no ticket; its envelope's proof of work pays for its
//! place. Two rules keep that price: an envelope that waits already takes no second place, since cells
//! around it cost nothing, and the envelopes of one link have a quota, so that a link with much work
//! does not take the places of the others. Invalid cells and copies do not count against the quota: a
//! node that sends them through an honest relay does not block the cells of others.

use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::LinkId;
use circuits::rate_limit::{KeyedLimiter, Quota};
use circuits::time::Instant;

use crate::envelope::{Envelope, EnvelopeHash};

/// Rebuilt envelopes that wait for the end of their hold.
pub(super) struct DelayedInsertions {
    waiting: BTreeMap<(Instant, u64), Envelope>,
    hashes: BTreeSet<EnvelopeHash>,
    last: u64,
    bytes: usize,
    /// Envelopes that came whole over each link.
    quotas: KeyedLimiter<LinkId>,
}

impl Default for DelayedInsertions {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            hashes: BTreeSet::new(),
            last: 0,
            bytes: 0,
            quotas: KeyedLimiter::new(WHOLE_QUOTA, MAX_QUOTAS),
        }
    }
}

impl DelayedInsertions {
    /// Takes an envelope that came whole over this link; `false` if it gets no place.
    pub(super) fn push_whole(
        &mut self,
        now: Instant,
        from: LinkId,
        due: Instant,
        envelope: Envelope,
    ) -> bool {
        !self.hashes.contains(&envelope.hash())
            && self.quotas.take(from, now)
            && self.push(due, envelope)
    }

    /// Takes an envelope until `due`; `false` if it is there already, or if there is no room.
    pub(super) fn push(&mut self, due: Instant, envelope: Envelope) -> bool {
        let bytes = self.bytes.saturating_add(envelope.size());
        if bytes > MAX_DELAYED_BYTES || !self.hashes.insert(envelope.hash()) {
            return false;
        }
        self.bytes = bytes;
        self.last = self.last.saturating_add(1);
        self.waiting.insert((due, self.last), envelope);
        true
    }

    /// Takes out an envelope whose hold has ended.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Envelope> {
        let entry = self
            .waiting
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let envelope = entry.remove();
        self.hashes.remove(&envelope.hash());
        self.bytes = self.bytes.saturating_sub(envelope.size());
        Some(envelope)
    }

    /// When the next hold ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Number of envelopes whose hold has not ended.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.quotas.forget(&link);
    }
}

/// Maximum size of all held envelopes; as much as the open shard sets may take.
const MAX_DELAYED_BYTES: usize = 16 * 1024 * 1024;

/// Envelopes that come whole over one link. In a network of 60 relays and 600 senders that send in
/// every slot, a rendezvous gets 4.5 a second, over a dozen links.
const WHOLE_QUOTA: Quota = Quota::per_second(8, 256);

/// Maximum number of links with a quota of their own; more share one.
const MAX_QUOTAS: usize = 1024;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::node::fixture::envelope;

    fn due(secs: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(secs))
    }

    #[test]
    fn attack_with_copies_of_one_envelope_takes_one_place_and_no_quota() {
        let mut held = DelayedInsertions::default();
        let mut push = |number| held.push_whole(Instant::ZERO, LinkId(1), due(9), envelope(number));
        assert!(push(1));
        for _ in 0..1_000 {
            assert!(!push(1));
        }
        assert!(push(2), "the copies used up no quota");
        assert!(held.pop_due(due(9)).is_some());
        assert!(held.pop_due(due(9)).is_some());
        assert!(held.pop_due(due(9)).is_none());
        assert_eq!((held.bytes, held.hashes.len()), (0, 0));
    }

    #[test]
    fn attack_over_one_link_leaves_places_to_another() {
        let mut held = DelayedInsertions::default();
        let mut taken = 0;
        for number in 0..=255 {
            for half in [0, 1] {
                let envelope = envelope_of(number, half);
                taken += u32::from(held.push_whole(Instant::ZERO, LinkId(1), due(9), envelope));
            }
        }
        assert_eq!(taken, 256);
        assert!(held.push_whole(Instant::ZERO, LinkId(2), due(9), envelope_of(1, 2)));
        assert!(
            held.push_whole(due(1), LinkId(1), due(9), envelope_of(2, 2)),
            "refills"
        );
    }

    fn envelope_of(number: u8, nonce: u64) -> Envelope {
        let like = envelope(number);
        let (expiry, ttl) = (like.expiry(), like.ttl());
        Envelope::build(expiry, ttl, like.topic(), vec![number; 50], nonce)
    }
}
