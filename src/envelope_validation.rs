//! The rules that every envelope must satisfy, for every source.
//!
//! Gossip, the stem and the rendezvous accept an envelope by the same rules, so that none of them
//! passes on what the next node rejects. [`validate`] checks them in go-ethereum's order, and
//! returns the two proofs that the pool demands. Stem and rendezvous carry envelopes of whisht nodes
//! only; for these, [`validate_stem`] checks the shape too. This module reads no clock, and it
//! decides nothing about the sender: [`EnvelopeRejected::is_innocent`] and
//! [`StemRejected::is_strike`] say whether honest peers cause a rejection.

mod stem_rules;

use circuits::time::UnixSecs;

use crate::envelope::{Envelope, ExpiryError, NotExpired, ProtocolVersion};
use crate::pow::{PowChecked, PowHashes};

pub use self::stem_rules::{MIN_STEM_LIFE_SECS, StemRejected, stem_pow_suffices, validate_stem};

/// Checks the time fields, the size and the proof of work of an envelope.
///
/// `min_pow` is in hashes per byte and second, `max_size` in bytes.
///
/// # Errors
///
/// The first rule broken. Never [`EnvelopeRejected::TopicNotWanted`] or [`EnvelopeRejected::Shed`]: only gossip
/// announces topics and pressure.
pub fn validate(
    envelope: &Envelope,
    now: UnixSecs,
    min_pow: f64,
    max_size: usize,
) -> Result<(PowChecked, NotExpired), EnvelopeRejected> {
    validate_hashed(envelope, None, now, min_pow, max_size)
}

/// The same with hashes that were computed before, together with those of other envelopes.
///
/// # Errors
///
/// As [`validate`].
pub fn validate_hashed(
    envelope: &Envelope,
    hashes: Option<PowHashes>,
    now: UnixSecs,
    min_pow: f64,
    max_size: usize,
) -> Result<(PowChecked, NotExpired), EnvelopeRejected> {
    let not_expired = validate_without_pow(envelope, now, max_size)?;
    let hashes = hashes.unwrap_or_else(|| PowHashes::of(envelope));
    let pow = PowChecked::check_hashed(envelope, hashes, not_expired, min_pow)
        .map_err(|_| EnvelopeRejected::LowPow)?;
    Ok((pow, not_expired))
}

/// Checks the time fields and the size: all rules that need no hash.
///
/// # Errors
///
/// The first rule broken.
pub fn validate_without_pow(
    envelope: &Envelope,
    now: UnixSecs,
    max_size: usize,
) -> Result<NotExpired, EnvelopeRejected> {
    let not_expired = NotExpired::check(envelope.expiry(), envelope.ttl(), now)?;
    if envelope.size() > max_size {
        return Err(EnvelopeRejected::TooLarge);
    }
    Ok(not_expired)
}

/// The reason why an envelope is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeRejected {
    /// It has less proof of work than required, by both formulas.
    #[error("the envelope has too little proof of work")]
    LowPow,
    /// It has less proof of work than this node asks for while its bandwidth or mempool is used up.
    #[error("the envelope has less proof of work than this node asks for under pressure")]
    Shed,
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
            Self::Shed => true,
            Self::TooLarge => false,
            Self::Expiry(untimely) => untimely.is_innocent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Topic, Ttl};

    const NOW: UnixSecs = UnixSecs(1_700_000_000);

    fn envelope(expiry: UnixSecs) -> Envelope {
        Envelope::build(expiry, Ttl(50), Topic([7; 4]), vec![0xd1; 200], 1)
    }

    fn rejection(envelope: &Envelope, min_pow: f64, max_size: usize) -> EnvelopeRejected {
        validate(envelope, NOW, min_pow, max_size).unwrap_err()
    }

    #[test]
    fn valid_envelope_yields_both_proofs() {
        let envelope = envelope(NOW.after(50));
        let (pow, not_expired) = validate(&envelope, NOW, 0.0, envelope.size()).unwrap();
        assert_eq!(not_expired.skew(), 0);
        // The bound is inclusive.
        assert!(validate(&envelope, NOW, pow.best(), envelope.size()).is_ok());
    }

    #[test]
    fn first_broken_rule_is_named() {
        let (alive, expired) = (envelope(NOW.after(50)), envelope(NOW.before(1)));
        let size = alive.size();
        let past = EnvelopeRejected::Expiry(ExpiryError::Expired);
        assert_eq!(rejection(&expired, f64::INFINITY, 0), past);
        assert_eq!(
            rejection(&alive, f64::INFINITY, size - 1),
            EnvelopeRejected::TooLarge
        );
        assert_eq!(
            rejection(&alive, f64::INFINITY, size),
            EnvelopeRejected::LowPow
        );
    }

    #[test]
    fn only_shh5_and_the_clock_excuse_a_peer() {
        use ProtocolVersion::{V5, V6};
        for rejected in [EnvelopeRejected::LowPow, EnvelopeRejected::TopicNotWanted] {
            assert!(rejected.is_innocent(V5) && !rejected.is_innocent(V6));
        }
        let past = EnvelopeRejected::Expiry(ExpiryError::Expired);
        assert!(past.is_innocent(V6) && !EnvelopeRejected::TooLarge.is_innocent(V5));
    }
}
