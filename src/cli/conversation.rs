//! `whisht read` and `whisht reply`: the messages of a conversation.
//!
//! A conversation is named by its contact, or by the first digits of its id, and not by its place in a
//! list: a list changes when a message arrives, and an answer must not go to another person.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::contact::words;
use super::date::{PastTime, UtcTime};
use super::inbox::text_lines;
use super::output::{Printer, count, grouped, one_line, say};
use super::remote_node::RemoteNode;
use super::send::contact::{MessageOptions, send, text};
use super::{Exit, Failure};
use crate::node::{
    ConversationMessageView, ConversationView, HowKnown, MessageDirection, MessagePartView,
};

/// Options of `whisht read`.
#[derive(Debug, clap::Args)]
pub(super) struct ReadArgs {
    /// Name of the contact, or first digits of the conversation's id, as `whisht inbox` shows it
    #[arg(value_name = "NAME|ID")]
    of: String,
    /// Show only messages after this place
    #[arg(long, value_name = "PLACE", default_value_t = 0)]
    after: u64,
    /// Show only messages since this time: an age such as 2h, or a date and time in UTC such as
    /// 2026-11-29T11:39
    #[arg(long, value_name = "TIME")]
    since: Option<PastTime>,
    /// Show only messages before this time, in the same form
    #[arg(long, value_name = "TIME")]
    before: Option<PastTime>,
    /// Show only the last messages, at most this number [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Write the file in the message at this place to standard output, byte for byte, and nothing else
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["after", "since", "before", "limit"])]
    file: Option<u64>,
}

/// Options of `whisht reply`.
#[derive(Debug, clap::Args)]
pub(super) struct ReplyArgs {
    /// Name of the contact, or first digits of the conversation's id, as `whisht inbox` shows it
    #[arg(value_name = "NAME|ID")]
    to: String,
    /// File with the text; `-` reads standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    options: MessageOptions,
}

/// The result of `whisht_conversation`.
#[derive(Deserialize, Serialize)]
pub(super) struct ConversationReport {
    pub(super) conversation: ConversationView,
    pub(super) messages: Vec<ConversationMessageView>,
}

/// All conversations; none while the state of the node is locked.
///
/// # Errors
///
/// [`Failure`] if the node does not answer.
pub(super) async fn all(node: &mut RemoteNode) -> Result<Vec<ConversationView>, Failure> {
    match node.call("whisht_conversations", json!([])).await {
        Ok(list) => Ok(list),
        Err(failure) if failure.exit() == Exit::Locked => {
            if !node.printer.json {
                say("the conversations are locked; `whisht unlock` unlocks them");
            }
            Ok(Vec::new())
        }
        Err(failure) => Err(failure),
    }
}

/// Shows a conversation, and marks what it shows as read.
///
/// # Errors
///
/// [`Failure`] if the node does not answer, or has no such conversation.
pub(super) async fn read(node: &mut RemoteNode, args: ReadArgs) -> Result<Exit, Failure> {
    let time = |time: Option<PastTime>| time.map(PastTime::unix);
    let params = json!([{
        "of": args.of,
        "after": args.after,
        "since": time(args.since),
        "before": time(args.before),
        "limit": args.limit,
    }]);
    let history: ConversationReport = node.call("whisht_conversation", params).await?;
    if let Some(place) = args.file {
        return write_file(&history, place);
    }
    if node.printer.json {
        node.printer.value(&history)?;
    } else {
        show_history(node.printer, &history)?;
    }
    // Only what has been printed counts as read: all messages up to the last one of these.
    let shown = history.messages.iter().filter(|message| !message.read);
    let hides_new = shown.count() < history.conversation.unread;
    if hides_new && (args.since.is_some() || args.before.is_some() || args.limit.is_some()) {
        if !node.printer.json {
            say(
                "there are new messages that are not shown, so none is marked as read; `whisht read` shows all",
            );
        }
    } else if let Some(last) = history.messages.last() {
        let params = json!([{"of": history.conversation.id, "place": last.place}]);
        let _: IgnoredAny = node.call("whisht_markRead", params).await?;
    }
    Ok(Exit::Done)
}

/// Sends a text in a conversation.
///
/// # Errors
///
/// [`Failure`] if the text is not one, the level is refused, or the node does not answer.
pub(super) async fn reply(node: &mut RemoteNode, args: ReplyArgs) -> Result<Exit, Failure> {
    let text = text(&args.file)?;
    refuse_empty(&text)?;
    send(node, &args.to, &text, &args.options).await
}

/// Refuses a message without text.
///
/// # Errors
///
/// [`Failure`] if the text is empty.
pub(super) fn refuse_empty(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::usage(
            "the message is empty; if a command before a pipe failed, repeat it; give text on standard \
             input or a file with -f",
        ));
    }
    Ok(())
}

fn show_history(printer: Printer, history: &ConversationReport) -> Result<(), Failure> {
    let view = &history.conversation;
    printer.line(format_args!(
        "{}  {}: {}",
        words::short_id(&view.id),
        partner(view),
        words::conversation_state(view)
    ))?;
    if view.letters {
        printer.line(
            "by letters: answers have no forward secrecy against the words of the source; a thief of \
             the words can read all answers",
        )?;
    }
    if let Some(day) = view.restored_day {
        let day = UtcTime(day.saturating_mul(86_400)).day();
        printer.line(format_args!(
            "restored on {day}: the other side lost its state, and proved that it knows the old \
             conversation; compare the words again"
        ))?;
    }
    for message in &history.messages {
        show_message(printer, message)?;
    }
    for number in &view.missing {
        printer.line(format_args!(
            "message {number} of the other side has not come"
        ))?;
    }
    Ok(())
}

/// The other side of a conversation.
pub(super) fn partner(view: &ConversationView) -> String {
    match &view.contact {
        Some(name) => one_line(name),
        None => "unknown".to_owned(),
    }
}

/// Shows a message: a line about it, and its parts.
///
/// # Errors
///
/// [`Failure`] if the output cannot be written.
pub(super) fn show_message(
    printer: Printer,
    message: &ConversationMessageView,
) -> Result<(), Failure> {
    let time = UtcTime(u32::try_from(message.time).unwrap_or(u32::MAX));
    let from = match (message.direction, &message.contact) {
        (MessageDirection::Out, _) => "you".to_owned(),
        (MessageDirection::In, Some(name)) => one_line(name),
        (MessageDirection::In, None) => "unknown".to_owned(),
    };
    let stage = message
        .stage
        .as_ref()
        .map_or_else(String::new, |stage| format!("  ({})", words::stage(stage)));
    let new = if message.read { "" } else { "  new" };
    printer.line(format_args!(
        "{:>4}  {time}  {from}, message {}{new}{stage}",
        message.place, message.number
    ))?;
    for part in &message.parts {
        show_part(printer, message, part)?;
    }
    Ok(())
}

fn show_part(
    printer: Printer,
    message: &ConversationMessageView,
    part: &MessagePartView,
) -> Result<(), Failure> {
    let line = match part {
        MessagePartView::Text { text } => {
            let mut stdout = io::stdout().lock();
            // The text is not a figure of this program, and bears no mark of a local network.
            for line in text_lines(text) {
                writeln!(stdout, "{line}")?;
            }
            return Ok(());
        }
        MessagePartView::File { name, bytes } => format!(
            "file {:?}, {} bytes; `whisht read {} --file {}` writes it",
            one_line(name),
            count(bytes.len() / 2),
            words::short_id(&message.conversation),
            message.place
        ),
        MessagePartView::Address { id } => format!(
            "claims the address {}; compare the words before you believe it",
            words::address(id).unwrap_or_else(|| one_line(id))
        ),
        MessagePartView::Introduction {
            id,
            name,
            how,
            note,
        } => introduction(id, name, *how, note),
        MessagePartView::Continuity { of } => format!(
            "a new session, which continues conversation {}",
            words::short_id(of)
        ),
        MessagePartView::FileOffer { name, size } => format!(
            "offers the file {:?}, {} bytes; `whisht file list` shows it, and nothing is received \
             before you accept it",
            one_line(name),
            grouped(*size)
        ),
        MessagePartView::FileAnswer { verdict } => verdict.words().to_owned(),
        MessagePartView::TalkOffer => {
            "offers a talk line; `whisht contact list` shows whether it still waits".to_owned()
        }
        MessagePartView::TalkAnswer { accepted } => {
            MessagePartView::talk_answer(*accepted).to_owned()
        }
        MessagePartView::Goodbye => "closes the conversation".to_owned(),
        MessagePartView::Unknown { kind } => MessagePartView::unknown(*kind),
    };
    Ok(printer.line(format_args!("      {line}"))?)
}

fn introduction(id: &str, name: &str, how: HowKnown, note: &str) -> String {
    let address = words::address(id).unwrap_or_else(|| one_line(id));
    how.introduction(&address, &one_line(name), &one_line(note))
}

/// Writes the file in a message to standard output.
fn write_file(history: &ConversationReport, place: u64) -> Result<Exit, Failure> {
    let mut messages = history.messages.iter();
    let message = messages.find(|message| message.place == place);
    let parts = message.map_or(&[][..], |message| &message.parts);
    let file = parts.iter().find_map(|part| match part {
        MessagePartView::File { bytes, .. } => hex::decode(bytes).ok(),
        _ => None,
    });
    let file = file.ok_or_else(|| {
        Failure::usage(format_args!(
            "there is no file in a message at place {place}; `whisht read` shows the places"
        ))
    })?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&file)?;
    stdout.flush()?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn introduction_of_a_message_names_address_and_makes_controls_visible() {
        let id = "00".repeat(32);
        let said = introduction(&id, "J\u{202e}", HowKnown::Voice, "at\nnine");
        assert!(
            said.starts_with("introduces J?, whose words were compared by voice, shh1"),
            "{said}"
        );
        assert!(said.ends_with(": at?nine"), "{said}");
    }
}
