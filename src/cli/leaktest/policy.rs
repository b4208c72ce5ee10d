//! Which calls of a program lead out of this machine past Tor.
//!
//! The policy is pure: a call is a value, and nothing here traces or asks the system. A call that
//! cannot be judged is a leak, and every call that may be a name lookup is one: a false alarm costs a
//! look at the report, a missed leak may cost more.
//!
//! Programs on loopback, Tor among them, are trusted with what they forward. Port 53 of loopback is
//! the exception: a resolver forwards what it receives.

use std::fmt;
use std::net::SocketAddr;

use whisht_watch::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SocketAddress, SystemCall};

/// The allowed destinations: loopback, and Tor.
pub(super) struct EgressPolicy {
    tor: Box<dyn FnMut(SocketAddr) -> bool + Send>,
}

impl EgressPolicy {
    /// Loopback only.
    pub(super) fn loopback() -> Self {
        Self::and(|_| false)
    }

    /// Loopback, and the addresses for which `tor` is true.
    pub(super) fn and(tor: impl FnMut(SocketAddr) -> bool + Send + 'static) -> Self {
        Self { tor: Box::new(tor) }
    }

    /// Decides about a call.
    pub(super) fn decide(&mut self, call: &SystemCall) -> PolicyDecision {
        match call {
            SystemCall::Connect(to) => self.outgoing(LeakKind::Connect, to),
            SystemCall::Send(to) => self.outgoing(LeakKind::Datagram, to),
            SystemCall::Bind(at) => bind(at),
            SystemCall::Listen(at) => listen(at),
            SystemCall::Socket { family, raw } => socket(*family, *raw),
            SystemCall::Open(path) => open(path),
            SystemCall::Unseen(way) => leak(LeakKind::Unseen, way),
        }
    }

    fn outgoing(&mut self, kind: LeakKind, to: &SocketAddress) -> PolicyDecision {
        let place = match to {
            SocketAddress::Internet(place) => *place,
            // `connect` with `AF_UNSPEC` ends an association; `sendto` with it sends.
            SocketAddress::NoFamily(Some(place)) if kind == LeakKind::Datagram => *place,
            SocketAddress::NoFamily(_) => return PolicyDecision::Allow,
            SocketAddress::Unix(path) => return unix(path),
            SocketAddress::Other(family) => return leak(kind, format_args!("family {family}")),
            SocketAddress::Garbled => return leak(kind, "an address that cannot be read"),
        };
        // A connection to the unspecified address reaches this machine.
        let local = place.ip().is_loopback() || place.ip().is_unspecified();
        match (local, RESOLVERS.contains(&place.port())) {
            (true, false) => PolicyDecision::Contact(place),
            (false, _) if (self.tor)(place) => PolicyDecision::Contact(place),
            (_, true) => leak(LeakKind::Lookup, place),
            (false, false) => leak(kind, place),
        }
    }
}

/// A socket may bind a loopback address, or leave address and port to the system for sending.
fn bind(at: &SocketAddress) -> PolicyDecision {
    match at {
        SocketAddress::Internet(place) | SocketAddress::NoFamily(Some(place)) => {
            let unbound = place.ip().is_unspecified() && place.port() == 0;
            if unbound || place.ip().is_loopback() {
                PolicyDecision::Allow
            } else {
                leak(LeakKind::Listen, place)
            }
        }
        SocketAddress::Unix(_) | SocketAddress::NoFamily(None) => PolicyDecision::Allow,
        SocketAddress::Other(family) => leak(LeakKind::Listen, format_args!("family {family}")),
        SocketAddress::Garbled => leak(LeakKind::Listen, "an address that cannot be read"),
    }
}

/// On a listener an address left to the system means every address of the machine.
fn listen(at: &SocketAddress) -> PolicyDecision {
    match at {
        SocketAddress::Internet(place) if !place.ip().is_loopback() => {
            leak(LeakKind::Listen, place)
        }
        SocketAddress::Internet(_) | SocketAddress::Unix(_) => PolicyDecision::Allow,
        SocketAddress::NoFamily(_) | SocketAddress::Other(_) | SocketAddress::Garbled => {
            leak(LeakKind::Listen, "an address that cannot be read")
        }
    }
}

fn socket(family: u16, raw: bool) -> PolicyDecision {
    match family {
        AF_UNIX => PolicyDecision::Allow,
        AF_INET | AF_INET6 if !raw => PolicyDecision::Allow,
        AF_INET | AF_INET6 => leak(LeakKind::Socket, "raw packets"),
        // A program learns the machine's own addresses here, and a name lookup begins here.
        AF_NETLINK => leak(LeakKind::Lookup, "the machine's addresses (netlink)"),
        other => leak(LeakKind::Socket, format_args!("family {other}")),
    }
}

/// Reading a file does no harm, so the call is reported and allowed.
fn open(path: &str) -> PolicyDecision {
    let path = settled(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    let module = name
        .strip_prefix("libnss_")
        .is_some_and(|rest| MODULES.iter().any(|module| rest.starts_with(module)));
    if module || FILES.contains(&path) || path.starts_with("/run/systemd/resolve/") {
        PolicyDecision::Leak(Leak {
            kind: LeakKind::Lookup,
            to: path.to_owned(),
            harmless: true,
        })
    } else {
        PolicyDecision::Allow
    }
}

/// Programs of this machine that look names up for other programs.
fn unix(path: &str) -> PolicyDecision {
    let path = settled(path);
    if path.starts_with("/run/nscd/") {
        // nscd resolves users as well as hosts, and the path does not tell which. Without nscd a
        // program reads the files itself, which is reported.
        return PolicyDecision::Deny;
    }
    let bus = path.starts_with("/run/user/") && path.ends_with("/bus");
    if bus || SERVICES.iter().any(|service| path.starts_with(service)) {
        leak(LeakKind::Lookup, path)
    } else {
        PolicyDecision::Allow
    }
}

/// A path with `/run` for its old name `/var/run`.
fn settled(path: &str) -> &str {
    let run = path.strip_prefix("/var");
    run.filter(|path| path.starts_with("/run/")).unwrap_or(path)
}

fn leak(kind: LeakKind, to: impl fmt::Display) -> PolicyDecision {
    PolicyDecision::Leak(Leak {
        kind,
        to: to.to_string(),
        harmless: false,
    })
}

/// What happens to a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PolicyDecision {
    /// The call leads out.
    Leak(Leak),
    /// The call is allowed.
    Allow,
    /// The call could lead out through another program; it is refused without a report.
    Deny,
    /// The call leads to loopback or to Tor, and is allowed.
    Contact(SocketAddr),
}

/// A call that leads out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Leak {
    /// The kind of leak.
    pub(super) kind: LeakKind,
    /// The destination.
    pub(super) to: String,
    /// Whether the call is allowed all the same, because it only announces a leak.
    pub(super) harmless: bool,
}

/// The kind of a leak.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum LeakKind {
    /// A connection, or a datagram socket that gets a destination.
    Connect,
    /// A datagram.
    Datagram,
    /// A listener that other machines can reach.
    Listen,
    /// A lookup of a name, or of the machine's own addresses.
    Lookup,
    /// A socket of a kind that is not traced.
    Socket,
    /// A way past the tracer.
    Unseen,
}

impl fmt::Display for LeakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connect => "connect",
            Self::Datagram => "datagram",
            Self::Listen => "listen",
            Self::Lookup => "look-up",
            Self::Socket => "socket",
            Self::Unseen => "unseen",
        })
    }
}

/// DNS, DNS over TLS, mDNS, LLMNR.
const RESOLVERS: [u16; 4] = [53, 853, 5353, 5355];

/// Files that only a host lookup reads. `/etc/nsswitch.conf` is not among them: a lookup of a user
/// reads it as well.
const FILES: [&str; 5] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/networks",
    "/etc/resolv.conf",
];

/// Modules of the C library that look up hosts.
const MODULES: [&str; 5] = ["dns", "mdns", "myhostname", "resolve", "wins"];

/// Sockets of programs that look up hosts.
const SERVICES: [&str; 3] = ["/run/avahi-daemon/", "/run/dbus/", "/run/systemd/resolve/"];

#[cfg(test)]
mod tests;
