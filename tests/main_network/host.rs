//! Hosts: processes with a network namespace and a public address of their own, on one bridge.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use circuits::ids::RelayKey;
use serde_json::Value;

use crate::NODE_DIR;
use crate::earlier_run::write_private;
use crate::node::{Place, RunningCommand, lines, until};

/// The bridge that joins the hosts. It vanishes with the namespace of the test.
pub(crate) struct Lan;

impl Lan {
    /// Makes the bridge.
    ///
    /// # Panics
    ///
    /// If this namespace has a way out: the hosts use addresses that belong to others.
    pub(crate) fn open() -> Self {
        let devices = fs::read_to_string("/proc/self/net/dev").unwrap();
        let devices = devices
            .lines()
            .skip(2)
            .filter_map(|line| line.split(':').next());
        let devices: Vec<&str> = devices.map(str::trim).collect();
        assert!(
            devices == ["lo"],
            "this namespace has the devices {devices:?}, and the test needs one with lo alone: run \
             `bash .ci/main-network`"
        );
        ip(&["link", "add", BRIDGE, "type", "bridge"]);
        ip(&["link", "set", BRIDGE, "up"]);
        Self
    }
}

/// A node in a process of its own.
pub(crate) struct Host {
    child: Child,
    dir: PathBuf,
    log: PathBuf,
}

impl Host {
    /// Starts a node with this configuration file in this data directory, at this address, and waits until it
    /// answers.
    pub(crate) fn start(_lan: &Lan, dir: &Path, address: [u8; 4], settings: &str) -> Self {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .unwrap();
        let settings = format!("threads = 1\n{settings}");
        write_private(&dir.join("config.toml"), settings.as_bytes());
        let log = dir.with_extension("log");
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new("unshare")
            // The program waits for a line, which follows when its network is there.
            .args([
                "--net",
                "--",
                "sh",
                "-c",
                "read -r line && exec \"$0\" \"$@\"",
            ])
            .arg(program)
            .args([
                "node_of_main_network",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(NODE_DIR, dir)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(File::create(&log).unwrap())
            .stderr(File::options().append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        until("a process has a network of its own", || {
            let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
            (network(&child.id().to_string()) != network("self")).then_some(())
        });
        connect(child.id(), address);
        child.stdin.as_mut().unwrap().write_all(b"start\n").unwrap();
        let mut host = Self {
            child,
            dir: dir.to_owned(),
            log,
        };
        until("a node answers", || {
            let ended = host.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} has ended", host.name());
            let output = host.begin(&["status", "--json"]).end();
            output.status.success().then_some(())
        });
        host
    }

    /// Starts a command of the program at this node.
    fn begin(&self, args: &[&str]) -> RunningCommand {
        Place::Directory(self.dir.clone()).begin(&self.name(), args)
    }

    /// Runs a command that should succeed, and returns its output as JSON.
    pub(crate) fn ask(&self, args: &[&str]) -> Value {
        let output = self.begin(&[args, &["--json"]].concat()).end();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{args:?} at {}: {told}",
            self.name()
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts to send a message to a public key.
    pub(crate) fn send(&self, to: &str, level: &str, body: &str) -> RunningCommand {
        let file = self.dir.with_extension("body");
        fs::write(&file, body).unwrap();
        let file = file.to_str().unwrap();
        self.begin(&[
            "send", "--to", to, "-f", file, "--level", level, "--ttl", "10m", "--json",
        ])
    }

    /// The node's messages.
    pub(crate) fn inbox(&self) -> Vec<Value> {
        lines(&self.begin(&["inbox", "--json"]).end().stdout)
    }

    /// What the doctor finds, who has to be in the network of the node.
    pub(crate) fn doctor(&self) -> Value {
        let mut command = self.inside(env!("CARGO_BIN_EXE_whisht"));
        let output = command
            .args(["doctor", "--json", "--data-dir"])
            .arg(&self.dir)
            .output();
        serde_json::from_slice(&output.unwrap().stdout).unwrap()
    }

    /// The id of the node as a relay, in hexadecimal digits.
    pub(crate) fn relay_id(&self) -> String {
        let key = self.ask(&["status"])["key"].as_str().unwrap().to_owned();
        let key: [u8; 64] = hex::decode(key).unwrap().try_into().unwrap();
        hex::encode(RelayKey(key).id().0)
    }

    /// A command in the network of the node.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let id = self.child.id().to_string();
        command.args(["--target", &id, "--net", "--", program]);
        command
    }

    fn name(&self) -> String {
        self.dir.file_name().unwrap().to_str().unwrap().to_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let told = ["WARN", "ERROR", "panicked"];
            let lines = log
                .lines()
                .filter(|line| told.iter().any(|word| line.contains(word)));
            let lines: Vec<&str> = lines.take(LOG_LINES).collect();
            if lines.is_empty() {
                return;
            }
            println!("--- {} logged\n{}", self.name(), lines.join("\n"));
        }
    }
}

/// Joins the network of a process to the bridge, under this address.
fn connect(process: u32, [a, b, c, d]: [u8; 4]) {
    // Names of devices have at most 15 characters.
    let (outer, inner) = (format!("w{a}.{b}"), format!("h{a}.{b}"));
    ip(&[
        "link", "add", &outer, "type", "veth", "peer", "name", &inner,
    ]);
    ip(&["link", "set", &outer, "master", BRIDGE, "up"]);
    let process = process.to_string();
    ip(&["link", "set", &inner, "netns", &process]);
    let address = format!("{a}.{b}.{c}.{d}/32");
    for args in [
        &["link", "set", "lo", "up"][..],
        &["link", "set", &inner, "up"],
        &["addr", "add", &address, "dev", &inner],
        // The other hosts are on the same line.
        &["route", "add", "default", "dev", &inner],
    ] {
        let enter = ["--target", &process, "--net", "--", "ip"];
        run(Command::new("nsenter").args(enter).args(args));
    }
}

fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

const BRIDGE: &str = "bridge";
/// Lines of a log that are shown if the test fails.
const LOG_LINES: usize = 20;
