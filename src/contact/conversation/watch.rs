//! Which topics a conversation awaits, and what changed since its owner last asked.

use std::collections::BTreeSet;

use crate::contact::watched::StepRef;
use crate::envelope::Topic;

/// What changed in the watch of a conversation.
#[derive(Debug, Default)]
pub struct WatchChanges {
    /// Awaited from now on.
    pub added: Vec<(Topic, StepRef)>,
    /// No longer awaited.
    pub removed: Vec<(Topic, StepRef)>,
}

/// The watch as its owner knows it. Not stored: after a restart the owner learns all of it.
#[derive(Default)]
pub(super) struct Watch(BTreeSet<([u8; 4], StepRef)>);

impl Watch {
    pub(super) fn changes(&mut self, now: Vec<(Topic, StepRef)>) -> WatchChanges {
        let now = now.into_iter().map(|(Topic(topic), at)| (topic, at));
        let before = core::mem::replace(&mut self.0, now.collect());
        let difference = |a: &BTreeSet<([u8; 4], StepRef)>, b| {
            let pairs = a.difference(b);
            pairs.map(|(topic, at)| (Topic(*topic), *at)).collect()
        };
        WatchChanges {
            added: difference(&self.0, &before),
            removed: difference(&before, &self.0),
        }
    }
}
