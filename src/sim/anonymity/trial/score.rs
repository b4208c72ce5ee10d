//! How good the adversary's probabilities are.
//!
//! A score is kept for each world. Worlds differ in their network, their hostile relays and their
//! traffic, so the spread of their means gives the confidence interval. The module compares
//! probabilities with the truth, and computes neither.

use serde::Serialize;

/// The adversary's success in one world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    targets: u32,
    weight: f64,
    best: f64,
    right: f64,
    entropy: f64,
    min_entropy: f64,
    above_tenth: f64,
    above_half: f64,
    /// Probability that the adversary gives to the true sender, and what it must be on average if the
    /// adversary's probabilities are true: the sum of their squares.
    true_sender: f64,
    squares: f64,
}

/// The mean of a figure over worlds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95 % confidence interval; zero for a single world.
    pub plus_minus: f64,
}

/// The figures of all worlds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreReport {
    /// Cells that the adversary traced, or groups of linked ones.
    pub targets: u32,
    /// The probability that the adversary states for its best guess.
    pub best_guess: Interval,
    /// How often the best guess is right.
    pub right: Interval,
    /// Shannon entropy in bits.
    pub entropy_bits: Interval,
    /// Min-entropy in bits.
    pub min_entropy_bits: Interval,
    /// Share of messages with a best guess above 0.1.
    pub above_tenth: Interval,
    /// Share of messages with a best guess above 0.5.
    pub above_half: Interval,
    /// Probability of the true sender less its expectation under the adversary's probabilities,
    /// divided by the expectation. It is zero within its interval if the probabilities are true; below
    /// zero the adversary is overconfident.
    pub calibration: Interval,
}

impl Score {
    /// Adds a cell of `sender` with the adversary's probabilities. `weight` is proportional to the
    /// chance that the cell carries the message.
    pub fn add(&mut self, probabilities: &[f64], sender: usize, weight: f64) {
        let best = best_of(probabilities);
        let ties = probabilities.iter().filter(|one| **one >= best).count();
        let own = probabilities.get(sender).copied().unwrap_or(0.0);
        self.targets += 1;
        self.weight += weight;
        self.best += weight * best;
        if own >= best {
            self.right += weight / f64::from(u32::try_from(ties).unwrap_or(u32::MAX));
        }
        let bits = |one: &f64| if *one > 0.0 { -one * one.log2() } else { 0.0 };
        self.entropy += weight * probabilities.iter().map(bits).sum::<f64>();
        self.min_entropy -= weight * best.log2();
        self.above_tenth += weight * f64::from(u8::from(best > 0.1));
        self.above_half += weight * f64::from(u8::from(best > 0.5));
        self.true_sender += weight * own;
        self.squares += weight * probabilities.iter().map(|one| one * one).sum::<f64>();
    }

    /// Cells so far.
    #[must_use]
    pub const fn targets(&self) -> u32 {
        self.targets
    }

    fn mean(&self, of: impl Fn(&Self) -> f64) -> f64 {
        of(self) / self.weight
    }
}

impl ScoreReport {
    /// The figures of these worlds; none if no message was traced.
    #[must_use]
    pub fn of(worlds: &[Score]) -> Option<Self> {
        let worlds: Vec<_> = worlds.iter().filter(|world| world.weight > 0.0).collect();
        if worlds.is_empty() {
            return None;
        }
        let interval = |of: fn(&Score) -> f64| {
            let means: Vec<f64> = worlds.iter().map(|world| world.mean(of)).collect();
            Interval::of(&means)
        };
        let expected = interval(|world| world.squares).mean.max(f64::MIN_POSITIVE);
        let gap = interval(|world| world.true_sender - world.squares);
        Some(Self {
            targets: worlds.iter().map(|world| world.targets).sum(),
            best_guess: interval(|world| world.best),
            right: interval(|world| world.right),
            entropy_bits: interval(|world| world.entropy),
            min_entropy_bits: interval(|world| world.min_entropy),
            above_tenth: interval(|world| world.above_tenth),
            above_half: interval(|world| world.above_half),
            calibration: Interval {
                mean: gap.mean / expected,
                plus_minus: gap.plus_minus / expected,
            },
        })
    }
}

/// The greatest of some probabilities.
pub(super) fn best_of(probabilities: &[f64]) -> f64 {
    probabilities.iter().copied().fold(0.0, f64::max)
}

impl Interval {
    /// The mean of independent values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares = values.iter().map(|value| (value - mean).powi(2));
        let variance = squares.sum::<f64>() / (count - 1.0).max(1.0);
        Self {
            mean,
            plus_minus: student_95(values.len()) * (variance / count.max(1.0)).sqrt(),
        }
    }

    /// Whether the interval contains a value.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.mean - value).abs() <= self.plus_minus
    }
}

/// Standard errors within which the true mean lies with 95 %, for a mean of `count` values: Student's
/// t distribution.
fn student_95(count: usize) -> f64 {
    let freedom = count.saturating_sub(1);
    let few = freedom
        .checked_sub(1)
        .and_then(|place| STUDENT_95.get(place));
    few.copied()
        .unwrap_or(if freedom == 0 { 0.0 } else { 1.98 })
}

/// The quantiles for 1 to 20 degrees of freedom.
const STUDENT_95: [f64; 20] = [
    12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13,
    2.12, 2.11, 2.10, 2.09, 2.09,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_and_blind_adversaries_have_the_known_scores() {
        let mut certain = Score::default();
        certain.add(&[0.0, 1.0, 0.0, 0.0], 1, 2.0);
        let report = ScoreReport::of(&[certain]).unwrap();
        assert!(report.best_guess.mean == 1.0 && report.right.mean == 1.0);
        assert!(report.entropy_bits.mean == 0.0 && report.above_half.mean == 1.0);

        let mut blind = Score::default();
        for sender in 0..4 {
            blind.add(&[0.25; 4], sender, 2.0);
        }
        let report = ScoreReport::of(&[blind]).unwrap();
        assert!((report.right.mean - 0.25).abs() < 1e-12);
        assert!((report.entropy_bits.mean - 2.0).abs() < 1e-12);
        assert!((report.min_entropy_bits.mean - 2.0).abs() < 1e-12);
        assert!(report.above_half.mean == 0.0);
    }

    #[test]
    fn interval_shrinks_with_the_root_of_the_number_of_worlds() {
        let few = Interval::of(&[1.0, 2.0, 3.0]);
        let many = Interval::of(&[1.0, 2.0, 3.0].repeat(100));
        assert!((few.mean - 2.0).abs() < 1e-12 && few.contains(2.5));
        assert!(few.plus_minus > 9.0 * many.plus_minus);
        assert!(Interval::of(&[5.0]).plus_minus == 0.0);
    }

    #[test]
    fn cell_counts_by_its_weight() {
        let mut score = Score::default();
        score.add(&[1.0, 0.0], 0, 3.0);
        score.add(&[1.0, 0.0], 1, 1.0);
        let report = ScoreReport::of(&[score]).unwrap();
        assert!((report.right.mean - 0.75).abs() < 1e-12);
    }

    #[test]
    fn report_without_targets_is_absent() {
        assert!(ScoreReport::of(&[Score::default()]).is_none());
    }
}
