//! Routing of talk lines: actions about them go to their component, and messages about them to contacts.
//!
//! This module decides nothing, as `routing`.

use circuits::time::Now;

use super::{TalkContext, TalkMessage, Talks};
use crate::node::action::TalkAction;
use crate::node::effects::Effects;
use crate::node::{Node, send_context};

/// The component, and what it reads of the others.
pub(in crate::node) const fn talking(
    node: &mut Node,
) -> (&mut Talks, &mut Effects, TalkContext<'_>) {
    let context = TalkContext {
        contacts: &node.contacts,
        circuits: &node.circuits,
        send: &node.send,
        others: send_context!(node),
    };
    (&mut node.talks, &mut node.fx, context)
}

/// The timer of talk lines is due.
pub(in crate::node) fn upkeep(node: &mut Node, now: Now) {
    let (talks, fx, context) = talking(node);
    talks.upkeep(fx, now, context);
}

/// Carries out one action about talk lines.
pub(in crate::node) fn run_action(node: &mut Node, now: Now, action: TalkAction) {
    let (talks, fx, context) = talking(node);
    match action {
        TalkAction::PartArrived(id, part) => talks.on_part(fx, now, (id, &part), context),
        TalkAction::ConversationErased(id) => talks.on_conversation_erased(fx, now, id, context),
        TalkAction::Run(id) => {
            talks.run(fx, now, id, context);
            talks.schedule(fx, now);
        }
        TalkAction::Write(message) => write(node, now, *message),
    }
}

/// Writes a message about a line into its conversation.
fn write(node: &mut Node, now: Now, message: TalkMessage) {
    let (send, part) = message.content();
    let (contacts, fx, context) = node.contacting();
    let written = contacts.compose_file_part(fx, now, send, part, context);
    let (talks, fx, context) = talking(node);
    if let Some(id) = talks.on_message_written(fx, now, message, written, context) {
        let (contacts, fx, context) = node.contacting();
        contacts.begin_message(fx, now, id, context);
    }
}
