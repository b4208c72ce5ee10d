//! A whole node beside somebody else's RLPx: @ethereumjs/devp2p dials a running `whisht run`, is
//! dialled by it, and is given the envelope that a `whisht send` posts.
//!
//! Needs Node.js and `npm ci` in tests/interop/devp2p; where these are missing, the rule of
//! `tests/interop_devp2p.rs` holds: the tests say `SKIPPED`, or fail where they are required.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::node::{NodeProcess, until};
use crate::peer::{self, Peer};

#[test]
fn devp2p_dials_a_node_and_is_given_an_envelope() {
    let Some(program) = peer::node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let node = node(&scratch, &[]);
    let (host, port) = node.address().split_once(':').unwrap();
    let peer = start(&program, &["dial", host, port, node.enode()]);
    converse(&scratch, &node, peer, false);
}

#[test]
fn a_node_dials_devp2p_and_gives_it_an_envelope() {
    let Some(program) = peer::node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mut peer = start(&program, &["listen", "127.0.0.1", "0"]);
    let listening = peer.next();
    let enode = listening["enode"].as_str().expect("it listens");
    let node = node(&scratch, &["--peer", enode]);
    converse(&scratch, &node, peer, true);
}

/// The peer, under a name that tells by which rule it judges work: from one of which that is not
/// known, the node keeps what does not satisfy every rule.
fn start(program: &Path, arguments: &[&str]) -> Peer {
    peer::start(program, &[arguments, &["--client", CLIENT]].concat())
}

/// What both tests do once there is, or will be, a connection.
fn converse(scratch: &TempDir, node: &NodeProcess, mut peer: Peer, outbound: bool) {
    let key = node.enode().strip_prefix("enode://").unwrap();
    let (key, _) = key.split_once('@').unwrap();
    let open = peer.next();
    assert_eq!(open["event"], "open", "{open}");
    assert_eq!(open["id"], key);
    assert_eq!(open["version"], 5);
    assert_eq!(open["capabilities"], json!(["dark/1", "shh/6"]));
    assert_eq!(open["client"], node.ask(&["status"])["client"]);

    // Version 6, the least work as the bits of a float, a bloom filter that lets everything
    // through, and no light node.
    let least = hex::encode(0.2_f64.to_be_bytes());
    assert_eq!(packet(&mut peer, STATUS), format!("cc0688{least}8080"));

    let seen = until("the node has its peer", || {
        let peers = node.ask(&["peers"]);
        peers.as_array()?.first().cloned()
    });
    assert_eq!(seen["client"], CLIENT);
    assert_eq!(seen["pow_rule"], "modern");
    assert_eq!(seen["capabilities"], json!(["shh/6"]));
    assert_eq!(seen["outbound"], outbound);

    let topic = send(scratch, node);
    let envelopes = packet(&mut peer, MESSAGES);
    assert!(
        envelopes.contains(&format!("84{topic}")),
        "no envelope of topic {topic}: {envelopes}"
    );
    peer.ends_well();
}

/// Sends a message to the node itself, which has to read it too; its envelope's topic.
fn send(scratch: &TempDir, node: &NodeProcess) -> String {
    let to = node.ask(&["id", "new", "desk", "--no-password"]);
    let body = scratch.path().join("body");
    std::fs::write(&body, "good evening").unwrap();
    node.ask(&[
        "send",
        "--to",
        to["public_key"].as_str().unwrap(),
        "--level",
        "open",
        "--ttl",
        "10m",
        "--no-wait",
        "-f",
        body.to_str().unwrap(),
    ]);
    let message = until("the node can read what it sent to itself", || {
        node.inbox().pop()
    });
    assert_eq!(message["payload"], hex::encode("good evening"));
    message["topic"].as_str().unwrap().to_owned()
}

/// A node that asks for as much work as the peer does: of less the peer would be given nothing.
fn node(scratch: &TempDir, args: &[&str]) -> NodeProcess {
    let args = [&["--listen", "127.0.0.1:0", "--min-pow", "0.2"], args].concat();
    NodeProcess::start(scratch.path(), "node", &args)
}

/// The payload of the next packet that has this code and something in it.
fn packet(peer: &mut Peer, code: u64) -> String {
    loop {
        let seen = peer.next();
        assert_eq!(seen["event"], "packet", "{seen}");
        let payload = seen["payload"].as_str().unwrap();
        if seen["code"] == code && payload != EMPTY {
            return payload.to_owned();
        }
    }
}

/// As go-ethereum called itself when it had the rule of today.
const CLIENT: &str = "Geth/v1.9.25-stable/linux-amd64/go1.15";
/// A list without envelopes.
const EMPTY: &str = "c0";
const STATUS: u64 = 0;
const MESSAGES: u64 = 1;
