//! Tickets: the proof of work that opens a set at a rendezvous.
//!
//! A ticket is a hash puzzle over the rendezvous, the epoch of the key and the cookie. It is
//! therefore valid for one set, at one relay, for one epoch of twelve hours. A search takes
//! milliseconds and a check one hash; the ticket only puts a price on floods of the table. The
//! search starts at a random value, so a ticket does not identify the machine that found it.

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use crate::dispersal::{Class, Cookie, Ticket};
use crate::ids::{Epoch, RelayId};

/// Number of leading zero bits that the hash of a ticket must have: 17 to 24 for a set of two shards,
/// and more for larger ones.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TicketBits(u8);

impl TicketBits {
    /// Difficulty of an idle rendezvous: 2^17 hashes, about ten milliseconds.
    pub const MIN: Self = Self(17);
    /// Maximum difficulty: 2^24 hashes, one or two seconds.
    pub const MAX: Self = Self(24);

    /// The difficulty in a descriptor; `None` outside the limits, so that no descriptor can make a
    /// sender search without end.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The difficulty for a set of this class: a set that may hold `k` shards costs `k / 2` times the
    /// work of one of two, so that a byte in the table has one price.
    #[must_use]
    pub fn for_class(self, class: Class) -> Self {
        let pairs = class.k().div_ceil(2).max(1);
        let extra = pairs
            .checked_next_power_of_two()
            .map_or(0, u8::trailing_zeros);
        Self(
            self.0
                .saturating_add(u8::try_from(extra).unwrap_or(u8::MAX)),
        )
    }

    /// The number of bits.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// One bit more, which doubles the work; at most [`TicketBits::MAX`].
    #[must_use]
    pub(super) fn harder(self) -> Self {
        Self(self.0.saturating_add(1)).min(Self::MAX)
    }
}

/// A search for a ticket that can be resumed after any number of tries.
///
/// ```
/// use circuits::ids::{Epoch, RelayId};
/// use circuits::rendezvous::{TicketBits, TicketSearch, verify_ticket};
/// use circuits::dispersal::Cookie;
/// # use rand_core::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]);
///
/// let (relay, epoch, cookie) = (RelayId([7; 32]), Epoch(40_000), Cookie([9; 16]));
/// let mut search = TicketSearch::new(&mut rng, &relay, epoch, cookie, TicketBits::MIN);
/// let ticket = loop {
///     if let Some(ticket) = search.step(10_000) {
///         break ticket;
///     }
/// };
/// assert!(verify_ticket(&relay, epoch, cookie, ticket, TicketBits::MIN));
/// ```
#[derive(Clone)]
pub struct TicketSearch {
    prefix: Sha256,
    next: u64,
    bits: TicketBits,
}

impl TicketSearch {
    /// Starts a search for the set `cookie` at the rendezvous `relay`, under its key of `epoch`.
    #[must_use]
    pub fn new(
        rng: &mut impl CryptoRng,
        relay: &RelayId,
        epoch: Epoch,
        cookie: Cookie,
        bits: TicketBits,
    ) -> Self {
        Self {
            prefix: prefix(relay, epoch, cookie),
            next: rng.next_u64(),
            bits,
        }
    }

    /// The difficulty of the search.
    #[must_use]
    pub const fn bits(&self) -> TicketBits {
        self.bits
    }

    /// The next candidate, valid or not: for simulated cover, whose sets are never complete.
    #[cfg(feature = "sim")]
    #[must_use]
    pub const fn untried(&self) -> Ticket {
        Ticket(self.next.to_be_bytes())
    }

    /// Tries up to `max_tries` candidates and returns the first valid ticket.
    pub fn step(&mut self, max_tries: u32) -> Option<Ticket> {
        for _ in 0..max_tries {
            let ticket = Ticket(self.next.to_be_bytes());
            self.next = self.next.wrapping_add(1);
            if is_valid(&self.prefix, ticket, self.bits) {
                return Some(ticket);
            }
        }
        None
    }
}

impl core::fmt::Debug for TicketSearch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TicketSearch")
            .field("bits", &self.bits)
            .finish_non_exhaustive()
    }
}

/// Whether the ticket is valid: `SHA-256("whisht/1/ticket" | relay | epoch | cookie | ticket)` has
/// at least `bits` leading zero bits (spec.md F6).
#[must_use]
pub fn verify_ticket(
    relay: &RelayId,
    epoch: Epoch,
    cookie: Cookie,
    ticket: Ticket,
    bits: TicketBits,
) -> bool {
    is_valid(&prefix(relay, epoch, cookie), ticket, bits)
}

/// The hash state before the ticket. The prefix is longer than one block, so that each try costs
/// one compression.
fn prefix(relay: &RelayId, epoch: Epoch, cookie: Cookie) -> Sha256 {
    Sha256::new()
        .chain_update(LABEL)
        .chain_update(relay.0)
        .chain_update(epoch.0.to_be_bytes())
        .chain_update(cookie.0)
}

fn is_valid(prefix: &Sha256, ticket: Ticket, bits: TicketBits) -> bool {
    let digest: [u8; 32] = prefix.clone().chain_update(ticket.0).finalize().into();
    let [a, b, c, d, ..] = digest;
    u32::from_be_bytes([a, b, c, d]).leading_zeros() >= u32::from(bits.0)
}

const LABEL: &[u8] = b"whisht/1/ticket";
