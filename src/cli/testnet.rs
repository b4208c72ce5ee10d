//! `whisht testnet N`: a local network that keeps running, for developers.
//!
//! Each node is a relay with a data directory, a listener and an RPC endpoint of its own, all in this
//! process and on loopback. A restart with the same directory continues with the same keys. The profile
//! `local` applies, so no figure holds for the real network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use circuits::ids::{Profile, RelayKey};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;

use super::output::{Printer, say};
use super::remote_node::busy_runtime;
use super::{Exit, Failure, log};
use crate::config::log::{LogConfig, LogSettings};
use crate::config::rpc::RpcListen;
use crate::config::value::{self, NetworkName};
use crate::config::{Config, Settings};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::link::LinkKey;
use crate::shell::identity_set::IdentitySet;
use crate::shell::runtime::{DataLocation, RunningNode};
use crate::shell::signal::Interrupts;
use crate::shell::store::Storage;

/// Options of `whisht testnet`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of nodes
    #[arg(value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=64))]
    nodes: u16,
    /// Directory of the nodes; they continue with what is in it
    #[arg(long, value_name = "DIR", default_value = "whisht-testnet")]
    dir: PathBuf,
    /// First port: node i listens on it plus 2(i-1), and serves JSON-RPC on the next one
    #[arg(long, value_name = "PORT", default_value_t = 21_819, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port: u16,
    /// Name of the network
    #[arg(long, default_value = "testnet", value_parser = value::parsed::<NetworkName>)]
    network: NetworkName,
}

/// A node whose directory is open, and which does not run yet.
struct PlannedTestNode {
    place: NodePlace,
    storage: Storage,
}

/// Where the user finds a node.
#[derive(Clone, Debug, Serialize)]
struct NodePlace {
    data_dir: PathBuf,
    enode: String,
    http: String,
    #[serde(skip)]
    listen: SocketAddr,
    #[serde(skip)]
    rpc: SocketAddr,
    #[serde(skip)]
    key: RelayKey,
}

/// Runs the network until Ctrl-C.
///
/// # Errors
///
/// [`Failure`] if a node does not start: its directory is in use, or its ports are.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    super::no_data_dir("testnet")?;
    log::start(json, &LogConfig::build(&LogSettings::default()))?;
    let printer = Printer { json, local: true };
    let planned = (0..args.nodes).map(|number| args.plan(number));
    let planned = planned.collect::<Result<Vec<_>, _>>()?;
    busy_runtime()?.block_on(async {
        let mut interrupts = Interrupts::take().map_err(failed)?;
        let places: Vec<NodePlace> = planned.iter().map(|node| node.place.clone()).collect();
        let mut nodes = Vec::new();
        for (number, node) in planned.into_iter().enumerate() {
            match node.start(&args.network, &peers(&places, number)).await {
                Ok(node) => nodes.push(node),
                Err(failure) => {
                    stop(nodes).await;
                    return Err(failure);
                }
            }
        }
        show(printer, &places)?;
        interrupts.next().await;
        if !json {
            say("closing; a second Ctrl-C ends at once");
        }
        tokio::select! {
            () = stop(nodes) => Ok(Exit::Done),
            () = interrupts.next() => Ok(Exit::Failed),
        }
    })
}

async fn stop(nodes: Vec<RunningNode>) {
    join_all(nodes.into_iter().map(RunningNode::shutdown)).await;
}

/// The peers of a node: three others, at distances that keep a ring of up to 64 nodes close together.
fn peers(places: &[NodePlace], number: usize) -> Vec<PeerAddr> {
    let others = STEPS.iter().filter_map(|step| {
        let other = number.saturating_add(*step).checked_rem(places.len())?;
        places.get(other).filter(|_| other != number)
    });
    let mut peers: Vec<PeerAddr> = others
        .map(|place| PeerAddr {
            key: place.key,
            endpoint: Endpoint::Tcp(place.listen),
        })
        .collect();
    peers.sort_unstable_by_key(|peer| peer.key);
    peers.dedup_by_key(|peer| peer.key);
    peers
}

impl Args {
    /// Opens the directory of a node, and makes its key if it has none.
    fn plan(&self, number: u16) -> Result<PlannedTestNode, Failure> {
        let data_dir = self.dir.join(format!("node-{}", number.saturating_add(1)));
        let ports = number.checked_mul(2).and_then(|step| {
            let first = self.port.checked_add(step)?;
            Some((first, first.checked_add(1)?))
        });
        let Some((listen, rpc)) = ports else {
            return Err(Failure::usage(format_args!(
                "--port {} leaves no ports for {} nodes; choose a lower one",
                self.port, self.nodes
            )));
        };
        make_parent(&self.dir)?;
        let config = Config::build(Settings {
            profile: Some(Profile::Local),
            network: Some(self.network.clone()),
            ..Settings::default()
        })?;
        let storage = DataLocation::Directory(data_dir.clone()).open(&config)?;
        let key = match &storage {
            Storage::Disk(dir) => {
                let mut secret = zeroize::Zeroizing::new(*dir.node_key()?.expose());
                LinkKey::from_bytes(&mut secret).map_err(failed)?.public()
            }
            Storage::Memory => return Err(failed("a node of this network needs a directory")),
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, listen));
        let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, rpc));
        let endpoint = Endpoint::Tcp(listen);
        let place = NodePlace {
            data_dir,
            enode: PeerAddr { key, endpoint }.to_string(),
            http: format!("http://{rpc}"),
            listen,
            rpc,
            key,
        };
        Ok(PlannedTestNode { place, storage })
    }
}

/// Makes the directory of the network; only its owner can read it.
fn make_parent(dir: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| {
            Failure::usage(format_args!(
                "cannot make the directory {}: {error}; name another one with --dir",
                dir.display()
            ))
        })
}

impl PlannedTestNode {
    async fn start(
        self,
        network: &NetworkName,
        peers: &[PeerAddr],
    ) -> Result<RunningNode, Failure> {
        let Self { place, storage } = self;
        let mut settings = Settings {
            profile: Some(Profile::Local),
            network: Some(network.clone()),
            relay: Some(true),
            listen: Some(vec![place.listen]),
            peers: Some(peers.to_vec()),
            threads: Some(1),
            ..Settings::default()
        };
        settings.rpc.http = Some(RpcListen::At(place.rpc));
        let config = Config::build(settings)?;
        let identities = IdentitySet::read(&storage)?;
        RunningNode::start(config, storage, identities, None, None)
            .await
            .map_err(|error| {
                Failure::new(
                    Exit::Failed,
                    format_args!(
                        "{}: {error}; other ports are chosen with --port",
                        place.data_dir.display()
                    ),
                )
            })
    }
}

/// Shows where the nodes are, and how to use them.
fn show(printer: Printer, places: &[NodePlace]) -> io::Result<()> {
    if printer.json {
        return printer.value(&json!({ "nodes": places }));
    }
    let row = |place: &NodePlace| {
        [
            place.data_dir.display().to_string(),
            place.http.clone(),
            place.enode.clone(),
        ]
    };
    let rows: Vec<_> = places.iter().map(row).collect();
    printer.table(["DATA DIRECTORY", "JSON-RPC", "ENODE"], &rows, "no nodes")?;
    if let Some(first) = places.first() {
        printer.line(format_args!(
            "use a node: whisht --data-dir {} status; programs over HTTP need the token in the file \
             rpc-token of that directory",
            first.data_dir.display()
        ))?;
    }
    printer.line("the nodes know each other as relays after some seconds; Ctrl-C stops all of them")
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// Distances of the peers of a node in the ring.
const STEPS: [usize; 3] = [1, 2, 5];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_other_nodes_and_each_is_named_once() {
        for nodes in 2..=12_u8 {
            let place = |number: u8| NodePlace {
                data_dir: PathBuf::new(),
                enode: String::new(),
                http: String::new(),
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
                rpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 2)),
                key: RelayKey([number; 64]),
            };
            let places: Vec<_> = (0..nodes).map(place).collect();
            for number in 0..places.len() {
                let peers = peers(&places, number);
                assert!(!peers.is_empty() && peers.len() <= STEPS.len());
                assert!(peers.iter().all(|peer| peer.key != places[number].key));
                assert!(peers.is_sorted_by(|one, other| one.key < other.key));
            }
        }
    }
}
