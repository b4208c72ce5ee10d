//! Which system calls are looked at, and what each of them asks for.
//!
//! Whatever gives a socket a destination is here: what is then written to it goes where it was
//! judged to go. A ring of the kernel's (`io_uring`) takes its calls out of sight, and so would a
//! thread that asks not to be traced.

use nix::libc;

use super::tracee::{Registers, Tracee};
use crate::cli::leaktest::policy::TracedCall;
use crate::cli::leaktest::sockaddr::SocketAddress;

/// What a thread that enters a system call asks for; empty if nobody cares.
pub(super) fn asked(tracee: Tracee, registers: &Registers) -> Vec<TracedCall> {
    let [a, b, c, _, e, f] = registers.arguments();
    match registers.number() {
        libc::SYS_connect => vec![TracedCall::Connect(address(tracee, b, c))],
        libc::SYS_bind => vec![TracedCall::Bind(address(tracee, b, c))],
        libc::SYS_listen => vec![TracedCall::Listen(tracee.socket_name(a))],
        libc::SYS_sendto if e != 0 => vec![TracedCall::Send(address(tracee, e, f))],
        libc::SYS_sendmsg => message(tracee, b).into_iter().collect(),
        libc::SYS_sendmmsg => (0..c.min(MAX_MESSAGES))
            .filter_map(|index| message(tracee, b.wrapping_add(index * MESSAGE_STEP)))
            .collect(),
        libc::SYS_socket => vec![TracedCall::Socket {
            family: u16::try_from(a & 0xffff_ffff).unwrap_or(u16::MAX),
            raw: matches!(b & 0xf, RAW | PACKET),
        }],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => vec![TracedCall::Open(tracee.text(a))],
        libc::SYS_openat | libc::SYS_openat2 => vec![TracedCall::Open(tracee.text(b))],
        libc::SYS_io_uring_setup => {
            vec![TracedCall::Unseen("io_uring, whose calls nobody can watch")]
        }
        libc::SYS_clone if a & UNTRACED != 0 => vec![TracedCall::Unseen(UNTRACED_THREAD)],
        libc::SYS_clone3 if word(tracee, a).is_none_or(|flags| flags & UNTRACED != 0) => {
            vec![TracedCall::Unseen(UNTRACED_THREAD)]
        }
        number if number & X32 != 0 => vec![TracedCall::Unseen(FOREIGN)],
        _ => Vec::new(),
    }
}

/// An address and its length.
fn address(tracee: Tracee, at: u64, length: u64) -> SocketAddress {
    let mut buffer = [0; MAX_ADDRESS_BYTES];
    let length = usize::try_from(length & 0xffff_ffff).unwrap_or(usize::MAX);
    let Some(wanted) = buffer.get_mut(..length.min(MAX_ADDRESS_BYTES)) else {
        return SocketAddress::Garbled;
    };
    match tracee.read(at, wanted) == wanted.len() {
        true => SocketAddress::parse(wanted),
        false => SocketAddress::Garbled,
    }
}

/// The destination in a `msghdr`, if it names one: its first two fields are a pointer and a length.
fn message(tracee: Tracee, at: u64) -> Option<TracedCall> {
    let mut head = [0; 12];
    if tracee.read(at, &mut head) < head.len() {
        return Some(TracedCall::Send(SocketAddress::Garbled));
    }
    let (name, length) = head.split_first_chunk()?;
    let name = u64::from_ne_bytes(*name);
    let length = u32::from_ne_bytes(length.try_into().ok()?);
    (name != 0 && length != 0).then(|| TracedCall::Send(address(tracee, name, length.into())))
}

fn word(tracee: Tracee, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (tracee.read(at, &mut bytes) == bytes.len()).then_some(u64::from_ne_bytes(bytes))
}

/// What a call by another calling convention is called: its number means something else.
pub(super) const FOREIGN: &str = "a system call of another architecture";
const UNTRACED_THREAD: &str = "a thread that must not be watched";

/// `SOCK_RAW` and the older `SOCK_PACKET`.
const RAW: u64 = 3;
const PACKET: u64 = 10;
/// `CLONE_UNTRACED`.
const UNTRACED: u64 = 0x0080_0000;
/// Marks the numbers of x86's convention with short pointers. No other call has this bit.
const X32: i64 = 0x4000_0000;
/// A `mmsghdr`: a `msghdr` of 56 bytes and what was sent, rounded up.
const MESSAGE_STEP: u64 = 64;
/// The kernel looks at no more of them at once.
const MAX_MESSAGES: u64 = 1_024;
/// `struct sockaddr_storage`; the kernel refuses what is longer.
const MAX_ADDRESS_BYTES: usize = 128;
