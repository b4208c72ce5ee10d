//! Draws from the few distributions that the protocol uses.
//!
//! Waiting times are exponential, since only they are memoryless: how long a cell has waited says
//! nothing of how long it will. Choices among relays and peers are uniform. Every draw takes the
//! generator as an argument, so a seed replays it; nothing here keeps state.

use core::time::Duration;

use rand_core::CryptoRng;

/// A waiting time from the exponential distribution of the given mean.
///
/// Resolved to nanoseconds, never above 37 times the mean; [`Duration::MAX`] if the product would
/// not fit.
#[must_use]
pub fn exponential(rng: &mut impl CryptoRng, mean: Duration) -> Duration {
    let multiple = -unit_open_below(rng).ln();
    Duration::try_from_secs_f64(mean.as_secs_f64() * multiple).unwrap_or(Duration::MAX)
}

/// A waiting time from the exponential distribution of parameter `mean`, given that it is at most
/// `limit`.
///
/// The law is that of drawing until one fits: a draw cut off at the limit would put a visible mass
/// there. It costs one draw whatever the two numbers are. The mean of the result is below `mean`:
/// 206 s for 300 s within 600 s.
#[must_use]
pub fn exponential_within(rng: &mut impl CryptoRng, mean: Duration, limit: Duration) -> Duration {
    let ratio = limit.as_secs_f64() / mean.as_secs_f64();
    if !ratio.is_finite() {
        return Duration::ZERO;
    }
    let beyond = (-ratio).exp_m1();
    let multiple = -(unit_open_below(rng) * beyond).ln_1p();
    Duration::try_from_secs_f64(mean.as_secs_f64() * multiple).map_or(limit, |wait| wait.min(limit))
}

/// A number below `bound`, each with the same probability; zero if `bound` is zero.
#[must_use]
pub fn below(rng: &mut impl CryptoRng, bound: u32) -> u32 {
    // The draws that a plain remainder would favour are those below 2^32 mod bound: discard them.
    let favoured = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
    loop {
        let draw = rng.next_u32();
        if draw >= favoured {
            return draw.checked_rem(bound).unwrap_or(0);
        }
    }
}

/// One element of `items`, each with the same probability; none if there are none.
#[must_use]
pub fn pick<'a, T>(rng: &mut impl CryptoRng, items: &'a [T]) -> Option<&'a T> {
    items.get(index(rng, items.len())?)
}

/// An index into `len` items, each with the same probability; none if there are none. Only the
/// first 2^32 - 1 items can be drawn.
#[must_use]
pub fn index(rng: &mut impl CryptoRng, len: usize) -> Option<usize> {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let index = usize::try_from(below(rng, len)).ok();
    index.filter(|_| len > 0)
}

/// Puts the items in random order, each order with the same probability (Fisher-Yates).
pub fn shuffle<T>(rng: &mut impl CryptoRng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        if let Some(other) = index(rng, last.saturating_add(1)) {
            items.swap(last, other);
        }
    }
}

/// A time below `limit`, uniform over whole microseconds; zero if `limit` is below two of them.
#[must_use]
pub fn jitter(rng: &mut impl CryptoRng, limit: Duration) -> Duration {
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
    // The remainder favours no value by more than one part in 2^64 / micros.
    Duration::from_micros(rng.next_u64().checked_rem(micros).unwrap_or(0))
}

/// True with probability `1 / odds`; always if `odds` is zero or one.
#[must_use]
pub fn one_in(rng: &mut impl CryptoRng, odds: u32) -> bool {
    below(rng, odds) == 0
}

/// A number in (0, 1], uniform over the multiples of 2^-53, so that its logarithm is finite.
fn unit_open_below(rng: &mut impl CryptoRng) -> f64 {
    let [a, b, c, d, rest @ ..] = (rng.next_u64() >> 11).to_be_bytes();
    let high = f64::from(u32::from_be_bytes([a, b, c, d]));
    let low = f64::from(u32::from_be_bytes(rest));
    high.mul_add(TWO_POW_32, low + 1.0) / TWO_POW_53
}

const TWO_POW_32: f64 = 4_294_967_296.0;
const TWO_POW_53: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const DRAWS: u32 = 20_000;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([7; 32])
    }

    #[test]
    fn exponential_draws_have_the_mean_and_the_tail_of_their_law() {
        let mut rng = rng();
        let mean = Duration::from_secs(10);
        let draws: Vec<_> = (0..DRAWS).map(|_| exponential(&mut rng, mean)).collect();

        let average = draws.iter().sum::<Duration>().as_secs_f64() / f64::from(DRAWS);
        assert!((average - 10.0).abs() < 0.3, "average {average}");
        // P[X > 3 means] = e^-3 = .0498, standard deviation .0015 here.
        let beyond = draws.iter().filter(|&&draw| draw > 3 * mean).count();
        assert!((875..1_120).contains(&beyond), "{beyond} draws beyond");
    }

    #[test]
    fn extreme_means_neither_panic_nor_wrap() {
        let mut rng = rng();
        assert_eq!(exponential(&mut rng, Duration::ZERO), Duration::ZERO);
        let longest = (0..100).map(|_| exponential(&mut rng, Duration::MAX)).max();
        assert_eq!(longest, Some(Duration::MAX));

        let second = Duration::from_secs(1);
        for (mean, limit) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, second),
            (second, Duration::ZERO),
            (second, Duration::MAX),
            (Duration::MAX, second),
            (Duration::MAX, Duration::MAX),
        ] {
            assert!(exponential_within(&mut rng, mean, limit) <= limit);
        }
    }

    #[test]
    fn a_limited_draw_has_the_law_of_drawing_again_until_one_fits() {
        let mut rng = rng();
        let (mean, limit) = (Duration::from_secs(300), Duration::from_secs(600));
        let mut once: Vec<_> = (0..DRAWS)
            .map(|_| exponential_within(&mut rng, mean, limit))
            .collect();
        let mut again: Vec<_> = (0..DRAWS)
            .map(|_| {
                core::iter::repeat_with(|| exponential(&mut rng, mean))
                    .find(|&wait| wait <= limit)
                    .unwrap()
            })
            .collect();

        let average = once.iter().sum::<Duration>().as_secs_f64() / f64::from(DRAWS);
        assert!((average - 206.0).abs() < 4.0, "average {average}");
        // Quantiles of the two samples side by side; standard deviations below 4 s.
        once.sort_unstable();
        again.sort_unstable();
        for at in (1_000..20_000).step_by(1_000) {
            assert!(
                once[at].abs_diff(again[at]) < Duration::from_secs(16),
                "quantile {at}"
            );
        }
        assert!(once.iter().all(|&wait| wait <= limit));
    }

    #[test]
    fn every_number_below_the_bound_comes_up_equally_often() {
        let mut rng = rng();
        let mut counts = [0_u32; 3];
        for _ in 0..DRAWS {
            counts[usize::try_from(below(&mut rng, 3)).unwrap()] += 1;
        }
        // Standard deviation 67.
        assert!(counts.iter().all(|&n| n.abs_diff(DRAWS / 3) < 335));
    }

    #[test]
    fn a_bound_that_does_not_divide_the_draws_favours_no_number() {
        let mut rng = rng();
        // A remainder would hit the lowest third half of the time.
        let lowest = (0..DRAWS).filter(|_| below(&mut rng, 3 << 30) < 1 << 30);
        assert!(lowest.count().abs_diff(6_667) < 335);
    }

    #[test]
    fn degenerate_bounds_have_one_answer() {
        let mut rng = rng();
        assert_eq!(below(&mut rng, 0), 0);
        assert_eq!(below(&mut rng, 1), 0);
        assert!(one_in(&mut rng, 1));
        assert_eq!(pick::<u8>(&mut rng, &[]), None);
        assert_eq!(pick(&mut rng, &[5]), Some(&5));
        assert_eq!(index(&mut rng, 0), None);
        assert_eq!(jitter(&mut rng, Duration::ZERO), Duration::ZERO);
        assert!(jitter(&mut rng, Duration::MAX) < Duration::MAX);
        shuffle::<u8>(&mut rng, &mut []);
    }

    #[test]
    fn shuffle_gives_every_order_equally_often() {
        let mut rng = rng();
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..DRAWS {
            let mut items = [1, 2, 3];
            shuffle(&mut rng, &mut items);
            *counts.entry(items).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Standard deviation 53.
        assert!(counts.values().all(|n| n.abs_diff(DRAWS / 6) < 265));
    }

    #[test]
    fn jitter_is_uniform_below_its_limit() {
        let mut rng = rng();
        let limit = Duration::from_secs(10);
        let draws: Vec<_> = (0..DRAWS).map(|_| jitter(&mut rng, limit)).collect();
        assert!(draws.iter().all(|&draw| draw < limit));
        for tenth in 1..10_u32 {
            let below = draws.iter().filter(|&&draw| draw < limit * tenth / 10);
            let expected = usize::try_from(DRAWS * tenth / 10).unwrap();
            // Standard deviation at most 71.
            assert!(below.count().abs_diff(expected) < 355);
        }
    }
}
