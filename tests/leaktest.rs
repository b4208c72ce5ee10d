//! `whisht leaktest` in a network namespace without any route but loopback: a node without leaks
//! passes, and a leak is detected, named and refused.
//!
//! The namespace is a second barrier: a call that the watcher permits by mistake would end there.
//! The error code shows which barrier refused a call: the watcher returns "not permitted", the
//! namespace "unreachable".

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and wait"
)]

#[path = "leaktest/behind_tor.rs"]
mod behind_tor;
#[path = "tor/network.rs"]
#[allow(dead_code, reason = "the tests of Tor itself use the rest of it")]
mod network;
#[path = "leaktest/watcher.rs"]
mod watcher;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program in a network namespace, without variables of the caller's environment that affect
/// it. `None` with a message if namespaces are unavailable.
fn isolated_program() -> Option<Command> {
    let enter = ["--net", "--map-root-user", "--", "sh", "-c"];
    let lift = "ip link set lo up && exec \"$0\" \"$@\"";
    let possible = Command::new("unshare")
        .args(enter)
        .args([lift, "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        assert!(
            std::env::var_os("CI").is_none(),
            "`unshare --net` and `ip` must be there in CI; see .ci/prepare"
        );
        eprintln!("SKIPPED: needs `unshare --net` (util-linux) and `ip` (iproute2)");
        return None;
    }
    let mut command = Command::new("unshare");
    command
        .args(enter)
        .args([lift, env!("CARGO_BIN_EXE_whisht")])
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHISHT_") {
            command.env_remove(name);
        }
    }
    Some(command)
}

/// The exit code of a leak test, and its report.
struct LeakReport {
    code: Option<i32>,
    report: Value,
}

impl LeakReport {
    fn read(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        Self {
            code: output.status.code(),
            report: serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}")),
        }
    }

    fn leaks(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.report["leaks"].as_array().unwrap().iter().map(|leak| {
            let text = |name: &str| leak[name].as_str().unwrap();
            (text("kind"), text("to"), leak["refused"].as_bool().unwrap())
        })
    }

    /// The permitted destinations that the node used.
    fn spoke(&self) -> impl Iterator<Item = &str> {
        let places = self.report["spoke"].as_array().unwrap().iter();
        places.map(|place| place["to"].as_str().unwrap())
    }

    fn outcome(&self, what: &str) -> &str {
        let steps = self.report["exercised"].as_array().unwrap();
        let step = steps.iter().rfind(|step| step["what"] == what);
        step.unwrap_or_else(|| panic!("{what}: {:#}", self.report))["outcome"]
            .as_str()
            .unwrap()
    }

    #[track_caller]
    fn assert_no_leak(&self) {
        assert_eq!(self.code, Some(0), "{:#}", self.report);
        assert_eq!(self.leaks().count(), 0, "{:#}", self.report);
        assert_eq!(self.report["finish"], "in time");
        assert_eq!(self.report["leaked"], false);
    }

    #[track_caller]
    fn assert_leak(&self, kind: &str, to: &str, refused: bool) {
        assert_eq!(self.code, Some(7), "{:#}", self.report);
        assert_eq!(self.report["leaked"], true);
        let found = self.leaks().any(|leak| leak == (kind, to, refused));
        assert!(found, "no {kind} to {to}: {:#}", self.report);
    }
}

/// Tests a node with these options, for the duration of its workload and a little more.
fn test(dir: &Path, options: &[&str]) -> Option<LeakReport> {
    let output = isolated_program()?
        .args(["leaktest", "--json", "--seconds", "12", "--threads", "1"])
        .arg("--data-dir")
        .arg(dir)
        .args(options)
        .output()
        .unwrap();
    Some(LeakReport::read(&output))
}

/// A data directory that does not exist yet, in a temporary one.
fn scratch() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    (parent, dir)
}

const LOCAL: [&str; 6] = [
    "--profile",
    "local",
    "--network",
    "leaktest",
    "--listen",
    "127.0.0.1:0",
];

/// The public key of the secret key 1.
const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                   483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

fn enode(place: &str) -> String {
    format!("enode://{KEY}@{place}")
}

#[test]
fn loopback_node_with_all_services_does_not_leak() {
    let (_parent, dir) = scratch();
    let endpoints = ["--rpc-http", "127.0.0.1:8545", "--rpc-ws", "127.0.0.1:8546"];
    let rest = ["--mail-serve", "--discovery-enabled", "--level", "open"];
    let Some(found) = test(&dir, &[&LOCAL[..], &endpoints, &rest].concat()) else {
        return;
    };
    found.assert_no_leak();
    assert!(found.report["proof"]["caught"].as_u64().unwrap() >= 10);
    for what in [
        "shh_post",
        "whisht_send",
        "JSON-RPC over HTTP",
        "the pages of the console",
        "JSON-RPC over WebSocket",
        "partner: shh_post",
        "partner: whisht_fetchMail",
    ] {
        assert_eq!(found.outcome(what), "done", "{what}");
    }
    let watched = |what: &str| found.report["watched"][what].as_u64().unwrap();
    assert!(watched("connects") > 0 && watched("listens") > 0 && watched("sends") > 0);
}

#[test]
fn loopback_node_of_public_network_does_not_leak() {
    let (_parent, dir) = scratch();
    if let Some(found) = test(&dir, &["--listen", "127.0.0.1:0"]) {
        found.assert_no_leak();
    }
}

#[test]
fn peer_with_ip_address_is_reported_as_leak() {
    let (_parent, dir) = scratch();
    let peer = enode("192.0.2.1:30303");
    if let Some(found) = test(&dir, &["--no-listen", "--peer", &peer]) {
        found.assert_leak("connect", "192.0.2.1:30303", true);
        assert_eq!(found.report["finish"], "in time", "the node continued");
    }
}

#[test]
fn public_listener_is_reported_as_leak() {
    let (_parent, dir) = scratch();
    if let Some(found) = test(&dir, &["--listen", "0.0.0.0:20819"]) {
        found.assert_leak("listen", "0.0.0.0:20819", true);
        assert_eq!(found.report["finish"], "early");
        let log = found.report["log"].to_string();
        assert!(log.contains("cannot listen on 0.0.0.0:20819"), "{log}");
    }
}

#[test]
fn host_name_lookup_is_reported_as_leak() {
    let (_parent, dir) = scratch();
    let store = "postgres://me@leak.invalid/mail";
    let mail = ["--mail-serve", "--mail-store", store];
    if let Some(found) = test(&dir, &[&LOCAL[..], &mail].concat()) {
        // Reading the file is harmless; the calls after it were refused.
        found.assert_leak("look-up", "/etc/hosts", false);
    }
}

/// Processes of this machine with this text among their arguments.
fn running(argument: &Path) -> Vec<String> {
    let argument = argument.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|process| {
            let path = process.unwrap().path().join("cmdline");
            let line = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
            line.contains(argument).then_some(line)
        })
        .collect()
}

/// A leak test whose node is up.
fn start_leaktest(dir: &Path) -> Option<Child> {
    let mut test = isolated_program()?
        .args(["leaktest", "--json", "--seconds", "600", "--threads", "1"])
        .arg("--data-dir")
        .arg(dir)
        .args(LOCAL)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(test.stderr.take().unwrap()).lines();
    let up = said.any(|line| line.unwrap() == "the node is up");
    assert!(up, "the node never started");
    // The rest of the output must be read, or the pipe fills up.
    std::thread::spawn(move || said.count());
    Some(test)
}

fn signal(process: &Child, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &process.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn interrupt_prints_report_and_ends_node() {
    let (_parent, dir) = scratch();
    let Some(test) = start_leaktest(&dir) else {
        return;
    };
    signal(&test, "-INT");
    let found = LeakReport::read(&test.wait_with_output().unwrap());
    assert_eq!(found.report["finish"], "interrupted");
    assert_eq!(found.code, Some(1), "half a test proves nothing");
    assert_eq!(running(&dir), Vec::<String>::new());
}

#[test]
fn killed_leaktest_ends_its_node() {
    let (_parent, dir) = scratch();
    let Some(mut test) = start_leaktest(&dir) else {
        return;
    };
    assert!(running(&dir).len() > 1, "the node exists");
    signal(&test, "-KILL");
    test.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !running(&dir).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", running(&dir));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn data_directory_in_use_is_refused() {
    let (_parent, dir) = scratch();
    let Some(test) = start_leaktest(&dir) else {
        return;
    };
    let second = isolated_program()
        .unwrap()
        .args(["leaktest", "--seconds", "1", "--data-dir"])
        .arg(&dir)
        .args(LOCAL)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(6), "{said}");
    assert!(
        said.contains("in use") && said.contains("--data-dir"),
        "{said}"
    );
    signal(&test, "-INT");
    test.wait_with_output().unwrap();
}
