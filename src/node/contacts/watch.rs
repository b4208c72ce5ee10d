//! Which topics this node awaits, and whose keys stand behind them.
//!
//! The index names keys by tags, which a scan returns. A topic of four bytes may belong to several keys by
//! chance, so each has a list. The index knows no key: the scanner asks the conversation for it.

use std::collections::BTreeMap;

use crate::contact::conversation::{ConversationId, StepRef, StepSlot, WatchChanges};
use crate::contact::scan::ScanTag;
use crate::envelope::Topic;

/// Topics of steps, by topic and by tag.
#[derive(Default)]
pub(super) struct StepIndex {
    by_topic: BTreeMap<[u8; 4], Vec<ScanTag>>,
    by_tag: BTreeMap<ScanTag, AwaitedStep>,
    tags: BTreeMap<(ConversationId, StepRef), ScanTag>,
    last: u64,
}

/// An envelope that a conversation awaits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct AwaitedStep {
    /// The conversation.
    pub(super) conversation: ConversationId,
    /// The place of the envelope in it.
    pub(super) at: StepRef,
    topic: Topic,
}

impl StepIndex {
    /// Follows a conversation. Returns whether topics were added, which the mempool may have already.
    pub(super) fn follow(&mut self, conversation: ConversationId, changes: WatchChanges) -> bool {
        for (_, at) in changes.removed {
            self.remove(conversation, at);
        }
        let has_added = !changes.added.is_empty();
        for (topic, at) in changes.added {
            self.last = self.last.saturating_add(1);
            let tag = ScanTag(self.last);
            self.tags.insert((conversation, at), tag);
            self.by_topic.entry(topic.0).or_default().push(tag);
            let step = AwaitedStep {
                conversation,
                at,
                topic,
            };
            self.by_tag.insert(tag, step);
        }
        has_added
    }

    /// Awaits nothing of a conversation any more.
    pub(super) fn forget(&mut self, conversation: ConversationId) {
        let first = StepRef {
            epoch: 0,
            slot: StepSlot::Chain(0),
            shard: 0,
        };
        let of = self.tags.range((conversation, first)..);
        let of = of.take_while(|((id, _), _)| *id == conversation);
        let steps: Vec<_> = of.map(|((_, at), _)| *at).collect();
        for at in steps {
            self.remove(conversation, at);
        }
    }

    /// The envelopes that have this topic.
    pub(super) fn of_topic(&self, topic: Topic) -> impl Iterator<Item = (ScanTag, AwaitedStep)> {
        let tags = self.by_topic.get(&topic.0).into_iter().flatten();
        tags.filter_map(|tag| Some((*tag, *self.by_tag.get(tag)?)))
    }

    /// The envelope of a tag, if it is still awaited.
    pub(super) fn of_tag(&self, tag: ScanTag) -> Option<AwaitedStep> {
        self.by_tag.get(&tag).copied()
    }

    fn remove(&mut self, conversation: ConversationId, at: StepRef) {
        let Some(tag) = self.tags.remove(&(conversation, at)) else {
            return;
        };
        let Some(step) = self.by_tag.remove(&tag) else {
            return;
        };
        if let Some(tags) = self.by_topic.get_mut(&step.topic.0) {
            tags.retain(|other| *other != tag);
            if tags.is_empty() {
                self.by_topic.remove(&step.topic.0);
            }
        }
    }
}
