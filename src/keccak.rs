//! Keccak-256 of many inputs at once: one in each lane of the processor's vectors.
//!
//! Compilers do not vectorize loops over Keccak, so the permutation is written with the processor's
//! own operations: eight lanes with AVX-512 (which rotates or mixes three words in one instruction
//! each), four with AVX2, and one, from the crate `keccak`, on all other processors. The program
//! detects the features at run time; a value of [`KeccakBackend`] is the proof of detection. Proof
//! of work searches nonces in the lanes, and the envelopes of a packet are hashed in them.
//!
//! This module and its submodules are the only ones of the project that contain `unsafe`: to call
//! functions that require a processor feature, and to read vectors as words (decision 10).

use core::fmt;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod bmi;
mod many;
#[cfg(target_arch = "x86_64")]
mod rounds;
mod running;
mod scalar;
pub(crate) mod sponge;

use many::{HashAll, HashPairs};
pub use running::RunningKeccak;
pub(crate) use scalar::permute;

/// The Keccak-256 of each input, by the fastest means of this machine.
///
/// The lanes work on different inputs, of any lengths: forty envelopes of one packet take a quarter
/// of the time that they take one after the other.
#[must_use]
pub fn hash_all(inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    KeccakBackend::fastest().hash_all(inputs)
}

/// The Keccak-256 of each input, and of its beginning of this length, by the fastest means of this
/// machine. All blocks before the end of the beginning are hashed once for both.
#[must_use]
pub(crate) fn hash_pairs(inputs: &[(&[u8], usize)]) -> Vec<HashPair> {
    KeccakBackend::fastest().hash_pairs(inputs)
}

/// The Keccak-256 of an input, and that of a beginning of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct HashPair {
    /// Of the whole input.
    pub(crate) whole: [u8; 32],
    /// Of its beginning.
    pub(crate) beginning: [u8; 32],
}

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

    /// The widest that this machine supports. The processor is asked once for each process.
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

    /// Number of inputs hashed at once.
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

    /// [`hash_all`] by this backend.
    #[must_use]
    pub fn hash_all(self, inputs: &[&[u8]]) -> Vec<[u8; 32]> {
        self.run(HashAll { inputs })
    }

    /// [`hash_pairs`] by this backend.
    pub(crate) fn hash_pairs(self, inputs: &[(&[u8], usize)]) -> Vec<HashPair> {
        self.run(HashPairs { inputs })
    }

    /// Runs a task in the lanes of this backend.
    pub(crate) fn run<T: LaneTask>(self, task: T) -> T::Output {
        match self.0 {
            BackendKind::Scalar(lanes) => task.run(&lanes),
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx2(lanes) => task.run(&lanes),
            #[cfg(target_arch = "x86_64")]
            BackendKind::Avx512(lanes) => task.run::<8>(&lanes),
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

/// Work for the lanes of any backend.
pub(crate) trait LaneTask {
    /// What the work yields.
    type Output;

    /// Does the work, in groups of `N`.
    fn run<const N: usize>(self, lanes: &impl SideBySide<N>) -> Self::Output;
}

/// The state of `N` sponges: the first word of each, the second of each, and so on.
pub(crate) type Sponges<const N: usize> = [[u64; N]; 25];

/// The digests of `N` sponges, in the same layout.
pub(crate) type Digests<const N: usize> = [[u64; N]; 4];

/// Runs `N` sponges in parallel.
pub(crate) trait SideBySide<const N: usize> {
    /// Permutes each sponge.
    fn permute(&self, sponges: &mut Sponges<N>);

    /// Permutes, absorbs a block of padding only and permutes again if one `follows`, and returns
    /// the digests.
    fn digests(&self, sponges: &Sponges<N>, padding_follows: bool) -> Digests<N>;

    /// Four lanes that take less time than these, for four sponges or fewer.
    fn half(&self) -> Option<&dyn SideBySide<4>> {
        None
    }
}

/// The contribution of a block of padding only: to the first word of a sponge and to its last.
const PADDING: [(usize, u64); 2] = [(0, 0x01), (16, 0x80 << 56)];

#[cfg(test)]
mod tests;
