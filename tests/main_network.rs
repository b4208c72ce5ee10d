//! A network of profile `main` between processes: each node a host with a public address of its own.
//!
//! Loopback has one subnet and no public address, so the rules of `main` cannot be kept there. Here every node
//! is a process in a network namespace of its own, all of them on one bridge in a namespace that has no other
//! way out. `bash .ci/main-network` makes that namespace and starts the test; no packet leaves the machine.
//!
//! One rule is not that of `main`: a descriptor costs one solution of the puzzle, not 65,536 (decision 39).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and wait"
)]

#[path = "main_network/ceremony.rs"]
mod ceremony;
#[path = "main_network/earlier_run.rs"]
mod earlier_run;
#[path = "main_network/host.rs"]
mod host;
#[path = "processes/node.rs"]
mod node;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use circuits::ids::Epoch;
use tempfile::TempDir;
use whisht::config::{Config, file};
use whisht::shell::runtime::{DataLocation, RunningNode};

use crate::ceremony::SignedList;
use crate::earlier_run::{RelayIdentity, current_epoch};
use crate::host::{Host, Lan};
use crate::node::until_within;

#[test]
#[ignore = "needs a network namespace of its own, and root: `bash .ci/main-network`"]
fn main_network_of_signed_list_delivers_and_uses_no_other_relay() {
    let network = MainNetwork::start(Duration::from_secs(120));
    network.wait_for_relays();
    network.check_relay_beside_the_list();
    network.check_doctors();
    network.deliver("normal");
    network.check_dark_is_refused();
    network.check_forwarded();
    // Last, because it uses the relay beside the list.
    network.check_newcomer_without_a_list();
}

/// Mixing takes minutes in a network this quiet, because the delay of a relay follows from its traffic.
#[test]
#[ignore = "takes up to a quarter of an hour, beside what the other test needs: `bash .ci/main-network hush`"]
fn main_network_of_twenty_five_relays_delivers_at_hush() {
    let network = MainNetwork::start(Duration::from_secs(1_200));
    network.wait_for_relays();
    network.deliver("hush");
    network.check_forwarded();
}

/// Not a test: the process of one node. It runs until it is killed.
#[test]
#[ignore = "a process of the other test, which starts it"]
fn node_of_main_network() {
    let dir = std::env::var_os(NODE_DIR).map(PathBuf::from);
    let dir = dir.expect("this is a process of the other test: run `bash .ci/main-network`");
    let text = fs::read_to_string(dir.join("config.toml")).unwrap();
    let settings = file::parse(&dir.join("config.toml"), &text).unwrap();
    let mut config = Config::build(settings).unwrap();
    config.node.danger_descriptor_effort = Some(EFFORT);
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO);
    log.with_ansi(false).init();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let location = DataLocation::Directory(dir);
        let _node = RunningNode::open(config, &location, None).await.unwrap();
        std::future::pending::<()>().await;
    });
}

/// The nodes of the network.
struct MainNetwork {
    /// The relays of the list.
    relays: Vec<Host>,
    /// A relay that the list does not name.
    unlisted: Host,
    source: Host,
    reader: Host,
    /// The addresses of five relays.
    known: Vec<String>,
    lan: Lan,
    scratch: TempDir,
}

impl MainNetwork {
    /// Makes the list, and starts all nodes with it. The test must take less than `time`: if the epoch ends
    /// before, it begins with the next one, so that no path is drawn anew while a message is on its way.
    fn start(time: Duration) -> Self {
        let lan = Lan::open();
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let epoch = epoch_with_time_left(time);
        let identities = RelayIdentity::of_every_layer(RELAYS_OF_LAYER);
        let listed = identities.iter().enumerate();
        let listed = listed.map(|(number, relay)| relay.enode(address(number)));
        let list = SignedList::make(dir, &listed.collect::<Vec<_>>());

        let relays = identities.iter().enumerate().map(|(number, identity)| {
            let place = dir.join(format!("relay-{number}"));
            identity.write_earlier_run(&place, epoch, address(number));
            Host::start(
                &lan,
                &place,
                address(number),
                &list.settings("relay = true"),
            )
        });
        let relays: Vec<Host> = relays.collect();
        let place = dir.join("unlisted");
        let outsider = RelayIdentity::new();
        let at = address(identities.len());
        outsider.write_earlier_run(&place, epoch, at);
        let unlisted = Host::start(&lan, &place, at, &list.settings("relay = true"));
        let start = |name: &str, number: u8, settings: &str| {
            Host::start(&lan, &dir.join(name), [46, number, 0, 1], settings)
        };
        let client = list.settings("listen = []");
        let known = identities.iter().enumerate().take(5);
        Self {
            known: known
                .map(|(number, relay)| relay.enode(address(number)))
                .collect(),
            source: start("source", 1, &client),
            reader: start("reader", 2, &client),
            relays,
            unlisted,
            lan,
            scratch,
        }
    }

    /// Waits until source and reader can use all relays of the list, and have peers.
    fn wait_for_relays(&self) {
        for node in [&self.source, &self.reader] {
            until_within(START_TIMEOUT, "a client has the relays of the list", || {
                let status = node.ask(&["status"]);
                let peers = status["dark_peers"].as_u64() >= Some(3);
                (status["eligible_relays"] == self.relays.len() && peers).then_some(())
            });
        }
    }

    /// The relay that the list does not name is known to all, by descriptors like those of the others, and
    /// paths cannot use it.
    fn check_relay_beside_the_list(&self) {
        let id = self.unlisted.relay_id();
        let eligible = |node: &Host| {
            let relays = node.ask(&["relays"]);
            let mut relays = relays.as_array().unwrap().iter();
            relays
                .find(|relay| relay["id"] == id.as_str())
                .map(|relay| relay["eligible"] == true)
        };
        for node in [&self.source, &self.reader, &self.relays[0]] {
            let known = until_within(START_TIMEOUT, "the other relay is known", || eligible(node));
            assert!(!known, "a relay that is not on the list is eligible");
        }
        let list = &self.source.ask(&["status"])["relay_list"]["in_force"];
        assert_eq!(list["relays"], self.relays.len(), "{list}");
    }

    /// A node that pins no signers and knows five relays uses all that three of its peers report: also the one
    /// beside the list.
    fn check_newcomer_without_a_list(&self) {
        let settings = format!("listen = []\npeers = {:?}\n", self.known);
        let place = self.scratch.path().join("newcomer");
        let newcomer = Host::start(&self.lan, &place, [46, 3, 0, 1], &settings);
        until_within(START_TIMEOUT, "three peers report all relays", || {
            let status = newcomer.ask(&["status"]);
            assert_eq!(status["directory"], "young");
            (status["eligible_relays"] == self.relays.len() + 1).then_some(())
        });
    }

    /// Nothing is wrong with a relay and a client, and peers can dial the relay.
    fn check_doctors(&self) {
        for node in [&self.relays[0], &self.source] {
            let told = node.doctor();
            let found = told["findings"].as_array().unwrap();
            assert!(told["running"] == true && told["wrong"] == 0, "{found:#?}");
        }
        let told = self.relays[1].doctor();
        let mut found = told["findings"].as_array().unwrap().iter();
        let reached = found.find(|finding| finding["check"] == "reachability");
        let reached = reached.unwrap();
        let text = reached["text"].as_str().unwrap();
        let dialled = reached["result"] == "ok" && text.contains("dialled back by");
        assert!(dialled, "{reached}");
    }

    /// Sends a message to a new identity of the reader, and waits until it is there and the source has seen it.
    fn deliver(&self, level: &str) {
        let made = self.reader.ask(&["id", "new", "desk", "--no-password"]);
        let to = made["public_key"].as_str().unwrap();
        let begun = Instant::now();
        let body = format!("sent at {level}");
        let sending = self.source.send(to, level, &body);
        let payload = hex::encode(&body);
        let what = format!("a message at {level} arrives");
        until_within(DELIVERY_TIMEOUT, &what, || {
            let mut inbox = self.reader.inbox().into_iter();
            inbox.find(|message| message["payload"] == payload)
        });
        println!("a message at {level} took {} s", begun.elapsed().as_secs());
        sending.assert_sender_was_not_first(DELIVERY_TIMEOUT);
    }

    /// Twenty-five relays are too few for `dark`, and the node says which rule it is.
    fn check_dark_is_refused(&self) {
        let to = &self.reader.ask(&["id", "list"])[0]["public_key"];
        let output = self
            .source
            .send(to.as_str().unwrap(), "dark", "refused")
            .end();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{told}");
    }

    /// Every relay behind the first layer forwards cells; one of the first layer may be the guard of no node. The
    /// relay beside the list forwards none.
    fn check_forwarded(&self) {
        let forwarded = |node: &Host| node.ask(&["status"])["cells_forwarded"].as_u64().unwrap();
        until_within(START_TIMEOUT, "four layers forward cells", || {
            let busy = self.relays.iter().filter(|relay| forwarded(relay) > 0);
            (busy.count() >= 4 * RELAYS_OF_LAYER).then_some(())
        });
        assert_eq!(
            forwarded(&self.unlisted),
            0,
            "the relay beside the list is used"
        );
    }
}

/// The epoch of the descriptors: this one, or the next if this one ends within the time.
fn epoch_with_time_left(time: Duration) -> Epoch {
    let epoch = current_epoch();
    let end = u64::from(epoch.next().start().0);
    let left = Duration::from_secs(end.saturating_sub(earlier_run::unix_secs().into()));
    if left > time {
        return epoch;
    }
    std::thread::sleep(left + Duration::from_secs(1));
    current_epoch()
}

/// The address of a relay; each is in a subnet of its own.
fn address(number: usize) -> [u8; 4] {
    [45, u8::try_from(number + 1).unwrap(), 0, 1]
}

/// A variable with the directory of the node that a process runs.
const NODE_DIR: &str = "MAIN_NETWORK_NODE";
/// The smallest network of `hush` has 25 relays.
const RELAYS_OF_LAYER: usize = 5;
/// Solutions of the puzzle that a descriptor costs.
const EFFORT: u32 = 1;
/// Only bounds the wait.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Only bounds the wait: at `hush` one of ten attempts is lost, and a node that receives no envelopes meanwhile, as
/// in a network this quiet, delays the next one.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(900);
