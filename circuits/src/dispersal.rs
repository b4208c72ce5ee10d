//! Dispersal: one envelope becomes `n` shards of which any `k` rebuild it.
//!
//! An envelope is packed by the all-or-nothing transform ([`aont`](crate::aont)), then cut into `k`
//! pieces, to which Reed-Solomon adds `n - k` more. Each piece travels in a cell of its own, by a
//! lane of its own, and says in its [`Payload`] header which [`Class`] and set it belongs to.
//!
//! The code corrects erasures, not errors: given `k` pieces it always produces something. Whether
//! that something is the envelope only the transform's zero bytes tell. One set is decoded once;
//! after a failure no other choice of pieces is tried, for there may be 10^44 of them.
//!
//! Collecting pieces, and deciding when to give up, is the [`rendezvous`](crate::rendezvous)'s.

mod class;
mod erasure;
mod payload;

use core::fmt;

pub use self::class::Class;
pub use self::erasure::{RebuildError, WrongClass, disperse, rebuild};
pub use self::payload::{Payload, PayloadError};

use crate::geometry::SHARD_LEN;

/// What the shards of one set have in common, random; known to the origin and the rendezvous only.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cookie(pub [u8; 16]);

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}

/// The work that lets a set be opened at one rendezvous, in one epoch, under one cookie; see
/// [`TicketSearch`](crate::rendezvous::TicketSearch).
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Ticket(pub [u8; 8]);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// One piece of a package, with what the rendezvous needs to put it to its like.
#[derive(Clone, Eq, PartialEq)]
pub struct Shard {
    /// The set.
    pub cookie: Cookie,
    /// Shape of the set.
    pub class: Class,
    /// Which piece this is; below the class's `n`.
    pub index: u8,
    /// The set's ticket, the same in every shard.
    pub ticket: Ticket,
    /// The piece.
    pub bytes: Box<[u8; SHARD_LEN]>,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("class", &self.class)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
