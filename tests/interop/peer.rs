//! The other program: `peer.mjs` in a process of its own, and what it says.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A running `peer.mjs`.
pub(crate) struct Peer {
    process: Child,
    /// Closed to have it say goodbye.
    input: Option<ChildStdin>,
    /// What it writes, read by a thread so that waiting for it can end.
    lines: Receiver<String>,
}

impl Peer {
    /// Starts it; its head says what the arguments mean.
    pub(crate) fn start(node: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(node)
            .arg("peer.mjs")
            .args(arguments)
            .current_dir(folder())
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
        Self {
            process,
            input,
            lines,
        }
    }

    /// The next thing that it saw.
    pub(crate) fn next(&mut self) -> Value {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .expect("the peer says nothing");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the peer said {line:?}"))
    }

    /// Has it say goodbye, and waits until it has ended.
    pub(crate) fn ends_well(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Only matters when a test fails half way; errors mean that it has ended already.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Where Node.js is, if it and the modules are here.
pub(crate) fn node() -> Option<PathBuf> {
    let missing = if !folder().join("node_modules/@ethereumjs/devp2p").is_dir() {
        "the modules (run npm ci in tests/interop/devp2p)"
    } else if Command::new("node").arg("--version").output().is_err() {
        "Node.js"
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
        "SKIPPED: no link with devp2p, for want of {missing}"
    )
    .unwrap();
    None
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/devp2p")
}

/// Far more than either side needs; only bounds the wait for a peer that is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
