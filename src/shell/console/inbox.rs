//! `/`: requests, conversations and introductions.
//!
//! The text of a request is not on this page: the user opens the request to see it.

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::ask::PageError;
use super::layout::{Layout, Nav, html};
use super::server::Shared;
use super::visit::Visit;
use super::words;
use crate::node::{ContactState, ConversationStateView, ConversationView, RefusalKind};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/", get(show))
}

#[derive(Template)]
#[template(path = "inbox.html", config = "src/shell/console/askama.toml")]
struct InboxPage {
    layout: Layout,
    is_locked: bool,
    requests: Vec<InboxRow>,
    conversations: Vec<InboxRow>,
    introduced: Vec<Introduced>,
}

/// A conversation in the list.
struct InboxRow {
    number: u32,
    with: String,
    state: &'static str,
    unread: usize,
    missing: usize,
    is_restored: bool,
    is_muted: bool,
    is_letters: bool,
    last: String,
}

/// A contact that another one introduced.
struct Introduced {
    name: String,
    by: String,
}

/// What the last form did.
#[derive(Deserialize)]
struct DoneQuery {
    done: Option<String>,
}

async fn show(visit: Visit, Query(query): Query<DoneQuery>) -> Result<Response, PageError> {
    let notice = query.done.as_deref().and_then(notice);
    let layout = visit.layout(Nav::Inbox).refreshing("/").with_notice(notice);
    let all = match visit.node().conversations().await {
        Ok(all) => Some(all),
        Err(PageError::Refused(refusal)) if refusal.kind == RefusalKind::Locked => None,
        Err(error) => return Err(error),
    };
    let is_locked = all.is_none();
    let (requests, conversations): (Vec<_>, Vec<_>) = all
        .unwrap_or_default()
        .into_iter()
        .partition(|view| view.state == ConversationStateView::Asked);
    let introduced = if is_locked {
        Vec::new()
    } else {
        introductions(&visit).await?
    };
    Ok(html(&InboxPage {
        layout,
        is_locked,
        requests: requests.iter().map(|view| row(&visit, view)).collect(),
        conversations: conversations.iter().map(|view| row(&visit, view)).collect(),
        introduced,
    }))
}

async fn introductions(visit: &Visit) -> Result<Vec<Introduced>, PageError> {
    let contacts = visit.node().contacts().await?.into_iter();
    let introduced = contacts.filter(|contact| contact.state == ContactState::Introduced);
    let views = introduced.filter_map(|contact| {
        Some(Introduced {
            by: words::line(&contact.introduced?.by),
            name: contact.name,
        })
    });
    Ok(views.collect())
}

fn row(visit: &Visit, view: &ConversationView) -> InboxRow {
    InboxRow {
        number: visit.number_of(&view.id),
        with: partner(view),
        state: view.state.words(),
        unread: view.unread,
        missing: view.missing.len(),
        is_restored: view.restored_day.is_some(),
        is_muted: view.muted,
        is_letters: view.letters,
        last: words::minute(view.last),
    }
}

/// The other side of a conversation.
pub(super) fn partner(view: &ConversationView) -> String {
    match (&view.contact, &view.to) {
        (Some(name), _) => words::line(name),
        (None, Some(own)) => format!("unknown, wrote to {}", words::line(own)),
        (None, None) => "unknown".to_owned(),
    }
}

/// What a form did, by its word in the URL.
fn notice(word: &str) -> Option<&'static str> {
    Some(match word {
        "declined" => "The request was erased. Further messages of its sender are ignored.",
        "forgotten" => "The conversation was erased.",
        "accepted" => "The contact was accepted.",
        "muted" => "The setting was changed.",
        _ => return None,
    })
}
