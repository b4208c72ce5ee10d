//! The rules for envelopes on a stem.
//!
//! A stem carries envelopes of whisht nodes only, and those have few shapes: a size class, a
//! lifetime class, a start on the lattice of that class, and the work of both classes
//! (`envelope_builder`). An envelope of another shape costs less to make
//! and could fill the tables of the nodes on a stem, so no stem carries it. The rendezvous applies
//! the same rules, so that a relay never passes on what its successor rejects.

use circuits::time::UnixSecs;

use crate::envelope::{Envelope, ExpiryError, NotExpired, ProtocolVersion, SizeClass, TtlClass};
use crate::pow::{Generation, PowHashes, class_bits};

/// Minimum remaining life of an envelope on a stem, in seconds. An embargo has a mean of a minute,
/// and an envelope that expires before it is public would be lost.
pub const MIN_STEM_LIFE_SECS: u32 = 60;

/// The minimum proof of work of a network whose nodes set none.
const DEFAULT_MIN_POW: f64 = 0.2;

/// Checks an envelope that is or will be on a stem.
///
/// `min_pow` is in hashes per byte and second, `max_size` in bytes.
///
/// # Errors
///
/// The first rule broken.
pub fn validate_stem(
    envelope: &Envelope,
    now: UnixSecs,
    min_pow: f64,
    max_size: usize,
) -> Result<(), StemRejected> {
    let (size, ttl) = shape(envelope).ok_or(StemRejected::Shape)?;
    if size.len() > max_size {
        return Err(StemRejected::TooLarge);
    }
    if envelope.expiry() < now.after(MIN_STEM_LIFE_SECS) {
        return Err(StemRejected::ShortLife);
    }
    NotExpired::check(envelope.expiry(), envelope.ttl(), now)
        .map(drop)
        .map_err(StemRejected::Expiry)?;
    let bits = stem_bits(envelope);
    if bits >= class_bits(min_pow, size, ttl) {
        return Ok(());
    }
    let shared = min_pow.min(DEFAULT_MIN_POW);
    Err(StemRejected::LowPow {
        everywhere: bits < class_bits(shared, size, ttl),
    })
}

/// Whether an envelope of our shape has the work that [`validate_stem`] requires with this minimum.
#[must_use]
pub fn stem_pow_suffices(envelope: &Envelope, min_pow: f64) -> bool {
    shape(envelope).is_some_and(|(size, ttl)| stem_bits(envelope) >= class_bits(min_pow, size, ttl))
}

fn stem_bits(envelope: &Envelope) -> u32 {
    Generation::Modern.zero_bits(&PowHashes::of(envelope).modern)
}

/// The classes of an envelope, if it has the shape of ours.
fn shape(envelope: &Envelope) -> Option<(SizeClass, TtlClass)> {
    let size = SizeClass::of(envelope.as_rlp().len())?;
    let ttl = TtlClass::of(envelope.ttl())?;
    let start = UnixSecs(envelope.expiry().0.checked_sub(ttl.ttl().0)?);
    // The length of the data implies that of the nonce, which is always eight bytes.
    let is_ours = ttl.lattice_floor(start) == start
        && envelope.protocol() == ProtocolVersion::V6
        && envelope.data().len() == size.data_len(ttl);
    is_ours.then_some((size, ttl))
}

/// The reason why an envelope is not carried on a stem.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StemRejected {
    /// No whisht node makes envelopes of its size, lifetime or start.
    #[error("the envelope does not have the shape of a whisht envelope")]
    Shape,
    /// It exceeds the maximum size that this node has set.
    #[error("the envelope is too large")]
    TooLarge,
    /// It lives for less than [`MIN_STEM_LIFE_SECS`].
    #[error("the envelope expires within a minute")]
    ShortLife,
    /// It has less proof of work than its classes require.
    #[error("the envelope has too little proof of work for its classes")]
    LowPow {
        /// Whether it is also below the default minimum, which all nodes of a network share.
        everywhere: bool,
    },
    /// Its times are not valid now.
    #[error("{0}")]
    Expiry(ExpiryError),
}

impl StemRejected {
    /// Whether no honest node passes such an envelope on. Delays, clocks and settings that differ
    /// between honest nodes are not violations.
    #[must_use]
    pub const fn is_strike(self) -> bool {
        match self {
            Self::Shape => true,
            Self::LowPow { everywhere } => everywhere,
            Self::TooLarge | Self::ShortLife | Self::Expiry(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::envelope::{Topic, Ttl};
    use crate::envelope_builder::{Life, dummy};
    use crate::pow::Generations;

    const NOW: UnixSecs = UnixSecs(1_750_000_000);
    const MIN_POW: f64 = 0.002;

    fn composed() -> Envelope {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let life = Life::at_least(Duration::from_secs(60));
        let draft = dummy(&mut rng, NOW, life, MIN_POW).unwrap();
        let mut search = draft.pow_job(Generations::Modern).unwrap().search(&mut rng);
        let nonce = core::iter::repeat_with(|| search.step(8_192)).find_map(|nonce| nonce);
        draft.unmined.with_nonce(nonce.unwrap())
    }

    fn check(envelope: &Envelope) -> Result<(), StemRejected> {
        validate_stem(envelope, NOW, MIN_POW, 1 << 20)
    }

    fn rebuilt(envelope: &Envelope, expiry: u32, ttl: u32, data: usize, nonce: u64) -> Envelope {
        let data = vec![7; data];
        Envelope::build(UnixSecs(expiry), Ttl(ttl), envelope.topic(), data, nonce)
    }

    #[test]
    fn composed_envelope_is_accepted() {
        assert_eq!(check(&composed()), Ok(()));
    }

    #[test]
    fn envelope_of_any_other_shape_is_a_strike() {
        let ours = composed();
        let (expiry, ttl, len) = (ours.expiry().0, ours.ttl().0, ours.data().len());
        let start = expiry - ttl;
        for other in [
            rebuilt(&ours, expiry, ttl, len + 1, u64::MAX),
            rebuilt(&ours, expiry + 1, ttl, len, u64::MAX),
            rebuilt(&ours, start + 1_801, 1_801, len, u64::MAX),
            // One byte less of nonce and one more of data has the same length.
            rebuilt(&ours, expiry, ttl, len + 1, 1 << 50),
            // The flood of the finding: tiny, and 14 s to live.
            rebuilt(&ours, NOW.0 + 14, 14, 1, u64::MAX),
        ] {
            assert_eq!(check(&other), Err(StemRejected::Shape));
        }
        assert!(StemRejected::Shape.is_strike());
    }

    #[test]
    fn envelope_with_less_than_a_minute_to_live_is_refused_without_strike() {
        let ours = composed();
        let last = ours.expiry().before(MIN_STEM_LIFE_SECS);
        assert_eq!(validate_stem(&ours, last, MIN_POW, 1 << 20), Ok(()));
        let late = validate_stem(&ours, last.after(1), MIN_POW, 1 << 20);
        assert_eq!(late, Err(StemRejected::ShortLife));
        assert!(!StemRejected::ShortLife.is_strike());
        let early = validate_stem(&ours, NOW.before(7_200), MIN_POW, 1 << 20).unwrap_err();
        assert!(matches!(early, StemRejected::Expiry(_)) && !early.is_strike());
    }

    #[test]
    fn low_work_is_a_strike_only_below_the_default_minimum() {
        let ours = composed();
        let strict = validate_stem(&ours, NOW, 1e6, 1 << 20).unwrap_err();
        // 11 bits were searched; the default minimum needs 18.
        assert_eq!(strict, StemRejected::LowPow { everywhere: true });
        let topic = Topic([1; 4]);
        let unworked = (1_u64 << 56..).map(|nonce| {
            let data = vec![1; ours.data().len()];
            Envelope::build(ours.expiry(), ours.ttl(), topic, data, nonce)
        });
        let mut rejected = unworked.map(|envelope| check(&envelope));
        assert!(rejected.next().unwrap().unwrap_err().is_strike());
        assert!(!StemRejected::LowPow { everywhere: false }.is_strike());
    }
}
