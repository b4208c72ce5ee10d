//! Runs a program under the system-call tracer (`whisht-watch`), with the policy and the record of a
//! leak test.
//!
//! The tracing thread decides and records; what it finds reaches the test through channels. The
//! launcher that the tracer needs is this very program (`leaktest-part hold`).

use std::ffi::OsString;
use std::process::{ChildStderr, ChildStdout, Command};

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use whisht_watch::{
    Activity, CallDecision, CallPolicy, Caller, ExitCause, SystemCall, TraceReport, TracedProgram,
    WatchError,
};

use super::failed;
use super::policy::{EgressPolicy, PolicyDecision};
use super::record::{LeakEntry, TraceRecord};
use crate::cli::Failure;

/// A program to trace.
#[derive(Debug)]
pub(super) struct ProgramSpec {
    /// Path of the program.
    pub(super) program: OsString,
    /// Arguments of the program.
    pub(super) arguments: Vec<OsString>,
    /// Whether the program inherits the `WHISHT_*` variables of the environment.
    pub(super) settings: bool,
}

impl ProgramSpec {
    /// The command that stops itself and then becomes the program.
    fn launcher(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["leaktest-part", "hold", "--"])
            .arg(&self.program)
            .args(&self.arguments);
        if !self.settings {
            let ours = std::env::vars_os().map(|(name, _)| name);
            for name in ours.filter(|name| name.to_string_lossy().starts_with("WHISHT_")) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// A program that is being traced for leaks.
#[derive(Debug)]
pub(super) struct WatchedProgram {
    /// Each leak, when it is first seen.
    pub(super) news: mpsc::UnboundedReceiver<LeakEntry>,
    /// What was seen in all; sent when the program has ended.
    pub(super) report: oneshot::Receiver<Result<ProgramReport, WatchError>>,
    program: TracedProgram,
}

/// What was seen of a program that has ended.
#[derive(Debug)]
pub(super) struct ProgramReport {
    /// Leaks, destinations and counts of judged calls.
    pub(super) record: TraceRecord,
    /// How much was traced.
    pub(super) activity: Activity,
    /// How the program ended.
    pub(super) end: ExitCause,
}

impl WatchedProgram {
    /// Starts a program under the tracer.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the program cannot be started or must not be traced.
    pub(super) async fn start(spec: ProgramSpec, policy: EgressPolicy) -> Result<Self, Failure> {
        let (leaks, news) = mpsc::unbounded_channel();
        let (done, report) = oneshot::channel();
        let recorder = LeakRecorder {
            policy,
            record: TraceRecord::default(),
            begun: Instant::now(),
            leaks,
        };
        let on_end = move |report: Result<TraceReport<LeakRecorder>, WatchError>| {
            let report = report.map(|report| ProgramReport {
                record: report.policy.record,
                activity: report.activity,
                end: report.end,
            });
            // The test no longer waits if the receiver is gone.
            let _ = done.send(report);
        };
        let launcher = spec.launcher();
        let start = move || TracedProgram::start(launcher, recorder, on_end);
        let program = spawn_blocking(start).await.map_err(failed)?;
        Ok(Self {
            news,
            report,
            program: program.map_err(failed)?,
        })
    }

    /// Takes the standard output of the program; `None` if it was taken before.
    pub(super) const fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.program.stdout.take()
    }

    /// Takes the standard error of the program; `None` if it was taken before.
    pub(super) const fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.program.stderr.take()
    }

    /// Asks the program to end.
    pub(super) fn interrupt(&self) {
        self.program.interrupt();
    }

    /// Ends the program.
    pub(super) fn kill(&self) {
        self.program.kill();
    }
}

/// Applies the policy to every call, and records what it decides.
struct LeakRecorder {
    policy: EgressPolicy,
    record: TraceRecord,
    begun: Instant,
    leaks: mpsc::UnboundedSender<LeakEntry>,
}

impl CallPolicy for LeakRecorder {
    fn decide(&mut self, call: &SystemCall, caller: Caller) -> CallDecision {
        self.record.counts.count(call);
        match self.policy.decide(call) {
            PolicyDecision::Allow => CallDecision::Allow,
            PolicyDecision::Contact(to) => {
                self.record.spoke(to);
                CallDecision::Allow
            }
            PolicyDecision::Deny => CallDecision::Refuse,
            PolicyDecision::Leak(leak) => {
                let refused = !leak.harmless;
                let entry = LeakEntry {
                    kind: leak.kind,
                    to: leak.to,
                    who: caller.name(),
                };
                let time = self.begun.elapsed();
                if self.record.leak(entry.clone(), time, refused) {
                    // The test no longer listens if the receiver is gone.
                    let _ = self.leaks.send(entry);
                }
                if refused {
                    CallDecision::Refuse
                } else {
                    CallDecision::Allow
                }
            }
        }
    }
}
