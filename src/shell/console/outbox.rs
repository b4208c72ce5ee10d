//! `/outbox`: messages whose sending has not ended, by stage.
//!
//! No stage is called "sent": the page shows what this node has observed.

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::ask::PageError;
use super::conversation::step;
use super::forms::Posted;
use super::layout::{Layout, Nav, html, see};
use super::server::Shared;
use super::visit::Visit;
use super::words;
use crate::node::{
    Command, ContactCommand, ContactReply, ContactStage, DeliveryView, MessageId, OutgoingView,
    PriceView, RefusalKind, Stage,
};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/outbox", get(show))
        .route("/outbox/cancel", post(cancel))
        .route("/outbox/renew", post(renew))
}

#[derive(Template)]
#[template(path = "outbox.html", config = "src/shell/console/askama.toml")]
struct OutboxPage {
    layout: Layout,
    replies: Vec<ReplyRow>,
    /// Whether there are more replies than the page shows.
    has_more: bool,
    messages: Vec<WhisperRow>,
}

/// A message in a conversation.
struct ReplyRow {
    conversation: u32,
    with: String,
    number: u64,
    time: String,
    level: &'static str,
    stage: String,
    /// How far it is, 0 to 4.
    step: u8,
    /// What it costs, if that is known.
    price: String,
    /// What it waits for, or where its attempt is.
    waits: Option<String>,
    can_repeat: bool,
}

/// A message to a key of Whisper.
struct WhisperRow {
    id: u64,
    level: &'static str,
    price: String,
    stage: String,
    has_failed: bool,
}

#[derive(Deserialize)]
struct OutboxQuery {
    done: Option<String>,
}

async fn show(visit: Visit, Query(query): Query<OutboxQuery>) -> Result<Response, PageError> {
    let notice = query.done.as_deref().and_then(notice);
    let layout = visit.layout(Nav::Outbox).refreshing("/outbox");
    let messages = visit.node().outbox().await?;
    let mut replies = replies(&visit).await?;
    let has_more = replies.len() > MAX_REPLIES;
    replies.truncate(MAX_REPLIES);
    Ok(html(&OutboxPage {
        layout: layout.with_notice(notice),
        replies,
        has_more,
        messages: messages.iter().map(message_row).collect(),
    }))
}

/// Messages in conversations whose sending has not ended, one more than the page shows.
async fn replies(visit: &Visit) -> Result<Vec<ReplyRow>, PageError> {
    let limit = MAX_REPLIES.saturating_add(1);
    let messages = match visit
        .node()
        .contact(ContactCommand::UnderWay { limit })
        .await
    {
        Ok(ContactReply::UnderWay(messages)) => messages,
        Ok(_) => return Err(PageError::Unexpected),
        Err(PageError::Refused(refusal)) if refusal.kind == RefusalKind::Locked => Vec::new(),
        Err(error) => return Err(error),
    };
    let rows = messages.into_iter().filter_map(|message| {
        let stage = message.stage?;
        Some(ReplyRow {
            conversation: visit.number_of(&message.conversation),
            with: match &message.contact {
                Some(name) => words::line(name),
                None => words::codename(&message.conversation),
            },
            number: message.number,
            time: words::minute(message.time),
            level: message.level.map_or("", |level| level.word()),
            step: step(&stage),
            stage: stage.words(),
            price: price_words(message.delivery.as_ref().and_then(|view| view.price)),
            waits: message.delivery.as_ref().and_then(waits),
            can_repeat: matches!(stage, ContactStage::Unanswered { .. }),
        })
    });
    Ok(rows.collect())
}

fn message_row(view: &OutgoingView) -> WhisperRow {
    WhisperRow {
        id: view.id.0,
        level: view.level.word(),
        price: price_words(view.price),
        stage: stage_words(&view.stage),
        has_failed: matches!(view.stage, Stage::Failed { .. }),
    }
}

fn price_words(price: Option<PriceView>) -> String {
    price.map_or_else(String::new, |price| {
        let time = words::duration(price.seconds.saturating_mul(1_000));
        format!("{}, {time}", words::bytes(price.bytes))
    })
}

/// What a message to a contact waits for, or where its attempt is.
fn waits(delivery: &DeliveryView) -> Option<String> {
    if let Some(attempt) = &delivery.attempt {
        return Some(stage_words(attempt));
    }
    let waits_for = words::line(delivery.waits_for.as_ref()?);
    let left = delivery.wait_seconds.filter(|seconds| *seconds > 0);
    let left = left.map_or_else(String::new, |seconds| {
        let time = words::duration(seconds.saturating_mul(1_000));
        format!(", at most {time}")
    });
    Some(format!("waits for {waits_for}{left}"))
}

/// The stage of a message to a key of Whisper.
fn stage_words(stage: &Stage) -> String {
    match stage {
        Stage::Sealing { attempt, .. } => format!("attempt {attempt}: proof of work"),
        Stage::Searching { .. } => "proof of work".to_owned(),
        Stage::Waiting { reason } | Stage::Blocked { reason } => {
            format!("waits: {}", words::line(reason))
        }
        Stage::Sealed { bytes, .. } => format!("complete, {bytes} bytes"),
        Stage::Planned { k, n, .. } => format!("{n} lanes are chosen, {k} are needed"),
        Stage::Dispatched { cells, of } => format!("{cells} of {of} cells have left"),
        Stage::Departing { left, cells, .. } => format!("{left} of {cells} cells have left"),
        Stage::SeenShards { shards, needed, .. } => {
            format!("{shards} shards came back, {needed} are needed")
        }
        Stage::Seen { .. } => "came back; the network has it".to_owned(),
        Stage::Retrying { attempt } => format!("attempt {attempt} starts"),
        Stage::HandedOver { peers } => format!("written to {peers} peers"),
        Stage::Delivered => "came back from several peers; the network has it".to_owned(),
        Stage::Failed { reason } => format!("given up: {}", words::line(reason)),
    }
}

#[derive(Deserialize)]
struct MessageForm {
    message: u64,
}

async fn cancel(
    visit: Visit,
    Posted(MessageForm { message }): Posted<MessageForm>,
) -> Result<Response, PageError> {
    let command = Command::Cancel(MessageId(message));
    visit.node().command(command).await?;
    Ok(see("/outbox?done=cancelled"))
}

async fn renew(
    visit: Visit,
    Posted(MessageForm { message }): Posted<MessageForm>,
) -> Result<Response, PageError> {
    let command = Command::Renew(MessageId(message));
    visit.node().command(command).await?;
    Ok(see("/outbox?done=again"))
}

fn notice(word: &str) -> Option<&'static str> {
    Some(match word {
        "stored" => "The message is stored. Its stages are shown below.",
        "repeated" => "This form was sent before; the message was not stored a second time.",
        "cancelled" => "The message will not leave again. What has left cannot be recalled.",
        "again" => "The message will leave again.",
        _ => return None,
    })
}

/// Messages to contacts on the page.
const MAX_REPLIES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_what_it_waits_for_and_for_how_long() {
        let delivery = |wait_seconds| DeliveryView {
            attempt: None,
            waits_for: Some("an answer".to_owned()),
            wait_seconds,
            price: None,
        };
        let words = |wait_seconds| waits(&delivery(wait_seconds)).unwrap();
        assert_eq!(words(Some(7_200)), "waits for an answer, at most 2 h");
        assert_eq!(words(Some(0)), "waits for an answer");
        assert_eq!(words(None), "waits for an answer");
    }

    #[test]
    fn no_stage_says_sent_or_read() {
        let reason = "no peer".to_owned();
        for stage in [
            Stage::Delivered,
            Stage::HandedOver { peers: 2 },
            Stage::Dispatched { cells: 1, of: 3 },
            Stage::Failed { reason },
        ] {
            let said = stage_words(&stage);
            let mut words = said.split(|c: char| !c.is_alphanumeric());
            assert!(
                !words.any(|word| ["sent", "read", "delivered"].contains(&word)),
                "{said}"
            );
        }
    }
}
