//! The Equi-X puzzle that makes a thousand relays cost more than one.
//!
//! A descriptor is valid only with a solution for its relay and epoch. At the effort of the main
//! network finding one takes minutes of one core (three quarters of an hour where programs may not
//! write code), checking one a tenth of a millisecond. The search advances in bounded steps, so
//! that a shell can run it on a thread of its own and stop it.
//!
//! This is the only place that uses the crate `equix` (LGPL-3.0, see NOTICE). Our own searches may
//! compile the hash program to machine code; what strangers send is only ever interpreted, so
//! that no hostile challenge becomes code.

use core::fmt;

use blake2::{Blake2b256, Digest};
use equix::{EquiX, EquiXBuilder, RuntimeOption, Solution, SolverMemory};
use rand_core::CryptoRng;

use crate::ids::{Epoch, NetworkId, RelayKey};

/// What a descriptor shows for its puzzle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PuzzleSolution {
    /// Chosen by the relay; part of the challenge.
    pub nonce: [u8; 16],
    /// The Equi-X solution: eight 16-bit numbers, little-endian, in its tree order.
    pub solution: [u8; 16],
}

/// The search for a solution: one relay, one epoch.
pub struct PuzzleSearch {
    network: NetworkId,
    key: RelayKey,
    epoch: Epoch,
    effort: u32,
    nonce: u128,
    memory: SolverMemory,
}

impl PuzzleSearch {
    /// Prepares a search from a random nonce on; nothing is computed yet.
    ///
    /// `effort` is the mean number of Equi-X solutions to be found; a nonce gives two on average.
    /// Takes about 2 MB of memory.
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

    /// The epoch searched for.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Tries one nonce: about ten milliseconds, a hundred where the processor or the system does
    /// not let programs write code.
    ///
    /// After a solution the search can go on for another.
    #[must_use]
    pub fn step(&mut self) -> Option<PuzzleSolution> {
        let nonce = self.nonce.to_be_bytes();
        self.nonce = self.nonce.wrapping_add(1);
        let challenge = challenge(self.network, &self.key, self.epoch, nonce);
        // A few challenges give no usable hash program; the next nonce will.
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

/// Checks a solution that somebody sent.
///
/// The effort is judged first: it costs one hash, and hardly any guess passes it.
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

/// Whether the first 32 bits of BLAKE2b-256(challenge | solution), times the effort, stay below
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
    fn a_solution_holds_for_its_own_relay_epoch_and_network_only() {
        let found = search(1);
        assert!(is_solved(NETWORK, &KEY, EPOCH, 1, &found));
        assert!(!is_solved(NetworkId([4; 32]), &KEY, EPOCH, 1, &found));
        assert!(!is_solved(NETWORK, &RelayKey([6; 64]), EPOCH, 1, &found));
        assert!(!is_solved(NETWORK, &KEY, EPOCH.next(), 1, &found));
    }

    #[test]
    fn a_changed_nonce_or_solution_is_refused() {
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
    fn a_solution_below_the_effort_is_refused() {
        let found = search(8);
        assert!(is_solved(NETWORK, &KEY, EPOCH, 8, &found));
        assert!(!is_solved(NETWORK, &KEY, EPOCH, u32::MAX, &found));
    }

    #[test]
    fn the_effort_is_met_up_to_the_last_value_below_two_to_the_32() {
        // Any solution meets an effort of one, none an effort that no digest can reach.
        assert!(meets_effort(b"", &[0; 16], 1));
        let digest = Blake2b256::digest([0; 16]);
        let word = u32::from_be_bytes(digest[..4].try_into().unwrap());
        assert!(meets_effort(b"", &[0; 16], u32::MAX / word));
        assert!(!meets_effort(b"", &[0; 16], u32::MAX / word + 1));
    }
}
