//! Validation of received envelopes, with a grace period after a change of requirements.
//!
//! The checks run in go-ethereum's order. After a stricter requirement is announced, envelopes that
//! satisfy the previous one are accepted for ten more seconds, because peers learn of the change
//! only then. An envelope that the pool has was validated before and is not validated again.

use core::time::Duration;

use circuits::time::{Instant, Now};

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ExpiryError, NotExpired, ProtocolVersion};
use crate::pow::PowChecked;

use super::packet::MinPow;
use super::packet::outgoing::ResponseErrorCode;

/// Our requirements for envelopes.
#[derive(Debug)]
pub(super) struct AdmissionPolicy {
    min_pow: WithGrace<MinPow>,
    bloom: WithGrace<Bloom>,
    max_size: usize,
}

impl AdmissionPolicy {
    /// The policy of a full node: any topic.
    pub(super) const fn new(min_pow: MinPow, max_size: usize) -> Self {
        Self {
            min_pow: WithGrace::new(min_pow),
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
        self.min_pow.set(now, min_pow);
    }

    pub(super) fn set_bloom(&mut self, now: Instant, bloom: Bloom) {
        self.bloom.set(now, bloom);
    }

    /// Validates an envelope from a peer or from the user.
    ///
    /// # Errors
    ///
    /// Names the first rule broken.
    pub(super) fn validate(
        &self,
        now: Now,
        envelope: &Envelope,
    ) -> Result<(PowChecked, NotExpired), EnvelopeRejected> {
        let not_expired = NotExpired::check(envelope.expiry(), envelope.ttl(), now.unix)?;
        if envelope.size() > self.max_size {
            return Err(EnvelopeRejected::TooLarge);
        }
        let minimum = self.min_pow.accepted(now.mono).map(|min| min.value());
        let minimum = minimum.fold(f64::INFINITY, f64::min);
        let pow = PowChecked::check(envelope, not_expired, minimum)
            .map_err(|_| EnvelopeRejected::LowPow)?;
        let mut blooms = self.bloom.accepted(now.mono);
        if !blooms.any(|bloom| bloom.admits(envelope.topic())) {
            return Err(EnvelopeRejected::TopicNotWanted);
        }
        Ok((pow, not_expired))
    }
}

/// Why an envelope is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeRejected {
    /// It has less proof of work than required, by both formulas.
    #[error("the envelope has too little proof of work")]
    LowPow,
    /// It exceeds the maximum size.
    #[error("the envelope is too large")]
    TooLarge,
    /// Its topic is outside our filter.
    #[error("the envelope's topic is outside the announced filter")]
    TopicNotWanted,
    /// It has expired or is not valid yet.
    #[error("{0}")]
    Expiry(#[from] ExpiryError),
}

impl EnvelopeRejected {
    /// Whether honest peers cause it: no penalty and no confirmation. In `shh/5` a peer cannot know
    /// our minimum work and topics, because no packet announces them.
    #[must_use]
    pub const fn is_innocent(self, protocol: ProtocolVersion) -> bool {
        match self {
            Self::LowPow | Self::TopicNotWanted => matches!(protocol, ProtocolVersion::V5),
            Self::TooLarge => false,
            Self::Expiry(untimely) => untimely.is_innocent(),
        }
    }
}

impl From<EnvelopeRejected> for ResponseErrorCode {
    fn from(refused: EnvelopeRejected) -> Self {
        match refused {
            EnvelopeRejected::Expiry(_) => Self::Expiry,
            EnvelopeRejected::LowPow
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
