//! `whisht outbox` and `whisht cancel`: messages on their way.

use serde_json::json;

use super::output::Printer;
use super::remote_node::RemoteNode;
use super::send::stage;
use super::{Exit, Failure};
use crate::node::OutgoingView;

/// Options of `whisht cancel`.
#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    /// Number of the message, as `whisht outbox` shows it
    id: u64,
}

/// Options of `whisht renew`.
#[derive(Debug, clap::Args)]
pub(super) struct RenewArgs {
    /// Number of the message, as `whisht outbox` shows it
    id: u64,
}

/// Shows messages on their way.
///
/// # Errors
///
/// [`Failure`] if the node does not answer.
pub(super) async fn run(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let messages: Vec<OutgoingView> = node.call("whisht_outbox", json!([])).await?;
    if node.printer.json {
        node.printer.value(&messages)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = messages.iter().map(row).collect();
    let heading = ["ID", "LEVEL", "STAGE"];
    node.printer.table(heading, &rows, "nothing on its way")?;
    Ok(Exit::Done)
}

fn row(message: &OutgoingView) -> [String; 3] {
    [
        message.id.0.to_string(),
        message.level.to_string(),
        stage::describe(&message.stage),
    ]
}

/// Cancels a message.
///
/// # Errors
///
/// [`Failure`] if the node has no such message.
pub(super) async fn cancel(node: &mut RemoteNode, args: CancelArgs) -> Result<Exit, Failure> {
    let _: bool = node.call("whisht_cancel", json!([args.id])).await?;
    cancelled(node.printer, args.id)?;
    Ok(Exit::Done)
}

fn cancelled(printer: Printer, id: u64) -> std::io::Result<()> {
    if printer.json {
        return printer.value(&json!({"cancelled": id}));
    }
    printer.line(format_args!(
        "message {id} is cancelled; shards that have left travel on by themselves"
    ))
}

/// Sends a message that failed once more.
///
/// # Errors
///
/// [`Failure`] if the node has no such message, or if it cannot be sent now.
pub(super) async fn renew_message(node: &mut RemoteNode, args: RenewArgs) -> Result<Exit, Failure> {
    let _: bool = node.call("whisht_renew", json!([args.id])).await?;
    if node.printer.json {
        node.printer.value(&json!({"renewed": args.id}))?;
    } else {
        node.printer.line(format_args!(
            "message {} is sent again; `whisht outbox` shows its stage",
            args.id
        ))?;
    }
    Ok(Exit::Done)
}
