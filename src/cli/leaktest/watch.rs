//! Watches a program, its threads and its children, one system call at a time.
//!
//! The program starts in the hands of [`helper`](mod@super::helper), which stops before it becomes the
//! program; so nothing that it does comes before the watcher. From then on each thread stops at the
//! entry of every system call. Those that could lead out are judged, and those that do are refused
//! before the kernel sees them: the watcher does no harm that it is there to find.
//!
//! Tracing belongs to one thread of ours, which does nothing else. It ends when the last of the
//! watched has ended; should it end before, the kernel ends them. What the watcher cannot see is
//! what the program was given: it gets no descriptors but its standard ones.

mod calls;
mod stop;
mod tracee;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, waitpid};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::stop::PtraceStop;
use self::tracee::{Phase, Registers, Tracee};
use super::policy::{EgressPolicy, PolicyDecision, TracedCall};
use super::record::{LeakEntry, TraceRecord};

/// A program to be watched.
#[derive(Debug)]
pub(super) struct ProgramSpec {
    /// Its path.
    pub(super) program: OsString,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Whether our own settings in the environment are its settings too.
    pub(super) settings: bool,
}

/// A program that is being watched.
#[derive(Debug)]
pub(super) struct TracedProgram {
    /// What it says.
    pub(super) stdout: Option<ChildStdout>,
    /// What it logs.
    pub(super) stderr: Option<ChildStderr>,
    /// Each leak, when it is first seen.
    pub(super) news: mpsc::UnboundedReceiver<LeakEntry>,
    /// What was seen in all, once it has ended.
    pub(super) report: oneshot::Receiver<Result<TraceReport, WatchError>>,
    process: Pid,
}

/// What was seen of a program that has ended.
#[derive(Debug)]
pub(super) struct TraceReport {
    /// What it did.
    pub(super) record: TraceRecord,
    /// How it ended.
    pub(super) end: ExitCause,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ExitCause {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// By the watcher's hand, since a call could not be refused.
    Stopped,
}

impl TracedProgram {
    /// Starts a program under the watcher.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if it cannot be started or must not be watched.
    pub(super) async fn start(
        watched: ProgramSpec,
        policy: EgressPolicy,
    ) -> Result<Self, WatchError> {
        let (told, start) = oneshot::channel();
        let (tell, news) = mpsc::unbounded_channel();
        let (done, report) = oneshot::channel();
        let tracer = move || match hold(&watched) {
            Err(error) => {
                // Whoever asked has gone, and with it the question.
                let _ = told.send(Err(error));
            }
            Ok((process, stdout, stderr)) => {
                let _ = told.send(Ok((process, stdout, stderr)));
                let _ = done.send(Tracer::new(process, policy, tell).run());
            }
        };
        let builder = thread::Builder::new().name("watcher".to_owned());
        builder.spawn(tracer).map_err(WatchError::Start)?;
        let (process, stdout, stderr) = start.await.map_err(|_| WatchError::Vanished)??;
        Ok(Self {
            stdout,
            stderr,
            news,
            report,
            process,
        })
    }

    /// Asks the program to end.
    pub(super) fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Ends the program.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // Once the report is there, the number may be that of another process.
        if self.report.is_empty() && !self.report.is_terminated() {
            // It has ended by itself.
            let _ = kill(self.process, signal);
        }
    }
}

impl Drop for TracedProgram {
    fn drop(&mut self) {
        self.kill();
    }
}

type Started = (Pid, Option<ChildStdout>, Option<ChildStderr>);

/// Starts a program, takes hold of it before it has done anything, and lets it go on.
fn hold(watched: &ProgramSpec) -> Result<Started, WatchError> {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["leaktest-part", "hold", "--"])
        .arg(&watched.program)
        .args(&watched.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for us, who then end it.
        .process_group(0);
    if !watched.settings {
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("WHISHT_")) {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn().map_err(WatchError::Start)?;
    let started = (child.stdout.take(), child.stderr.take());
    let process = i32::try_from(child.id()).map_err(|_| WatchError::Vanished)?;
    let standing = wait(
        rustix::process::Pid::from_raw(process),
        WaitOptions::UNTRACED,
    );
    if !matches!(standing, Some((_, PtraceStop::Signal(_)))) {
        return Err(WatchError::Vanished);
    }
    let process = Pid::from_raw(process);
    let options = Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEVFORK;
    let seized = ptrace::seize(process, options);
    if let Err(error) = seized {
        // It stands still, and nobody else will end it.
        let _ = kill(process, Signal::SIGKILL);
        return Err(WatchError::Refused(error));
    }
    kill(process, Signal::SIGCONT).map_err(|_| WatchError::Vanished)?;
    let (stdout, stderr) = started;
    Ok((process, stdout, stderr))
}

/// The next thread of ours, or of `process`, that stops or ends; `None` if there is none left.
fn wait(
    process: Option<rustix::process::Pid>,
    options: WaitOptions,
) -> Option<(rustix::process::Pid, PtraceStop)> {
    let ours = WaitOptions::from_bits_retain(ALL_KINDS | OWN_THREAD);
    loop {
        // Without a number, `waitpid` means our own process group.
        let changed = match process {
            Some(process) => waitpid(Some(process), options | ours),
            None => rustix::process::wait(options | ours),
        };
        match changed {
            Ok(Some((thread, status))) => {
                return Some((thread, PtraceStop::decode(status.as_raw())));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The thread that traces.
struct Tracer {
    policy: EgressPolicy,
    record: TraceRecord,
    begun: Instant,
    tell: mpsc::UnboundedSender<LeakEntry>,
    /// The process that all others come from.
    first: Pid,
    /// How it ended.
    end: Option<ExitCause>,
    /// The threads that are there, and those that are in a refused call.
    threads: BTreeSet<i32>,
    refused: BTreeMap<i32, Registers>,
}

impl Tracer {
    fn new(first: Pid, policy: EgressPolicy, tell: mpsc::UnboundedSender<LeakEntry>) -> Self {
        Self {
            policy,
            record: TraceRecord::default(),
            begun: Instant::now(),
            tell,
            first,
            end: None,
            threads: BTreeSet::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Watches until nobody is left.
    fn run(mut self) -> Result<TraceReport, WatchError> {
        while let Some((thread, stop)) = wait(None, WaitOptions::empty()) {
            let thread = Pid::from_raw(thread.as_raw_pid());
            match stop {
                PtraceStop::Exited(code) => self.gone(thread, ExitCause::Exited(code)),
                PtraceStop::Killed(signal) => self.gone(thread, ExitCause::Killed(signal)),
                PtraceStop::SystemCall => self.system_call(Tracee(thread)),
                // One without a name is lost; no program here sends any.
                PtraceStop::Signal(number) => go_on(thread, Signal::try_from(number).ok()),
                PtraceStop::Event => go_on(thread, None),
            }
            if !matches!(stop, PtraceStop::Exited(_) | PtraceStop::Killed(_)) {
                self.met(thread);
            }
        }
        Ok(TraceReport {
            record: self.record,
            end: self.end.ok_or(WatchError::Vanished)?,
        })
    }

    /// Counts a thread that was not there before.
    fn met(&mut self, thread: Pid) {
        if self.threads.insert(thread.as_raw()) {
            self.record.counts.threads += 1;
            self.record.counts.processes += u64::from(Tracee(thread).is_process());
            if self.end.is_some() {
                // Too late to be let run.
                end(thread);
            }
        }
    }

    /// A thread has ended, and with the first process everything that it started.
    fn gone(&mut self, thread: Pid, how: ExitCause) {
        self.threads.remove(&thread.as_raw());
        self.refused.remove(&thread.as_raw());
        if thread == self.first {
            self.end.get_or_insert(how);
            for thread in &self.threads {
                end(Pid::from_raw(*thread));
            }
        }
    }

    /// A thread enters or leaves a system call. If it has died meanwhile, it will be heard of.
    fn system_call(&mut self, tracee: Tracee) {
        match tracee.phase() {
            Ok(Phase::Entry { native }) => {
                self.record.counts.system_calls += 1;
                if let Ok(registers) = tracee.registers() {
                    self.enters(tracee, registers, native);
                }
            }
            Ok(Phase::Exit) => {
                if let Some(registers) = self.refused.remove(&tracee.0.as_raw())
                    && registers.answer(tracee).is_err()
                {
                    self.end_all(tracee);
                }
            }
            Ok(Phase::Neither) | Err(Errno::ESRCH) => {}
            // Something is in the way, and who knows what passes meanwhile.
            Err(_) => self.end_all(tracee),
        }
        go_on(tracee.0, None);
    }

    fn enters(&mut self, tracee: Tracee, registers: Registers, native: bool) {
        let asked = match native {
            true => calls::asked(tracee, &registers),
            false => vec![TracedCall::Unseen(calls::FOREIGN)],
        };
        let mut refuse = false;
        for call in &asked {
            self.record.counts.count(call);
            match self.policy.decide(call) {
                PolicyDecision::Allow => {}
                PolicyDecision::Contact(to) => self.record.spoke(to),
                PolicyDecision::Deny => refuse = true,
                PolicyDecision::Leak(leak) => {
                    refuse |= !leak.harmless;
                    let who = tracee.who();
                    let entry = LeakEntry {
                        kind: leak.kind,
                        to: leak.to.clone(),
                        who: who.clone(),
                    };
                    let refused = !leak.harmless;
                    if self.record.leak(leak, who, self.begun.elapsed(), refused) {
                        // Whoever listened has heard enough.
                        let _ = self.tell.send(entry);
                    }
                }
            }
        }
        if refuse {
            match registers.refuse(tracee) {
                Ok(()) => {
                    self.refused.insert(tracee.0.as_raw(), registers);
                }
                Err(Errno::ESRCH) => {}
                Err(_) => self.end_all(tracee),
            }
        }
    }

    /// What cannot be kept from leaking must not go on.
    fn end_all(&mut self, tracee: Tracee) {
        self.end = Some(ExitCause::Stopped);
        end(tracee.0);
        end(self.first);
    }
}

/// Lets a thread run to its next stop. One that has died meanwhile has nothing to be told.
fn go_on(thread: Pid, signal: Option<Signal>) {
    let _ = ptrace::syscall(thread, signal);
}

fn end(thread: Pid) {
    // It may have ended by itself.
    let _ = kill(thread, Signal::SIGKILL);
}

/// Why a program cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    /// It ended before it could be watched, or nobody knows how it ended.
    #[error("the program to be watched has gone; this is a bug, please report it")]
    Vanished,
    /// The system does not let us.
    #[error(
        "the system does not let this process be watched ({0}); see \
         /proc/sys/kernel/yama/ptrace_scope, which must be 0 or 1, and the seccomp profile of a \
         container"
    )]
    Refused(Errno),
    /// It cannot be started.
    #[error("cannot start the program to be watched: {0}")]
    Start(io::Error),
}

/// `__WALL`: children of every kind, threads among them.
const ALL_KINDS: u32 = 0x4000_0000;
/// `__WNOTHREAD`: only what this thread started or traces.
const OWN_THREAD: u32 = 0x2000_0000;
