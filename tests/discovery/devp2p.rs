//! Discovery with @ethereumjs/devp2p in both directions: requests, answers, and third nodes.
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

/// A node of the other implementation, and its enode URL.
struct ForeignNode {
    process: ScriptProcess,
    enode: String,
}

impl ForeignNode {
    fn start(node: &Path, arguments: &[&str]) -> Self {
        let mut process = SCRIPT.start(node, arguments);
        let listening = process.next();
        let enode = listening.get("enode").and_then(Value::as_str);
        let enode = enode.expect("the peer listens").to_owned();
        Self { process, enode }
    }

    /// Waits until the node has reported all of these nodes.
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

fn start_after(node: &Path, enode: &str) -> ForeignNode {
    let (_, host, port) = parts(enode);
    ForeignNode::start(node, &[host, port])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devp2p_peer_and_node_discover_each_other_and_third_nodes() {
    let Some(node) = SCRIPT.node() else { return };
    let mut one = ForeignNode::start(&node, &[]);
    let ours = open(&first(&one.enode)).await.unwrap();
    until(&ours, "theirs answers", |status| {
        status.discovery >= Some(1)
    })
    .await;
    one.adds(&[&enode(&ours)]);
    // Only the first foreign node knows this one: ours learns of it by asking.
    let two = start_after(&node, &one.enode);
    until(&ours, "theirs names another", |status| {
        status.discovery >= Some(2)
    })
    .await;
    // Knows only ours: learns of the first by asking ours.
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
