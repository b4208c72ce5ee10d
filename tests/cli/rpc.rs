//! The RPC endpoints of `whisht run`: refused addresses, and the banner.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::{Running, fails, run, scratch, whisht};

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
        .args(["run", "--profile", "local", "--network", "cli-test"])
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
