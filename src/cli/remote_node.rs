//! A running node, as a command sees it.

use std::io;

use circuits::ids::Profile;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::output::Printer;
use super::{Exit, Failure, GlobalArgs};
use crate::node::{ProfileView, StatusView};
use crate::shell::rpc::RpcClient;

/// A connection to the running node, and the output of the command.
pub(super) struct RemoteNode {
    pub(super) client: RpcClient,
    pub(super) printer: Printer,
    /// The node's status when the command started. It is read as a whole by the commands that show it
    /// only, so that the others, `lock` above all, work with a node of another version.
    status: Value,
}

/// Runs a command against the running node.
///
/// # Errors
///
/// [`Failure`] of the command, or [`Failure`] if no node answers.
pub(super) fn with(
    common: &GlobalArgs,
    command: impl AsyncFnOnce(&mut RemoteNode) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    runtime()?.block_on(async {
        let mut client = RpcClient::connect(&common.ipc()?).await?;
        let status = client.call(STATUS, json!([])).await?;
        let ProfileView { profile } = client.read(STATUS, status.clone())?;
        let printer = Printer {
            json: common.json,
            local: profile == Profile::Local,
        };
        let mut node = RemoteNode {
            client,
            printer,
            status,
        };
        command(&mut node).await
    })
}

impl RemoteNode {
    /// The node's status when the command started.
    pub(super) fn status(&self) -> Result<StatusView, Failure> {
        Ok(self.client.read(STATUS, self.status.clone())?)
    }

    /// Calls a method and reads its result.
    pub(super) async fn call<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        params: Value,
    ) -> Result<T, Failure> {
        Ok(self.client.view(method, params).await?)
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
            format_args!("cannot start: {error}; check the limit of open files (ulimit -n)"),
        )
    })
}

const STATUS: &str = "whisht_status";
