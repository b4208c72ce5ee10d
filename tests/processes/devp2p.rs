//! A whole node beside another implementation of RLPx: @ethereumjs/devp2p dials a running `whisht
//! run`, is dialled by it, and receives the envelope of a `whisht send`. With `shh/5` only, it
//! sends messages and receives those of the same version.
//!
//! Needs Node.js and `npm ci` in tests/interop/devp2p; where these are missing, the rule of
//! `tests/interop_devp2p.rs` holds: the tests say `SKIPPED`, or fail where they are required.

use std::iter;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;
use tempfile::TempDir;
use whisht::envelope::{Topic, Ttl};
use whisht::envelope_builder::EncryptionKey;
use whisht::envelope_builder::v5::{OutgoingMessageV5, draft};
use whisht::message::{ClientPublic, Padding};

use crate::node::{NodeProcess, until};
use crate::peer::{self, Devp2pPeer};

#[test]
fn devp2p_that_dials_receives_envelope() {
    let Some(program) = peer::node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let node = node(&scratch, &[]);
    let (host, port) = node.address().split_once(':').unwrap();
    let peer = start(&program, &["dial", host, port, node.enode()]);
    converse(&scratch, &node, peer, false);
}

#[test]
fn dialled_devp2p_receives_envelope() {
    let Some(program) = peer::node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mut peer = start(&program, &["listen", "127.0.0.1", "0"]);
    let listening = peer.next();
    let enode = listening["enode"].as_str().expect("the node listens");
    let node = node(&scratch, &["--peer", enode]);
    converse(&scratch, &node, peer, true);
}

#[test]
fn shh5_devp2p_peers_exchange_envelopes_through_node() {
    let Some(program) = peer::node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let old = |arguments: &[&str]| peer::start(&program, &[arguments, &["--speak", "5"]].concat());
    let mut listener = old(&["listen", "127.0.0.1", "0"]);
    let listening = listener.next();
    let enode = listening["enode"].as_str().expect("the node listens");
    let node = node(&scratch, &["--peer", enode]);
    assert_eq!(listener.next()["event"], "open");
    assert_eq!(packet(&mut listener, STATUS), "05");

    // A `shh/5` peer writes to the node's user; the node reads the message, and forwards it to the
    // other.
    let identity = node.ask(&["id", "new", "archive", "--no-password"]);
    let (host, port) = node.address().split_once(':').unwrap();
    let write = |text: &str| {
        let envelope = old_envelope(identity["public_key"].as_str().unwrap(), text);
        let send = format!("1={envelope}");
        let dial = ["dial", host, port, node.enode(), "--send", &send];
        (old(&dial), envelope)
    };
    let (mut writer, envelope) = write("from the past");
    assert_eq!(packet(&mut listener, MESSAGES), envelope);
    let message = until("the node reads a message of shh/5", || node.inbox().pop());
    assert_eq!(message["payload"], hex::encode("from the past"));
    for peer in node.ask(&["peers"]).as_array().unwrap() {
        assert_eq!(peer["capabilities"], json!(["shh/5"]));
        assert_eq!(peer["pow_rule"], "legacy");
    }
    assert_eq!(writer.next()["event"], "open");
    assert_eq!(packet(&mut writer, STATUS), "05");

    // The node's own message is of `shh/6`: the next one that the peer receives is of `shh/5`.
    send(&scratch, &node);
    let (second, envelope) = write("once more");
    assert_eq!(packet(&mut listener, MESSAGES), envelope);
    for peer in [writer, second, listener] {
        peer.assert_success();
    }
}

/// A message in the form of `shh/5` to this public key, as a packet contains it.
fn old_envelope(to: &str, text: &str) -> String {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let to = ClientPublic::from_bytes(&hex::decode(to).unwrap()).unwrap();
    let message = OutgoingMessageV5 {
        topic: Topic([0x0a, 0x0b, 0x0c, 0x0d]),
        recipient: EncryptionKey::Asymmetric(&to),
        signer: None,
        payload: text.as_bytes(),
        padding: Padding::Align,
        ttl: Ttl(600),
        pow_target: MIN_POW,
        work_time: 60,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = UnixSecs(u32::try_from(now.as_secs()).unwrap());
    // Dated in the past, because the clocks of two programs may differ.
    let draft = draft(&mut rng, now.before(60), &message).unwrap();
    let mut search = draft.pow_job().unwrap().search(&mut rng);
    let nonce = iter::repeat_with(|| search.step(8_192)).find_map(|found| found);
    hex::encode(draft.unmined.with_nonce(nonce.unwrap()).as_rlp())
}

/// The peer, under a client name that determines its PoW rule. To a peer with an unknown rule, the
/// node sends only envelopes that satisfy both rules.
fn start(program: &Path, arguments: &[&str]) -> Devp2pPeer {
    peer::start(program, &[arguments, &["--client", CLIENT]].concat())
}

/// The exchange of both tests once a connection exists.
fn converse(scratch: &TempDir, node: &NodeProcess, mut peer: Devp2pPeer, outbound: bool) {
    let key = node.enode().strip_prefix("enode://").unwrap();
    let (key, _) = key.split_once('@').unwrap();
    let open = peer.next();
    assert_eq!(open["event"], "open", "{open}");
    assert_eq!(open["id"], key);
    assert_eq!(open["version"], 5);
    assert_eq!(open["capabilities"], json!(["onion/1", "shh/5", "shh/6"]));
    assert_eq!(open["client"], node.ask(&["status"])["client"]);

    // Version 6, the minimum work as the bits of a float, a bloom filter with all bits, and no
    // light node.
    let least = hex::encode(MIN_POW.to_be_bytes());
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
    peer.assert_success();
}

/// Sends a message to the node itself, which must read it too; returns the topic of its envelope.
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
    let payload = hex::encode("good evening");
    let message = until("the node can read what it sent to itself", || {
        let mut inbox = node.inbox().into_iter();
        inbox.find(|message| message["payload"] == *payload)
    });
    message["topic"].as_str().unwrap().to_owned()
}

/// A node with the peer's minimum work: the peer would get no envelope with less.
fn node(scratch: &TempDir, args: &[&str]) -> NodeProcess {
    let least = MIN_POW.to_string();
    let args = [&["--listen", "127.0.0.1:0", "--min-pow", &least], args].concat();
    NodeProcess::start(scratch.path(), "node", &args)
}

/// The payload of the next packet with this code and a content.
fn packet(peer: &mut Devp2pPeer, code: u64) -> String {
    loop {
        let seen = peer.next();
        assert_eq!(seen["event"], "packet", "{seen}");
        let payload = seen["payload"].as_str().unwrap();
        if seen["code"] == code && payload != EMPTY {
            return payload.to_owned();
        }
    }
}

/// The minimum work of the peer, in the form of `shh/6`.
const MIN_POW: f64 = 0.2;
/// The client name of a go-ethereum version with the modern rule.
const CLIENT: &str = "Geth/v1.9.25-stable/linux-amd64/go1.15";
/// A list without envelopes.
const EMPTY: &str = "c0";
const STATUS: u64 = 0;
const MESSAGES: u64 = 1;
