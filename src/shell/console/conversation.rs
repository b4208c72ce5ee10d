//! `/c/<n>`: a conversation, its messages, and the form for the next one.
//!
//! The page shows the last messages first loaded, and links to earlier ones, so that its size does not
//! grow with the history. It does not load itself again, because text is typed here; with JavaScript the
//! list of messages does.

mod actions;
mod erase;
mod message;
mod page_size;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::Response;
use axum::routing::{get, post};
use circuits::level::Level;
use serde::Deserialize;

pub(super) use self::actions::level;
pub(super) use self::message::step;
use self::message::{MessageRow, PartRow, rows};
use super::ask::PageError;
use super::forms::Submission;
use super::inbox::{partner, state};
use super::layout::{Layout, Nav, html, refused};
use super::levels::LevelTable;
use super::server::Shared;
use super::visit::Visit;
use super::words;
use crate::node::{
    ContactCommand, ContactReply, ConversationMessageView, ConversationStateView, ConversationView,
};

/// The routes of these pages.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/c/{number}", get(show))
        .route("/c/{number}/file/{place}", get(message::file))
        .route("/c/{number}/send", post(actions::send))
        .route("/c/{number}/read", post(actions::read))
        .route("/c/{number}/accept", post(actions::accept))
        .route("/c/{number}/decline", post(actions::decline))
        .route("/c/{number}/mute", post(actions::mute))
        .route("/c/{number}/star", post(actions::star))
        .route("/c/{number}/verify", post(actions::verify))
        .route("/c/{number}/messages", post(erase::erase))
        .route("/c/{number}/again", post(actions::again))
        .route("/c/{number}/cancel", post(actions::cancel))
}

#[derive(Template)]
#[template(path = "conversation.html", config = "src/shell/console/askama.toml")]
struct ConversationPage {
    layout: Layout,
    number: u32,
    with: String,
    /// Its state, unless it is the usual one.
    state: Option<String>,
    is_starred: bool,
    /// Whether the user selects messages; nothing is written then.
    is_selecting: bool,
    is_request: bool,
    is_closed: bool,
    is_stale: bool,
    is_letters: bool,
    is_muted: bool,
    /// Words of the contact that both sides compare, and whether they were compared.
    words: Option<(String, bool)>,
    epoch: u16,
    missing: Vec<u64>,
    restored: Option<String>,
    messages: Vec<MessageRow>,
    /// The place before which earlier messages are.
    earlier: Option<u64>,
    /// The last place on the page, if a message on it is unread.
    unread_until: Option<u64>,
    /// The last place on the page.
    last: u64,
    levels: LevelTable,
    draft: FormDraft,
}

/// What the user has typed, and why it was not sent.
#[derive(Default)]
pub(super) struct FormDraft {
    pub(super) text: String,
    pub(super) level: Option<Level>,
    pub(super) error: Option<String>,
    /// Whether the prices are for the text, and the user asked for them.
    pub(super) is_priced: bool,
    pub(super) submission: Submission,
}

#[derive(Deserialize)]
struct ConversationQuery {
    before: Option<u64>,
    #[serde(default)]
    select: bool,
    done: Option<String>,
}

async fn show(
    visit: Visit,
    Path(number): Path<u32>,
    Query(query): Query<ConversationQuery>,
) -> Result<Response, PageError> {
    let draft = FormDraft {
        submission: Submission::draw()?,
        ..FormDraft::default()
    };
    let notice = query.done.as_deref().and_then(notice);
    let page = page(&visit, number, query.before, draft).await?;
    let layout = page.layout.with_notice(notice);
    Ok(html(&ConversationPage {
        layout,
        is_selecting: query.select,
        ..page
    }))
}

/// The page with what the user typed, and the reason why it was not sent.
async fn show_draft(visit: &Visit, number: u32, draft: FormDraft) -> Result<Response, PageError> {
    let is_error = draft.error.is_some();
    let page = page(visit, number, None, draft).await?;
    Ok(if is_error {
        refused(&page)
    } else {
        html(&page)
    })
}

async fn page(
    visit: &Visit,
    number: u32,
    before: Option<u64>,
    draft: FormDraft,
) -> Result<ConversationPage, PageError> {
    let of = visit.conversation(number)?;
    let (view, mut messages) = part_of(visit, of.clone(), before).await?;
    let is_full = messages.len() >= PAGE_LEN;
    let has_earlier = page_size::fit(&mut messages) || is_full;
    let words = words_of(visit, &view).await?;
    let is_request = view.state == ConversationStateView::Asked;
    let is_closed = view.state == ConversationStateView::Closed;
    let to = (!is_request && !is_closed).then_some(of.as_str());
    let levels = LevelTable::of(visit, to, &draft.text, draft.level).await?;
    let earlier = messages.first().map(|first| first.place);
    let last = messages.last().map_or(0, |last| last.place);
    let is_unread = messages.iter().any(|message| !message.read);
    Ok(ConversationPage {
        layout: visit.layout(Nav::Inbox),
        number,
        with: partner(&view),
        state: state(&view),
        is_starred: view.starred,
        is_selecting: false,
        is_request,
        is_closed,
        is_stale: view.state == ConversationStateView::Stale,
        is_letters: view.letters,
        is_muted: view.muted,
        words,
        epoch: view.epoch,
        missing: view.missing,
        restored: view
            .restored_day
            .map(|day| words::day(u64::from(day).saturating_mul(86_400))),
        earlier: earlier.filter(|_| has_earlier),
        unread_until: is_unread.then_some(last),
        last,
        messages: rows(&messages),
        levels,
        draft,
    })
}

/// A part of the history.
async fn part_of(
    visit: &Visit,
    of: String,
    before: Option<u64>,
) -> Result<(ConversationView, Vec<ConversationMessageView>), PageError> {
    let limit = PAGE_LEN;
    let command = ContactCommand::ConversationPage { of, before, limit };
    match visit.node().contact(command).await? {
        ContactReply::Conversation {
            conversation,
            messages,
        } => Ok((conversation, messages)),
        _ => Err(PageError::Unexpected),
    }
}

/// The words of the contact, if it has shown an address.
async fn words_of(
    visit: &Visit,
    view: &ConversationView,
) -> Result<Option<(String, bool)>, PageError> {
    let Some(name) = view.contact.clone() else {
        return Ok(None);
    };
    match visit.node().contact(ContactCommand::Contact(name)).await? {
        ContactReply::Contact(contact) => Ok(contact.words.map(|words| (words, contact.verified))),
        _ => Ok(None),
    }
}

/// What a form did, by its word in the URL.
fn notice(word: &str) -> Option<&'static str> {
    Some(match word {
        "stored" => "The message is stored. Its stages are shown below.",
        "accepted" => "The request was accepted. Nothing was sent.",
        "muted" => "The setting was changed.",
        "verified" => "The words are marked as compared.",
        "erased" => "The messages were erased on this node.",
        "again" => "The message will leave again.",
        "cancelled" => "The message will not leave again. What has left cannot be recalled.",
        "repeated" => "This form was sent before; the message was not stored a second time.",
        _ => return None,
    })
}

/// Maximum number of messages on a page.
const PAGE_LEN: usize = 50;

#[cfg(test)]
mod tests;
