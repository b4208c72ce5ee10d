//! Where the shards of a set come together again.
//!
//! A rendezvous keeps nothing for a cookie until a shard brings a ticket that cost work; then it
//! collects, decodes once when `k` pieces are there, and hands the envelope on together with the
//! hold that its origin drew. It never answers: every verdict is for local counters, and the
//! network cannot tell them apart.
//!
//! Memory is bounded by bytes, time by one decode per set, and no failure is worth more work than
//! that. A cookie that is done with, whatever the outcome, is remembered until the set would have
//! timed out, so that late shards open nothing.
//!
//! An envelope is a byte string here. Whether it is one (its encoding, work and expiry) is for the
//! caller to judge; so is the waiting and the insertion. At *converge* a rendezvous sees whole
//! envelopes, and whoever records its links and takes its key sees them too: the threshold
//! protects against relays in the middle.

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

/// Bounds of a rendezvous.
#[derive(Clone, Debug)]
pub struct RendezvousLimits {
    /// Memory for sets, in bytes. More costs memory only; less lets a flood displace honest sets
    /// sooner. Default 16 MiB.
    pub bytes: usize,
    /// Open sets whose package is longer than 9,840 bytes. Default 64.
    pub large_sets: usize,
    /// How long a set may take from its first shard on. Default 30 minutes: 162 cells at .3 per
    /// second leave within 9, and mixing delays all but one in a thousand by less than 5.
    pub timeout: Duration,
    /// The same for a set whose first shard carries the bulletin flag. Default 75 minutes.
    pub bulletin_timeout: Duration,
}

impl Default for RendezvousLimits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            large_sets: 64,
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
    /// The rendezvous role of the relay `id`, holding nothing yet.
    #[must_use]
    pub fn new(id: RelayId, limits: RendezvousLimits) -> Self {
        Self {
            id,
            table: ShardSetTable::new(limits.bytes, limits.large_sets),
            difficulty: TicketDifficulty::new(free_load(&limits)),
            limits,
        }
    }

    /// Takes in one shard that arrived over the link `from`, in a cell under the key of `epoch`,
    /// with `hold` in the delay field and the bulletin flag as given.
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
        if shard.class == Class::whole() {
            return if self.ticket_serves(&shard, epoch) {
                decode(terms, &[(shard.index, &shard.bytes)])
            } else {
                ShardOutcome::Rejected(ShardRejection::BadTicket)
            };
        }

        if let Some(set) = self.table.get(shard.cookie) {
            return match judge(set, &terms, &shard) {
                ShardOutcome::Counted => self.collect(terms, ShardOutcome::Counted, shard),
                ShardOutcome::Poisoned => {
                    self.table.close(shard.cookie);
                    ShardOutcome::Poisoned
                }
                verdict => verdict,
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

    /// Adds a piece to its set, and decodes the set if that was the last one needed; otherwise the
    /// verdict is the one given.
    fn collect(&mut self, terms: SetTerms, verdict: ShardOutcome, shard: Shard) -> ShardOutcome {
        let cookie = shard.cookie;
        if !self.table.add(cookie, shard.index, shard.bytes) {
            return ShardOutcome::Rejected(ShardRejection::NoRoom);
        }
        self.difficulty.count(SHARD_LEN);

        let shards = self.table.get(cookie).and_then(|set| set.shards.as_ref());
        if shards.is_none_or(|shards| shards.len() < usize::from(terms.class.k())) {
            return verdict;
        }
        let shards = self.table.close(cookie);
        let shards: Vec<_> = shards
            .iter()
            .map(|(index, bytes)| (*index, bytes.as_ref()))
            .collect();
        decode(terms, &shards)
    }

    /// Forgets the sets that timed out, and fixes the ticket price of an epoch that has begun.
    pub fn expire(&mut self, now: Now) {
        self.table.expire(now.mono);
        self.difficulty.advance_epoch(now.unix);
    }

    /// When the next set times out.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.table.next_due()
    }

    /// Memory held, in bytes, by an estimate that is never below the pieces themselves.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// What this epoch's descriptor is to demand of tickets, from the load of the epoch before.
    #[must_use]
    pub fn required_bits(&self) -> TicketBits {
        self.difficulty.current()
    }

    fn ticket_serves(&self, shard: &Shard, epoch: Epoch) -> bool {
        let bits = self.difficulty.for_epoch(epoch);
        verify_ticket(&self.id, epoch, shard.cookie, shard.ticket, bits)
    }
}

impl fmt::Debug for Rendezvous {
    /// Shows how much is held, and nothing of what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendezvous")
            .field("id", &self.id)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// What became of a shard. Nothing of it may reach the network.
#[derive(Eq, PartialEq)]
#[must_use]
pub enum ShardOutcome {
    /// The set is complete.
    Complete {
        /// What was dispersed; not judged yet.
        envelope: Vec<u8>,
        /// How long it is to be held from now on, as its origin drew it.
        hold: Duration,
    },
    /// One more piece of an open set.
    Counted,
    /// The first piece of a set.
    Opened,
    /// The set does not make a whole package, or two shards contradict each other; it is freed.
    Poisoned,
    /// The shard has no part in any set, and leaves no trace.
    Rejected(ShardRejection),
    /// A piece that is there already, or one of a set that is done with.
    Ignored,
}

impl fmt::Debug for ShardOutcome {
    /// Does not show the envelope: that it was here, before everybody had it, is the secret.
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
    /// It would open a set, but its ticket does not serve here, in this epoch, for this cookie.
    BadTicket,
    /// Its class differs from its set's.
    OtherClass,
    /// Its cell was sealed under another epoch's key than its set's.
    OtherEpoch,
    /// Its hold differs from its set's.
    OtherHold,
    /// Its ticket differs from its set's.
    OtherTicket,
    /// The bound on memory leaves no room for it.
    NoRoom,
}

impl fmt::Display for ShardRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadTicket => "ticket does not serve",
            Self::OtherClass => "class differs from the set's",
            Self::OtherEpoch => "epoch differs from the set's",
            Self::OtherHold => "hold differs from the set's",
            Self::OtherTicket => "ticket differs from the set's",
            Self::NoRoom => "no room for the set",
        })
    }
}

impl core::error::Error for ShardRejection {}

/// What becomes of a later shard of a set.
fn judge(set: &ShardSet, shard_terms: &SetTerms, shard: &Shard) -> ShardOutcome {
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

/// The one decode that a set gets.
fn decode(terms: SetTerms, shards: &[(u8, &[u8; SHARD_LEN])]) -> ShardOutcome {
    match rebuild(terms.class, shards) {
        Ok(envelope) => ShardOutcome::Complete {
            envelope,
            hold: terms.hold,
        },
        Err(_) => ShardOutcome::Poisoned,
    }
}

/// Bytes that fill a quarter of the table for a whole epoch.
fn free_load(limits: &RendezvousLimits) -> u64 {
    let turnovers = u64::from(Epoch::SECS)
        .checked_div(limits.timeout.as_secs())
        .unwrap_or(1);
    let quarter = u64::try_from(limits.bytes).unwrap_or(u64::MAX) / 4;
    quarter.saturating_mul(turnovers)
}

#[cfg(test)]
mod tests;
