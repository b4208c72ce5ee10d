//! The fixed sizes and lifetimes of our own envelopes.
//!
//! Any value that a sender may choose freely distinguishes senders. Sizes therefore come from eight
//! classes, lifetimes from five, and the start of a lifetime is a multiple of a sixth of it
//! (anonymity notes 3.9; size of the data: spec M5). Envelopes of other senders may have any shape;
//! this module does not check them.

use circuits::time::UnixSecs;

use super::Ttl;

/// A length of the whole envelope in bytes, nonce included.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SizeClass(u32);

impl SizeClass {
    /// The smallest class; an envelope of it fits in one cell.
    pub const SMALLEST: Self = Self(563);
    /// The class of contact cards.
    pub const CARD: Self = Self(2_408);
    /// The largest class.
    pub const LARGEST: Self = Self(65_536);
    /// All classes in ascending order.
    pub const ALL: [Self; 8] = [
        Self::SMALLEST,
        Self(1_178),
        Self(2_408),
        Self(4_868),
        Self(9_788),
        Self(19_628),
        Self(39_308),
        Self::LARGEST,
    ];

    /// The class of an envelope of `len` bytes, if one matches.
    #[must_use]
    pub fn of(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.len() == len)
    }

    /// Length of the envelope on the wire, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no class is empty")]
    pub fn len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Length of the data that makes an envelope of this class: the RLP integer of the lifetime has
    /// two bytes up to 65,535 s and three above; that of the nonce always has eight.
    #[must_use]
    pub fn data_len(self, ttl: TtlClass) -> usize {
        let around = if ttl.ttl().0 < 1 << 16 { 28 } else { 29 };
        self.len().saturating_sub(around)
    }

    /// The size used for the proof-of-work target, the same for every lifetime (spec M5).
    #[must_use]
    pub const fn work_size(self) -> u32 {
        self.0.saturating_sub(8)
    }
}

/// A lifetime class.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TtlClass {
    /// 30 minutes.
    HalfHour,
    /// One hour.
    Hour,
    /// Six hours.
    SixHours,
    /// 24 hours.
    Day,
    /// 72 hours.
    ThreeDays,
}

impl TtlClass {
    /// All classes in ascending order.
    pub const ALL: [Self; 5] = [
        Self::HalfHour,
        Self::Hour,
        Self::SixHours,
        Self::Day,
        Self::ThreeDays,
    ];

    /// The lifetime in seconds.
    #[must_use]
    pub const fn ttl(self) -> Ttl {
        Ttl(match self {
            Self::HalfHour => 1_800,
            Self::Hour => 3_600,
            Self::SixHours => 21_600,
            Self::Day => 86_400,
            Self::ThreeDays => 259_200,
        })
    }

    /// The class of a lifetime, if one matches.
    #[must_use]
    pub fn of(ttl: Ttl) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.ttl() == ttl)
    }

    /// The latest point of this class's time lattice that is not after `moment`.
    #[must_use]
    pub const fn lattice_floor(self, moment: UnixSecs) -> UnixSecs {
        UnixSecs(moment.0 - moment.0 % self.lattice_step())
    }

    /// The distance between two points of this class's time lattice, in seconds.
    #[must_use]
    pub const fn lattice_step(self) -> u32 {
        self.ttl().0 / 6
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Envelope, Topic};
    use super::*;

    #[test]
    fn data_of_class_length_makes_envelope_of_class() {
        for class in SizeClass::ALL {
            for ttl in TtlClass::ALL {
                for nonce in [1 << 56, u64::MAX] {
                    let data = vec![0xff; class.data_len(ttl)];
                    let expiry = UnixSecs(1_700_000_000);
                    let envelope = Envelope::build(expiry, ttl.ttl(), Topic([1; 4]), data, nonce);
                    assert_eq!(envelope.as_rlp().len(), class.len());
                    assert_eq!(SizeClass::of(envelope.as_rlp().len()), Some(class));
                }
            }
        }
    }

    #[test]
    fn work_size_is_not_below_divisor_of_either_generation() {
        for class in SizeClass::ALL {
            for ttl in TtlClass::ALL {
                let data = vec![0xff; class.data_len(ttl)];
                let expiry = UnixSecs(1_700_000_000);
                let envelope = Envelope::build(expiry, ttl.ttl(), Topic([1; 4]), data, u64::MAX);
                let work_size = usize::try_from(class.work_size()).unwrap();
                assert!(envelope.size() <= work_size);
                assert!(envelope.without_nonce().len() <= work_size);
            }
        }
    }

    #[test]
    fn lattice_step_divides_day() {
        for class in TtlClass::ALL {
            let floor = class.lattice_floor(UnixSecs(1_700_000_123));
            assert_eq!(floor.0 % (class.ttl().0 / 6), 0);
            assert!(1_700_000_123 - floor.0 < class.ttl().0 / 6);
            assert_eq!(class.lattice_floor(floor), floor);
        }
    }
}
