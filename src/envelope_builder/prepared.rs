//! Envelopes around data that are encrypted already: cards.
//!
//! The data fill one class of sizes and one class of lifetimes, which their maker chose when it padded
//! them. Only the times, the lag and the work are left to draw.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::{EnvelopeBuildError, EnvelopeDraft, Life, MAX_LIFE};
use crate::envelope::{SizeClass, Topic, TtlClass};

/// The lifetime class of envelopes with prepared data: 72 hours (docs/wire/contact.md).
pub const PREPARED_TTL: TtlClass = TtlClass::ThreeDays;

/// The length of prepared data that fill an envelope of this class, in bytes.
#[must_use]
pub fn prepared_len(size: SizeClass) -> usize {
    size.data_len(PREPARED_TTL)
}

/// Drafts the envelope of prepared data. It lives [`PREPARED_TTL`]; `life` gives the path.
///
/// # Errors
///
/// [`EnvelopeBuildError::NoClass`] if the data fill no class of sizes.
pub fn draft_prepared(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    (topic, data): (Topic, &[u8]),
    life: Life,
    pow_minimum: f64,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let mut classes = SizeClass::ALL.into_iter();
    let size = classes
        .find(|size| prepared_len(*size) == data.len())
        .ok_or(EnvelopeBuildError::NoClass { len: data.len() })?;
    // No other class leaves the longest lifetime.
    let life = Life {
        wanted: MAX_LIFE,
        ..life
    };
    let times = life.draw(rng, now)?;
    let data = data.to_vec();
    Ok(EnvelopeDraft::new(times, size, topic, data, pow_minimum))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use circuits::level::Level;
    use circuits::mixing::DelayClass;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::LifeChoice;
    use super::*;

    const TOPIC: Topic = Topic([7; 4]);

    fn draft(data: &[u8], level: Level, seed: u64) -> Result<EnvelopeDraft, EnvelopeBuildError> {
        let life = Life {
            choice: LifeChoice::Any,
            ..Life::at_least(Duration::ZERO).over(level.rules(), DelayClass::LONGEST)
        };
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        draft_prepared(&mut rng, UnixSecs(1_700_000_000), (TOPIC, data), life, 0.0)
    }

    #[test]
    fn prepared_data_fill_their_class_and_live_three_days_at_every_level() {
        let card = SizeClass::of(2_408).unwrap();
        let data = vec![9; prepared_len(card)];
        for level in [Level::Normal, Level::Bulletin] {
            for seed in 0..50 {
                let draft = draft(&data, level, seed).unwrap();
                assert_eq!((draft.size, draft.life), (card, TtlClass::ThreeDays));
                let envelope = draft.unmined.with_nonce(1 << 60);
                assert_eq!(envelope.as_rlp().len(), 2_408);
                assert_eq!((envelope.topic(), envelope.data()), (TOPIC, &data[..]));
            }
        }
    }

    #[test]
    fn prepared_data_that_fill_no_class_are_refused_with_their_length() {
        let len = prepared_len(SizeClass::SMALLEST) + 1;
        let refused = draft(&vec![9; len], Level::Normal, 1).unwrap_err();
        assert_eq!(refused, EnvelopeBuildError::NoClass { len });
        assert!(refused.to_string().contains("535"), "{refused}");
    }
}
