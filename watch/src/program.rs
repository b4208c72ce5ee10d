//! Starts a program under the tracer.
//!
//! Tracing must begin before the program's first instruction, and a child can ask for that only
//! between `fork` and `exec`, where Rust allows no safe code. So a *launcher* is started instead: a
//! program that stops itself by `SIGSTOP` and then becomes the traced program ([`stop_and_exec`]).
//! The tracer attaches while the launcher is stopped. The program gets no descriptors but standard
//! input (empty), output and error (pipes).
//!
//! Tracing belongs to the thread that attached, so each program gets a thread of its own. If that
//! thread ends, the kernel kills the program (`PTRACE_O_EXITKILL`).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, WaitOptions, pidfd_open, pidfd_send_signal};

use crate::policy::CallPolicy;
use crate::stop::{PtraceStop, wait};
use crate::tracer::{TraceReport, Tracer};

/// A program that is being traced. Dropping it kills the program.
#[derive(Debug)]
pub struct TracedProgram {
    /// The program's standard output; `None` once taken.
    pub stdout: Option<ChildStdout>,
    /// The program's standard error; `None` once taken.
    pub stderr: Option<ChildStderr>,
    process: OwnedFd,
}

impl TracedProgram {
    /// Starts a program under the tracer and returns once it runs.
    ///
    /// `launcher` is the command of a program that calls [`stop_and_exec`] or does the same. Its
    /// standard streams and its process group are set here. `on_end` runs on the tracing thread when
    /// the program and everything that it started have ended.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if the launcher cannot be started, ends early or must not be traced.
    pub fn start<P>(
        launcher: Command,
        policy: P,
        on_end: impl FnOnce(Result<TraceReport<P>, WatchError>) + Send + 'static,
    ) -> Result<Self, WatchError>
    where
        P: CallPolicy + Send + 'static,
    {
        let (started, start) = mpsc::channel();
        let trace = move || match attach(launcher) {
            Err(error) => {
                // `start` has returned if the receiver is dropped.
                let _ = started.send(Err(error));
            }
            Ok((process, program)) => {
                let _ = started.send(Ok(program));
                on_end(Tracer::new(process, policy).run());
            }
        };
        let tracer = thread::Builder::new().name("watcher".to_owned());
        tracer.spawn(trace).map_err(WatchError::Start)?;
        start.recv().map_err(|_| WatchError::Vanished)?
    }

    /// Sends `SIGINT` to the program.
    pub fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// Sends `SIGKILL` to the program.
    pub fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        // The error means that the program has ended. A descriptor, unlike a process number, never
        // names another process.
        let _ = pidfd_send_signal(&self.process, signal);
    }
}

impl Drop for TracedProgram {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The second half of a launcher: stops this process until a tracer continues it, then replaces it
/// by a program. Returns only on failure.
pub fn stop_and_exec(program: &OsStr, arguments: &[OsString]) -> io::Error {
    match raise(Signal::SIGSTOP) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error.into(),
    }
}

/// Starts a launcher, attaches to it while it is stopped, and continues it.
fn attach(mut launcher: Command) -> Result<(Pid, TracedProgram), WatchError> {
    launcher
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // The terminal's Ctrl-C must reach the tracing process only.
        .process_group(0);
    let mut child = launcher.spawn().map_err(WatchError::Start)?;
    let number = i32::try_from(child.id()).map_err(|_| WatchError::Vanished)?;
    let number = rustix::process::Pid::from_raw(number).ok_or(WatchError::Vanished)?;
    let stopped = wait(Some(number), WaitOptions::UNTRACED);
    if !matches!(stopped, Some((_, PtraceStop::Signal(_)))) {
        return Err(WatchError::Vanished);
    }
    let process = Pid::from_raw(number.as_raw_pid());
    let program = seize(process).and_then(|()| {
        let descriptor = pidfd_open(number, PidfdFlags::empty())
            .map_err(|error| WatchError::Refused(error.into()))?;
        Ok(TracedProgram {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            process: descriptor,
        })
    });
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            // The launcher is stopped and would stay so.
            let _ = kill(process, Signal::SIGKILL);
            return Err(error);
        }
    };
    kill(process, Signal::SIGCONT).map_err(|_| WatchError::Vanished)?;
    Ok((process, program))
}

/// Attaches to a process, and to every thread and process that it starts.
fn seize(process: Pid) -> Result<(), WatchError> {
    let options = Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEVFORK;
    ptrace::seize(process, options).map_err(|error| WatchError::Refused(error.into()))
}

/// Why a program cannot be traced.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system does not permit tracing.
    #[error(
        "the system does not permit tracing of this process ({0}); \
         /proc/sys/kernel/yama/ptrace_scope must be 0 or 1, and the seccomp profile of a container \
         must allow ptrace"
    )]
    Refused(io::Error),
    /// The launcher cannot be started.
    #[error("cannot start the traced program: {0}")]
    Start(io::Error),
    /// The launcher ended before the tracer attached, or the exit status of the program is lost.
    #[error("the traced program ended without an exit status; this is a bug, please report it")]
    Vanished,
}
