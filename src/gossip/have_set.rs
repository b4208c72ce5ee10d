//! Index of which peer has which envelope.
//!
//! One index for all peers instead of a set per peer: an envelope is stored once, with four flags
//! for the slot of each peer. An entry changes only by what crossed that peer's link: the peer sent
//! or announced the envelope, or we sent or announced it to the peer. Our own envelopes enter the
//! same way or not at all, so the index cannot distinguish them.
//!
//! The index has as many envelopes as the pool, so an entry is compact: half a hash, and half a
//! byte for each of 32 slots. Further peers use a second chunk of 32 slots, and so on. Two
//! envelopes whose hashes share the first 16 bytes would be one entry: to make such a pair takes
//! 2^64 hashes, and its only effect is that fewer nodes relay one of the two.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::LinkId;

use crate::envelope::EnvelopeHash;

/// The index. The caller bounds it to the size of the pool by telling it what to forget.
#[derive(Default)]
pub(super) struct PeerEnvelopeIndex {
    slots: BTreeMap<LinkId, usize>,
    /// The peer of each slot. No envelope has a flag at an empty slot.
    occupants: Vec<Option<LinkId>>,
    /// Flags of the first 32 slots: every envelope of the index has an entry.
    first_chunk: BTreeMap<ShortHash, Flags>,
    /// Flags of further slots, one map per chunk; entries exist only where a flag is set.
    more_chunks: Vec<BTreeMap<ShortHash, Flags>>,
    /// Envelopes that we sent or announced before any peer had shown them to us.
    sent_first: BTreeSet<ShortHash>,
}

impl PeerEnvelopeIndex {
    /// Records that the peer sent us the envelope; `false` if it had crossed the link before.
    pub(super) fn mark_received(&mut self, envelope: EnvelopeHash, peer: LinkId) -> bool {
        let before = self.set_flag(envelope, peer, Flags::RECEIVED);
        before & Flags::CROSSED == 0
    }

    /// Records that the peer announced the envelope; `false` if it had shown it before.
    pub(super) fn mark_announced_by(&mut self, envelope: EnvelopeHash, peer: LinkId) -> bool {
        let before = self.set_flag(envelope, peer, Flags::ANNOUNCED_BY_PEER);
        before & Flags::SHOWN_BY_PEER == 0
    }

    /// Records that we sent the envelope to the peer.
    pub(super) fn mark_sent(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.set_flag(envelope, peer, Flags::SENT);
    }

    /// Records that we announced the envelope to the peer. The peer has it only if it requests it.
    pub(super) fn mark_announced_to(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.set_flag(envelope, peer, Flags::ANNOUNCED_TO_PEER);
    }

    /// Whether we sent or announced it before any peer had shown it.
    pub(super) fn sent_first(&self, envelope: &EnvelopeHash) -> bool {
        self.sent_first.contains(&ShortHash::of(envelope))
    }

    /// Whether the peer has the envelope: it crossed the link in either direction, or the peer
    /// announced it.
    pub(super) fn peer_has(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        self.flags_of(envelope, peer) & (Flags::CROSSED | Flags::ANNOUNCED_BY_PEER) != 0
    }

    /// The peers whose links the envelope itself has crossed.
    pub(super) fn crossed(&self, envelope: &EnvelopeHash) -> BTreeSet<LinkId> {
        self.peers_with_flags(*envelope)
            .filter(|(_, flags)| flags & Flags::CROSSED != 0)
            .map(|(peer, _)| peer)
            .collect()
    }

    /// Whether no announcement to the peer is needed: it was made, or the envelope has crossed the
    /// link. The peer's own announcement does not count: ours tells it that we have the envelope
    /// too.
    pub(super) fn is_announced_to(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        self.flags_of(envelope, peer) & (Flags::CROSSED | Flags::ANNOUNCED_TO_PEER) != 0
    }

    /// The connected peers that sent us or announced the envelope.
    pub(super) fn holders(&self, envelope: EnvelopeHash) -> impl Iterator<Item = LinkId> {
        self.peers_with_flags(envelope)
            .filter(|(_, flags)| flags & Flags::SHOWN_BY_PEER != 0)
            .map(|(peer, _)| peer)
    }

    /// Number of connected peers that have the envelope from us and did not show it themselves.
    pub(super) fn sent_to_count(&self, envelope: EnvelopeHash) -> usize {
        self.peers_with_flags(envelope)
            .filter(|(_, flags)| flags & (Flags::SENT | Flags::SHOWN_BY_PEER) == Flags::SENT)
            .count()
    }

    /// Number of envelopes in the table.
    pub(super) fn len(&self) -> usize {
        self.first_chunk.len()
    }

    /// Removes an envelope.
    pub(super) fn forget(&mut self, envelope: &EnvelopeHash) {
        let name = ShortHash::of(envelope);
        self.first_chunk.remove(&name);
        self.sent_first.remove(&name);
        for chunk in &mut self.more_chunks {
            chunk.remove(&name);
        }
    }

    /// Removes all envelopes but these.
    pub(super) fn keep_only(&mut self, envelopes: impl Iterator<Item = EnvelopeHash>) {
        let kept = envelopes
            .filter_map(|envelope| self.first_chunk.remove_entry(&ShortHash::of(&envelope)));
        self.first_chunk = kept.collect();
        let first = &self.first_chunk;
        self.sent_first.retain(|name| first.contains_key(name));
        for chunk in &mut self.more_chunks {
            chunk.retain(|name, _| first.contains_key(name));
        }
    }

    /// Removes a peer. Its link number is never used again, but its slot is.
    pub(super) fn remove_peer(&mut self, peer: LinkId) {
        let Some(slot) = self.slots.remove(&peer) else {
            return;
        };
        if let Some(occupants) = self.occupants.get_mut(slot) {
            *occupants = None;
        }
        match (slot / SLOTS_PER_CHUNK).checked_sub(1) {
            None => self
                .first_chunk
                .values_mut()
                .for_each(|flags| flags.clear(slot)),
            Some(chunk) => {
                if let Some(chunk) = self.more_chunks.get_mut(chunk) {
                    chunk.values_mut().for_each(|flags| flags.clear(slot));
                    chunk.retain(|_, flags| *flags != Flags::default());
                }
            }
        }
    }

    /// Sets a flag, and returns the flags before.
    fn set_flag(&mut self, envelope: EnvelopeHash, peer: LinkId, flag: u8) -> u8 {
        let name = ShortHash::of(&envelope);
        let slot = self.slot(peer);
        let mut is_new = false;
        let first = self.first_chunk.entry(name).or_insert_with(|| {
            is_new = true;
            Flags::default()
        });
        let before = match (slot / SLOTS_PER_CHUNK).checked_sub(1) {
            None => first.add(slot, flag),
            Some(chunk) => {
                if self.more_chunks.len() <= chunk {
                    self.more_chunks
                        .resize_with(chunk.saturating_add(1), BTreeMap::new);
                }
                let chunk = self.more_chunks.get_mut(chunk);
                chunk.map_or(0, |chunk| chunk.entry(name).or_default().add(slot, flag))
            }
        };
        if is_new && flag & Flags::SHOWN_BY_PEER == 0 {
            self.sent_first.insert(name);
        }
        before
    }

    /// The flags of an envelope at a peer's slot.
    fn flags_of(&self, envelope: &EnvelopeHash, peer: LinkId) -> u8 {
        let Some(&slot) = self.slots.get(&peer) else {
            return 0;
        };
        let flags = self
            .chunk(slot / SLOTS_PER_CHUNK)
            .and_then(|chunk| chunk.get(&ShortHash::of(envelope)));
        flags.map_or(0, |flags| flags.at(slot))
    }

    /// All peers, with the flags of an envelope at their slots.
    fn peers_with_flags(&self, envelope: EnvelopeHash) -> impl Iterator<Item = (LinkId, u8)> {
        let name = ShortHash::of(&envelope);
        let chunks = self.occupants.chunks(SLOTS_PER_CHUNK).enumerate();
        let found = chunks.filter_map(move |(number, peers)| {
            let flags = *self.chunk(number)?.get(&name)?;
            Some((peers, flags))
        });
        found.flat_map(|(peers, flags)| {
            let peers = peers.iter().enumerate();
            peers.filter_map(move |(slot, peer)| Some(((*peer)?, flags.at(slot))))
        })
    }

    fn chunk(&self, number: usize) -> Option<&BTreeMap<ShortHash, Flags>> {
        match number.checked_sub(1) {
            None => Some(&self.first_chunk),
            Some(number) => self.more_chunks.get(number),
        }
    }

    /// The slot of a peer; a new one takes the first free slot.
    fn slot(&mut self, peer: LinkId) -> usize {
        let occupants = &mut self.occupants;
        *self.slots.entry(peer).or_insert_with(|| {
            let free = occupants.iter().position(Option::is_none);
            let slot = free.unwrap_or(occupants.len());
            match occupants.get_mut(slot) {
                Some(occupants) => *occupants = Some(peer),
                None => occupants.push(Some(peer)),
            }
            slot
        })
    }
}

impl fmt::Debug for PeerEnvelopeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerEnvelopeIndex({} envelopes)", self.len())
    }
}

/// The first 16 bytes of an envelope's hash.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct ShortHash([u8; 16]);

impl ShortHash {
    fn of(hash: &EnvelopeHash) -> Self {
        Self(hash.0.first_chunk().copied().unwrap_or_default())
    }
}

/// The flags of the peers of one chunk, four bits each.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
struct Flags([u8; SLOTS_PER_CHUNK / 2]);

impl Flags {
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

    fn at(self, slot: usize) -> u8 {
        let (byte, shift) = flag_position(slot);
        self.0.get(byte).map_or(0, |pair| pair >> shift & Self::ALL)
    }

    /// Adds flags at a slot, and returns the flags before.
    fn add(&mut self, slot: usize, flags: u8) -> u8 {
        let before = self.at(slot);
        let (byte, shift) = flag_position(slot);
        if let Some(pair) = self.0.get_mut(byte) {
            *pair |= flags << shift;
        }
        before
    }

    fn clear(&mut self, slot: usize) {
        let (byte, shift) = flag_position(slot);
        if let Some(pair) = self.0.get_mut(byte) {
            *pair &= !(Self::ALL << shift);
        }
    }
}

/// The byte of a chunk that has the flags of a slot, and their shift within it.
const fn flag_position(slot: usize) -> (usize, u32) {
    let slot = slot % SLOTS_PER_CHUNK;
    (slot / 2, if slot.is_multiple_of(2) { 0 } else { 4 })
}

/// Slots per chunk: more than the default maximum number of peers.
const SLOTS_PER_CHUNK: usize = 32;

#[cfg(test)]
mod tests;
