//! What the stem tells of the envelopes of messages: that it has no successor, or is blocked.
//!
//! An envelope of a message is never flooded from here in place of its stem: that would reveal the
//! sender.

use super::Sender;
use super::message::{Departure, Outgoing, SendState};
use crate::node::effects::Effects;
use crate::node::event::MessageId;

impl Sender {
    /// The peers that could pass a message on along the stem are gone.
    pub(in crate::node) fn on_no_stem(&mut self, fx: &mut Effects, id: MessageId) {
        let reason = "the peers that could pass it on are gone, or require more proof of work than \
                      `min-pow` of this node; connect to more whisht nodes, or raise `min-pow`";
        self.fail(fx, id, reason);
    }

    /// No successor made the envelope of a message public. Flooding it from here would reveal the
    /// sender, so it waits for other successors.
    pub(in crate::node) fn on_stem_blocked(&mut self, fx: &mut Effects, id: MessageId) {
        let state = self.messages.get(&id).map(Outgoing::state);
        if let Some(SendState::Confirming(watch, _)) = state {
            let state = SendState::Confirming(*watch, Departure::BlockedStem);
            self.enter(fx, id, state);
        }
    }

    /// The stem gave up the envelope of a message.
    pub(in crate::node) fn on_stem_failed(&mut self, fx: &mut Effects, id: MessageId) {
        let reason = "its stem is blocked: no peer that it was passed to made it public; connect to \
                      other whisht nodes, then send it again";
        self.fail(fx, id, reason);
    }
}
