//! The node's door for other programs of the same user: a Unix socket that speaks JSON-RPC.
//!
//! The socket is 0600 and lies in a directory that only its owner can enter; whoever can open it
//! may do everything that the node's owner may, so there is no further authentication. The number
//! of clients and the size of a request are bounded; a client that does not read its responses is
//! dropped.

mod client;
mod framing;
mod session;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Handle;
use super::keeper::Keeper;

pub use client::{Client, ClientError};

/// What the sessions act upon.
#[derive(Clone, Debug)]
pub struct Service {
    /// The node.
    pub handle: Handle,
    /// What keeps its identities.
    pub keeper: Keeper,
}

/// A socket that is being served, until this is dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Begins to serve at `path`. A socket left over from a crash is replaced.
    ///
    /// # Errors
    ///
    /// [`BindError`] if another node serves there, or the socket cannot be made.
    pub fn start(path: &Path, service: Service) -> Result<Self, BindError> {
        let fail = |error| BindError::System {
            path: path.to_owned(),
            error,
        };
        remove_leftover(path)?;
        let listener = UnixListener::bind(path).map_err(fail)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, service));
        Ok(Self {
            path: path.to_owned(),
            _tasks: tasks,
        })
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The next start removes it if this fails.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a socket that nobody serves any more.
fn remove_leftover(path: &Path) -> Result<(), BindError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket {
            path: path.to_owned(),
        });
    }
    if UnixStream::connect(path).is_ok() {
        return Err(BindError::Served {
            path: path.to_owned(),
        });
    }
    fs::remove_file(path).map_err(|error| BindError::System {
        path: path.to_owned(),
        error,
    })
}

/// Takes clients in. Sessions end with the task that owns them.
async fn accept(listener: UnixListener, service: Service) {
    let seats = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut sessions = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&seats).try_acquire_owned() {
                Ok(seat) => {
                    let service = service.clone();
                    sessions.spawn(async move {
                        session::run(stream, service).await;
                        drop(seat);
                    });
                }
                Err(_) => session::turn_away(&stream),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept local clients; trying again");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}

/// Why a socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else has its name.
    #[error("{} is no socket; move it away, or name another path with --ipc", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// Another node serves it.
    #[error(
        "{} is served by another node; stop that one, or name another path with --ipc",
        path.display()
    )]
    Served {
        /// The socket.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error(
        "cannot make the socket {}: {error}; name a path of fewer than 100 characters, in a \
         directory of yours, with --ipc",
        path.display()
    )]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Clients at the most.
const MAX_CLIENTS: usize = 32;
