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
use super::{FormDraft, show_draft};
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

/// The confirmation of an erasure.
#[derive(Deserialize)]
pub(super) struct ForgetForm {
    confirm: Option<String>,
}

pub(super) async fn forget(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(ForgetForm { confirm }): Posted<ForgetForm>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    if confirm.is_none() {
        let rule = "nothing was erased: tick the box beside the button to erase the conversation";
        return Err(PageError::Form(rule.to_owned()));
    }
    visit.node().contact(ContactCommand::Forget(of)).await?;
    Ok(see("/?done=forgotten"))
}

/// A message that this node sends.
#[derive(Deserialize)]
pub(super) struct SentForm {
    message: u64,
}

pub(super) async fn again(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(SentForm { message }): Posted<SentForm>,
) -> Result<Response, PageError> {
    let conversation = visit.conversation(number)?;
    let number_of = SentMessage {
        conversation,
        number: message,
    };
    let command = ContactCommand::SendAgain(number_of);
    visit.node().contact(command).await?;
    Ok(see(&format!("/c/{number}?done=again")))
}

pub(super) async fn cancel(
    visit: Visit,
    Path(number): Path<u32>,
    Posted(SentForm { message }): Posted<SentForm>,
) -> Result<Response, PageError> {
    let conversation = visit.conversation(number)?;
    let number_of = SentMessage {
        conversation,
        number: message,
    };
    let command = ContactCommand::Cancel(number_of);
    visit.node().contact(command).await?;
    Ok(see(&format!("/c/{number}?done=cancelled")))
}
