//! What a peer is worth, from what it brought and what it did wrong.
//!
//! The figure is shown to the user and, when there is no place left, tells a peer that brings
//! nothing but trouble from one that is merely quiet. It says nothing about envelopes: whom they
//! are from or for, or which of them are ours.

/// From -100 to 100.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rating(f64);

impl Rating {
    /// It brought an envelope that was new to its link and is accepted; `spare` is how many times
    /// the work that we ask for is in it.
    pub(super) fn brought(&mut self, spare: f64) {
        let spare = if spare.is_finite() { spare } else { 1.0 };
        self.change(1.0 + (spare.max(1.0).log2() / 4.0).min(1.0));
    }

    /// It brought an envelope that is refused.
    pub(super) fn was_refused(&mut self) {
        self.change(-5.0);
    }

    /// It announced an envelope and did not deliver it.
    pub(super) fn broke_a_promise(&mut self) {
        self.change(-2.0);
    }

    /// The figure.
    pub(super) fn score(self) -> i8 {
        WHOLE
            .rev()
            .find(|score| f64::from(*score) <= self.0)
            .unwrap_or(*WHOLE.start())
    }

    fn change(&mut self, by: f64) {
        let (least, most) = (f64::from(*WHOLE.start()), f64::from(*WHOLE.end()));
        self.0 = (self.0 + by).clamp(least, most);
    }
}

/// What a rating can be.
const WHOLE: core::ops::RangeInclusive<i8> = -100..=100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_to_spare_counts_up_to_twice() {
        for (spare, score) in [(0.5, 1), (1.0, 1), (16.0, 2), (1e30, 2), (f64::INFINITY, 1)] {
            let mut rating = Rating::default();
            rating.brought(spare);
            assert_eq!(rating.score(), score, "{spare}");
        }
    }

    #[test]
    fn a_rating_stays_within_its_bounds() {
        let mut rating = Rating::default();
        (0..1_000).for_each(|_| rating.brought(4.0));
        assert_eq!(rating.score(), 100);
        (0..1_000).for_each(|_| rating.was_refused());
        assert_eq!(rating.score(), -100);
        rating.broke_a_promise();
        assert_eq!(rating.score(), -100);
    }

    #[test]
    fn one_refusal_outweighs_a_few_envelopes() {
        let mut rating = Rating::default();
        (0..4).for_each(|_| rating.brought(1.0));
        rating.was_refused();
        assert!(rating.score() < 0);
    }
}
