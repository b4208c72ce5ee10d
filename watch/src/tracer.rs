//! The tracing loop: takes each stop of each traced thread, asks the policy about system calls, and
//! continues the thread.
//!
//! A call that should be refused and cannot be ends the program: nothing denied may reach the
//! kernel. The first process decides how the program ended; the tracer then kills the others.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::WaitOptions;

use crate::calls::{self, SystemCall};
use crate::policy::{CallDecision, CallPolicy, Caller};
use crate::program::WatchError;
use crate::stop::{PtraceStop, wait};
use crate::tracee::{Phase, Registers, Tracee};

/// The result of a traced program that has ended.
#[derive(Debug)]
pub struct TraceReport<P> {
    /// The policy, with its records.
    pub policy: P,
    /// How much was traced.
    pub activity: Activity,
    /// How the program ended.
    pub end: ExitCause,
}

/// How much a program did while it was traced.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Activity {
    /// System calls entered.
    pub system_calls: u64,
    /// Processes, the first one included.
    pub processes: u64,
    /// Threads, the first of each process included.
    pub threads: u64,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExitCause {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// Killed by the tracer, which could not refuse a call.
    Stopped,
}

/// The state of the tracing thread.
#[derive(Debug)]
pub(crate) struct Tracer<P> {
    policy: P,
    activity: Activity,
    /// The process from which all others descend.
    first: Pid,
    /// How the first process ended.
    end: Option<ExitCause>,
    /// The traced threads.
    threads: BTreeSet<i32>,
    /// The threads inside a refused call, with their registers at its entry.
    refused: BTreeMap<i32, Registers>,
}

impl<P: CallPolicy> Tracer<P> {
    pub(crate) fn new(first: Pid, policy: P) -> Self {
        Self {
            policy,
            activity: Activity::default(),
            first,
            end: None,
            threads: BTreeSet::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Traces until no thread is left.
    ///
    /// # Errors
    ///
    /// [`WatchError::Vanished`] if the end of the first process was never reported.
    pub(crate) fn run(mut self) -> Result<TraceReport<P>, WatchError> {
        while let Some((thread, stop)) = wait(None, WaitOptions::empty()) {
            let thread = Pid::from_raw(thread.as_raw_pid());
            match stop {
                PtraceStop::Exited(code) => self.on_end(thread, ExitCause::Exited(code)),
                PtraceStop::Killed(signal) => self.on_end(thread, ExitCause::Killed(signal)),
                PtraceStop::SystemCall => self.on_system_call(Tracee(thread)),
                // `nix` has no name for real-time signals; they are not delivered.
                PtraceStop::Signal(number) => resume(thread, Signal::try_from(number).ok()),
                PtraceStop::Event => resume(thread, None),
            }
            if !matches!(stop, PtraceStop::Exited(_) | PtraceStop::Killed(_)) {
                self.on_thread(thread);
            }
        }
        Ok(TraceReport {
            policy: self.policy,
            activity: self.activity,
            end: self.end.ok_or(WatchError::Vanished)?,
        })
    }

    /// Counts a thread at its first stop.
    fn on_thread(&mut self, thread: Pid) {
        if self.threads.insert(thread.as_raw()) {
            self.activity.threads += 1;
            self.activity.processes += u64::from(Tracee(thread).is_process());
            if self.end.is_some() {
                // It started while the program was being killed.
                kill_thread(thread);
            }
        }
    }

    /// Forgets a thread that ended. The end of the first process ends everything that it started.
    fn on_end(&mut self, thread: Pid, cause: ExitCause) {
        self.threads.remove(&thread.as_raw());
        self.refused.remove(&thread.as_raw());
        if thread == self.first {
            self.end.get_or_insert(cause);
            for thread in &self.threads {
                kill_thread(Pid::from_raw(*thread));
            }
        }
    }

    /// A thread enters or leaves a system call. `ESRCH` means that the thread has been killed; its
    /// end is reported later.
    fn on_system_call(&mut self, tracee: Tracee) {
        match tracee.phase() {
            Ok(Phase::Entry { native }) => {
                self.activity.system_calls += 1;
                if let Ok(registers) = tracee.registers() {
                    self.on_entry(tracee, registers, native);
                }
            }
            Ok(Phase::Exit) => {
                if let Some(registers) = self.refused.remove(&tracee.0.as_raw())
                    && registers.set_refused_result(tracee).is_err()
                {
                    self.stop_program(tracee);
                }
            }
            Ok(Phase::Neither) | Err(Errno::ESRCH) => {}
            // Calls may pass unseen if the phase cannot be read.
            Err(_) => self.stop_program(tracee),
        }
        resume(tracee.0, None);
    }

    fn on_entry(&mut self, tracee: Tracee, registers: Registers, native: bool) {
        let calls = if native {
            calls::requested(tracee, &registers)
        } else {
            vec![SystemCall::Unseen(calls::FOREIGN)]
        };
        let mut refuse = false;
        for call in &calls {
            refuse |= self.policy.decide(call, Caller(tracee)) == CallDecision::Refuse;
        }
        if refuse {
            match registers.refuse(tracee) {
                Ok(()) => {
                    self.refused.insert(tracee.0.as_raw(), registers);
                }
                Err(Errno::ESRCH) => {}
                Err(_) => self.stop_program(tracee),
            }
        }
    }

    /// Kills the program because a call could not be refused.
    fn stop_program(&mut self, tracee: Tracee) {
        self.end = Some(ExitCause::Stopped);
        kill_thread(tracee.0);
        kill_thread(self.first);
    }
}

/// Lets a thread run to its next stop. The error means that the thread has been killed meanwhile.
fn resume(thread: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(thread, signal);
}

fn kill_thread(thread: Pid) {
    // The error means that the thread has ended by itself.
    let _ = kill(thread, Signal::SIGKILL);
}
