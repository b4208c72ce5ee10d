//! Hides from a mail server which topics its client wants.
//!
//! A request for a part of the traffic tells the server which part. So a client requests all
//! envelopes unless the user names topics. Then random bits are added to the bloom filter until a
//! quarter of all topics match ([`MIN_TOPIC_SHARE`]), and the range is rounded to hours. The random
//! bits are a function of the topics: two different paddings would have little more than the topics
//! in common. They are derived from a secret of this node, so no server can compute them. They do
//! not depend on the server, so several servers learn no more together than one.
//!
//! docs/threat-model.md states what remains visible.

use circuits::distributions;
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use hkdf::Hkdf;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::bloom::Bloom;
use crate::envelope::Topic;

/// Adds random topics to queries.
#[derive(Debug)]
pub struct QueryPadding {
    secret: Secret<32>,
}

impl QueryPadding {
    /// Derives the padding secret from a secret that the node keeps permanently.
    #[must_use]
    pub fn new(kept: &[u8]) -> Self {
        Self {
            secret: Secret::init_with(|secret| derive(kept, LABEL, secret)),
        }
    }

    /// The bloom filter to request these topics with: all bits if there are no topics.
    #[must_use]
    pub fn bloom(&self, topics: &[Topic]) -> Bloom {
        if topics.is_empty() {
            return Bloom::FULL;
        }
        let mut bloom = exact_bloom(topics);
        let mut rng = self.rng(topics);
        // Each draw sets a new bit with some probability; the bound makes termination certain.
        for _ in 0..MAX_DRAWS {
            if bits(&bloom) >= MIN_BITS {
                break;
            }
            let bit = distributions::below(&mut rng, 512);
            let (byte, shift) = (usize::try_from(bit / 8).unwrap_or(0), bit % 8);
            if let Some(byte) = bloom.0.get_mut(byte) {
                *byte |= 1 << shift;
            }
        }
        bloom
    }

    /// The generator for a set of topics, independent of their order.
    fn rng(&self, topics: &[Topic]) -> ChaCha20Rng {
        let mut sorted: Vec<[u8; 4]> = topics.iter().map(|topic| topic.0).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut seed = Zeroizing::new([0; 32]);
        derive(self.secret.expose(), &sorted.concat(), &mut seed);
        ChaCha20Rng::from_seed(*seed)
    }
}

/// The narrowest bloom filter that matches these topics: it reveals them to the server.
#[must_use]
pub fn exact_bloom(topics: &[Topic]) -> Bloom {
    let mut bloom = Bloom::EMPTY;
    for topic in topics {
        bloom.add(&Bloom::merged(*topic));
    }
    bloom
}

/// The share of all topics that match a bloom filter: three bits must be set, each uniformly drawn.
#[must_use]
pub fn topic_share(bloom: &Bloom) -> f64 {
    (f64::from(bits(bloom)) / 512.0).powi(3)
}

/// The range to request for the envelopes that entered the network from `since` to `until`: whole
/// hours, and earlier by the time that an envelope may have existed before it was sent.
///
/// Our own envelopes are dated back to a grid of a sixth of their lifetime. An envelope that was
/// flooded at `since` and has expired may bear a date that is earlier by a fifth of the elapsed
/// time.
#[must_use]
pub fn whole_hours(since: UnixSecs, until: UnixSecs, now: UnixSecs) -> (UnixSecs, UnixSecs) {
    let passed = now.0.saturating_sub(since.0);
    let earlier = (passed / 5).min(LATTICE).saturating_add(LAG);
    let lower = since.before(earlier).0 / HOUR * HOUR;
    let upper = until.0.div_ceil(HOUR).saturating_mul(HOUR);
    (UnixSecs(lower), UnixSecs(upper))
}

fn bits(bloom: &Bloom) -> u32 {
    bloom.0.iter().map(|byte| byte.count_ones()).sum()
}

fn derive(secret: &[u8], info: &[u8], to: &mut [u8; 32]) {
    #[expect(
        clippy::expect_used,
        reason = "HKDF refuses only what is longer than 255 hashes"
    )]
    Hkdf::<Sha256>::new(None, secret)
        .expand(info, to)
        .expect("one hash is within the limit of HKDF");
}

/// Minimum share of topics that a padded request matches.
pub const MIN_TOPIC_SHARE: f64 = 0.25;
/// Minimum number of bits: 512 times the cube root of a quarter, rounded up.
const MIN_BITS: u32 = 323;
/// Draws after which `MIN_BITS` are set, except with negligible probability.
const MAX_DRAWS: u32 = 16 * 512;
const LABEL: &[u8] = b"whisht/1/mail-cloak";

const HOUR: u32 = 3_600;
/// A sixth of the longest lifetime that we use.
const LATTICE: u32 = 12 * HOUR;
/// Further delay of an envelope before it is sent.
const LAG: u32 = 900;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn padding() -> QueryPadding {
        QueryPadding::new(b"a secret that this node keeps")
    }

    #[test]
    fn query_without_topics_requests_all() {
        assert_eq!(padding().bloom(&[]), Bloom::FULL);
    }

    #[test]
    fn query_for_one_topic_matches_a_quarter_of_all() {
        let topic = Topic([0xde, 0xad, 0xbe, 0xef]);
        let bloom = padding().bloom(&[topic]);
        assert!(bloom.wants(topic));
        assert!(
            topic_share(&bloom) >= MIN_TOPIC_SHARE,
            "{}",
            topic_share(&bloom)
        );
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let passing = (0..20_000).filter(|_| bloom.wants(Topic(rng.next_u32().to_be_bytes())));
        let passing = passing.count();
        assert!((4_800..=5_600).contains(&passing), "{passing} of 20000");
    }

    #[test]
    fn repeated_query_has_equal_padding() {
        let (a, b) = (Topic([1, 2, 3, 4]), Topic([9, 8, 7, 6]));
        assert_eq!(padding().bloom(&[a, b]), padding().bloom(&[b, a, a]));
        assert_eq!(padding().bloom(&[a]), padding().bloom(&[a]));
    }

    #[test]
    fn nodes_have_different_padding() {
        let topic = [Topic([1, 2, 3, 4])];
        let other = QueryPadding::new(b"another secret");
        assert_ne!(padding().bloom(&topic), other.bloom(&topic));
    }

    #[test]
    fn query_for_many_topics_matches_all_of_them() {
        let topics: Vec<Topic> = (0..400_u32)
            .map(|n| Topic((n * 77_777).to_be_bytes()))
            .collect();
        let bloom = padding().bloom(&topics);
        assert!(topics.iter().all(|topic| bloom.wants(*topic)));
    }

    #[test]
    fn range_is_rounded_to_whole_hours() {
        let now = UnixSecs(1_800_000_123);
        let (lower, upper) = whole_hours(now.before(86_400), now, now);
        assert_eq!((lower.0 % HOUR, upper.0 % HOUR), (0, 0));
        assert!(upper >= now && upper.0 - now.0 < HOUR);
        let earlier = now.0 - 86_400 - lower.0;
        assert!(
            earlier >= 86_400 / 5,
            "an envelope of a day dates back four hours"
        );
    }

    proptest! {
        #[test]
        fn padded_query_matches_topics_and_a_quarter_of_all(topics: Vec<[u8; 4]>) {
            prop_assume!(!topics.is_empty());
            let topics: Vec<Topic> = topics.into_iter().map(Topic).collect();
            let bloom = padding().bloom(&topics);
            prop_assert!(topics.iter().all(|topic| bloom.wants(*topic)));
            prop_assert!(topic_share(&bloom) >= MIN_TOPIC_SHARE);
        }

        #[test]
        fn rounded_range_contains_requested_range(since: u32, len: u32, more: u32) {
            let since = UnixSecs(since);
            let until = since.after(len);
            let (lower, upper) = whole_hours(since, until, until.after(more));
            prop_assert!(lower <= since);
            prop_assert!(upper >= until || upper.0 >= u32::MAX / HOUR * HOUR);
        }
    }
}
