//! The forms of a conversation.

use axum::extract::Path;
use axum::response::Response;
use circuits::level::Level;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::ask::PageError;
use super::super::forms::{NoFields, Posted, Submission, typed};
use super::super::layout::see;
use super::super::visit::Visit;
use super::{FormDraft, part_of, show_draft};
use crate::node::{ContactCommand, ContactSend, SentMessage};

/// The form of the next message.
#[derive(Deserialize)]
pub(super) struct SendForm {
    #[serde(default)]
    text: Zeroizing<String>,
    /// Absent if the browser had no level that it could choose.
    level: Option<String>,
    submission: Submission,
    /// The last place that the page showed.
    #[serde(default)]
    seen: u64,
    action: SendAction,
}

/// The button that was pressed.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
enum SendAction {
    /// Show the price of the text.
    Price,
    /// Send it.
    Send,
    /// Send it in a new session, in place of a stale one.
    Renew,
    /// Send it as the last message.
    Goodbye,
}

/// Reads the name of a level.
pub(in crate::shell::console) fn level(word: Option<&str>) -> Result<Option<Level>, PageError> {
    word.map(|word| {
        word.parse()
            .map_err(|_| PageError::Form(format!("there is no level {word:?}")))
    })
    .transpose()
}

pub(super) async fn send(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(form): Posted<SendForm>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    let level = level(form.level.as_deref())?;
    let text = typed(&form.text);
    let draft = |error: Option<String>| FormDraft {
        text: text.to_string(),
        level,
        is_priced: error.is_none(),
        error,
        submission: form.submission,
    };
    if form.action == SendAction::Price {
        return show_draft(&visit, number, draft(None)).await;
    }
    let message = ContactSend {
        to: of.clone(),
        text: text.clone(),
        attachment: None,
        level,
        life: None,
    };
    let command = match form.action {
        SendAction::Renew => {
            let of = of.clone();
            ContactCommand::Renew { of, send: message }
        }
        SendAction::Goodbye => ContactCommand::Close(message),
        SendAction::Send | SendAction::Price => ContactCommand::Send(message),
    };
    match visit.submit(form.submission, command).await {
        Ok(true) => {}
        Ok(false) => return Ok(see(&format!("/c/{number}?done=repeated"))),
        Err(PageError::Refused(refusal)) => {
            return show_draft(&visit, number, draft(Some(refusal.to_string()))).await;
        }
        Err(error) => return Err(error),
    }
    if form.seen > 0 {
        let place = form.seen;
        let command = ContactCommand::MarkRead { of, place };
        visit.node().contact(command).await?;
    }
    Ok(see(&format!("/c/{number}?done=stored")))
}

/// A place in the history.
#[derive(Deserialize)]
pub(super) struct PlaceForm {
    place: u64,
}

pub(super) async fn read(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(PlaceForm { place }): Posted<PlaceForm>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    let command = ContactCommand::MarkRead { of, place };
    visit.node().contact(command).await?;
    Ok(see(&format!("/c/{number}")))
}

/// The name of a new contact.
#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

pub(super) async fn accept(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(NameForm { name }): Posted<NameForm>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    let name = Some(name.trim().to_owned());
    visit
        .node()
        .contact(ContactCommand::Accept { of, name })
        .await?;
    Ok(see(&format!("/c/{number}?done=accepted")))
}

pub(super) async fn decline(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(NoFields {}): Posted<NoFields>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    visit.node().contact(ContactCommand::Decline(of)).await?;
    Ok(see("/?done=declined"))
}

/// Whether a conversation becomes muted.
#[derive(Deserialize)]
pub(super) struct MuteForm {
    muted: bool,
}

pub(super) async fn mute(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(MuteForm { muted }): Posted<MuteForm>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    let command = ContactCommand::Mute { of, muted };
    visit.node().contact(command).await?;
    Ok(see(&format!("/c/{number}?done=muted")))
}

/// Whether a conversation becomes starred.
#[derive(Deserialize)]
pub(super) struct StarForm {
    starred: bool,
}

pub(super) async fn star(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(StarForm { starred }): Posted<StarForm>,
) -> Result<Response, PageError> {
    let of = vec![visit.conversation(number)?];
    let command = ContactCommand::Star { of, starred };
    visit.node().contact(command).await?;
    Ok(see("/"))
}

/// Records that the user has compared the words of the contact.
pub(super) async fn verify(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(NoFields {}): Posted<NoFields>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    let (view, _) = part_of(&visit, of, Some(0)).await?;
    let contact = view.contact.ok_or(PageError::NotFound)?;
    visit
        .node()
        .contact(ContactCommand::Verify(contact))
        .await?;
    Ok(see(&format!("/c/{number}?done=verified")))
}

/// A message that this node sends.
#[derive(Deserialize)]
pub(super) struct SentForm {
    message: u64,
}

pub(super) async fn again(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(form): Posted<SentForm>,
) -> Result<Response, PageError> {
    let command = ContactCommand::SendAgain(form.named(&visit, number)?);
    visit.node().contact(command).await?;
    Ok(see(&format!("/c/{number}?done=again")))
}

pub(super) async fn cancel(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(form): Posted<SentForm>,
) -> Result<Response, PageError> {
    let command = ContactCommand::Cancel(form.named(&visit, number)?);
    visit.node().contact(command).await?;
    Ok(see(&format!("/c/{number}?done=cancelled")))
}

impl SentForm {
    /// The message in the conversation with this number.
    fn named(&self, visit: &Visit, number: u32) -> Result<SentMessage, PageError> {
        Ok(SentMessage {
            conversation: visit.conversation(number)?,
            number: self.message,
        })
    }
}
