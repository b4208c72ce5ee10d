//! The lag: how long before its composition the lifetime of an envelope starts.
//!
//! The start of a lifetime is public. Without a lag, the time from there to the insertion would show
//! the level, and with it which envelopes belong together.

use core::time::Duration;

use rand_core::CryptoRng;

use super::{DARK, LevelRules, MAX_WAIT};
use crate::distributions;
use crate::mixing::DelayClass;

/// Draws the lag: how long before its composition the lifetime of an envelope starts.
///
/// The start of a lifetime is public, and the time from there to the insertion would reveal the
/// level. At every level that time follows one law, that of the latency of `dark` in an epoch of this
/// class: the wait for a payload slot, the delays at five relays, the hold. The path draws its own waits later; the lag is
/// only what they lack to the law, one draw per wait.
///
/// The completion is exact. With `m` the mean of the own wait and `M` that of the law, an exponential
/// wait of mean `M` is the sum of an exponential wait of mean `m` and, with probability `1 - m/M`,
/// another one of mean `M`. No wait of a level is longer than that of the law. One path is assumed: where several shards must arrive, the last of them decides, which at
/// `normal` is a matter of a second.
#[must_use]
pub fn sample_lag(rng: &mut impl CryptoRng, rules: &LevelRules, class: DelayClass) -> Duration {
    let law = LAG_LAW.waits(class);
    let pairs = law.into_iter().zip(rules.waits(class));
    pairs.map(|(law, own)| missing_wait(rng, law, own)).sum()
}

/// Mean time from the start of a lifetime to the insertion, at every level.
#[must_use]
pub fn mean_lag(class: DelayClass) -> Duration {
    LAG_LAW.waits(class).into_iter().sum()
}

/// What completes an exponential wait of mean `own` to one of mean `law`.
fn missing_wait(rng: &mut impl CryptoRng, law: Duration, own: Duration) -> Duration {
    let micros = |mean: Duration| u32::try_from(mean.as_micros()).unwrap_or(u32::MAX);
    if own >= law || distributions::below(rng, micros(law)) < micros(own) {
        return Duration::ZERO;
    }
    distributions::exponential_within(rng, law, MAX_WAIT)
}

/// The level whose latency every lag completes.
const LAG_LAW: &LevelRules = &DARK;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::level::Level;

    /// Times from the start of a lifetime to the insertion, of many messages: what the lag adds, and
    /// the waits of the path, drawn as senders draw them.
    fn insertions(level: Level, class: DelayClass, seed: u8) -> Vec<Duration> {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let rules = level.rules();
        let path = |rng: &mut ChaCha20Rng| -> Duration {
            let waits = rules.waits(class).into_iter();
            waits
                .map(|mean| distributions::exponential_within(rng, mean, MAX_WAIT))
                .sum()
        };
        let mut times: Vec<_> = (0..SAMPLES)
            .map(|_| sample_lag(&mut rng, rules, class) + path(&mut rng))
            .collect();
        times.sort_unstable();
        times
    }

    /// The largest difference between the empirical distributions of two sorted samples.
    fn kolmogorov_smirnov(one: &[Duration], other: &[Duration]) -> f64 {
        let (mut at, mut below, mut widest) = (0, 0, 0);
        for time in one {
            while other.get(below).is_some_and(|other| other <= time) {
                below += 1;
            }
            at += 1;
            widest = widest.max(below.abs_diff(at));
        }
        f64::from(u32::try_from(widest).unwrap()) / f64::from(SAMPLES)
    }

    const SAMPLES: u32 = 100_000;

    #[test]
    fn time_from_start_to_insertion_does_not_show_the_level() {
        for class in [DelayClass::LOCAL, DelayClass::ALL[3], DelayClass::LONGEST] {
            let dark = insertions(Level::Dark, class, 1);
            // Five waits of the class, one of 10 s, one of 2.2 s.
            let mean = dark.iter().sum::<Duration>().as_secs_f64() / f64::from(SAMPLES);
            let expected = class.mean().as_secs_f64().mul_add(5.0, 12.2);
            assert!((mean - expected).abs() < 0.7, "mean {mean} at {class}");
            assert!((mean_lag(class).as_secs_f64() - expected).abs() < 1e-9);
            for (seed, level) in (2..).zip(Level::ALL) {
                let distance = kolmogorov_smirnov(&dark, &insertions(level, class, seed));
                // Two samples of one distribution differ by less than 0.0087 in 999 of 1,000 cases.
                assert!(distance < 0.0087, "{level} at {class}: {distance}");
            }
        }
    }

    #[test]
    fn no_wait_of_a_level_is_longer_than_that_of_the_law() {
        for class in DelayClass::ALL {
            for level in Level::ALL {
                let waits = level.rules().waits(class).into_iter();
                let mut pairs = waits.zip(LAG_LAW.waits(class));
                assert!(pairs.all(|(own, law)| own <= law), "{level} at {class}");
            }
        }
    }

    #[test]
    fn level_that_is_the_law_gets_no_lag() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        for level in [Level::Dark, Level::Bulletin] {
            let lag = sample_lag(&mut rng, level.rules(), DelayClass::LONGEST);
            assert_eq!(lag, Duration::ZERO);
        }
    }
}
