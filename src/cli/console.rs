//! `whisht console`: opens the pages of a running node in a browser of this machine.
//!
//! The URL is a secret for two minutes or until it is used. It is printed and not passed to a browser,
//! because other users of the machine can read the arguments of every process.

use serde_json::json;

use super::output::{Printer, say};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};

/// Asks the node for a URL, and prints it.
///
/// # Errors
///
/// [`Failure`] if no node answers, or it cannot open the console.
pub(super) async fn run(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let url: String = node.call("whisht_console", json!([])).await?;
    if node.printer.json {
        node.printer.value(&json!({"url": url}))?;
        return Ok(Exit::Done);
    }
    // Not a figure of this program, so it bears no mark of a local network.
    let printer = Printer {
        local: false,
        ..node.printer
    };
    printer.line(&url)?;
    say(NOTE);
    Ok(Exit::Done)
}

/// What the user should know about the URL.
pub(super) const NOTE: &str =
    "open this URL in a browser on this machine; it works once, within two minutes";
