//! Nodes behind Tor: real processes, real daemons, a private Tor network on loopback.
//!
//! Relays without an address other than an onion service carry a message at `normal` from a source
//! behind one daemon to a reader with embedded Tor. A relay restarts under the same address. If the
//! source's Tor stops during a message, the message is queued, uses no other path, and arrives once
//! Tor is ready again. Two people who share nothing but an address converse, and one
//! hands the other a file.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and wait"
)]

#[path = "tor/contact.rs"]
mod contact;
#[path = "tor/network.rs"]
mod network;
#[path = "processes/node.rs"]
mod node;
#[path = "tor/transfer.rs"]
mod transfer;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use network::{TorDaemon, TorNetwork, private};
use node::{NodeProcess, until};

#[test]
fn message_is_delivered_through_onion_service_relays() {
    if !network::is_installed() {
        println!("SKIPPED: tor is not installed");
        return;
    }
    let mut world = TorWorld::start(ARTI_RELAYS);
    world.assert_all_nodes_have_onion_address();
    world.deliver(b"through onions only");
    world.assert_relay_keeps_onion_address_after_restart();
    world.deliver(b"and after a restart");
    world.assert_strangers_converse("normal", NORMAL_TIMEOUT);
    world.assert_file_is_handed_over();
    world.assert_message_waits_for_tor_restart();
    world.assert_node_connects_through_bridge();
    world.assert_restricted_relay_requires_client_key();
}

/// Contact by hash at `dark` through the same network: five messages each way, and both ends killed.
///
/// `cargo test --test tor contacts_converse_at_dark -- --ignored --nocapture`
#[test]
#[ignore = "takes twelve minutes: 30 shards of the source leave at 18 in ten minutes"]
fn contacts_converse_at_dark_through_onion_service_relays() {
    if !network::is_installed() {
        println!("SKIPPED: tor is not installed");
        return;
    }
    // A path at `dark` has five relays and a rendezvous.
    let mut world = TorWorld::start(ARTI_RELAYS + 3);
    world.wait_for_relays();
    world.assert_strangers_converse("dark", DARK_TIMEOUT);
}

struct TorWorld {
    scratch: TempDir,
    tor: TorNetwork,
    relays: Vec<NodeProcess>,
    source: NodeProcess,
    /// The daemon of the source.
    daemon: TorDaemon,
    reader: NodeProcess,
    /// The public key of the reader's identity.
    desk: String,
    _behind_relay: TorDaemon,
}

impl TorWorld {
    /// Relays with embedded Tor and one behind a daemon, all with `tor.only`.
    fn start(arti_relays: usize) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let tor = TorNetwork::start(dir);
        let mut relays: Vec<NodeProcess> = Vec::new();
        for number in 0..arti_relays {
            let peers = enodes(relays.iter().rev().take(2));
            relays.push(arti(
                dir,
                &format!("relay{number}"),
                &tor,
                &["--relay"],
                &peers,
            ));
        }
        let peers = enodes(&relays[..2]);
        let (behind_relay, last) = socks_relay(dir, &tor, &peers);
        relays.push(last);
        for (relay, peers) in [(0, [2, 3]), (1, [3, 4])] {
            for peer in peers {
                relays[relay].ask(&["peers", "--add", relays[peer].enode()]);
            }
        }
        let daemon = tor.daemon("sourcetor", None);
        let (source, reader) = start_clients(dir, &tor, &daemon, &relays);
        let desk = reader.ask(&["id", "new", "desk", "--no-password"]);
        Self {
            desk: desk["public_key"].as_str().unwrap().to_owned(),
            scratch,
            tor,
            relays,
            source,
            daemon,
            reader,
            _behind_relay: behind_relay,
        }
    }

    fn assert_all_nodes_have_onion_address(&self) {
        for relay in &self.relays {
            assert!(relay.enode().contains(".onion:"), "{}", relay.enode());
            let status = relay.ask(&["status"]);
            assert_eq!(status["onion"].as_array().unwrap().len(), 1, "{status}");
        }
        self.wait_for_relays();
        for relay in self.source.ask(&["relays"]).as_array().unwrap() {
            assert_eq!(relay["subnet"], "onion", "{relay}");
        }
    }

    /// Waits until the source and the reader know all relays, and have peers.
    fn wait_for_relays(&self) {
        for (node, name) in [(&self.source, "the source"), (&self.reader, "the reader")] {
            until(&format!("{name} knows all relays and has peers"), || {
                let status = node.ask(&["status"]);
                let relays = status["eligible_relays"] == self.relays.len();
                let enough = relays && status["dark_peers"].as_u64() >= Some(2);
                enough.then_some(())
            });
        }
    }

    /// Sends from the source, and waits until the reader has the message and the source its
    /// confirmation.
    fn deliver(&self, body: &[u8]) {
        let sending = self.begin_send(body);
        self.arrives(body);
        let sent = sending.end();
        let said = String::from_utf8_lossy(&sent.stderr);
        assert!(sent.status.success(), "{said}");
    }

    fn assert_relay_keeps_onion_address_after_restart(&mut self) {
        let before = self.relays[1].enode().to_owned();
        self.relays[1].kill();
        let peers = enodes([&self.relays[0], &self.relays[3]]);
        let dir = self.scratch.path();
        self.relays[1] = arti(dir, "relay1", &self.tor, &["--relay"], &peers);
        assert_eq!(self.relays[1].enode(), before);
    }

    /// Starts the source and the reader again in their directories.
    fn restart_clients(&mut self) {
        let dir = self.scratch.path();
        (self.source, self.reader) = start_clients(dir, &self.tor, &self.daemon, &self.relays);
        self.wait_for_relays();
    }

    fn assert_message_waits_for_tor_restart(&mut self) {
        let body = vec![7; 9_000];
        let sending = self.begin_send(&body);
        until("the first cells leave", || {
            let stage = self.stage();
            ["dispatched", "sealed", "planned"]
                .contains(&stage.as_str())
                .then_some(())
        });
        self.daemon.kill();
        until("the message waits for Tor", || {
            (self.stage() == "waiting").then_some(())
        });
        let shut = self.source.ask(&["status"])["shut"].to_string();
        assert!(shut.contains("no Tor daemon answers"), "{shut}");
        self.daemon.start();
        self.arrives(&body);
        let sent = sending.end();
        let said = String::from_utf8_lossy(&sent.stderr);
        assert!(sent.status.success(), "{said}");
    }

    fn assert_node_connects_through_bridge(&self) {
        let (mut bridge, line) = self.tor.bridge("bridge");
        let dir = self.scratch.path();
        let peers = enodes([&self.relays[0]]);
        let node = arti(dir, "bridged", &self.tor, &["--tor-bridge", &line], &peers);
        has_peers(&node, 1);
        bridge.kill();
        // No other path exists, although every relay of the network would answer.
        has_peers(&node, 0);
    }

    fn assert_restricted_relay_requires_client_key(&self) {
        let (dir, tor) = (self.scratch.path(), &self.tor);
        let chosen = format!("alice=descriptor:x25519:{ALICE_PUBLIC}");
        let known = enodes([&self.relays[0]]);
        let closed = ["--relay", "--tor-reader", &chosen];
        let closed = arti(dir, "closed", tor, &closed, &known);
        let name = closed.enode().split(['@', '.']).nth(1).unwrap();
        let keys = dir.join("keys");
        private(&keys);
        let key = format!("{name}:descriptor:x25519:{ALICE_PRIVATE}\n");
        let file = keys.join("closed.auth_private");
        fs::write(&file, key).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

        let both = enodes([&closed, &self.relays[0]]);
        let mallory = arti(dir, "mallory", tor, &[], &both);
        has_peers(&mallory, 1);
        let keys = ["--tor-keys", keys.to_str().unwrap()];
        let alice = arti(dir, "alice", tor, &keys, &both);
        has_peers(&alice, 2);
        assert_eq!(mallory.ask(&["status"])["peers"], 1);
    }

    fn begin_send(&self, body: &[u8]) -> node::RunningCommand {
        let file = self.scratch.path().join("body");
        fs::write(&file, body).unwrap();
        let file = file.to_str().unwrap();
        self.source.begin(&[
            "send",
            "--to",
            &self.desk,
            "-f",
            file,
            "--level",
            "normal",
            "--ttl",
            "20m",
            "--json",
            "--timeout",
            "170s",
        ])
    }

    fn arrives(&self, body: &[u8]) {
        let payload = hex::encode(body);
        until("the message arrives", || {
            let messages = self.reader.inbox();
            messages
                .iter()
                .find(|message| message["payload"] == payload)?;
            Some(())
        });
    }

    /// The stage of the source's newest message.
    fn stage(&self) -> String {
        let outbox = self.source.ask(&["outbox"]);
        // Messages to contacts, which the list also has, are named otherwise.
        let mut messages = outbox.as_array().unwrap().iter().rev();
        let newest = messages.find(|message| message["id"].is_number());
        let stage = newest.map_or("", |message| {
            message["stage"]["stage"].as_str().unwrap_or_default()
        });
        stage.to_owned()
    }
}

/// The source behind a daemon, and the reader with embedded Tor.
fn start_clients(
    dir: &Path,
    tor: &TorNetwork,
    daemon: &TorDaemon,
    relays: &[NodeProcess],
) -> (NodeProcess, NodeProcess) {
    // Cards travel at the mixing levels, which a network of seven nodes without cover does not have.
    let card_level = ["--contact-card-level", "normal"];
    let reader = arti(dir, "reader", tor, &card_level, &enodes(&relays[1..4]));
    let options = [&["--no-listen"], &card_level[..]].concat();
    let peers = enodes([&relays[0], &relays[2], &relays[4]]);
    let source = socks(dir, "source", daemon, &options, &peers);
    (source, reader)
}

/// Waits until a node has this many peers.
fn has_peers(node: &NodeProcess, count: u64) {
    until(&format!("{count} peers"), || {
        (node.ask(&["status"])["peers"] == count).then_some(())
    });
}

/// A node with embedded Tor and no other transport.
fn arti(dir: &Path, name: &str, tor: &TorNetwork, more: &[&str], peers: &str) -> NodeProcess {
    let mut args = vec![
        "--tor-mode",
        "arti",
        "--tor-only",
        "--tor-network",
        tor.description(),
    ];
    args.extend(more);
    if !peers.is_empty() {
        args.extend(["--peer", peers]);
    }
    NodeProcess::start(dir, name, &args)
}

/// A relay behind a daemon whose onion service leads to its listener.
fn socks_relay(dir: &Path, tor: &TorNetwork, peers: &str) -> (TorDaemon, NodeProcess) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap();
    let daemon = tor.daemon("behind", Some(listen.port()));
    drop(listener);
    let onion = daemon.onion();
    let more = [
        "--relay",
        "--tor-onion",
        &onion,
        "--listen",
        &listen.to_string(),
    ];
    let node = socks(dir, "socks-relay", &daemon, &more, peers);
    (daemon, node)
}

/// A node behind a daemon and no other transport.
fn socks(dir: &Path, name: &str, daemon: &TorDaemon, more: &[&str], peers: &str) -> NodeProcess {
    let port = format!("127.0.0.1:{}", daemon.socks);
    let mut args = vec![
        "--tor-mode",
        "socks",
        "--tor-only",
        "--tor-private-daemon",
        "--tor-socks",
        &port,
        "--peer",
        peers,
    ];
    args.extend(more);
    NodeProcess::start(dir, name, &args)
}

fn enodes<'a>(nodes: impl IntoIterator<Item = &'a NodeProcess>) -> String {
    let enodes: Vec<&str> = nodes.into_iter().map(NodeProcess::enode).collect();
    enodes.join(",")
}

/// A pair made by `openssl genpkey -algorithm x25519`, as docs/operating.md says.
const ALICE_PUBLIC: &str = "4I63T3MAOI3F3LFRSQLQW3QHKHKYCQUMP3GYW6SGOB5WUCCEQREA";
const ALICE_PRIVATE: &str = "MASAUBOM3RM7GL23THEVW3S4IAXGZLPSVELR4RBHDVXQOUQOCRFA";
/// With one more relay behind a daemon, enough for lanes of `normal`.
const ARTI_RELAYS: usize = 4;
/// Longest time of one step of a conversation at `normal`.
const NORMAL_TIMEOUT: Duration = Duration::from_secs(240);
/// The same at `dark`: two attempts, each of which may wait for the limit of shards.
const DARK_TIMEOUT: Duration = Duration::from_secs(900);
