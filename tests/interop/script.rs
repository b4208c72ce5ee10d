//! The other program: a script for Node.js in a process of its own, and what it says.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A script and what it needs.
pub(crate) struct NodeScript {
    /// Its folder, in tests/interop.
    pub(crate) folder: &'static str,
    /// Its file in there.
    pub(crate) file: &'static str,
    /// The package that it cannot do without.
    pub(crate) package: &'static str,
}

impl NodeScript {
    /// Where Node.js is, if it and the modules are here.
    pub(crate) fn node(&self) -> Option<PathBuf> {
        let modules = self.path().join("node_modules");
        let missing = if !modules.join(self.package).is_dir() {
            format!("the modules (run npm ci in tests/interop/{})", self.folder)
        } else if Command::new("node").arg("--version").output().is_err() {
            "Node.js".to_owned()
        } else {
            return Some(PathBuf::from("node"));
        };
        let required = std::env::var_os("CI").is_some_and(|value| value == "true")
            || std::env::var_os("WHISHT_REQUIRE_INTEROP").is_some();
        assert!(!required, "missing: {missing}");
        // Past the test harness, which keeps what a passing test prints to itself.
        let mut terminal = std::io::stderr();
        writeln!(
            terminal,
            "SKIPPED: nothing with {}, for want of {missing}",
            self.folder
        )
        .unwrap();
        None
    }

    /// Starts it; its head says what the arguments mean.
    pub(crate) fn start(&self, node: &Path, arguments: &[&str]) -> ScriptProcess {
        let mut process = Command::new(node)
            .arg(self.file)
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        ScriptProcess {
            process,
            input,
            lines,
        }
    }

    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/interop")
            .join(self.folder)
    }
}

/// A running script.
pub(crate) struct ScriptProcess {
    process: Child,
    /// Closed to have it say goodbye.
    pub(crate) input: Option<ChildStdin>,
    /// What it writes, read by a thread so that waiting for it can end.
    lines: Receiver<String>,
}

impl ScriptProcess {
    /// The next thing that it says.
    pub(crate) fn next(&mut self) -> Value {
        let line = self
            .lines
            .recv_timeout(REPLY_TIMEOUT)
            .expect("the script says nothing");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the script said {line:?}"))
    }

    /// Has it say goodbye, and waits until it has ended.
    pub(crate) fn assert_success(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for ScriptProcess {
    fn drop(&mut self) {
        // Only matters when a test fails half way; errors mean that it has ended already.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Far more than either side needs; only bounds the wait for a script that is stuck.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
