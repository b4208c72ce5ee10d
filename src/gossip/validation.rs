//! Validation of received envelopes, with a grace period after a change of requirements.
//!
//! The rules that hold everywhere are checked by [`validate_hashed`]; gossip adds the topics that this node
//! announced. After a stricter requirement is announced, envelopes that satisfy the previous one are
//! accepted for ten more seconds, because peers learn of the change only then. An envelope that the
//! pool has was validated before and is not validated again.

use core::time::Duration;

use circuits::time::{Instant, Now};

use crate::bloom::Bloom;
use crate::envelope::{Envelope, NotExpired};
use crate::envelope_validation::{EnvelopeRejected, validate_hashed, validate_without_pow};
use crate::pow::{PowChecked, PowHashes};

use super::packet::MinPow;
use super::packet::outgoing::ResponseErrorCode;

/// Our requirements for envelopes.
#[derive(Debug)]
pub(super) struct AdmissionPolicy {
    /// What is announced: `floor`, or more under pressure.
    min_pow: WithGrace<MinPow>,
    /// The minimum of the settings. A peer that brings less breaks a rule; one that brings less than is
    /// announced under pressure does not.
    floor: MinPow,
    bloom: WithGrace<Bloom>,
    max_size: usize,
}

impl AdmissionPolicy {
    /// The policy of a full node: any topic.
    pub(super) const fn new(min_pow: MinPow, max_size: usize) -> Self {
        Self {
            min_pow: WithGrace::new(min_pow),
            floor: min_pow,
            bloom: WithGrace::new(Bloom::FULL),
            max_size,
        }
    }

    /// The announced minimum proof of work.
    pub(super) const fn min_pow(&self) -> MinPow {
        self.min_pow.current
    }

    /// The announced topic filter.
    pub(super) const fn bloom(&self) -> &Bloom {
        &self.bloom.current
    }

    pub(super) const fn max_size(&self) -> usize {
        self.max_size
    }

    pub(super) const fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size;
    }

    pub(super) fn set_min_pow(&mut self, now: Instant, min_pow: MinPow) {
        self.floor = min_pow;
        self.min_pow.set(now, min_pow);
    }

    /// The minimum proof of work without pressure.
    pub(super) const fn floor(&self) -> MinPow {
        self.floor
    }

    /// Announces another minimum for a while.
    pub(super) fn set_pressure(&mut self, now: Instant, min_pow: MinPow) {
        self.min_pow.set(now, min_pow);
    }

    pub(super) fn set_bloom(&mut self, now: Instant, bloom: Bloom) {
        self.bloom.set(now, bloom);
    }

    /// Whether only the proof of work and the topic decide about an envelope.
    pub(super) fn needs_pow_hashes(&self, now: Now, envelope: &Envelope) -> bool {
        validate_without_pow(envelope, now.unix, self.max_size).is_ok()
    }

    /// Validates an envelope from a peer or from the user, whose hashes may be known.
    ///
    /// # Errors
    ///
    /// Names the first rule broken.
    pub(super) fn validate(
        &self,
        now: Now,
        envelope: &Envelope,
        hashes: Option<PowHashes>,
    ) -> Result<(PowChecked, NotExpired), EnvelopeRejected> {
        let minimum = self.min_pow.accepted(now.mono).map(|min| min.value());
        let minimum = minimum.fold(f64::INFINITY, f64::min);
        let floor = minimum.min(self.floor.value());
        let proofs = validate_hashed(envelope, hashes, now.unix, floor, self.max_size)?;
        if proofs.0.best() < minimum {
            return Err(EnvelopeRejected::Shed);
        }
        let mut blooms = self.bloom.accepted(now.mono);
        if !blooms.any(|bloom| bloom.admits(envelope.topic())) {
            return Err(EnvelopeRejected::TopicNotWanted);
        }
        Ok(proofs)
    }
}

impl From<EnvelopeRejected> for ResponseErrorCode {
    fn from(refused: EnvelopeRejected) -> Self {
        match refused {
            EnvelopeRejected::Expiry(_) => Self::Expiry,
            EnvelopeRejected::LowPow
            | EnvelopeRejected::Shed
            | EnvelopeRejected::TooLarge
            | EnvelopeRejected::TopicNotWanted => Self::Other,
        }
    }
}

/// A value, and the previous one during the grace period.
#[derive(Debug)]
struct WithGrace<T> {
    current: T,
    before: Option<(T, Instant)>,
}

impl<T> WithGrace<T> {
    const fn new(value: T) -> Self {
        Self {
            current: value,
            before: None,
        }
    }

    fn set(&mut self, now: Instant, value: T) {
        let before = core::mem::replace(&mut self.current, value);
        self.before = Some((before, now.after(GRACE_PERIOD)));
    }

    /// The values in force.
    fn accepted(&self, now: Instant) -> impl Iterator<Item = &T> {
        let before = self.before.as_ref();
        let before = before.and_then(|(before, until)| (now < *until).then_some(before));
        [Some(&self.current), before].into_iter().flatten()
    }
}

/// How long the previous value stays valid.
const GRACE_PERIOD: Duration = Duration::from_secs(10);
