//! `whisht outbox` and `whisht cancel`: messages on their way.
//!
//! A message of Whisper has a number of this node. A message to a contact is named by the contact, or the
//! conversation, and its number there, because it outlives the run of the node.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::contact::words;
use super::conversation::{ConversationReport, partner};

use super::output::{Printer, duration};
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
        of: String,
        /// Number of the message
        number: u64,
    },
    /// Stop sending a message to a contact; what has left cannot be recalled
    Cancel {
        /// Name of the contact, or first digits of the conversation's id
        of: String,
        /// Number of the message
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
        let params = json!([{"of": view.id}]);
        let history: ConversationReport = node.call("whisht_conversation", params).await?;
        let messages = history.messages.into_iter();
        let messages = messages.filter(|message| message.stage.as_ref().is_some_and(is_unfinished));
        unfinished.extend(messages.map(|message| (view.clone(), message)));
    }
    Ok(unfinished)
}

/// Whether a message can still be cancelled or sent again.
const fn is_unfinished(stage: &ContactStage) -> bool {
    !matches!(
        stage,
        ContactStage::Answered | ContactStage::Expired | ContactStage::Cancelled
    )
}

fn reply_row(view: &ConversationView, message: &ConversationMessageView) -> [String; 4] {
    let stage = message.stage.as_ref().map(words::stage);
    [
        format!("{} {}", partner(view), message.number),
        message
            .level
            .map_or_else(|| "-".to_owned(), |level| level.to_string()),
        "-".to_owned(),
        stage.unwrap_or_default(),
    ]
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
