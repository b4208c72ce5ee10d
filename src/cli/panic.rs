//! `whisht panic`: erases all keys at once, then everything else, and ends the node.
//!
//! The keys go before anything is printed and before the node is told. What remains to be done may take
//! seconds; if the command is killed, the next one resumes.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::output::{Printer, say};
use super::remote_node::runtime;
use super::{Exit, Failure, GlobalArgs};
use crate::shell::panic_erase::{PanicErase, Remains};
use crate::shell::rpc::{RpcClient, RpcClientError};

/// Options of `whisht panic`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Erase without asking [default: ask]
    #[arg(long)]
    now: bool,
}

/// Erases the data directory and ends its node. It succeeds if there is nothing to erase.
///
/// # Errors
///
/// [`Failure`] if the user does not confirm, or if the directory is not one of whisht.
pub(super) fn run(common: &GlobalArgs, args: &Args) -> Result<Exit, Failure> {
    let ipc = common.ipc()?;
    // The socket names another node than the usual one: the usual directory is not that node's.
    if common.ipc.is_some() && common.data_dir.is_none() {
        return end_only(common, args, &ipc);
    }
    let path = common.data_dir()?;
    // A mistyped directory is refused before the question, and a valid one is not opened.
    let mut erase = PanicErase::of(&path)?;
    if !args.now {
        confirm(format_args!(
            "this erases {} with all keys, addresses, contacts and conversations, and ends the node",
            path.display()
        ))?;
    }
    if let Some(erase) = &mut erase {
        erase.erase_keys();
    }
    let node = runtime()?.block_on(end_node(&ipc));
    let existed = erase.is_some();
    let remains = erase.map_or_else(Remains::default, |erase| {
        let lock = erase.wait_for_node();
        let remains = erase.erase_rest();
        drop(lock);
        remains
    });
    let printer = Printer {
        json: common.json,
        local: false,
    };
    report(printer, &path, existed, node, &remains)?;
    Ok(Exit::Done)
}

/// Ends the node at a socket, which erases its keys from memory, and touches no file: a node without a data
/// directory has no other, and the directory of any other node is not known here.
fn end_only(common: &GlobalArgs, args: &Args, ipc: &Path) -> Result<Exit, Failure> {
    if !args.now {
        confirm(format_args!(
            "this erases the memory of the node at {} and ends it",
            ipc.display()
        ))?;
    }
    let node = runtime()?.block_on(end_node(ipc));
    let printer = Printer {
        json: common.json,
        local: false,
    };
    if common.json {
        printer.value(&json!({
            "directory": null,
            "erased": false,
            "node_ended": node == NodeEnd::Ended,
            "node_still_runs": node == NodeEnd::StillRuns,
            "failed": [],
            "foreign": [],
        }))?;
        return Ok(Exit::Done);
    }
    report_end(printer, node)?;
    printer.line(
        "no directory was erased: if this node has one, name it with --data-dir and run the command again",
    )?;
    printer.line(OUT_OF_REACH)?;
    io::stdout().flush()?;
    Ok(Exit::Done)
}

/// Asks the user to type a word.
fn confirm(what: core::fmt::Arguments<'_>) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal for the confirmation; use --now to erase without it",
        ));
    }
    say(format_args!("{what}. Type `{CONFIRMATION}` to do it:"));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == CONFIRMATION {
        Ok(())
    } else {
        Err(Failure::usage(format_args!(
            "nothing was erased: the confirmation is `{CONFIRMATION}`"
        )))
    }
}

/// What became of the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum NodeEnd {
    /// No node answers at the local socket.
    NoNode,
    /// The node has erased its keys from memory and ends.
    Ended,
    /// The node did not end in time.
    StillRuns,
}

/// Tells the node, and waits until it has ended its connection.
async fn end_node(ipc: &Path) -> NodeEnd {
    let told = timeout(MAX_NODE_WAIT, async {
        let mut client = RpcClient::connect(ipc).await?;
        client.call("whisht_panic", json!([])).await
    });
    match told.await {
        Ok(Err(RpcClientError::NoNode { .. })) => NodeEnd::NoNode,
        // The node may end before its answer arrives.
        Ok(Ok(_) | Err(RpcClientError::Lost { .. })) => NodeEnd::Ended,
        Ok(Err(_)) | Err(_) => NodeEnd::StillRuns,
    }
}

fn report(
    printer: Printer,
    path: &Path,
    existed: bool,
    node: NodeEnd,
    remains: &Remains,
) -> io::Result<()> {
    let Remains { failed, foreign } = remains;
    if printer.json {
        return printer.value(&json!({
            "directory": path,
            "erased": existed && failed.is_empty(),
            "node_ended": node == NodeEnd::Ended,
            "node_still_runs": node == NodeEnd::StillRuns,
            "failed": failed,
            "foreign": foreign,
        }));
    }
    if existed {
        printer.line(format_args!("erased {}", path.display()))?;
    } else {
        printer.line(format_args!("{} does not exist", path.display()))?;
    }
    report_end(printer, node)?;
    for path in failed {
        printer.line(format_args!(
            "not deleted: {}; delete it by hand",
            path.display()
        ))?;
    }
    for path in foreign {
        printer.line(format_args!(
            "not a file of whisht, kept: {}",
            path.display()
        ))?;
    }
    printer.line(OUT_OF_REACH)?;
    io::stdout().flush()
}

fn report_end(printer: Printer, node: NodeEnd) -> io::Result<()> {
    printer.line(match node {
        NodeEnd::NoNode => "no node was running there",
        NodeEnd::Ended => "the node has ended",
        NodeEnd::StillRuns => {
            "the node still runs and does not answer: kill it, or switch the machine off"
        }
    })
}

/// The word to type.
const CONFIRMATION: &str = "wipe";
/// How long the command waits for the answer of the node.
const MAX_NODE_WAIT: Duration = Duration::from_secs(1);
const OUT_OF_REACH: &str = "not reached: copies in flash memory and snapshots, backups, swapped memory, \
                            what this terminal has shown, and what peers hold until it expires";
