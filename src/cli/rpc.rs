//! `whisht rpc`: calls any method of the node, for authors of programs.
//!
//! The result is printed as the node sent it and not read, so this command also works with a node of
//! another version.

use serde_json::Value;

use super::output::Printer;
use super::remote_node::runtime;
use super::{Exit, Failure, GlobalArgs};
use crate::shell::rpc::RpcClient;

/// Options of `whisht rpc`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the method, such as `whisht_status`
    method: String,
    /// Parameters as JSON; `-` reads them from standard input, where bodies and passwords belong
    #[arg(default_value = "[]")]
    params: String,
}

/// Calls a method and prints its result.
///
/// # Errors
///
/// [`Failure`] if the parameters are not valid JSON, or the node refuses.
pub(super) fn run(common: &GlobalArgs, args: Args) -> Result<Exit, Failure> {
    let Args { method, mut params } = args;
    if params == "-" {
        params = std::io::read_to_string(std::io::stdin()).map_err(|error| {
            Failure::usage(format_args!(
                "cannot read the parameters from standard input: {error}; give them as an argument"
            ))
        })?;
    }
    let params: Value = serde_json::from_str(&params).map_err(|error| {
        Failure::usage(format_args!(
            "the parameters are not valid JSON: {error}; write a list, such as '[0]'"
        ))
    })?;
    let result = runtime()?.block_on(async {
        let mut client = RpcClient::connect(&common.ipc()?).await?;
        Ok::<_, Failure>(client.call(&method, params).await?)
    })?;
    let printer = Printer {
        json: common.json,
        local: false,
    };
    printer.value(&result)?;
    Ok(Exit::Done)
}
