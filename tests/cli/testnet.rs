//! `whisht testnet`: a network of nodes that users reach like any other node.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{program, run, scratch, succeeds};

/// A test network in a process of its own, killed when the test ends.
struct TestNetwork {
    child: Child,
    nodes: Vec<Value>,
}

impl TestNetwork {
    /// Runs the command that docs/relay-lists.md prints, with ports of this test.
    fn start(dir: &Path, port: u16) -> Self {
        let page = include_str!("../../docs/relay-lists.md");
        let printed = page
            .lines()
            .find(|line| line.starts_with("whisht testnet "));
        let words = printed.unwrap().split_whitespace().skip(1);
        let mut child = program()
            .current_dir(dir)
            .args(words)
            .args(["--port", &port.to_string(), "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let started: Value = serde_json::from_str(&line).expect("the nodes, in one line");
        let nodes = started["nodes"].as_array().unwrap().clone();
        Self { child, nodes }
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for TestNetwork {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free now. Each test has its own `first`: the tests run at the same time.
fn free_ports(first: u16, count: u16) -> u16 {
    let bind = |port| std::net::TcpListener::bind(("127.0.0.1", port));
    let seed = u16::try_from(std::process::id() % 5_000).unwrap();
    let starts = (0..100).map(|step| first + seed + step * 97);
    let mut free = starts.filter(|start| (0..count).all(|next| bind(start + next).is_ok()));
    free.next().unwrap()
}

#[test]
fn testnet_of_the_page_runs_its_nodes_and_continues_with_their_keys() {
    let data = scratch();
    let port = free_ports(11_000, 12);
    let network = TestNetwork::start(&data.parent, port);
    let nodes = network.nodes.clone();
    assert_eq!(nodes.len(), 6);
    let first = data.parent.join(nodes[0]["data_dir"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let status = succeeds(&run(&first, &["status", "--json"]));
        let status: Value = serde_json::from_str(&status).unwrap();
        if status["relays"] == 6 && status["peers"].as_u64() >= Some(3) {
            break;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(300));
    }
    // JSON-RPC listens where the network says.
    let http = nodes[5]["http"].as_str().unwrap().strip_prefix("http://");
    assert!(std::net::TcpStream::connect(http.unwrap()).is_ok());
    assert_eq!(network.interrupt(), Some(0));

    let again = TestNetwork::start(&data.parent, port);
    assert_eq!(again.nodes, nodes, "the same keys, directories and ports");
    assert_eq!(again.interrupt(), Some(0));
}

#[test]
fn testnet_beside_another_one_names_the_cause_and_leaves_it_running() {
    let data = scratch();
    let port = free_ports(45_000, 16);
    let network = TestNetwork::start(&data.parent, port);
    // The same directory.
    let same = program()
        .current_dir(&data.parent)
        .args([
            "testnet",
            "6",
            "--dir",
            "net",
            "--port",
            &(port + 14).to_string(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(same.stderr).unwrap();
    assert_eq!(same.status.code(), Some(6), "{said}");
    // The same ports.
    let same = program()
        .current_dir(&data.parent)
        .args([
            "testnet",
            "2",
            "--dir",
            "other",
            "--port",
            &port.to_string(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(same.stderr).unwrap();
    assert_eq!(same.status.code(), Some(1), "{said}");
    assert!(said.contains("--port"), "{said}");
    assert_eq!(network.interrupt(), Some(0));
}
