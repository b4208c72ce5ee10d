//! A stopped thread: its registers, its memory, its sockets and its names.
//!
//! A refused system call gets a number (or, on aarch64, arguments) that the kernel rejects; at its
//! return the result is set to `EPERM`. Everything but the registers is the same on both
//! architectures.

use std::fs;
use std::io::IoSliceMut;
use std::path::{Component, PathBuf};

use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::SockRef;

use crate::policy::CallerName;
use crate::sockaddr::SocketAddress;

/// A traced thread, by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracee(pub(crate) Pid);

/// Where a thread is in a system call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// It is about to enter one.
    Entry {
        /// Whether the calling convention is that of the tracer's own architecture.
        native: bool,
    },
    /// It is about to return from one.
    Exit,
    /// It is outside any.
    Neither,
}

impl Tracee {
    /// Where the thread is.
    pub(crate) fn phase(self) -> nix::Result<Phase> {
        let info = ptrace::syscall_info(self.0)?;
        Ok(match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => Phase::Entry {
                native: info.arch == ARCHITECTURE,
            },
            libc::PTRACE_SYSCALL_INFO_EXIT => Phase::Exit,
            _ => Phase::Neither,
        })
    }

    /// The thread's registers.
    pub(crate) fn registers(self) -> nix::Result<Registers> {
        ptrace::getregs(self.0).map(Registers)
    }

    /// Fills `buffer` from the thread's memory at `at`; returns the number of bytes read.
    pub(crate) fn read(self, at: u64, buffer: &mut [u8]) -> usize {
        let Ok(mut base) = usize::try_from(at) else {
            return 0;
        };
        let mut filled = 0;
        // Page by page: the page after the end of a text may not be mapped.
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

    /// The text at `at`, up to its zero byte or to [`MAX_TEXT_BYTES`].
    pub(crate) fn text(self, at: u64) -> String {
        let mut buffer = [0; MAX_TEXT_BYTES];
        let filled = self.read(at, &mut buffer);
        let read = buffer.get(..filled).unwrap_or_default();
        let text = read.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The path at `at`, from the root; a relative one starts from the directory `from`.
    pub(crate) fn path(self, from: u64, at: u64) -> String {
        self.absolute(from, &self.text(at))
    }

    /// A path from the root, without `.` and `..`. `from` is the descriptor of a directory, or
    /// `AT_FDCWD` for the working directory. Where the directory is unknown, the path stays as it is.
    pub(crate) fn absolute(self, from: u64, path: &str) -> String {
        // The kernel uses the lower 32 bits.
        let [a, b, c, d, ..] = from.to_le_bytes();
        let directory = match i32::from_le_bytes([a, b, c, d]) {
            libc::AT_FDCWD => format!("/proc/{}/cwd", self.0),
            descriptor => format!("/proc/{}/fd/{descriptor}", self.0),
        };
        let whole = match fs::read_link(directory) {
            Ok(directory) if !path.starts_with('/') => directory.join(path),
            _ => PathBuf::from(path),
        };
        let mut settled = PathBuf::new();
        for part in whole.components() {
            match part {
                Component::CurDir => {}
                // The parent of the root is the root.
                Component::ParentDir => _ = settled.pop(),
                part => settled.push(part),
            }
        }
        settled.to_string_lossy().into_owned()
    }

    /// The local address of one of the thread's sockets, as the kernel knows it.
    pub(crate) fn socket_name(self, descriptor: u64) -> SocketAddress {
        let known = || {
            let process = rustix::process::Pid::from_raw(self.process()?)?;
            let process = pidfd_open(process, PidfdFlags::empty()).ok()?;
            let descriptor = i32::try_from(descriptor).ok()?;
            let socket = pidfd_getfd(&process, descriptor, PidfdGetfdFlags::empty()).ok()?;
            let name = SockRef::from(&socket).local_addr().ok()?;
            match name.as_socket() {
                Some(address) => Some(SocketAddress::Internet(address)),
                None if name.is_unix() => Some(SocketAddress::Unix(String::new())),
                None => Some(SocketAddress::Other(name.family())),
            }
        };
        known().unwrap_or(SocketAddress::Garbled)
    }

    /// The names of the thread and of its process.
    pub(crate) fn name(self) -> CallerName {
        let name = |number: i32| {
            let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
            name.trim_end().to_owned()
        };
        CallerName {
            program: self.process().map(name).unwrap_or_default(),
            thread: name(self.0.as_raw()),
        }
    }

    /// Whether this is the first thread of its process.
    pub(crate) fn is_process(self) -> bool {
        self.process() == Some(self.0.as_raw())
    }

    /// The number of the thread's process.
    fn process(self) -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
        line.trim().parse().ok()
    }
}

/// The registers of a thread that enters a system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers(user_regs_struct);

#[cfg(target_arch = "x86_64")]
impl Registers {
    /// The number of the system call.
    pub(crate) fn number(&self) -> i64 {
        i64::try_from(self.0.orig_rax).unwrap_or(-1)
    }

    /// The arguments of the system call.
    pub(crate) const fn arguments(&self) -> [u64; 6] {
        let Self(regs) = self;
        [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9]
    }

    /// Replaces the call by one that does not exist.
    pub(crate) fn refuse(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = self.0;
        regs.orig_rax = u64::MAX;
        ptrace::setregs(tracee.0, regs)
    }

    /// Sets the result of the refused call to `EPERM`, at its return.
    pub(crate) fn set_refused_result(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = ptrace::getregs(tracee.0)?;
        regs.rax = NOT_PERMITTED;
        ptrace::setregs(tracee.0, regs)
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    /// The number of the system call.
    pub(crate) fn number(&self) -> i64 {
        let [.., number] = self.first_nine();
        i64::try_from(number).unwrap_or(-1)
    }

    /// The arguments of the system call.
    pub(crate) const fn arguments(&self) -> [u64; 6] {
        let [a, b, c, d, e, f, ..] = self.first_nine();
        [a, b, c, d, e, f]
    }

    const fn first_nine(&self) -> [u64; 9] {
        let [a, b, c, d, e, f, g, h, i, ..] = self.0.regs;
        [a, b, c, d, e, f, g, h, i]
    }

    /// Makes the first two arguments invalid: the descriptor or family, and the pointer. The number
    /// of the call cannot be changed through these registers.
    pub(crate) fn refuse(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = self.0;
        let [first, second, ..] = &mut regs.regs;
        (*first, *second) = (u64::MAX, 0);
        ptrace::setregs(tracee.0, regs)
    }

    /// Sets the result of the refused call to `EPERM`, at its return, and restores the second argument.
    pub(crate) fn set_refused_result(&self, tracee: Tracee) -> nix::Result<()> {
        let mut regs = ptrace::getregs(tracee.0)?;
        let [first, second, ..] = &mut regs.regs;
        let [_, had, ..] = self.0.regs;
        (*first, *second) = (NOT_PERMITTED, had);
        ptrace::setregs(tracee.0, regs)
    }
}

/// The kernel's result for `EPERM`: minus 1.
const NOT_PERMITTED: u64 = u64::MAX;

/// `AUDIT_ARCH_X86_64`, the kernel's name for the calling convention.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_AARCH64`.
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The smallest page of both architectures.
const PAGE: usize = 4_096;

/// Bytes of a path that are read: the kernel's own limit (`PATH_MAX`).
const MAX_TEXT_BYTES: usize = 4_096;
