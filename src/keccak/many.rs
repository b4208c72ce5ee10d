//! Whole inputs of any lengths, side by side: a lane that has finished one takes the next.
//!
//! The last input alone would leave all other lanes empty, and one permutation of all lanes takes
//! longer than a plain one. It therefore goes on by itself, so that a packet with one long envelope
//! costs no more than it would alone.

use keccak::State1600;

use super::sponge::{RATE, absorb, absorb_padding, digest_of};
use super::{LaneTask, SideBySide, Sponges, permute};

/// The Keccak-256 of each input.
pub(super) struct HashAll<'a> {
    pub(super) inputs: &'a [&'a [u8]],
}

impl LaneTask for HashAll<'_> {
    type Output = Vec<[u8; 32]>;

    fn run<const N: usize>(self, lanes: &impl SideBySide<N>) -> Vec<[u8; 32]> {
        let mut digests = vec![[0; 32]; self.inputs.len()];
        let mut waiting = self.inputs.iter().zip(&mut digests);
        let mut sponges = [[0; N]; 25];
        let mut absorbing: [_; N] = core::array::from_fn(|_| waiting.next().map(Absorbing::new));
        loop {
            match absorbing.iter_mut().flatten().count() {
                0 => break,
                1 if waiting.len() == 0 => {
                    finish_alone(&mut absorbing, &sponges);
                    break;
                }
                _ => {}
            }
            for (lane, input) in absorbing.iter_mut().enumerate() {
                if let Some(input) = input {
                    let words = sponges.iter_mut();
                    input.absorb_block(words.filter_map(|words| words.get_mut(lane)));
                }
            }
            lanes.permute(&mut sponges);
            for (lane, place) in absorbing.iter_mut().enumerate() {
                if let Some(input) = place.take_if(|input| input.is_complete) {
                    *input.digest = digest_of(&column(&sponges, lane));
                    clear(&mut sponges, lane);
                    *place = waiting.next().map(Absorbing::new);
                }
            }
        }
        digests
    }
}

/// One input on its way through a sponge.
struct Absorbing<'a> {
    /// What is not absorbed yet.
    rest: &'a [u8],
    digest: &'a mut [u8; 32],
    /// Whether the block with the padding was absorbed.
    is_complete: bool,
}

impl<'a> Absorbing<'a> {
    const fn new((input, digest): (&&'a [u8], &'a mut [u8; 32])) -> Self {
        Self {
            rest: input,
            digest,
            is_complete: false,
        }
    }

    /// Adds the next block to the words of a sponge.
    #[inline]
    fn absorb_block<'w>(&mut self, mut words: impl Iterator<Item = &'w mut u64>) {
        match self.rest.split_first_chunk::<RATE>() {
            Some((block, rest)) => {
                self.rest = rest;
                absorb(words, block);
            }
            None => {
                self.is_complete = true;
                let mut last = [0; 25];
                absorb(last.iter_mut(), self.rest);
                absorb_padding(last.iter_mut(), self.rest.len());
                for (sum, word) in words.by_ref().zip(last) {
                    *sum ^= word;
                }
            }
        }
    }
}

/// Hashes the rest of the only input that is left.
fn finish_alone<const N: usize>(absorbing: &mut [Option<Absorbing<'_>>; N], sponges: &Sponges<N>) {
    for (lane, input) in absorbing.iter_mut().enumerate() {
        let Some(input) = input else { continue };
        let mut state = column(sponges, lane);
        while !input.is_complete {
            input.absorb_block(state.iter_mut());
            permute(&mut state);
        }
        *input.digest = digest_of(&state);
    }
}

/// The sponge in one lane.
fn column<const N: usize>(sponges: &Sponges<N>, lane: usize) -> State1600 {
    sponges.map(|words| words.get(lane).copied().unwrap_or_default())
}

/// Empties the sponge in one lane.
fn clear<const N: usize>(sponges: &mut Sponges<N>, lane: usize) {
    for words in sponges {
        if let Some(word) = words.get_mut(lane) {
            *word = 0;
        }
    }
}
