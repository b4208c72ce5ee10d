//! The methods of go-ethereum's tools besides Whisper: peers, the node's address, versions.
//!
//! A tool that adds or shows peers finds the methods that it needs; methods about chains are
//! absent.

use core::fmt;
use std::net::SocketAddr;

use circuits::ids::RelayKey;
use serde_json::{Map, Value, json};
use sha3::{Digest, Keccak256};

use super::RpcError;
use super::call::RpcCall;
use super::enode::Enode;
use super::value::{bytes, from_bytes, from_float, only, text};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::node::{CLIENT_ID, Command, NodeView, PeerView, Reply};

/// Parses a call. `None` if there is no such method.
pub(super) fn read(method: &str, params: Option<Value>) -> Option<Result<RpcCall, RpcError>> {
    let call = match method {
        "admin_addPeer" => peer(method, params)
            .map(Command::AddPeer)
            .map(RpcCall::plain),
        "admin_removePeer" => key(method, params)
            .map(Command::RemovePeer)
            .map(RpcCall::plain),
        "admin_addTrustedPeer" => key(method, params)
            .map(|key| Command::AlwaysAdmit(key, true))
            .map(RpcCall::plain),
        "admin_removeTrustedPeer" => key(method, params)
            .map(|key| Command::AlwaysAdmit(key, false))
            .map(RpcCall::plain),
        "admin_peers" => Ok(RpcCall::Node(Command::Peers, peers)),
        "admin_nodeInfo" => Ok(RpcCall::NodeInfo),
        "net_version" => Ok(RpcCall::Known(NETWORK.into())),
        "net_listening" => Ok(RpcCall::Known(true.into())),
        "net_peerCount" => Ok(RpcCall::Node(Command::Peers, peer_count)),
        "web3_clientVersion" => Ok(RpcCall::Known(CLIENT_ID.into())),
        "web3_sha3" => only(method, params, bytes)
            .map(|data| RpcCall::Known(from_bytes(&Keccak256::digest(&*data)))),
        "rpc_modules" => Ok(RpcCall::Modules),
        _ => return None,
    };
    Some(call)
}

/// The peer in a URL and its address or onion service.
fn peer(method: &str, params: Option<Value>) -> Result<PeerAddr, RpcError> {
    let url = only(method, params, text)?;
    if let Ok(peer) = url.parse() {
        return Ok(peer);
    }
    let node = Enode::parse(&url).map_err(invalid)?;
    let address = node.address.filter(|address| address.port() != 0);
    let address = address.ok_or_else(|| invalid("it has no address to connect to"))?;
    Ok(PeerAddr {
        key: node.key,
        endpoint: Endpoint::Tcp(address),
    })
}

/// The key in a URL.
fn key(method: &str, params: Option<Value>) -> Result<RelayKey, RpcError> {
    let url = only(method, params, text)?;
    match url.parse::<PeerAddr>() {
        Ok(peer) => Ok(peer.key),
        Err(_) => Enode::parse(&url).map(|node| node.key).map_err(invalid),
    }
}

fn invalid(error: impl fmt::Display) -> RpcError {
    RpcError::failed(format_args!("invalid enode: {error}"))
}

fn peer_count(reply: &Reply) -> Result<Value, RpcError> {
    match reply {
        Reply::Peers(peers) => Ok(format!("{:#x}", peers.len()).into()),
        other => super::result(other),
    }
}

fn peers(reply: &Reply) -> Result<Value, RpcError> {
    match reply {
        Reply::Peers(peers) => Ok(peers.iter().map(peer_info).collect()),
        other => super::result(other),
    }
}

fn peer_info(peer: &PeerView) -> Value {
    let address = peer.address.as_deref().unwrap_or_default();
    let protocols: Map<String, Value> = peer
        .capabilities
        .iter()
        .filter_map(|capability| Some((capability.split_once('/')?.0.to_owned(), "unknown".into())))
        .collect();
    json!({
        "enode": format!("enode://{}@{address}", peer.key),
        "id": id(&peer.key),
        "name": peer.client,
        "caps": peer.capabilities,
        "network": {
            "localAddress": "",
            "remoteAddress": address,
            "inbound": !peer.outbound,
            "trusted": peer.always_admitted,
            "static": peer.named,
        },
        "protocols": protocols,
    })
}

/// The answer to `admin_nodeInfo`: the node's description of itself, and the addresses of the
/// shell's listeners.
#[must_use]
pub fn node_info(node: &NodeView, listening: &[SocketAddr]) -> Value {
    let first = listening.first();
    let ip = first.map_or_else(
        || "127.0.0.1".to_owned(),
        |address| address.ip().to_string(),
    );
    let port = first.map_or(0, SocketAddr::port);
    let address = match (node.advertised.first(), first) {
        (Some(advertised), _) => advertised.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "127.0.0.1:0".to_owned(),
    };
    // The UDP port equals the TCP port; 0 means that discovery is off.
    let discovery = if node.discovery { port } else { 0 };
    let query = match address.rsplit_once(':') {
        Some((_, same)) if node.discovery && same.parse() == Ok(discovery) => String::new(),
        _ => format!("?discport={discovery}"),
    };
    json!({
        "id": id(&node.key),
        "name": node.client,
        "enode": format!("enode://{}@{address}{query}", node.key),
        "ip": ip,
        "ports": {"discovery": discovery, "listener": port},
        "listenAddr": first.map(SocketAddr::to_string).unwrap_or_default(),
        "protocols": {"shh": {
            "maxMessageSize": node.max_message_size,
            "minimumPoW": from_float(node.min_pow),
            "version": "6.0",
        }},
    })
}

/// The answer to `rpc_modules`, for a connection that may call these modules.
#[must_use]
pub fn modules<'a>(modules: impl IntoIterator<Item = &'a str>) -> Value {
    let mut names: Vec<&str> = modules.into_iter().chain(["rpc"]).collect();
    names.sort_unstable();
    let version = |name: &str| (name.to_owned(), Value::from("1.0"));
    names.into_iter().map(version).collect::<Map<_, _>>().into()
}

/// go-ethereum identifies a node by the hash of its key.
fn id(key: &str) -> String {
    hex::encode(Keccak256::digest(hex::decode(key).unwrap_or_default()))
}

/// The network number: go-ethereum's default. Whisper has neither such numbers nor a chain, and
/// clients accept any number.
const NETWORK: &str = "1";
