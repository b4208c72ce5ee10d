//! A whole network of processes on loopback, built and controlled by the program itself.
//!
//! Eight relays, a source and a reader, each with a data directory, a listener and a local socket
//! of its own. The test repeats on real files, signals and sockets what the library's tests show in
//! simulated time, with a relay that loses power.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use circuits::ids::RelayKey;
use serde_json::Value;
use tempfile::TempDir;

use crate::node::{NodeProcess, lines, until};

#[test]
fn processes_deliver_messages_across_relay_kill() {
    let mut network = ProcessNetwork::start();
    let to = network.reader.ask(&["id", "new", "desk", "--no-password"]);
    let to = to["public_key"].as_str().unwrap();

    let body: Vec<u8> = (0..=255).cycle().take(3_000).collect();
    network.deliver(to, "desk", &body);

    network.kill_and_restart_relay();

    let password = network.write("password", b"a hedge full of sparrows\n");
    for node in [&network.source, &network.reader] {
        let shared = ["id", "new", "room", "--shared", "--topic", "0x1a2b3c4d"];
        node.ask(
            &[
                &shared[..],
                &["--no-password", "--group-password-file", &password],
            ]
            .concat(),
        );
    }
    let sent = network.deliver("room", "room", b"after the storm");
    network.audit_logs(&[sent, to.trim_start_matches("0x").to_owned()]);
}

/// The nodes of a network.
pub(crate) struct ProcessNetwork {
    scratch: TempDir,
    /// Options of all nodes.
    options: Vec<String>,
    pub(crate) relays: Vec<NodeProcess>,
    pub(crate) source: NodeProcess,
    pub(crate) reader: NodeProcess,
}

impl ProcessNetwork {
    /// Starts all nodes, and waits until the source and the reader know all relays.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these options for all nodes.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut relays: Vec<NodeProcess> = Vec::new();
        for number in 0..RELAYS {
            let before = relays.iter().rev().take(2).map(NodeProcess::enode);
            let peers: Vec<&str> = before.collect();
            let relay = relay(dir, number, "127.0.0.1:0", &peers, &options);
            relays.push(relay);
        }
        // The first two had too few peers to dial when they started.
        for (relay, peers) in [(0, [3, 5]), (1, [4, 6])] {
            for peer in peers {
                relays[relay].ask(&["peers", "--add", relays[peer].enode()]);
            }
        }
        let [source, reader] =
            CLIENTS.map(|client| start_client(dir, &relays, client, "127.0.0.1:0", &options));
        let network = Self {
            scratch,
            options,
            relays,
            source,
            reader,
        };
        network.wait_for_relays();
        network
    }

    /// Waits until the source and the reader know all relays.
    fn wait_for_relays(&self) {
        for (node, name) in [(&self.source, "the source"), (&self.reader, "the reader")] {
            until(&format!("{name} knows all relays and has peers"), || {
                let status = node.ask(&["status"]);
                let relays = status["eligible_relays"] == RELAYS;
                (relays && status["dark_peers"].as_u64() >= Some(4)).then_some(())
            });
        }
    }

    /// Kills the source and the reader, and starts both again in their directories.
    pub(crate) fn kill_and_restart_clients(&mut self) {
        self.source.kill();
        self.reader.kill();
        self.source = self.start_again(&self.source, 0);
        self.reader = self.start_again(&self.reader, 1);
        self.wait_for_relays();
    }

    /// Kills the source and starts it again in its directory.
    pub(crate) fn kill_and_restart_source(&mut self) {
        self.source.kill();
        self.source = self.start_again(&self.source, 0);
    }

    /// Kills the reader and starts it again in its directory.
    pub(crate) fn kill_and_restart_reader(&mut self) {
        self.reader.kill();
        self.reader = self.start_again(&self.reader, 1);
    }

    /// Starts a client that was killed, with its place in [`CLIENTS`].
    fn start_again(&self, killed: &NodeProcess, at: usize) -> NodeProcess {
        let dir = self.scratch.path();
        let address = killed.address();
        start_client(dir, &self.relays, CLIENTS[at], address, &self.options)
    }

    /// Starts a source of letters with the words in this file.
    pub(crate) fn start_letters(&self, name: &str, words: &str) -> NodeProcess {
        let peers = [0, 2, 4, 6]
            .map(|number| self.relays[number].enode())
            .join(",");
        let mut args = vec![
            "--words",
            "--words-file",
            words,
            "--no-listen",
            "--peer",
            &peers,
        ];
        args.extend(self.options.iter().map(String::as_str));
        let node = NodeProcess::start_ephemeral(self.scratch.path(), name, &args);
        until("the source of letters knows all relays", || {
            let status = node.ask(&["status"]);
            (status["eligible_relays"] == RELAYS && status["dark_peers"].as_u64() >= Some(4))
                .then_some(())
        });
        node
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.scratch.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Sends a file from the source, and waits until the reader has it. The source must see the
    /// echo before it gossips the envelope itself.
    /// Returns the hash of the envelope.
    fn deliver(&self, to: &str, identity: &str, body: &[u8]) -> String {
        let file = self.write("body", body);
        let sending = self.source.begin(&[
            "send",
            "--to",
            to,
            "-f",
            &file,
            "--level",
            "normal",
            "--ttl",
            "10m",
            "--json",
            "--timeout",
            "80s",
        ]);
        let payload = hex::encode(body);
        let message = until(&format!("the message to {identity} arrives"), || {
            let mut messages = self.reader.inbox().into_iter();
            messages.find(|message| message["payload"] == payload)
        });
        assert_eq!(message["to"], identity);
        assert_eq!(message["from"], Value::Null);
        let id = message["id"].as_str().unwrap();
        for id in [id, id.get(..12).unwrap()] {
            assert_eq!(self.reader.run(&["inbox", "--body", id]).stdout, body);
        }

        let sent = sending.end();
        let stages = lines(&sent.stderr);
        assert_eq!(sent.status.code(), Some(0), "{stages:?}");
        let outcome = lines(&sent.stdout);
        assert_eq!(outcome[0]["delivered"], true, "{outcome:?}");
        assert_eq!(outcome[0]["first_gossip"], false, "{outcome:?}");
        let reached = |stage: &str| -> Vec<&Value> {
            let all = stages.iter().map(|line| &line["reached"]);
            all.filter(|reached| reached["stage"] == stage).collect()
        };
        assert!(!reached("planned").is_empty(), "{stages:?}");
        let seen = reached("seen");
        assert!(!seen.is_empty(), "{stages:?}");
        assert!(
            seen.iter().all(|seen| seen["first_gossip"] == false),
            "the source was the first to gossip its own envelope: {stages:?}"
        );
        let envelope = outcome[0]["envelope"].as_str().unwrap();
        envelope.trim_start_matches("0x").to_owned()
    }

    /// Checks that the most detailed logs contain neither of the secrets, nor what names
    /// a message, a path or a reader (test 36 of the anonymity notes).
    fn audit_logs(&self, secrets: &[String]) {
        let told = ["desk", "room", "1a2b3c4d", "after the storm"].map(str::to_owned);
        let relays = self.relays.iter().map(|relay| {
            let key = relay.enode().trim_start_matches("enode://");
            let key = hex::decode(key.split_once('@').unwrap().0).unwrap();
            hex::encode(RelayKey(key.try_into().unwrap()).id().0)
        });
        let never: Vec<String> = told.into_iter().chain(relays).collect();
        let never: Vec<&String> = never.iter().chain(secrets).collect();
        assert!(never.iter().all(|secret| secret.len() >= 4), "{never:?}");
        let nodes = self.relays.iter().chain([&self.source, &self.reader]);
        for node in nodes {
            let log = node.log();
            assert!(log.contains("\"trace\""), "the log is not detailed");
            // A prefix names a message or a relay as well as the whole.
            let prefixes = never.iter().map(|secret| {
                let end = secret.len().min(16);
                secret.get(..end).unwrap()
            });
            for secret in prefixes {
                let mut lines = log.lines();
                let line = lines.find(|line| line.contains(secret));
                assert!(line.is_none(), "a log names {secret}: {line:?}");
            }
        }
    }

    /// Kills a relay and restarts it: it must have the same key, and must not publish a descriptor
    /// that contradicts an earlier one.
    fn kill_and_restart_relay(&mut self) {
        let (enode, address) = {
            let relay = &self.relays[VICTIM];
            (relay.enode().to_owned(), relay.address().to_owned())
        };
        let key = enode.strip_prefix("enode://").unwrap();
        let (key, _) = key.split_once('@').unwrap();
        let told = descriptors(self.relays[VICTIM].dir());
        assert!(!told.is_empty());
        self.relays[VICTIM].kill();
        until("the source misses the relay that was killed", || {
            (!has(&self.source.ask(&["peers"]), "key", key)).then_some(())
        });

        let peers = [VICTIM - 1, VICTIM - 2].map(|peer| self.relays[peer].enode());
        let dir = self.scratch.path();
        let back = relay(dir, VICTIM, &address, &peers, &self.options);
        assert_eq!(back.enode(), enode);
        self.relays[VICTIM] = back;
        until("the source and its relay are peers again", || {
            has(&self.source.ask(&["peers"]), "key", key).then_some(())
        });
        let id = RelayKey(hex::decode(key).unwrap().try_into().unwrap()).id();
        let relays = self.source.ask(&["relays"]);
        assert!(
            has(&relays, "id", &hex::encode(id.0)),
            "the source forgot the relay"
        );
        let status = self.source.ask(&["status"]);
        assert_eq!(status["eligible_relays"], RELAYS, "{status}");
        let tells = descriptors(self.relays[VICTIM].dir());
        for (epoch, descriptor) in told {
            assert!(
                tells.get(&epoch) == Some(&descriptor),
                "the relay has two descriptors for epoch {epoch}"
            );
        }
    }
}

/// Starts or restarts the source or the reader.
fn start_client(
    dir: &Path,
    relays: &[NodeProcess],
    (name, numbers): (&str, [usize; 4]),
    listen: &str,
    options: &[String],
) -> NodeProcess {
    let peers = numbers.map(|number| relays[number].enode()).join(",");
    let mut args = vec!["--listen", listen, "--peer", &peers];
    args.extend(options.iter().map(String::as_str));
    NodeProcess::start_traced(dir, name, &args)
}

/// Starts or restarts a relay.
fn relay(
    dir: &Path,
    number: usize,
    listen: &str,
    peers: &[&str],
    options: &[String],
) -> NodeProcess {
    let peers = peers.join(",");
    let mut args = vec!["--relay", "--listen", listen];
    args.extend(options.iter().map(String::as_str));
    if !peers.is_empty() {
        args.extend(["--peer", &peers]);
    }
    NodeProcess::start_traced(dir, &format!("relay-{number}"), &args)
}

/// Whether a list contains an object with this field.
fn has(list: &Value, field: &str, value: &str) -> bool {
    let mut objects = list.as_array().unwrap().iter();
    objects.any(|object| object[field] == value)
}

/// The durable descriptors of a relay, by epoch.
fn descriptors(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir.join("descriptor")).unwrap();
    let read = |file: fs::DirEntry| {
        let name = file.file_name().into_string().unwrap();
        (name, fs::read(file.path()).unwrap())
    };
    files.map(|file| read(file.unwrap())).collect()
}

const RELAYS: usize = 8;
/// Names of the source and the reader, and their peers.
const CLIENTS: [(&str, [usize; 4]); 2] = [("source", [0, 2, 4, 6]), ("reader", [1, 3, 5, 7])];
/// A peer of the source.
const VICTIM: usize = 4;
