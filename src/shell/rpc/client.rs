//! The client side of the local socket: how the command line calls a running node.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::framing::JsonFramer;
use crate::rpc::{EventNotice, RpcError};

/// A connection to a running node.
#[derive(Debug)]
pub struct RpcClient {
    path: PathBuf,
    stream: UnixStream,
    framer: JsonFramer,
    /// Events that arrived while a response was awaited.
    events: VecDeque<Value>,
    last_id: u64,
}

impl RpcClient {
    /// Connects to the node that serves `path`.
    ///
    /// # Errors
    ///
    /// [`RpcClientError::NoNode`] if none does, [`RpcClientError::Forbidden`] if its socket is closed to
    /// this user.
    pub async fn connect(path: &Path) -> Result<Self, RpcClientError> {
        let stream = UnixStream::connect(path).await;
        let stream = stream.map_err(|error| no_connection(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            stream,
            framer: JsonFramer::default(),
            events: VecDeque::new(),
            last_id: 0,
        })
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    ///
    /// [`RpcClientError::Refused`] is the node's answer; the others mean that there is none.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcClientError> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let written = self.stream.write_all(request.to_string().as_bytes()).await;
        written.map_err(|error| self.lost(error))?;
        loop {
            let mut message = self.receive().await?;
            if let Some(error) = message.get_mut("error") {
                return Err(match RpcError::from_json(error.take()) {
                    Ok(error) => RpcClientError::Refused(error),
                    Err(error) => self.other_version(method, error),
                });
            }
            if message.get("id") == Some(&json!(id)) {
                return Ok(message
                    .get_mut("result")
                    .map(Value::take)
                    .unwrap_or_default());
            }
            self.events.extend(event(message));
        }
    }

    /// Calls a method and reads its result as a view.
    ///
    /// # Errors
    ///
    /// As [`RpcClient::call`], and [`RpcClientError::OtherVersion`] if a key of the view is missing
    /// from the result or has another type.
    pub async fn view<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<T, RpcClientError> {
        let result = self.call(method, params).await?;
        self.read(method, result)
    }

    /// Reads the result of a method as a view.
    ///
    /// # Errors
    ///
    /// [`RpcClientError::OtherVersion`] if a key of the view is missing from the result or has another
    /// type.
    pub fn read<T: DeserializeOwned>(
        &self,
        method: &str,
        result: Value,
    ) -> Result<T, RpcClientError> {
        serde_json::from_value(result).map_err(|error| self.other_version(method, error))
    }

    /// Subscribes to events; [`RpcClient::next_event`] returns them. The result is the
    /// subscription's id.
    ///
    /// # Errors
    ///
    /// As [`RpcClient::call`].
    pub async fn subscribe(&mut self) -> Result<Value, RpcClientError> {
        self.call("whisht_subscribe", json!(["events"])).await
    }

    /// Waits for the next event. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`RpcClientError::Lost`] if the node ends.
    pub async fn next_event(&mut self) -> Result<Value, RpcClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let message = self.receive().await?;
            self.events.extend(event(message));
        }
    }

    /// Waits for the next event and reads it. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`RpcClient::next_event`], and [`RpcClientError::OtherVersion`] for an unknown event.
    pub async fn next_notice(&mut self) -> Result<EventNotice, RpcClientError> {
        let event = self.next_event().await?;
        EventNotice::read(event).map_err(|error| self.other_version("whisht_subscription", error))
    }

    async fn receive(&mut self) -> Result<Value, RpcClientError> {
        loop {
            let garbled = |_| RpcClientError::Garbled {
                path: self.path.clone(),
            };
            if let Some(value) = self.framer.next(MAX_RESPONSE).map_err(garbled)? {
                return serde_json::from_slice(&value).map_err(|_| RpcClientError::Garbled {
                    path: self.path.clone(),
                });
            }
            match self.stream.read_buf(self.framer.buffer()).await {
                Ok(0) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn other_version(&self, method: &str, error: serde_json::Error) -> RpcClientError {
        RpcClientError::OtherVersion {
            path: self.path.clone(),
            method: method.to_owned(),
            error,
        }
    }

    fn lost(&self, error: io::Error) -> RpcClientError {
        RpcClientError::Lost {
            path: self.path.clone(),
            error,
        }
    }
}

/// Why the socket cannot be opened.
fn no_connection(path: &Path, error: io::Error) -> RpcClientError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied => RpcClientError::Forbidden { path },
        _ => RpcClientError::NoNode { path, error },
    }
}

/// The content of a subscription message, if the message is one.
fn event(mut message: Value) -> Option<Value> {
    message
        .get_mut("params")?
        .get_mut("result")
        .map(Value::take)
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RpcClientError {
    /// The system does not let this user open the socket, or a directory above it.
    #[error(
        "the socket {} is closed to this user; run the command as the user of the node, such as \
         `runuser -u USER -- whisht`, or name another socket with --ipc",
        path.display()
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// The server does not speak JSON-RPC.
    #[error("{} is served by a program other than whisht; check --ipc", path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
    },
    /// The connection was lost.
    #[error("the node at {} has gone ({error}); start it again with `whisht run`", path.display())]
    Lost {
        /// The socket.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// No node serves the socket.
    #[error(
        "no node answers at {} ({error}); start one with `whisht run`, or name its socket with \
         --ipc",
        path.display()
    )]
    NoNode {
        /// The socket.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The result does not have the form that this version reads.
    #[error(
        "the node at {} speaks another version: this whisht {} cannot read its `{method}` ({error}); \
         restart the node with this program, or use the program that started it",
        path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    OtherVersion {
        /// The socket.
        path: PathBuf,
        /// The method, or the kind of notification.
        method: String,
        /// The first key that is missing or wrong.
        error: serde_json::Error,
    },
    /// The node refuses the call.
    #[error(transparent)]
    Refused(RpcError),
}

/// Larger than all messages of a full inbox.
const MAX_RESPONSE: usize = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;

    /// The service's socket belongs to a user of its own; to start a second node would not help.
    #[test]
    fn socket_of_another_user_is_not_taken_for_a_stopped_node() {
        let path = Path::new("/var/lib/whisht/whisht.ipc");
        let said = |kind: io::ErrorKind| no_connection(path, kind.into()).to_string();
        let closed = said(io::ErrorKind::PermissionDenied);
        assert!(closed.contains("as the user of the node"), "{closed}");
        assert!(!closed.contains("whisht run"), "{closed}");
        assert!(said(io::ErrorKind::NotFound).contains("whisht run"));
    }
}
