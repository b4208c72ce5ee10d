//! The tracer on shells: the calls that a policy receives, its refusals, and exit codes.
//!
//! A shell is the launcher here, since a test has no program of its own that could be one. `bash`
//! opens sockets itself (`/dev/tcp`), so no other program is needed. The destinations are reserved
//! for documentation (RFC 5737).

#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
))]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use whisht_watch::{
    CallDecision, CallPolicy, Caller, CallerName, ExitCause, SocketAddress, SystemCall,
    TraceReport, TracedProgram, WatchError,
};

/// Refuses every connection to an IP address, and records it.
#[derive(Debug, Default)]
struct NoConnections {
    refused: Vec<(SocketAddr, CallerName)>,
    /// Files named `hosts` that were opened.
    opened: Vec<String>,
    unseen: Vec<&'static str>,
}

impl CallPolicy for NoConnections {
    fn decide(&mut self, call: &SystemCall, caller: Caller) -> CallDecision {
        match call {
            SystemCall::Connect(SocketAddress::Internet(to)) => {
                self.refused.push((*to, caller.name()));
                CallDecision::Refuse
            }
            SystemCall::Open(path) if path.ends_with("/hosts") => {
                self.opened.push(path.clone());
                CallDecision::Allow
            }
            SystemCall::Unseen(way) => {
                self.unseen.push(way);
                CallDecision::Refuse
            }
            _ => CallDecision::Allow,
        }
    }
}

type Report = Result<TraceReport<NoConnections>, WatchError>;

/// Starts a launcher, and hands back the channel of its report.
fn start(launcher: Command) -> Result<(TracedProgram, mpsc::Receiver<Report>), WatchError> {
    let (done, report) = mpsc::channel();
    let on_end = move |report| done.send(report).unwrap();
    let program = TracedProgram::start(launcher, NoConnections::default(), on_end)?;
    Ok((program, report))
}

/// A launcher that becomes `bash` with a script.
fn launcher(script: &str) -> Command {
    let mut launcher = Command::new("sh");
    let stop = "kill -STOP $$; exec \"$@\"";
    launcher.args(["-c", stop, "sh", "bash", "-c", script]);
    launcher
}

/// Traces a script to its end: its output and the report.
fn trace(script: &str) -> (String, TraceReport<NoConnections>) {
    let (mut program, report) = start(launcher(script)).unwrap();
    let mut output = String::new();
    let mut stdout = program.stdout.take().unwrap();
    stdout.read_to_string(&mut output).unwrap();
    (output, report.recv_timeout(LIMIT).unwrap().unwrap())
}

#[test]
fn allowed_program_runs_to_its_exit_code() {
    let (output, report) = trace("echo hello; exit 3");
    assert_eq!(output, "hello\n");
    assert_eq!(report.end, ExitCause::Exited(3));
    assert_eq!(report.policy.refused, []);
    assert!(report.activity.system_calls > 10, "{:?}", report.activity);
    assert_eq!(report.activity.processes, 1);
}

#[test]
fn refused_connection_fails_with_permission_error() {
    let script = "exec 2>&1; LC_ALL=C; exec 3<>/dev/tcp/192.0.2.1/9";
    let (output, report) = trace(script);
    assert!(output.contains("Operation not permitted"), "{output}");
    let to = "192.0.2.1:9".parse().unwrap();
    let caller = CallerName {
        program: "bash".to_owned(),
        thread: "bash".to_owned(),
    };
    assert_eq!(report.policy.refused, [(to, caller)]);
}

#[test]
fn relative_and_long_paths_are_reported_from_the_root() {
    let long = "./".repeat(200);
    let script = format!("cd /etc; read x < hosts; read x < ../etc/.//hosts; read x < {long}hosts");
    let (_, report) = trace(&script);
    assert_eq!(report.policy.opened, ["/etc/hosts"; 3]);
}

#[test]
fn descriptors_of_other_programs_and_sctp_are_reported() {
    // Perl is part of every Debian. The numbers of the calls are those of x86-64 and of all others.
    let recvmsg = if cfg!(target_arch = "x86_64") {
        47
    } else {
        212
    };
    let script = format!(
        r#"exec perl -e '
        use Socket;
        syscall(438, -1, 0, 0);
        socket(my $one, 2, 5, 0);
        socket(my $two, 2, 1, 132);
        socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or die;
        my ($data, $control) = ("\0" x 64, "\0" x 64);
        my $vector = pack("QQ", unpack("Q", pack("p", $data)), 64);
        my @address = map {{ unpack("Q", pack("p", $_)) }} $vector, $control;
        my $message = pack("QQQQQQQ", 0, 0, $address[0], 1, $address[1], 64, 0);
        syscall({recvmsg}, fileno($a), $message, 64);
        my $plain = pack("QQQQQQQ", 0, 0, $address[0], 1, 0, 0, 0);
        syscall({recvmsg}, fileno($a), $plain, 64);
        '"#
    );
    let (output, report) = trace(&script);
    let found = &report.policy.unseen;
    let count = |word: &str| found.iter().filter(|way| way.contains(word)).count();
    assert_eq!(
        (count("SCTP"), count("descriptor")),
        (2, 2),
        "{found:?} {output}"
    );
}

#[test]
fn child_process_is_traced() {
    let child = "bash -c 'exec 3<>/dev/tcp/192.0.2.2/9' 2>/dev/null";
    let (output, report) = trace(&format!("{child}; echo $?"));
    assert_eq!(output, "1\n");
    assert_eq!(report.policy.refused.len(), 1);
    assert_eq!(report.activity.processes, 2);
}

#[test]
fn killed_program_reports_its_signal() {
    let (_, report) = trace("kill -KILL $$");
    assert_eq!(report.end, ExitCause::Killed(9));
}

#[test]
fn dropped_program_is_killed() {
    let (program, report) = start(launcher("sleep 300")).unwrap();
    drop(program);
    let report = report.recv_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(report.end, ExitCause::Killed(9));
}

#[test]
fn launcher_that_does_not_stop_is_an_error() {
    let mut launcher = Command::new("sh");
    launcher.args(["-c", "exit 0"]);
    assert!(matches!(start(launcher), Err(WatchError::Vanished)));
    let missing = Command::new("/nonexistent");
    assert!(matches!(start(missing), Err(WatchError::Start(_))));
}

/// Maximum duration of a traced shell.
const LIMIT: Duration = Duration::from_secs(60);
