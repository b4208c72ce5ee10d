//! `whisht inbox`: received messages.

use std::io::{self, Write};

use serde_json::json;

use super::output::{Printer, count, one_line, safe, width, wrap};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::{Event, MessageView};
use crate::rpc::EventNotice;

/// Options of `whisht inbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Wait for further messages until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Show only messages with a number above this one
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// Write the body of this message to standard output, byte for byte, and nothing else
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["follow", "after"])]
    body: Option<u64>,
}

/// Shows messages.
///
/// # Errors
///
/// [`Failure`] if the node does not answer, or has no such message.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    if let Some(number) = args.body {
        return body(node, number).await;
    }
    if args.follow {
        // Before the first request, so that no message arrives unnoticed between the two.
        node.client.subscribe().await?;
    }
    let last = show_after(node, args.after).await?;
    if args.follow {
        watch(node, last).await?;
    } else if last == 0 && !node.printer.json {
        node.printer
            .line("no messages; `whisht id list` shows the identities that the node listens for")?;
    }
    Ok(Exit::Done)
}

/// Shows messages as they arrive, until Ctrl-C.
async fn watch(node: &mut RemoteNode, mut last: u64) -> Result<(), Failure> {
    loop {
        let notice = tokio::select! {
            notice = node.client.next_notice() => notice?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        if matches!(
            notice,
            EventNotice::Lost(_) | EventNotice::Event(Event::Message(_))
        ) {
            last = show_after(node, last).await?;
        }
    }
}

/// Shows every message with a number above `after`, and returns the highest number.
async fn show_after(node: &mut RemoteNode, after: u64) -> Result<u64, Failure> {
    let messages: Vec<MessageView> = node.call("whisht_inbox", json!([after])).await?;
    let mut last = after;
    for message in &messages {
        last = last.max(message.number);
        show(node.printer, message)?;
    }
    Ok(last)
}

fn show(printer: Printer, message: &MessageView) -> Result<(), Failure> {
    if printer.json {
        return Ok(printer.value(message)?);
    }
    let from = match &message.from {
        Some(key) => format!("signed by 0x{}", one_line(key)),
        None => "unsigned".to_owned(),
    };
    let number = message.number;
    printer.line(format_args!(
        "#{number} to {}, {from}",
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
            "    {} bytes that are not text; `whisht inbox --body {number}` writes them",
            count(payload.len()),
        ))?,
    }
    Ok(())
}

/// Whether a text is shown: it has no NUL, and few control characters, which are shown as `?`.
fn is_readable(text: &str) -> bool {
    let controls = text
        .chars()
        .filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    let controls = controls.count();
    !text.contains('\0') && controls.saturating_mul(MIN_TEXT_PER_CONTROL) <= text.chars().count()
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

async fn body(node: &mut RemoteNode, wanted: u64) -> Result<Exit, Failure> {
    let after = json!([wanted.saturating_sub(1)]);
    let messages: Vec<MessageView> = node.call("whisht_inbox", after).await?;
    let message = messages.iter().find(|message| message.number == wanted);
    let message = message.ok_or_else(|| {
        Failure::usage(format_args!(
            "there is no message {wanted}; `whisht inbox` shows the messages that the node has"
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
                message.number
            ),
        )
    })
}

/// Number of characters of a readable text for each control character.
const MIN_TEXT_PER_CONTROL: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

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
