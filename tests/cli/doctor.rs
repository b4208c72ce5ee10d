//! `whisht doctor` and `whisht support-bundle` on a stopped and on a running node.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::{Running, Scratch, fails, run, scratch, stdout, succeeds};

/// The findings of a doctor with `--json`.
fn findings(output: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(output).unwrap();
    report["findings"].as_array().unwrap().clone()
}

#[test]
fn doctor_names_a_fault_of_a_stopped_node_and_exits_with_1() {
    let data = scratch();
    succeeds(&run(&data.path, &["id", "list"]));
    let key = data.path.join("nodekey");
    fs::write(&key, "not a key").unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let output = run(&data.path, &["doctor", "--json", "--no-listen"]);
    fails(&output, 1);
    let found = findings(&stdout(&output));
    let named = |check: &str, part: &str| {
        found.iter().any(|finding| {
            finding["check"] == check
                && finding["result"] == "wrong"
                && finding["text"].as_str().unwrap().contains(part)
                && finding["remedy"].is_string()
        })
    };
    assert!(named("permissions", "nodekey"), "{found:?}");
    assert!(named("files", "nodekey is damaged"), "{found:?}");
    let node = found.iter().find(|finding| finding["check"] == "node");
    assert_eq!(node.unwrap()["result"], "not_checked");
    let shown = run(&data.path, &["doctor", "--no-listen"]);
    assert!(
        stdout(&shown).contains("-> run `chmod 0600"),
        "{}",
        stdout(&shown)
    );
}

#[test]
fn doctor_asks_the_running_node() {
    let data = scratch();
    let node = Running::start(&data.path, &["--no-listen"]);
    let args = ["--profile", "local", "--network", "cli-test", "--no-listen"];
    let output = node.run(&[&["doctor", "--json"][..], &args].concat());
    // Without a peer nothing is sent.
    fails(&output, 1);
    let found = findings(&stdout(&output));
    let of = |check: &str| {
        let finding = found.iter().find(|finding| finding["check"] == check);
        finding
            .unwrap_or_else(|| panic!("{check}: {found:?}"))
            .clone()
    };
    assert_eq!(of("node")["result"], "ok");
    assert_eq!(of("peers")["result"], "wrong");
    assert_eq!(of("files")["result"], "ok");
    assert_eq!(of("open files")["result"], "ok");
}

/// A node that others dial, with its directory.
fn listening() -> (Scratch, Running) {
    let data = scratch();
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    (data, node)
}

/// The finding on reachability of a relay with these peers and arguments.
fn reachability(peers: &[&Running], args: &[&str]) -> Value {
    let data = scratch();
    let peers: Vec<&str> = peers.iter().map(|peer| peer.enode()).collect();
    let peers = peers.join(",");
    let own = ["--relay", "--listen", "127.0.0.1:0", "--peer", &peers];
    let own = [&own[..], args].concat();
    let node = Running::start(&data.path, &own);
    let network = ["--json", "--profile", "local", "--network", "cli-test"];
    for _ in 0..100 {
        let output = node.run(&[&["doctor"][..], &network, &own].concat());
        let found = findings(&stdout(&output));
        let mut found = found.into_iter();
        let finding = found.find(|finding| finding["check"] == "reachability");
        let finding = finding.unwrap();
        // Peers cannot be asked before they are connected.
        if !finding["text"].as_str().unwrap().contains("can dial it") {
            let status: Value =
                serde_json::from_str(&succeeds(&node.run(&["status", "--json"]))).unwrap();
            assert!(status["dial_back"]["peers"].is_array(), "{status}");
            return finding;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("the peers are not connected");
}

#[test]
fn doctor_shows_that_peers_dialled_back() {
    let (first, second) = (listening(), listening());
    let finding = reachability(&[&first.1, &second.1], &[]);
    assert_eq!(finding["result"], "ok", "{finding}");
    let text = finding["text"].as_str().unwrap();
    assert!(text.starts_with("dialled back by 2 of 2 peers"), "{text}");
}

#[test]
fn doctor_names_an_advertised_port_that_leads_elsewhere() {
    let (_data, peer) = listening();
    // Another program, which closes every connection.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    thread::spawn(move || other.incoming().for_each(drop));
    let advertised = format!("127.0.0.1:{port}");
    let finding = reachability(&[&peer], &["--advertise", &advertised]);
    assert_eq!(finding["result"], "wrong", "{finding}");
    let text = format!("none of 1 peers reached port {port}: one found another program");
    assert_eq!(finding["text"], text);
    let remedy = finding["remedy"].as_str().unwrap();
    assert!(remedy.contains("`advertise`"), "{remedy}");
}

#[test]
fn doctor_names_an_advertised_port_where_no_program_listens() {
    let (_data, peer) = listening();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let advertised = format!("127.0.0.1:{port}");
    let finding = reachability(&[&peer], &["--advertise", &advertised]);
    assert_eq!(finding["result"], "wrong", "{finding}");
    let text = format!("none of 1 peers reached port {port}: one was refused");
    assert_eq!(finding["text"], text);
}

#[test]
fn bundle_is_shown_before_it_is_written_and_only_written_with_consent() {
    let data = scratch();
    let output = data.parent.join("bundle.txt");
    let path = output.to_str().unwrap();
    let args = ["support-bundle", "--no-listen", "--output", path];
    let refused = run(&data.path, &args);
    assert!(fails(&refused, 2).contains("--yes"));
    assert!(stdout(&refused).contains("== doctor"));
    assert!(!output.exists());
    succeeds(&run(&data.path, &[&args[..], &["--dry-run"]].concat()));
    assert!(!output.exists());
    let shown = succeeds(&run(&data.path, &[&args[..], &["--yes"]].concat()));
    assert_eq!(fs::read_to_string(&output).unwrap(), shown);
    let mode = fs::metadata(&output).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = run(&data.path, &[&args[..], &["--yes"]].concat());
    assert!(fails(&again, 2).contains("name another file"));
}
