//! `whisht outbox` and `whisht cancel`: messages on their way.
//!
//! A message of Whisper has a number of this node. A message to a contact is named by the contact, or the
//! conversation, and its number there, because it outlives the run of the node.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::contact::words;
use super::conversation::{ConversationReport, partner};

use super::output::{Printer, duration, one_line};
use super::remote_node::RemoteNode;
use super::send::stage;
use super::{Exit, Failure, conversation};
use crate::node::{
    ContactStage, ConversationMessageView, ConversationStateView, ConversationView, OutgoingView,
    PriceView, SentMessage,
};

/// Options of `whisht outbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<OutboxAction>,
}

#[derive(Debug, clap::Subcommand)]
enum OutboxAction {
    /// Send an unanswered message to a contact again, with the same content
    Renew {
        /// Name of the contact, or first digits of the conversation's id
        #[arg(value_name = "NAME|ID")]
        of: String,
        /// Number of the message in the conversation, as `whisht outbox` shows it
        number: u64,
    },
    /// Stop sending a message to a contact; what has left cannot be recalled
    Cancel {
        /// Name of the contact, or first digits of the conversation's id
        #[arg(value_name = "NAME|ID")]
        of: String,
        /// Number of the message in the conversation, as `whisht outbox` shows it
        number: u64,
    },
}

/// Options of `whisht cancel`.
#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    /// Number of the message, as `whisht outbox` shows it
    id: u64,
}

/// Options of `whisht renew`.
#[derive(Debug, clap::Args)]
pub(super) struct RenewMessageArgs {
    /// Number of the message, as `whisht outbox` shows it
    id: u64,
}

/// Shows messages on their way, or acts on one.
///
/// # Errors
///
/// [`Failure`] if the node does not answer, or has no such message.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    match args.action {
        None => list(node).await,
        Some(OutboxAction::Renew { of, number }) => renew(node, &of, number).await,
        Some(OutboxAction::Cancel { of, number }) => cancel_reply(node, &of, number).await,
    }
}

async fn list(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let messages: Vec<OutgoingView> = node.call("whisht_outbox", json!([])).await?;
    let replies = unfinished_replies(node).await?;
    if node.printer.json {
        // A list of both kinds; only those to contacts name a conversation.
        let messages = messages.iter().map(|message| json!(message));
        let replies = replies.iter().map(|(_, reply)| json!(reply));
        let both: Vec<Value> = messages.chain(replies).collect();
        node.printer.value(&both)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = messages
        .iter()
        .map(row)
        .chain(replies.iter().map(|(view, reply)| reply_row(view, reply)))
        .collect();
    let heading = ["ID", "LEVEL", "PRICE", "STAGE"];
    node.printer.table(heading, &rows, "nothing on its way")?;
    Ok(Exit::Done)
}

fn row(message: &OutgoingView) -> [String; 4] {
    [
        message.id.0.to_string(),
        message.level.to_string(),
        price(message.price),
        stage::describe(&message.stage),
    ]
}

/// Bytes over all hops, and the time in which 95 of 100 messages are in the network.
fn price(price: Option<PriceView>) -> String {
    price.map_or_else(
        || "-".to_owned(),
        |price| {
            let time = duration(price.seconds.saturating_mul(1_000));
            format!("{} B, {time}", price.bytes)
        },
    )
}

/// Messages to contacts whose sending has not ended, with their conversations.
async fn unfinished_replies(
    node: &mut RemoteNode,
) -> Result<Vec<(ConversationView, ConversationMessageView)>, Failure> {
    let mut unfinished = Vec::new();
    for view in conversation::all(node).await? {
        // Before it is accepted, nothing was written to it.
        if view.state == ConversationStateView::Asked {
            continue;
        }
        let params = json!([{"of": view.id, "unfinished": true}]);
        let history: ConversationReport = node.call("whisht_conversation", params).await?;
        let messages = history.messages.into_iter();
        unfinished.extend(messages.map(|message| (view.clone(), message)));
    }
    Ok(unfinished)
}

fn reply_row(view: &ConversationView, message: &ConversationMessageView) -> [String; 4] {
    let delivery = message.delivery.as_ref();
    [
        format!("{} {}", partner(view), message.number),
        message
            .level
            .map_or_else(|| "-".to_owned(), |level| level.to_string()),
        price(delivery.and_then(|delivery| delivery.price)),
        reply_stage(message),
    ]
}

/// What happened to a message, and what it waits for.
fn reply_stage(message: &ConversationMessageView) -> String {
    let reached = message.stage.as_ref();
    let Some(delivery) = &message.delivery else {
        return reached.map(words::stage).unwrap_or_default();
    };
    match (reached, &delivery.attempt, &delivery.waits_for) {
        // The attempt says more than the stage while its envelopes leave.
        (Some(ContactStage::Sealing { attempt }), Some(now), _) => {
            format!("attempt {attempt}: {}", stage::describe(now))
        }
        // Before the first attempt there is nothing but what it waits for.
        (Some(ContactStage::Sealing { .. }) | None, None, Some(waits_for)) => {
            waits(waits_for, delivery.wait_seconds)
        }
        (Some(reached), None, Some(waits_for)) => format!(
            "{}; {}",
            words::stage(reached),
            waits(waits_for, delivery.wait_seconds)
        ),
        (reached, ..) => reached.map(words::stage).unwrap_or_default(),
    }
}

fn waits(waits_for: &str, seconds: Option<u64>) -> String {
    let time = seconds.filter(|seconds| *seconds > 0).map(|seconds| {
        let time = duration(seconds.saturating_mul(1_000));
        format!(", {time} at most")
    });
    format!(
        "waits for {}{}",
        one_line(waits_for),
        time.unwrap_or_default()
    )
}

async fn renew(node: &mut RemoteNode, of: &str, number: u64) -> Result<Exit, Failure> {
    let sent = sent_message(node, of, number).await?;
    let sent: SentMessage = node.call("whisht_renewReply", json!([sent])).await?;
    if node.printer.json {
        node.printer.value(&sent)?;
    } else {
        node.printer.line(format_args!(
            "message {number} is sent again, with the same content in other envelopes"
        ))?;
    }
    Ok(Exit::Done)
}

async fn cancel_reply(node: &mut RemoteNode, of: &str, number: u64) -> Result<Exit, Failure> {
    let sent = sent_message(node, of, number).await?;
    let _: IgnoredAny = node.call("whisht_cancelReply", json!([sent])).await?;
    cancelled(node.printer, number)?;
    Ok(Exit::Done)
}

/// The message with this number in a conversation, with the whole id of the conversation.
async fn sent_message(
    node: &mut RemoteNode,
    of: &str,
    number: u64,
) -> Result<SentMessage, Failure> {
    let params = json!([{"of": of, "after": u64::MAX}]);
    let history: ConversationReport = node.call("whisht_conversation", params).await?;
    Ok(SentMessage {
        conversation: history.conversation.id,
        number,
    })
}

/// Cancels a message.
///
/// # Errors
///
/// [`Failure`] if the node has no such message.
pub(super) async fn cancel(node: &mut RemoteNode, args: CancelArgs) -> Result<Exit, Failure> {
    let _: bool = node.call("whisht_cancel", json!([args.id])).await?;
    cancelled(node.printer, args.id)?;
    Ok(Exit::Done)
}

fn cancelled(printer: Printer, id: u64) -> std::io::Result<()> {
    if printer.json {
        return printer.value(&json!({"cancelled": id}));
    }
    printer.line(format_args!(
        "message {id} is cancelled; shards that have left travel on by themselves"
    ))
}

/// Sends a message that failed once more.
///
/// # Errors
///
/// [`Failure`] if the node has no such message, or if it cannot be sent now.
pub(super) async fn renew_message(
    node: &mut RemoteNode,
    args: RenewMessageArgs,
) -> Result<Exit, Failure> {
    let _: bool = node.call("whisht_renew", json!([args.id])).await?;
    if node.printer.json {
        node.printer.value(&json!({"renewed": args.id}))?;
    } else {
        node.printer.line(format_args!(
            "message {} is sent again; `whisht outbox` shows its stage",
            args.id
        ))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use circuits::level::Level;

    use super::*;
    use crate::node::{DeliveryView, MessageDirection, Stage};

    fn message(stage: ContactStage, delivery: DeliveryView) -> ConversationMessageView {
        ConversationMessageView {
            conversation: "ab".repeat(16),
            contact: Some("desk".to_owned()),
            place: 1,
            direction: MessageDirection::Out,
            number: 1,
            time: 1_800_000_000,
            parts: Vec::new(),
            stage: Some(stage),
            level: Some(Level::Dark),
            read: true,
            delivery: Some(delivery),
        }
    }

    #[test]
    fn running_attempt_is_shown_with_its_cells_and_the_time_left() {
        let departing = Stage::Departing {
            sealed: 7,
            envelopes: 12,
            left: 6,
            cells: 12,
            wait_seconds: 480,
        };
        let delivery = DeliveryView {
            attempt: Some(departing),
            waits_for: None,
            wait_seconds: None,
            price: None,
        };
        let shown = reply_stage(&message(ContactStage::Sealing { attempt: 2 }, delivery));
        assert!(shown.starts_with("attempt 2: 7 of 12 envelopes complete, 6 of 12 cells"));
        assert!(shown.ends_with("in about 8 min"), "{shown}");
    }

    #[test]
    fn message_without_an_attempt_shows_what_it_waits_for() {
        let delivery = |waits_for: &str, wait_seconds| DeliveryView {
            attempt: None,
            waits_for: Some(waits_for.to_owned()),
            wait_seconds,
            price: None,
        };
        let ticket = delivery("the proof of work", Some(0));
        let shown = reply_stage(&message(ContactStage::Sealing { attempt: 1 }, ticket));
        assert_eq!(shown, "waits for the proof of work");
        let answer = delivery("an answer", Some(7_200));
        let shown = reply_stage(&message(
            ContactStage::Seen {
                attempt: 1,
                first_gossip: false,
            },
            answer,
        ));
        assert_eq!(
            shown,
            "attempt 1: came back; the network has it; waits for an answer, 2 h at most"
        );
    }
}
