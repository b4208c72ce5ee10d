//! `whisht drain`: takes a relay out of the network without losing what it carries.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::output::duration;
use super::remote_node::RemoteNode;
use super::{Exit, Failure};

/// Options of `whisht drain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Wait until the relay can be stopped
    #[arg(long)]
    wait: bool,
    /// Go back to relaying
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
}

/// Lets a relay publish no further descriptor. Until the last one has ended, others go on using it.
///
/// # Errors
///
/// [`Failure`] if the node does not relay, or has gone.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    node.call("whisht_drain", json!([!args.undo])).await?;
    if args.undo {
        match node.printer.json {
            true => node.printer.value(&json!({"draining": false}))?,
            false => node
                .printer
                .line("it relays again, from the next descriptor on")?,
        }
        return Ok(Exit::Done);
    }
    let mut left = left(node).await?;
    tell(node, left)?;
    while args.wait && left > 0 {
        // The node may be stopped and the machine put to sleep: it is asked again and again.
        sleep(Duration::from_secs(left.min(LOOK))).await;
        left = self::left(node).await?;
        if left == 0 {
            tell(node, left)?;
        }
    }
    Ok(Exit::Done)
}

/// Seconds until nobody has a path through the relay any more.
async fn left(node: &mut RemoteNode) -> Result<u64, Failure> {
    let status = node.call("whisht_status", json!([])).await?;
    let left = status.get("drained_in_secs").and_then(Value::as_u64);
    left.ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "the relay does not drain any more: it was started anew, or told to go on",
        )
    })
}

fn tell(node: &RemoteNode, left: u64) -> Result<(), Failure> {
    if node.printer.json {
        node.printer
            .value(&json!({"draining": true, "drained_in_secs": left}))?;
    } else if left == 0 {
        node.printer.line("drained: it can be stopped")?;
    } else {
        node.printer.line(format_args!(
            "draining: others use it for another {} at the most; leave it running until then",
            duration(left.saturating_mul(1_000))
        ))?;
    }
    Ok(())
}

/// Seconds between two looks.
const LOOK: u64 = 30;
