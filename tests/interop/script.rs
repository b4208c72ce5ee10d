//! Runs a Node.js script in a process of its own, and reads its output.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A script and its requirements.
pub(crate) struct NodeScript {
    /// The script's folder, in tests/interop.
    pub(crate) folder: &'static str,
    /// The script's file in this folder.
    pub(crate) file: &'static str,
    /// The package that the script requires.
    pub(crate) package: &'static str,
}

impl NodeScript {
    /// The path of Node.js, if it and the modules are installed.
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
        // Directly to the terminal, because the test harness captures the output of passing tests.
        let mut terminal = std::io::stderr();
        writeln!(
            terminal,
            "SKIPPED: tests with {} require {missing}",
            self.folder
        )
        .unwrap();
        None
    }

    /// Starts the script; its head documents the arguments.
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
    /// Closing it asks the script to end.
    pub(crate) input: Option<ChildStdin>,
    /// Its output, read by a thread so that waiting for it can time out.
    lines: Receiver<String>,
}

impl ScriptProcess {
    /// The next line of output.
    pub(crate) fn next(&mut self) -> Value {
        self.next_within(REPLY_TIMEOUT)
    }

    /// The next line of output of a script that takes longer.
    pub(crate) fn next_within(&mut self, timeout: Duration) -> Value {
        let line = self
            .lines
            .recv_timeout(timeout)
            .expect("the script printed nothing");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the script printed {line:?}"))
    }

    /// Asks the script to end, and waits for its exit.
    pub(crate) fn assert_success(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for ScriptProcess {
    fn drop(&mut self) {
        // Only matters if a test fails half way; errors mean that the process has ended already.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Only bounds the wait for a hanging script.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
