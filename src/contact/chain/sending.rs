//! The chain on which this end sends, and how far the peer has acknowledged it.

use super::{ChainState, Direction, MAX_UNACKED, StepKey, WINDOW};
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::kdf::Key32;

/// The chain on which this end sends.
pub(in crate::contact) struct SendingChain {
    state: ChainState,
    next: u32,
    /// First index after the last attempt of an acknowledged message.
    acked: u32,
    /// First index that the peer has certainly reached: which attempt of a message came is not known, so
    /// the first one counts, and none if the message was attempted elsewhere before.
    reached: u32,
    attempts: Vec<Attempts>,
}

/// The attempts of a message without acknowledgement.
struct Attempts {
    number: u64,
    /// First index after the first attempt; 0 if that was made elsewhere.
    first: u32,
    /// First index after the last attempt.
    last: u32,
}

impl SendingChain {
    pub(in crate::contact) fn start(epoch_secret: &Key32, direction: Direction) -> Self {
        Self {
            state: ChainState::start(epoch_secret, direction),
            next: 0,
            acked: 0,
            reached: 0,
            attempts: Vec::new(),
        }
    }

    /// Whether the peer has acknowledged too little for another step: its ratchet keeps keys for so many
    /// skipped messages, and its window ends at the reached index.
    pub(in crate::contact) const fn is_blocked(&self) -> bool {
        self.next.saturating_sub(self.acked) >= MAX_UNACKED
            || self.next.saturating_sub(self.reached) >= WINDOW
            || self.next == u32::MAX
    }

    /// The index of the next step.
    pub(in crate::contact) const fn next(&self) -> u32 {
        self.next
    }

    /// The key of the next step, for an attempt of a message. `is_certain` is whether no attempt of it was
    /// made elsewhere.
    pub(in crate::contact) fn step(&mut self, number: u64, is_certain: bool) -> StepKey {
        self.next = self.next.saturating_add(1);
        self.note(number, is_certain);
        self.state.step()
    }

    /// Notes an attempt outside the chain that tells the peer the next index: its acknowledgement counts
    /// for all indices before.
    pub(in crate::contact) fn note(&mut self, number: u64, is_certain: bool) {
        let next = self.next;
        let mut known = self.attempts.iter_mut();
        match known.find(|attempts| attempts.number == number) {
            Some(attempts) => attempts.last = next,
            None => self.attempts.push(Attempts {
                number,
                first: if is_certain { next } else { 0 },
                last: next,
            }),
        }
    }

    /// Forgets the attempts of a message that is given up: the peer may acknowledge it without having it.
    pub(in crate::contact) fn forget(&mut self, number: u64) {
        self.attempts.retain(|attempts| attempts.number != number);
    }

    /// Takes the acknowledgement of messages.
    pub(in crate::contact) fn acknowledge(&mut self, is_acked: impl Fn(u64) -> bool) {
        let (acked, reached) = (&mut self.acked, &mut self.reached);
        self.attempts.retain(|attempts| {
            let keep = !is_acked(attempts.number);
            if !keep {
                *acked = (*acked).max(attempts.last);
                *reached = (*reached).max(attempts.first);
            }
            keep
        });
    }

    pub(in crate::contact) fn write(&self, writer: &mut StateWriter) {
        writer.array(self.state.0.as_slice());
        writer.u32(self.next);
        writer.u32(self.acked);
        writer.u32(self.reached);
        writer.list(self.attempts.iter(), |w, attempts| {
            w.u64(attempts.number);
            w.u32(attempts.first);
            w.u32(attempts.last);
        });
    }

    pub(in crate::contact) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        Ok(Self {
            state: ChainState(reader.key()?),
            next: reader.u32()?,
            acked: reader.u32()?,
            reached: reader.u32()?,
            attempts: reader.list(MAX_ATTEMPTS, |r| {
                Ok(Attempts {
                    number: r.u64()?,
                    first: r.u32()?,
                    last: r.u32()?,
                })
            })?,
        })
    }
}

/// Messages without acknowledgement are bounded far below.
const MAX_ATTEMPTS: usize = 1_024;
