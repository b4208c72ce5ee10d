//! When and where the two ends of a file try to meet.
//!
//! The answer names a start, and with it ten windows of two minutes: in window n both ends open a circuit to
//! the same relay. It also names the two relays of the list that the windows use in turn. The answering end
//! chooses those at which it may end a circuit; the other end may use each relay that it listed. Nothing is
//! agreed while a window runs, so that a node which comes back finds the other by the clock. Nothing here reads
//! the clock.

use circuits::time::UnixSecs;

use super::MAX_MEETING_RELAYS;

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

    /// The first second after the window.
    #[must_use]
    pub fn ends(self) -> UnixSecs {
        self.begins().after(ATTEMPT_SECS)
    }
}

/// The places in a list of relays of the two that the windows use in turn. Both are equal if the answering end
/// can use one relay only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RelayPlaces([u8; 2]);

impl RelayPlaces {
    /// Two places; `None` if one is outside of the longest list.
    #[must_use]
    pub fn new(places: [u8; 2]) -> Option<Self> {
        let are_inside = places
            .iter()
            .all(|place| usize::from(*place) < MAX_MEETING_RELAYS);
        are_inside.then_some(Self(places))
    }

    /// The places in the order of the windows.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0
    }
}

/// The attempts of one answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttemptSchedule {
    start: UnixSecs,
    places: RelayPlaces,
}

impl AttemptSchedule {
    /// The schedule of an answer that is given now: its start is the next full two minutes.
    #[must_use]
    pub fn answered_at(now: UnixSecs, places: RelayPlaces) -> Self {
        let windows = now.0.div_ceil(ATTEMPT_SECS);
        Self {
            start: UnixSecs(windows.saturating_mul(ATTEMPT_SECS)),
            places,
        }
    }

    /// The schedule of an answer; `None` if its start is not at full two minutes.
    #[must_use]
    pub const fn new(start: UnixSecs, places: RelayPlaces) -> Option<Self> {
        if start.0.is_multiple_of(ATTEMPT_SECS) {
            Some(Self { start, places })
        } else {
            None
        }
    }

    /// The start: the first second of attempt 0.
    #[must_use]
    pub const fn start(&self) -> UnixSecs {
        self.start
    }

    /// The places of the relays in the list of the offer, or of the proposal.
    #[must_use]
    pub const fn places(&self) -> RelayPlaces {
        self.places
    }

    /// Whether a list of so many relays has both places. An answer with others is dropped.
    #[must_use]
    pub fn fits(&self, relays: usize) -> bool {
        let mut places = self.places.0.into_iter();
        places.all(|place| usize::from(place) < relays)
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

    /// The place of the relay of an attempt.
    #[must_use]
    pub fn place(&self, attempt: AttemptId) -> usize {
        let [even, odd] = self.places.0;
        usize::from(if attempt.number.is_multiple_of(2) {
            even
        } else {
            odd
        })
    }
}
