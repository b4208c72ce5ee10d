//! Whole inputs of any lengths, side by side: a lane that has finished one takes the next.
//!
//! A beginning of an input can be hashed together with it. Both share all blocks before the end of
//! the beginning: there the state is copied, and the copy waits for a lane of its own.
//!
//! The last input alone would leave all other lanes empty, and one permutation of all lanes takes
//! longer than a plain one. It therefore goes on by itself, so that a packet with one long envelope
//! costs no more than it would alone.

use keccak::State1600;

use super::sponge::{RATE, absorb, digest_of, padded_block};
use super::{HashPair, LaneTask, SideBySide, Sponges, permute};

/// The Keccak-256 of each input.
pub(super) struct HashAll<'a> {
    pub(super) inputs: &'a [&'a [u8]],
}

impl LaneTask for HashAll<'_> {
    type Output = Vec<[u8; 32]>;

    fn run<const N: usize>(self, lanes: &impl SideBySide<N>) -> Vec<[u8; 32]> {
        let mut digests = vec![[0; 32]; self.inputs.len()];
        let inputs = self.inputs.iter().zip(&mut digests);
        run_all(
            lanes,
            inputs.map(|(input, digest)| Absorbing::new(input, digest)),
        );
        digests
    }
}

/// The Keccak-256 of each input, and of its first bytes.
pub(super) struct HashPairs<'a> {
    /// Each with the length of the beginning.
    pub(super) inputs: &'a [(&'a [u8], usize)],
}

impl LaneTask for HashPairs<'_> {
    type Output = Vec<HashPair>;

    fn run<const N: usize>(self, lanes: &impl SideBySide<N>) -> Vec<HashPair> {
        let mut pairs = vec![HashPair::default(); self.inputs.len()];
        let inputs = self.inputs.iter().zip(&mut pairs);
        run_all(
            lanes,
            inputs.map(|((input, len), pair)| Absorbing {
                fork: Some((*len, &mut pair.beginning)),
                ..Absorbing::new(input, &mut pair.whole)
            }),
        );
        pairs
    }
}

/// Hashes all inputs. Copies wait until every input has a lane: the inputs are longer, and what is
/// short fills the lanes at the end.
fn run_all<'a, const N: usize>(
    lanes: &(impl SideBySide<N> + ?Sized),
    mut waiting: impl Iterator<Item = Absorbing<'a>>,
) {
    run(lanes, &mut |copies| {
        let input = waiting.next().map(|input| (input, [0; 25]));
        input.or_else(|| copies.pop())
    });
}

/// Hashes all inputs that `next` yields; it may take one of the copies that wait for a lane.
fn run<'a, const N: usize>(
    lanes: &(impl SideBySide<N> + ?Sized),
    next: &mut dyn FnMut(&mut Vec<Started<'a>>) -> Option<Started<'a>>,
) {
    let mut copies: Vec<Started<'a>> = Vec::with_capacity(N);
    let mut sponges = [[0; N]; 25];
    let mut absorbing: [_; N] = core::array::from_fn(|_| None);
    loop {
        for (lane, place) in absorbing.iter_mut().enumerate() {
            if place.is_none()
                && let Some((input, state)) = next(&mut copies)
            {
                set_column(&mut sponges, lane, &state);
                *place = Some(input);
            }
        }
        // The lanes are filled, so nothing waits if one of several is empty.
        match absorbing.iter().flatten().count() {
            0 => return,
            1 if N > 1 => return leave_lanes(&sponges, &mut absorbing).for_each(finish_alone),
            2..=4 if let Some(half) = lanes.half() => {
                let mut rest = leave_lanes(&sponges, &mut absorbing);
                return run(half, &mut |copies| rest.next().or_else(|| copies.pop()));
            }
            _ => {}
        }
        for (lane, input) in absorbing.iter_mut().enumerate() {
            if let Some(input) = input {
                copies.extend(input.take_copy(|| column(&sponges, lane)));
                let words = sponges.iter_mut();
                input.absorb_block(words.filter_map(|words| words.get_mut(lane)));
            }
        }
        lanes.permute(&mut sponges);
        for (lane, place) in absorbing.iter_mut().enumerate() {
            if let Some(input) = place.take_if(|input| input.is_complete) {
                *input.digest = digest_of(lane_words(&sponges, lane));
            }
        }
    }
}

/// An input, and the state of the sponge that absorbed what precedes it.
type Started<'a> = (Absorbing<'a>, State1600);

/// One input on its way through a sponge.
struct Absorbing<'a> {
    /// What is not absorbed yet.
    rest: &'a [u8],
    digest: &'a mut [u8; 32],
    /// The number of bytes of `rest` that are in a beginning of the input, and its digest.
    fork: Option<(usize, &'a mut [u8; 32])>,
    /// Whether the block with the padding was absorbed.
    is_complete: bool,
}

impl<'a> Absorbing<'a> {
    const fn new(input: &'a [u8], digest: &'a mut [u8; 32]) -> Self {
        Self {
            rest: input,
            digest,
            fork: None,
            is_complete: false,
        }
    }

    /// The beginning, once it has less than a block left; `state` has absorbed what precedes.
    fn take_copy(&mut self, state: impl FnOnce() -> State1600) -> Option<Started<'a>> {
        let (len, digest) = self.fork.take_if(|(left, _)| *left < RATE)?;
        let rest = self.rest.get(..len).unwrap_or(self.rest);
        Some((Self::new(rest, digest), state()))
    }

    /// Adds the next block to the words of a sponge.
    #[inline]
    fn absorb_block<'w>(&mut self, words: impl Iterator<Item = &'w mut u64>) {
        match self.rest.split_first_chunk::<RATE>() {
            Some((block, rest)) => {
                self.rest = rest;
                if let Some((left, _)) = &mut self.fork {
                    *left = left.saturating_sub(RATE);
                }
                absorb(words, block);
            }
            None => {
                self.is_complete = true;
                absorb(words, &padded_block(self.rest, self.rest.len()));
            }
        }
    }
}

/// Takes the inputs out of their lanes.
fn leave_lanes<'a, const N: usize>(
    sponges: &Sponges<N>,
    absorbing: &mut [Option<Absorbing<'a>>; N],
) -> impl Iterator<Item = Started<'a>> {
    let lanes = absorbing.iter_mut().enumerate();
    lanes.filter_map(|(lane, place)| Some((place.take()?, column(sponges, lane))))
}

/// Hashes the rest of the only input that is left.
fn finish_alone((mut input, mut state): Started<'_>) {
    while !input.is_complete {
        if let Some(beginning) = input.take_copy(|| state) {
            finish_alone(beginning);
        }
        input.absorb_block(state.iter_mut());
        permute(&mut state);
    }
    *input.digest = digest_of(state.into_iter());
}

/// The words of the sponge in one lane.
fn lane_words<const N: usize>(sponges: &Sponges<N>, lane: usize) -> impl Iterator<Item = u64> {
    let words = sponges.iter();
    words.map(move |words| words.get(lane).copied().unwrap_or_default())
}

/// The sponge in one lane.
fn column<const N: usize>(sponges: &Sponges<N>, lane: usize) -> State1600 {
    let mut state = [0; 25];
    for (to, from) in state.iter_mut().zip(lane_words(sponges, lane)) {
        *to = from;
    }
    state
}

/// Writes the sponge in one lane.
fn set_column<const N: usize>(sponges: &mut Sponges<N>, lane: usize, state: &State1600) {
    for (words, new) in sponges.iter_mut().zip(state) {
        if let Some(word) = words.get_mut(lane) {
            *word = *new;
        }
    }
}
