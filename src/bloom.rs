//! The 64-byte Bloom filter with which a light node announces the topics it wants.
//!
//! A topic sets up to three of 512 bits (protocol sheet 3.5). geth *assigns* each bit to its byte
//! instead of adding it, so of two bits in one byte only the later remains: about one topic in 25
//! has two forms. Both are needed: a peer's filter is tested with the assigned form, as the peer
//! itself does; the filter that we announce is built from the merged form, which contains both.
//!
//! A narrow filter tells a peer which topics its owner reads. A node that has a choice announces
//! [`Bloom::FULL`].

use core::fmt;

use crate::envelope::Topic;

/// A set of topics, with false positives.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Bloom(pub [u8; 64]);

impl Bloom {
    /// No topic.
    pub const EMPTY: Self = Self([0; 64]);
    /// Every topic: the filter of a full node.
    pub const FULL: Self = Self([0xff; 64]);

    /// The bloom of one topic as geth computes it: a later bit replaces an earlier one in the same
    /// byte. Peers judge by this form.
    #[must_use]
    pub fn assigned(topic: Topic) -> Self {
        let mut bloom = Self::EMPTY;
        for (byte, bit) in positions(topic) {
            if let Some(byte) = bloom.0.get_mut(byte) {
                *byte = bit;
            }
        }
        bloom
    }

    /// The bloom of one topic with all its bits. Our announced filter is built from this form.
    #[must_use]
    pub fn merged(topic: Topic) -> Self {
        let mut bloom = Self::EMPTY;
        for (byte, bit) in positions(topic) {
            if let Some(byte) = bloom.0.get_mut(byte) {
                *byte |= bit;
            }
        }
        bloom
    }

    /// Widens this filter by another.
    pub fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            *ours |= theirs;
        }
    }

    /// Whether every bit of `sample` is set here.
    #[must_use]
    pub fn contains(&self, sample: &Self) -> bool {
        self.0
            .iter()
            .zip(sample.0)
            .all(|(&ours, theirs)| ours | theirs == ours)
    }

    /// Whether a peer with this filter accepts envelopes of this topic: geth's own test.
    #[must_use]
    pub fn wants(&self, topic: Topic) -> bool {
        self.contains(&Self::assigned(topic))
    }

    /// Whether a node that announced this filter accepts envelopes of this topic: in either form,
    /// because honest senders differ.
    #[must_use]
    pub fn admits(&self, topic: Topic) -> bool {
        self.wants(topic) || self.contains(&Self::merged(topic))
    }

    /// Whether this is the filter of a full node.
    #[must_use]
    pub fn is_full(&self) -> bool {
        *self == Self::FULL
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits: u32 = self.0.iter().map(|byte| byte.count_ones()).sum();
        write!(f, "Bloom({bits} of 512 bits)")
    }
}

/// The three bits of a topic: byte index, and bit mask within that byte.
fn positions(Topic([a, b, c, high]): Topic) -> [(usize, u8); 3] {
    [(a, 0), (b, 1), (c, 2)].map(|(low, turn)| {
        let upper_half = 32 * usize::from(high >> turn & 1);
        (upper_half + usize::from(low / 8), 1 << (low % 8))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set_bytes(bloom: &Bloom) -> Vec<(usize, u8)> {
        let bytes = bloom.0.iter().copied().enumerate();
        bytes.filter(|&(_, byte)| byte != 0).collect()
    }

    #[test]
    fn positions_equal_geth_vectors() {
        for (topic, expected) in [
            (
                [0x12, 0x34, 0x56, 0x05],
                vec![(6, 0x10), (34, 0x04), (42, 0x40)],
            ),
            (
                [0xde, 0xad, 0xbe, 0xef],
                vec![(53, 0x20), (55, 0x40), (59, 0x40)],
            ),
            ([0xff; 4], vec![(63, 0x80)]),
        ] {
            assert_eq!(set_bytes(&Bloom::assigned(Topic(topic))), expected.clone());
            let mut sorted = set_bytes(&Bloom::merged(Topic(topic)));
            sorted.sort_unstable();
            assert_eq!(sorted.len(), expected.len());
        }
    }

    #[test]
    fn assigned_form_loses_earlier_bit_of_same_byte() {
        let topic = Topic([1, 2, 3, 0]);
        assert_eq!(set_bytes(&Bloom::assigned(topic)), [(0, 0x08)]);
        assert_eq!(set_bytes(&Bloom::merged(topic)), [(0, 0x0e)]);
    }

    #[test]
    fn topic_with_colliding_bits_is_wanted_and_admitted() {
        let topic = Topic([1, 2, 3, 0]);
        let (geth, nim) = (Bloom::assigned(topic), Bloom::merged(topic));
        assert!(geth.wants(topic) && nim.wants(topic));
        assert!(nim.admits(topic));
        assert!(!geth.contains(&nim));
    }

    #[test]
    fn debug_shows_bit_count_only() {
        assert_eq!(
            format!("{:?}", Bloom::merged(Topic([1, 2, 3, 0]))),
            "Bloom(3 of 512 bits)"
        );
    }

    proptest! {
        #[test]
        fn merged_form_contains_assigned_form(topic: [u8; 4]) {
            let topic = Topic(topic);
            prop_assert!(Bloom::merged(topic).contains(&Bloom::assigned(topic)));
        }

        #[test]
        fn filter_of_topics_admits_each_topic(topics: Vec<[u8; 4]>) {
            let mut filter = Bloom::EMPTY;
            for &topic in &topics {
                filter.add(&Bloom::merged(Topic(topic)));
            }
            for topic in topics {
                prop_assert!(filter.admits(Topic(topic)));
            }
            prop_assert!(Bloom::FULL.contains(&filter));
        }
    }
}
