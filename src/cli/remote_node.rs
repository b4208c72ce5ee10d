//! A running node, as a command sees it.

use std::io;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::output::Printer;
use super::{Exit, Failure, GlobalArgs};
use crate::shell::rpc::RpcClient;

/// A connection to the running node, and where to print.
pub(super) struct RemoteNode {
    pub(super) client: RpcClient,
    pub(super) printer: Printer,
    /// What `whisht_status` said.
    pub(super) status: Value,
}

/// Runs a command against the running node.
///
/// # Errors
///
/// What the command says, or that there is no node.
pub(super) fn with(
    common: &GlobalArgs,
    command: impl AsyncFnOnce(&mut RemoteNode) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    runtime()?.block_on(async {
        let mut client = RpcClient::connect(&common.ipc()?).await?;
        let status = client.call("whisht_status", json!([])).await?;
        let local = status.get("profile").and_then(Value::as_str) == Some("local");
        let printer = Printer {
            json: common.json,
            local,
        };
        command(&mut RemoteNode {
            client,
            printer,
            status,
        })
        .await
    })
}

impl RemoteNode {
    /// Calls a method.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        Ok(self.client.call(method, params).await?)
    }
}

/// A runtime for a command that only waits.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    built(Builder::new_current_thread().enable_all().build())
}

/// A runtime for a command that is a node: one thread per core.
pub(super) fn busy_runtime() -> Result<Runtime, Failure> {
    built(Builder::new_multi_thread().enable_all().build())
}

fn built(runtime: io::Result<Runtime>) -> Result<Runtime, Failure> {
    runtime.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format_args!("cannot start: {error}; check ulimit -n"),
        )
    })
}
