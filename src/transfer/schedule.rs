//! When and where the two ends of a file try to meet.
//!
//! The answer names a start, and with it ten windows of two minutes: in window n both ends open a circuit to
//! the same relay. Nothing is agreed while it runs, so that a node which comes back finds the other by the
//! clock. Nothing here reads the clock.

use circuits::time::UnixSecs;

/// Attempts that one answer allows.
pub const ATTEMPTS: u8 = 10;
/// Length of the window of one attempt, in seconds.
pub const ATTEMPT_SECS: u32 = 120;
/// How far ahead an answer may put its start, in seconds.
pub const MAX_START_AHEAD_SECS: u32 = 3_600;

/// Names an attempt of one answer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AttemptId {
    start: UnixSecs,
    number: u8,
}

impl AttemptId {
    /// An attempt of the answer with this start; `None` above the last number.
    #[must_use]
    pub const fn new(start: UnixSecs, number: u8) -> Option<Self> {
        if number < ATTEMPTS {
            Some(Self { start, number })
        } else {
            None
        }
    }

    /// The start of the answer.
    #[must_use]
    pub const fn start(self) -> UnixSecs {
        self.start
    }

    /// The number of the attempt, 0 to 9.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The first second of the window.
    #[must_use]
    pub fn begins(self) -> UnixSecs {
        self.start
            .after(u32::from(self.number).saturating_mul(ATTEMPT_SECS))
    }
}

/// The attempts of one answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttemptSchedule {
    start: UnixSecs,
    first_relay: u8,
}

impl AttemptSchedule {
    /// The schedule of an answer that is given now: its start is the next full two minutes, and the relays
    /// are tried in turn from that of this index.
    #[must_use]
    pub fn answered_at(now: UnixSecs, first_relay: u8) -> Self {
        let windows = now.0.div_ceil(ATTEMPT_SECS);
        Self {
            start: UnixSecs(windows.saturating_mul(ATTEMPT_SECS)),
            first_relay,
        }
    }

    /// The schedule of an answer; `None` if its start is not at full two minutes.
    #[must_use]
    pub const fn new(start: UnixSecs, first_relay: u8) -> Option<Self> {
        if start.0.is_multiple_of(ATTEMPT_SECS) {
            Some(Self { start, first_relay })
        } else {
            None
        }
    }

    /// The start: the first second of attempt 0.
    #[must_use]
    pub const fn start(&self) -> UnixSecs {
        self.start
    }

    /// The index of the relay of attempt 0 in the list of the offer, or of the proposal.
    #[must_use]
    pub const fn first_relay(&self) -> u8 {
        self.first_relay
    }

    /// The first second after the window of the last attempt.
    #[must_use]
    pub fn end(&self) -> UnixSecs {
        self.start
            .after(u32::from(ATTEMPTS).saturating_mul(ATTEMPT_SECS))
    }

    /// Whether the start is further ahead than an honest answer puts it. Such an answer is dropped.
    #[must_use]
    pub fn is_too_far_ahead(&self, now: UnixSecs) -> bool {
        self.start > now.after(MAX_START_AHEAD_SECS)
    }

    /// The attempt to make after `last`, or the first one: that of the running window, or of the next window
    /// if the running one was tried. It may be made from [`AttemptId::begins`] on. `None` once all are over.
    #[must_use]
    pub fn next(&self, now: UnixSecs, last: Option<AttemptId>) -> Option<AttemptId> {
        let running = now.0.saturating_sub(self.start.0) / ATTEMPT_SECS;
        let untried = last
            .filter(|last| last.start == self.start)
            .map_or(0, |last| u32::from(last.number).saturating_add(1));
        let number = u8::try_from(running.max(untried)).ok()?;
        AttemptId::new(self.start, number)
    }

    /// The index of the relay of an attempt among so many; `None` if there are none.
    #[must_use]
    pub fn relay(&self, attempt: AttemptId, relays: usize) -> Option<usize> {
        usize::from(self.first_relay)
            .checked_add(attempt.number.into())?
            .checked_rem(relays)
    }
}
