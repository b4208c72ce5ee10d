//! A classifier that learns to tell two kinds of envelopes apart by what was seen of them.
//!
//! Each feature is cut into bins of equal size; the evidence of the bins is added (naive Bayes). The
//! examples are taught in turn and scored in turn, so nothing that is scored was taught. No rule of
//! the node is in it: whatever differs between the kinds in one feature, it finds.

use serde::Serialize;

/// Features of an example.
pub(super) const FEATURES: usize = 6;

/// What was seen of one envelope.
pub(super) type Features = [f64; FEATURES];

/// One envelope, and the truth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Example {
    pub(super) is_own: bool,
    pub(super) features: Features,
}

/// How much better than a blind guess the classifier does: the share of the one kind that it names
/// right, less the share of the other that it names wrong. 0 is blind, 1 is certain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Advantage {
    /// The advantage; below 0 by chance alone.
    pub value: f64,
    /// Half the width of its 95 % confidence interval.
    pub plus_minus: f64,
    /// Envelopes that were scored.
    pub scored: u32,
}

/// Teaches one half of the examples and scores the other; none if a half lacks one of the kinds.
pub(super) fn advantage(examples: &[Example]) -> Option<Advantage> {
    let half = |parity: usize| {
        let numbered = examples.iter().enumerate();
        let chosen = numbered.filter(move |(number, _)| number % 2 == parity);
        chosen.map(|(_, example)| *example).collect::<Vec<_>>()
    };
    let classifier = Classifier::teach(&half(0))?;
    let scored = half(1);
    let own = Share::of(&scored, true, &classifier)?;
    let other = Share::of(&scored, false, &classifier)?;
    Some(Advantage {
        value: own.value - other.value,
        plus_minus: NORMAL_95 * (own.variance + other.variance).sqrt(),
        scored: u32::try_from(scored.len()).ok()?,
    })
}

/// The share of the examples of one kind that are taken for own ones.
struct Share {
    value: f64,
    variance: f64,
}

impl Share {
    fn of(examples: &[Example], is_own: bool, classifier: &Classifier) -> Option<Self> {
        let (mut all, mut named) = (0_u32, 0_u32);
        for example in examples.iter().filter(|one| one.is_own == is_own) {
            all += 1;
            named += u32::from(classifier.evidence(&example.features) > 0.0);
        }
        let value = f64::from(named) / f64::from(all);
        (all > 0).then(|| Self {
            value,
            variance: value * (1.0 - value) / f64::from(all),
        })
    }
}

/// What was learned.
struct Classifier(Vec<Learned>);

/// What was learned of one feature.
struct Learned {
    /// The upper ends of all bins but the last.
    cuts: Vec<f64>,
    /// The logarithm of the ratio of the kinds, by bin.
    evidence: Vec<f64>,
}

impl Classifier {
    fn teach(examples: &[Example]) -> Option<Self> {
        let own = examples.iter().filter(|example| example.is_own).count();
        if own == 0 || own == examples.len() {
            return None;
        }
        let learn = |feature| Learned::of(examples, feature);
        Some(Self((0..FEATURES).map(learn).collect()))
    }

    /// Above zero for an own envelope.
    fn evidence(&self, features: &Features) -> f64 {
        let pairs = self.0.iter().zip(features);
        pairs.map(|(learned, value)| learned.evidence(*value)).sum()
    }
}

impl Learned {
    fn of(examples: &[Example], feature: usize) -> Self {
        let value = |example: &Example| example.features.get(feature).copied().unwrap_or(0.0);
        let mut sorted: Vec<f64> = examples.iter().map(value).collect();
        sorted.sort_by(f64::total_cmp);
        let mut cuts: Vec<f64> = (1..BINS)
            .filter_map(|bin| sorted.get(sorted.len() * bin / BINS).copied())
            .collect();
        cuts.dedup_by(|one, other| one.total_cmp(other).is_eq());
        // One more of each kind than were seen: an empty bin proves nothing.
        let mut counts = vec![[1.0, 1.0]; cuts.len() + 1];
        for example in examples {
            let bin = bin(&cuts, value(example));
            if let Some([own, other]) = counts.get_mut(bin) {
                *(if example.is_own { own } else { other }) += 1.0;
            }
        }
        let all = |kind: fn(&[f64; 2]) -> f64| counts.iter().map(kind).sum::<f64>();
        let (all_own, all_other) = (all(|[own, _]| *own), all(|[_, other]| *other));
        let ratio = |[own, other]: &[f64; 2]| ((own / all_own) / (other / all_other)).ln();
        Self {
            evidence: counts.iter().map(ratio).collect(),
            cuts,
        }
    }

    fn evidence(&self, value: f64) -> f64 {
        let evidence = self.evidence.get(bin(&self.cuts, value));
        evidence.copied().unwrap_or(0.0)
    }
}

/// The bin of a value: the number of cuts that it reaches.
fn bin(cuts: &[f64], value: f64) -> usize {
    cuts.partition_point(|cut| *cut <= value)
}

/// Bins of a feature.
const BINS: usize = 20;
/// Standard deviations of the mean that 95 % of normal draws stay within.
const NORMAL_95: f64 = 1.96;

#[cfg(test)]
mod tests {
    use super::super::super::seed::WorldSeed;
    use super::*;

    /// Examples whose third feature is `shift` larger in own ones, in units of its mean.
    fn shifted(shift: f64) -> Vec<Example> {
        let mut rng = WorldSeed::from_number(4).small_rng("examples", &[]);
        let mut example = || {
            let is_own = rng.below(2) == 0;
            let mut features = [0.0; FEATURES];
            for feature in &mut features {
                *feature = rng.exponential();
            }
            features[2] += if is_own { shift } else { 0.0 };
            Example { is_own, features }
        };
        (0..20_000).map(|_| example()).collect()
    }

    #[test]
    fn advantage_over_equal_kinds_is_none() {
        let found = advantage(&shifted(0.0)).unwrap();
        assert!(found.value.abs() < 1.5 * found.plus_minus, "{found:?}");
        assert!(found.plus_minus < 0.03 && found.scored == 10_000);
    }

    #[test]
    fn small_delay_of_own_envelopes_is_found() {
        // The best possible: 1 - exp(-shift).
        let found = advantage(&shifted(0.1)).unwrap();
        assert!((found.value - 0.095).abs() < 0.04, "{found:?}");
        assert!(advantage(&shifted(5.0)).unwrap().value > 0.95);
    }

    #[test]
    fn examples_of_one_kind_teach_nothing() {
        let mut examples = shifted(0.0);
        for example in &mut examples {
            example.is_own = true;
        }
        assert!(advantage(&examples).is_none());
    }
}
