//! `whisht lock`: erases identities, contacts and messages from the memory of a running node.

use serde_json::json;

use super::output::one_line;
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::rpc::LockView;

/// Locks the node.
///
/// # Errors
///
/// [`Failure`] if no password protects anything.
pub(super) async fn run(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let locked: LockView = node.call("whisht_lock", json!([])).await?;
    let printer = node.printer;
    if printer.json {
        printer.value(&locked)?;
        return Ok(Exit::Done);
    }
    if !locked.identities.is_empty() {
        let names = one_line(&locked.identities.join(", "));
        printer.line(format_args!("locked {names}"))?;
    }
    if locked.state {
        printer.line("locked contacts and messages")?;
    }
    printer.line("the node goes on as a relay; `whisht unlock` unlocks it")?;
    Ok(Exit::Done)
}
