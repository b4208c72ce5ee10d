//! The decoded system calls, and the request of each.
//!
//! Every call that gives a socket a destination is here, so data written to that socket later needs
//! no decision of its own. Calls that would make others invisible are reported as
//! [`SystemCall::Unseen`]: a kernel ring (`io_uring`) takes its calls from memory, a thread with
//! `CLONE_UNTRACED` has no tracer, SCTP sets destinations by socket options, and a descriptor that
//! another program hands over may be a socket with a destination already.

use nix::libc;

use crate::sockaddr::{AF_INET, AF_INET6, SocketAddress};
use crate::tracee::{Registers, Tracee};

/// What a thread requests from the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SystemCall {
    /// `bind`: the socket gets this address.
    Bind(SocketAddress),
    /// `connect`: the socket gets this destination.
    Connect(SocketAddress),
    /// `listen`: the socket, which has this address, accepts connections.
    Listen(SocketAddress),
    /// `open`, `openat`, `openat2`: the file with this path, from the root. Symbolic links are not
    /// resolved.
    Open(String),
    /// `sendto`, `sendmsg`, `sendmmsg` with a destination.
    Send(SocketAddress),
    /// `socket`.
    Socket {
        /// The address family (`AF_*`).
        family: u16,
        /// Whether the program builds its packets itself (`SOCK_RAW`, `SOCK_PACKET`).
        raw: bool,
    },
    /// A call whose effects cannot be traced; the text names it.
    Unseen(&'static str),
}

/// The requests of a thread that enters a system call; empty if the call cannot lead out.
pub(crate) fn requested(tracee: Tracee, registers: &Registers) -> Vec<SystemCall> {
    let [a, b, c, _, e, f] = registers.arguments();
    match registers.number() {
        libc::SYS_connect => vec![SystemCall::Connect(address(tracee, b, c))],
        libc::SYS_bind => vec![SystemCall::Bind(address(tracee, b, c))],
        libc::SYS_listen => vec![SystemCall::Listen(tracee.socket_name(a))],
        libc::SYS_sendto if e != 0 => vec![SystemCall::Send(address(tracee, e, f))],
        libc::SYS_sendmsg => message(tracee, b).into_iter().collect(),
        libc::SYS_sendmmsg => (0..c.min(MAX_MESSAGES))
            .filter_map(|index| message(tracee, b.wrapping_add(index * MESSAGE_STEP)))
            .collect(),
        libc::SYS_socket if is_sctp(a, b, c) => vec![SystemCall::Unseen(SCTP)],
        libc::SYS_recvmsg => received(tracee, a, b).into_iter().collect(),
        libc::SYS_recvmmsg => (0..c.min(MAX_MESSAGES))
            .find_map(|index| received(tracee, a, b.wrapping_add(index * MESSAGE_STEP)))
            .into_iter()
            .collect(),
        libc::SYS_pidfd_getfd => vec![SystemCall::Unseen(FOREIGN_DESCRIPTOR)],
        libc::SYS_socket => vec![SystemCall::Socket {
            family: u16::try_from(a & 0xffff_ffff).unwrap_or(u16::MAX),
            raw: matches!(b & 0xf, RAW | PACKET),
        }],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => vec![SystemCall::Open(tracee.path(CURRENT_DIRECTORY, a))],
        libc::SYS_openat | libc::SYS_openat2 => vec![SystemCall::Open(tracee.path(a, b))],
        libc::SYS_io_uring_setup => {
            vec![SystemCall::Unseen(
                "io_uring, whose calls cannot be watched",
            )]
        }
        libc::SYS_clone if a & UNTRACED != 0 => vec![SystemCall::Unseen(UNTRACED_THREAD)],
        libc::SYS_clone3 if word(tracee, a).is_none_or(|flags| flags & UNTRACED != 0) => {
            vec![SystemCall::Unseen(UNTRACED_THREAD)]
        }
        number if number & X32 != 0 => vec![SystemCall::Unseen(FOREIGN)],
        _ => Vec::new(),
    }
}

/// Reads the socket address of `length` bytes at `at`.
fn address(tracee: Tracee, at: u64, length: u64) -> SocketAddress {
    let mut buffer = [0; MAX_ADDRESS_BYTES];
    let length = usize::try_from(length & 0xffff_ffff).unwrap_or(usize::MAX);
    let Some(wanted) = buffer.get_mut(..length.min(MAX_ADDRESS_BYTES)) else {
        return SocketAddress::Garbled;
    };
    if tracee.read(at, wanted) < wanted.len() {
        return SocketAddress::Garbled;
    }
    match SocketAddress::parse(wanted) {
        SocketAddress::Unix(path) if !path.is_empty() && !path.starts_with('@') => {
            SocketAddress::Unix(tracee.absolute(CURRENT_DIRECTORY, &path))
        }
        other => other,
    }
}

/// Whether a socket speaks SCTP: by its protocol, or as the only one of its type.
fn is_sctp(family: u64, kind: u64, protocol: u64) -> bool {
    let is_ip = [AF_INET, AF_INET6]
        .map(u64::from)
        .contains(&(family & 0xffff_ffff));
    is_ip && (protocol & 0xffff_ffff == IPPROTO_SCTP || kind & 0xf == SEQUENCED)
}

/// Receives descriptors, perhaps: the `msghdr` at `at` has room for control messages, and the socket
/// is a Unix socket, or unknown.
fn received(tracee: Tracee, socket: u64, at: u64) -> Option<SystemCall> {
    let control = word(tracee, at.wrapping_add(CONTROL_AT));
    let room = word(tracee, at.wrapping_add(CONTROL_LENGTH_AT));
    if control == Some(0) || room == Some(0) {
        return None;
    }
    match tracee.socket_name(socket) {
        SocketAddress::Unix(_) | SocketAddress::Garbled => {
            Some(SystemCall::Unseen(FOREIGN_DESCRIPTOR))
        }
        _ => None,
    }
}

/// The destination in the `msghdr` at `at`, if it has one. The first two fields of a `msghdr` are the
/// pointer to the address and its length.
fn message(tracee: Tracee, at: u64) -> Option<SystemCall> {
    let mut head = [0; 12];
    if tracee.read(at, &mut head) < head.len() {
        return Some(SystemCall::Send(SocketAddress::Garbled));
    }
    let (name, length) = head.split_first_chunk()?;
    let name = u64::from_ne_bytes(*name);
    let length = u32::from_ne_bytes(length.try_into().ok()?);
    (name != 0 && length != 0).then(|| SystemCall::Send(address(tracee, name, length.into())))
}

fn word(tracee: Tracee, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (tracee.read(at, &mut bytes) == bytes.len()).then_some(u64::from_ne_bytes(bytes))
}

/// A call by another calling convention, where the number means another call.
pub(crate) const FOREIGN: &str = "a system call of another architecture";
const UNTRACED_THREAD: &str = "a thread that must not be watched";
const FOREIGN_DESCRIPTOR: &str = "a descriptor of another program, which may be any socket";
const SCTP: &str = "SCTP, which sets destinations by socket options";

/// `AT_FDCWD`: paths start from the working directory.
const CURRENT_DIRECTORY: u64 = 0xffff_ff9c;
/// `IPPROTO_SCTP`.
const IPPROTO_SCTP: u64 = 132;
/// `SOCK_SEQPACKET`, which is SCTP in the families of IP.
const SEQUENCED: u64 = 5;
/// Offsets of `msg_control` and `msg_controllen` in a `msghdr` of 64 bits.
const CONTROL_AT: u64 = 32;
const CONTROL_LENGTH_AT: u64 = 40;

/// `SOCK_RAW` and the older `SOCK_PACKET`.
const RAW: u64 = 3;
const PACKET: u64 = 10;
/// `CLONE_UNTRACED`.
const UNTRACED: u64 = 0x0080_0000;
/// The bit in every call number of x86's x32 convention, and in no other.
const X32: i64 = 0x4000_0000;
/// Size of a `mmsghdr` in bytes: a `msghdr` of 56 and a length, rounded up.
const MESSAGE_STEP: u64 = 64;
/// The kernel's limit for one `sendmmsg` (`UIO_MAXIOV`).
const MAX_MESSAGES: u64 = 1_024;
/// Size of `struct sockaddr_storage` in bytes; the kernel refuses longer addresses.
const MAX_ADDRESS_BYTES: usize = 128;
