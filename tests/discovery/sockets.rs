//! Nodes with sockets of their own on loopback.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use whisht::config::{Config, file};
use whisht::discovery::Contact;
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::node::{Command, NodeView, Reply, StatusView};
use whisht::rpc;
use whisht::shell::runtime::{DataLocation, RunningNode, RuntimeError};

/// Only bounds the wait; an idle machine needs far less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(90);

/// A node without a data directory, with further lines of the table `[discovery]`.
pub(crate) async fn open(more: &str) -> Result<RunningNode, RuntimeError> {
    open_at("127.0.0.1:0", more).await
}

async fn open_at(address: &str, more: &str) -> Result<RunningNode, RuntimeError> {
    let text = format!(
        "profile = 'local'\nnetwork = 'discovery-test'\nthreads = 1\nmax-peers = 12\n\
         listen = ['{address}']\n[discovery]\nenabled = true\n{more}"
    );
    let config = Config::build(file::parse(Path::new("test"), &text).unwrap()).unwrap();
    RunningNode::open(config, &DataLocation::Ephemeral, None).await
}

/// The setting that names a node as bootnode.
pub(crate) fn first(enode: &str) -> String {
    format!("bootnodes = ['{enode}']\n")
}

pub(crate) fn enode(host: &RunningNode) -> String {
    let address = *host.handle().addresses().first().unwrap();
    let peer = PeerAddr {
        key: host.key(),
        endpoint: Endpoint::Tcp(address),
    };
    peer.to_string()
}

pub(crate) async fn status(host: &RunningNode) -> StatusView {
    match host.handle().command(Command::Status).await {
        Ok(Ok(Reply::Status(status))) => *status,
        other => panic!("{other:?}"),
    }
}

/// Waits until a node's status meets a condition.
pub(crate) async fn until(host: &RunningNode, what: &str, so: impl Fn(&StatusView) -> bool) {
    let waited = timeout(CONNECT_TIMEOUT, async {
        while !so(&status(host).await) {
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "timeout: {what}");
}

#[tokio::test]
async fn loopback_nodes_discover_each_other_from_one_bootnode() {
    let bootnode = open("").await.unwrap();
    let first = first(&enode(&bootnode));
    let mut nodes = Vec::new();
    for _ in 0..7 {
        nodes.push(open(&first).await.unwrap());
    }
    for node in &nodes {
        until(node, "knows most of the others", |status| {
            status.discovery >= Some(6)
        })
        .await;
        until(node, "has discovered peers", |status| status.peers >= 2).await;
    }
    // The bootnode may stop: the others know each other.
    bootnode.handle().shutdown().await;
    drop(bootnode);
    for node in &nodes {
        until(node, "still has peers", |status| status.peers >= 1).await;
    }
}

#[tokio::test]
async fn garbage_datagrams_do_not_disturb_links_or_discovery() {
    let bootnode = open("").await.unwrap();
    let first = first(&enode(&bootnode));
    let node = open(&first).await.unwrap();
    until(&node, "has a peer", |status| status.peers == 1).await;
    let target = *bootnode.handle().addresses().first().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in (0..1_500).step_by(7) {
        socket.send_to(&vec![0xa5; len], target).unwrap();
    }
    let newcomer = open(&first).await.unwrap();
    until(&newcomer, "finds both", |status| {
        status.discovery >= Some(2)
    })
    .await;
    assert!(status(&node).await.peers >= 1);
}

#[tokio::test]
async fn node_info_reports_discovery_port() {
    let host = open("").await.unwrap();
    let Ok(Ok(Reply::Node(node))) = host.handle().command(Command::Node).await else {
        panic!("not the node's description");
    };
    let info = |listening| rpc::admin::node_info(&node, listening);
    let own = info(host.handle().addresses());
    // Without a discovery port in the URL, the port of links is used, as in go-ethereum.
    assert_eq!(own["enode"], enode(&host));
    assert_eq!(own["ports"]["discovery"], own["ports"]["listener"]);

    let node = NodeView {
        advertised: vec!["192.0.2.1:443".to_owned()],
        ..node.clone()
    };
    let info = |listening| rpc::admin::node_info(&node, listening);
    let elsewhere = info(&["127.0.0.1:30303".parse().unwrap()]);
    let url = elsewhere["enode"].as_str().unwrap();
    assert!(url.ends_with("@192.0.2.1:443?discport=30303"), "{url}");
    assert_eq!(url.parse::<Contact>().unwrap().udp, 30303);
}

#[tokio::test]
async fn occupied_discovery_port_is_named_in_error() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let refusal = open_at(&at, "").await.unwrap_err().to_string();
    assert!(refusal.contains(&at), "{refusal}");
}
