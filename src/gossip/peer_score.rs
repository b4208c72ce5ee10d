//! What a peer is worth, from what it brought and what it did wrong.
//!
//! The figure is shown to the user and, when there is no place left, tells a peer that brings
//! nothing but trouble from one that is merely quiet. It says nothing about envelopes: whom they
//! are from or for, or which of them are ours.

/// From -100 to 100.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerScore(f64);

impl PeerScore {
    /// It brought an envelope that was new to its link and is accepted; `spare` is how many times
    /// the work that we ask for is in it.
    pub(super) fn reward(&mut self, spare: f64) {
        let spare = if spare.is_finite() { spare } else { 1.0 };
        self.adjust(1.0 + (spare.max(1.0).log2() / 4.0).min(1.0));
    }

    /// It brought an envelope that is refused.
    pub(super) fn penalize_rejected(&mut self) {
        self.adjust(-5.0);
    }

    /// It announced an envelope and did not deliver it.
    pub(super) fn penalize_undelivered(&mut self) {
        self.adjust(-2.0);
    }

    /// The figure.
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

/// What a rating can be.
const RANGE: core::ops::RangeInclusive<i8> = -100..=100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_to_spare_counts_up_to_twice() {
        for (spare, score) in [(0.5, 1), (1.0, 1), (16.0, 2), (1e30, 2), (f64::INFINITY, 1)] {
            let mut rating = PeerScore::default();
            rating.reward(spare);
            assert_eq!(rating.value(), score, "{spare}");
        }
    }

    #[test]
    fn a_rating_stays_within_its_bounds() {
        let mut rating = PeerScore::default();
        (0..1_000).for_each(|_| rating.reward(4.0));
        assert_eq!(rating.value(), 100);
        (0..1_000).for_each(|_| rating.penalize_rejected());
        assert_eq!(rating.value(), -100);
        rating.penalize_undelivered();
        assert_eq!(rating.value(), -100);
    }

    #[test]
    fn one_refusal_outweighs_a_few_envelopes() {
        let mut rating = PeerScore::default();
        (0..4).for_each(|_| rating.reward(1.0));
        rating.penalize_rejected();
        assert!(rating.value() < 0);
    }
}
