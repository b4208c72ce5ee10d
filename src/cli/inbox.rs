//! `whisht inbox`: received messages, and conversations with new ones.

mod conversations;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use self::conversations::ShownReplies;
use super::contact::talk;
use super::date::UtcTime;
use super::durations::time;
use super::file;
use super::notice_wait::NoticeWait;
use super::output::{Printer, count, one_line, safe, width, wrap};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::{Event, MessageIdPrefix, MessageView, TalkEvent};
use crate::rpc::EventNotice;
use crate::shell::clock::Clock;

/// Options of `whisht inbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Wait for further messages until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Show only messages that the node received after the message with this id (8 digits or more), or
    /// since this time: an age such as 2h, or a date and time in UTC such as 2026-11-29T11:39
    #[arg(long, value_name = "ID|TIME")]
    after: Option<InboxStart>,
    /// Write the body of the message with this id to standard output, byte for byte, and nothing else
    #[arg(long, value_name = "ID", conflicts_with_all = ["follow", "after"])]
    body: Option<MessageIdPrefix>,
}

/// Where a listing begins.
#[derive(Clone, Debug, Eq, PartialEq)]
enum InboxStart {
    /// After the message with this id.
    Id(MessageIdPrefix),
    /// At a time so long ago.
    Age(Duration),
    /// At this time.
    Time(UtcTime),
}

impl FromStr for InboxStart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An age of eight characters would be above the longest that is permitted, and a date has
        // hyphens: no text is both an id and a time.
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if let Ok(age) = time(text) {
            return Ok(Self::Age(age));
        }
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        Err(
            "expected the id of a message (8 hexadecimal digits or more, as `whisht inbox` shows), an \
             age such as 90s, 2h or 3d, or a date and time in UTC such as 2026-11-29T11:39"
                .to_owned(),
        )
    }
}

impl InboxStart {
    /// The parameter of `whisht_inbox`.
    fn param(&self) -> Value {
        match self {
            Self::Id(id) => json!(id.to_string()),
            Self::Age(age) => {
                let secs = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
                json!(Clock::start().now().unix.before(secs).0)
            }
            Self::Time(UtcTime(secs)) => json!(secs),
        }
    }
}

/// Shows messages.
///
/// # Errors
///
/// [`Failure`] if the node does not answer, or has no such message.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    if let Some(id) = args.body {
        return body(node, &id).await;
    }
    if args.follow {
        // Before the first request, so that no message arrives unnoticed between the two.
        node.client.subscribe().await?;
    }
    let after = args.after.as_ref().map(InboxStart::param);
    let mut shown = ShownMessages::default();
    shown.show_all(node, after).await?;
    if args.follow {
        return watch(node, shown).await.map(|()| Exit::Done);
    }
    // An id or a time selects among Whisper's messages.
    let has_conversations = args.after.is_none() && conversations::list(node).await?;
    if shown.ids.is_empty() && !has_conversations && !node.printer.json {
        node.printer.line(if args.after.is_some() {
            "no messages after that"
        } else {
            "no messages; `whisht id list` shows the identities that the node listens for"
        })?;
    }
    Ok(Exit::Done)
}

/// Shows messages as they arrive, until Ctrl-C.
async fn watch(node: &mut RemoteNode, mut shown: ShownMessages) -> Result<(), Failure> {
    let mut notices = NoticeWait::new(None);
    let mut replies = ShownReplies::default();
    replies.show_all(node).await?;
    loop {
        let Some(notice) = notices.next(node).await? else {
            return Ok(());
        };
        match notice {
            EventNotice::Event(Event::Message(message)) => shown.show(node.printer, &message)?,
            EventNotice::Event(Event::Contact(event)) => replies.event(node.printer, &event)?,
            EventNotice::Event(Event::File(view)) => {
                if let Some(line) = file::offer_line(&view) {
                    node.printer.line(line)?;
                }
            }
            EventNotice::Event(Event::Talk(event)) => {
                let offer = match &*event {
                    TalkEvent::Stage(view) => talk::offer_line(view),
                    TalkEvent::Line { .. } => None,
                };
                if let Some(line) = offer {
                    node.printer.line(line)?;
                }
            }
            EventNotice::Lost(_) => {
                let since = json!(shown.last_received);
                shown.show_all(node, Some(since)).await?;
                replies.show_all(node).await?;
            }
            EventNotice::Event(_) => {}
        }
    }
}

/// The messages that were shown, so that none is shown twice.
#[derive(Default)]
struct ShownMessages {
    ids: BTreeSet<(String, String)>,
    /// When the node received the last of them.
    last_received: u32,
}

impl ShownMessages {
    /// Shows every message after a start, or all.
    async fn show_all(
        &mut self,
        node: &mut RemoteNode,
        after: Option<Value>,
    ) -> Result<(), Failure> {
        let params = json!([{"after": after}]);
        let messages: Vec<MessageView> = node.call("whisht_inbox", params).await?;
        for message in &messages {
            self.show(node.printer, message)?;
        }
        Ok(())
    }

    /// Shows a message, unless it was shown.
    fn show(&mut self, printer: Printer, message: &MessageView) -> Result<(), Failure> {
        self.last_received = self.last_received.max(message.received);
        if self.ids.insert((message.id.clone(), message.to.clone())) {
            show(printer, message)?;
        }
        Ok(())
    }
}

fn show(printer: Printer, message: &MessageView) -> Result<(), Failure> {
    if printer.json {
        return Ok(printer.value(message)?);
    }
    let from = match &message.from {
        Some(key) => format!("signed by 0x{}", one_line(key)),
        None => "unsigned".to_owned(),
    };
    let id = short_id(message);
    printer.line(format_args!(
        "{id}  {}  to {}, {from}",
        UtcTime(message.made),
        one_line(&message.to)
    ))?;
    let payload = payload(message)?;
    match core::str::from_utf8(&payload) {
        Ok(text) if is_readable(text) => {
            let mut stdout = io::stdout().lock();
            // The body is not a figure of this program, and bears no mark of a local network.
            for line in body_lines(text, width(&io::stdout())) {
                writeln!(stdout, "{line}")?;
            }
        }
        _ => printer.line(format_args!(
            "    {} bytes that are not text; `whisht inbox --body {id}` writes them",
            count(payload.len()),
        ))?,
    }
    Ok(())
}

/// The first digits of a message's id: enough to name it.
fn short_id(message: &MessageView) -> String {
    one_line(&message.id).chars().take(SHORT_ID).collect()
}

/// Whether a text is shown: it has no NUL, and few control characters, which are shown as `?`.
fn is_readable(text: &str) -> bool {
    let controls = text
        .chars()
        .filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    let controls = controls.count();
    !text.contains('\0') && controls.saturating_mul(MIN_TEXT_PER_CONTROL) <= text.chars().count()
}

/// The lines of a text on standard output, indented.
pub(super) fn text_lines(text: &str) -> Vec<String> {
    body_lines(text, width(&io::stdout()))
}

/// The lines of a body, indented, for a terminal of `width` columns.
fn body_lines(text: &str, width: Option<usize>) -> Vec<String> {
    let text = safe(text);
    let lines = text.lines();
    match width {
        None => lines.map(|line| format!("    {line}")).collect(),
        Some(width) => lines
            .flat_map(|line| {
                let line = line.replace('\t', "    ");
                wrap(&format!("    {line}"), width)
            })
            .collect(),
    }
}

async fn body(node: &mut RemoteNode, id: &MessageIdPrefix) -> Result<Exit, Failure> {
    let params = json!([{"id": id.to_string()}]);
    let messages: Vec<MessageView> = node.call("whisht_inbox", params).await?;
    // If several identities received it, the body is the same.
    let message = messages.first().ok_or_else(|| {
        Failure::usage(format_args!(
            "no message has the id {id}; `whisht inbox` shows the messages that the node has"
        ))
    })?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&payload(message)?)?;
    stdout.flush()?;
    Ok(Exit::Done)
}

/// The body, which the node sends in hexadecimal digits.
fn payload(message: &MessageView) -> Result<Vec<u8>, Failure> {
    hex::decode(&message.payload).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format_args!(
                "the node sends the body of message {} in an unknown form ({error}); restart the \
                 node with this program",
                message.id
            ),
        )
    })
}

/// Digits of an id in the listing. Two of a thousand messages have equal digits with probability
/// 2^-29.
const SHORT_ID: usize = 12;

/// Number of characters of a readable text for each control character.
const MIN_TEXT_PER_CONTROL: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_begins_at_an_id_an_age_or_a_time() {
        let id: InboxStart = "0x3F9A0C12".parse().unwrap();
        assert_eq!(id.param(), json!("3f9a0c12"));
        let digits: InboxStart = "20261129".parse().unwrap();
        assert_eq!(digits.param(), json!("20261129"));
        let time: InboxStart = "2026-11-29T12:00".parse().unwrap();
        assert_eq!(time.param(), json!(1_795_953_600));
        assert_eq!(
            "2h".parse(),
            Ok(InboxStart::Age(Duration::from_secs(7_200)))
        );
    }

    #[test]
    fn number_of_an_earlier_version_is_refused_with_what_is_expected() {
        for text in ["14", "0", "yesterday", "-1"] {
            let error = text.parse::<InboxStart>().unwrap_err();
            assert!(error.contains("8 hexadecimal digits"), "{error}");
        }
    }

    #[test]
    fn body_of_nul_bytes_or_mostly_control_characters_is_not_text() {
        assert!(is_readable("") && is_readable("a line\r\n\tand one more"));
        assert!(is_readable("one \u{1b}[31m escape in a sentence of words"));
        assert!(!is_readable(&"\0".repeat(64_000)));
        assert!(!is_readable("a sentence with one \0 in it"));
        assert!(!is_readable(&"\u{1}a".repeat(100)));
    }

    #[test]
    fn body_line_keeps_to_the_width_of_the_terminal() {
        let text = "one two\tthree\nfour";
        assert_eq!(body_lines(text, None), ["    one two\tthree", "    four"]);
        assert_eq!(
            body_lines(text, Some(12)),
            ["    one two", "      three", "    four"]
        );
    }
}
