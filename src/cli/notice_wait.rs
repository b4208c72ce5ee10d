//! Waiting for notices of the node, until the user or a limit ends the wait.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Sleep;

use super::Failure;
use super::remote_node::RemoteNode;
use crate::rpc::EventNotice;

/// How long a command waits for its outcome.
pub(super) struct NoticeWait {
    limit: Pin<Box<Sleep>>,
    /// One listener for the whole wait: Ctrl-C counts also while the command calls the node.
    interrupt: Pin<Box<dyn Future<Output = io::Result<()>>>>,
}

impl NoticeWait {
    /// A wait of at most `limit`, which begins now; without a limit it ends by Ctrl-C only.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit: Box::pin(tokio::time::sleep(limit.unwrap_or(Duration::MAX))),
            interrupt: Box::pin(tokio::signal::ctrl_c()),
        }
    }

    /// The next notice; `None` after Ctrl-C or once the limit has passed, which ends the wait.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the node is gone, or speaks another version.
    pub(super) async fn next(
        &mut self,
        node: &mut RemoteNode,
    ) -> Result<Option<EventNotice>, Failure> {
        tokio::select! {
            notice = node.client.next_notice() => Ok(Some(notice?)),
            _ = &mut self.interrupt => Ok(None),
            () = &mut self.limit => Ok(None),
        }
    }
}
