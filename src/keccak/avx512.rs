//! Eight lanes: all 25 words of eight sponges fit the 32 registers of AVX-512, and one instruction
//! rotates a word or mixes three. Four lanes, with the same instructions on registers of half the
//! width, take little more than half the time: for the last inputs, and for small packets.

use super::{Digests, SideBySide, Sponges};

/// Proof that the processor and the operating system support AVX-512, for registers of both widths.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let is_supported =
            std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512vl");
        is_supported.then_some(Self(()))
    }
}

/// Defines `permute` and `digests` for registers of one width, and implements the lanes.
macro_rules! lanes_of_avx512 {
    (
        $lanes:literal, $vector:ident, $half:expr;
        $set1:ident, $xor:ident, $ternary:ident, $rol:ident
    ) => {
        use core::arch::x86_64::{$rol, $set1, $ternary, $vector, $xor};

        use super::super::rounds::{ROUND_CONSTANTS, keccak_over};
        use super::{Avx512, Digests, SideBySide, Sponges};

        impl SideBySide<$lanes> for Avx512 {
            #[expect(
                unsafe_code,
                reason = "calls a function that requires AVX-512, with the proof"
            )]
            fn permute(&self, sponges: &mut Sponges<$lanes>) {
                // SAFETY: as in `digests`.
                unsafe { permute(sponges) }
            }

            #[expect(
                unsafe_code,
                reason = "calls a function that requires AVX-512, with the proof"
            )]
            fn digests(&self, sponges: &Sponges<$lanes>, padding_follows: bool) -> Digests<$lanes> {
                // SAFETY: a value of this type exists only if `detect` found both features, and the
                // function requires nothing else.
                unsafe { digests(sponges, padding_follows) }
            }

            fn half(&self) -> Option<&dyn SideBySide<4>> {
                let half: fn(&Self) -> Option<&dyn SideBySide<4>> = $half;
                half(self)
            }
        }

        keccak_over!($vector, $lanes, "avx512f,avx512vl");

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        #[expect(unsafe_code, reason = "a vector is read as its words")]
        fn load(words: [u64; $lanes]) -> $vector {
            // SAFETY: both have the same size, and every pattern of bytes is valid.
            unsafe { core::mem::transmute::<[u64; $lanes], $vector>(words) }
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        #[expect(unsafe_code, reason = "a vector is read as its words")]
        fn store(vector: $vector) -> [u64; $lanes] {
            // SAFETY: as in `load`.
            unsafe { core::mem::transmute::<$vector, [u64; $lanes]>(vector) }
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn splat(word: u64) -> $vector {
            $set1(word.cast_signed())
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn xor(a: $vector, b: $vector) -> $vector {
            $xor(a, b)
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn xor3(a: $vector, b: $vector, c: $vector) -> $vector {
            $ternary::<0b1001_0110>(a, b, c)
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn sum(a: $vector, b: $vector, c: $vector, d: $vector, e: $vector) -> $vector {
            xor3(xor3(a, b, c), d, e)
        }

        /// Both columns; adding them to a word is one instruction, as adding their sum would be.
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn parity(left: $vector, right: $vector) -> [$vector; 2] {
            [left, right]
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn add(word: $vector, [left, right]: [$vector; 2]) -> $vector {
            xor3(word, left, right)
        }

        /// Rotates to the left by `N`; `M` is for processors without such an instruction.
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn rotate<const N: i32, const M: i32>(word: $vector) -> $vector {
            const { assert!(N + M == 64) };
            $rol::<N>(word)
        }

        /// `a ^ (!b & c)`.
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl")]
        fn chi(a: $vector, b: $vector, c: $vector) -> $vector {
            $ternary::<0b1101_0010>(a, b, c)
        }
    };
}

mod eight {
    lanes_of_avx512!(
        8, __m512i, |lanes| Some(lanes);
        _mm512_set1_epi64, _mm512_xor_si512, _mm512_ternarylogic_epi64, _mm512_rol_epi64
    );
}

mod four {
    lanes_of_avx512!(
        4, __m256i, |_| None;
        _mm256_set1_epi64x, _mm256_xor_si256, _mm256_ternarylogic_epi64, _mm256_rol_epi64
    );
}
