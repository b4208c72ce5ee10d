//! Somebody else's discovery: @ethereumjs/devp2p, which asks us, is asked, and is told of others.
//!
//! Needs Node.js and `npm ci` in tests/interop/devp2p; see tests/interop/script.rs.

use std::path::Path;

use serde_json::Value;

use crate::script::{NodeScript, ScriptProcess};
use crate::sockets::{enode, first, open, until};

const SCRIPT: NodeScript = NodeScript {
    folder: "devp2p",
    file: "dpt.mjs",
    package: "@ethereumjs/devp2p",
};

/// One of theirs, and how it is named.
struct Theirs {
    process: ScriptProcess,
    enode: String,
}

impl Theirs {
    fn start(node: &Path, arguments: &[&str]) -> Self {
        let mut process = SCRIPT.start(node, arguments);
        let listening = process.next();
        let enode = listening.get("enode").and_then(Value::as_str);
        let enode = enode.expect("it listens").to_owned();
        Self { process, enode }
    }

    /// Waits until it has heard from all of these nodes.
    fn adds(&mut self, enodes: &[&str]) {
        let mut left: Vec<&str> = enodes.iter().map(|enode| parts(enode).0).collect();
        while !left.is_empty() {
            let event = self.process.next();
            let id = event.get("id").and_then(Value::as_str);
            left.retain(|wanted| id != Some(wanted));
        }
    }
}

/// Key, host and port of an enode URL.
fn parts(enode: &str) -> (&str, &str, &str) {
    let rest = enode.strip_prefix("enode://").unwrap();
    let (key, address) = rest.split_once('@').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    (key, host, port)
}

fn start_after(node: &Path, enode: &str) -> Theirs {
    let (_, host, port) = parts(enode);
    Theirs::start(node, &[host, port])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devp2p_peer_and_node_discover_each_other_and_third_nodes() {
    let Some(node) = SCRIPT.node() else { return };
    let mut one = Theirs::start(&node, &[]);
    let ours = open(&first(&one.enode)).await.unwrap();
    until(&ours, "theirs answers", |status| {
        status.discovery >= Some(1)
    })
    .await;
    one.adds(&[&enode(&ours)]);
    // Known to the first of theirs alone: ours hears of it by asking.
    let two = start_after(&node, &one.enode);
    until(&ours, "theirs names another", |status| {
        status.discovery >= Some(2)
    })
    .await;
    // Knows ours alone: hears of the first by asking ours.
    let mut three = start_after(&node, &enode(&ours));
    three.adds(&[&enode(&ours), &one.enode]);
    until(&ours, "theirs came by itself", |status| {
        status.discovery >= Some(3)
    })
    .await;
    for theirs in [one, two, three] {
        theirs.process.assert_success();
    }
}
