//! Conversations in the inbox.
//!
//! The listing shows which conversations have new messages. `--follow` prints the messages of contacts
//! as they arrive; of a request it prints only that there is one, so that the text of an unknown sender
//! is not on the screen before the user asks for it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::Failure;
use crate::cli::contact::words;
use crate::cli::conversation::{ConversationReport, all, partner, show_message};
use crate::cli::date::UtcTime;
use crate::cli::output::{Printer, one_line};
use crate::cli::remote_node::RemoteNode;
use crate::node::{
    ContactEvent, ConversationMessageView, ConversationStateView, ConversationView,
    MessageDirection,
};

/// Lists the conversations. Returns whether there are any.
pub(super) async fn list(node: &mut RemoteNode) -> Result<bool, Failure> {
    let conversations = all(node).await?;
    if node.printer.json {
        for conversation in &conversations {
            node.printer.value(&json!({"conversation": conversation}))?;
        }
    } else if !conversations.is_empty() {
        let rows: Vec<_> = conversations.iter().map(row).collect();
        let heading = ["CONVERSATION", "WITH", "STATE", "NEW", "LAST"];
        node.printer.table(heading, &rows, "")?;
    }
    Ok(!conversations.is_empty())
}

fn row(view: &ConversationView) -> [String; 5] {
    let new = match view.unread {
        0 => String::new(),
        unread => unread.to_string(),
    };
    [
        words::short_id(&view.id),
        partner(view),
        words::conversation_state(view).to_owned(),
        new,
        UtcTime(u32::try_from(view.last).unwrap_or(u32::MAX)).to_string(),
    ]
}

/// The messages of conversations that were shown, so that none is shown twice.
#[derive(Default)]
pub(super) struct ShownReplies(BTreeSet<(String, u64)>);

impl ShownReplies {
    /// Shows the new messages of all conversations.
    pub(super) async fn show_all(&mut self, node: &mut RemoteNode) -> Result<(), Failure> {
        for view in all(node).await? {
            if view.unread == 0 || view.muted {
                continue;
            }
            if view.state == ConversationStateView::Asked {
                show_request(node.printer, &view)?;
                continue;
            }
            let params = json!([{"of": view.id}]);
            let history: ConversationReport = node.call("whisht_conversation", params).await?;
            for message in history.messages.iter().filter(|message| !message.read) {
                self.show(node.printer, message)?;
            }
        }
        Ok(())
    }

    /// Shows what an event reports.
    pub(super) fn event(&mut self, printer: Printer, event: &ContactEvent) -> Result<(), Failure> {
        match event {
            ContactEvent::Message(message) => self.show(printer, message),
            ContactEvent::Conversation(view)
                if view.state == ConversationStateView::Asked && view.unread > 0 =>
            {
                show_request(printer, view)
            }
            ContactEvent::Conversation(_)
            | ContactEvent::Contact(_)
            | ContactEvent::Outgoing(..)
            | ContactEvent::Progress(..) => Ok(()),
        }
    }

    fn show(&mut self, printer: Printer, message: &ConversationMessageView) -> Result<(), Failure> {
        let is_request = message.contact.is_none();
        if message.direction == MessageDirection::Out || is_request {
            return Ok(());
        }
        if !self.0.insert((message.conversation.clone(), message.place)) {
            return Ok(());
        }
        if printer.json {
            return Ok(printer.value(&json!({"reply": message}))?);
        }
        show_message(printer, message)
    }
}

fn show_request(printer: Printer, view: &ConversationView) -> Result<(), Failure> {
    if printer.json {
        return Ok(printer.value(&json!({"conversation": view}))?);
    }
    let id = words::short_id(&view.id);
    let to = view.to.as_deref().unwrap_or_default();
    Ok(printer.line(format_args!(
        "{id}  a request to {}: `whisht read {id}` shows it",
        one_line(to)
    ))?)
}
