//! What we accept from peers, and for how long after asking for something else.
//!
//! The checks run in go-ethereum's order. Whoever asks for more work or fewer topics goes on
//! accepting what was good before for ten seconds, because peers hear of it only then. An
//! envelope that the pool already holds has passed these checks once and does not pay for them
//! again.

use core::time::Duration;

use circuits::time::{Instant, Now};

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ExpiryError, NotExpired, ProtocolVersion};
use crate::pow::PowChecked;

use super::packet::MinPow;
use super::packet::outgoing::ResponseErrorCode;

/// What an envelope must be like.
#[derive(Debug)]
pub(super) struct AdmissionPolicy {
    min_pow: WithGrace<MinPow>,
    bloom: WithGrace<Bloom>,
    max_size: usize,
}

impl AdmissionPolicy {
    /// A full node's: any topic.
    pub(super) const fn new(min_pow: MinPow, max_size: usize) -> Self {
        Self {
            min_pow: WithGrace::new(min_pow),
            bloom: WithGrace::new(Bloom::FULL),
            max_size,
        }
    }

    /// The requirement that peers are told.
    pub(super) const fn min_pow(&self) -> MinPow {
        self.min_pow.current
    }

    /// The filter that peers are told.
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

    /// Judges an envelope that somebody sent, or that the user wants sent.
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

/// Why an envelope is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeRejected {
    /// It has less proof of work than required, by either formula.
    #[error("envelope has too little proof of work")]
    LowPow,
    /// It is larger than the largest message.
    #[error("envelope is too large")]
    TooLarge,
    /// Its topic is outside our filter.
    #[error("envelope's topic was not asked for")]
    TopicNotWanted,
    /// It is not alive.
    #[error("{0}")]
    Expiry(#[from] ExpiryError),
}

impl EnvelopeRejected {
    /// Whether it happens to honest peers: nobody is blamed, nobody is told. In `shh/5` nobody
    /// can know what work and which topics we want, since there is no packet to say it.
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

/// A value, and the one before it for as long as that counts.
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

    /// The values that count now.
    fn accepted(&self, now: Instant) -> impl Iterator<Item = &T> {
        let before = self.before.as_ref();
        let before = before.and_then(|(before, until)| (now < *until).then_some(before));
        [Some(&self.current), before].into_iter().flatten()
    }
}

/// How long the old value counts beside the new one.
const GRACE_PERIOD: Duration = Duration::from_secs(10);
