//! Where cells wait out the delay that their origin drew.
//!
//! Delays hide which arriving cell became which leaving one; they do so only if nothing else ties
//! the two together. So what is due at the same instant leaves in random order, and when there is
//! no room, chance decides who goes: a random item of the neighbour that has most of them, lest one
//! neighbour empty the pool of everybody else's cells. Nothing here waits or knows what it holds.

use std::collections::BTreeMap;

use rand_core::CryptoRng;

use crate::ids::LinkId;
use crate::time::Instant;

/// Items that wait until they are due.
#[derive(Debug)]
pub struct Mix<T> {
    waiting: BTreeMap<Ticket, Item<T>>,
    /// Every waiting item's ticket, by the neighbour that brought it, in no order.
    links: BTreeMap<LinkId, Vec<Ticket>>,
    pushed: u64,
    capacity: usize,
}

/// Where an item stands: by its instant, then by chance. The last part keeps tickets unique.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Ticket {
    due: Instant,
    chance: u64,
    number: u64,
}

#[derive(Debug)]
struct Item<T> {
    from: LinkId,
    /// Its place in the list of its neighbour.
    place: usize,
    value: T,
}

impl<T> Mix<T> {
    /// Cells that a relay lets wait: 7.5 MB.
    pub const DEFAULT_CAPACITY: usize = 8_192;

    /// An empty pool for at most `capacity` items, of which one neighbour has a quarter at most.
    #[must_use]
    pub const fn with_capacity(capacity: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            links: BTreeMap::new(),
            pushed: 0,
            capacity,
        }
    }

    /// Adds an item, and returns the one that had to go for it.
    ///
    /// A neighbour with a quarter of the pool loses one of its own, chosen at random among them and
    /// the new one; otherwise, in a full pool, the neighbour with most items does.
    pub fn push(
        &mut self,
        rng: &mut impl CryptoRng,
        due: Instant,
        from: LinkId,
        value: T,
    ) -> Option<T> {
        let ticket = Ticket {
            due,
            chance: rng.next_u64(),
            number: self.pushed,
        };
        self.pushed += 1;
        let list = self.links.entry(from).or_default();
        let place = list.len();
        list.push(ticket);
        self.waiting.insert(ticket, Item { from, place, value });

        let heaviest = if self.share(from) > self.capacity / 4 {
            from
        } else if self.waiting.len() > self.capacity {
            self.heaviest()?
        } else {
            return None;
        };
        self.evict(rng, heaviest)
    }

    /// Takes the next item that is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let (ticket, _) = self.waiting.first_key_value()?;
        if ticket.due > now {
            return None;
        }
        let ticket = *ticket;
        self.remove(ticket)
    }

    /// When the next item is due; `None` if nothing waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|ticket| ticket.due)
    }

    /// Number of items waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn share(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(0, Vec::len)
    }

    fn heaviest(&self) -> Option<LinkId> {
        let (link, _) = self.links.iter().max_by_key(|(_, list)| list.len())?;
        Some(*link)
    }

    fn evict(&mut self, rng: &mut impl CryptoRng, link: LinkId) -> Option<T> {
        let list = self.links.get(&link)?;
        let ticket = *list.get(below(rng, list.len()))?;
        self.remove(ticket)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let Item { from, place, value } = self.waiting.remove(&ticket)?;
        let list = self.links.get_mut(&from)?;
        list.swap_remove(place);
        match list.get(place).copied() {
            Some(moved) => {
                if let Some(item) = self.waiting.get_mut(&moved) {
                    item.place = place;
                }
            }
            None if list.is_empty() => {
                self.links.remove(&from);
            }
            None => {}
        }
        Some(value)
    }
}

impl<T> Default for Mix<T> {
    fn default() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }
}

/// A number below `bound`, uniform but for 2^-51 at the sizes of a pool; zero if `bound` is.
fn below(rng: &mut impl CryptoRng, bound: usize) -> usize {
    let wide = u128::from(rng.next_u64()) * u128::try_from(bound).unwrap_or(0);
    usize::try_from(wide >> 64).unwrap_or(0)
}
