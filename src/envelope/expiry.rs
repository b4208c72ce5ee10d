//! Judges whether an envelope is alive.
//!
//! This is the only place where expiry is judged. It reads no clock (`now` is an argument) and
//! drops nothing: it hands out a proof, and the pool accepts no envelope without one. The bounds
//! are those of the peers (protocol sheet 3.6), with two holes closed: a lifetime of zero divides
//! the work by nothing, and a lifetime that reaches back past 1970 wraps the same sum.

use circuits::time::UnixSecs;
use thiserror::Error;

use super::{Ttl, sent};

/// Proof that an envelope was alive when judged; only [`NotExpired::check`] makes one.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct NotExpired {
    skew: u32,
}

impl NotExpired {
    /// Judges the two time fields of an envelope against the wall clock.
    ///
    /// # Errors
    ///
    /// Names the first rule broken. The sender is to blame unless the envelope has only just
    /// expired: see [`ExpiryError::is_innocent`].
    pub fn check(expiry: UnixSecs, ttl: Ttl, now: UnixSecs) -> Result<Self, ExpiryError> {
        if ttl == Ttl(0) {
            return Err(ExpiryError::TtlZero);
        }
        if ttl.0 > expiry.0 {
            return Err(ExpiryError::SentBeforeEpoch);
        }
        let sent = sent(expiry, ttl);
        if sent > now.after(MAX_CLOCK_SKEW) {
            return Err(ExpiryError::SentInFuture);
        }
        if expiry < now.before(2 * MAX_CLOCK_SKEW) {
            return Err(ExpiryError::VeryOld);
        }
        if expiry < now {
            return Err(ExpiryError::Expired);
        }
        let skew = match sent.0.checked_sub(now.0) {
            None | Some(0) => 0,
            Some(ahead) => ahead.saturating_add(1),
        };
        Ok(Self { skew })
    }

    /// Seconds that peers add to the lifetime before they divide the work by it: zero unless the
    /// envelope was sent later than now.
    #[must_use]
    pub const fn skew(self) -> u32 {
        self.skew
    }
}

/// Why an envelope is not alive.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ExpiryError {
    /// It expired within the last 20 seconds.
    #[error("envelope has expired")]
    Expired,
    /// Its lifetime reaches back past 1970.
    #[error("envelope was sent before 1970")]
    SentBeforeEpoch,
    /// It was sent later than now, even for a clock that runs early.
    #[error("envelope was sent in the future; check that this computer's clock is right")]
    SentInFuture,
    /// It asks to live for no time at all.
    #[error("envelope has a lifetime of zero")]
    TtlZero,
    /// It expired long ago, even for a clock that runs late.
    #[error("envelope expired more than 20 seconds ago")]
    VeryOld,
}

impl ExpiryError {
    /// Whether it happens to honest peers: the envelope is dropped without a word.
    #[must_use]
    pub const fn is_innocent(self) -> bool {
        matches!(self, Self::Expired)
    }
}

/// How far two honest clocks may disagree, in seconds.
const MAX_CLOCK_SKEW: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSecs = UnixSecs(1_700_000_000);

    fn judge(sent: i64, ttl: u32) -> Result<u32, ExpiryError> {
        let expiry = i64::from(NOW.0) + sent + i64::from(ttl);
        NotExpired::check(UnixSecs(expiry.try_into().unwrap()), Ttl(ttl), NOW).map(NotExpired::skew)
    }

    #[test]
    fn accepts_an_envelope_on_its_last_second() {
        assert_eq!(judge(-50, 50), Ok(0));
    }

    #[test]
    fn drops_an_envelope_that_just_expired_without_blame() {
        for age in [1, 20] {
            let verdict = judge(-50 - age, 50).unwrap_err();
            assert_eq!(verdict, ExpiryError::Expired);
            assert!(verdict.is_innocent());
        }
    }

    #[test]
    fn blames_for_an_envelope_that_expired_21_seconds_ago() {
        let verdict = judge(-50 - 21, 50).unwrap_err();
        assert_eq!(verdict, ExpiryError::VeryOld);
        assert!(!verdict.is_innocent());
    }

    #[test]
    fn adds_a_second_to_the_lead_of_an_early_clock() {
        assert_eq!(judge(0, 50), Ok(0));
        assert_eq!(judge(1, 50), Ok(2));
        assert_eq!(judge(10, 50), Ok(11));
        assert_eq!(judge(11, 50), Err(ExpiryError::SentInFuture));
    }

    #[test]
    fn a_lifetime_of_zero_does_not_make_infinite_work() {
        assert_eq!(judge(0, 0), Err(ExpiryError::TtlZero));
    }

    #[test]
    fn a_lifetime_that_wraps_the_clock_does_not_make_infinite_work() {
        // sent = now + 5, and lifetime + skew = 2^32: the divisor of the work would be zero.
        let verdict = NotExpired::check(NOW, Ttl(5_u32.wrapping_neg()), NOW);
        assert_eq!(verdict.unwrap_err(), ExpiryError::SentBeforeEpoch);
    }
}
