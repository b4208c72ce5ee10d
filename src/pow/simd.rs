//! Keccak over many nonces at once: one per lane of the processor's vectors.
//!
//! Compilers do not vectorize loops over Keccak, so the permutation is written with the processor's
//! own operations: eight lanes with AVX-512 (which rotates or mixes three words in one instruction
//! each), four with AVX2, and one, from the crate `keccak`, on all other processors. The program
//! detects the features at run time, once per search; a value of [`KeccakBackend`] is the proof of
//! detection.
//!
//! This module and its submodules are the only ones of the project that contain `unsafe`: to call
//! functions that require a processor feature, and to read vectors as words. The ordinary hash must
//! confirm every nonce that the vectors find.

use core::fmt;

use super::Generation;
use super::midstate::Block;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod rounds;
mod scalar;

/// A way of hashing that this machine supports.
#[derive(Clone, Copy)]
pub struct KeccakBackend(BackendKind);

#[derive(Clone, Copy)]
enum BackendKind {
    Scalar(scalar::Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl KeccakBackend {
    /// The names of all backends, slowest first, supported or not.
    pub const NAMES: [&'static str; 3] = ["scalar", "AVX2", "AVX-512"];

    /// The widest that this machine supports.
    #[must_use]
    pub fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(token) = avx512::Avx512::detect() {
                return Self(BackendKind::Avx512(token));
            }
            if let Some(token) = avx2::Avx2::detect() {
                return Self(BackendKind::Avx2(token));
            }
        }
        Self(BackendKind::Scalar(scalar::Scalar))
    }

    /// The backend of this name, if this machine supports it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "scalar" => Some(Self(BackendKind::Scalar(scalar::Scalar))),
            #[cfg(target_arch = "x86_64")]
            "AVX2" => avx2::Avx2::detect().map(|token| Self(BackendKind::Avx2(token))),
            #[cfg(target_arch = "x86_64")]
            "AVX-512" => avx512::Avx512::detect().map(|token| Self(BackendKind::Avx512(token))),
            _ => None,
        }
    }

    /// Number of nonces hashed at once.
    #[must_use]
    pub const fn width(self) -> u32 {
        match self.0 {
            BackendKind::Scalar(_) => 1,
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx2(_) => 4,
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx512(_) => 8,
        }
    }

    /// The first of `count` nonces from `start` that matches; `block` must be valid for all.
    pub(super) fn find(
        self,
        block: &Block,
        start: u64,
        count: u64,
        wanted: HashMask,
    ) -> Option<u64> {
        match self.0 {
            BackendKind::Scalar(lanes) => find(&lanes, block, start, count, wanted),
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx2(lanes) => find(&lanes, block, start, count, wanted),
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx512(lanes) => find(&lanes, block, start, count, wanted),
        }
    }
}

impl fmt::Debug for KeccakBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeccakBackend({self})")
    }
}

impl fmt::Display for KeccakBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            BackendKind::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx512(_) => "AVX-512",
        })
    }
}

/// The digests that a search accepts: those in which the masked bits of one word are all zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashMask {
    last_word: bool,
    mask: u64,
}

impl HashMask {
    /// Digests in which a generation counts at least `bits`, of which at most 64 are checked.
    pub(super) fn new(generation: Generation, bits: u32) -> Self {
        let rest = u64::BITS.saturating_sub(bits);
        // Words are little-endian, and both generations count in big-endian numbers.
        match generation {
            Generation::Modern => Self {
                last_word: false,
                mask: u64::MAX.unbounded_shl(rest).swap_bytes(),
            },
            Generation::Legacy => Self {
                last_word: true,
                mask: u64::MAX.unbounded_shr(rest).swap_bytes(),
            },
        }
    }
}

/// The state of `N` sponges: the first word of each, the second of each, and so on.
type Sponges<const N: usize> = [[u64; N]; 25];

/// The digests of `N` sponges, in the same layout.
type Digests<const N: usize> = [[u64; N]; 4];

/// Runs `N` sponges in parallel.
trait SideBySide<const N: usize> {
    /// Permutes, absorbs a block of padding only and permutes again if one `follows`, and returns
    /// the digests.
    fn digests(&self, sponges: &Sponges<N>, padding_follows: bool) -> Digests<N>;
}

/// [`KeccakBackend::find`] in groups of `N`.
fn find<const N: usize>(
    lanes: &impl SideBySide<N>,
    block: &Block,
    start: u64,
    count: u64,
    wanted: HashMask,
) -> Option<u64> {
    let mut sponges = block.state.map(|word| [word; N]);
    let [first, second] = block
        .at
        .map(|at| block.state.get(at).copied().unwrap_or_default());
    let mut tried = 0;
    while tried < count {
        let mut next = start.wrapping_add(tried);
        let words: [[u64; 2]; N] = core::array::from_fn(|_| {
            let words = block.words(next);
            next = next.wrapping_add(1);
            words
        });
        let [at_first, at_second] = block.at;
        if let Some(lanes) = sponges.get_mut(at_first) {
            *lanes = words.map(|[word, _]| first ^ word);
        }
        if let Some(lanes) = sponges.get_mut(at_second) {
            *lanes = words.map(|[_, word]| second ^ word);
        }

        let [head, .., tail] = lanes.digests(&sponges, block.padding_follows);
        let deciding = if wanted.last_word { tail } else { head };
        let hit = (tried..count)
            .zip(deciding)
            .find(|(_, word)| word & wanted.mask == 0);
        if let Some((at, _)) = hit {
            return Some(start.wrapping_add(at));
        }
        tried = next.wrapping_sub(start);
    }
    None
}

/// The contribution of a block of padding only: to the first word of a sponge and to its last.
const PADDING: [(usize, u64); 2] = [(0, 0x01), (16, 0x80 << 56)];

#[cfg(test)]
mod tests;
