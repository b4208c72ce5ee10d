//! Exit codes and errors as JSON: failed commands, and a cancelled message.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::{LOCAL, Running, fails, program, run, run_node, scratch, stdout, succeeds, whisht};

/// The error of a failed command with `--json`.
fn told(output: &Output, code: i32) -> String {
    let said = fails(output, code);
    assert_eq!(stdout(output), "", "{said}");
    let error: Value = serde_json::from_str(&said).expect("one JSON object");
    assert_eq!(error["exit"], code);
    error["error"].as_str().unwrap().to_owned()
}

#[test]
fn runtime_errors_are_json_with_json_flag() {
    let data = scratch();
    let said = told(&run(&data.path, &["status", "--json"]), 1);
    assert!(said.contains("whisht run"), "{said}");
}

#[test]
fn usage_errors_are_json_with_json_flag() {
    let data = scratch();
    for (args, part) in [
        (&["run", "--json", "--levle", "open"][..], "'--level'"),
        (&["--json", "run", "--max-peers", "0"], "from 1 to 500"),
        (&["stauts", "--json"], "'status'"),
        (&["send", "--json"], "--to <NAME|KEY>"),
        (&["--json"], "requires a subcommand"),
    ] {
        let said = told(&run(&data.path, args), 2);
        assert!(said.contains(part), "{args:?}: {said}");
        assert!(!said.starts_with("error:") && !said.contains("Usage:") && !said.contains('\n'));
    }
    let said = fails(&run(&data.path, &["stauts"]), 2);
    assert!(said.starts_with("error:"), "{said}");
    // Arguments after `--` are not flags.
    let said = fails(&run(&data.path, &["status", "--", "--json"]), 2);
    assert!(said.starts_with("error:"), "{said}");
    let shown = succeeds(&run(&data.path, &["--json", "--help"]));
    assert!(shown.contains("Usage:"), "{shown}");
}

#[test]
fn config_and_environment_errors_are_json_with_json_flag() {
    let data = scratch();
    let with = |name: &str, value: &str| {
        let mut command = whisht(&data.path);
        command.args(["run", "--json"]).env(name, value);
        told(&command.output().unwrap(), 2)
    };
    assert!(with("WHISHT_LEVLE", "open").contains("WHISHT_LEVEL"));
    assert!(with("WHISHT_LEVEL", "normall").contains("did you mean normal?"));
    succeeds(&run(&data.path, &["id", "list"]));
    let file = data.path.join("config.toml");
    fs::write(&file, "max_peers = 3\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let said = told(&run(&data.path, &["run", "--json"]), 2);
    assert!(said.contains("did you mean `max-peers`?"), "{said}");
}

#[test]
fn send_of_cancelled_message_exits_with_4() {
    let data = scratch();
    // Without a peer no echo returns, so the message stays in the outbox.
    let node = Running::start(&data.path, &["--no-listen", "--level", "open"]);
    succeeds(&node.run(&["id", "new", "me", "--no-password"]));
    let mut sending = whisht(&data.path)
        .args(["send", "--to", "me", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    sending.stdin.take().unwrap().write_all(b"hello").unwrap();
    let id = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let outbox = succeeds(&node.run(&["outbox", "--json"]));
        let outbox: Value = serde_json::from_str(&outbox).unwrap();
        outbox[0]["id"].as_u64()
    });
    let id = id.expect("the message is in the outbox").to_string();
    succeeds(&node.run(&["cancel", &id]));
    let sent = sending.wait_with_output().unwrap();
    assert_eq!(sent.status.code(), Some(4));
    let outcome: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    assert_eq!(
        (&outcome["delivered"], &outcome["exit"]),
        (&false.into(), &4.into())
    );
    let reason = outcome["reason"].as_str().unwrap();
    assert!(reason.contains("cancelled"), "{reason}");
}

#[test]
fn send_that_stops_waiting_exits_with_3_and_the_node_goes_on() {
    let data = scratch();
    // Without a peer no echo returns, so the message stays in the outbox.
    let node = Running::start(&data.path, &["--no-listen", "--level", "open"]);
    succeeds(&node.run(&["id", "new", "me", "--no-password"]));
    let body = crate::secret_file(&data.parent, "body", "hello");
    let send = ["send", "--to", "me", "-f", &body, "--timeout", "1s"];
    let sent = node.run(&[&send[..], &["--json"]].concat());
    assert_eq!(sent.status.code(), Some(3));
    let outcome: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    assert_eq!(
        (&outcome["delivered"], &outcome["exit"]),
        (&false.into(), &3.into())
    );
    let sent = node.run(&send);
    assert_eq!(sent.status.code(), Some(3));
    let said = stdout(&sent);
    assert!(
        said.contains("has not come back yet; the node continues"),
        "{said}"
    );
    let outbox = succeeds(&node.run(&["outbox", "--json"]));
    let outbox: Value = serde_json::from_str(&outbox).unwrap();
    assert_eq!(outbox.as_array().map(Vec::len), Some(2), "{outbox}");
}

#[test]
fn dry_run_shows_the_lifetime_that_the_envelope_states() {
    let data = scratch();
    let node = Running::start(&data.path, &["--no-listen", "--level", "open"]);
    succeeds(&node.run(&["id", "new", "me", "--no-password"]));
    let body = crate::secret_file(&data.parent, "body", "hello");
    let args = [
        "send",
        "--to",
        "me",
        "-f",
        &body,
        "--dry-run",
        "--ttl",
        "10m",
    ];
    let said = succeeds(&node.run(&args));
    assert!(
        said.contains("the envelope states 1h") && said.contains("wanted 10m"),
        "{said}"
    );
    let said = succeeds(&node.run(&[&args[..], &["--json"]].concat()));
    let shown: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&shown["wanted_life_secs"], &shown["stated_life_secs"]),
        (&600.into(), &3_600.into())
    );
    assert_eq!(shown["level"], "open");
}

#[test]
fn taken_default_port_is_named_with_its_replacement() {
    let data = scratch();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(Running::start(&data.path, &["--no-listen"]));
    crate::secret_file(&data.path, "port", &format!("{port}\n"));
    let log = data.parent.join("log");
    let mut command = whisht(&data.path);
    command.stderr(fs::File::create(&log).unwrap());
    let node = Running::spawn(command, &data.path, &[]);
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("the port is taken"), "{said}");
    assert!(said.contains(&format!("\"wanted\":{port}")), "{said}");
    let (_, listening) = node.enode().rsplit_once(':').unwrap();
    assert_ne!(listening, port.to_string());
    assert!(said.contains(&format!("\"port\":{listening}")), "{said}");
}

#[test]
fn demo_refuses_before_it_starts_relays() {
    for (args, part) in [
        (&["demo", "--relays", "1"][..], "--relays 4 or more"),
        (&["demo", "--relays", "3"], "--relays 4 or more"),
        (
            &["demo", "--level", "dark", "--relays", "5"],
            "--relays 6 or more",
        ),
    ] {
        let output = program().args(args).output().unwrap();
        let said = fails(&output, 5);
        assert!(said.contains(part) && !said.contains("--peer"), "{said}");
        assert_eq!(stdout(&output), "", "nothing was started");
    }
}

#[test]
fn data_directory_of_a_command_without_one_is_refused() {
    let data = scratch();
    for args in [
        &["demo"][..],
        &["sim"],
        &["run", "--ephemeral", "--no-listen"],
    ] {
        let said = fails(&run(&data.path, args), 2);
        assert!(said.contains("--data-dir"), "{args:?}: {said}");
    }
}

#[test]
fn long_option_with_one_hyphen_names_the_option() {
    for (args, part) in [
        (["status", "-datadir=x"], "did you mean --data-dir?"),
        (["run", "-listen"], "did you mean --listen?"),
        (["run", "-zzzzzzzz"], "see `whisht help`"),
    ] {
        let said = fails(&program().args(args).output().unwrap(), 2);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn help_and_version_are_commands() {
    let run = |args: &[&str]| succeeds(&program().args(args).output().unwrap());
    assert!(run(&["help"]).contains("leaktest"));
    assert!(run(&["help", "send"]).contains("--allow-empty"));
    assert!(run(&["help", "id", "new"]).contains("--no-password"));
    let shown = run(&["version"]);
    for part in [env!("CARGO_PKG_VERSION"), "commit", "target", "features"] {
        assert!(shown.contains(part), "{shown}");
    }
    let build: Value = serde_json::from_str(&run(&["version", "--json"])).unwrap();
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        build["target"]
            .as_str()
            .unwrap()
            .contains(std::env::consts::ARCH)
    );
    assert!(run(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn empty_message_is_refused_unless_allowed() {
    let data = scratch();
    let node = Running::start(&data.path, &["--no-listen", "--level", "open"]);
    succeeds(&node.run(&["id", "new", "me", "--no-password"]));
    let said = fails(&node.run(&["send", "--to", "me"]), 2);
    assert!(
        said.contains("empty") && said.contains("--allow-empty"),
        "{said}"
    );
    assert!(succeeds(&node.run(&["outbox"])).contains("nothing"));
    let allowed = ["send", "--to", "me", "--allow-empty", "--no-wait"];
    assert!(succeeds(&node.run(&allowed)).contains("accepted"));
}

#[test]
fn mistyped_recipient_names_cause_and_remedy() {
    let data = scratch();
    let node = Running::start(&data.path, &["--no-listen", "--level", "open"]);
    let long = format!("0x05{}", "11".repeat(64));
    for (to, part) in [
        ("0x04abcd", "65 bytes that begin with 04; this has 3"),
        ("04abcd", "65 bytes that begin with 04; this has 3"),
        ("0x04zz", "hexadecimal digits only; this has 'z'"),
        ("0x04abc", "130 hexadecimal digits; this has 5"),
        (
            "0x00112233445566778899aabbccddeeff00112233",
            "Ethereum address",
        ),
        (&long, "begins with 04"),
        ("dekc", "neither a public key"),
    ] {
        let said = fails(&node.run(&["send", "--to", to, "-f", "/etc/hostname"]), 2);
        assert!(
            said.contains(part) && said.contains("whisht id list"),
            "{to}: {said}"
        );
    }
}

#[test]
fn misspelt_log_filter_is_a_usage_error() {
    let data = scratch();
    let mut command = whisht(&data.path);
    command
        .args(["run", "--no-listen"])
        .env("WHISHT_LOG", "loud");
    let said = fails(&command.output().unwrap(), 2);
    assert!(said.contains("WHISHT_LOG=loud"), "{said}");
    assert!(!data.path.exists());
}

#[test]
fn run_with_json_prints_only_lines_of_json_with_time() {
    let data = scratch();
    let child = whisht(&data.path)
        .args(["run", "--json"])
        .args(LOCAL)
        .args(["--no-listen", "--threads", "1"])
        .env("WHISHT_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let socket = data.path.join("whisht.ipc");
    for _ in 0..600 {
        if run(&data.path, &["status"]).status.success() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(socket.exists());
    signal(child.id(), "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    for line in stdout(&output).lines().chain(errors.lines()) {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        if value["level"].is_string() && value["message"].is_string() {
            let time = value["time"].as_str().unwrap();
            assert!(time.ends_with('Z') && !time.contains('.'), "{line}");
        }
    }
    assert!(errors.contains("\"closing\":true"), "{errors}");
}

/// Sends a signal to a process.
fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn hangup_does_not_end_a_node_without_a_terminal() {
    let data = scratch();
    // Without a controlling terminal, as under a service manager; the test itself may have one.
    let mut node = Running::start_in_session(&data.path);
    let id = node.child.id();
    signal(id, "-HUP");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(node.child.try_wait().unwrap().is_none());
    succeeds(&node.run(&["status"]));
    signal(id, "-TERM");
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
}

#[test]
fn reply_of_another_version_is_an_error_with_remedy() {
    let data = scratch();
    let socket = data.parent.join("other.ipc");
    let listener = UnixListener::bind(&socket).unwrap();
    // Each connection sends one request, with the number 1.
    let node = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            let reply = r#"{"jsonrpc":"2.0","id":1,"result":{"client":"whisht/9.0.0"}}"#;
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    let ipc = ["--ipc", socket.to_str().unwrap()];
    let said = fails(&run(&data.path, &[&["status"][..], &ipc].concat()), 1);
    for part in [
        "speaks another version",
        "whisht_status",
        "missing field",
        "restart the node",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let raw = run(&data.path, &[&["rpc", "whisht_status"][..], &ipc].concat());
    assert_eq!(succeeds(&raw), "{\"client\":\"whisht/9.0.0\"}\n");
    node.join().unwrap();
}

#[test]
fn error_at_start_names_the_setting_that_is_wrong() {
    let data = scratch();
    let bridge = "obfs4 192.0.2.7:443 0123456789abcdef0123456789abcdef01234567 cert=x iat-mode=0";
    let arti = ["run", "--no-listen", "--tor-mode", "arti", "--tor-bridge"];
    let missing = ["--tor-transport", "obfs4=/usr/bin/nothere"];
    for (args, parts) in [
        (
            [&arti[..], &[bridge], &missing].concat(),
            ["/usr/bin/nothere", "tor.transports"],
        ),
        (
            [&arti[..], &["obfs4 192.0.2.7:443"]].concat(),
            ["line 1", "tor.bridges"],
        ),
    ] {
        let said = fails(&run(&data.path, &args), 2);
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let mut command = whisht(&data.path);
    let output = command
        .arg("run")
        .env("WHISHT_RELAY", "1")
        .output()
        .unwrap();
    let said = fails(&output, 2);
    let named = said.contains("WHISHT_RELAY=1") && !said.contains("--relay");
    assert!(named, "{said}");
}

#[test]
fn file_in_the_place_of_the_data_directory_is_named() {
    let data = scratch();
    fs::write(&data.path, "").unwrap();
    let said = fails(&run(&data.path, &["run"]), 2);
    let named = said.contains("is not a directory") && !said.contains("config.toml");
    assert!(named, "{said}");
}

#[test]
fn own_address_among_the_peers_is_refused() {
    let data = scratch();
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    let enode = node.enode().to_owned();
    let said = fails(&node.run(&["peers", "--add", &enode]), 2);
    assert!(said.contains("itself"), "{said}");
    drop(node);
    let peer = ["--listen", "127.0.0.1:0", "--peer", &enode];
    let said = fails(&run_node(&data.path, &peer), 2);
    assert!(
        said.contains("`peers`") && said.contains("itself"),
        "{said}"
    );
}

#[test]
fn mapped_loopback_address_is_loopback() {
    let data = scratch();
    let node = Running::start(&data.path, &["--listen", "[::ffff:127.0.0.1]:0"]);
    assert!(node.enode().contains("@127.0.0.1:"), "{}", node.enode());
}

#[test]
fn public_listener_beside_tor_and_unusual_min_pow_are_warned_of() {
    let data = scratch();
    // The daemon's port is closed, and the address of the listener is not of this machine: the node
    // warns before it binds.
    let args = ["run", "--tor-mode", "socks", "--tor-socks", "127.0.0.1:1"];
    let listen = ["--listen", "192.0.2.1:1", "--min-pow", "1e9"];
    let output = run(&data.path, &[&args[..], &listen].concat());
    let said = fails(&output, 1);
    for part in ["without Tor", "min-pow"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn clone_of_a_data_directory_is_noticed_and_told() {
    let (hub, data, clone) = (scratch(), scratch(), scratch());
    let hub = Running::start(&hub.path, &["--listen", "127.0.0.1:0"]);
    // A node that does not listen has a new key at each start.
    let args = ["--listen", "127.0.0.1:0", "--peer", hub.enode()];
    drop(Running::start(&data.path, &args));
    let copied = Command::new("cp")
        .arg("-rp")
        .args([&data.path, &clone.path])
        .status();
    assert!(copied.unwrap().success());
    let nodes = [&data.path, &clone.path].map(|path| Running::start(path, &args));
    let is_told = || {
        let status = succeeds(&nodes[0].run(&["status"]));
        status.contains("another node seems to use the key")
    };
    let told = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        is_told()
    });
    assert!(told, "the two nodes replace each other's links");
}
