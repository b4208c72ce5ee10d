//! Who knows which envelope.
//!
//! One table for all peers instead of a set for each: an envelope is named once, and a peer has a
//! seat with four marks beside it. What stands here changes only by what crossed that peer's
//! link: it brought or announced the envelope, or was sent or told it. Our own envelopes are
//! entered by the same doors or not at all, so the table cannot tell them apart.
//!
//! It holds as many envelopes as the pool, so an entry is short: half a hash, and half a byte for
//! each of 32 seats. More peers than that sit on a second bench of as many, and so on. Two
//! envelopes whose hashes begin with the same 16 bytes would be one here: to make such a pair takes
//! 2^64 hashes, and all it brings is that one of the two is passed on by fewer nodes.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::LinkId;

use crate::envelope::EnvelopeHash;

/// The table. Its caller keeps it no larger than the pool by telling it what to forget.
#[derive(Default)]
pub(super) struct Known {
    seats: BTreeMap<LinkId, usize>,
    /// Who sits where. No envelope has a mark at an empty seat.
    sitting: Vec<Option<LinkId>>,
    /// Marks at the first seats: every envelope of the table has an entry.
    first: BTreeMap<Name, Marks>,
    /// Marks at further seats, one bench after another, where there are any.
    more: Vec<BTreeMap<Name, Marks>>,
    /// Envelopes that we gave to a peer, or told it of, before any peer had shown them.
    given_first: BTreeSet<Name>,
}

impl Known {
    /// The peer sent us the envelope.
    pub(super) fn brought(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.mark(envelope, peer, Marks::BROUGHT);
    }

    /// The peer told us that it has the envelope; `false` if it had shown that before.
    pub(super) fn announced(&mut self, envelope: EnvelopeHash, peer: LinkId) -> bool {
        let before = self.mark(envelope, peer, Marks::ANNOUNCED);
        before & Marks::SHOWN == 0
    }

    /// We sent the envelope to the peer.
    pub(super) fn given(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.mark(envelope, peer, Marks::GIVEN);
    }

    /// We told the peer the envelope's hash. It has the envelope only if it asks for it.
    pub(super) fn tell(&mut self, envelope: EnvelopeHash, peer: LinkId) {
        self.mark(envelope, peer, Marks::TOLD);
    }

    /// Whether we gave it, or its hash, to a peer before any peer had shown it.
    pub(super) fn given_first(&self, envelope: &EnvelopeHash) -> bool {
        self.given_first.contains(&Name::of(envelope))
    }

    /// Whether the peer has the envelope: it crossed the link in either direction, or the peer says
    /// so.
    pub(super) fn knows(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        self.get(envelope, peer) & (Marks::CROSSED | Marks::ANNOUNCED) != 0
    }

    /// Whether the envelope itself has crossed the peer's link.
    pub(super) fn crossed(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        self.get(envelope, peer) & Marks::CROSSED != 0
    }

    /// Whether the peer need not be told: it was, or the envelope has crossed its link. Having been
    /// told by it is no reason: it learns thereby that the envelope is here too.
    pub(super) fn told(&self, envelope: &EnvelopeHash, peer: LinkId) -> bool {
        self.get(envelope, peer) & (Marks::CROSSED | Marks::TOLD) != 0
    }

    /// The connected peers that sent us the envelope or say that they have it.
    pub(super) fn bearers(&self, envelope: EnvelopeHash) -> impl Iterator<Item = LinkId> {
        self.by(envelope)
            .filter(|(_, marks)| marks & Marks::SHOWN != 0)
            .map(|(peer, _)| peer)
    }

    /// How many of the connected peers have the envelope from us and did not show it themselves.
    pub(super) fn given_to(&self, envelope: EnvelopeHash) -> usize {
        self.by(envelope)
            .filter(|(_, marks)| marks & (Marks::GIVEN | Marks::SHOWN) == Marks::GIVEN)
            .count()
    }

    /// Number of envelopes in the table.
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    /// The envelope is gone.
    pub(super) fn forget(&mut self, envelope: &EnvelopeHash) {
        let name = Name::of(envelope);
        self.first.remove(&name);
        self.given_first.remove(&name);
        for bench in &mut self.more {
            bench.remove(&name);
        }
    }

    /// Forgets all envelopes but these.
    pub(super) fn keep_only(&mut self, envelopes: impl Iterator<Item = EnvelopeHash>) {
        let kept = envelopes.filter_map(|envelope| self.first.remove_entry(&Name::of(&envelope)));
        self.first = kept.collect();
        let first = &self.first;
        self.given_first.retain(|name| first.contains_key(name));
        for bench in &mut self.more {
            bench.retain(|name, _| first.contains_key(name));
        }
    }

    /// The peer is gone; its number never comes back, but its seat is for the next.
    pub(super) fn close(&mut self, peer: LinkId) {
        let Some(seat) = self.seats.remove(&peer) else {
            return;
        };
        if let Some(sitting) = self.sitting.get_mut(seat) {
            *sitting = None;
        }
        match (seat / SEATS).checked_sub(1) {
            None => self.first.values_mut().for_each(|marks| marks.clear(seat)),
            Some(bench) => {
                if let Some(bench) = self.more.get_mut(bench) {
                    bench.values_mut().for_each(|marks| marks.clear(seat));
                    bench.retain(|_, marks| *marks != Marks::default());
                }
            }
        }
    }

    /// Makes a mark, and gives those that were there.
    fn mark(&mut self, envelope: EnvelopeHash, peer: LinkId, mark: u8) -> u8 {
        let name = Name::of(&envelope);
        let seat = self.seat(peer);
        let mut is_new = false;
        let first = self.first.entry(name).or_insert_with(|| {
            is_new = true;
            Marks::default()
        });
        let before = match (seat / SEATS).checked_sub(1) {
            None => first.add(seat, mark),
            Some(bench) => {
                if self.more.len() <= bench {
                    self.more
                        .resize_with(bench.saturating_add(1), BTreeMap::new);
                }
                let bench = self.more.get_mut(bench);
                bench.map_or(0, |bench| bench.entry(name).or_default().add(seat, mark))
            }
        };
        if is_new && mark & Marks::SHOWN == 0 {
            self.given_first.insert(name);
        }
        before
    }

    /// The marks that an envelope has at a peer's seat.
    fn get(&self, envelope: &EnvelopeHash, peer: LinkId) -> u8 {
        let Some(&seat) = self.seats.get(&peer) else {
            return 0;
        };
        let marks = self
            .bench(seat / SEATS)
            .and_then(|bench| bench.get(&Name::of(envelope)));
        marks.map_or(0, |marks| marks.at(seat))
    }

    /// All peers, with the marks that an envelope has at their seats.
    fn by(&self, envelope: EnvelopeHash) -> impl Iterator<Item = (LinkId, u8)> {
        let name = Name::of(&envelope);
        let benches = self.sitting.chunks(SEATS).enumerate();
        let found = benches.filter_map(move |(number, peers)| {
            let marks = *self.bench(number)?.get(&name)?;
            Some((peers, marks))
        });
        found.flat_map(|(peers, marks)| {
            let peers = peers.iter().enumerate();
            peers.filter_map(move |(seat, peer)| Some(((*peer)?, marks.at(seat))))
        })
    }

    fn bench(&self, number: usize) -> Option<&BTreeMap<Name, Marks>> {
        match number.checked_sub(1) {
            None => Some(&self.first),
            Some(number) => self.more.get(number),
        }
    }

    /// Where a peer sits; one that is new takes the first free seat.
    fn seat(&mut self, peer: LinkId) -> usize {
        let sitting = &mut self.sitting;
        *self.seats.entry(peer).or_insert_with(|| {
            let free = sitting.iter().position(Option::is_none);
            let seat = free.unwrap_or(sitting.len());
            match sitting.get_mut(seat) {
                Some(sitting) => *sitting = Some(peer),
                None => sitting.push(Some(peer)),
            }
            seat
        })
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({} envelopes)", self.len())
    }
}

/// The beginning of an envelope's hash.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Name([u8; 16]);

impl Name {
    fn of(hash: &EnvelopeHash) -> Self {
        Self(hash.0.first_chunk().copied().unwrap_or_default())
    }
}

/// What crossed the links of the peers on one bench, four bits for each.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
struct Marks([u8; SEATS / 2]);

impl Marks {
    /// The peer sent us the envelope.
    const BROUGHT: u8 = 1;
    /// It told us that it has the envelope.
    const ANNOUNCED: u8 = 2;
    /// We sent it the envelope.
    const GIVEN: u8 = 4;
    /// We told it that we have the envelope.
    const TOLD: u8 = 8;
    /// It has the envelope, as far as it says.
    const SHOWN: u8 = Self::BROUGHT | Self::ANNOUNCED;
    /// The envelope itself has crossed the link.
    const CROSSED: u8 = Self::BROUGHT | Self::GIVEN;

    const ALL: u8 = 15;

    fn at(self, seat: usize) -> u8 {
        let (byte, shift) = place(seat);
        self.0.get(byte).map_or(0, |pair| pair >> shift & Self::ALL)
    }

    /// Adds marks at a seat, and gives those that were there.
    fn add(&mut self, seat: usize, marks: u8) -> u8 {
        let before = self.at(seat);
        let (byte, shift) = place(seat);
        if let Some(pair) = self.0.get_mut(byte) {
            *pair |= marks << shift;
        }
        before
    }

    fn clear(&mut self, seat: usize) {
        let (byte, shift) = place(seat);
        if let Some(pair) = self.0.get_mut(byte) {
            *pair &= !(Self::ALL << shift);
        }
    }
}

/// Which byte of a bench holds the marks of a seat, and by how much they are shifted in it.
const fn place(seat: usize) -> (usize, u32) {
    let seat = seat % SEATS;
    (seat / 2, if seat.is_multiple_of(2) { 0 } else { 4 })
}

/// Seats on one bench: more than the peers that a node has by default.
const SEATS: usize = 32;

#[cfg(test)]
mod tests;
