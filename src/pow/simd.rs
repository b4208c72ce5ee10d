//! Keccak over many nonces at once: as many lanes as the processor's vectors have.
//!
//! Compilers do not turn loops over Keccak into vector code, so the permutation is written with
//! the processor's own operations: eight lanes with AVX-512 (which rotates and mixes three words
//! in one instruction each), four with AVX2, and one, from the crate `keccak`, on everything else.
//! Which of them is there is found out while the program runs, once for each search; a value of
//! [`KeccakBackend`] is the proof that it is.
//!
//! This module and those below it are the only ones of the project that contain `unsafe`: to call
//! what needs a processor's feature, and to read vectors as the words they are made of. What the
//! vectors find is believed only after the ordinary hash has confirmed it.

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

/// A way to hash that this machine can go.
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
    /// The names of all ways, slowest first, whether or not this machine can go them.
    pub const NAMES: [&'static str; 3] = ["scalar", "AVX2", "AVX-512"];

    /// The widest that this machine has.
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

    /// The way of this name, if this machine can go it.
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

    /// How many nonces it hashes at once.
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

    /// The first of `count` nonces from `start` that is wanted; `block` has to hold for all.
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

/// Which digests a search looks for: those in which the bits of one word that the mask names are
/// all zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashMask {
    last_word: bool,
    mask: u64,
}

impl HashMask {
    /// Digests in which a generation counts at least `bits`, of which no more than 64 are looked
    /// at.
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

/// The digests of `N` sponges, laid out in the same way.
type Digests<const N: usize> = [[u64; N]; 4];

/// Something that runs `N` sponges side by side.
trait SideBySide<const N: usize> {
    /// Permutes, after that takes in a block of mere padding if one `follows`, and gives the
    /// digests.
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

/// What a block of mere padding adds to a sponge: its first word and its last.
const PADDING: [(usize, u64); 2] = [(0, 0x01), (16, 0x80 << 56)];

#[cfg(test)]
mod tests;
