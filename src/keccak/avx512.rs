//! Eight lanes: all 25 words of eight sponges fit the 32 registers of AVX-512, and one instruction
//! rotates a word or mixes three.

use core::arch::x86_64::{
    __m512i, _mm512_rol_epi64, _mm512_set1_epi64, _mm512_ternarylogic_epi64, _mm512_xor_si512,
};

use super::rounds::{ROUND_CONSTANTS, keccak_over};
use super::{Digests, SideBySide, Sponges};

/// Proof that the processor and the operating system support AVX-512.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        std::is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl SideBySide<8> for Avx512 {
    #[expect(
        unsafe_code,
        reason = "calls a function that requires AVX-512, with the proof"
    )]
    fn permute(&self, sponges: &mut Sponges<8>) {
        // SAFETY: as in `digests`.
        unsafe { permute(sponges) }
    }

    #[expect(
        unsafe_code,
        reason = "calls a function that requires AVX-512, with the proof"
    )]
    fn digests(&self, sponges: &Sponges<8>, padding_follows: bool) -> Digests<8> {
        // SAFETY: a value of this type exists only if `detect` found the feature, and the function
        // requires nothing else.
        unsafe { digests(sponges, padding_follows) }
    }
}

keccak_over!(__m512i, 8, "avx512f");

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "a vector is read as its words")]
fn load(words: [u64; 8]) -> __m512i {
    // SAFETY: both are 64 bytes, of which every pattern is valid.
    unsafe { core::mem::transmute::<[u64; 8], __m512i>(words) }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "a vector is read as its words")]
fn store(vector: __m512i) -> [u64; 8] {
    // SAFETY: as in `load`.
    unsafe { core::mem::transmute::<__m512i, [u64; 8]>(vector) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0b1001_0110>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum(a: __m512i, b: __m512i, c: __m512i, d: __m512i, e: __m512i) -> __m512i {
    xor3(xor3(a, b, c), d, e)
}

/// Both columns; adding them to a word is one instruction, as adding their sum would be.
#[inline]
#[target_feature(enable = "avx512f")]
fn parity(left: __m512i, right: __m512i) -> [__m512i; 2] {
    [left, right]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(word: __m512i, [left, right]: [__m512i; 2]) -> __m512i {
    xor3(word, left, right)
}

/// Rotates to the left by `N`; `M` is for processors without such an instruction.
#[inline]
#[target_feature(enable = "avx512f")]
fn rotate<const N: i32, const M: i32>(word: __m512i) -> __m512i {
    const { assert!(N + M == 64) };
    _mm512_rol_epi64::<N>(word)
}

/// `a ^ (!b & c)`.
#[inline]
#[target_feature(enable = "avx512f")]
fn chi(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0b1101_0010>(a, b, c)
}
