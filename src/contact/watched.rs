//! A step that a receiver awaits: its key, and the topics of its envelopes.
//!
//! The envelope of a whole body has the topic of shard 0. Until a shard has named how many there are, the
//! first three are awaited; after that, all.

use super::chain::StepKey;
use super::codec::{BadState, StateReader, StateWriter};
use crate::envelope::Topic;

/// Names an envelope that a conversation awaits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StepRef {
    /// The epoch.
    pub epoch: u16,
    /// The step within the epoch.
    pub slot: StepSlot,
    /// The shard of the step, 0 for a whole body.
    pub shard: u8,
}

impl StepRef {
    /// Whether both name envelopes of one attempt, whose shards belong together.
    #[must_use]
    pub fn is_same_step(&self, other: &Self) -> bool {
        (self.epoch, self.slot) == (other.epoch, other.slot)
    }
}

/// A step within an epoch.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum StepSlot {
    /// A step of the chain.
    Chain(u32),
    /// A resync slot.
    Resync {
        /// Day of the sender, in days since 1970.
        day: u32,
        /// Slot of the day.
        slot: u8,
    },
}

/// A key that a receiver keeps, with the topics that it awaits.
pub(super) struct WatchedStep {
    key: StepKey,
    topics: Vec<Topic>,
}

impl WatchedStep {
    pub(super) fn new(key: StepKey) -> Self {
        let mut step = Self {
            key,
            topics: Vec::new(),
        };
        step.await_shards(UNNAMED_SHARDS);
        step
    }

    pub(super) const fn key(&self) -> &StepKey {
        &self.key
    }

    /// Shard and topic of each envelope that is awaited.
    pub(super) fn topics(&self) -> impl Iterator<Item = (u8, Topic)> {
        (0_u8..).zip(self.topics.iter().copied())
    }

    /// Awaits `count` shards, if they are more than now.
    pub(super) fn await_shards(&mut self, count: u8) {
        let known = u8::try_from(self.topics.len()).unwrap_or(u8::MAX);
        let further = (known..count).map(|shard| self.key.topic(shard));
        self.topics.extend(further);
    }

    pub(super) fn write(&self, writer: &mut StateWriter) {
        writer.array(self.key.expose());
        writer.u8(u8::try_from(self.topics.len()).unwrap_or(u8::MAX));
    }

    pub(super) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        let mut step = Self::new(StepKey::new(reader.key()?));
        step.await_shards(reader.u8()?);
        Ok(step)
    }
}

/// Shards of a step that are awaited before one has named their number.
const UNNAMED_SHARDS: u8 = 3;
