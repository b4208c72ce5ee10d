//! A node in a process of its own, controlled by the program's commands.
//!
//! Every wait is bounded, and its failure names the condition. A node is killed when its value is
//! dropped; its log is shown if the test fails.

#![allow(dead_code, reason = "no test uses all methods")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running `whisht run`.
pub(crate) struct NodeProcess {
    child: Child,
    name: String,
    place: Place,
    log: PathBuf,
    banner: Value,
}

/// Where a node keeps its data, and how commands find it.
#[derive(Clone)]
pub(crate) enum Place {
    /// In a data directory.
    Directory(PathBuf),
    /// In memory; commands find it by its socket.
    Memory(PathBuf),
}

impl NodeProcess {
    /// Starts a node of the profile `local` with a data directory of this name in `parent`, and
    /// waits for its banner. An existing directory is used again.
    pub(crate) fn start(parent: &Path, name: &str, args: &[&str]) -> Self {
        Self::start_as(parent, name, &["run"], args)
    }

    /// The same with the most detailed log, for tests that look for what no log may contain.
    pub(crate) fn start_traced(parent: &Path, name: &str, args: &[&str]) -> Self {
        let place = Place::Directory(parent.join(name));
        Self::launch(parent, name, place, &["run"], args, "trace")
    }

    /// Starts a node that keeps everything in memory.
    pub(crate) fn start_ephemeral(parent: &Path, name: &str, args: &[&str]) -> Self {
        let place = Place::Memory(parent.join(format!("{name}.ipc")));
        let command = ["run", "--ephemeral"];
        Self::launch(parent, name, place, &command, args, "")
    }

    /// The same with another command than `run`.
    pub(crate) fn start_as(parent: &Path, name: &str, command: &[&str], args: &[&str]) -> Self {
        // An empty variable stands for the default.
        let place = Place::Directory(parent.join(name));
        Self::launch(parent, name, place, command, args, "")
    }

    fn launch(
        parent: &Path,
        name: &str,
        place: Place,
        command: &[&str],
        args: &[&str],
        log_level: &str,
    ) -> Self {
        let log = parent.join(format!("{name}.log"));
        let mut child = whisht(&place)
            .args(command)
            .args(["--json", "--threads", "1"])
            .args(["--profile", "local", "--network", "processes"])
            .args(args)
            .env("WHISHT_LOG", log_level)
            .stdout(Stdio::piped())
            .stderr(
                File::options()
                    .append(true)
                    .create(true)
                    .open(&log)
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let mut node = Self {
            child,
            name: name.to_owned(),
            place,
            log,
            banner: Value::Null,
        };
        let (sender, line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // An error shows as an empty line.
            let _read = BufReader::new(output).read_line(&mut line);
            // The receiver may have timed out.
            let _sent = sender.send(line);
        });
        let line = line
            .recv_timeout(WAIT_TIMEOUT)
            .unwrap_or_else(|_| panic!("{name} printed no banner"));
        node.banner = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{name} did not start; it printed {line:?}"));
        node
    }

    /// The node's enode URL.
    pub(crate) fn enode(&self) -> &str {
        self.banner()["enode"][0].as_str().unwrap()
    }

    /// The node's listening address.
    pub(crate) fn address(&self) -> &str {
        self.banner()["listen"][0].as_str().unwrap()
    }

    /// The node's process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The banner of the node.
    pub(crate) const fn banner(&self) -> &Value {
        &self.banner
    }

    /// The node's data directory.
    pub(crate) fn dir(&self) -> &Path {
        match &self.place {
            Place::Directory(dir) => dir,
            Place::Memory(_) => panic!("{} keeps its data in memory", self.name),
        }
    }

    /// Runs a command against the node.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.begin(args).end()
    }

    /// Starts a command without waiting for its end.
    pub(crate) fn begin(&self, args: &[&str]) -> RunningCommand {
        self.place.begin(&self.name, args)
    }

    /// Starts a command that a user types into.
    pub(crate) fn type_into(&self, args: &[&str]) -> Child {
        let mut command = whisht(&self.place);
        command.args(args).stdin(Stdio::piped());
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().unwrap()
    }

    /// Runs a command that should succeed, and returns its output as JSON.
    pub(crate) fn ask(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?} at {}: {said}", self.name);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The node's messages, one per line.
    pub(crate) fn inbox(&self) -> Vec<Value> {
        let output = self.run(&["inbox", "--json"]);
        lines(&output.stdout)
    }

    /// The node's log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        until(&what, || self.child.try_wait().unwrap())
    }

    /// Kills the node without a shutdown.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        if thread::panicking() && !log.is_empty() {
            // The other lines show how libraries work, and are many.
            let told = ["\"info\"", "\"warn\"", "\"error\""];
            let lines = log
                .lines()
                .filter(|line| told.iter().any(|level| line.contains(level)));
            let lines: Vec<&str> = lines.collect();
            println!("--- {} logged\n{}", self.name, lines.join("\n"));
        }
    }
}

impl Place {
    /// Starts a command against the node here without waiting for its end. `name` is that of the node.
    pub(crate) fn begin(&self, name: &str, args: &[&str]) -> RunningCommand {
        let command = whisht(self);
        RunningCommand::start(command, args, format!("`{}` at {name}", args.join(" ")))
    }
}

/// A running command.
pub(crate) struct RunningCommand {
    what: String,
    id: u32,
    output: mpsc::Receiver<Output>,
}

impl RunningCommand {
    /// Starts a command with these arguments; `what` names it in failures.
    fn start(mut command: Command, args: &[&str], what: String) -> Self {
        let piped = command.args(args).stdout(Stdio::piped());
        let child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let id = child.id();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            // The receiver may have timed out.
            let _sent = sender.send(child.wait_with_output().unwrap());
        });
        Self { what, id, output }
    }

    /// Waits for the command's end.
    pub(crate) fn end(self) -> Output {
        self.end_within(WAIT_TIMEOUT)
    }

    /// Waits until the message that the command sends with `--json` has come back. The node has gossiped no envelope of it before
    /// a peer had.
    pub(crate) fn assert_sender_was_not_first(self, limit: Duration) {
        let output = self.end_within(limit);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        assert!(told.contains("\"first_gossip\":false"), "{told}");
        assert!(!told.contains("\"first_gossip\":true"), "{told}");
    }

    pub(crate) fn end_within(self, limit: Duration) -> Output {
        self.output.recv_timeout(limit).unwrap_or_else(|_| {
            let id = self.id.to_string();
            // The command may have ended just now.
            let _killed = Command::new("kill").args(["-KILL", &id]).status();
            panic!("{} does not end", self.what)
        })
    }
}

/// Every line of an output as JSON.
pub(crate) fn lines(output: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line:?}")))
        .collect()
}

/// Repeats `look` until it returns a value.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(WAIT_TIMEOUT, what, look)
}

/// The same with another limit than the usual one.
pub(crate) fn until_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "timeout: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// The program, without variables of the caller's environment that affect it.
fn whisht(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whisht"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHISHT_") {
            command.env_remove(name);
        }
    }
    let (option, path) = match place {
        Place::Directory(dir) => ("--data-dir", dir),
        Place::Memory(socket) => ("--ipc", socket),
    };
    command.arg(option).arg(path).stdin(Stdio::null());
    command
}

/// Only bounds the wait for a hanging process.
const WAIT_TIMEOUT: Duration = Duration::from_secs(90);
