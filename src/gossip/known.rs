//! Who knows which envelope.
//!
//! One table for all peers instead of a set for each: an envelope is named once, and a peer is a
//! number beside it. What stands here changes only by what crossed that peer's link: it brought
//! the envelope, or was sent it. Our own envelopes are entered by the same two doors or not at
//! all, so the table cannot tell them apart.

use std::collections::BTreeMap;

use circuits::ids::LinkId;

use crate::envelope::EnvelopeHash;

/// The table. Its caller keeps it no larger than the pool by telling it what to forget.
#[derive(Debug, Default)]
pub(super) struct Known {
    envelopes: BTreeMap<EnvelopeHash, Acquaintance>,
}

/// The peers that know one envelope; each list in ascending order.
#[derive(Debug)]
struct Acquaintance {
    knows: Vec<LinkId>,
    brought: Vec<LinkId>,
    /// We gave it to a peer before any peer had brought it.
    given_first: bool,
}

impl Known {
    /// The peer sent us the envelope.
    pub(super) fn brought(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        let entry = self.entry(envelope, false);
        insert(&mut entry.knows, peer);
        insert(&mut entry.brought, peer);
    }

    /// We sent the envelope to the peer.
    pub(super) fn given(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        insert(&mut self.entry(envelope, true).knows, peer);
    }

    fn entry(&mut self, envelope: EnvelopeHash, given_first: bool) -> &mut Acquaintance {
        let entry = self.envelopes.entry(envelope);
        entry.or_insert_with(|| Acquaintance {
            knows: Vec::new(),
            brought: Vec::new(),
            given_first,
        })
    }

    /// Whether we gave it to a peer before any peer had brought it.
    pub(super) fn given_first(&self, envelope: &EnvelopeHash) -> bool {
        self.envelopes
            .get(envelope)
            .is_some_and(|entry| entry.given_first)
    }

    /// Whether the envelope has crossed the peer's link in either direction.
    pub(super) fn knows(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        self.by(envelope).binary_search(&peer).is_ok()
    }

    /// All peers whose link the envelope has crossed, in ascending order.
    pub(super) fn by(&self, envelope: &EnvelopeHash) -> &[LinkId] {
        self.envelopes
            .get(envelope)
            .map_or(&[], |entry| &entry.knows)
    }

    /// How many of the connected peers sent us the envelope.
    pub(super) fn brought_by(&self, envelope: &EnvelopeHash) -> usize {
        self.envelopes
            .get(envelope)
            .map_or(0, |entry| entry.brought.len())
    }

    /// The connected peers that sent us the envelope.
    pub(super) fn bearers(&self, envelope: &EnvelopeHash) -> &[LinkId] {
        self.envelopes
            .get(envelope)
            .map_or(&[], |entry| entry.brought.as_slice())
    }

    /// How many of the connected peers have the envelope from us and did not send it themselves.
    pub(super) fn given_to(&self, envelope: &EnvelopeHash) -> usize {
        self.envelopes.get(envelope).map_or(0, |entry| {
            let brought = |peer| entry.brought.binary_search(peer).is_ok();
            entry.knows.iter().filter(|peer| !brought(peer)).count()
        })
    }

    /// Number of envelopes in the table.
    pub(super) fn len(&self) -> usize {
        self.envelopes.len()
    }

    /// The envelope is gone.
    pub(super) fn forget(&mut self, envelope: &EnvelopeHash) {
        self.envelopes.remove(envelope);
    }

    /// Forgets every envelope that is not to be kept.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&EnvelopeHash) -> bool) {
        self.envelopes.retain(|envelope, _| keep(envelope));
    }

    /// The peer is gone; its number never comes back.
    pub(super) fn close(&mut self, peer: LinkId) {
        for entry in self.envelopes.values_mut() {
            remove(&mut entry.knows, peer);
            remove(&mut entry.brought, peer);
        }
    }
}

fn insert(peers: &mut Vec<LinkId>, peer: LinkId) {
    if let Err(at) = peers.binary_search(&peer) {
        peers.insert(at, peer);
    }
}

fn remove(peers: &mut Vec<LinkId>, peer: LinkId) {
    if let Ok(at) = peers.binary_search(&peer) {
        peers.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: EnvelopeHash = EnvelopeHash([7; 32]);

    #[test]
    fn bringing_counts_each_peer_once_and_what_we_send_counts_for_nobody() {
        let mut known = Known::default();
        known.brought(ENVELOPE, LinkId(2));
        known.brought(ENVELOPE, LinkId(2));
        known.given(ENVELOPE, LinkId(1));
        assert_eq!(known.brought_by(&ENVELOPE), 1);
        known.brought(ENVELOPE, LinkId(1));
        assert_eq!(known.brought_by(&ENVELOPE), 2);
        assert!(known.knows(&ENVELOPE, LinkId(1)) && known.knows(&ENVELOPE, LinkId(2)));
        assert!(!known.knows(&ENVELOPE, LinkId(3)));
    }

    #[test]
    fn who_was_first_is_settled_by_the_first_crossing() {
        let mut known = Known::default();
        known.given(ENVELOPE, LinkId(1));
        known.brought(ENVELOPE, LinkId(2));
        assert!(known.given_first(&ENVELOPE));
        let other = EnvelopeHash([8; 32]);
        known.brought(other, LinkId(1));
        known.close(LinkId(1));
        known.given(other, LinkId(2));
        assert!(!known.given_first(&other) && !known.given_first(&EnvelopeHash([9; 32])));
    }

    #[test]
    fn a_peer_that_comes_back_cannot_count_twice() {
        let mut known = Known::default();
        known.brought(ENVELOPE, LinkId(1));
        known.close(LinkId(1));
        known.brought(ENVELOPE, LinkId(2));
        assert_eq!(known.brought_by(&ENVELOPE), 1);
    }

    #[test]
    fn what_is_forgotten_takes_no_room() {
        let mut known = Known::default();
        known.brought(ENVELOPE, LinkId(1));
        known.given(EnvelopeHash([8; 32]), LinkId(1));
        known.forget(&ENVELOPE);
        assert_eq!((known.len(), known.brought_by(&ENVELOPE)), (1, 0));
        known.retain(|_| false);
        assert_eq!(known.len(), 0);
    }
}
