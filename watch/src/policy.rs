//! The policy for system calls: one trait, which the user of the crate implements.
//!
//! A policy sees a call once, before the kernel does. The policy runs on the tracing thread, and the
//! calling thread waits for it, so a policy must not block.

use crate::calls::SystemCall;
use crate::tracee::Tracee;

/// Decides which system calls of a program are refused.
pub trait CallPolicy {
    /// Decides about one call of one thread.
    ///
    /// One entry into the kernel can contain several calls (`sendmmsg`). All of them are passed here,
    /// and the entry is refused if one of them is.
    fn decide(&mut self, call: &SystemCall, caller: Caller) -> CallDecision;
}

/// Whether the kernel gets to see a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallDecision {
    /// The call proceeds.
    Allow,
    /// The call returns `EPERM` without any effect.
    Refuse,
}

/// The thread that makes a call.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub(crate) Tracee);

impl Caller {
    /// Reads the names of the thread and of its process from `/proc`; empty where the thread has
    /// ended meanwhile.
    #[must_use]
    pub fn name(self) -> CallerName {
        self.0.name()
    }
}

/// The names of a thread, as the kernel keeps them (at most 15 bytes each).
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct CallerName {
    /// The name of the process's first thread: by default the file name of its program.
    pub program: String,
    /// The name of the thread itself.
    pub thread: String,
}
