//! Leaks that are planted, one of every kind: a watcher that misses one proves nothing.
//!
//! Each has a destination of its own, so that what the watcher reports can be told apart, and all of
//! them are addresses that stand for nobody (RFC 5737, RFC 3849, RFC 6761). They are refused before
//! the kernel sees them; should one not be, it would lead nowhere.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, MsgHdr, Protocol, SockAddr, Socket, Type};
use whisht_watch::AF_NETLINK;

use super::policy::LeakKind;

/// A leak that is planted.
pub(super) struct Canary {
    /// What a user calls it.
    pub(super) name: &'static str,
    /// What the watcher has to call it.
    pub(super) kind: LeakKind,
    /// How the destination that it reports has to begin.
    pub(super) to: &'static str,
    leak: fn() -> CanaryOutcome,
}

/// What came of a leak, as the leaking program saw it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CanaryOutcome {
    /// This machine has no such sockets, so it cannot be planted here.
    Impossible,
    /// It went through.
    Passed,
    /// It was refused.
    Refused,
}

impl CanaryOutcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Impossible => "impossible",
            Self::Passed => "passed",
            Self::Refused => "refused",
        }
    }

    /// What the program says of it.
    pub(super) fn read(word: &Value) -> Option<Self> {
        let all = [Self::Impossible, Self::Passed, Self::Refused];
        all.into_iter()
            .find(|outcome| word.as_str() == Some(outcome.word()))
    }

    fn of<T>(result: io::Result<T>) -> Self {
        match result {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Self::Refused,
            _ => Self::Passed,
        }
    }
}

/// All of them.
pub(super) const CANARIES: [Canary; 13] = [
    Canary {
        name: "a TCP connection over IPv4",
        kind: LeakKind::Connect,
        to: "192.0.2.1:9",
        leak: || tcp(Domain::IPV4, "192.0.2.1:9"),
    },
    Canary {
        name: "a TCP connection over IPv6",
        kind: LeakKind::Connect,
        to: "[2001:db8::1]:9",
        leak: || tcp(Domain::IPV6, "[2001:db8::1]:9"),
    },
    Canary {
        name: "a TCP connection over IPv4 within IPv6",
        kind: LeakKind::Connect,
        to: "192.0.2.2:9",
        leak: || tcp(Domain::IPV6, "[::ffff:192.0.2.2]:9"),
    },
    Canary {
        name: "a UDP datagram",
        kind: LeakKind::Datagram,
        to: "192.0.2.3:9",
        leak: || datagram(|socket| socket.send_to(b"leak", "192.0.2.3:9")),
    },
    Canary {
        name: "a UDP datagram by sendmsg",
        kind: LeakKind::Datagram,
        to: "192.0.2.4:9",
        leak: by_sendmsg,
    },
    Canary {
        name: "a UDP socket with a destination",
        kind: LeakKind::Connect,
        to: "192.0.2.5:9",
        leak: || datagram(|socket| socket.connect("192.0.2.5:9")),
    },
    Canary {
        name: "a TCP listener on every address",
        kind: LeakKind::Listen,
        to: "0.0.0.0:",
        leak: || CanaryOutcome::of(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))),
    },
    Canary {
        name: "a UDP socket on an address that others reach",
        kind: LeakKind::Listen,
        to: "192.0.2.6:9",
        leak: || CanaryOutcome::of(UdpSocket::bind("192.0.2.6:9")),
    },
    Canary {
        name: "a name look-up",
        kind: LeakKind::Lookup,
        to: "/etc/",
        leak: || match ("leak.invalid", 9).to_socket_addrs() {
            Ok(_) => CanaryOutcome::Passed,
            Err(_) => CanaryOutcome::Refused,
        },
    },
    Canary {
        name: "a question for this machine's addresses",
        kind: LeakKind::Lookup,
        to: "the machine's addresses",
        leak: || {
            CanaryOutcome::of(Socket::new(
                Domain::from(i32::from(AF_NETLINK)),
                Type::RAW,
                None,
            ))
        },
    },
    Canary {
        name: "a socket for raw packets",
        kind: LeakKind::Socket,
        to: "raw packets",
        leak: || CanaryOutcome::of(Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))),
    },
    Canary {
        name: "a connection of a second thread",
        kind: LeakKind::Connect,
        to: "192.0.2.7:9",
        leak: || {
            let second = thread::spawn(|| tcp(Domain::IPV4, "192.0.2.7:9"));
            second.join().unwrap_or(CanaryOutcome::Passed)
        },
    },
    Canary {
        name: "a connection of a child",
        kind: LeakKind::Connect,
        to: CHILDS,
        leak: by_child,
    },
];

/// Leaks in every way, and says what came of it, in order.
///
/// # Errors
///
/// If nobody reads it.
pub(super) fn all() -> io::Result<()> {
    let outcomes: Vec<_> = CANARIES
        .iter()
        .map(|canary| (canary.leak)().word())
        .collect();
    writeln!(io::stdout().lock(), "{}", json!(outcomes))
}

/// Leaks as a child of the one that leaks in every way.
///
/// # Errors
///
/// If nobody reads what came of it.
pub(super) fn child() -> io::Result<()> {
    let outcome = tcp(Domain::IPV4, CHILDS);
    writeln!(io::stdout().lock(), "{}", json!(outcome.word()))
}

/// Keeps threads busy with system calls, so that most of them stand still at any moment, and ends
/// without waiting for them.
pub(super) fn crowd() {
    for _ in 0..CROWD {
        thread::spawn(|| {
            loop {
                thread::yield_now();
            }
        });
    }
    thread::spawn(|| tcp(Domain::IPV4, "192.0.2.9:9"))
        .join()
        .ok();
}

fn tcp(domain: Domain, to: &str) -> CanaryOutcome {
    let Ok(socket) = Socket::new(domain, Type::STREAM, None) else {
        return CanaryOutcome::Impossible;
    };
    match to.parse::<SocketAddr>() {
        Ok(to) => CanaryOutcome::of(socket.connect_timeout(&to.into(), CONNECT_TIMEOUT)),
        Err(_) => CanaryOutcome::Passed,
    }
}

fn datagram<T>(leak: impl FnOnce(&UdpSocket) -> io::Result<T>) -> CanaryOutcome {
    match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
        Ok(socket) => CanaryOutcome::of(leak(&socket)),
        Err(_) => CanaryOutcome::Impossible,
    }
}

fn by_sendmsg() -> CanaryOutcome {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::DGRAM, None) else {
        return CanaryOutcome::Impossible;
    };
    let to = SockAddr::from(SocketAddr::from(([192, 0, 2, 4], 9)));
    let text = [IoSlice::new(b"leak")];
    let message = MsgHdr::new().with_addr(&to).with_buffers(&text);
    CanaryOutcome::of(socket.sendmsg(&message, 0))
}

fn by_child() -> CanaryOutcome {
    let mut command = Command::new("/proc/self/exe");
    let command = command.args(["leaktest-part", "plant-child"]);
    let Ok(output) = command.stderr(Stdio::inherit()).output() else {
        return CanaryOutcome::Impossible;
    };
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    CanaryOutcome::read(&said).unwrap_or(CanaryOutcome::Passed)
}

/// Threads that are busy.
const CROWD: usize = 40;

/// Where the child leaks to.
const CHILDS: &str = "192.0.2.8:9";

/// How long a connection that is not refused may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
