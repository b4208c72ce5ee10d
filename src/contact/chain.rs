//! Chains of single-use keys: from the secret of an epoch, a key and topics for each step.
//!
//! The state of a chain leads to all later steps and to none before, so it is erased with each step. A
//! receiver keeps the keys of the steps that it awaits, never a state that leads back to them. This module
//! decides about no message; `conversation` does.

use zeroize::Zeroizing;

use super::kdf::{Key32, Label, expand};
use crate::envelope::Topic;

mod receiving;
mod sending;
#[cfg(test)]
mod tests;

pub(super) use self::receiving::ReceivingChain;
pub(super) use self::sending::SendingChain;

/// The key of one step, M: the secret from which both ends derive topic and key of its envelopes.
pub struct StepKey(Key32);

impl StepKey {
    /// Wraps the secret of a step.
    #[must_use]
    pub const fn new(secret: Key32) -> Self {
        Self(secret)
    }

    /// A second owner of the secret, for a job that opens or seals while the conversation keeps it.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(Zeroizing::new(*self.0))
    }

    /// The topic of one envelope of the step.
    #[must_use]
    pub fn topic(&self, shard: u8) -> Topic {
        Topic(*expand::<4>(&self.0, Label::CONV_TOPIC, &[&[shard]]))
    }

    /// The outer key of one envelope of the step. The salt is drawn for each envelope and travels in
    /// front, so that a state restored from a backup never uses a key twice.
    #[must_use]
    pub fn key(&self, shard: u8, salt: &[u8; 32]) -> Key32 {
        expand::<32>(&self.0, Label::CONV_KEY, &[&[shard], salt])
    }

    /// The secret, for the record of the state.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Who sends on a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// The person who wrote first.
    FromInitiator,
    /// The owner of the card.
    FromReader,
}

impl Direction {
    /// The byte in derivations.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::FromInitiator => 0,
            Self::FromReader => 1,
        }
    }

    /// The opposite direction.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::FromInitiator => Self::FromReader,
            Self::FromReader => Self::FromInitiator,
        }
    }
}

/// Steps above the highest opened one that a receiver awaits.
pub const WINDOW: u32 = 64;
/// Skipped steps that a receiver keeps.
pub const MAX_SKIPPED: usize = 64;
/// Unacknowledged steps of a sender. Olm keeps keys for no more skipped messages.
pub const MAX_UNACKED: u32 = 40;
/// How far a resync moves a chain. Spec M15 bounds the steps that a receiver derives for one message.
pub const MAX_JUMP: u32 = 4_096;
/// How long the key of a skipped step is kept: the longest life of an envelope, and a margin.
pub const KEEP_SECS: u32 = 80 * 3_600;

/// The state of a chain before a step, T.
pub(super) struct ChainState(Key32);

impl ChainState {
    /// The start of a chain of an epoch.
    pub(super) fn start(epoch_secret: &Key32, direction: Direction) -> Self {
        let info = [direction.byte()];
        Self(expand::<32>(epoch_secret, Label::CONV_CHAIN, &[&info]))
    }

    /// The key of the step; the state moves to the next one, and the old state is erased.
    pub(super) fn step(&mut self) -> StepKey {
        let key = expand::<32>(&self.0, Label::CONV_MESSAGE, &[]);
        self.0 = expand::<32>(&self.0, Label::CONV_NEXT, &[]);
        StepKey::new(key)
    }
}
