//! `whisht send --attach`: hands a file over to a contact.
//!
//! The file is cleaned first, and the user reads what was removed. What fits one message travels inside it;
//! everything larger is offered, and travels through circuits once the other side has accepted it. The
//! node takes a sealed copy, so the original may be gone afterwards.

use std::io::{self, BufRead};
use std::path::PathBuf;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::contact::{MessageOptions, deliver, show_price};
use crate::cli::file::{follow, price_line};
use crate::cli::output::{count, say};
use crate::cli::remote_node::RemoteNode;
use crate::cli::{Exit, Failure};
use crate::metadata::PROMISE;
use crate::node::{FilePriceView, FileView, LevelChoice, SendPriceView};
use crate::shell::prepared_file::{FileWishes, PreparedFile};

/// Options of a file.
#[derive(Debug, clap::Args)]
pub(super) struct AttachOptions {
    /// File to hand over to a contact; names, places, times and devices are removed from it first
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["file", "topic", "sign", "any_client", "allow_empty"]
    )]
    pub(super) attach: Option<PathBuf>,
    /// Name of the file that the recipient sees [default: file, with its ending]
    #[arg(long, value_name = "NAME", requires = "attach")]
    name: Option<String>,
    /// Hand the file over as it is, with everything that it says about its maker; asks for a word first
    #[arg(long, requires = "attach")]
    as_is: bool,
}

/// Hands a file over.
///
/// # Errors
///
/// [`Failure`] if the file cannot be cleaned or read, or the node refuses it.
pub(super) async fn run(
    node: &mut RemoteNode,
    to: &str,
    attach: &AttachOptions,
    options: &MessageOptions,
) -> Result<Exit, Failure> {
    let path = attach.attach.clone().unwrap_or_default();
    let wishes = FileWishes {
        name: attach.name.clone(),
        as_is: attach.as_is,
    };
    if attach.as_is {
        confirm()?;
    }
    let mut file = PreparedFile::open(&path, &wishes)?;
    if !node.printer.json {
        show_notes(&file, attach.as_is);
    }
    if file.size() <= MAX_IN_MESSAGE
        && let Some(exit) = in_message(node, to, &mut file, options).await?
    {
        return Ok(exit);
    }
    offer(node, to, &mut file, options).await
}

/// Asks for the words that hand a file over as it is.
fn confirm() -> Result<(), Failure> {
    say(format_args!(
        "with --as-is nothing is removed: the file may name you, your devices, places and times. Type \
         `{AS_IS}` to hand it over:"
    ));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == AS_IS {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "nothing was handed over: the confirmation is `{AS_IS}`"
    )))
}

fn show_notes(file: &PreparedFile, as_is: bool) {
    for note in file.notes() {
        say(note);
    }
    if !as_is {
        say(format_args!("whisht {PROMISE}"));
    }
    let size = usize::try_from(file.size()).unwrap_or(usize::MAX);
    say(format_args!(
        "the recipient sees the name {:?} and {} bytes",
        file.name(),
        count(size)
    ));
}

/// Sends a file inside a message; `None` if it does not fit one.
async fn in_message(
    node: &mut RemoteNode,
    to: &str,
    file: &mut PreparedFile,
    options: &MessageOptions,
) -> Result<Option<Exit>, Failure> {
    let mut params = options.params(to, "");
    let bytes = next_chunk(file)?.unwrap_or_default();
    let digits = Zeroizing::new(hex::encode(bytes.as_slice()));
    if let Value::Object(fields) = &mut params {
        let attachment = json!({"name": file.name(), "bytes": digits.as_str()});
        fields.insert("attachment".to_owned(), attachment);
    }
    file.rewind()?;
    let price: Result<SendPriceView, Failure> =
        node.call("whisht_estimateReply", json!([params])).await;
    let price = match price {
        // A message at this level does not take so much.
        Err(failure) if failure.exit() == Exit::Usage => return Ok(None),
        price => price?,
    };
    if options.dry_run {
        show_price(node, &price, options).await?;
        return Ok(Some(Exit::Done));
    }
    if !node.printer.json {
        say("the file fits one message, and travels inside it");
    }
    deliver(node, "whisht_reply", params, options)
        .await
        .map(Some)
}

/// Brings a file into the node and offers it.
async fn offer(
    node: &mut RemoteNode,
    to: &str,
    file: &mut PreparedFile,
    options: &MessageOptions,
) -> Result<Exit, Failure> {
    if options.ttl.is_some() {
        return Err(Failure::usage(
            "--ttl is the lifetime of a message, and this file does not fit one; leave it out",
        ));
    }
    let params = json!([{
        "to": to,
        "name": file.name(),
        "size": file.size(),
        "level": options.level.as_ref().map(LevelChoice::to_string),
    }]);
    let price: FilePriceView = node.call("whisht_filePrice", params.clone()).await?;
    if options.dry_run {
        if node.printer.json {
            node.printer.value(&price)?;
        } else {
            node.printer.line(price_line(&price))?;
        }
        return Ok(Exit::Done);
    }
    if !node.printer.json {
        say(price_line(&price));
    }
    // Before the file is offered, so that no stage is missed.
    node.client.subscribe().await?;
    let begun: FileView = node.call("whisht_fileBegin", params).await?;
    if let Err(failure) = bring_in(node, begun.number, file).await {
        // What is stored of it is of no use; the node erases it at its next start at the latest.
        let _: Result<Value, Failure> = node.call("whisht_fileErase", json!([begun.number])).await;
        return Err(failure);
    }
    let offered: FileView = node.call("whisht_fileEnd", json!([begun.number])).await?;
    if options.no_wait {
        if node.printer.json {
            node.printer.value(&offered)?;
        } else {
            node.printer.line(format_args!(
                "offered as file {}; `whisht file list` shows how far it is",
                offered.number
            ))?;
        }
        return Ok(Exit::Done);
    }
    follow(node, offered, options.timeout).await
}

/// Hands every chunk of a file to the node, unless the user stops it.
async fn bring_in(
    node: &mut RemoteNode,
    number: u64,
    file: &mut PreparedFile,
) -> Result<(), Failure> {
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    let mut chunk = 0_u32;
    while let Some(bytes) = next_chunk(file)? {
        // Between two calls, so that the connection stays in order.
        let is_stopped = tokio::select! {
            biased;
            _ = stop.as_mut() => true,
            () = core::future::ready(()) => false,
        };
        if is_stopped {
            return Err(Failure::new(
                Exit::Failed,
                "stopped before the file was offered; nothing of it has left this machine",
            ));
        }
        let digits = Zeroizing::new(hex::encode(bytes.as_slice()));
        let params = json!([{"file": number, "chunk": chunk, "bytes": digits.as_str()}]);
        let _: Value = node.call("whisht_fileChunk", params).await?;
        chunk = chunk.saturating_add(1);
    }
    Ok(())
}

fn next_chunk(file: &mut PreparedFile) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    file.next_chunk().map_err(|error| {
        Failure::usage(format_args!(
            "cannot read the file: {error}; nothing was offered"
        ))
    })
}

/// The words to type.
const AS_IS: &str = "as is";
/// Above this size no message takes a file.
const MAX_IN_MESSAGE: u64 = 65_536;
