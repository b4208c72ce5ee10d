//! A random number generator whose state does not lead back to what it produced.
//!
//! A node draws onion keys, path keys, cookies and delays from one seed. With a plain stream cipher
//! as the generator, a copy of the process memory would give back every number since the start: the
//! keys that were erased at the end of their epoch, and with them the paths of all recorded cells.
//! [`ErasingRng`] erases its key at each refill and its output as it is read (fast key erasure:
//! Bernstein, 2017, <https://blog.cr.yp.to/20170723-random.html>). A copy of its memory reveals
//! future output until the next [`ErasingRng::reseed`], and no past output.
//!
//! Equal seeds and equal calls give equal output, so a simulator can replay a node. This module does
//! not ask the operating system for entropy: a shell passes it in.

use core::convert::Infallible;
use core::fmt;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use rand_core::{Rng, TryCryptoRng, TryRng};
use zeroize::{Zeroize, Zeroizing};

/// A ChaCha20 generator with fast key erasure.
///
/// It has no `Clone`: two copies would draw the same keys. The state is on the heap, so that a move
/// leaves no copy behind.
///
/// ```compile_fail
/// let rng = circuits::erasing_rng::ErasingRng::from_seed(&[1; 32]);
/// let _copy = rng.clone();
/// ```
pub struct ErasingRng(Box<State>);

struct State {
    /// The key of the next refill.
    key: [u8; KEY_LEN],
    /// Output of this refill. What was read is zero.
    output: [u8; OUTPUT_LEN],
    /// Offset of the first unread byte of the output.
    read: usize,
}

impl ErasingRng {
    /// A generator that is determined by `seed`. The caller wipes the seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; KEY_LEN]) -> Self {
        let mut rng = Self(Box::new(State {
            key: [0; KEY_LEN],
            output: [0; OUTPUT_LEN],
            read: OUTPUT_LEN,
        }));
        rng.reseed(seed);
        rng
    }

    /// Mixes entropy into the state, and discards unread output.
    ///
    /// The next output is unpredictable if the earlier state *or* the entropy is: a node that was
    /// restored from a copy of its memory does not repeat its draws, and hostile entropy does no
    /// harm.
    pub fn reseed(&mut self, entropy: &[u8; KEY_LEN]) {
        let state = &mut *self.0;
        for (byte, more) in state.key.iter_mut().zip(entropy) {
            *byte ^= more;
        }
        state.refill();
    }

    /// A generator for one purpose. Its output says nothing of this one's, and the draws for one
    /// purpose do not shift those for another.
    #[must_use]
    pub fn child(&mut self) -> Self {
        Self::from_seed(&self.seed())
    }

    /// A seed for a generator that is kept elsewhere.
    #[must_use]
    pub fn seed(&mut self) -> Zeroizing<[u8; KEY_LEN]> {
        let mut seed = Zeroizing::new([0; KEY_LEN]);
        self.fill_bytes(&mut *seed);
        seed
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read(&mut bytes);
        bytes
    }
}

impl State {
    /// Replaces the key, and the output with what the old key generates.
    fn refill(&mut self) {
        // Each key generates one keystream, so a fixed nonce is safe.
        let mut keystream = ChaCha20::new((&self.key).into(), &[0; NONCE_LEN].into());
        self.key.zeroize();
        self.output.zeroize();
        keystream.apply_keystream(&mut self.key);
        keystream.apply_keystream(&mut self.output);
        self.read = 0;
    }

    /// Moves unread output to `target`.
    fn read(&mut self, mut target: &mut [u8]) {
        while !target.is_empty() {
            if self.read >= OUTPUT_LEN {
                self.refill();
            }
            let (_, unread) = self.output.split_at_mut(self.read);
            let len = unread.len().min(target.len());
            let (taken, rest) = target.split_at_mut(len);
            let (source, _) = unread.split_at_mut(len);
            taken.copy_from_slice(source);
            source.zeroize();
            self.read = self.read.saturating_add(len);
            target = rest;
        }
    }
}

impl TryRng for ErasingRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        self.0.read(target);
        Ok(())
    }
}

impl TryCryptoRng for ErasingRng {}

impl Drop for State {
    fn drop(&mut self) {
        self.key.zeroize();
        self.output.zeroize();
    }
}

impl fmt::Debug for ErasingRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasingRng(..)")
    }
}

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;
/// Sixteen blocks of ChaCha20, less the half block that becomes the next key.
const OUTPUT_LEN: usize = 1_024 - KEY_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(rng: &mut ErasingRng) -> [u8; 32] {
        rng.take()
    }

    /// Whether any 8 consecutive bytes of `needle` are in the state.
    fn state_has(rng: &ErasingRng, needle: &[u8]) -> bool {
        let state = [&rng.0.key[..], &rng.0.output].concat();
        let found = |part| state.windows(8).any(|own| own == part);
        needle.windows(8).any(found)
    }

    #[test]
    fn equal_seeds_give_equal_output() {
        let (mut one, mut two) = (
            ErasingRng::from_seed(&[3; 32]),
            ErasingRng::from_seed(&[3; 32]),
        );
        let mut long = [0; 5_000];
        one.fill_bytes(&mut long);
        // In steps of other sizes, the same bytes.
        for expected in long.chunks(7) {
            let mut bytes = vec![0; expected.len()];
            two.fill_bytes(&mut bytes);
            assert_eq!(bytes, expected);
        }
        assert_ne!(draw(&mut ErasingRng::from_seed(&[4; 32])), long[..32]);
    }

    #[test]
    fn first_output_is_the_keystream_behind_the_next_key() {
        let mut stream = [0; 1_024];
        ChaCha20::new(&[3; 32].into(), &[0; 12].into()).apply_keystream(&mut stream);
        let mut rng = ErasingRng::from_seed(&[3; 32]);
        assert_eq!(draw(&mut rng), stream[32..64]);
        assert_eq!(rng.0.key, stream[..32]);
    }

    #[test]
    fn output_that_was_read_is_not_in_the_state() {
        let mut rng = ErasingRng::from_seed(&[3; 32]);
        let drawn = draw(&mut rng);
        assert!(!state_has(&rng, &drawn));
        assert!(rng.0.output[..32].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn refill_erases_the_key_that_would_regenerate_earlier_output() {
        let mut rng = ErasingRng::from_seed(&[3; 32]);
        let key = rng.0.key;
        rng.fill_bytes(&mut [0; OUTPUT_LEN + 1]);
        assert!(!state_has(&rng, &key));
        assert!(!state_has(&rng, &[3; 32]));
    }

    #[test]
    fn reseed_discards_output_that_a_copy_of_the_state_predicts() {
        let (mut kept, mut copy) = (
            ErasingRng::from_seed(&[3; 32]),
            ErasingRng::from_seed(&[3; 32]),
        );
        kept.reseed(&[9; 32]);
        assert_ne!(draw(&mut kept), draw(&mut copy));
        // The same entropy keeps a simulation deterministic.
        let (mut one, mut two) = (
            ErasingRng::from_seed(&[3; 32]),
            ErasingRng::from_seed(&[3; 32]),
        );
        one.reseed(&[9; 32]);
        two.reseed(&[9; 32]);
        assert_eq!(draw(&mut one), draw(&mut two));
    }

    #[test]
    fn child_draws_do_not_shift_the_parent() {
        let (mut one, mut two) = (
            ErasingRng::from_seed(&[3; 32]),
            ErasingRng::from_seed(&[3; 32]),
        );
        let (mut busy, mut idle) = (one.child(), two.child());
        busy.fill_bytes(&mut [0; 3_000]);
        assert_eq!(draw(&mut one), draw(&mut two));
        assert_ne!(draw(&mut busy), draw(&mut idle));
    }

    #[test]
    fn debug_output_shows_no_state() {
        assert_eq!(
            format!("{:?}", ErasingRng::from_seed(&[3; 32])),
            "ErasingRng(..)"
        );
    }
}
