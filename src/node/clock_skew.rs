//! Whether the clock of this machine agrees with the clocks of its peers.
//!
//! Envelopes carry times. A node whose clock is minutes ahead sends envelopes that relays refuse as
//! sent in the future; a node whose clock is behind refuses what others send, and its own envelopes
//! expire early. Neither gets an error from the network, so the node compares clocks itself.
//!
//! Each peer that the user named shows an interval in which its clock must be: by the time or the
//! epoch in its `onion/1` status, and by the envelopes that it brings, which it has accepted as
//! neither expired nor sent in the future. The least difference that explains the interval is the
//! peer's vote. A subnet has one vote, that of its peer with the least difference. The median of the
//! votes is the skew; between two middle votes the one nearer to zero counts, so only a majority of
//! the subnets shifts it. Peers that the user did not name have no vote: otherwise inbound peers could
//! keep this node from sending.
//!
//! The clock itself is never changed, and no time on the wire is corrected by the skew.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::bounded_map::BoundedMap;
use circuits::directory::Subnet;
use circuits::ids::{Epoch, Profile, RelayKey};
use circuits::time::{Instant, Now, UnixSecs};

use super::command::Refusal;
use super::effects::Effects;
use super::event::Event;
use super::views::ClockView;
use crate::gossip::EnvelopeTimes;

/// What the named peers show of this machine's clock.
pub(super) struct ClockSkew {
    profile: Profile,
    /// What each peer showed last. The peer that was silent for the longest time is evicted first.
    shown: BoundedMap<RelayKey, ClockInterval, Instant>,
    /// This machine's clock less its monotonic clock at the last input, in seconds.
    own: Option<i64>,
    reported: Severity,
}

/// A peer whose clock counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockWitness {
    /// Its link key.
    pub(super) key: RelayKey,
    /// Its subnet.
    pub(super) subnet: Subnet,
}

/// What a peer shows of its clock.
#[derive(Clone, Copy, Debug)]
pub(super) enum ShownTime {
    /// Its status: its epoch, and its time, rounded down to [`TIME_STEP_SECS`], if it shows that.
    Status(Epoch, Option<UnixSecs>),
    /// Envelopes that it brought, whether or not this node accepted them.
    Envelopes(EnvelopeTimes),
}

/// The bounds of a peer's clock, less this machine's monotonic clock, in seconds. They hold as long as
/// neither clock is set and the machine does not sleep.
#[derive(Clone, Copy, Debug)]
struct ClockInterval {
    subnet: Subnet,
    earliest: i64,
    latest: i64,
}

/// What a skew means for the user.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Severity {
    /// The clocks agree, as far as is known.
    #[default]
    None,
    /// Some messages need more attempts.
    Warning,
    /// Messages would be lost.
    Refusal,
}

impl ClockSkew {
    /// No peer has shown its clock yet.
    pub(super) const fn new(profile: Profile) -> Self {
        Self {
            profile,
            shown: BoundedMap::new(MAX_WITNESSES),
            own: None,
            reported: Severity::None,
        }
    }

    // -- what peers show

    /// Compares the clocks of this machine at every input. If they part, the wall clock was set or
    /// the machine slept, and what peers showed before says nothing any more.
    pub(super) fn on_input(&mut self, now: Now) {
        let own = lead(now.unix, now.mono);
        let before = self.own.replace(own);
        if before.is_some_and(|before| own.abs_diff(before) > MAX_DRIFT_SECS) {
            self.shown = BoundedMap::new(MAX_WITNESSES);
        }
    }

    /// A peer showed something of its clock.
    pub(super) fn on_shown(
        &mut self,
        fx: &mut Effects,
        now: Now,
        witness: ClockWitness,
        shown: ShownTime,
    ) {
        let (earliest, latest) = match shown {
            ShownTime::Status(epoch, time) => {
                // A status follows a handshake: the peer's clock may have been set since the last one.
                self.shown.remove(&witness.key);
                let (earliest, latest) = match time {
                    Some(time) => (time, time.after(TIME_STEP_SECS)),
                    None => (epoch.start(), epoch.next().start()),
                };
                (earliest, latest.after(MAX_STATUS_TRAVEL_SECS))
            }
            ShownTime::Envelopes(times) => (
                times.latest_start.before(MAX_FUTURE_SECS),
                times.earliest_expiry.after(MAX_ENVELOPE_TRAVEL_SECS),
            ),
        };
        self.narrow(now, witness, earliest, latest);
        self.review(fx, now);
    }

    fn narrow(&mut self, now: Now, witness: ClockWitness, earliest: UnixSecs, latest: UnixSecs) {
        let mut interval = ClockInterval {
            subnet: witness.subnet,
            earliest: lead(earliest, now.mono),
            latest: lead(latest, now.mono),
        };
        if let Some(before) = self.shown.get(&witness.key) {
            let earliest = interval.earliest.max(before.earliest);
            let latest = interval.latest.min(before.latest);
            // Contradictory bounds mean that the peer's clock was set: the new ones count.
            if earliest <= latest {
                interval = ClockInterval {
                    earliest,
                    latest,
                    ..interval
                };
            }
        }
        self.shown.insert(witness.key, now.mono, interval);
    }

    // -- the verdict

    /// The skew, with the number of votes; `None` if no peer shows its clock.
    pub(super) fn view(&self, now: Now) -> Option<ClockView> {
        let votes = self.votes(now);
        let middle = votes.len().checked_sub(1)? / 2;
        let lower = *votes.get(middle)?;
        let upper = *votes.get(votes.len() / 2)?;
        let behind_secs = match (lower.signum(), upper.signum()) {
            (1, 1) => lower,
            (-1, -1) => upper,
            _ => 0,
        };
        let is_large = behind_secs.unsigned_abs() >= MAX_SKEW_SECS;
        Some(ClockView {
            behind_secs,
            witnesses: votes.len(),
            refuses: is_large && votes.len() >= MIN_WITNESSES,
        })
    }

    /// The votes of the subnets in ascending order: seconds by which this machine's clock is behind.
    fn votes(&self, now: Now) -> Vec<i64> {
        let own = lead(now.unix, now.mono);
        let fresh = now.mono.before(SHOWN_LIFETIME);
        let mut by_group: BTreeMap<(Option<Subnet>, Option<RelayKey>), i64> = BTreeMap::new();
        for (key, interval) in self.shown.iter() {
            let is_old = self.shown.rank(key).is_none_or(|rank| rank < fresh);
            let Some(vote) = interval.vote(own).filter(|_| !is_old) else {
                continue;
            };
            // Nothing but its key distinguishes a peer of a local network, or an onion service.
            let group = match interval.subnet {
                Subnet::Onion => (None, Some(*key)),
                _ if self.profile == Profile::Local => (None, Some(*key)),
                subnet => (Some(subnet), None),
            };
            let of_group = by_group.entry(group).or_insert(vote);
            if vote.unsigned_abs() < of_group.unsigned_abs() {
                *of_group = vote;
            }
        }
        let mut votes: Vec<i64> = by_group.into_values().collect();
        votes.sort_unstable();
        votes
    }

    /// Checks whether messages with the times of this machine's clock would arrive.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the skew and the remedy.
    pub(super) fn check(&self, now: Now) -> Result<(), Refusal> {
        let Some(view) = self.view(now).filter(|view| view.refuses) else {
            return Ok(());
        };
        Err(Refusal::policy(
            format!(
                "the clock of this machine is {view}: messages with a wrong time are lost on their \
                 way; at most {MAX_SKEW_SECS} s are tolerated"
            ),
            "set the clock (`timedatectl set-ntp true`), then send again",
        ))
    }

    /// Whether a relay with this clock would lose what it rebuilds.
    pub(super) fn is_wrong(&self, now: Now) -> bool {
        self.check(now).is_err()
    }

    /// Leaves out the stem successors whose clocks are wrong, because they refuse envelopes with a right
    /// time. Nothing is left out unless a majority confirms this machine's clock, so peers that lie
    /// cannot exclude others; nor if fewer than two would remain.
    pub(super) fn prefer_right<T: Copy>(
        &self,
        now: Now,
        candidates: Vec<T>,
        key_of: impl Fn(&T) -> Option<RelayKey>,
    ) -> Vec<T> {
        let is_confirmed = |view: ClockView| !view.is_off() && view.witnesses >= MIN_WITNESSES;
        if !self.view(now).is_some_and(is_confirmed) {
            return candidates;
        }
        let own = lead(now.unix, now.mono);
        let is_right = |candidate: &T| {
            let shown = key_of(candidate).and_then(|key| self.shown.get(&key));
            let vote = shown.and_then(|interval| interval.vote(own));
            vote.is_none_or(|vote| vote.unsigned_abs() < MAX_SKEW_SECS)
        };
        let right: Vec<T> = candidates.iter().copied().filter(is_right).collect();
        if right.len() >= MIN_SUCCESSORS {
            right
        } else {
            candidates
        }
    }

    /// Reports the skew when its meaning for the user has changed.
    pub(super) fn review(&mut self, fx: &mut Effects, now: Now) {
        let view = self.view(now);
        let severity = view.map_or(Severity::None, |view| match (view.refuses, view.is_off()) {
            (true, _) => Severity::Refusal,
            (false, true) => Severity::Warning,
            (false, false) => Severity::None,
        });
        if severity != self.reported
            && let Some(view) = view
        {
            self.reported = severity;
            fx.notify(Event::Clock(view));
        }
    }
}

impl ClockInterval {
    /// The least number of seconds by which a clock with the lead `own` is behind; negative if it is
    /// ahead. `None` if the interval permits too many answers.
    const fn vote(self, own: i64) -> Option<i64> {
        if self.earliest > own {
            return Some(self.earliest - own);
        }
        if self.latest < own {
            return Some(self.latest - own);
        }
        let is_narrow = self.latest - self.earliest <= MAX_UNCERTAINTY_SECS;
        if is_narrow { Some(0) } else { None }
    }
}

/// A wall clock less the monotonic clock, in seconds.
fn lead(unix: UnixSecs, mono: Instant) -> i64 {
    let mono = i64::try_from(mono.as_micros() / 1_000_000).unwrap_or(i64::MAX);
    i64::from(unix.0).saturating_sub(mono)
}

/// The step of the time in a status. It hides the skews that are harmless, which would identify a
/// machine.
pub(super) const TIME_STEP_SECS: u32 = 10;
/// Time from sending to reading a status.
const MAX_STATUS_TRAVEL_SECS: u32 = 10;
/// Time from sending to reading an envelope: a pool may wait for minutes in the queue of a slow line.
const MAX_ENVELOPE_TRAVEL_SECS: u32 = 120;
/// How far in the future a lifetime may start for every node (protocol sheet 3.6).
const MAX_FUTURE_SECS: u32 = 10;
/// The skew from which nothing is sent. Measured: 6 % of the envelopes of a sender that is 180 s ahead
/// are refused by a rendezvous as sent in the future, 39 % at 300 s; about 20 % here.
const MAX_SKEW_SECS: u64 = 240;
/// Number of subnets that must have voted before nothing is sent. One peer only warns.
const MIN_WITNESSES: usize = 2;
/// Number of successors that a stem needs.
const MIN_SUCCESSORS: usize = 2;
/// The widest interval around this machine's time that confirms it.
const MAX_UNCERTAINTY_SECS: i64 = 300;
/// The drift of the wall clock between two inputs from which it was set, or the machine slept.
const MAX_DRIFT_SECS: u64 = 30;
/// Time for which a peer's clock counts after it was shown.
const SHOWN_LIFETIME: Duration = Duration::from_secs(6 * 3_600);
/// Maximum number of peers whose clocks are remembered.
const MAX_WITNESSES: usize = 64;

#[cfg(test)]
mod tests;
