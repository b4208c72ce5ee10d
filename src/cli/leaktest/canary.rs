//! Planted leaks, one of every kind: a tracer that misses one is not reliable.
//!
//! Each leak has a destination of its own, so the report can be compared leak by leak. All
//! destinations are reserved addresses (RFC 5737, RFC 3849, RFC 6761). The kernel never sees a refused
//! leak; one that passes leads nowhere.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, MsgHdr, Protocol, SockAddr, Socket, Type};
use whisht_watch::AF_NETLINK;

use super::policy::LeakKind;

/// A planted leak.
pub(super) struct Canary {
    /// Name in messages to the user.
    pub(super) name: &'static str,
    /// The kind that the report must show.
    pub(super) kind: LeakKind,
    /// How the reported destination must begin.
    pub(super) to: &'static str,
    leak: fn() -> CanaryOutcome,
}

/// The outcome of a leak in the leaking program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CanaryOutcome {
    /// This machine has no such sockets.
    Impossible,
    /// The call went through.
    Passed,
    /// The call was refused.
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

    /// Parses the output of the leaking program.
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

/// All planted leaks.
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
        name: "a UDP socket on an address that other machines can reach",
        kind: LeakKind::Listen,
        to: "192.0.2.6:9",
        leak: || CanaryOutcome::of(UdpSocket::bind("192.0.2.6:9")),
    },
    Canary {
        name: "a name lookup",
        kind: LeakKind::Lookup,
        to: "/etc/",
        leak: || match ("leak.invalid", 9).to_socket_addrs() {
            Ok(_) => CanaryOutcome::Passed,
            Err(_) => CanaryOutcome::Refused,
        },
    },
    Canary {
        name: "a query for this machine's addresses",
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

/// Tries every leak, and prints the outcomes in order.
///
/// # Errors
///
/// If standard output is closed.
pub(super) fn all() -> io::Result<()> {
    let outcomes: Vec<_> = CANARIES
        .iter()
        .map(|canary| (canary.leak)().word())
        .collect();
    writeln!(io::stdout().lock(), "{}", json!(outcomes))
}

/// The leak of the child process.
///
/// # Errors
///
/// If standard output is closed.
pub(super) fn child() -> io::Result<()> {
    let outcome = tcp(Domain::IPV4, CHILDS);
    writeln!(io::stdout().lock(), "{}", json!(outcome.word()))
}

/// Keeps threads busy with system calls, so that most of them are stopped at any moment, and ends
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

/// Number of busy threads.
const CROWD: usize = 40;

/// Destination of the child's leak.
const CHILDS: &str = "192.0.2.8:9";

/// Time limit of a connection that is not refused.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
