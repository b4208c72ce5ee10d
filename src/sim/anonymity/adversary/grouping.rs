//! The adversary without keys that assigns the envelopes of a scattered message to each other.
//!
//! One envelope is certain to be real. Its siblings are among all envelopes of the smallest class that
//! appeared around the same time; the adversary weighs all choices of siblings at once. The sum over
//! all sets of `n - 1` candidates is an elementary symmetric polynomial.

use core::f64::consts::TAU;
use core::time::Duration;

use circuits::time::Instant;

use crate::sim::anonymity::sighting::PublicRules;

/// An envelope that could belong to the same message.
#[derive(Clone, Debug)]
pub struct SiblingCandidate {
    /// When it appeared.
    pub at: Instant,
    /// The probability that each sender sent it.
    pub probabilities: Vec<f64>,
}

/// The probability that each sender sent the message of `shards` envelopes to which `target` belongs.
#[must_use]
pub fn grouped_senders<'a>(
    rules: &PublicRules,
    target: &SiblingCandidate,
    candidates: impl IntoIterator<Item = &'a SiblingCandidate>,
    shards: u32,
) -> Vec<f64> {
    let senders = f64::from(rules.senders);
    let degree = usize::try_from(shards.saturating_sub(1)).unwrap_or(0);
    // polynomials[s][d]: the sum over all sets of d candidates for sender s.
    let mut polynomials = vec![vec![0.0; degree + 1]; target.probabilities.len()];
    for polynomial in &mut polynomials {
        if let Some(empty) = polynomial.first_mut() {
            *empty = 1.0;
        }
    }
    for candidate in candidates {
        let weight = density(rules, target.at, candidate.at) * senders;
        for (polynomial, probability) in polynomials.iter_mut().zip(&candidate.probabilities) {
            extend(polynomial, weight * probability);
        }
    }
    let joint: Vec<f64> = polynomials
        .iter()
        .zip(&target.probabilities)
        .map(|(polynomial, own)| own * polynomial.last().copied().unwrap_or(0.0))
        .collect();
    let sum: f64 = joint.iter().sum();
    if sum > 0.0 {
        joint.iter().map(|one| one / sum).collect()
    } else {
        target.probabilities.clone()
    }
}

/// Half of the time around an envelope in which its siblings appear, nearly certainly.
#[must_use]
pub fn sibling_window(rules: &PublicRules) -> Duration {
    Duration::from_secs_f64(4.0 * variance(rules).sqrt())
}

/// Adds an element to the elementary symmetric polynomials of all degrees.
fn extend(polynomial: &mut [f64], element: f64) {
    let mut lower = polynomial.first().copied().unwrap_or(1.0);
    for coefficient in polynomial.iter_mut().skip(1) {
        let own = *coefficient;
        *coefficient += element * lower;
        lower = own;
    }
}

/// The density of the time between two envelopes of one message.
fn density(rules: &PublicRules, one: Instant, other: Instant) -> f64 {
    let apart = one.since(other).max(other.since(one)).as_secs_f64();
    let variance = variance(rules);
    (-apart * apart / (2.0 * variance)).exp() / (TAU * variance).sqrt()
}

/// Both envelopes take `hops` delays and a hold.
fn variance(rules: &PublicRules) -> f64 {
    let (delay, hold) = (rules.delay.as_secs_f64(), rules.hold.as_secs_f64());
    2.0 * (f64::from(rules.hops) * delay * delay + hold * hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> PublicRules {
        PublicRules {
            senders: 3,
            hops: 5,
            delay: Duration::from_secs(1),
            hold: Duration::from_secs(1),
            loop_share: 0.0,
            loss: 0.0,
        }
    }

    fn candidate(seconds: u64, probabilities: [f64; 3]) -> SiblingCandidate {
        SiblingCandidate {
            at: Instant::from_micros(seconds * 1_000_000),
            probabilities: probabilities.to_vec(),
        }
    }

    #[test]
    fn only_candidate_multiplies_the_evidence() {
        let target = candidate(50, [0.5, 0.25, 0.25]);
        let sibling = candidate(51, [0.5, 0.5, 0.0]);
        let joint = grouped_senders(&rules(), &target, [&sibling], 2);
        // 0.25 : 0.125 : 0
        assert!((joint[0] - 2.0 / 3.0).abs() < 1e-12 && joint[2].abs() < 1e-12);
    }

    #[test]
    fn sum_over_candidates_is_that_of_all_sets() {
        let target = candidate(50, [0.2, 0.3, 0.5]);
        let others = [
            candidate(50, [0.1, 0.4, 0.5]),
            candidate(50, [0.6, 0.3, 0.1]),
            candidate(50, [0.2, 0.2, 0.6]),
        ];
        let joint = grouped_senders(&rules(), &target, &others, 3);
        let pairs = |s: usize| {
            let [a, b, c] = [0, 1, 2].map(|i: usize| others[i].probabilities[s]);
            target.probabilities[s] * (a * b + a * c + b * c)
        };
        let sum: f64 = (0..3).map(pairs).sum();
        for (s, joint) in joint.iter().enumerate() {
            assert!((joint - pairs(s) / sum).abs() < 1e-12, "{s}");
        }
    }

    #[test]
    fn many_indifferent_candidates_leave_the_single_evidence() {
        let target = candidate(50, [0.5, 0.3, 0.2]);
        let mut others = vec![candidate(50, [1.0 / 3.0; 3]); 500];
        others.push(candidate(50, [1.0, 0.0, 0.0]));
        let joint = grouped_senders(&rules(), &target, &others, 2);
        assert!((joint[0] - 0.5).abs() < 0.01, "{joint:?}");
    }
}
