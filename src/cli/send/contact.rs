//! A message to a contact or in a conversation: price first, then the stages.
//!
//! The command ends with 0 when an attempt came back by gossip, with 3 if that is not known when the
//! user stops waiting, and with 4 if the node gave up. No stage reports that a message was read; an
//! answer is a message of the other side, which `whisht inbox` shows.

use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::body;
use super::stage::describe;
use crate::cli::contact::words;
use crate::cli::durations::{lifetime, time};
use crate::cli::levels;
use crate::cli::notice_wait::NoticeWait;
use crate::cli::output::{Printer, Spinner, count, duration, say, say_value};
use crate::cli::remote_node::RemoteNode;
use crate::cli::{Exit, Failure};
use crate::node::{
    ContactEvent, ContactStage, ConversationMessageView, Event, LevelChoice, MessageDirection,
    SendPriceView, SentMessage, Stage,
};
use crate::rpc::EventNotice;

/// Options of all messages to contacts.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct MessageOptions {
    /// Privacy level, or the name of a custom one [default: that of the recipient, or of the node]
    #[arg(long, value_name = "LEVEL")]
    pub(super) level: Option<LevelChoice>,
    /// Lifetime of each envelope in the network, such as 6h or 2d, at most 59h [default: as the node
    /// chooses]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub(super) ttl: Option<Duration>,
    /// Show the cost of the message, and send nothing
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    pub(super) dry_run: bool,
    /// Return as soon as the node has stored the message
    #[arg(long, conflicts_with = "timeout")]
    pub(super) no_wait: bool,
    /// Stop waiting after this time, such as 90s; the node continues [default: wait until the end]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) timeout: Option<Duration>,
}

impl MessageOptions {
    /// The parameters of a method that sends a message.
    pub(in crate::cli) fn params(&self, to: &str, text: &str) -> Value {
        json!({
            "to": to,
            "text": text,
            "level": self.level.as_ref().map(LevelChoice::to_string),
            "life": self.ttl.map(|ttl| ttl.as_secs()),
        })
    }
}

/// Reads the text of a message.
pub(in crate::cli) fn text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    utf8(&body(path)?, path)
}

/// The body of a message as text, which it is in a conversation.
pub(super) fn utf8(body: &[u8], path: &Path) -> Result<Zeroizing<String>, Failure> {
    match core::str::from_utf8(body) {
        Ok(text) => Ok(text.to_owned().into()),
        Err(error) => Err(Failure::usage(format_args!(
            "a message to a contact is text, and byte {} of {} is not UTF-8; convert it to text",
            error.valid_up_to().saturating_add(1),
            path.display()
        ))),
    }
}

/// Sends a text to a contact or in a conversation.
pub(in crate::cli) async fn send(
    node: &mut RemoteNode,
    to: &str,
    text: &str,
    options: &MessageOptions,
) -> Result<Exit, Failure> {
    let params = options.params(to, text);
    let price: SendPriceView = node.call("whisht_estimateReply", json!([params])).await?;
    if options.dry_run {
        show_price(node, &price, options).await?;
        return Ok(Exit::Done);
    }
    if !node.printer.json {
        say(price_line(&price));
    }
    deliver(node, "whisht_reply", params, options).await
}

/// Calls a method that sends a message, and follows the message.
pub(in crate::cli) async fn deliver(
    node: &mut RemoteNode,
    method: &'static str,
    params: Value,
    options: &MessageOptions,
) -> Result<Exit, Failure> {
    if options.dry_run {
        let price = node
            .call("whisht_estimateReply", json!([price_params(&params)]))
            .await?;
        show_price(node, &price, options).await?;
        return Ok(Exit::Done);
    }
    // Before the message is sent, so that no stage is missed.
    node.client.subscribe().await?;
    let sent: SentMessage = node.call(method, json!([params])).await?;
    if options.no_wait {
        if node.printer.json {
            node.printer.value(&sent)?;
        } else {
            node.printer.line(format_args!(
                "stored as message {} of conversation {}",
                sent.number,
                words::short_id(&sent.conversation)
            ))?;
        }
        return Ok(Exit::Done);
    }
    follow(node, sent, options.timeout).await
}

/// The parameters of an estimate: those of the message that are not of the method.
fn price_params(params: &Value) -> Value {
    let field = |name: &str| params.get(name).cloned().unwrap_or_default();
    json!({
        "to": field("to"),
        "text": field("text"),
        "level": field("level"),
        "life": field("life"),
    })
}

/// Shows the cost of a message in full.
pub(super) async fn show_price(
    node: &mut RemoteNode,
    price: &SendPriceView,
    options: &MessageOptions,
) -> Result<(), Failure> {
    if node.printer.json {
        return Ok(node.printer.value(price)?);
    }
    if let Some(estimate) = &price.estimate {
        let lifetime = options.ttl.map(super::Lifetime::of);
        levels::show_price(node, estimate, lifetime.as_ref()).await?;
    }
    node.printer.line(price_line(price))?;
    Ok(())
}

/// The cost of a message in one line.
fn price_line(price: &SendPriceView) -> String {
    let form = if price.first {
        "a first message"
    } else {
        "a message of the conversation"
    };
    let ticket = match price.ticket_bits {
        0 => String::new(),
        bits => format!(", a ticket of {bits} bits once"),
    };
    let Some(estimate) = &price.estimate else {
        return format!(
            "level `{}`: {form} of {} bytes{ticket}; the cost is known when there is a card",
            price.level.word(),
            count(price.body_bytes)
        );
    };
    let envelopes = match estimate.envelopes {
        1 => "1 envelope".to_owned(),
        envelopes => format!("{} envelopes", count(envelopes)),
    };
    format!(
        "level `{}`: {form} of {} bytes in {envelopes} of {} bytes{ticket}; about {}, at most {} in 19 of 20 \
         cases",
        price.level.word(),
        count(price.body_bytes),
        count(estimate.envelope_bytes),
        duration(estimate.median_ms),
        duration(estimate.p95_ms),
    )
}

/// Shows stages until the message has come back, or was given up.
async fn follow(
    node: &mut RemoteNode,
    sent: SentMessage,
    limit: Option<Duration>,
) -> Result<Exit, Failure> {
    let progress = ContactProgress::start(node.printer, &sent);
    let mut notices = NoticeWait::new(limit);
    let mut last = None;
    let exit = loop {
        let Some(notice) = notices.next(node).await? else {
            break Exit::Pending;
        };
        if let EventNotice::Event(Event::Contact(event)) = &notice
            && let ContactEvent::Progress(own, stage) = &**event
            && *own == sent
        {
            progress.show_attempt(stage);
        }
        let Some(stage) = stage_of(node, &sent, notice).await? else {
            continue;
        };
        progress.show(&stage);
        let ends = exit_of(&stage);
        last = Some(stage);
        if let Some(exit) = ends {
            break exit;
        }
    };
    progress.end();
    if node.printer.json {
        node.printer.value(&SendEnd {
            sent: &sent,
            reached: last.as_ref(),
            exit: exit.code(),
        })?;
    } else if exit == Exit::Pending {
        node.printer.line(format_args!(
            "message {} has not come back yet; the node continues, and `whisht read {}` shows its stage",
            sent.number,
            words::short_id(&sent.conversation)
        ))?;
    }
    Ok(exit)
}

/// The exit code if a stage ends the wait.
const fn exit_of(stage: &ContactStage) -> Option<Exit> {
    match stage {
        ContactStage::Seen { .. } | ContactStage::Answered => Some(Exit::Done),
        ContactStage::Unanswered { .. } | ContactStage::Expired | ContactStage::Cancelled => {
            Some(Exit::Expired)
        }
        ContactStage::Sealing { .. } | ContactStage::Dispatched { .. } => None,
    }
}

/// The result under `--json`.
#[derive(Serialize)]
struct SendEnd<'a> {
    #[serde(flatten)]
    sent: &'a SentMessage,
    reached: Option<&'a ContactStage>,
    exit: u8,
}

/// The stage of our message that a notice contains. After lost events, the conversation has it.
async fn stage_of(
    node: &mut RemoteNode,
    sent: &SentMessage,
    notice: EventNotice,
) -> Result<Option<ContactStage>, Failure> {
    match notice {
        EventNotice::Event(Event::Contact(event)) => match *event {
            ContactEvent::Outgoing(own, stage) => Ok((own == *sent).then_some(stage)),
            _ => Ok(None),
        },
        EventNotice::Event(_) => Ok(None),
        EventNotice::Lost(_) => {
            let ConversationReply { messages } = node
                .call("whisht_conversation", json!([sent.conversation]))
                .await?;
            let own = |message: &ConversationMessageView| {
                message.direction == MessageDirection::Out && message.number == sent.number
            };
            let own = messages.into_iter().find(own);
            Ok(own.and_then(|message| message.stage))
        }
    }
}

/// The part of `whisht_conversation` that is read here.
#[derive(serde::Deserialize)]
struct ConversationReply {
    messages: Vec<ConversationMessageView>,
}

/// How stages are shown.
enum ContactProgress {
    Spinner(Spinner),
    Lines,
    Json(SentMessage),
}

impl ContactProgress {
    fn start(printer: Printer, sent: &SentMessage) -> Self {
        if printer.json {
            return Self::Json(sent.clone());
        }
        if !stderr().is_terminal() {
            return Self::Lines;
        }
        Self::Spinner(Spinner::start(format_args!(
            "stored as message {}",
            sent.number
        )))
    }

    fn show(&self, stage: &ContactStage) {
        match self {
            Self::Json(sent) => say_value(&json!({"message": sent, "reached": stage})),
            Self::Lines => say(words::stage(stage)),
            Self::Spinner(spinner) => spinner.next(words::stage(stage)),
        }
    }

    /// Shows what the running attempt does. Without a terminal there would be a line for each cell.
    fn show_attempt(&self, stage: &Stage) {
        match self {
            Self::Json(sent) => say_value(&json!({"message": sent, "attempt": stage})),
            Self::Lines => {}
            Self::Spinner(spinner) => spinner.next(describe(stage)),
        }
    }

    fn end(&self) {
        if let Self::Spinner(spinner) = self {
            spinner.leave();
        }
    }
}
