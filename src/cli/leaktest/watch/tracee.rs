//! A thread that stands still: its registers, its memory, its sockets, its name.
//!
//! To refuse a system call, the kernel is given one that it does not have, and the program an error
//! that it would also get from a firewall: not permitted. All but the registers is the same on every
//! architecture.

use std::fs;
use std::io::IoSliceMut;

use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::SockRef;

use crate::cli::leaktest::record::TracedThread;
use crate::cli::leaktest::sockaddr::SocketAddress;

/// A traced thread, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracee(pub(super) Pid);

/// Where a thread is in a system call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// About to enter one.
    Entry {
        /// Whether by the calling convention of this program's own architecture.
        native: bool,
    },
    /// About to return from one.
    Exit,
    /// In none.
    Neither,
}

impl Tracee {
    /// Where it is.
    pub(super) fn phase(self) -> nix::Result<Phase> {
        let info = ptrace::syscall_info(self.0)?;
        Ok(match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => Phase::Entry {
                native: info.arch == ARCHITECTURE,
            },
            libc::PTRACE_SYSCALL_INFO_EXIT => Phase::Exit,
            _ => Phase::Neither,
        })
    }

    /// Its registers.
    pub(super) fn registers(self) -> nix::Result<Registers> {
        ptrace::getregs(self.0).map(Registers)
    }

    /// Fills `buffer` from the memory at `at`; how far that went.
    pub(super) fn read(self, at: u64, buffer: &mut [u8]) -> usize {
        let Ok(mut base) = usize::try_from(at) else {
            return 0;
        };
        let mut filled = 0;
        // Page by page: what lies beyond the end of a text may not be there.
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let len = rest.len().min(PAGE - base % PAGE);
            let part = rest.get_mut(..len).unwrap_or_default();
            let remote = RemoteIoVec { base, len };
            let read = process_vm_readv(self.0, &mut [IoSliceMut::new(part)], &[remote]);
            let read = read.unwrap_or_default();
            filled += read;
            if read < len {
                break;
            }
            base = base.wrapping_add(read);
        }
        filled
    }

    /// The text at `at`, up to its end or to the longest path that anybody here looks for.
    pub(super) fn text(self, at: u64) -> String {
        let mut buffer = [0; MAX_TEXT_BYTES];
        let filled = self.read(at, &mut buffer);
        let read = buffer.get(..filled).unwrap_or_default();
        let text = read.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The address of one of its sockets, as the kernel knows it.
    pub(super) fn socket_name(self, descriptor: u64) -> SocketAddress {
        let known = || {
            let process = rustix::process::Pid::from_raw(self.process()?)?;
            let process = pidfd_open(process, PidfdFlags::empty()).ok()?;
            let descriptor = i32::try_from(descriptor).ok()?;
            let socket = pidfd_getfd(&process, descriptor, PidfdGetfdFlags::empty()).ok()?;
            let name = SockRef::from(&socket).local_addr().ok()?;
            match name.as_socket() {
                Some(place) => Some(SocketAddress::Internet(place)),
                None if name.is_unix() => Some(SocketAddress::Unix(String::new())),
                None => Some(SocketAddress::Other(name.family())),
            }
        };
        known().unwrap_or(SocketAddress::Garbled)
    }

    /// What it is called, and its program.
    pub(super) fn who(self) -> TracedThread {
        let name = |number: i32| {
            let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
            name.trim_end().to_owned()
        };
        TracedThread {
            program: self.process().map(name).unwrap_or_default(),
            thread: name(self.0.as_raw()),
        }
    }

    /// Whether it is the first thread of its process.
    pub(super) fn is_process(self) -> bool {
        self.process() == Some(self.0.as_raw())
    }

    /// The number of the process that it is a thread of.
    fn process(self) -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
        line.trim().parse().ok()
    }
}

/// The registers of a thread that enters a system call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers(user_regs_struct);

#[cfg(target_arch = "x86_64")]
impl Registers {
    /// Which system call.
    pub(super) fn number(&self) -> i64 {
        i64::try_from(self.0.orig_rax).unwrap_or(-1)
    }

    /// Its arguments.
    pub(super) const fn arguments(&self) -> [u64; 6] {
        let Self(regs) = self;
        [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9]
    }

    /// Makes it a system call that there is not.
    pub(super) fn refuse(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = self.0;
        regs.orig_rax = u64::MAX;
        ptrace::setregs(tracee.0, regs)
    }

    /// At its return, makes it say that this is not permitted.
    pub(super) fn answer(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = ptrace::getregs(tracee.0)?;
        regs.rax = NOT_PERMITTED;
        ptrace::setregs(tracee.0, regs)
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    /// Which system call.
    pub(super) fn number(&self) -> i64 {
        let [.., number] = self.first_nine();
        i64::try_from(number).unwrap_or(-1)
    }

    /// Its arguments.
    pub(super) const fn arguments(&self) -> [u64; 6] {
        let [a, b, c, d, e, f, ..] = self.first_nine();
        [a, b, c, d, e, f]
    }

    const fn first_nine(&self) -> [u64; 9] {
        let [a, b, c, d, e, f, g, h, i, ..] = self.0.regs;
        [a, b, c, d, e, f, g, h, i]
    }

    /// Takes from it what it cannot do without: its descriptor or family, and its pointer. The
    /// number itself is out of reach here.
    pub(super) fn refuse(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = self.0;
        let [first, second, ..] = &mut regs.regs;
        (*first, *second) = (u64::MAX, 0);
        ptrace::setregs(tracee.0, regs)
    }

    /// At its return, makes it say that this is not permitted, and gives back what was taken.
    pub(super) fn answer(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = ptrace::getregs(tracee.0)?;
        let [first, second, ..] = &mut regs.regs;
        let [_, had, ..] = self.0.regs;
        (*first, *second) = (NOT_PERMITTED, had);
        ptrace::setregs(tracee.0, regs)
    }
}

/// How the kernel returns `EPERM`, which is 1.
const NOT_PERMITTED: u64 = u64::MAX;

/// `AUDIT_ARCH_X86_64`, by which the kernel names the calling convention.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_AARCH64`.
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The smallest page of both architectures.
const PAGE: usize = 4_096;

const MAX_TEXT_BYTES: usize = 256;
