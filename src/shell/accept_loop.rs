//! Accepts connections of local programs: JSON-RPC clients, browsers, readers of metrics.
//!
//! A listener that fails is tried again after a pause, and the failures are logged less and less often.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Handle;
use super::accept_limiter::{AcceptLimiter, AcceptPermit};
use super::log_throttle::LogThrottle;

/// Serves each connection that has a place in a task of its own, until the node ends. Returns the tasks
/// that have not ended; they end when they are dropped. `clients` names them in the log.
pub(super) async fn accept_until_end<S>(
    listener: TcpListener,
    handle: &Handle,
    limiter: &AcceptLimiter,
    clients: &'static str,
    mut serve: impl FnMut(TcpStream, AcceptPermit) -> S,
) -> JoinSet<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    let mut failures = LogThrottle::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = handle.finished() => return connections,
        };
        match accepted {
            Ok((stream, from)) => {
                if let Some(permit) = limiter.admit(from.ip()) {
                    connections.spawn(serve(stream, permit));
                }
            }
            Err(error) => {
                if let Some(times) = failures.note() {
                    tracing::warn!(%error, times, "cannot accept {clients}; trying again");
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Sets the socket options of a connection. A client that does not read its answers for `stall_timeout` is
/// disconnected.
///
/// # Errors
///
/// The error of the operating system.
pub(super) fn set_client_options(stream: &TcpStream, stall_timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(stall_timeout))?;
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = stall_timeout;
    Ok(())
}

/// Pause after a failure.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
