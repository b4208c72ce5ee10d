//! What a button below the list does with the chosen conversations.

use axum::response::Response;

use super::partner;
use crate::node::{ContactCommand, ConversationStateView, ConversationView};
use crate::shell::console::ask::PageError;
use crate::shell::console::forms::Posted;
use crate::shell::console::layout::{Nav, html, see};
use crate::shell::console::selection::{ConfirmPage, SelectAction, Selection};
use crate::shell::console::visit::Visit;

pub(super) async fn act(
    visit: Visit,
    Posted(selection): Posted<Selection>,
) -> Result<Response, PageError> {
    // A number of another run names nothing, and is skipped.
    let chosen = selection.chosen().filter_map(|number| {
        let number = u32::try_from(number).ok()?;
        visit.conversation(number).ok()
    });
    let chosen: Vec<String> = chosen.collect();
    if chosen.is_empty() {
        return Ok(see("/?select=true"));
    }
    match selection.action() {
        action @ (SelectAction::Star | SelectAction::Unstar) => {
            let starred = action == SelectAction::Star;
            let command = ContactCommand::Star {
                of: chosen,
                starred,
            };
            visit.node().contact(command).await?;
            Ok(see("/?done=starred"))
        }
        SelectAction::Read => {
            for of in chosen {
                let place = u64::MAX;
                let command = ContactCommand::MarkRead { of, place };
                visit.node().contact(command).await?;
            }
            Ok(see("/?done=read"))
        }
        SelectAction::Erase => {
            let all = visit.node().conversations().await?.into_iter();
            let views: Vec<_> = all.filter(|view| chosen.contains(&view.id)).collect();
            if !selection.is_confirmed() {
                return Ok(html(&confirm(&visit, &selection, &views)));
            }
            erase(&visit, views).await?;
            Ok(see("/?done=erased"))
        }
    }
}

fn confirm(visit: &Visit, selection: &Selection, views: &[ConversationView]) -> ConfirmPage {
    let item = |view: &ConversationView| format!("{}: {} messages", partner(view), view.messages);
    ConfirmPage {
        layout: visit.layout(Nav::Inbox),
        title: "Erase these conversations?",
        items: views.iter().map(item).collect(),
        warning: "All their messages are erased on this node. The other side keeps what it has. Further \
                  messages of a request are ignored.",
        path: "/conversations".to_owned(),
        chosen: selection.chosen().collect(),
        back: "/".to_owned(),
    }
}

/// Erases conversations. A request is declined, so that its sender does not come back.
async fn erase(visit: &Visit, views: Vec<ConversationView>) -> Result<(), PageError> {
    for view in views {
        let command = match view.state {
            ConversationStateView::Asked => ContactCommand::Decline(view.id),
            _ => ContactCommand::Forget(view.id),
        };
        visit.node().contact(command).await?;
    }
    Ok(())
}
