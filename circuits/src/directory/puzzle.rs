//! The Equi-X puzzle of a descriptor, which makes many relays expensive for one operator.
//!
//! A descriptor is valid only with a solution for its relay and epoch. At the effort of the main
//! network, a search takes minutes of one core (three quarters of an hour if the system forbids
//! generated machine code), and a check takes a tenth of a millisecond. The search advances in
//! bounded steps, so that a shell can run it on its own thread and stop it.
//!
//! This is the only module that uses the crate `equix` (LGPL-3.0, see NOTICE). The node's own
//! searches may compile the hash program to machine code. Received solutions are only interpreted,
//! so that a hostile challenge never becomes code.

use core::fmt;

use blake2::{Blake2b256, Digest};
use equix::{EquiX, EquiXBuilder, RuntimeOption, Solution, SolverMemory};
use rand_core::CryptoRng;

use crate::ids::{Epoch, NetworkId, RelayKey};

/// The solved puzzle in a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PuzzleSolution {
    /// Chosen by the relay; part of the challenge.
    pub nonce: [u8; 16],
    /// The Equi-X solution: eight 16-bit numbers, little-endian, in its tree order.
    pub solution: [u8; 16],
}

/// A search for a solution, for one relay and one epoch.
pub struct PuzzleSearch {
    network: NetworkId,
    key: RelayKey,
    epoch: Epoch,
    effort: u32,
    nonce: u128,
    memory: SolverMemory,
}

impl PuzzleSearch {
    /// Prepares a search that starts at a random nonce.
    ///
    /// `effort` is the mean number of Equi-X solutions until one is accepted; each nonce gives two
    /// on average. The search takes about 2 MB of memory.
    #[must_use]
    pub fn new(
        network: NetworkId,
        key: RelayKey,
        epoch: Epoch,
        effort: u32,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        Self {
            network,
            key,
            epoch,
            effort,
            nonce: u128::from_be_bytes(nonce),
            memory: SolverMemory::new(),
        }
    }

    /// The epoch of the search.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The mean number of solutions until one is accepted.
    #[must_use]
    pub const fn effort(&self) -> u32 {
        self.effort
    }

    /// Tries one nonce: about 10 ms, or 100 ms if the processor or the system forbids generated
    /// machine code.
    ///
    /// After a solution, the search can continue and find another one.
    #[must_use]
    pub fn step(&mut self) -> Option<PuzzleSolution> {
        let nonce = self.nonce.to_be_bytes();
        self.nonce = self.nonce.wrapping_add(1);
        let challenge = challenge(self.network, &self.key, self.epoch, nonce);
        // A few challenges give no usable hash program; the search then continues with the next
        // nonce.
        let puzzle = EquiX::new(&challenge).ok()?;
        puzzle
            .solve_with_memory(&mut self.memory)
            .iter()
            .map(Solution::to_bytes)
            .find(|solution| meets_effort(&challenge, solution, self.effort))
            .map(|solution| PuzzleSolution { nonce, solution })
    }
}

impl fmt::Debug for PuzzleSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PuzzleSearch")
            .field("epoch", &self.epoch)
            .field("effort", &self.effort)
            .finish_non_exhaustive()
    }
}

/// Checks a received solution.
///
/// The effort is checked first: it costs one hash and rejects almost every invalid solution.
pub(super) fn is_solved(
    network: NetworkId,
    key: &RelayKey,
    epoch: Epoch,
    effort: u32,
    found: &PuzzleSolution,
) -> bool {
    let challenge = challenge(network, key, epoch, found.nonce);
    let Ok(solution) = Solution::try_from_bytes(&found.solution) else {
        return false;
    };
    meets_effort(&challenge, &found.solution, effort)
        && EquiXBuilder::new()
            .runtime(RuntimeOption::InterpretOnly)
            .verify(&challenge, &solution)
            .is_ok()
}

/// `"whisht/1/descriptor-pow" | network id | key | epoch | nonce` (spec F10).
fn challenge(network: NetworkId, key: &RelayKey, epoch: Epoch, nonce: [u8; 16]) -> Vec<u8> {
    [LABEL, &network.0, &key.0, &epoch.0.to_be_bytes(), &nonce].concat()
}

/// Whether the first 32 bits of BLAKE2b-256(challenge | solution), times the effort, are below
/// 2^32.
fn meets_effort(challenge: &[u8], solution: &[u8; 16], effort: u32) -> bool {
    let digest = Blake2b256::new()
        .chain_update(challenge)
        .chain_update(solution)
        .finalize();
    let Some((head, _)) = digest.split_first_chunk::<4>() else {
        return false;
    };
    u32::from_be_bytes(*head).checked_mul(effort).is_some()
}

const LABEL: &[u8] = b"whisht/1/descriptor-pow";

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const NETWORK: NetworkId = NetworkId([3; 32]);
    const KEY: RelayKey = RelayKey([5; 64]);
    const EPOCH: Epoch = Epoch(41_000);

    fn search(effort: u32) -> PuzzleSolution {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut search = PuzzleSearch::new(NETWORK, KEY, EPOCH, effort, &mut rng);
        core::iter::repeat_with(|| search.step())
            .flatten()
            .next()
            .unwrap()
    }

    #[test]
    fn puzzle_solution_is_bound_to_relay_epoch_and_network() {
        let found = search(1);
        assert!(is_solved(NETWORK, &KEY, EPOCH, 1, &found));
        assert!(!is_solved(NetworkId([4; 32]), &KEY, EPOCH, 1, &found));
        assert!(!is_solved(NETWORK, &RelayKey([6; 64]), EPOCH, 1, &found));
        assert!(!is_solved(NETWORK, &KEY, EPOCH.next(), 1, &found));
    }

    #[test]
    fn puzzle_with_flipped_nonce_or_solution_bit_is_refused() {
        let found = search(1);
        for bit in 0..128_usize {
            let flip = 1 << (bit % 8);
            let mut other = found;
            other.nonce[bit / 8] ^= flip;
            assert!(
                !is_solved(NETWORK, &KEY, EPOCH, 1, &other),
                "nonce bit {bit}"
            );
            let mut other = found;
            other.solution[bit / 8] ^= flip;
            assert!(
                !is_solved(NETWORK, &KEY, EPOCH, 1, &other),
                "solution bit {bit}"
            );
        }
    }

    #[test]
    fn puzzle_solution_below_effort_is_refused() {
        let found = search(8);
        assert!(is_solved(NETWORK, &KEY, EPOCH, 8, &found));
        assert!(!is_solved(NETWORK, &KEY, EPOCH, u32::MAX, &found));
    }

    #[test]
    fn effort_is_met_if_product_is_below_two_to_the_32() {
        // Every solution meets an effort of one.
        assert!(meets_effort(b"", &[0; 16], 1));
        let digest = Blake2b256::digest([0; 16]);
        let word = u32::from_be_bytes(digest[..4].try_into().unwrap());
        assert!(meets_effort(b"", &[0; 16], u32::MAX / word));
        assert!(!meets_effort(b"", &[0; 16], u32::MAX / word + 1));
    }
}
