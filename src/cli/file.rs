//! `whisht file`: lists, accepts, declines, saves and erases files that are handed over.
//!
//! The node moves the bytes; a command that is stopped leaves them moving. whisht opens no file, and shows
//! nothing of its content: `save` writes it where the user says, for the user alone.

mod progress;
mod save;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use self::progress::FileProgress;
use super::durations::time;
use super::notice_wait::NoticeWait;
use super::output::{duration, grouped, one_line};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::{Event, FileDirection, FilePriceView, FileStage, FileView};
use crate::rpc::EventNotice;

/// Options of `whisht file`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: FileAction,
}

#[derive(Debug, clap::Subcommand)]
enum FileAction {
    /// List the files that are handed over, in both directions
    List,
    /// Accept an offered file, and follow it until it is complete
    Accept {
        /// Number of the file, as `whisht file list` shows it
        number: u64,
        /// Privacy level; files are handed over at `normal` only, which a node with cover traffic does when it is
        /// named here [default: that of the node]
        #[arg(long, value_name = "LEVEL")]
        level: Option<String>,
        /// Return at once; the node continues
        #[arg(long, conflicts_with = "timeout")]
        no_wait: bool,
        /// Stop waiting after this time, such as 10m; the node continues [default: wait until the end]
        #[arg(long, value_name = "TIME", value_parser = time)]
        timeout: Option<Duration>,
    },
    /// Decline an offered file
    Decline {
        /// Number of the file, as `whisht file list` shows it
        number: u64,
    },
    /// Write a complete file where only you can read it
    Save {
        /// Number of the file, as `whisht file list` shows it
        number: u64,
        /// File to write; an existing file is not overwritten
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Stop handing a file over, and erase what this node stores of it
    Erase {
        /// Number of the file, as `whisht file list` shows it
        number: u64,
    },
}

/// Runs an action on files.
///
/// # Errors
///
/// [`Failure`] if the node refuses, or a file cannot be written.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    match args.action {
        FileAction::List => list(node).await,
        FileAction::Accept {
            number,
            level,
            no_wait,
            timeout,
        } => {
            // Before the file is accepted, so that no stage is missed.
            node.client.subscribe().await?;
            let params = json!([{"file": number, "level": level}]);
            let view = node.call("whisht_fileAccept", params).await?;
            if no_wait {
                return show(node, &view);
            }
            follow(node, view, timeout).await
        }
        FileAction::Decline { number } => {
            let view = node.call("whisht_fileDecline", json!([number])).await?;
            show(node, &view)
        }
        FileAction::Save { number, output } => save::run(node, number, &output).await,
        FileAction::Erase { number } => {
            let _: Value = node.call("whisht_fileErase", json!([number])).await?;
            if node.printer.json {
                node.printer.value(&json!({"erased": number}))?;
            } else {
                node.printer.line(format_args!("file {number} is erased"))?;
            }
            Ok(Exit::Done)
        }
    }
}

async fn list(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let files: Vec<FileView> = node.call("whisht_files", json!([])).await?;
    if node.printer.json {
        node.printer.value(&files)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 5]> = files.iter().map(row).collect();
    node.printer.table(
        ["FILE", "CONTACT", "NAME", "BYTES", "STAGE"],
        &rows,
        "no files; `whisht send --to NAME --attach FILE` hands one over",
    )?;
    Ok(Exit::Done)
}

fn row(view: &FileView) -> [String; 5] {
    let direction = match view.direction {
        FileDirection::In => "from",
        FileDirection::Out => "to",
    };
    [
        view.number.to_string(),
        format!("{direction} {}", partner(view)),
        one_line(&view.name),
        grouped(view.size),
        stage_words(view),
    ]
}

fn partner(view: &FileView) -> String {
    view.contact
        .as_deref()
        .map_or_else(|| "unknown".to_owned(), one_line)
}

/// Shows one file.
fn show(node: &RemoteNode, view: &FileView) -> Result<Exit, Failure> {
    if node.printer.json {
        node.printer.value(view)?;
    } else {
        let words = stage_words(view);
        node.printer
            .line(format_args!("file {}: {words}", view.number))?;
    }
    Ok(Exit::Done)
}

/// The line that tells of an offered file; `None` for any other.
pub(super) fn offer_line(view: &FileView) -> Option<String> {
    let is_offer = view.direction == FileDirection::In && view.stage == FileStage::Offered;
    is_offer.then(|| {
        format!(
            "{} offers the file {:?}, {} bytes; `whisht file accept {}` takes it",
            partner(view),
            one_line(&view.name),
            grouped(view.size),
            view.number
        )
    })
}

/// The cost of a file in one line.
pub(super) fn price_line(price: &FilePriceView) -> String {
    format!(
        "level `{}`: {} bytes, offered in a message; once the other side accepts, {} bytes leave this node \
         in {} or more. An observer of both ends sees that they exchange a file",
        price.level,
        grouped(price.size),
        grouped(price.sent_bytes),
        duration(price.seconds.saturating_mul(1_000)),
    )
}

/// Shows stages until one is final. Ctrl-C leaves the node at work.
pub(super) async fn follow(
    node: &mut RemoteNode,
    mut view: FileView,
    limit: Option<Duration>,
) -> Result<Exit, Failure> {
    let mut progress = FileProgress::start(node.printer);
    progress.show(&view);
    let mut notices = NoticeWait::new(limit);
    let exit = loop {
        if let Some(exit) = exit_of(&view.stage) {
            break exit;
        }
        let Some(notice) = notices.next(node).await? else {
            break Exit::Pending;
        };
        view = match notice {
            EventNotice::Event(Event::File(next)) if next.number == view.number => *next,
            EventNotice::Event(_) => continue,
            EventNotice::Lost(_) => node.call("whisht_file", json!([view.number])).await?,
        };
        progress.show(&view);
    };
    progress.end();
    if node.printer.json {
        node.printer
            .value(&json!({"file": view, "exit": exit.code()}))?;
    } else if exit == Exit::Pending {
        node.printer.line(format_args!(
            "file {} is not complete yet; the node continues, and `whisht file list` shows how far it is",
            view.number
        ))?;
    }
    Ok(exit)
}

/// The exit code if a stage ends the wait.
const fn exit_of(stage: &FileStage) -> Option<Exit> {
    match stage {
        FileStage::Complete => Some(Exit::Done),
        FileStage::Declined | FileStage::Failed { .. } => Some(Exit::Expired),
        _ => None,
    }
}

/// How far a file is, in words.
fn stage_words(view: &FileView) -> String {
    match (&view.stage, view.direction) {
        (FileStage::Storing, _) => format!("{} % are stored on this node", percent(view)),
        (FileStage::Offered, FileDirection::Out) => {
            "offered; waiting for the other side to accept it".to_owned()
        }
        (FileStage::Offered, FileDirection::In) => {
            format!("offered; `whisht file accept {}` takes it", view.number)
        }
        (FileStage::Declined, FileDirection::Out) => "declined by the other side".to_owned(),
        (FileStage::Declined, FileDirection::In) => "declined".to_owned(),
        (FileStage::Meeting { attempt }, _) => {
            format!("accepted; attempt {attempt}: the circuits have not met yet")
        }
        (FileStage::Transferring { attempt }, _) => transferring(view, *attempt),
        (FileStage::Paused { reason }, _) => {
            format!("paused at {} %: {}", percent(view), one_line(reason))
        }
        (FileStage::Complete, FileDirection::Out) => {
            "complete; the other side has all of it".to_owned()
        }
        (FileStage::Complete, FileDirection::In) => format!(
            "complete; `whisht file save {} --output FILE` writes it",
            view.number
        ),
        (FileStage::Failed { reason }, _) => format!("failed: {}", one_line(reason)),
    }
}

fn transferring(view: &FileView, attempt: u32) -> String {
    let rate = view
        .rate
        .map_or_else(String::new, |rate| format!(", {} KB/s", rate / 1_000));
    let left = view.left_seconds.map_or_else(String::new, |secs| {
        format!(", {} left", duration(secs.saturating_mul(1_000)))
    });
    format!(
        "attempt {attempt}: {} of {} bytes, {} %{rate}{left}",
        grouped(view.done),
        grouped(view.size),
        percent(view)
    )
}

/// The share that is done; 100 only when all of it is.
fn percent(view: &FileView) -> u64 {
    let share = view.done.saturating_mul(100).checked_div(view.size);
    share.unwrap_or(0).min(100)
}

#[cfg(test)]
mod tests;
