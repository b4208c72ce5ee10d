//! Exponential backoff: how long to wait after repeated failures.
//!
//! The wait doubles with each failure, from a minimum to a maximum. Waits for peers need a random
//! extra, so that nodes that lost the same peer do not return at the same moment. [`Backoff`] holds
//! the two limits only: the caller counts the failures, and decides what resets the count.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::distributions;

/// The limits of the wait after a failure.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits from `min` to `max`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// The wait after one failure that `earlier` failures preceded: the minimum doubled as often,
    /// at most the maximum.
    #[must_use]
    pub fn wait(self, earlier: u32) -> Duration {
        let factor = 1_u32.checked_shl(earlier).unwrap_or(u32::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }

    /// The same wait with a random extra below the wait itself.
    #[must_use]
    pub fn wait_with_jitter(self, earlier: u32, rng: &mut impl CryptoRng) -> Duration {
        let wait = self.wait(earlier);
        wait.saturating_add(distributions::jitter(rng, wait))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn backoff_doubles_from_minimum_to_maximum() {
        let backoff = Backoff::new(SECOND, 60 * SECOND);
        let waits = (0..9).map(|earlier| backoff.wait(earlier).as_secs());
        assert!(waits.eq([1, 2, 4, 8, 16, 32, 60, 60, 60]));
    }

    #[test]
    fn backoff_after_very_many_failures_is_maximum() {
        let backoff = Backoff::new(SECOND, 43_200 * SECOND);
        for earlier in [15, 16, 31, 32, 33, 1_000, u32::MAX] {
            assert!(backoff.wait(earlier) >= 32_768 * SECOND);
        }
        assert_eq!(backoff.wait(u32::MAX), 43_200 * SECOND);
        let tiny = Backoff::new(Duration::from_nanos(1), Duration::MAX);
        assert!(tiny.wait(40) >= tiny.wait(31), "the wait never shrinks");
    }

    #[test]
    fn backoff_with_jitter_spreads_over_one_wait() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let backoff = Backoff::new(SECOND, 60 * SECOND);
        let waits: Vec<Duration> = (0..1_000)
            .map(|_| backoff.wait_with_jitter(3, &mut rng))
            .collect();
        assert!(waits.iter().all(|wait| (8..16).contains(&wait.as_secs())));
        let late = waits.iter().filter(|wait| **wait >= 12 * SECOND).count();
        assert!(
            (400..600).contains(&late),
            "{late} of 1,000 in the upper half"
        );
    }

    proptest! {
        #[test]
        fn backoff_equals_repeated_doubling(
            min in 1..1_000_u64,
            max in 1..100_000_000_u64,
            failures in 0..40_u32,
            seed: [u8; 32],
        ) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
            let backoff = Backoff::new(min, max);
            let mut wait = min.min(max);
            for _ in 0..failures {
                wait = wait.saturating_mul(2).min(max);
            }
            // Above 2^32 minima the wait stays; no user waits that long.
            if failures < 32 || wait == max {
                prop_assert_eq!(backoff.wait(failures), wait);
            }
            let mut rng = ChaCha20Rng::from_seed(seed);
            let drawn = backoff.wait_with_jitter(failures, &mut rng);
            let wait = backoff.wait(failures);
            prop_assert!(drawn >= wait && drawn < wait * 2);
        }
    }
}
