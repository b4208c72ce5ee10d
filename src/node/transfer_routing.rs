//! Routing of the hand-over: actions about files go to transfers, and messages about them to contacts.
//!
//! This module decides nothing, as `routing`.

use circuits::time::Now;

use super::Node;
use super::action::TransferAction;
use super::transfers::FileMessage;

/// Carries out one action about files.
pub(super) fn run_action(node: &mut Node, now: Now, action: TransferAction) {
    let (transfers, fx, context) = node.transferring();
    match action {
        TransferAction::PartArrived(part) => transfers.on_part(fx, now, &part, context),
        TransferAction::Reported(id) => transfers.on_reported(fx, id),
        TransferAction::ConversationErased(id) => {
            transfers.on_conversation_erased(fx, now, id, context);
        }
        TransferAction::Run(file) => transfers.run(fx, now, file, context),
        TransferAction::Write(message) => write(node, now, *message),
    }
}

/// Writes a message about a file into its conversation.
fn write(node: &mut Node, now: Now, message: FileMessage) {
    let (send, part) = message.content();
    let (contacts, fx, context) = node.contacting();
    let written = contacts.compose_file_part(fx, now, send, part, context);
    let (transfers, fx, context) = node.transferring();
    if let Some(id) = transfers.on_message_written(fx, now, message, written, context) {
        let (contacts, fx, context) = node.contacting();
        contacts.begin_message(fx, now, id, context);
    }
}
