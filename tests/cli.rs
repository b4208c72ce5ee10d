//! The program at its command line: output and exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and wait"
)]

#[path = "cli/address.rs"]
mod address;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/contact.rs"]
mod contact;
#[path = "cli/directory.rs"]
mod directory;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/endings.rs"]
mod endings;
#[path = "cli/ephemeral.rs"]
mod ephemeral;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/keystore.rs"]
mod keystore;
#[path = "cli/levels.rs"]
mod levels;
#[path = "cli/mail.rs"]
mod mail;
#[path = "cli/panic.rs"]
mod panic;
#[path = "cli/rpc.rs"]
mod rpc;
#[path = "cli/screen.rs"]
mod screen;
#[path = "cli/service.rs"]
mod service;
#[path = "cli/sim.rs"]
mod sim;
#[path = "cli/state.rs"]
mod state;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/testnet.rs"]
mod testnet;
#[path = "cli/top.rs"]
mod top;
#[path = "cli/watching.rs"]
mod watching;
#[path = "cli/width.rs"]
mod width;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The program, without variables of the caller's environment that affect it.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whisht"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHISHT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The program with a data directory.
fn whisht(dir: &Path) -> Command {
    let mut command = program();
    command.arg("--data-dir").arg(dir);
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    whisht(dir).args(args).output().unwrap()
}

/// Runs a node until it ends by itself, which it does if it cannot start.
fn run_node(dir: &Path, args: &[&str]) -> Output {
    run(dir, &[&["run"], &LOCAL[..], args].concat())
}

/// The network of the nodes in these tests.
const LOCAL: [&str; 4] = ["--profile", "local", "--network", "cli-test"];

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Checks the exit code of a failed command, and returns its standard error.
fn fails(output: &Output, code: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn succeeds(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    stdout(output)
}

/// A node in a process of its own, killed when the test ends.
struct Running {
    child: Child,
    dir: PathBuf,
    banner: Value,
}

impl Running {
    fn start(dir: &Path, args: &[&str]) -> Self {
        Self::spawn(whisht(dir), dir, args)
    }

    /// A node without a controlling terminal.
    fn start_in_session(dir: &Path) -> Self {
        let whisht = whisht(dir);
        let mut setsid = Command::new("setsid");
        setsid.arg(whisht.get_program()).args(whisht.get_args());
        setsid.stdin(Stdio::null());
        Self::spawn(setsid, dir, &["--no-listen"])
    }

    fn spawn(mut command: Command, dir: &Path, args: &[&str]) -> Self {
        let mut child = command
            .args(["run", "--json"])
            .args(LOCAL)
            .args(["--threads", "1"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let banner = serde_json::from_str(&line).expect("the banner contains the addresses");
        Self {
            child,
            dir: dir.to_owned(),
            banner,
        }
    }

    fn enode(&self) -> &str {
        self.banner["enode"][0].as_str().unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        run(&self.dir, args)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

struct Scratch {
    _dir: tempfile::TempDir,
    /// A directory that exists.
    parent: PathBuf,
    /// The data directory in it, which does not exist yet.
    path: PathBuf,
}

fn scratch() -> Scratch {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().to_owned();
    let path = parent.join("data");
    Scratch {
        _dir: dir,
        parent,
        path,
    }
}

/// A file that only its owner can read; returns its path.
fn secret_file(dir: &Path, name: &str, content: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn mistyped_arguments_are_usage_errors_with_remedy() {
    let data = scratch();
    let dir = &data.path;
    for (args, part) in [
        (&["run", "--levle", "open"][..], "--level"),
        (&["run", "--level", "normall"], "did you mean normal?"),
        (&["run", "--peer", "enode://x"], "address is missing"),
        (&["run", "--listen", "localhost:1"], "--listen"),
        (&["run", "--max-peers", "0"], "from 1 to 500"),
        (&["run", "--min-pow", "much"], "from 0 upwards"),
        (&["run", "--guard", "me"], "64 hexadecimal digits"),
        (&["run", "--profile", "local"], "--network"),
        (&["run", "--relay", "--no-listen"], "must listen"),
        (&["run", "--config", "/nonexistent"], "--config"),
        (&["id", "new", "Bad Name"], "a name begins with a letter"),
        (&["id", "new", "us", "--shared"], "--topic"),
        (&["send", "--to", "desk", "--ttl", "1 hour"], "1h30m"),
        (&["stauts"], "status"),
    ] {
        let said = fails(&run(dir, args), 2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    assert!(!dir.exists(), "an invalid command creates nothing");
}

#[test]
fn unknown_config_key_names_file_line_and_suggestion() {
    let data = scratch();
    let dir = &data.path;
    succeeds(&run(dir, &["id", "list"]));
    fs::write(dir.join("config.toml"), "level = 'open'\nmax_peers = 3\n").unwrap();
    fs::set_permissions(dir.join("config.toml"), Permissions::from_mode(0o600)).unwrap();
    let said = fails(&run(dir, &["run"]), 2);
    assert!(
        said.contains("config.toml:2") && said.contains("did you mean `max-peers`?"),
        "{said}"
    );
}

#[test]
fn unknown_environment_variable_names_suggestion() {
    let data = scratch();
    let output = whisht(&data.path)
        .arg("status")
        .env("WHISHT_LEVLE", "dark")
        .output()
        .unwrap();
    assert!(fails(&output, 2).contains("did you mean WHISHT_LEVEL?"));
}

#[test]
fn flags_override_variables_and_variables_override_file() {
    let data = scratch();
    let dir = &data.path;
    succeeds(&run(dir, &["id", "list"]));
    fs::write(dir.join("config.toml"), "listen = ['203.0.113.1:1']\n").unwrap();
    fs::set_permissions(dir.join("config.toml"), Permissions::from_mode(0o600)).unwrap();
    // A local network refuses an address that others can reach, and names it.
    let listen = |flag: &[&str], variable: Option<&str>| {
        let mut command = whisht(dir);
        command.arg("run").args(LOCAL);
        command.args(flag);
        command.envs(variable.map(|address| ("WHISHT_LISTEN", address)));
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let (variable, flag) = ("203.0.113.2:2", "203.0.113.3:3");
    assert!(listen(&[], None).contains("203.0.113.1:1"), "from the file");
    let said = listen(&[], Some(variable));
    assert!(said.contains(variable), "from the environment: {said}");
    let said = listen(&["--listen", flag], Some(variable));
    assert!(said.contains(flag), "from the flag: {said}");
}

#[test]
fn data_directory_readable_by_others_is_policy_error() {
    let data = scratch();
    fs::create_dir(&data.path).unwrap();
    fs::set_permissions(&data.path, Permissions::from_mode(0o755)).unwrap();
    let said = fails(&run(&data.path, &["id", "new", "me", "--no-password"]), 5);
    assert!(said.contains("chmod 0700"), "{said}");
}

#[test]
fn id_new_and_list_work_without_node() {
    let data = scratch();
    let dir = &data.path;
    let made: Value = serde_json::from_str(&succeeds(&run(
        dir,
        &["id", "new", "desk", "--no-password", "--json"],
    )))
    .unwrap();
    let key = made["public_key"].as_str().unwrap();
    assert_eq!((key.len(), key.get(..2)), (130, Some("04")));
    assert!(
        fails(&run(dir, &["id", "new", "desk", "--no-password"]), 2).contains("`desk` already")
    );

    let password = secret_file(dir, "group-password", "test\n");
    let topic = ["--shared", "--topic", "0x01020304", "--group-password-file"];
    let args = [
        &["id", "new", "us", "--no-password"][..],
        &topic,
        &[&password],
    ]
    .concat();
    succeeds(&run(dir, &args));
    let kept = fs::read_to_string(dir.join("keystore/us.json")).unwrap();
    assert!(!kept.contains("a82a520aff70f7a989098376e48ec128f25f767085e84d7fb995a9815eebff0a"));

    let listed = succeeds(&run(dir, &["id", "list"]));
    assert!(
        listed.contains(key) && listed.contains("us    shared key         0x01020304"),
        "{listed}"
    );
}

#[test]
fn second_node_on_same_directory_is_refused() {
    let data = scratch();
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    let said = fails(&run_node(&data.path, &[]), 6);
    assert!(
        said.contains(&format!("process {}", node.child.id())),
        "{said}"
    );
}

#[test]
fn local_network_directory_is_refused_by_public_profile() {
    let data = scratch();
    drop(Running::start(&data.path, &["--no-listen"]));
    let said = fails(&run(&data.path, &["run", "--no-listen"]), 5);
    assert!(said.contains("`local cli-test`"), "{said}");
}

#[test]
fn status_output_marks_local_figures() {
    let data = scratch();
    let node = Running::start(
        &data.path,
        &["--listen", "127.0.0.1:0", "--discovery-enabled"],
    );
    assert_eq!(node.banner["profile"], "local");
    assert_eq!(node.banner["discovery"], true);
    let status: Value = serde_json::from_str(&succeeds(&node.run(&["status", "--json"]))).unwrap();
    assert_eq!(status["discovery"], 0);
    assert_eq!(status["profile"], "local");
    assert_eq!(status["peers"], 0);
    assert_eq!(succeeds(&node.run(&["rpc", "whisht_peers"])), "[]\n");
    for command in ["status", "levels", "peers", "relays", "outbox", "inbox"] {
        let shown = succeeds(&node.run(&[command]));
        for line in shown
            .lines()
            .filter(|line| line.contains(|c: char| c.is_ascii_digit()))
        {
            assert!(line.starts_with("LOCAL "), "{command}: {line}");
        }
    }
}

#[test]
fn send_at_unavailable_level_is_refused_before_sending() {
    let data = scratch();
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    succeeds(&node.run(&["id", "new", "me", "--no-password"]));
    for level in ["hush", "dark"] {
        let said = fails(
            &node.run(&["send", "--allow-empty", "--to", "me", "--level", level]),
            5,
        );
        assert!(said.contains(&format!("level `{level}`")), "{said}");
    }
    // A node without relays does not lower the level by itself.
    let said = fails(
        &node.run(&["send", "--allow-empty", "--to", "me", "--level", "normal"]),
        5,
    );
    assert!(said.contains("level `normal` needs"), "{said}");
    assert!(succeeds(&node.run(&["outbox"])).contains("nothing"));
}

#[test]
fn invalid_messages_are_usage_errors() {
    let data = scratch();
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    for (args, part) in [
        (
            &[
                "send",
                "--allow-empty",
                "--to",
                "unknown",
                "--level",
                "open",
            ][..],
            "unknown",
        ),
        (
            &["send", "--to", "0x04ff", "-f", "/nonexistent"],
            "/nonexistent",
        ),
        (&["inbox", "--body", "7"], "this has 1"),
        (&["inbox", "--body", "00c0ffee"], "no message has the id"),
        (&["inbox", "--after", "00c0ffee"], "no message has the id"),
        (&["inbox", "--after", "14"], "8 hexadecimal digits"),
        (&["cancel", "7"], "7"),
        (&["rpc", "whisht_peer"], "did you mean whisht_peers?"),
        (&["rpc", "whisht_inbox", "0x"], "not valid JSON"),
    ] {
        let said = fails(&node.run(args), 2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    let long = data.path.join("long");
    fs::write(&long, vec![b'x'; 70_000]).unwrap();
    let said = fails(
        &node.run(&["send", "--to", "x", "-f", long.to_str().unwrap()]),
        2,
    );
    assert!(said.contains("longer than 65,"), "{said}");
}

/// Sends a body from standard input. The exit code in the outcome is that of the process.
fn send_body(data: &Path, key: &str, body: &[u8]) {
    let mut sending = whisht(data)
        .args(["send", "--to", key, "--ttl", "30m"])
        .args(["--json", "--timeout", "60s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    sending.stdin.take().unwrap().write_all(body).unwrap();
    let sent = sending.wait_with_output().unwrap();
    let outcome: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    assert_eq!(
        outcome["exit"].as_i64(),
        sent.status.code().map(i64::from),
        "{outcome}"
    );
}

#[test]
fn message_body_is_delivered_unchanged_between_nodes() {
    let (one, two, three) = (scratch(), scratch(), scratch());
    let listen = ["--listen", "127.0.0.1:0", "--level", "open"];
    let sender = Running::start(&one.path, &listen);
    let middle = Running::start(
        &two.path,
        &[&listen[..], &["--peer", sender.enode()]].concat(),
    );
    let peers = ["--peer", sender.enode(), "--peer", middle.enode()];
    let reader = Running::start(&three.path, &[&listen[..], &peers].concat());
    let key = succeeds(&reader.run(&["id", "new", "desk", "--no-password", "--json"]));
    let key: Value = serde_json::from_str(&key).unwrap();
    let key = key["public_key"].as_str().unwrap();

    let body: Vec<u8> = (0..=255).collect();
    send_body(&one.path, key, &body);
    let received = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let output = reader.run(&["inbox", "--json"]);
        serde_json::from_slice::<Value>(&output.stdout).ok()
    });
    let received = received.expect("the message arrives");
    let id = received["id"].as_str().unwrap();
    for id in [id, id.get(..8).unwrap(), &format!("0x{id}")] {
        assert_eq!(reader.run(&["inbox", "--body", id]).stdout, body);
    }
    for after in ["1h", "2020-01-01"] {
        let shown = succeeds(&reader.run(&["inbox", "--after", after]));
        let line = shown.lines().next().unwrap();
        assert!(
            line.contains(&format!("{}  20", id.get(..12).unwrap())),
            "{shown}"
        );
        assert!(line.contains(" to desk, unsigned"), "{shown}");
        assert!(shown.contains("256 bytes"), "{shown}");
    }
    for after in [id, "2100-01-01"] {
        let shown = succeeds(&reader.run(&["inbox", "--after", after]));
        assert!(shown.contains("no messages after that"), "{shown}");
    }
}
