//! Erases chosen messages of a conversation from this node, after a page that shows them again.

use axum::extract::Path;
use axum::response::Response;

use super::super::ask::PageError;
use super::super::forms::Posted;
use super::super::layout::{Nav, html, see};
use super::super::selection::{ConfirmPage, SelectAction, Selection};
use super::super::visit::Visit;
use super::message::rows;
use super::part_of;
use crate::node::ContactCommand;

pub(super) async fn erase(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(selection): Posted<Selection>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    if selection.action() != SelectAction::Erase || selection.is_empty() {
        return Ok(see(&format!("/c/{number}?select=true")));
    }
    let places: Vec<u64> = selection.chosen().collect();
    if selection.is_confirmed() {
        let command = ContactCommand::EraseMessages { of, places };
        visit.node().contact(command).await?;
        return Ok(see(&format!("/c/{number}?done=erased")));
    }
    // The messages are on one page of the history, which ends with the last of them.
    let last = places.iter().max().map(|place| place.saturating_add(1));
    let (_, messages) = part_of(&visit, of, last).await?;
    let messages = rows(&messages);
    let chosen = messages.iter().filter(|row| places.contains(&row.place));
    let items = chosen.map(|row| format!("{}: {}", row.time, row.begin));
    Ok(html(&ConfirmPage {
        layout: visit.layout(Nav::Inbox),
        title: "Erase these messages?",
        items: items.collect(),
        warning: "They are erased on this node. The other side keeps what it has.",
        path: format!("/c/{number}/messages"),
        chosen: places,
        back: format!("/c/{number}"),
    }))
}
