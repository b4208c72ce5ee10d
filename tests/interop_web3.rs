//! The Whisper client of web3.js, as published on npm, with running nodes: every method of the
//! client, over HTTP, WebSocket and the local socket, and messages between two nodes.
//!
//! Needs Node.js and `npm ci` in tests/interop/web3. Where these are missing the tests say `SKIPPED`
//! and pass, unless CI is `true` or WHISHT_REQUIRE_INTEROP is set: then they fail.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an unexpected result is a failed test"
)]

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "processes/node.rs"]
mod node;
#[path = "interop/script.rs"]
mod script;

use node::{NodeProcess, until};
use script::{NodeScript, ScriptProcess};

const SCRIPT: NodeScript = NodeScript {
    folder: "web3",
    file: "client.mjs",
    package: "web3-shh",
};

/// Both packages, and all transports.
const CLIENTS: [(&str, RpcTransport); 6] = [
    ("web3", RpcTransport::Http),
    ("web3", RpcTransport::Ws),
    ("web3", RpcTransport::Ipc),
    ("web3-shh", RpcTransport::Http),
    ("web3-shh", RpcTransport::Ws),
    ("web3-shh", RpcTransport::Ipc),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum RpcTransport {
    Http,
    Ws,
    Ipc,
}

#[test]
fn web3_methods_work_over_every_transport() {
    let Some(program) = SCRIPT.node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let peer = start(&scratch, "peer", &[]);
    let node = start(
        &scratch,
        "node",
        &["--peer", peer.enode(), "--rpc-allow-key-export"],
    );
    until("the nodes are connected", || {
        let peers = node.ask(&["peers"]);
        (!peers.as_array()?.is_empty()).then_some(())
    });
    for (package, way) in CLIENTS {
        println!("{package} over {way:?}");
        let mut client = Web3Client::start(&program, package, way, &node);
        settings(&mut client, peer.enode());
        let pair = key_pairs(&mut client);
        let shared = shared_keys(&mut client);
        filters_and_posts(&mut client, &pair, &shared);
        refusals(&mut client);
        client.process.assert_success();
    }
}

/// Versions, limits and trust.
fn settings(client: &mut Web3Client, peer: &str) {
    assert_eq!(client.ask("shh.getVersion", json!([])), "6.0");
    let info = client.ask("shh.getInfo", json!([]));
    assert_eq!(info["maxMessageSize"], 1_048_576, "{info}");
    assert!(
        info["memory"].is_u64() && info["messages"].is_u64(),
        "{info}"
    );
    assert_eq!(
        client.ask("shh.setMaxMessageSize", json!([1_048_576])),
        true
    );
    assert_eq!(client.ask("shh.setMinPoW", json!([0.002])), true);
    assert_eq!(
        client.ask("shh.getInfo", json!([]))["minPow"].to_string(),
        "0.002"
    );
    assert_eq!(client.ask("shh.markTrustedPeer", json!([peer])), true);
    assert_eq!(client.ask("shh.net.getId", json!([])), 1);
    assert_eq!(client.ask("shh.net.isListening", json!([])), true);
    assert_eq!(client.ask("shh.net.getPeerCount", json!([])), 1);
}

/// Returns the id and the public key of a key pair.
fn key_pairs(client: &mut Web3Client) -> (Value, Value) {
    let fresh = client.ask("shh.newKeyPair", json!([]));
    assert_eq!(client.ask("shh.hasKeyPair", json!([fresh])), true);
    assert_eq!(client.ask("shh.deleteKeyPair", json!([fresh])), true);
    assert_eq!(client.ask("shh.hasKeyPair", json!([fresh])), false);
    let private = "0x8bda3abeb454847b515fa9b404cede50b1cc63cfdeddd4999d074284b4c21e15";
    let pair = client.ask("shh.addPrivateKey", json!([private]));
    assert_eq!(client.ask("shh.getPrivateKey", json!([pair])), private);
    let public = client.ask("shh.getPublicKey", json!([pair]));
    let known = "0x047cd9fb61f0cd537c13cfa6b6941257faefef565a0ad8e345ee2ce9aa045791333dd03df4cc9f6848\
                 c6bb9c265b823eee2825853076c112095f8243fbb0c15c46";
    assert_eq!(public, known);
    (pair, public)
}

/// Returns the id of a shared key.
fn shared_keys(client: &mut Web3Client) -> Value {
    let fresh = client.ask("shh.newSymKey", json!([]));
    assert_eq!(client.ask("shh.hasSymKey", json!([fresh])), true);
    assert_eq!(client.ask("shh.deleteSymKey", json!([fresh])), true);
    assert_eq!(client.ask("shh.hasSymKey", json!([fresh])), false);
    let key = "0xf6dcf21ed6a17bd78d8c4c63195ab997b3b65ea683705501eae82d32667adc92";
    let added = client.ask("shh.addSymKey", json!([key]));
    assert_eq!(client.ask("shh.getSymKey", json!([added])), key);
    let derived = client.ask("shh.generateSymKeyFromPassword", json!(["test"]));
    let known = "0xa82a520aff70f7a989098376e48ec128f25f767085e84d7fb995a9815eebff0a";
    assert_eq!(client.ask("shh.getSymKey", json!([derived])), known);
    added
}

/// Messages that a client posts and fetches itself.
fn filters_and_posts(client: &mut Web3Client, (pair, public): &(Value, Value), shared: &Value) {
    let for_shared = json!({"symKeyID": shared, "topics": [TOPIC]});
    let filters = [
        client.ask("shh.newMessageFilter", json!([for_shared])),
        client.ask("shh.newMessageFilter", json!([{"privateKeyID": pair}])),
    ];
    let posts = [
        message(json!({"symKeyID": shared, "topic": TOPIC, "payload": "0x01", "sig": pair})),
        message(json!({"pubKey": public, "payload": "0x02"})),
    ];
    for (filter, post) in filters.iter().zip(&posts) {
        let hash = client.ask("shh.post", json!([post]));
        let fetched = until("the message is decrypted", || {
            let fetched = client.ask("shh.getFilterMessages", json!([filter]));
            (fetched != json!([])).then_some(fetched)
        });
        let [received] = fetched.as_array().unwrap().as_slice() else {
            panic!("{fetched}");
        };
        assert_eq!(received["hash"], hash);
        assert_eq!(received["payload"], post["payload"]);
        assert_eq!(received.get("sig"), post.get("sig").map(|_| public));
        assert_eq!(received.get("recipientPublicKey"), post.get("pubKey"));
        assert_eq!(
            client.ask("shh.getFilterMessages", json!([filter])),
            json!([])
        );
        assert_eq!(client.ask("shh.deleteMessageFilter", json!([filter])), true);
    }
}

/// Errors have go-ethereum's words, which clients show to their users.
fn refusals(client: &mut Web3Client) {
    for (method, args, part) in [
        ("shh.getPublicKey", json!(["00"]), "invalid id"),
        ("shh.deleteKeyPair", json!(["00"]), "key pair 00 not found"),
        ("shh.getSymKey", json!(["00"]), "non-existent key ID"),
        ("shh.getFilterMessages", json!(["00"]), "filter not found"),
        (
            "shh.deleteMessageFilter",
            json!(["00"]),
            "Unsubscribe: Invalid ID",
        ),
        ("shh.setMinPoW", json!([-1]), "invalid PoW: -1.000000"),
        (
            "shh.post",
            json!([{}]),
            "specify either a symmetric or an asymmetric key",
        ),
        (
            "shh.markTrustedPeer",
            json!(["x"]),
            "invalid URL scheme, want \"enode\"",
        ),
    ] {
        let refusal = client.refusal(method, args);
        assert!(refusal.contains(part), "{method}: {refusal}");
    }
}

/// The subscription to messages for a new key pair, and the public key.
fn subscribe_to_new_pair(client: &mut Web3Client) -> (Value, Value) {
    let pair = client.ask("shh.newKeyPair", json!([]));
    let public = client.ask("shh.getPublicKey", json!([pair]));
    (client.subscribe(json!({"privateKeyID": pair})), public)
}

#[test]
fn web3_subscribers_on_two_nodes_exchange_messages() {
    let Some(program) = SCRIPT.node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let one = start(&scratch, "one", &[]);
    let two = start(&scratch, "two", &["--peer", one.enode()]);
    until("the nodes are connected", || {
        let peers = two.ask(&["peers"]);
        (!peers.as_array()?.is_empty()).then_some(())
    });
    for (ours, theirs) in [
        (RpcTransport::Ws, RpcTransport::Ipc),
        (RpcTransport::Ipc, RpcTransport::Ws),
    ] {
        let mut alice = Web3Client::start(&program, "web3", ours, &one);
        let mut bob = Web3Client::start(&program, "web3-shh", theirs, &two);
        let (alices, to_alice) = subscribe_to_new_pair(&mut alice);
        let (bobs, to_bob) = subscribe_to_new_pair(&mut bob);

        let payload = format!("0x{}", hex::encode("the hedge, at nine"));
        alice.ask(
            "shh.post",
            json!([message(json!({"pubKey": to_bob, "payload": payload}))]),
        );
        let (id, received) = bob.told();
        assert_eq!((&id, &received["payload"]), (&bobs, &json!(payload)));
        assert_eq!(received["recipientPublicKey"], to_bob);
        bob.ask(
            "shh.post",
            json!([message(json!({"pubKey": to_alice, "payload": "0x02"}))]),
        );
        assert_eq!(
            alice.told().1["payload"],
            "0x02",
            "and no message of the other client"
        );

        // After unsubscribing no notification follows: the next output is the answer to a question.
        bob.order(json!({"unsubscribe": bobs})).unwrap();
        let again = json!([message(json!({"pubKey": to_bob, "payload": "0x03"}))]);
        alice.ask("shh.post", again);
        alice.ask(
            "shh.post",
            json!([message(json!({"pubKey": to_alice, "payload": "0x04"}))]),
        );
        assert_eq!(alice.told().1["payload"], "0x04");
        until("the other node has all messages", || {
            let memory =
                |client: &mut Web3Client| client.ask("shh.getInfo", json!([]))["memory"].clone();
            (memory(&mut alice) == memory(&mut bob)).then_some(())
        });
        assert!(bob.heard.is_empty(), "{:?}", bob.heard);
        alice.order(json!({"unsubscribe": alices})).unwrap();
        alice.process.assert_success();
        bob.process.assert_success();
    }
}

#[test]
fn web3_subscription_over_http_is_refused() {
    let Some(program) = SCRIPT.node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let node = start(&scratch, "node", &[]);
    let mut client = Web3Client::start(&program, "web3", RpcTransport::Http, &node);
    let refusal = client
        .order(json!({"subscribe": {"symKeyID": "00"}}))
        .unwrap_err();
    assert!(
        refusal.contains("doesn't support subscriptions"),
        "{refusal}"
    );
}

#[test]
fn web3_client_without_token_is_refused() {
    let Some(program) = SCRIPT.node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let node = start(&scratch, "node", &[]);
    let (url, token) = (address(&node, "http"), token(&node));
    let mut stranger = Web3Client::at(&program, &["web3", "http", &url]);
    stranger.refusal("shh.getVersion", json!([]));
    let mut stranger = Web3Client::at(&program, &["web3", "ws", &address(&node, "ws")]);
    stranger.refusal("shh.getVersion", json!([]));
    // A program that cannot set headers puts the token into the URL.
    for (way, url) in [
        ("http", url.replace("://", &format!("://me:{token}@"))),
        (
            "ws",
            address(&node, "ws").replace("://", &format!("://me:{token}@")),
        ),
        ("ws", format!("{}/?token={token}", address(&node, "ws"))),
    ] {
        let mut client = Web3Client::at(&program, &["web3", way, &url]);
        assert_eq!(client.ask("shh.getVersion", json!([])), "6.0");
    }
}

#[test]
fn web3_admin_methods_work_on_local_socket() {
    let Some(program) = SCRIPT.node() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (one, two) = (start(&scratch, "one", &[]), start(&scratch, "two", &[]));
    let mut client = Web3Client::start(&program, "web3", RpcTransport::Ipc, &one);
    let name = client.ask("eth.getNodeInfo", json!([]));
    assert!(name.as_str().unwrap().starts_with("whisht/"), "{name}");
    let info = client.ask("admin.nodeInfo", json!([]));
    assert_eq!(info["listenAddr"], one.address());
    assert_eq!(client.ask("admin.addPeer", json!([two.enode()])), true);
    let peer = until("the peer is there", || {
        let peers = client.ask("admin.peers", json!([]));
        peers.as_array()?.first().cloned()
    });
    assert_eq!(peer["network"]["remoteAddress"], two.address(), "{peer}");
    let list = json!([
        ["shh.getVersion", []],
        ["shh.getPublicKey", ["00"]],
        ["shh.newKeyPair", []]
    ]);
    let answers = client.order(json!({"batch": list})).unwrap();
    assert_eq!(answers[0]["result"], "6.0", "{answers}");
    let refusal = answers[1]["error"].as_str().unwrap();
    assert!(refusal.contains("invalid id"), "{refusal}");
    assert!(answers[2]["result"].is_string(), "{answers}");
}

/// A message with the fields that a node requires and minimal work.
fn message(mut fields: Value) -> Value {
    for (name, value) in [
        ("ttl", json!(60)),
        ("powTarget", json!(0.002)),
        ("powTime", json!(5)),
    ] {
        fields[name] = value;
    }
    fields
}

const TOPIC: &str = "0x07678231";

/// A node that serves HTTP and WebSocket.
fn start(scratch: &TempDir, name: &str, more: &[&str]) -> NodeProcess {
    let endpoints = ["--rpc-http", "127.0.0.1:0", "--rpc-ws", "127.0.0.1:0"];
    let own = ["--listen", "127.0.0.1:0", "--level", "open"];
    NodeProcess::start(scratch.path(), name, &[&own[..], &endpoints, more].concat())
}

fn address(node: &NodeProcess, endpoint: &str) -> String {
    node.banner()[endpoint].as_str().unwrap().to_owned()
}

fn token(node: &NodeProcess) -> String {
    let path = node.banner()["rpc_token"].as_str().unwrap();
    std::fs::read_to_string(path).unwrap()
}

/// A client of web3, in a process of its own.
struct Web3Client {
    process: ScriptProcess,
    /// Notifications that arrived while an answer was awaited.
    heard: VecDeque<Value>,
    last: u64,
}

impl Web3Client {
    fn start(program: &Path, package: &str, way: RpcTransport, node: &NodeProcess) -> Self {
        let token = token(node);
        match way {
            RpcTransport::Http => {
                Self::at(program, &[package, "http", &address(node, "http"), &token])
            }
            RpcTransport::Ws => Self::at(program, &[package, "ws", &address(node, "ws"), &token]),
            RpcTransport::Ipc => Self::at(program, &[package, "ipc", &address(node, "ipc")]),
        }
    }

    fn at(program: &Path, arguments: &[&str]) -> Self {
        Self {
            process: SCRIPT.start(program, arguments),
            heard: VecDeque::new(),
            last: 0,
        }
    }

    /// Sends an order and waits for its result.
    fn order(&mut self, mut order: Value) -> Result<Value, String> {
        self.last += 1;
        order["id"] = self.last.into();
        let input = self.process.input.as_mut().unwrap();
        writeln!(input, "{order}").unwrap();
        loop {
            let mut said = self.process.next();
            if said["id"] != self.last {
                self.heard.push_back(said);
                continue;
            }
            return match said["error"].as_str() {
                Some(error) => Err(error.to_owned()),
                None => Ok(said["result"].take()),
            };
        }
    }

    /// Calls a method that succeeds.
    fn ask(&mut self, method: &str, args: Value) -> Value {
        self.order(json!({"call": method, "args": args}))
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method that fails.
    fn refusal(&mut self, method: &str, args: Value) -> String {
        match self.order(json!({"call": method, "args": args})) {
            Err(error) => error,
            Ok(result) => panic!("{method}: {result}"),
        }
    }

    fn subscribe(&mut self, criteria: Value) -> Value {
        self.order(json!({"subscribe": criteria})).unwrap()
    }

    /// The next message of a subscription, and the subscription's id.
    fn told(&mut self) -> (Value, Value) {
        let said = self.heard.pop_front();
        let mut said = said.unwrap_or_else(|| self.process.next());
        (said["subscription"].take(), said["message"].take())
    }
}
