//! `whisht drain`: removes a relay from the network without losing the cells that it holds.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::output::duration;
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::StatusView;

/// Options of `whisht drain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Wait until the relay can be stopped
    #[arg(long)]
    wait: bool,
    /// Resume relaying
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
}

/// Stops publishing descriptors. Other nodes use the relay until its last descriptor has ended.
///
/// # Errors
///
/// [`Failure`] if the node does not relay, or does not answer.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    let _: bool = node.call("whisht_drain", json!([!args.undo])).await?;
    if args.undo {
        if node.printer.json {
            node.printer.value(&json!({"draining": false}))?;
        } else {
            node.printer
                .line("the node relays again, from its next descriptor on")?;
        }
        return Ok(Exit::Done);
    }
    let mut left = left(node).await?;
    report(node, left)?;
    while args.wait && left > 0 {
        // The node may be stopped, and the machine may sleep: a computed end would be wrong.
        sleep(Duration::from_secs(left.min(POLL_INTERVAL))).await;
        left = self::left(node).await?;
        if left == 0 {
            report(node, left)?;
        }
    }
    Ok(Exit::Done)
}

/// Seconds until no path leads through the relay any more.
async fn left(node: &mut RemoteNode) -> Result<u64, Failure> {
    let status: StatusView = node.call("whisht_status", json!([])).await?;
    status.drained_in_secs.map(u64::from).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "the relay no longer drains, because it was restarted or told to resume; run \
             `whisht drain` again",
        )
    })
}

fn report(node: &RemoteNode, left: u64) -> Result<(), Failure> {
    if node.printer.json {
        node.printer
            .value(&json!({"draining": true, "drained_in_secs": left}))?;
    } else if left == 0 {
        node.printer.line("drained: the node can be stopped")?;
    } else {
        node.printer.line(format_args!(
            "draining: other nodes use this relay for up to {}; leave it running until then",
            duration(left.saturating_mul(1_000))
        ))?;
    }
    Ok(())
}

/// Seconds between two requests for the status.
const POLL_INTERVAL: u64 = 30;
