//! `whisht rpc`: any method of the node, for whoever writes programs for it.

use serde_json::Value;

use super::remote_node::RemoteNode;
use super::{Exit, Failure};

/// Options of `whisht rpc`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The method, such as `whisht_status`
    method: String,
    /// Its parameters as JSON; `-` reads them from standard input, where bodies and passwords belong
    #[arg(default_value = "[]")]
    params: String,
}

/// Calls a method and prints its result.
///
/// # Errors
///
/// [`Failure`] if the parameters are no JSON, or the node refuses.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    let Args { method, mut params } = args;
    if params == "-" {
        params = std::io::read_to_string(std::io::stdin()).map_err(|error| {
            Failure::usage(format_args!(
                "cannot read the parameters from standard input: {error}; give them as text"
            ))
        })?;
    }
    let params: Value = serde_json::from_str(&params).map_err(|error| {
        Failure::usage(format_args!(
            "the parameters are no JSON: {error}; write a list, such as '[0]'"
        ))
    })?;
    let result = node.call(&method, params).await?;
    node.printer.value(&result)?;
    Ok(Exit::Done)
}
