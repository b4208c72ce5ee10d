//! `whisht outbox` and `whisht cancel`: messages on their way.

use serde_json::{Value, json};

use super::output::{field, number, rows};
use super::remote_node::RemoteNode;
use super::send::stage;
use super::{Exit, Failure};

/// Options of `whisht cancel`.
#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    /// The message's number, as `whisht outbox` shows it
    id: u64,
}

/// Shows messages on their way.
///
/// # Errors
///
/// [`Failure`] if the node has gone.
pub(super) async fn run(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let messages = node.call("whisht_outbox", json!([])).await?;
    if node.printer.json {
        node.printer.value(&messages)?;
        return Ok(Exit::Done);
    }
    let row = |message: &Value| {
        let reached = message
            .get("stage")
            .map(stage::describe)
            .unwrap_or_default();
        [
            number(message, "id").to_string(),
            field(message, "level"),
            reached,
        ]
    };
    node.printer.table(
        ["ID", "LEVEL", "STAGE"],
        &rows(&messages, row),
        "nothing on its way",
    )?;
    Ok(Exit::Done)
}

/// Forgets a message.
///
/// # Errors
///
/// [`Failure`] if there is no such message.
pub(super) async fn cancel(node: &mut RemoteNode, args: CancelArgs) -> Result<Exit, Failure> {
    node.call("whisht_cancel", json!([args.id])).await?;
    match node.printer.json {
        true => node.printer.value(&json!({"cancelled": args.id}))?,
        false => node
            .printer
            .line(format_args!("message {} is forgotten here", args.id))?,
    }
    Ok(Exit::Done)
}
