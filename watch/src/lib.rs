//! Traces the system calls of a program, of its threads and of its children, and refuses those that
//! a policy denies.
//!
//! Each traced thread stops at the entry of every system call. The calls that can lead out of the
//! machine (sockets, destinations, listeners, opened files, ways past the tracer) go to a
//! [`CallPolicy`] before the kernel sees them. A refused call returns `EPERM`, the error that a
//! firewall causes. All other calls are counted and nothing else.
//!
//! The crate decides nothing about a call, writes nothing and knows no program. It finds what a
//! program does by mistake: a program that wants to escape a tracer has ways to do so.
//!
//! Linux with the GNU C library on x86_64 and aarch64; elsewhere the crate is empty.

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
))]
#![forbid(unsafe_code)]

mod calls;
mod policy;
mod program;
mod sockaddr;
mod stop;
mod tracee;
mod tracer;

pub use calls::SystemCall;
pub use policy::{CallDecision, CallPolicy, Caller, CallerName};
pub use program::{TracedProgram, WatchError, stop_and_exec};
pub use sockaddr::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SocketAddress};
pub use tracer::{Activity, ExitCause, TraceReport};
