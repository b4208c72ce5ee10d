//! The chores that come round by the clock, each with a name.
//!
//! Sub-machines that know their own deadlines (links, gossip, mix, stem) are not here; see
//! `Node::next_due`.

use core::time::Duration;

use circuits::time::Instant;

/// A chore.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timer {
    /// Drop envelopes whose time is over, and whatever refers to them.
    ExpirePool,
    /// Dial the peers that we want and do not have.
    Redial,
    /// Send what waited for the way out.
    Resume,
    /// Rotate onion keys, publish our descriptor, forget old ones.
    Epoch,
    /// Try our keys on what was pooled since; apart from pooling, so that forwarding never waits.
    TryDecrypt,
    /// Close links that were only for cells and have carried none for a while.
    CloseIdle,
}

/// When each chore is due.
pub(super) struct Timers([(Timer, Instant); 6]);

impl Timers {
    /// Everything is due at once.
    pub(super) const fn new(now: Instant) -> Self {
        Self([
            (Timer::ExpirePool, now),
            (Timer::Redial, now),
            (Timer::Resume, now),
            (Timer::Epoch, now),
            (Timer::TryDecrypt, now),
            (Timer::CloseIdle, now),
        ])
    }

    /// A chore that is due, with its next turn already set.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (timer, due) = self.0.iter_mut().find(|(_, due)| *due <= now)?;
        *due = now.after(timer.period());
        Some(*timer)
    }

    /// Brings a chore forward: something happened that it waits for.
    pub(super) fn expedite(&mut self, timer: Timer, now: Instant) {
        if let Some((_, due)) = self.0.iter_mut().find(|(other, _)| *other == timer) {
            *due = now.min(*due);
        }
    }

    /// Puts a chore off until something [hastens](Self::expedite) it: there is nothing to do.
    pub(super) fn disarm(&mut self, timer: Timer) {
        if let Some((_, due)) = self.0.iter_mut().find(|(other, _)| *other == timer) {
            *due = Instant::from_micros(u64::MAX);
        }
    }

    /// When the next chore is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.iter().map(|(_, due)| *due).min()
    }
}

impl Timer {
    pub(super) const fn period(self) -> Duration {
        match self {
            Self::ExpirePool | Self::Redial | Self::Resume => Duration::from_secs(1),
            Self::Epoch => Duration::from_secs(5),
            Self::TryDecrypt => Duration::from_millis(50),
            Self::CloseIdle => Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_fires() {
        let mut timers = Timers::new(Instant::ZERO);
        let mut first = Vec::new();
        while let Some(timer) = timers.pop_due(Instant::ZERO) {
            first.push(timer);
        }
        assert_eq!(first.len(), 6);
        assert_eq!(timers.next_due(), Some(Instant::from_micros(50_000)));
        assert_eq!(
            timers.pop_due(Instant::from_micros(50_000)),
            Some(Timer::TryDecrypt)
        );
    }
}
