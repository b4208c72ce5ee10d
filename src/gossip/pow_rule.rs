//! The proof-of-work rule that a peer applies.
//!
//! Two incompatible formulas exist under the one name `shh/6`: go-ethereum up to 1.8 (legacy) and
//! from 1.9 on (modern; see [`crate::pow`]). A peer that finds too little work by its own formula
//! disconnects the peer that relayed the envelope, and nothing in the protocol names the formula.
//! The client name in the hello is a hint, and a status of five fields identifies status-im, which
//! never disconnects for this, but accepts only envelopes of the modern formula. For any other peer both formulas must be satisfied until it has
//! shown its own: an envelope that it relays has satisfied it. A peer that shows a wrong rule only
//! receives envelopes that it then rejects (docs/decisions/0005).

use crate::pow::{Generation, PowChecked};

/// The formulas that an envelope must satisfy before it is sent to a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PowRule {
    /// Both formulas: the peer's is unknown.
    Both,
    /// One of the two: the peer applies either, or punishes for neither.
    Either,
    /// go-ethereum up to 1.8.
    Legacy,
    /// go-ethereum from 1.9 on.
    Modern,
}

impl PowRule {
    /// All rules.
    pub const ALL: [Self; 4] = [Self::Both, Self::Either, Self::Legacy, Self::Modern];

    /// The rule that the client name of the hello suggests.
    #[must_use]
    pub fn from_client_name(name: &str) -> Self {
        let mut parts = name.split('/');
        match parts.next().unwrap_or_default() {
            // An operator may insert a custom name between program and version.
            "Geth" => match parts.find_map(version) {
                Some((1, 0..=8)) => Self::Legacy,
                Some(_) => Self::Modern,
                None => Self::Both,
            },
            "nim-eth" | "Nimbus" => Self::Modern,
            "whisht" => Self::Either,
            _ => Self::Both,
        }
    }

    /// Whether an envelope with this proof of work satisfies a peer that requires `min`.
    #[must_use]
    pub fn is_satisfied(self, pow: &PowChecked, min: f64) -> bool {
        let modern = pow.value(Generation::Modern) >= min;
        let legacy = pow.value(Generation::Legacy) >= min;
        match self {
            Self::Both => modern && legacy,
            Self::Either => modern || legacy,
            Self::Legacy => legacy,
            Self::Modern => modern,
        }
    }

    /// Its name in a listing of peers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Both => "unknown",
            Self::Either => "either",
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// Infers a peer's rule from the envelopes that it relays.
///
/// An envelope that one formula accepts and the other rejects shows which formula the peer does not
/// apply. Three such envelopes are required, because one may have been relayed while the peer
/// changed its minimum; each must be new to the link, so that a repetition proves nothing.
#[derive(Debug, Default)]
pub(super) struct PowRuleEstimator {
    /// The lowest minimum since the link opened, capped at [`GETH_ACCEPTED_POW`].
    minimum: Option<f64>,
    legacy_only: u8,
    modern_only: u8,
}

impl PowRuleEstimator {
    /// Records a minimum that the peer announced.
    pub(super) fn on_min_pow(&mut self, min: f64) {
        let before = self.minimum.unwrap_or(GETH_ACCEPTED_POW);
        self.minimum = Some(before.min(min));
    }

    /// Records that the peer relayed an envelope that had not crossed its link before.
    pub(super) fn on_relayed(&mut self, pow: &PowChecked) {
        let Some(minimum) = self.minimum else { return };
        let modern = pow.value(Generation::Modern) >= minimum;
        let legacy = pow.value(Generation::Legacy) >= minimum;
        match (legacy, modern) {
            (true, false) => self.legacy_only = self.legacy_only.saturating_add(1),
            (false, true) => self.modern_only = self.modern_only.saturating_add(1),
            (true, true) | (false, false) => {}
        }
    }

    /// The inferred rule, if there is one.
    pub(super) const fn estimate(&self) -> Option<PowRule> {
        match (self.legacy_only, self.modern_only) {
            (MIN_SAMPLES.., 0) => Some(PowRule::Legacy),
            (0, MIN_SAMPLES..) => Some(PowRule::Modern),
            // It relays envelopes that fail the one formula, and envelopes that fail the other.
            (MIN_SAMPLES.., MIN_SAMPLES..) => Some(PowRule::Either),
            _ => None,
        }
    }
}

/// Number of envelopes that prove a rule.
const MIN_SAMPLES: u8 = 3;
/// The minimum that go-ethereum applies whatever it announces, unless changed at run time.
const GETH_ACCEPTED_POW: f64 = 0.2;

/// Major and minor of a part like `v1.8.27-stable`.
fn version(part: &str) -> Option<(u32, u32)> {
    let (major, rest) = part.strip_prefix('v')?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use circuits::time::UnixSecs;

    use super::*;
    use crate::envelope::{Envelope, NotExpired, Topic, Ttl};

    const NOW: UnixSecs = UnixSecs(1_700_000_000);

    /// Work of at least 0.01 by one formula, by both, or by neither.
    fn work(legacy: bool, modern: bool) -> PowChecked {
        (0..1_000_000)
            .map(|nonce| Envelope::build(NOW.after(60), Ttl(60), Topic([1; 4]), vec![3; 40], nonce))
            .filter_map(|envelope| {
                let not_expired = NotExpired::check(envelope.expiry(), envelope.ttl(), NOW).ok()?;
                PowChecked::check(&envelope, not_expired, 0.0).ok()
            })
            .find(|pow| {
                (pow.value(Generation::Legacy) >= 0.01) == legacy
                    && (pow.value(Generation::Modern) >= 0.01) == modern
            })
            .unwrap()
    }

    fn shown(requires: f64, passed_on: &[(PowChecked, usize)]) -> Option<PowRule> {
        let mut estimator = PowRuleEstimator::default();
        estimator.on_min_pow(requires);
        for (pow, times) in passed_on {
            (0..*times).for_each(|_| estimator.on_relayed(pow));
        }
        estimator.estimate()
    }

    #[test]
    fn three_envelopes_of_one_kind_prove_a_rule_and_two_do_not() {
        let (old, new) = (work(true, false), work(false, true));
        assert_eq!(shown(0.01, &[(old, 2)]), None);
        assert_eq!(shown(0.01, &[(old, 3)]), Some(PowRule::Legacy));
        assert_eq!(shown(0.01, &[(new, 300)]), Some(PowRule::Modern));
        assert_eq!(shown(0.01, &[(new, 3), (old, 3)]), Some(PowRule::Either));
    }

    #[test]
    fn contradicting_envelope_leaves_rule_unknown() {
        let (old, new) = (work(true, false), work(false, true));
        assert_eq!(shown(0.01, &[(old, 1), (new, 200)]), None);
        assert_eq!(shown(0.01, &[(old, 200), (new, 2)]), None);
    }

    #[test]
    fn envelopes_that_both_or_neither_accept_prove_nothing() {
        let (both, neither) = (work(true, true), work(false, false));
        assert_eq!(shown(0.01, &[(both, 200), (neither, 200)]), None);
    }

    #[test]
    fn zero_or_high_minimum_proves_no_rule() {
        let old = work(true, false);
        assert_eq!(shown(0.0, &[(old, 200)]), None);
        // go-ethereum announces 10 and still accepts 0.2, so work below 10 proves nothing.
        assert_eq!(shown(10.0, &[(old, 200)]), None);
    }

    #[test]
    fn former_minimum_counts_while_link_is_open() {
        let old = work(true, false);
        let mut estimator = PowRuleEstimator::default();
        estimator.on_min_pow(0.0);
        estimator.on_min_pow(0.01);
        (0..9).for_each(|_| estimator.on_relayed(&old));
        assert_eq!(estimator.estimate(), None);
    }

    #[test]
    fn client_names_suggest_rules() {
        for (name, rule) in [
            (
                "Geth/v1.8.27-stable-4bcc0a37/linux-amd64/go1.10.4",
                PowRule::Legacy,
            ),
            ("Geth/v1.7.3/linux-amd64/go1.9", PowRule::Legacy),
            ("Geth/my node/v1.8.16/linux", PowRule::Legacy),
            ("Geth/v1.9.0-unstable/linux-amd64/go1.12", PowRule::Modern),
            ("Geth/v1.10.2/linux", PowRule::Modern),
            ("Geth/v2.0/linux", PowRule::Modern),
            ("Geth", PowRule::Both),
            ("Geth/vanity/linux", PowRule::Both),
            ("Geth/v1.x/linux", PowRule::Both),
            ("wnode/v6.0/linux/go1.10", PowRule::Both),
            ("Parity-Ethereum/v2.5.0/x86_64-linux-gnu", PowRule::Both),
            ("nim-eth", PowRule::Modern),
            ("whisht/0.1", PowRule::Either),
            ("", PowRule::Both),
            ("////", PowRule::Both),
        ] {
            assert_eq!(PowRule::from_client_name(name), rule, "{name}");
        }
    }
}
