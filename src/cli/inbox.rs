//! `whisht inbox`: messages that arrived.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::output::{Printer, field, number, safe};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};

/// Options of `whisht inbox`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Wait for more until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Only messages with a number above this one
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
/// [`Failure`] if the node has gone, or the message is not there.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    if let Some(number) = args.body {
        return body(node, number).await;
    }
    if args.follow {
        // Before the first look, so that nothing falls between.
        node.client.subscribe().await?;
    }
    let last = show_after(node, args.after).await?;
    if args.follow {
        watch(node, last).await?;
    } else if last == 0 && !node.printer.json {
        node.printer
            .line("no messages; the node listens for what `whisht id list` shows")?;
    }
    Ok(Exit::Done)
}

/// Shows messages as they come, until Ctrl-C.
async fn watch(node: &mut RemoteNode, mut last: u64) -> Result<(), Failure> {
    loop {
        let event = tokio::select! {
            event = node.client.next_event() => event?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        if event.get("message").is_some() || event.get("lost").is_some() {
            last = show_after(node, last).await?;
        }
    }
}

/// Shows every message above a number, and gives the highest there is.
async fn show_after(node: &mut RemoteNode, after: u64) -> Result<u64, Failure> {
    let messages = node.call("whisht_inbox", json!([after])).await?;
    let mut last = after;
    for message in messages.as_array().into_iter().flatten() {
        last = last.max(number(message, "number"));
        show(node.printer, message)?;
    }
    Ok(last)
}

fn show(printer: Printer, message: &Value) -> io::Result<()> {
    if printer.json {
        return printer.value(message);
    }
    let from = field(message, "from");
    let from = match from.is_empty() {
        true => "unsigned".to_owned(),
        false => format!("signed by 0x{from}"),
    };
    let head = format!(
        "#{} to {}, {from}",
        number(message, "number"),
        field(message, "to")
    );
    printer.line(head)?;
    let bytes = payload(message);
    match String::from_utf8(bytes) {
        Ok(text) => safe(&text).lines().try_for_each(|line| {
            // A body is no figure of ours and bears no mark.
            writeln!(io::stdout().lock(), "    {line}")
        }),
        Err(error) => printer.line(format_args!(
            "    {} bytes that are no text; `whisht inbox --body {}` writes them out",
            error.as_bytes().len(),
            number(message, "number")
        )),
    }
}

async fn body(node: &mut RemoteNode, wanted: u64) -> Result<Exit, Failure> {
    let messages = node
        .call("whisht_inbox", json!([wanted.saturating_sub(1)]))
        .await?;
    let mut messages = messages.as_array().into_iter().flatten();
    let message = messages.find(|message| number(message, "number") == wanted);
    let message = message.ok_or_else(|| {
        Failure::usage(format_args!(
            "there is no message {wanted}; `whisht inbox` shows those that the node still has"
        ))
    })?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&payload(message))?;
    stdout.flush()?;
    Ok(Exit::Done)
}

/// The body, which the node sends in hexadecimal digits.
fn payload(message: &Value) -> Vec<u8> {
    let digits = message
        .get("payload")
        .and_then(Value::as_str)
        .unwrap_or_default();
    hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).unwrap_or_default()
}
