//! `/send`: a message to a contact, and the form that names a new contact by its address.
//!
//! The price is shown on request before anything is sent. A level is never lowered here: a level that
//! is not available cannot be chosen.

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::ask::PageError;
use super::conversation::{FormDraft, level};
use super::forms::{Posted, Submission, typed};
use super::layout::{Layout, Nav, html, refused, see};
use super::levels::LevelTable;
use super::server::Shared;
use super::visit::Visit;
use super::words;
use crate::contact::address::ContactAddress;
use crate::node::{ContactCommand, ContactSend, ContactState, ContactView};

/// The routes of these pages.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/send", get(show).post(send))
        .route("/contacts/add", post(add))
        .route("/contacts/accept", post(accept))
}

#[derive(Template)]
#[template(path = "send.html", config = "src/shell/console/askama.toml")]
struct SendPage {
    layout: Layout,
    contacts: Vec<ContactRow>,
    levels: LevelTable,
    draft: FormDraft,
    /// The new contact as it was typed, and why it was refused.
    new: NewContact,
}

struct ContactRow {
    name: String,
    state: String,
    is_chosen: bool,
    can_write: bool,
}

#[derive(Default)]
struct NewContact {
    address: String,
    name: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ComposeQuery {
    done: Option<String>,
}

async fn show(visit: Visit, Query(query): Query<ComposeQuery>) -> Result<Response, PageError> {
    let notice = query.done.as_deref().and_then(notice);
    let draft = FormDraft {
        submission: Submission::draw()?,
        ..FormDraft::default()
    };
    let page = page(&visit, "", draft, NewContact::default()).await?;
    let layout = page.layout.with_notice(notice);
    Ok(html(&SendPage { layout, ..page }))
}

async fn page(
    visit: &Visit,
    to: &str,
    draft: FormDraft,
    new: NewContact,
) -> Result<SendPage, PageError> {
    let contacts = visit.node().contacts().await?;
    let priced = (!to.is_empty()).then_some(to);
    let levels = LevelTable::of(visit, priced, &draft.text, draft.level).await?;
    Ok(SendPage {
        layout: visit.layout(Nav::Send),
        contacts: contacts.iter().map(|view| row(view, to)).collect(),
        levels,
        draft,
        new,
    })
}

fn row(view: &ContactView, to: &str) -> ContactRow {
    let can_write = view.state == ContactState::Ready || !view.conversations.is_empty();
    let state = match (&view.card, view.state) {
        (Some(card), _) => format!("card until {}", words::minute(card.ends)),
        (None, ContactState::Introduced) => "introduced, not accepted".to_owned(),
        (None, _) if can_write => "in conversation".to_owned(),
        (None, _) => "no card of now: its owner is away, or peers hide it".to_owned(),
    };
    ContactRow {
        is_chosen: view.name == to,
        name: view.name.clone(),
        state,
        can_write,
    }
}

#[derive(Deserialize)]
struct SendForm {
    #[serde(default)]
    to: String,
    #[serde(default)]
    text: Zeroizing<String>,
    level: Option<String>,
    submission: Submission,
    action: SendAction,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
enum SendAction {
    Price,
    Send,
}

async fn send(visit: Visit, Posted(form): Posted<SendForm>) -> Result<Response, PageError> {
    let level = level(form.level.as_deref())?;
    let text = typed(&form.text);
    let draft = |error: Option<String>| FormDraft {
        text: text.to_string(),
        level,
        is_priced: error.is_none(),
        error,
        submission: form.submission,
    };
    let again = async |error: Option<String>| {
        let is_error = error.is_some();
        let page = page(&visit, &form.to, draft(error), NewContact::default()).await?;
        Ok(if is_error {
            refused(&page)
        } else {
            html(&page)
        })
    };
    if form.to.is_empty() {
        let rule =
            "choose a contact; one without a card and without a conversation cannot be reached";
        return again(Some(rule.to_owned())).await;
    }
    if form.action == SendAction::Price {
        return again(None).await;
    }
    let message = ContactSend {
        to: form.to.clone(),
        text: text.clone(),
        attachment: None,
        level,
        life: None,
    };
    match visit
        .submit(form.submission, ContactCommand::Send(message))
        .await
    {
        Ok(true) => Ok(see("/outbox?done=stored")),
        Ok(false) => Ok(see("/outbox?done=repeated")),
        Err(PageError::Refused(refusal)) => again(Some(refusal.to_string())).await,
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct AddForm {
    address: String,
    name: String,
}

async fn add(visit: Visit, Posted(form): Posted<AddForm>) -> Result<Response, PageError> {
    let AddForm { address, name } = form;
    let name = name.trim().to_owned();
    let added = match address.parse::<ContactAddress>() {
        Ok(address) => {
            let command = ContactCommand::Add {
                id: address.id(),
                name: name.clone(),
            };
            visit.node().contact(command).await.map(drop)
        }
        // The error names the place of a wrong character.
        Err(error) => Err(PageError::Form(error.to_string())),
    };
    let error = match added {
        Ok(()) => return Ok(see("/send?done=added")),
        Err(PageError::Form(error)) => error,
        Err(PageError::Refused(refusal)) => refusal.to_string(),
        Err(error) => return Err(error),
    };
    let new = NewContact {
        address,
        name,
        error: Some(error),
    };
    let draft = FormDraft {
        submission: Submission::draw()?,
        ..FormDraft::default()
    };
    Ok(refused(&page(&visit, "", draft, new).await?))
}

#[derive(Deserialize)]
struct NameForm {
    name: String,
}

/// Accepts a contact that another one introduced.
async fn accept(
    visit: Visit,
    Posted(NameForm { name }): Posted<NameForm>,
) -> Result<Response, PageError> {
    let command = ContactCommand::Accept {
        of: name,
        name: None,
    };
    visit.node().contact(command).await?;
    Ok(see("/?done=accepted"))
}

fn notice(word: &str) -> Option<&'static str> {
    (word == "added").then_some(
        "The contact has a name. You can write as soon as a card of its owner is found; cards are \
         published once a day.",
    )
}
