//! The RPC endpoints of `whisht run`: refused addresses, and the banner.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::{LOCAL, Running, fails, run, scratch, succeeds, whisht};

#[test]
fn json_rpc_on_public_address_is_policy_error() {
    let data = scratch();
    for flag in ["--rpc-http", "--rpc-ws"] {
        let said = fails(&run(&data.path, &["run", flag, "0.0.0.0:8545"]), 5);
        assert!(said.contains("stays on this machine"), "{said}");
    }
    assert!(!data.path.exists(), "the check precedes all changes");
}

#[test]
fn banner_names_rpc_addresses_and_token() {
    let data = scratch();
    let endpoints = ["--rpc-http", "127.0.0.1:0", "--rpc-ws", "127.0.0.1:0"];
    let args = [&["--listen", "127.0.0.1:0"], &endpoints[..]].concat();
    let node = Running::start(&data.path, &args);
    let token = data.path.join("rpc-token");
    assert_eq!(node.banner["rpc_token"], token.to_str().unwrap());
    for (name, scheme) in [("http", "http://127.0.0.1:"), ("ws", "ws://127.0.0.1:")] {
        let address = node.banner[name].as_str().unwrap();
        assert!(address.starts_with(scheme), "{address}");
    }
    drop(node);

    let log = data.parent.join("log");
    let mut child = whisht(&data.path)
        .arg("run")
        .args(LOCAL)
        .args([&args[..], &["--rpc-danger-no-token"]].concat())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let banner: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.contains("level "))
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let said = |part: &str| banner.iter().any(|line| line.contains(part));
    assert!(
        said("http://127.0.0.1:") && said("ws://127.0.0.1:"),
        "{banner:?}"
    );
    assert!(!said("token"), "{banner:?}");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("every program on this machine"), "{log}");
}

#[test]
fn bytes_in_json_have_no_prefix() {
    let data = scratch();
    // Without proof of work the test does not depend on the speed of the machine.
    let quick = ["--level", "open", "--min-pow", "0"];
    let node = Running::start(
        &data.path,
        &[&quick[..], &["--listen", "127.0.0.1:0"]].concat(),
    );
    let peer = scratch();
    let peer = Running::start(
        &peer.path,
        &["--no-listen", "--min-pow", "0", "--peer", node.enode()],
    );
    let made = succeeds(&node.run(&["id", "new", "desk", "--no-password", "--json"]));
    succeeds(&node.run(&["send", "--to", "desk", "--allow-empty", "--no-wait"]));
    let shared = [
        "id",
        "new",
        "us",
        "--no-password",
        "--shared",
        "--topic",
        "0x01020304",
    ];
    succeeds(&node.run(&shared));
    for _ in 0..600 {
        if succeeds(&node.run(&["inbox", "--json"])).contains("envelope") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let mut shown = made;
    for command in ["status", "levels", "peers", "relays", "outbox", "inbox"] {
        shown += &succeeds(&node.run(&[command, "--json"]));
    }
    shown += &succeeds(&node.run(&["id", "list", "--json"]));
    assert!(
        shown.contains("public_key") && shown.contains("payload"),
        "{shown}"
    );
    assert!(!shown.contains("\"0x"), "{shown}");
    drop(peer);
}
