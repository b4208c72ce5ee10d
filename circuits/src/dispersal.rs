//! Dispersal: one envelope becomes `n` shards of which any `k` rebuild it.
//!
//! The all-or-nothing transform ([`aont`](crate::aont)) packs the envelope. The package is cut into
//! `k` shards, to which Reed-Solomon adds `n - k` parity shards. Each shard travels in its own cell
//! over one of the lanes. Its [`Payload`] header names its [`Class`] and its set.
//!
//! The code corrects erasures, not errors: any `k` shards decode to some package. Only the zero
//! bytes of the transform tell whether this package is intact. A set is decoded once. After a
//! failure no other choice of shards is tried, because there may be 10^44 of them.
//!
//! The [`rendezvous`](crate::rendezvous) collects shards and decides when a set times out.

mod class;
mod erasure;
mod payload;

use core::fmt;

pub use self::class::Class;
pub use self::erasure::{
    RebuildError, SHAPES, WrongClass, disperse, disperse_package, rebuild, rebuild_package,
};
pub use self::payload::{Payload, PayloadError};

use crate::geometry::SHARD_LEN;

/// Random identifier of a set, the same in all its shards; known only to the origin and the
/// rendezvous.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cookie(pub [u8; 16]);

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}

/// Proof of work that opens a set at one rendezvous, in one epoch, under one cookie; see
/// [`TicketSearch`](crate::rendezvous::TicketSearch).
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Ticket(pub [u8; 8]);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// One shard of a package, with the data that assigns it to its set.
#[derive(Clone, Eq, PartialEq)]
pub struct Shard {
    /// The set.
    pub cookie: Cookie,
    /// Shape of the set.
    pub class: Class,
    /// Index of the shard; below the class's `n`.
    pub index: u8,
    /// The set's ticket, the same in every shard.
    pub ticket: Ticket,
    /// The bytes of the shard.
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
