//! Floods against the places of a running program: idle links, silent connections, unfinished
//! frames, and a process without descriptors.
//!
//! The program runs in a process of its own, and all connections are over loopback. The numbers are
//! small; `PLACES_SCALE=full` runs them at the scale of the figures in docs/benchmarks.md.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, wait, and read the clock; the figures are for the terminal"
)]

#[path = "places/attacker.rs"]
mod attacker;
#[path = "processes/node.rs"]
mod node;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use whisht::config::{Config, file};
use whisht::link::Capability;
use whisht::node::{Command, Reply};
use whisht::shell::runtime::{DataLocation, RunningNode};

use attacker::{AttackLink, RawLink, Target};
use node::NodeProcess;

/// Whether the attacks have their full scale.
fn is_full() -> bool {
    std::env::var("PLACES_SCALE").is_ok_and(|scale| scale == "full")
}

fn scaled(small: u64, full: u64) -> u64 {
    if is_full() { full } else { small }
}

/// A program with these further arguments.
fn start(parent: &Path, name: &str, args: &[&str]) -> NodeProcess {
    let listen = ["--listen", "127.0.0.1:0"];
    NodeProcess::start(parent, name, &[&listen[..], args].concat())
}

/// An honest node in this process, without peers.
async fn node() -> RunningNode {
    let text = "profile = 'local'\nnetwork = 'processes'\nthreads = 1\nlisten = []\n";
    let config = Config::build(file::parse(Path::new("test"), text).unwrap()).unwrap();
    RunningNode::open(config, &DataLocation::Ephemeral, None)
        .await
        .unwrap()
}

async fn dial(node: &RunningNode, target: &NodeProcess) {
    let peer = target.enode().parse().unwrap();
    let added = node.handle().command(Command::AddPeer(peer)).await;
    added.unwrap().unwrap();
}

/// An honest node that dials the program.
async fn honest(target: &NodeProcess) -> RunningNode {
    let node = node().await;
    dial(&node, target).await;
    node
}

async fn peers(node: &RunningNode) -> usize {
    match node.handle().command(Command::Status).await.unwrap() {
        Ok(Reply::Status(status)) => status.peers,
        other => panic!("{other:?}"),
    }
}

/// The time until an honest node has its link.
async fn until_linked(node: &RunningNode) -> Duration {
    let begun = Instant::now();
    let linked = async {
        while peers(node).await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, linked).await.expect("a link");
    begun.elapsed()
}

fn inbound(target: &NodeProcess) -> Value {
    target.ask(&["status"])["inbound"].clone()
}

/// Opens idle links and keeps them until the set is dropped. A link that is closed is dialled again
/// after two seconds.
fn idle_links(target: Target, count: u64, capabilities: &'static [Capability]) -> JoinSet<()> {
    let mut links = JoinSet::new();
    for number in 0..count {
        links.spawn(async move {
            sleep(Duration::from_millis(number * 4)).await;
            for attempt in 0.. {
                let seed = number + attempt * 1_000_000;
                if let Ok(mut link) = AttackLink::open(target, seed, capabilities).await {
                    link.idle().await;
                }
                sleep(Duration::from_secs(2)).await;
            }
        });
    }
    links
}

async fn until_inbound(target: &NodeProcess, class: &str, wanted: u64) {
    let begun = Instant::now();
    while inbound(target)[class].as_u64().unwrap() < wanted {
        assert!(
            begun.elapsed() < TEST_TIMEOUT,
            "{class}: {}",
            inbound(target)
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// Attack: idle links that take every place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_links_shut_out_neither_named_peers_nor_newcomers() {
    raise_descriptor_limit();
    let scratch = tempfile::tempdir().unwrap();
    for (capabilities, class, small, places) in [
        (&[Capability::ONION_1][..], "cells_only", 280, 250),
        (&[Capability::SHH_6][..], "gossip", 30, 20),
    ] {
        let target = start(scratch.path(), class, &[]);
        let attackers = idle_links(
            Target::of(target.enode()),
            scaled(small, 1_000),
            capabilities,
        );
        until_inbound(&target, class, places).await;
        // At full scale, all attackers have dialled, and dial again.
        sleep(Duration::from_secs(scaled(0, 15))).await;
        let newcomer = honest(&target).await;
        let to_newcomer = until_linked(&newcomer).await;
        let named = node().await;
        let key = hex::encode(named.key().0);
        let enode = format!("[\"enode://{key}@127.0.0.1:1\"]");
        let allowed = target.run(&["rpc", "admin_addTrustedPeer", &enode]);
        assert!(allowed.status.success(), "{allowed:?}");
        dial(&named, &target).await;
        let to_named = until_linked(&named).await;
        println!(
            "{class}: newcomer {to_newcomer:?}, named {to_named:?}; {}",
            inbound(&target)
        );
        assert!(to_newcomer < Duration::from_secs(15) && to_named < Duration::from_secs(15));
        drop(attackers);
    }
}

/// Attack: connections that say nothing, faster than the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_cut_no_link_and_keep_no_newcomer_out() {
    let scratch = tempfile::tempdir().unwrap();
    let target = start(scratch.path(), "target", &[]);
    let addr = Target::of(target.enode()).addr;
    let (rate, seconds) = (400, scaled(3, 20));
    let mut honest_nodes = Vec::new();
    let flood = tokio::spawn(async move {
        let mut held = std::collections::VecDeque::new();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for _ in 0..seconds * 100 {
            tick.tick().await;
            for _ in 0..rate / 100 {
                held.extend(TcpStream::connect(addr).await);
            }
            while held.len() > 600 {
                held.pop_front();
            }
        }
        held.len()
    });
    // Links open before and during the flood.
    let mut slowest = Duration::ZERO;
    while !flood.is_finished() {
        if honest_nodes.len() < 12 {
            let node = honest(&target).await;
            slowest = slowest.max(until_linked(&node).await);
            honest_nodes.push(node);
        }
        for node in &honest_nodes {
            assert_eq!(peers(node).await, 1, "a link was cut");
        }
        sleep(Duration::from_millis(50)).await;
    }
    flood.await.unwrap();
    let taken = inbound(&target);
    println!(
        "{} honest links, slowest {slowest:?}; {taken}",
        honest_nodes.len()
    );
    assert_eq!(
        taken["gossip"].as_u64(),
        Some(honest_nodes.len().try_into().unwrap())
    );
}

/// Attack: frames that never end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_frames_take_bounded_memory() {
    let scratch = tempfile::tempdir().unwrap();
    for (capability, count) in [
        (Capability::ONION_1, scaled(60, 250)),
        (Capability::SHH_6, scaled(80, 250)),
    ] {
        let name = capability.name();
        let target = start(scratch.path(), name, &["--max-peers", "400"]);
        let quiet = peak_memory(&target);
        let peer = Target::of(target.enode());
        let mut attackers = JoinSet::new();
        for number in 0..count {
            attackers.spawn(async move {
                // Too many handshakes at once displace each other.
                let mut link = loop {
                    match RawLink::open(peer, number, capability).await {
                        Ok(link) => break link,
                        Err(_) => sleep(Duration::from_millis(50)).await,
                    }
                };
                // The node closes the link before the end, or holds it.
                let _sent = link.send_unfinished(2_000_000).await;
                link.hold(Duration::from_secs(5)).await;
            });
        }
        let newcomer = honest(&target).await;
        let linked = until_linked(&newcomer).await;
        while attackers.join_next().await.is_some() {}
        let grown = peak_memory(&target) - quiet;
        let view = inbound(&target);
        println!("{name}: {count} frames, {grown} KB above quiet; newcomer {linked:?}; {view}");
        assert!(grown < 128 * 1_024, "{grown} KB");
        if capability == Capability::SHH_6 {
            assert!(
                view["overfull"].as_u64().unwrap() > 0,
                "the budget was not reached"
            );
        }
    }
}

/// Flood: a process that has no descriptor left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_answers_while_no_descriptor_is_left() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let scratch = tempfile::tempdir().unwrap();
    let target = start(scratch.path(), "target", &[]);
    let open = std::fs::read_dir(format!("/proc/{}/fd", target.id()))
        .unwrap()
        .count();
    let limit = Some(u64::try_from(open).unwrap() + 10);
    let pid = Pid::from_raw(target.id().try_into().unwrap());
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    prlimit(pid, Resource::Nofile, limit).unwrap();
    let addr = Target::of(target.enode()).addr;
    let mut flood = Vec::new();
    for _ in 0..60 {
        flood.push(TcpStream::connect(addr).await.unwrap());
    }
    let begun = Instant::now();
    while inbound(&target)["listener_faults"] == 0 {
        // Handshakes end after five seconds; the queue of the operating system goes on.
        assert!(begun.elapsed() < TEST_TIMEOUT, "no fault is shown");
        flood.push(TcpStream::connect(addr).await.unwrap());
    }
    let fault = inbound(&target)["listener_fault"]["reason"].clone();
    assert!(fault.as_str().unwrap().contains("open files"), "{fault}");
    let log = std::fs::read_to_string(scratch.path().join("target.log")).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("cannot accept connections"));
    assert_eq!(lines.count(), 1, "{log}");
}

/// The peak of a node's resident memory, in KB.
fn peak_memory(node: &NodeProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Permits this process as many descriptors as the attack at full scale needs.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Only bounds the wait.
const TEST_TIMEOUT: Duration = Duration::from_secs(90);
