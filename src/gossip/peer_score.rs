//! The score of a peer, from the envelopes it sent and its faults.
//!
//! The score is shown to the user and, when no peer slot is free, distinguishes a harmful peer from
//! a quiet one. It does not depend on the sender or recipient of envelopes, nor on which of them
//! are ours.

/// A score from -100 to 100.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerScore(f64);

impl PeerScore {
    /// The peer sent an accepted envelope that was new to its link; `spare` is the ratio of its
    /// work to our minimum.
    pub(super) fn reward(&mut self, spare: f64) {
        let spare = if spare.is_finite() { spare } else { 1.0 };
        self.adjust(1.0 + (spare.max(1.0).log2() / 4.0).min(1.0));
    }

    /// The peer sent an envelope that was rejected.
    pub(super) fn penalize_rejected(&mut self) {
        self.adjust(-5.0);
    }

    /// The peer announced an envelope and did not deliver it.
    pub(super) fn penalize_undelivered(&mut self) {
        self.adjust(-2.0);
    }

    /// The rounded score.
    pub(super) fn value(self) -> i8 {
        RANGE
            .rev()
            .find(|score| f64::from(*score) <= self.0)
            .unwrap_or(*RANGE.start())
    }

    fn adjust(&mut self, by: f64) {
        let (least, most) = (f64::from(*RANGE.start()), f64::from(*RANGE.end()));
        self.0 = (self.0 + by).clamp(least, most);
    }
}

/// The range of a score.
const RANGE: core::ops::RangeInclusive<i8> = -100..=100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_work_counts_up_to_twice() {
        for (spare, score) in [(0.5, 1), (1.0, 1), (16.0, 2), (1e30, 2), (f64::INFINITY, 1)] {
            let mut rating = PeerScore::default();
            rating.reward(spare);
            assert_eq!(rating.value(), score, "{spare}");
        }
    }

    #[test]
    fn score_stays_within_range() {
        let mut rating = PeerScore::default();
        (0..1_000).for_each(|_| rating.reward(4.0));
        assert_eq!(rating.value(), 100);
        (0..1_000).for_each(|_| rating.penalize_rejected());
        assert_eq!(rating.value(), -100);
        rating.penalize_undelivered();
        assert_eq!(rating.value(), -100);
    }

    #[test]
    fn one_rejection_outweighs_a_few_envelopes() {
        let mut rating = PeerScore::default();
        (0..4).for_each(|_| rating.reward(1.0));
        rating.penalize_rejected();
        assert!(rating.value() < 0);
    }
}
