//! Four lanes. The state needs twice as many registers as AVX2 has, and a rotation takes three
//! instructions; four lanes are still faster than scalar code.

use core::arch::x86_64::{
    __m256i, _mm256_andnot_si256, _mm256_or_si256, _mm256_set1_epi64x, _mm256_slli_epi64,
    _mm256_srli_epi64, _mm256_xor_si256,
};

use super::rounds::{ROUND_CONSTANTS, keccak_over};
use super::{Digests, SideBySide, Sponges};

/// Proof that the processor and the operating system support AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        std::is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl SideBySide<4> for Avx2 {
    #[expect(
        unsafe_code,
        reason = "calls a function that requires AVX2, with the proof"
    )]
    fn permute(&self, sponges: &mut Sponges<4>) {
        // SAFETY: as in `digests`.
        unsafe { permute(sponges) }
    }

    #[expect(
        unsafe_code,
        reason = "calls a function that requires AVX2, with the proof"
    )]
    fn digests(&self, sponges: &Sponges<4>, padding_follows: bool) -> Digests<4> {
        // SAFETY: a value of this type exists only if `detect` found the feature, and the function
        // requires nothing else.
        unsafe { digests(sponges, padding_follows) }
    }
}

keccak_over!(__m256i, 4, "avx2");

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a vector is read as its words")]
fn load(words: [u64; 4]) -> __m256i {
    // SAFETY: both are 32 bytes, of which every pattern is valid.
    unsafe { core::mem::transmute::<[u64; 4], __m256i>(words) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "a vector is read as its words")]
fn store(vector: __m256i) -> [u64; 4] {
    // SAFETY: as in `load`.
    unsafe { core::mem::transmute::<__m256i, [u64; 4]>(vector) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u64) -> __m256i {
    _mm256_set1_epi64x(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(a: __m256i, b: __m256i, c: __m256i, d: __m256i, e: __m256i) -> __m256i {
    xor(xor(xor(a, b), xor(c, d)), e)
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity(left: __m256i, right: __m256i) -> __m256i {
    xor(left, right)
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(word: __m256i, parity: __m256i) -> __m256i {
    xor(word, parity)
}

/// Rotates to the left by `N`, where `N + M` is 64.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const N: i32, const M: i32>(word: __m256i) -> __m256i {
    const { assert!(N + M == 64) };
    _mm256_or_si256(_mm256_slli_epi64::<N>(word), _mm256_srli_epi64::<M>(word))
}

/// `a ^ (!b & c)`.
#[inline]
#[target_feature(enable = "avx2")]
fn chi(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    xor(a, _mm256_andnot_si256(b, c))
}
