//! Index of which peer has which envelope.
//!
//! Every envelope of the index has a number, and every peer four flags per number: half a byte for
//! each envelope and peer. An entry changes only by what crossed that peer's link: the peer sent or
//! announced the envelope, or we sent or announced it to the peer. Our own envelopes enter the same
//! way or not at all, so the index cannot distinguish them.
//!
//! A peer that leaves takes its flags with it: no walk over the envelopes is needed, and the memory
//! is released. An envelope that leaves costs a step for each peer.
//!
//! The index has as many envelopes as the pool, so an entry is compact: half a hash and a number.
//! Two envelopes whose hashes share the first 16 bytes would be one entry: to make such a pair takes
//! 2^64 hashes, and its only effect is that fewer nodes relay one of the two.

use core::fmt;
use core::ops::Bound;
use std::collections::BTreeMap;

use circuits::ids::LinkId;

use super::source::EnvelopeSource;
use crate::envelope::EnvelopeHash;

/// The index. The caller bounds it to the size of the pool by telling it what to forget.
#[derive(Default)]
pub(super) struct PeerEnvelopeIndex {
    numbers: BTreeMap<ShortHash, u32>,
    /// Numbers of forgotten envelopes. No peer has a flag at one.
    free: Vec<u32>,
    /// The peer that showed each envelope first; [`UNSHOWN`] if we sent or announced it before any
    /// did.
    first_shown_by: Vec<LinkId>,
    peers: BTreeMap<LinkId, PeerFlags>,
    /// Where the last sweep ended.
    swept: ShortHash,
}

impl PeerEnvelopeIndex {
    /// Records that the peer sent us the envelope; `false` if it had crossed the link before.
    pub(super) fn mark_received(&mut self, envelope: EnvelopeHash, peer: LinkId) -> bool {
        let before = self.set_flag(envelope, peer, PeerFlags::RECEIVED);
        before & PeerFlags::CROSSED == 0
    }

    /// Whether the peer has sent us the envelope.
    pub(super) fn has_received(&self, envelope: EnvelopeHash, peer: LinkId) -> bool {
        self.flags_of(&envelope, peer) & PeerFlags::RECEIVED != 0
    }

    /// Records that the peer announced the envelope; `false` if it had shown it before.
    pub(super) fn mark_announced_by(&mut self, envelope: EnvelopeHash, peer: LinkId) -> bool {
        let before = self.set_flag(envelope, peer, PeerFlags::ANNOUNCED_BY_PEER);
        before & PeerFlags::SHOWN_BY_PEER == 0
    }

    /// Records that we sent the envelope to the peer.
    pub(super) fn mark_sent(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.set_flag(envelope, peer, PeerFlags::SENT);
    }

    /// Records that we announced the envelope to the peer. The peer has it only if it requests it.
    pub(super) fn mark_announced_to(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.set_flag(envelope, peer, PeerFlags::ANNOUNCED_TO_PEER);
    }

    /// Whether we sent or announced it before any peer had shown it.
    pub(super) fn sent_first(&self, envelope: &EnvelopeHash) -> bool {
        self.first_shown_by(envelope) == Some(UNSHOWN)
    }

    /// The share that the envelope takes of a queue.
    pub(super) fn source(&self, envelope: &EnvelopeHash) -> EnvelopeSource {
        match self.first_shown_by(envelope) {
            None | Some(UNSHOWN) => EnvelopeSource::Own,
            Some(peer) if self.peers.contains_key(&peer) => EnvelopeSource::Link(peer),
            Some(_) => EnvelopeSource::Closed,
        }
    }

    /// Whether the peer has the envelope: it crossed the link in either direction, or the peer
    /// announced it.
    pub(super) fn peer_has(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        let shows = PeerFlags::CROSSED | PeerFlags::ANNOUNCED_BY_PEER;
        self.flags_of(envelope, peer) & shows != 0
    }

    /// The number of an envelope, for [`has_crossed`](Self::has_crossed).
    pub(super) fn number_of(&self, envelope: &EnvelopeHash) -> Option<u32> {
        self.numbers.get(&ShortHash::of(envelope)).copied()
    }

    /// Whether the envelope itself has crossed the peer's link.
    pub(super) fn has_crossed(&self, number: Option<u32>, peer: LinkId) -> bool {
        self.flags_at(number, peer) & PeerFlags::CROSSED != 0
    }

    /// Whether no announcement to the peer is needed: it was made, or the envelope has crossed the
    /// link. The peer's own announcement does not count: ours tells it that we have the envelope
    /// too.
    pub(super) fn is_announced_to(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        let known = PeerFlags::CROSSED | PeerFlags::ANNOUNCED_TO_PEER;
        self.flags_of(envelope, peer) & known != 0
    }

    /// The connected peers that sent us or announced the envelope.
    pub(super) fn holders(&self, envelope: EnvelopeHash) -> impl Iterator<Item = LinkId> {
        self.peers_with_flags(envelope)
            .filter(|(_, flags)| flags & PeerFlags::SHOWN_BY_PEER != 0)
            .map(|(peer, _)| peer)
    }

    /// Number of connected peers that have the envelope from us and did not show it themselves.
    pub(super) fn sent_to_count(&self, envelope: EnvelopeHash) -> usize {
        let ours = PeerFlags::SENT | PeerFlags::SHOWN_BY_PEER;
        self.peers_with_flags(envelope)
            .filter(|(_, flags)| flags & ours == PeerFlags::SENT)
            .count()
    }

    /// Number of envelopes in the index.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Removes an envelope.
    pub(super) fn forget(&mut self, envelope: &EnvelopeHash) {
        self.forget_short(ShortHash::of(envelope));
    }

    fn forget_short(&mut self, name: ShortHash) {
        if let Some(number) = self.numbers.remove(&name) {
            for flags in self.peers.values_mut() {
                flags.clear(number);
            }
            self.free.push(number);
        }
    }

    /// Visits this many envelopes, beginning where the last sweep ended, and removes those that are
    /// not kept.
    pub(super) fn sweep(&mut self, steps: usize, keep: impl Fn(&[u8; 16]) -> bool) {
        let after = (Bound::Excluded(self.swept), Bound::Unbounded);
        let circle = self
            .numbers
            .range(after)
            .chain(self.numbers.range(..=self.swept));
        let visited: Vec<ShortHash> = circle.map(|(name, _)| *name).take(steps).collect();
        self.swept = visited.last().copied().unwrap_or_default();
        for name in visited {
            if !keep(&name.0) {
                self.forget_short(name);
            }
        }
    }

    /// Removes a peer. Its link number is never used again.
    pub(super) fn remove_peer(&mut self, peer: LinkId) {
        self.peers.remove(&peer);
    }

    /// Sets a flag, and returns the flags before.
    fn set_flag(&mut self, envelope: EnvelopeHash, peer: LinkId, flag: u8) -> u8 {
        let shown = flag & PeerFlags::SHOWN_BY_PEER != 0;
        let number = self.number(&envelope, if shown { peer } else { UNSHOWN });
        self.peers.entry(peer).or_default().add(number, flag)
    }

    /// The number of an envelope; a new one takes a free number.
    fn number(&mut self, envelope: &EnvelopeHash, shown_by: LinkId) -> u32 {
        let (free, first_shown_by) = (&mut self.free, &mut self.first_shown_by);
        *self
            .numbers
            .entry(ShortHash::of(envelope))
            .or_insert_with(|| {
                let end = u32::try_from(first_shown_by.len()).unwrap_or(u32::MAX);
                let number = free.pop().unwrap_or(end);
                match first_shown_by.get_mut(index(number)) {
                    Some(first) => *first = shown_by,
                    None => {
                        grow(first_shown_by, 1);
                        first_shown_by.push(shown_by);
                    }
                }
                number
            })
    }

    fn first_shown_by(&self, envelope: &EnvelopeHash) -> Option<LinkId> {
        let number = self.number_of(envelope)?;
        self.first_shown_by.get(index(number)).copied()
    }

    /// The flags of an envelope at a peer.
    fn flags_of(&self, envelope: &EnvelopeHash, peer: LinkId) -> u8 {
        self.flags_at(self.number_of(envelope), peer)
    }

    fn flags_at(&self, number: Option<u32>, peer: LinkId) -> u8 {
        let flags = number.and_then(|number| Some(self.peers.get(&peer)?.at(number)));
        flags.unwrap_or(0)
    }

    /// All peers with flags, and those of an envelope.
    fn peers_with_flags(&self, envelope: EnvelopeHash) -> impl Iterator<Item = (LinkId, u8)> {
        let number = self.number_of(&envelope);
        number.into_iter().flat_map(|number| {
            let peers = self.peers.iter();
            peers.map(move |(peer, flags)| (*peer, flags.at(number)))
        })
    }
}

impl fmt::Debug for PeerEnvelopeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerEnvelopeIndex({} envelopes)", self.len())
    }
}

/// The first 16 bytes of an envelope's hash.
#[derive(Clone, Copy, Default, Eq, Ord, PartialEq, PartialOrd)]
struct ShortHash([u8; 16]);

impl ShortHash {
    fn of(hash: &EnvelopeHash) -> Self {
        Self(hash.0.first_chunk().copied().unwrap_or_default())
    }
}

/// The flags of one peer, four bits for each number.
#[derive(Default)]
struct PeerFlags(Vec<u8>);

impl PeerFlags {
    /// The peer sent us the envelope.
    const RECEIVED: u8 = 1;
    /// It announced the envelope to us.
    const ANNOUNCED_BY_PEER: u8 = 2;
    /// We sent it the envelope.
    const SENT: u8 = 4;
    /// We announced the envelope to it.
    const ANNOUNCED_TO_PEER: u8 = 8;
    /// It has the envelope, as it showed or claims.
    const SHOWN_BY_PEER: u8 = Self::RECEIVED | Self::ANNOUNCED_BY_PEER;
    /// The envelope itself has crossed the link.
    const CROSSED: u8 = Self::RECEIVED | Self::SENT;

    const ALL: u8 = 15;

    fn at(&self, number: u32) -> u8 {
        let (byte, shift) = flag_position(number);
        self.0.get(byte).map_or(0, |pair| pair >> shift & Self::ALL)
    }

    /// Adds flags at a number, and returns the flags before.
    fn add(&mut self, number: u32, flags: u8) -> u8 {
        let before = self.at(number);
        let (byte, shift) = flag_position(number);
        let missing = byte.saturating_add(1).saturating_sub(self.0.len());
        if missing > 0 {
            grow(&mut self.0, missing);
            self.0.resize(byte.saturating_add(1), 0);
        }
        if let Some(pair) = self.0.get_mut(byte) {
            *pair |= flags << shift;
        }
        before
    }

    fn clear(&mut self, number: u32) {
        let (byte, shift) = flag_position(number);
        if let Some(pair) = self.0.get_mut(byte) {
            *pair &= !(Self::ALL << shift);
        }
    }
}

/// The byte that has the flags of a number, and their shift within it.
fn flag_position(number: u32) -> (usize, u32) {
    (
        index(number / 2),
        if number.is_multiple_of(2) { 0 } else { 4 },
    )
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Reserves space for more elements without doubling: an index fills once and then keeps its size.
fn grow<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity().saturating_sub(list.len()) < more {
        list.reserve_exact(more.saturating_add(list.len() / 16).saturating_add(64));
    }
}

/// Stands for no peer. No link has this number.
const UNSHOWN: LinkId = LinkId(u64::MAX);

#[cfg(test)]
mod tests;
