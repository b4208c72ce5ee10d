//! The loop ledger: which loops are on their way, and what their return shows of the relays.
//!
//! A loop is a cell of cover that ends at its origin. A relay cannot tell it from a message, so a relay
//! that drops or delays cells of messages does the same to loops, and the origin notices (spec M2).
//! For each relay the ledger counts the loops that passed it, how many of them were lost, and how much
//! later than the drawn delays they returned, and compares these with the loops that avoided it. A
//! difference of more than three standard deviations is an alarm, stated with the number of loops that
//! it rests on.
//!
//! The ledger only reports, to the user. If an alarm changed what the node sends, a relay could steer the
//! node by dropping cells.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::bounded_map::BoundedMap;
use crate::ids::ShortId;
use crate::time::Instant;

/// Identifies a loop to its origin.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LoopNonce(pub [u8; 16]);

/// A loop that leaves.
#[derive(Clone, Debug)]
pub struct DepartingLoop {
    /// Its mark.
    pub nonce: LoopNonce,
    /// The relays on its way. The guard of a client is passed twice, and listed once.
    pub relays: Vec<ShortId>,
    /// The sum of the delays that were drawn for its relays.
    pub delay: Duration,
}

/// The loops of one node.
#[derive(Debug)]
pub struct LoopLedger {
    /// Ranked by the time until which they are awaited.
    away: BoundedMap<LoopNonce, AwayLoop, Instant>,
    relays: BTreeMap<ShortId, ProbeStats>,
    all: ProbeStats,
}

#[derive(Debug)]
struct AwayLoop {
    relays: Vec<ShortId>,
    left: Instant,
    delay: Duration,
}

/// What the loops through one relay, or through all relays, showed.
#[derive(Clone, Copy, Debug, Default)]
struct ProbeStats {
    returned: u32,
    lost: u32,
    /// Sum and sum of squares of the seconds by which loops were late.
    late: f64,
    late_squares: f64,
}

/// The numbers of all loops.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoopCounts {
    /// Loops that came back in time.
    pub returned: u32,
    /// Loops that did not.
    pub lost: u32,
    /// Loops on their way.
    pub away: usize,
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoopFault {
    /// Loops through the relay are lost more often than others.
    Loss,
    /// Loops through the relay return later than others.
    Delay,
}

/// A relay whose loops differ from those of the others by more than three standard deviations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoopAlarm {
    /// The relay.
    pub relay: ShortId,
    /// How they differ.
    pub fault: LoopFault,
    /// Number of loops through the relay.
    pub probes: u32,
    /// How many of them were lost.
    pub lost: u32,
    /// The difference in standard deviations.
    pub sigmas: f64,
}

impl LoopLedger {
    /// An empty ledger.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            away: BoundedMap::new(MAX_AWAY),
            relays: BTreeMap::new(),
            all: ProbeStats::ZERO,
        }
    }

    /// A loop left.
    pub fn departed(&mut self, now: Instant, departing: DepartingLoop) {
        let DepartingLoop {
            nonce,
            relays,
            delay,
        } = departing;
        let due = now.after(delay).after(GRACE);
        let away = AwayLoop {
            relays,
            left: now,
            delay,
        };
        // Full only after hours without a call of `expire`.
        let _evicted = self.away.insert(nonce, due, away);
    }

    /// A loop returned. Returns whether it was awaited: a replay or a forged nonce is not.
    pub fn returned(&mut self, now: Instant, nonce: LoopNonce) -> bool {
        let Some(back) = self.away.remove(&nonce) else {
            return false;
        };
        let late = now.since(back.left).saturating_sub(back.delay);
        for relay in &back.relays {
            if let Some(stats) = self.stats(*relay) {
                stats.note_return(late);
            }
        }
        self.all.note_return(late);
        true
    }

    /// Counts the loops whose time is over as lost. Returns how many there were.
    pub fn expire(&mut self, now: Instant) -> usize {
        let mut lost = 0;
        while let Some((nonce, due)) = self.away.first()
            && due <= now
        {
            let nonce = *nonce;
            let Some(gone) = self.away.remove(&nonce) else {
                break;
            };
            for relay in &gone.relays {
                if let Some(stats) = self.stats(*relay) {
                    stats.note_loss();
                }
            }
            self.all.note_loss();
            lost += 1;
        }
        lost
    }

    /// The loops on their way cannot return, because the link that they would use is down: they are
    /// not counted.
    pub fn forget_away(&mut self) {
        self.away = BoundedMap::new(MAX_AWAY);
    }

    /// The numbers of loops.
    #[must_use]
    pub fn counts(&self) -> LoopCounts {
        LoopCounts {
            returned: self.all.returned,
            lost: self.all.lost,
            away: self.away.len(),
        }
    }

    /// The clearest alarm, if there is one.
    #[must_use]
    pub fn alarm(&self) -> Option<LoopAlarm> {
        let alarms = self.relays.iter().filter_map(|(relay, stats)| {
            let rest = self.all.without(stats);
            let (fault, sigmas) = stats.worst(&rest);
            (sigmas > ALARM_SIGMAS).then_some(LoopAlarm {
                relay: *relay,
                fault,
                probes: stats.probes(),
                lost: stats.lost,
                sigmas,
            })
        });
        alarms.max_by(|one, other| one.sigmas.total_cmp(&other.sigmas))
    }

    /// The counters of a relay; none for a new relay if there are too many.
    fn stats(&mut self, relay: ShortId) -> Option<&mut ProbeStats> {
        if self.relays.len() >= MAX_RELAYS && !self.relays.contains_key(&relay) {
            return None;
        }
        Some(self.relays.entry(relay).or_default())
    }
}

impl Default for LoopLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl ProbeStats {
    const ZERO: Self = Self {
        returned: 0,
        lost: 0,
        late: 0.0,
        late_squares: 0.0,
    };

    const fn note_loss(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    fn note_return(&mut self, late: Duration) {
        let late = late.as_secs_f64();
        self.returned = self.returned.saturating_add(1);
        self.late += late;
        self.late_squares = late.mul_add(late, self.late_squares);
    }

    const fn probes(&self) -> u32 {
        self.returned.saturating_add(self.lost)
    }

    /// What remains without the loops of `part`.
    fn without(&self, part: &Self) -> Self {
        Self {
            returned: self.returned.saturating_sub(part.returned),
            lost: self.lost.saturating_sub(part.lost),
            late: self.late - part.late,
            late_squares: self.late_squares - part.late_squares,
        }
    }

    /// The greater of the two differences from the loops that avoided the relay.
    fn worst(&self, rest: &Self) -> (LoopFault, f64) {
        let loss = self.loss_sigmas(rest);
        let delay = self.delay_sigmas(rest);
        if loss >= delay {
            (LoopFault::Loss, loss)
        } else {
            (LoopFault::Delay, delay)
        }
    }

    /// Loss beyond what the rate of the rest predicts, in standard deviations of a binomial. The rate
    /// of the rest is smoothed by [`PRIOR_LOOPS`] loops of the [`PRIOR_LOSS`], so that a lucky rest
    /// makes no alarm; for the guard of a client, which no loop avoids, it is the prior alone.
    fn loss_sigmas(&self, rest: &Self) -> f64 {
        let probes = f64::from(self.probes());
        if self.probes() < MIN_PROBES {
            return 0.0;
        }
        let lost = f64::from(rest.lost) + PRIOR_LOSS * PRIOR_LOOPS;
        let rate = lost / (f64::from(rest.probes()) + PRIOR_LOOPS);
        let rate = rate.max(MIN_LOSS);
        let spread = (probes * rate * (1.0 - rate)).sqrt();
        if spread <= 0.0 {
            return 0.0;
        }
        // Half a loop corrects for the steps of the binomial.
        (f64::from(self.lost) - 0.5 - probes * rate) / spread
    }

    /// Lateness beyond that of the rest, in standard deviations of the difference of two means. A
    /// difference below [`MIN_LATENESS`] is the distance of a relay, and no fault.
    fn delay_sigmas(&self, rest: &Self) -> f64 {
        if self.returned < MIN_PROBES || rest.returned < MIN_PROBES {
            return 0.0;
        }
        let (mean, variance) = self.lateness();
        let (rest_mean, rest_variance) = rest.lateness();
        let difference = mean - rest_mean;
        let spread = (variance + rest_variance).sqrt();
        if difference < MIN_LATENESS || spread <= 0.0 {
            return 0.0;
        }
        difference / spread
    }

    /// The mean lateness in seconds, and the variance of this mean.
    fn lateness(&self) -> (f64, f64) {
        let count = f64::from(self.returned.max(1));
        let mean = self.late / count;
        let variance = (self.late_squares / count - mean * mean).max(0.0);
        (mean, variance / count)
    }
}

/// Time for which a loop is awaited beyond its drawn delays: six links, through Tor each.
const GRACE: Duration = Duration::from_secs(60);

/// Maximum number of loops on their way; at one in 20 s and 10 minutes each there are 30.
const MAX_AWAY: usize = 1_024;

/// Maximum number of relays with counters.
const MAX_RELAYS: usize = 4_096;

/// Standard deviations above which a difference is an alarm.
const ALARM_SIGMAS: f64 = 3.0;

/// Number of loops through a relay below which nothing is said of it.
const MIN_PROBES: u32 = 8;

/// Loss of loops in a network without a fault, before anything is known: one in fifty.
const PRIOR_LOSS: f64 = 0.02;

/// Number of loops that the prior counts as.
const PRIOR_LOOPS: f64 = 20.0;

/// Smallest rate of loss that is assumed, so that the first loss of a long time causes none.
const MIN_LOSS: f64 = 0.005;

/// Lateness in seconds below which a relay is only far away.
const MIN_LATENESS: f64 = 0.5;

#[cfg(test)]
mod tests;
