//! The rendezvous role: collects the shards of a set and rebuilds the envelope.
//!
//! A package that travels whole in one cell is unpacked at once, without a ticket and without state.
//!
//! A rendezvous stores nothing for any other cookie until a shard carries a valid ticket, which costs work.
//! It then collects shards, decodes once when `k` shards are present, and passes on the envelope
//! with the hold that the origin drew. It never answers: every outcome is for local counters only,
//! and the network cannot observe it.
//!
//! Memory is limited in bytes, and work to one decode per set. A closed cookie, successful or not,
//! is remembered until the set's timeout, so that late shards open no new set.
//!
//! An envelope is a byte string here. The caller checks its encoding, work and expiry, waits for
//! the hold, and inserts it. At *converge* a rendezvous sees complete envelopes. An attacker that
//! records its links and steals its key sees them too: the threshold protects against relays in the
//! middle.

mod difficulty;
mod table;
mod ticket;

use core::fmt;
use core::time::Duration;

pub use self::ticket::{TicketBits, TicketSearch, verify_ticket};

use self::difficulty::TicketDifficulty;
use self::table::{SetTerms, ShardSet, ShardSetTable};
use crate::dispersal::{Class, Shard, rebuild};
use crate::geometry::SHARD_LEN;
use crate::ids::{Epoch, LinkId, RelayId};
use crate::time::{Instant, Now};

/// Limits of a rendezvous.
#[derive(Clone, Debug)]
pub struct RendezvousLimits {
    /// Memory for sets, in bytes. A smaller value lets a flood evict honest sets sooner. Default 16
    /// MiB.
    pub bytes: usize,
    /// Timeout of a set after its first shard. Default 30 minutes: 162 cells at 0.3 per second
    /// leave within 9 minutes, and mixing delays all but one in a thousand by less than 5 minutes.
    pub timeout: Duration,
    /// Timeout of a set whose first shard has the bulletin flag. Default 75 minutes.
    pub bulletin_timeout: Duration,
}

impl Default for RendezvousLimits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            timeout: Duration::from_secs(30 * 60),
            bulletin_timeout: Duration::from_secs(75 * 60),
        }
    }
}

/// The rendezvous role of one relay.
pub struct Rendezvous {
    id: RelayId,
    limits: RendezvousLimits,
    table: ShardSetTable,
    difficulty: TicketDifficulty,
}

impl Rendezvous {
    /// Creates the rendezvous role of the relay `id`, without sets.
    #[must_use]
    pub fn new(id: RelayId, limits: RendezvousLimits) -> Self {
        Self {
            id,
            table: ShardSetTable::new(limits.bytes),
            difficulty: TicketDifficulty::new(free_load(&limits)),
            limits,
        }
    }

    /// Processes a shard that arrived over the link `from` in a cell under the key of `epoch`, with
    /// the given hold and bulletin flag.
    pub fn accept(
        &mut self,
        now: Now,
        from: LinkId,
        epoch: Epoch,
        hold: Duration,
        bulletin: bool,
        shard: Shard,
    ) -> ShardOutcome {
        self.expire(now);
        let terms = SetTerms {
            class: shard.class,
            epoch,
            hold,
            ticket: shard.ticket,
        };
        // A whole package needs no ticket, because it takes no place in the table. What pays for it is
        // the proof of work of its envelope, which the caller checks.
        if shard.class == Class::whole() {
            return decode(terms, &[(shard.index, &shard.bytes)]);
        }

        if let Some(set) = self.table.get(shard.cookie) {
            return match check_against_set(set, &terms, &shard) {
                ShardOutcome::Counted => self.collect(terms, ShardOutcome::Counted, shard),
                ShardOutcome::Poisoned => {
                    self.table.close(shard.cookie);
                    ShardOutcome::Poisoned
                }
                outcome => outcome,
            };
        }
        if !self.ticket_serves(&shard, epoch) {
            return ShardOutcome::Rejected(ShardRejection::BadTicket);
        }
        let timeout = if bulletin {
            self.limits.bulletin_timeout
        } else {
            self.limits.timeout
        };
        let due = now.mono.after(timeout);
        if !self.table.open(shard.cookie, terms, from, due) {
            return ShardOutcome::Rejected(ShardRejection::NoRoom);
        }
        self.collect(terms, ShardOutcome::Opened, shard)
    }

    /// Adds a shard to its set. If the set is complete, decodes it; otherwise returns `outcome`.
    fn collect(&mut self, terms: SetTerms, outcome: ShardOutcome, shard: Shard) -> ShardOutcome {
        let cookie = shard.cookie;
        if !self.table.add(cookie, shard.index, shard.bytes) {
            return ShardOutcome::Rejected(ShardRejection::NoRoom);
        }
        self.difficulty.count(SHARD_LEN);

        let shards = self.table.get(cookie).and_then(|set| set.shards.as_ref());
        if shards.is_none_or(|shards| shards.len() < usize::from(terms.class.k())) {
            return outcome;
        }
        let shards = self.table.close(cookie);
        let shards: Vec<_> = shards
            .iter()
            .map(|(index, bytes)| (*index, bytes.as_ref()))
            .collect();
        decode(terms, &shards)
    }

    /// Restores the ticket difficulty of an epoch that a descriptor of this relay states, so that a
    /// restart does not lower it.
    pub fn restore_difficulty(&mut self, epoch: Epoch, bits: TicketBits) {
        self.difficulty.restore(epoch, bits);
    }

    /// Drops the sets that timed out, and sets the ticket difficulty of an epoch that has begun.
    pub fn expire(&mut self, now: Now) {
        self.table.expire(now.mono);
        self.difficulty.advance_epoch(now.unix);
    }

    /// Time of the next timeout.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.table.next_due()
    }

    /// Memory in use, in bytes; an estimate that is at least the size of the shards.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Ticket difficulty for this epoch's descriptor, from the load of the previous epoch.
    #[must_use]
    pub fn required_bits(&self) -> TicketBits {
        self.difficulty.current()
    }

    fn ticket_serves(&self, shard: &Shard, epoch: Epoch) -> bool {
        let bits = self.difficulty.for_epoch(epoch).for_class(shard.class);
        verify_ticket(&self.id, epoch, shard.cookie, shard.ticket, bits)
    }
}

impl fmt::Debug for Rendezvous {
    /// Shows the amount of memory in use and no content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendezvous")
            .field("id", &self.id)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// Result of processing a shard. It must not be observable from the network.
#[derive(Eq, PartialEq)]
#[must_use]
pub enum ShardOutcome {
    /// The set is complete.
    Complete {
        /// The dispersed envelope; the caller must still check it.
        envelope: Vec<u8>,
        /// The hold, as drawn by the origin, starting now.
        hold: Duration,
    },
    /// The shard was added to an open set.
    Counted,
    /// The shard opened a set.
    Opened,
    /// The set does not form an intact package, or two shards contradict each other. The set is
    /// closed.
    Poisoned,
    /// The shard belongs to no set and was not stored.
    Rejected(ShardRejection),
    /// The set already has the shard, or is closed.
    Ignored,
}

impl fmt::Debug for ShardOutcome {
    /// Does not show the envelope: the secret is that this node had it before the rest of the
    /// network.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete { .. } => f.write_str("Complete(..)"),
            Self::Counted => f.write_str("Counted"),
            Self::Opened => f.write_str("Opened"),
            Self::Poisoned => f.write_str("Poisoned"),
            Self::Rejected(reason) => f.debug_tuple("Rejected").field(reason).finish(),
            Self::Ignored => f.write_str("Ignored"),
        }
    }
}

/// Why a shard was rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ShardRejection {
    /// The shard would open a set, but its ticket is not valid here, in this epoch, for this
    /// cookie.
    BadTicket,
    /// Its class differs from the class of the set.
    OtherClass,
    /// Its cell was encrypted under the key of another epoch than the cells of the set.
    OtherEpoch,
    /// Its hold differs from the hold of the set.
    OtherHold,
    /// Its ticket differs from the ticket of the set.
    OtherTicket,
    /// There is no memory for it, even after eviction.
    NoRoom,
}

impl fmt::Display for ShardRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadTicket => "ticket is not valid for this relay, epoch and cookie",
            Self::OtherClass => "class differs from the class of the set",
            Self::OtherEpoch => "epoch differs from the epoch of the set",
            Self::OtherHold => "hold differs from the hold of the set",
            Self::OtherTicket => "ticket differs from the ticket of the set",
            Self::NoRoom => "no memory for the shard",
        })
    }
}

impl core::error::Error for ShardRejection {}

/// Checks a further shard against its set.
fn check_against_set(set: &ShardSet, shard_terms: &SetTerms, shard: &Shard) -> ShardOutcome {
    let terms = &set.terms;
    if shard_terms.ticket != terms.ticket {
        ShardOutcome::Rejected(ShardRejection::OtherTicket)
    } else if shard_terms.class != terms.class {
        ShardOutcome::Rejected(ShardRejection::OtherClass)
    } else if shard_terms.epoch != terms.epoch {
        ShardOutcome::Rejected(ShardRejection::OtherEpoch)
    } else if shard_terms.hold != terms.hold {
        ShardOutcome::Rejected(ShardRejection::OtherHold)
    } else if let Some(shards) = &set.shards {
        match shards.get(&shard.index) {
            Some(held) if *held == shard.bytes => ShardOutcome::Ignored,
            Some(_) => ShardOutcome::Poisoned,
            None => ShardOutcome::Counted,
        }
    } else {
        ShardOutcome::Ignored
    }
}

/// Decodes a set; called once per set.
fn decode(terms: SetTerms, shards: &[(u8, &[u8; SHARD_LEN])]) -> ShardOutcome {
    match rebuild(terms.class, shards) {
        Ok(envelope) => ShardOutcome::Complete {
            envelope,
            hold: terms.hold,
        },
        Err(_) => ShardOutcome::Poisoned,
    }
}

/// Number of bytes per epoch that keep the table a quarter full.
fn free_load(limits: &RendezvousLimits) -> u64 {
    let turnovers = u64::from(Epoch::SECS)
        .checked_div(limits.timeout.as_secs())
        .unwrap_or(1);
    let quarter = u64::try_from(limits.bytes).unwrap_or(u64::MAX) / 4;
    quarter.saturating_mul(turnovers)
}

#[cfg(test)]
mod tests;
