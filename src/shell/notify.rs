//! Messages to the service manager that started this process, in the protocol of systemd (sd_notify(3)).
//!
//! A message is one datagram of lines `NAME=value` to the socket that `NOTIFY_SOCKET` names. Without the
//! variable nothing is sent, and a datagram that cannot be sent is lost: no part of a node waits for its
//! service manager. A watchdog message is sent only after the driver of the node has answered a command,
//! so a driver that hangs misses the watchdog's deadline although the rest of the process runs.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::Handle;
use crate::node::Command;

/// The service manager of this process, if one waits for messages.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// The time between two watchdog messages: half of what the service manager allows.
    interval: Option<Duration>,
}

impl ServiceManager {
    /// The service manager that the environment names.
    ///
    /// # Errors
    ///
    /// [`NotifyError`] if the environment names a socket that cannot be used: a service manager would wait
    /// for this process in vain.
    pub fn from_environment() -> Result<Self, NotifyError> {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
        else {
            return Ok(Self::default());
        };
        let process = std::env::var("WATCHDOG_PID").ok();
        let limit = std::env::var("WATCHDOG_USEC").ok();
        let limit = watchdog_limit(limit.as_deref(), process.as_deref(), std::process::id());
        Self::at(&address, limit)
    }

    /// A service manager at this address, which allows `limit` between two watchdog messages.
    fn at(address: &OsStr, limit: Option<Duration>) -> Result<Self, NotifyError> {
        let failed = |error| NotifyError {
            address: address.to_owned(),
            error,
        };
        let socket = UnixDatagram::unbound().map_err(failed)?;
        connect(&socket, address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            socket: Some(socket),
            interval: limit.map(|limit| limit / 2),
        })
    }

    /// The node runs. `status` is one line for users.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The node reads its configuration again, until [`Self::ready`].
    pub fn reloading(&self) {
        let since_boot = monotonic_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={since_boot}"));
    }

    /// The node ends.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Sends watchdog messages as long as the driver of this node answers; never completes.
    pub async fn keep_alive(&self, node: &Handle) -> Infallible {
        if let Some(interval) = self.interval {
            loop {
                tokio::time::sleep(interval).await;
                if node.command(Command::Node).await.is_err() {
                    break;
                }
                self.send("WATCHDOG=1");
            }
        }
        std::future::pending().await
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, "the service manager takes no message");
        }
    }
}

/// The limit of the watchdog, in microseconds in the environment; `None` without a watchdog, as
/// sd_watchdog_enabled(3) decides: if another process is meant, or the limit is not positive.
fn watchdog_limit(limit: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    if process.is_some_and(|id| id != own.to_string()) {
        return None;
    }
    let limit: u64 = limit?.parse().ok()?;
    (limit > 0).then(|| Duration::from_micros(limit))
}

/// Connects to a path, or to a name that begins with `@`, which stands for the byte 0 of a socket without a
/// file.
fn connect(socket: &UnixDatagram, address: &OsStr) -> io::Result<()> {
    match address.as_bytes().split_first() {
        Some((b'/', _)) => socket.connect(address),
        Some((b'@', name)) => connect_without_file(socket, name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected a path, or a name that begins with @",
        )),
    }
}

#[cfg(target_os = "linux")]
fn connect_without_file(socket: &UnixDatagram, name: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_without_file(_: &UnixDatagram, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The monotonic clock of the system in microseconds, by which systemd orders a reload.
fn monotonic_micros() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}

/// The socket of the service manager cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "NOTIFY_SOCKET={}: {error}; start the node by its service manager, or without the variable",
    address.display()
)]
pub struct NotifyError {
    address: OsString,
    error: io::Error,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{broadcast, mpsc, watch};

    use super::*;
    use crate::node::{ClientId, Reply};
    use crate::shell::handle::DriverRequest;
    use crate::shell::idle_lock::LastUse;

    /// A service manager at a socket of this test.
    fn manager(limit: Option<Duration>) -> (tempfile::TempDir, UnixDatagram, ServiceManager) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let manager = ServiceManager::at(path.as_os_str(), limit).unwrap();
        (dir, socket, manager)
    }

    /// The next datagram, if one has arrived.
    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// A handle, and the requests that a driver would take.
    fn node() -> (Handle, mpsc::Receiver<DriverRequest>) {
        let (requests, driver) = mpsc::channel(4);
        let (events, _) = broadcast::channel(1);
        let handle = Handle {
            client: ClientId::OWN,
            requests,
            events: events.downgrade(),
            addresses: Arc::new([]),
            driver: tokio::spawn(async {}).abort_handle(),
            panicked: Arc::default(),
            finished: watch::channel(()).1,
            last_use: LastUse::new(),
        };
        (handle, driver)
    }

    #[test]
    fn each_message_is_one_datagram_of_the_protocol() {
        let (_dir, socket, manager) = manager(None);
        manager.ready("2 peers");
        manager.reloading();
        manager.stopping("closing");
        assert_eq!(received(&socket).unwrap(), "READY=1\nSTATUS=2 peers");
        let reloading = received(&socket).unwrap();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(micros.unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(received(&socket).unwrap(), "STOPPING=1\nSTATUS=closing");
        assert_eq!(received(&socket), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn socket_without_a_file_gets_messages() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;

        let name = format!("whisht-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let manager = ServiceManager::at(OsStr::new(&format!("@{name}")), None).unwrap();
        manager.ready("ready");
        assert_eq!(received(&socket).unwrap(), "READY=1\nSTATUS=ready");
    }

    #[test]
    fn watchdog_is_on_for_this_process_and_a_positive_limit_only() {
        let minute = Some(Duration::from_secs(60));
        for (limit, process, expected) in [
            (Some("60000000"), None, minute),
            (Some("60000000"), Some("7"), minute),
            (Some("60000000"), Some("8"), None),
            (Some("0"), None, None),
            (Some("x"), None, None),
            (None, Some("7"), None),
        ] {
            let read = watchdog_limit(limit, process, 7);
            assert_eq!(read, expected, "{limit:?} {process:?}");
        }
    }

    #[test]
    fn socket_that_cannot_be_used_is_an_error_and_a_lost_one_is_not() {
        for address in ["relative", "", "/nowhere/notify"] {
            assert!(
                ServiceManager::at(OsStr::new(address), None).is_err(),
                "{address}"
            );
        }
        let (dir, socket, manager) = manager(None);
        drop((socket, dir));
        manager.ready("the socket is gone");
        ServiceManager::default().stopping("no service manager");
    }

    #[tokio::test(start_paused = true)]
    async fn driver_that_hangs_misses_the_watchdog_and_one_that_answers_does_not() {
        let (_dir, socket, manager) = manager(Some(Duration::from_secs(60)));
        let (node, mut driver) = node();
        let answering = async {
            for _ in 0..3 {
                let Some(DriverRequest::Command(_, _, answer)) = driver.recv().await else {
                    panic!("a command")
                };
                assert!(answer.send(Ok(Reply::Done)).is_ok());
            }
            // From here on commands arrive and are not answered.
            tokio::time::sleep(Duration::from_secs(600)).await;
        };
        tokio::select! {
            never = manager.keep_alive(&node) => match never {},
            () = answering => {}
        }
        let messages: Vec<String> = std::iter::from_fn(|| received(&socket)).collect();
        assert_eq!(messages, ["WATCHDOG=1"; 3]);
    }
}
