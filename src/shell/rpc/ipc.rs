//! The local socket.
//!
//! The socket is 0600 and lies in a directory that only its owner can enter. A program that can
//! open it has the owner's rights, so there is no further authentication. Requests may follow one
//! another without separators, because web3 sends none; answers end in a line break. The number of
//! clients and the size of a request are bounded; a client that does not read its answers is
//! disconnected.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::Service;
use super::access::ClientAccess;
use super::connection::{CloseReason, Disconnected, ReadOutcome, ReadText, WriteText, run};
use super::framing::JsonFramer;
use super::limits::{IPC_LIMITS, MAX_DISCARDED, MAX_REQUEST_IPC};
use super::session::RpcSession;
use crate::rpc::{self, RpcError, RpcErrorKind};
use crate::shell::accept_limiter::AcceptLimiter;
use crate::shell::descriptor_reserve::DescriptorReserve;
use crate::shell::log_throttle::LogThrottle;
use crate::shell::process::create_private;

/// A served socket; it ends on drop.
#[derive(Debug)]
pub(super) struct IpcServer {
    path: PathBuf,
    tasks: JoinSet<()>,
}

impl IpcServer {
    /// Serves at `path`. A socket left over from a crash is replaced.
    ///
    /// # Errors
    ///
    /// [`IpcBindError`] if another node serves there, or the socket cannot be created.
    pub(super) fn start(
        path: &Path,
        access: ClientAccess,
        service: Service,
    ) -> Result<Self, IpcBindError> {
        let fail = |error| IpcBindError::System {
            path: path.to_owned(),
            error,
        };
        remove_leftover(path)?;
        // Others cannot connect between the two calls.
        let listener = create_private(|| UnixListener::bind(path)).map_err(fail)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, access, service));
        Ok(Self {
            path: path.to_owned(),
            tasks,
        })
    }

    /// Completes when the node has ended and the last client is notified.
    pub(super) async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// The path of the socket.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for IpcServer {
    fn drop(&mut self) {
        // If this fails, the next start removes the file.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a socket file that no process serves.
fn remove_leftover(path: &Path) -> Result<(), IpcBindError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(IpcBindError::NotASocket {
            path: path.to_owned(),
        });
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(IpcBindError::Served {
            path: path.to_owned(),
        });
    }
    fs::remove_file(path).map_err(|error| IpcBindError::System {
        path: path.to_owned(),
        error,
    })
}

/// Accepts clients until the node ends. Sessions end with the task that owns them.
async fn accept(listener: UnixListener, access: ClientAccess, service: Service) {
    let limiter = AcceptLimiter::new(IPC_LIMITS);
    let reserve = DescriptorReserve::new();
    let mut failures = LogThrottle::default();
    let mut sessions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = service.handle.finished() => break,
        };
        match accepted {
            Ok((stream, _)) => match limiter.admit_proven() {
                Some(permit) => {
                    let session = RpcSession::new(service.clone(), access.clone());
                    let reserve = reserve.clone();
                    sessions.spawn(async move {
                        serve(stream, session).await;
                        reserve.refill();
                        drop(permit);
                    });
                }
                None => turn_away(&stream),
            },
            // The client that waits is served with a descriptor from the reserve.
            Err(error) if reserve.release_after(&error) => {}
            Err(error) => {
                if let Some(times) = failures.note() {
                    tracing::warn!(%error, times, "cannot accept local clients; trying again");
                }
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}

async fn serve(stream: UnixStream, session: RpcSession) {
    let (stream, writer) = stream.into_split();
    let reader = IpcReader {
        stream,
        framer: JsonFramer::default(),
    };
    run(session, reader, IpcWriter(writer)).await;
}

/// Tells a client that the limit is reached, if it reads.
fn turn_away(stream: &UnixStream) {
    let error = RpcError::server(RpcErrorKind::Busy, "too many clients", "close another one");
    // A new socket has room for one line; whether the client reads it does not matter.
    let _ = stream.try_write(rpc::failure(&error).to_string().as_bytes());
}

struct IpcReader {
    stream: OwnedReadHalf,
    framer: JsonFramer,
}

impl ReadText for IpcReader {
    async fn next(&mut self) -> ReadOutcome {
        loop {
            match self.framer.next(MAX_REQUEST_IPC) {
                Ok(Some(text)) => return ReadOutcome::Text(text),
                Ok(None) => {}
                Err(error) => {
                    let last = rpc::failure(&RpcError::not_json(error));
                    return ReadOutcome::Unreadable(Some(last.to_string()));
                }
            }
            match self.stream.read_buf(self.framer.buffer()).await {
                Ok(1..) => {}
                _ => return ReadOutcome::Closed,
            }
        }
    }

    async fn discard(&mut self) {
        let mut left = MAX_DISCARDED;
        let buffer = self.framer.buffer();
        while left > 0 {
            buffer.clear();
            match self.stream.read_buf(buffer).await {
                Ok(read @ 1..) => left = left.saturating_sub(read),
                _ => return,
            }
        }
    }
}

struct IpcWriter(OwnedWriteHalf);

impl WriteText for IpcWriter {
    async fn write(&mut self, mut text: String) -> Result<(), Disconnected> {
        text.push('\n');
        self.0
            .write_all(text.as_bytes())
            .await
            .map_err(|_| Disconnected)
    }

    async fn close(&mut self, _: CloseReason) {
        // This fails only if the client has disconnected.
        let _ = self.0.shutdown().await;
    }
}

/// Why a socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum IpcBindError {
    /// A file of another kind has its name.
    #[error("{} is not a socket; remove it, or name another path with --ipc", path.display())]
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
        /// The error of the operating system.
        error: io::Error,
    },
}
