//! The group element of a cell, and X25519 on it.
//!
//! A relay multiplies each element twice: by its key and by the blinding factor. X25519 is defined
//! by a ladder on u-coordinates. Half of all strings lie on the twist of the curve and require the
//! ladder. Strings on the curve can also be multiplied in Edwards form, with the same result for
//! every scalar and every encoding. With 256-bit vectors the Edwards form takes half the time,
//! including the conversion; without them it takes longer. The processor therefore decides.
//!
//! The choice of form depends only on the element, which is public in the cell.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use zeroize::Zeroize;

use crate::secret::{Secret, wipe_stack};

/// An element in the form that this processor multiplies fastest.
pub(crate) enum Element {
    /// On the curve, with arbitrary sign.
    Edwards(EdwardsPoint),
    /// On the curve or on the twist.
    Montgomery(MontgomeryPoint),
}

impl Element {
    /// Decodes the u-coordinate of a cell. Like X25519, this ignores the top bit, reduces the rest
    /// modulo p, and accepts every input.
    pub(crate) fn decode(alpha: &[u8; 32]) -> Self {
        let line = MontgomeryPoint(*alpha);
        let lifted = has_vectors().then(|| line.to_edwards(0)).flatten();
        lifted.map_or(Self::Montgomery(line), Self::Edwards)
    }

    /// X25519 of RFC 7748, section 5: the scalar is clamped, not reduced.
    ///
    /// The curve library takes the scalar by value and leaves copies in its frames, which are wiped
    /// here.
    pub(crate) fn x25519(&self, scalar: &Secret<32>) -> [u8; 32] {
        let product = self.multiply(scalar);
        wipe_stack();
        product
    }

    /// Not inlined, so that no copy of the scalar is in the frame of the caller.
    #[inline(never)]
    fn multiply(&self, scalar: &Secret<32>) -> [u8; 32] {
        match self {
            Self::Edwards(point) => {
                let mut product = point.mul_clamped(*scalar.expose());
                let coordinate = product.to_montgomery();
                product.zeroize();
                coordinate.0
            }
            Self::Montgomery(point) => point.mul_clamped(*scalar.expose()).0,
        }
    }
}

/// Whether the curve library uses vector instructions for Edwards points on this processor.
fn has_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::scalar::Scalar;
    use proptest::prelude::*;

    use super::*;

    /// Compares each available form with the definition.
    fn agrees(alpha: [u8; 32], scalar: [u8; 32]) -> Result<(), TestCaseError> {
        let expected = x25519_dalek::x25519(scalar, alpha);
        let scalar = Secret::init_with(|bytes| *bytes = scalar);
        prop_assert_eq!(Element::decode(&alpha).x25519(&scalar), expected);
        let line = MontgomeryPoint(alpha);
        prop_assert_eq!(Element::Montgomery(line).x25519(&scalar), expected);
        if let Some(point) = line.to_edwards(0) {
            prop_assert_eq!(Element::Edwards(point).x25519(&scalar), expected);
        }
        Ok(())
    }

    /// Encodings of small values: `value + k * p`, with and without the ignored bit.
    fn encodings(value: u8) -> [[u8; 32]; 4] {
        let mut plain = [0; 32];
        plain[0] = value;
        let mut plus_p = [0xff; 32];
        plus_p[0] = 0xed + value;
        plus_p[31] = 0x7f;
        let with_top_bit = |mut bytes: [u8; 32]| {
            bytes[31] |= 0x80;
            bytes
        };
        [plain, plus_p, with_top_bit(plain), with_top_bit(plus_p)]
    }

    proptest! {
        #[test]
        fn element_product_of_any_string_equals_x25519(
            alpha in any::<[u8; 32]>(),
            scalar in any::<[u8; 32]>(),
        ) {
            agrees(alpha, scalar)?;
        }

        #[test]
        fn element_product_with_torsion_equals_x25519(
            exponent in any::<[u8; 32]>(),
            torsion in 0..8_usize,
            scalar in any::<[u8; 32]>(),
        ) {
            let point = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(exponent));
            let alpha = (point + EIGHT_TORSION[torsion]).to_montgomery().0;
            agrees(alpha, scalar)?;
        }

        #[test]
        fn element_product_of_non_canonical_encoding_equals_x25519(
            value in 0..19_u8,
            scalar in any::<[u8; 32]>(),
        ) {
            for alpha in encodings(value) {
                agrees(alpha, scalar)?;
            }
        }
    }

    #[test]
    fn element_product_of_low_order_and_minus_one_equals_x25519() {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        let low = EIGHT_TORSION.iter().map(|point| point.to_montgomery().0);
        for alpha in low.chain([minus_one]) {
            for scalar in [[0; 32], [0xff; 32], [0x55; 32]] {
                agrees(alpha, scalar).unwrap();
            }
        }
    }
}
