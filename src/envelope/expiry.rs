//! Checks whether an envelope has expired.
//!
//! This is the only place that checks expiry. It reads no clock (`now` is an argument) and drops
//! nothing: it returns a proof, and the pool accepts no envelope without one. The bounds are those
//! of other implementations (protocol sheet 3.6), with two holes closed: a lifetime of zero would
//! divide the work by zero, and a lifetime that reaches back past 1970 would wrap the same sum.

use circuits::time::UnixSecs;
use thiserror::Error;

use super::{Ttl, sent};

/// Proof that an envelope had not expired at the check; only [`NotExpired::check`] makes one.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct NotExpired {
    skew: u32,
    checked_at: UnixSecs,
}

impl NotExpired {
    /// Checks the two time fields of an envelope against the wall clock.
    ///
    /// # Errors
    ///
    /// Names the first rule broken. The sender is at fault unless the envelope has only just
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
        Ok(Self {
            skew,
            checked_at: now,
        })
    }

    /// The time of the check.
    #[must_use]
    pub const fn checked_at(self) -> UnixSecs {
        self.checked_at
    }

    /// Seconds that peers add to the lifetime before they divide the work by it: zero unless the
    /// envelope was sent later than `now`.
    #[must_use]
    pub const fn skew(self) -> u32 {
        self.skew
    }
}

/// Why an envelope is not valid at this time.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ExpiryError {
    /// It expired within the last 20 seconds.
    #[error("the envelope has expired")]
    Expired,
    /// Its lifetime reaches back past 1970.
    #[error("the envelope was sent before 1970")]
    SentBeforeEpoch,
    /// It was sent later than `now`, by more than the permitted clock skew.
    #[error("the envelope was sent in the future; check that this computer's clock is right")]
    SentInFuture,
    /// Its lifetime is zero.
    #[error("the envelope has a lifetime of zero")]
    TtlZero,
    /// It expired more than 20 s ago, which clock skew does not explain.
    #[error("the envelope expired more than 20 seconds ago")]
    VeryOld,
}

impl ExpiryError {
    /// Whether honest peers cause it: the envelope is dropped without a penalty.
    #[must_use]
    pub const fn is_innocent(self) -> bool {
        matches!(self, Self::Expired)
    }
}

/// Permitted clock skew between honest nodes, in seconds.
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
    fn envelope_in_its_last_second_is_accepted() {
        assert_eq!(judge(-50, 50), Ok(0));
    }

    #[test]
    fn just_expired_envelope_is_innocent() {
        for age in [1, 20] {
            let verdict = judge(-50 - age, 50).unwrap_err();
            assert_eq!(verdict, ExpiryError::Expired);
            assert!(verdict.is_innocent());
        }
    }

    #[test]
    fn envelope_expired_21_seconds_ago_is_a_fault() {
        let verdict = judge(-50 - 21, 50).unwrap_err();
        assert_eq!(verdict, ExpiryError::VeryOld);
        assert!(!verdict.is_innocent());
    }

    #[test]
    fn early_clock_adds_its_lead_and_one_second_to_skew() {
        assert_eq!(judge(0, 50), Ok(0));
        assert_eq!(judge(1, 50), Ok(2));
        assert_eq!(judge(10, 50), Ok(11));
        assert_eq!(judge(11, 50), Err(ExpiryError::SentInFuture));
    }

    #[test]
    fn zero_lifetime_is_refused() {
        assert_eq!(judge(0, 0), Err(ExpiryError::TtlZero));
    }

    #[test]
    fn lifetime_that_wraps_the_clock_is_refused() {
        // sent = now + 5, and lifetime + skew = 2^32: the divisor of the work would be zero.
        let verdict = NotExpired::check(NOW, Ttl(5_u32.wrapping_neg()), NOW);
        assert_eq!(verdict.unwrap_err(), ExpiryError::SentBeforeEpoch);
    }
}
