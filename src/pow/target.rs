//! The number of zero bits for a required work.

use super::float;
use crate::envelope::{SizeClass, Ttl, TtlClass};

/// The zero bits for work of at least `pow` in an envelope of `size` and `ttl`: at least one.
///
/// `ceil(log2(pow * size * ttl))` as geth and status-im compute it, with the rounding of the
/// logarithm. A target that is not finite requires more bits than any hash has (geth converts an
/// infinity to an integer there and requires one bit).
#[must_use]
pub fn required_bits(pow: f64, size: usize, ttl: Ttl) -> u32 {
    let product = pow * float(size) * f64::from(ttl.0);
    if !product.is_finite() {
        return u32::MAX;
    }
    if product <= 1.0 {
        return 1;
    }
    let bits = product.log2().ceil().clamp(1.0, f64::from(MAX_BITS));
    #[expect(clippy::as_conversions, reason = "clamped to 1..=1024 above")]
    {
        bits as u32
    }
}

/// The zero bits of every envelope of one class: a function of class and lifetime only, so that the
/// work reveals nothing about the machine (spec F15; `minimum` is .2 on the main network).
#[must_use]
pub fn class_bits(minimum: f64, class: SizeClass, ttl: TtlClass) -> u32 {
    let size = usize::try_from(class.work_size()).unwrap_or(usize::MAX);
    required_bits(minimum, size, ttl.ttl())
}

/// No finite float reaches 2 to this power.
const MAX_BITS: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_class_has_bits_of_specification() {
        let bits = TtlClass::ALL.map(|ttl| class_bits(0.2, SizeClass::SMALLEST, ttl));
        assert_eq!(bits, [18, 19, 22, 24, 25]);
    }

    #[test]
    fn class_bits_reach_minimum() {
        for minimum in [0.002, 0.2, 1.0] {
            for class in SizeClass::ALL {
                for ttl in TtlClass::ALL {
                    let bits = class_bits(minimum, class, ttl);
                    let work = f64::from(2).powi(bits.try_into().unwrap())
                        / f64::from(class.work_size())
                        / f64::from(ttl.ttl().0);
                    assert!(work >= minimum);
                }
            }
        }
    }

    #[test]
    fn infinite_target_is_infeasible() {
        assert_eq!(required_bits(f64::INFINITY, 300, Ttl(50)), u32::MAX);
        assert_eq!(required_bits(f64::NAN, 300, Ttl(50)), u32::MAX);
        assert_eq!(required_bits(f64::MAX, 300, Ttl(50)), u32::MAX);
    }

    #[test]
    fn zero_target_requires_one_bit() {
        assert_eq!(required_bits(0.0, 300, Ttl(50)), 1);
        assert_eq!(required_bits(-1.0, 300, Ttl(50)), 1);
    }
}
