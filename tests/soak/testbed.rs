//! The node that is attacked, and two honest nodes that have no other peer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use circuits::ids::{NetworkId, Profile, RelayKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::shell::rpc::RpcClient;

use crate::node::NodeProcess;
use crate::resource_usage::ResourceUsage;

/// All nodes except the attackers.
pub(crate) struct Testbed {
    scratch: TempDir,
    victim: NodeProcess,
    ann: NodeProcess,
    ben: NodeProcess,
}

/// The attackers' knowledge of the node: public data, and data visible to a local program.
pub(crate) struct TargetNode {
    pub(crate) addr: SocketAddr,
    pub(crate) key: RelayKey,
    pub(crate) network: NetworkId,
    pub(crate) ipc: PathBuf,
    /// The address of JSON-RPC over HTTP and WebSocket.
    pub(crate) rpc: SocketAddr,
    pub(crate) token: String,
}

impl Testbed {
    /// Starts all three, and waits until the honest nodes are peers of the attacked one.
    pub(crate) async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let listen = ["--listen", "127.0.0.1:0"];
        let pool = POOL_MB.to_string();
        let args = [&listen[..], &["--relay", "--pool-mb", &pool], &SERVICES].concat();
        let victim = NodeProcess::start(scratch.path(), "victim", &args);
        let honest = |name| {
            // Their envelopes have more work than the flood, or a full pool would refuse them.
            let args = ["--level", "open", "--min-pow", "0.05"];
            let args = [&listen[..], &args, &["--peer", victim.enode()]].concat();
            NodeProcess::start(scratch.path(), name, &args)
        };
        let (ann, ben) = (honest("ann"), honest("ben"));
        let testbed = Self {
            victim,
            ann,
            ben,
            scratch,
        };
        let mut client = testbed.client().await;
        for honest in [&testbed.ann, &testbed.ben] {
            // Unknown peers cannot displace a peer that the user named.
            let peer = json!([honest.enode()]);
            client.call("whisht_addPeer", peer).await.unwrap();
        }
        while peers(&mut client).await < 2 {
            sleep(Duration::from_millis(100)).await;
        }
        testbed
    }

    /// Makes the attacked node try so many key pairs on every envelope.
    pub(crate) async fn listen_with_keys(&self, count: usize) {
        let mut client = self.client().await;
        for _ in 0..count {
            let key = client.call("shh_newKeyPair", json!([])).await.unwrap();
            let filter = json!([{"privateKeyID": key}]);
            client.call("shh_newMessageFilter", filter).await.unwrap();
        }
    }

    pub(crate) fn target(&self) -> Arc<TargetNode> {
        let PeerAddr { key, endpoint } = self.victim.enode().parse().unwrap();
        let Endpoint::Tcp(addr) = endpoint else {
            panic!("the node listens on TCP")
        };
        let said = |name: &str| self.victim.banner()[name].as_str().unwrap();
        let (rpc, token) = (said("http"), said("rpc_token"));
        Arc::new(TargetNode {
            addr,
            key,
            network: NetworkId::new(Profile::Local, "processes"),
            ipc: ipc_socket(&self.victim),
            rpc: rpc.strip_prefix("http://").unwrap().parse().unwrap(),
            token: std::fs::read_to_string(token).unwrap(),
        })
    }

    /// The honest nodes.
    pub(crate) fn honest(&self) -> [&NodeProcess; 2] {
        [&self.ann, &self.ben]
    }

    /// The node under attack.
    pub(crate) fn victim(&self) -> &NodeProcess {
        &self.victim
    }

    /// An RPC client of the attacked node's owner.
    pub(crate) async fn client(&self) -> RpcClient {
        RpcClient::connect(&ipc_socket(&self.victim)).await.unwrap()
    }

    /// A node's standard error.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.scratch.path().join(format!("{name}.log"))
    }

    /// Asserts that the node released the resources of all attackers, except memory that the
    /// allocator keeps.
    pub(crate) async fn assert_recovered(&self, quiet: &ResourceUsage) {
        let mut client = self.client().await;
        let calm = async {
            while peers(&mut client).await > 2
                || ResourceUsage::of(self).descriptors > quiet.descriptors + 2
            {
                sleep(Duration::from_millis(200)).await;
            }
        };
        if timeout(RECOVERY_TIMEOUT, calm).await.is_err() {
            let now = ResourceUsage::of(self);
            panic!(
                "{} peers and {} descriptors are left, {} before the attack",
                peers(&mut client).await,
                now.descriptors,
                quiet.descriptors
            );
        }
    }

    /// The archive still answers, and contains the messages of the honest nodes.
    pub(crate) fn assert_serves_mail(&self) {
        let fetch = ["mail", "fetch", "--from", self.victim.enode(), "--json"];
        let output = self.ann.run(&[&fetch[..], &["--since", "1h"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        // One exchange may not return everything.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
        let end: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(end["envelopes"].as_u64() > Some(0), "{end}");
    }

    /// No attack made the node log a bug.
    pub(crate) fn assert_no_bug_logged(&self) {
        for name in ["victim", "ann", "ben"] {
            let log = std::fs::read_to_string(self.log(name)).unwrap();
            for sign in ["panicked", "this is a bug"] {
                assert!(!log.contains(sign), "{name} logged: {log}");
            }
        }
    }
}

/// The number of a node's peers.
async fn peers(client: &mut RpcClient) -> u64 {
    let status = client.call("whisht_status", json!([])).await.unwrap();
    status.get("peers").and_then(Value::as_u64).unwrap()
}

/// A node's local socket.
pub(crate) fn ipc_socket(node: &NodeProcess) -> PathBuf {
    node.dir().join("whisht.ipc")
}

/// A small pool in the node under attack, so that floods fill it.
pub(crate) const POOL_MB: usize = 8;
/// Further services of the node under attack: a small mail archive, and JSON-RPC over TCP.
const SERVICES: [&str; 8] = [
    "--mail-serve",
    "--mail-max-mb=8",
    "--rpc-http",
    "127.0.0.1:0",
    "--rpc-ws",
    "127.0.0.1:0",
    "--rpc-modules",
    "net,shh,web3,whisht",
];
/// Time in which the node must notice that its attackers have ended.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);
