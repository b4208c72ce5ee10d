//! The report of a leak test: as text and as JSON.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use whisht_watch::{Activity, ExitCause};

use super::record::{CallCounts, TraceRecord};
use super::self_test::SelfTestResult;
use super::traced_node::NodeOutcome;
use super::watch::ProgramReport;
use super::workload::{StepOutcome, Steps};
use crate::cli::Exit;
use crate::cli::output::{Printer, duration, grouped};

/// How a test ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Finish {
    /// The node ended early.
    Early,
    /// The user interrupted the test.
    Interrupted,
    /// The time was up.
    InTime,
    /// The node did not start in time.
    NeverUp,
}

/// The result of a leak test.
#[derive(Debug)]
pub(super) struct LeakReport {
    pub(super) proof: SelfTestResult,
    pub(super) node: NodeOutcome,
    pub(super) steps: Steps,
    pub(super) took: Duration,
    pub(super) finish: Finish,
}

impl LeakReport {
    /// The exit code of the test.
    pub(super) fn exit(&self) -> Exit {
        match (self.node.program.record.total(), self.finish) {
            (1.., _) => Exit::Leaked,
            (0, Finish::InTime) if self.node.program.end != ExitCause::Stopped => Exit::Done,
            (0, _) => Exit::Failed,
        }
    }

    /// Prints the report.
    ///
    /// # Errors
    ///
    /// If standard output is closed.
    pub(super) fn print(&self, printer: Printer) -> io::Result<()> {
        if printer.json {
            return printer.value(&self.json());
        }
        let TraceRecord {
            leaks,
            spoke,
            counts,
            ..
        } = &self.node.program.record;
        printer.line(proven(&self.proof))?;
        printer.line(format_args!(
            "watched {}: {}",
            duration(millis(self.took)),
            watched(&self.node.program.activity, counts)
        ))?;
        printer.line(format_args!("exercised: {}", exercised(&self.steps)))?;
        if !spoke.is_empty() {
            let named: Vec<_> = spoke.keys().take(SHOWN).map(ToString::to_string).collect();
            let more = match spoke.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            printer.line(format_args!("spoke to: {}{more}", named.join(", ")))?;
        }
        if leaks.is_empty() {
            return self.conclude(printer);
        }
        let rows: Vec<_> = leaks
            .iter()
            .map(|(entry, times)| {
                [
                    entry.kind.to_string(),
                    entry.to.clone(),
                    format!("{}/{}", entry.who.program, entry.who.thread),
                    duration(millis(times.first)),
                    grouped(times.count),
                    refused(times.refused).to_owned(),
                ]
            })
            .collect();
        printer.line("")?;
        let heading = ["LEAK", "TO", "PROGRAM/THREAD", "AFTER", "TIMES", "RESULT"];
        printer.table(heading, &rows, "")?;
        printer.line("")?;
        self.conclude(printer)
    }

    fn conclude(&self, printer: Printer) -> io::Result<()> {
        match self.finish {
            Finish::InTime => {}
            Finish::Interrupted => printer.line("interrupted: what comes later was not watched")?,
            Finish::NeverUp => {
                printer.line("the node did not come up in time, so nothing was exercised")?;
                self.last_words(printer)?;
            }
            Finish::Early => {
                printer.line(format_args!(
                    "the node ended before its time, {}: what comes later was not watched",
                    ended(self.node.program.end)
                ))?;
                self.last_words(printer)?;
            }
        }
        match self.node.program.record.total() {
            0 if self.exit() == Exit::Done => printer.line("nothing leaked"),
            0 => printer.line("nothing leaked so far, which proves nothing"),
            total => printer.line(format_args!(
                "LEAKED: {} calls lead out of this machine past Tor; the watcher let none of them \
                 go anywhere",
                grouped(total)
            )),
        }
    }

    fn last_words(&self, printer: Printer) -> io::Result<()> {
        for line in &self.node.log {
            printer.line(format_args!("  | {line}"))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let steps = self
            .steps
            .iter()
            .map(|step| json!({"what": step.what, "outcome": step.outcome.to_string()}));
        let mut all = seen(&self.node.program);
        if let Value::Object(all) = &mut all {
            let SelfTestResult { caught, impossible } = self.proof;
            let finish = match self.finish {
                Finish::Early => "early",
                Finish::Interrupted => "interrupted",
                Finish::InTime => "in time",
                Finish::NeverUp => "never up",
            };
            let log = match self.finish {
                Finish::InTime | Finish::Interrupted => &[],
                Finish::Early | Finish::NeverUp => self.node.log.as_slice(),
            };
            all.insert(
                "proof".into(),
                json!({"caught": caught, "impossible": impossible}),
            );
            all.insert("exercised".into(), steps.collect());
            all.insert("ms".into(), millis(self.took).into());
            all.insert("finish".into(), finish.into());
            all.insert("log".into(), log.into());
            all.insert("exit".into(), self.exit().code().into());
        }
        all
    }
}

/// What was seen of a program, as JSON.
pub(super) fn seen(program: &ProgramReport) -> Value {
    let TraceRecord {
        leaks,
        further,
        spoke,
        counts,
    } = &program.record;
    let activity = program.activity;
    let leaks: Vec<_> = leaks
        .iter()
        .map(|(entry, times)| {
            json!({
                "kind": entry.kind.to_string(),
                "to": entry.to,
                "program": entry.who.program,
                "thread": entry.who.thread,
                "after_ms": millis(times.first),
                "times": times.count,
                "refused": times.refused,
            })
        })
        .collect();
    let spoke = spoke
        .iter()
        .map(|(to, times)| json!({"to": to.to_string(), "times": times}));
    json!({
        "leaked": !leaks.is_empty(),
        "leaks": leaks,
        "further_leaks": further,
        "spoke": spoke.collect::<Vec<_>>(),
        "watched": {
            "system_calls": activity.system_calls,
            "processes": activity.processes,
            "threads": activity.threads,
            "sockets": counts.sockets,
            "connects": counts.connects,
            "binds": counts.binds,
            "listens": counts.listens,
            "sends": counts.sends,
            "files": counts.files,
        },
        "end": ended(program.end),
    })
}

/// The result of the self-test in words.
pub(super) fn proven(proof: &SelfTestResult) -> String {
    let SelfTestResult { caught, impossible } = proof;
    match impossible {
        0 => format!("watcher proven: {caught} of {caught} planted leaks caught"),
        _ => format!(
            "watcher proven: {caught} of {caught} planted leaks caught; {impossible} more cannot be \
             planted here, where there are no such sockets"
        ),
    }
}

fn watched(activity: &Activity, counts: &CallCounts) -> String {
    format!(
        "{} system calls in {} threads and {} processes; {} sockets, {} connects, {} binds, {} \
         listens, {} sends to an address, {} files",
        grouped(activity.system_calls),
        grouped(activity.threads),
        grouped(activity.processes),
        grouped(counts.sockets),
        grouped(counts.connects),
        grouped(counts.binds),
        grouped(counts.listens),
        grouped(counts.sends),
        grouped(counts.files),
    )
}

fn exercised(steps: &Steps) -> String {
    let count = |outcome: fn(&StepOutcome) -> bool| {
        let steps = steps.iter().filter(|step| outcome(&step.outcome));
        steps.count()
    };
    format!(
        "{} done, {} refused, {} without an answer",
        count(|answer| matches!(answer, StepOutcome::Done)),
        count(|answer| matches!(answer, StepOutcome::Refused(_))),
        count(|answer| matches!(answer, StepOutcome::Silent)),
    )
}

const fn refused(refused: bool) -> &'static str {
    if refused { "refused" } else { "seen" }
}

fn ended(end: ExitCause) -> String {
    match end {
        ExitCause::Exited(code) => format!("with exit code {code}"),
        ExitCause::Killed(signal) => format!("by signal {signal}"),
        ExitCause::Stopped => "by the watcher, which could not refuse a call".to_owned(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Number of destinations that the report lists.
const SHOWN: usize = 8;
