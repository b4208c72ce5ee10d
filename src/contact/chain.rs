//! Chains of single-use keys: from the secret of an epoch, a key and topics for each step.
//!
//! The state of a chain leads to all later steps and to no earlier one, so it is erased with each step
//! (docs/wire/contact.md, section Conversations). This module derives keys. It decides about no window
//! and counts no acknowledgement; `conversation` does.

use zeroize::Zeroizing;

use super::kdf::{Key32, Label, expand};
use crate::envelope::Topic;

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

/// The state of a chain before a step, T.
pub struct ChainState(Key32);

impl ChainState {
    /// The start of a chain of an epoch.
    #[must_use]
    pub fn start(epoch_secret: &[u8; 32], direction: Direction) -> Self {
        let info = [direction.byte()];
        Self(expand::<32>(epoch_secret, Label::CONV_CHAIN, &[&info]))
    }

    /// The key of the step; the state moves to the next one, and the old state is erased.
    pub fn step(&mut self) -> StepKey {
        let key = expand::<32>(&self.0, Label::CONV_MESSAGE, &[]);
        self.0 = expand::<32>(&self.0, Label::CONV_NEXT, &[]);
        StepKey(key)
    }

    /// Wraps the state of a record.
    #[must_use]
    pub const fn new(state: Key32) -> Self {
        Self(state)
    }

    /// The state, for the record.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}
