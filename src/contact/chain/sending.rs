//! The chain on which this end sends, and how far the peer has acknowledged it.

use super::{ChainState, Direction, MAX_UNACKED, StepKey};
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::kdf::Key32;

/// The chain on which this end sends.
pub(in crate::contact) struct SendingChain {
    state: ChainState,
    next: u32,
    /// First index after the highest one whose message is acknowledged.
    acked: u32,
    /// The number of each message without acknowledgement, and the first index after its last attempt.
    attempts: Vec<(u64, u32)>,
}

impl SendingChain {
    pub(in crate::contact) fn start(epoch_secret: &Key32, direction: Direction) -> Self {
        Self {
            state: ChainState::start(epoch_secret, direction),
            next: 0,
            acked: 0,
            attempts: Vec::new(),
        }
    }

    /// Whether the peer has acknowledged too little for another step.
    pub(in crate::contact) const fn is_blocked(&self) -> bool {
        self.next.saturating_sub(self.acked) >= MAX_UNACKED || self.next == u32::MAX
    }

    /// The index of the next step.
    pub(in crate::contact) const fn next(&self) -> u32 {
        self.next
    }

    /// The key of the next step, for an attempt of a message.
    pub(in crate::contact) fn step(&mut self, number: u64) -> StepKey {
        self.next = self.next.saturating_add(1);
        self.note(number);
        self.state.step()
    }

    /// Notes an attempt outside the chain that tells the peer the next index: its acknowledgement counts
    /// for all indices before.
    pub(in crate::contact) fn note(&mut self, number: u64) {
        self.attempts.retain(|(other, _)| *other != number);
        self.attempts.push((number, self.next));
    }

    /// Takes the acknowledgement of messages.
    pub(in crate::contact) fn acknowledge(&mut self, is_acked: impl Fn(u64) -> bool) {
        let acked = &mut self.acked;
        self.attempts.retain(|(number, after)| {
            let keep = !is_acked(*number);
            if !keep {
                *acked = (*acked).max(*after);
            }
            keep
        });
    }

    pub(in crate::contact) fn write(&self, writer: &mut StateWriter) {
        writer.array(self.state.0.as_slice());
        writer.u32(self.next);
        writer.u32(self.acked);
        writer.list(self.attempts.iter(), |w, (number, after)| {
            w.u64(*number);
            w.u32(*after);
        });
    }

    pub(in crate::contact) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        Ok(Self {
            state: ChainState(reader.key()?),
            next: reader.u32()?,
            acked: reader.u32()?,
            attempts: reader.list(MAX_ATTEMPTS, |r| Ok((r.u64()?, r.u32()?)))?,
        })
    }
}

/// Messages without acknowledgement are bounded far below.
const MAX_ATTEMPTS: usize = 1_024;
