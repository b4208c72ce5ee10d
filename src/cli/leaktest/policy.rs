//! Which calls of a program lead out of this machine past Tor.
//!
//! Judgement only: what was called comes as a value, and nothing here watches or asks the system.
//! A call that cannot be judged is judged to leak, and whatever might be a look-up of a name is one:
//! a false alarm costs a look at the table, a missed leak may cost more.
//!
//! Loopback is where other programs of this machine are, Tor among them; what they send on is
//! theirs. One kind of program there is known to send on what it hears, so port 53 of loopback is no
//! exception: a resolver.

use std::fmt;
use std::net::SocketAddr;

use whisht_watch::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SocketAddress, SystemCall};

/// Where a node may go: loopback, and Tor.
pub(super) struct EgressPolicy {
    tor: Box<dyn FnMut(SocketAddr) -> bool + Send>,
}

impl EgressPolicy {
    /// Nothing but loopback.
    pub(super) fn loopback() -> Self {
        Self::and(|_| false)
    }

    /// Besides loopback wherever this says that Tor is.
    pub(super) fn and(tor: impl FnMut(SocketAddr) -> bool + Send + 'static) -> Self {
        Self { tor: Box::new(tor) }
    }

    /// Judges a call.
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
            // To connect to no family undoes a connection; to send there sends.
            SocketAddress::NoFamily(Some(place)) if kind == LeakKind::Datagram => *place,
            SocketAddress::NoFamily(_) => return PolicyDecision::Allow,
            SocketAddress::Unix(path) => return unix(path),
            SocketAddress::Other(family) => return leak(kind, format_args!("family {family}")),
            SocketAddress::Garbled => return leak(kind, "an address that cannot be read"),
        };
        // Whoever connects to the unspecified address reaches this machine.
        let local = place.ip().is_loopback() || place.ip().is_unspecified();
        match (local, RESOLVERS.contains(&place.port())) {
            (true, false) => PolicyDecision::Contact(place),
            (false, _) if (self.tor)(place) => PolicyDecision::Contact(place),
            (_, true) => leak(LeakKind::Lookup, place),
            (false, false) => leak(kind, place),
        }
    }
}

/// A socket may be given an address of loopback, or, to send from, leave the choice to the system.
fn bind(at: &SocketAddress) -> PolicyDecision {
    match at {
        SocketAddress::Internet(place) | SocketAddress::NoFamily(Some(place)) => {
            let unbound = place.ip().is_unspecified() && place.port() == 0;
            match unbound || place.ip().is_loopback() {
                true => PolicyDecision::Allow,
                false => leak(LeakKind::Listen, place),
            }
        }
        SocketAddress::Unix(_) | SocketAddress::NoFamily(None) => PolicyDecision::Allow,
        SocketAddress::Other(family) => leak(LeakKind::Listen, format_args!("family {family}")),
        SocketAddress::Garbled => leak(LeakKind::Listen, "an address that cannot be read"),
    }
}

/// Here a choice left to the system is every address of the machine.
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
        // How a program learns the machine's own addresses, and how a look-up begins.
        AF_NETLINK => leak(LeakKind::Lookup, "the machine's addresses (netlink)"),
        other => leak(LeakKind::Socket, format_args!("family {other}")),
    }
}

/// To read a file harms nobody, so it is told and let pass.
fn open(path: &str) -> PolicyDecision {
    let path = settled(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    let module = name
        .strip_prefix("libnss_")
        .is_some_and(|rest| MODULES.iter().any(|module| rest.starts_with(module)));
    match module || FILES.contains(&path) || path.starts_with("/run/systemd/resolve/") {
        true => PolicyDecision::Leak(Leak {
            kind: LeakKind::Lookup,
            to: path.to_owned(),
            harmless: true,
        }),
        false => PolicyDecision::Allow,
    }
}

/// Programs of this machine that look names up for others.
fn unix(path: &str) -> PolicyDecision {
    let path = settled(path);
    if path.starts_with("/run/nscd/") {
        // It knows users as well as hosts, and does not say here which is asked for. Without it a
        // program reads the files itself, and then it shows.
        return PolicyDecision::Deny;
    }
    let bus = path.starts_with("/run/user/") && path.ends_with("/bus");
    match bus || SERVICES.iter().any(|service| path.starts_with(service)) {
        true => leak(LeakKind::Lookup, path),
        false => PolicyDecision::Allow,
    }
}

/// A path without the old name of `/run`.
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

/// What is to become of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PolicyDecision {
    /// It leads out.
    Leak(Leak),
    /// It is nobody's business.
    Allow,
    /// It could lead out by way of another program; it is refused, and nothing is said of it.
    Deny,
    /// It leads to loopback or to Tor.
    Contact(SocketAddr),
}

/// A call that leads out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Leak {
    /// What it is.
    pub(super) kind: LeakKind,
    /// Where it leads.
    pub(super) to: String,
    /// Whether it may go on all the same, since it only shows that something is about to.
    pub(super) harmless: bool,
}

/// What a leak is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum LeakKind {
    /// A connection, or a datagram socket that is given a destination.
    Connect,
    /// A datagram.
    Datagram,
    /// A listener that others than this machine can reach.
    Listen,
    /// A look-up of a name, or of the machine's own addresses.
    Lookup,
    /// A socket of a kind that is not watched.
    Socket,
    /// A way past the watcher.
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

/// What a look-up of a host reads, and nothing else does. `/etc/nsswitch.conf` is not among them:
/// it is read for the name of a user as well.
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
