//! Who knows which envelope.
//!
//! One table for all peers instead of a set for each: an envelope is named once, and a peer is a
//! number and a few marks beside it. What stands here changes only by what crossed that peer's
//! link: it brought or announced the envelope, or was sent or told it. Our own envelopes are
//! entered by the same doors or not at all, so the table cannot tell them apart.

use std::collections::BTreeMap;

use circuits::ids::LinkId;

use crate::envelope::EnvelopeHash;

/// The table. Its caller keeps it no larger than the pool by telling it what to forget.
#[derive(Debug, Default)]
pub(super) struct Known {
    envelopes: BTreeMap<EnvelopeHash, Acquaintance>,
}

/// The peers that know one envelope.
#[derive(Debug)]
struct Acquaintance {
    /// In ascending order.
    peers: Vec<(LinkId, Marks)>,
    /// We gave it, or its hash, to a peer before any peer had shown it.
    given_first: bool,
}

/// What crossed one peer's link.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    /// It sent us the envelope.
    brought: bool,
    /// It told us that it has the envelope.
    announced: bool,
    /// We sent it the envelope.
    given: bool,
    /// We told it that we have the envelope.
    told: bool,
}

impl Marks {
    /// It has the envelope, as far as it says.
    const fn shown(self) -> bool {
        self.brought || self.announced
    }

    /// The envelope itself has crossed the link.
    const fn crossed(self) -> bool {
        self.brought || self.given
    }
}

impl Known {
    /// The peer sent us the envelope.
    pub(super) fn brought(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.marks(envelope, peer, false).brought = true;
    }

    /// The peer told us that it has the envelope; `false` if it had shown that before.
    pub(super) fn announced(&mut self, envelope: EnvelopeHash, peer: LinkId) -> bool {
        let marks = self.marks(envelope, peer, false);
        let news = !marks.shown();
        marks.announced = true;
        news
    }

    /// We sent the envelope to the peer.
    pub(super) fn given(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.marks(envelope, peer, true).given = true;
    }

    /// We told the peer the envelope's hash. It has the envelope only if it asks for it.
    pub(super) fn tell(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.marks(envelope, peer, true).told = true;
    }

    fn marks(&mut self, envelope: EnvelopeHash, peer: LinkId, given_first: bool) -> &mut Marks {
        let entry = self.envelopes.entry(envelope);
        let entry = entry.or_insert_with(|| Acquaintance {
            peers: Vec::new(),
            given_first,
        });
        let at = match entry.place(peer) {
            Ok(at) => at,
            Err(at) => {
                entry.peers.insert(at, (peer, Marks::default()));
                at
            }
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "the place was found or filled just now"
        )]
        &mut entry.peers[at].1
    }

    /// Whether we gave it, or its hash, to a peer before any peer had shown it.
    pub(super) fn given_first(&self, envelope: &EnvelopeHash) -> bool {
        let entry = self.envelopes.get(envelope);
        entry.is_some_and(|entry| entry.given_first)
    }

    /// Whether the peer has the envelope: it crossed the link in either direction, or the peer says
    /// so.
    pub(super) fn knows(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        let marks = self.get(envelope, peer);
        marks.crossed() || marks.announced
    }

    /// Whether the envelope itself has crossed the peer's link.
    pub(super) fn crossed(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        self.get(envelope, peer).crossed()
    }

    /// Whether the peer need not be told: it was, or the envelope has crossed its link. Having been
    /// told by it is no reason: it learns thereby that the envelope is here too.
    pub(super) fn told(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        let marks = self.get(envelope, peer);
        marks.told || marks.crossed()
    }

    /// The connected peers that sent us the envelope or say that they have it.
    pub(super) fn bearers(&self, envelope: EnvelopeHash) -> impl Iterator<Item = LinkId> {
        self.by(envelope)
            .filter(|(_, marks)| marks.shown())
            .map(|(peer, _)| peer)
    }

    /// How many of the connected peers have the envelope from us and did not show it themselves.
    pub(super) fn given_to(&self, envelope: EnvelopeHash) -> usize {
        self.by(envelope)
            .filter(|(_, marks)| marks.given && !marks.shown())
            .count()
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
            if let Ok(at) = entry.place(peer) {
                entry.peers.remove(at);
            }
        }
    }

    fn by(&self, envelope: EnvelopeHash) -> impl Iterator<Item = (LinkId, Marks)> {
        let entry = self.envelopes.get(&envelope);
        entry
            .into_iter()
            .flat_map(|entry| entry.peers.iter().copied())
    }

    fn get(&self, envelope: &EnvelopeHash, peer: LinkId) -> Marks {
        let entry = self.envelopes.get(envelope);
        let found = entry.and_then(|entry| entry.peers.get(entry.place(peer).ok()?));
        found.map_or_else(Marks::default, |(_, marks)| *marks)
    }
}

impl Acquaintance {
    /// Where a peer stands, or would.
    fn place(&self, peer: LinkId) -> Result<usize, usize> {
        self.peers.binary_search_by_key(&peer, |(link, _)| *link)
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
        assert_eq!(known.bearers(ENVELOPE).count(), 1);
        known.brought(ENVELOPE, LinkId(1));
        assert_eq!(known.bearers(ENVELOPE).count(), 2);
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
    fn who_was_told_of_an_envelope_does_not_have_it() {
        let mut known = Known::default();
        known.tell(ENVELOPE, LinkId(1));
        assert!(known.told(&ENVELOPE, LinkId(1)) && !known.told(&ENVELOPE, LinkId(2)));
        assert!(!known.knows(&ENVELOPE, LinkId(1)));
        assert_eq!(known.given_to(ENVELOPE), 0);
        assert!(known.given_first(&ENVELOPE), "it was heard of here first");
        known.given(ENVELOPE, LinkId(2));
        assert!(known.told(&ENVELOPE, LinkId(2)));
        // Who says that it has the envelope is told so of us too, and is not given it.
        assert!(known.announced(ENVELOPE, LinkId(3)) && !known.announced(ENVELOPE, LinkId(3)));
        assert!(known.knows(&ENVELOPE, LinkId(3)) && !known.told(&ENVELOPE, LinkId(3)));
        assert_eq!(known.bearers(ENVELOPE).collect::<Vec<_>>(), [LinkId(3)]);
        known.close(LinkId(1));
        assert!(!known.told(&ENVELOPE, LinkId(1)));
    }

    #[test]
    fn a_peer_that_comes_back_cannot_count_twice() {
        let mut known = Known::default();
        known.brought(ENVELOPE, LinkId(1));
        known.close(LinkId(1));
        known.brought(ENVELOPE, LinkId(2));
        assert_eq!(known.bearers(ENVELOPE).count(), 1);
    }

    #[test]
    fn what_is_forgotten_takes_no_room() {
        let mut known = Known::default();
        known.brought(ENVELOPE, LinkId(1));
        known.given(EnvelopeHash([8; 32]), LinkId(1));
        known.forget(&ENVELOPE);
        assert_eq!((known.len(), known.bearers(ENVELOPE).count()), (1, 0));
        known.retain(|_| false);
        assert_eq!(known.len(), 0);
    }
}
