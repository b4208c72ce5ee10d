//! The node's doors for other programs on this machine.
//!
//! There is always a Unix socket, for programs of the same user; HTTP and WebSocket over loopback
//! are opened when the configuration says so. What comes in by any of them becomes requests of a
//! `session`, which knows what its client subscribed to; the transports differ only in how bytes
//! become texts and back. Over TCP there is `auth` before the session: Host, Origin and token.
//!
//! Nothing here looks into a method's parameters or results: that is [`crate::rpc`].

mod auth;
mod client;
mod client_limiter;
mod connection;
mod framing;
mod http;
mod ipc;
mod keys;
mod limits;
mod session;
mod subscriptions;
mod tcp;
mod token;
mod ws;

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;
use tokio::time::timeout;

use super::Handle;
use super::identity_service::IdentityService;
use crate::config::rpc::RpcConfig;

pub use client::{RpcClient, RpcClientError};
pub use ipc::IpcBindError;
pub use token::TokenFile;

/// What the sessions act upon.
#[derive(Clone, Debug)]
pub struct Service {
    /// The node.
    pub handle: Handle,
    /// What keeps its identities.
    pub identities: IdentityService,
}

/// Listeners for the doors over TCP, bound before the node starts: an address that cannot be had
/// must not cost a node its peers.
#[derive(Debug)]
pub struct BoundListeners {
    http: Option<TcpListener>,
    ws: Option<TcpListener>,
    /// Both protocols share the first listener.
    shared: bool,
}

impl BoundListeners {
    /// Binds what the configuration names.
    ///
    /// # Errors
    ///
    /// [`RpcBindError`] names the address that cannot be had.
    pub fn bind(config: &RpcConfig) -> Result<Self, RpcBindError> {
        let bind = |setting, address: Option<SocketAddr>| {
            address
                .map(|address| {
                    super::listen::bind_one(address).map_err(|error| RpcBindError {
                        setting,
                        address,
                        error,
                    })
                })
                .transpose()
        };
        let shared = config.http.is_some() && config.http == config.ws;
        Ok(Self {
            http: bind("rpc.http", config.http)?,
            ws: match shared {
                true => None,
                false => bind("rpc.ws", config.ws)?,
            },
            shared,
        })
    }

    /// Whether there is anything to guard with a token.
    #[must_use]
    pub const fn has_tcp(&self) -> bool {
        self.http.is_some() || self.ws.is_some()
    }
}

/// The doors of a running node, until this is dropped.
#[derive(Debug)]
pub struct RpcServer {
    ipc: ipc::IpcServer,
    http: Option<SocketAddr>,
    ws: Option<SocketAddr>,
    token: Option<TokenFile>,
    tcp: Vec<tcp::TcpServer>,
}

impl RpcServer {
    /// Opens the local socket at `ipc`, and lets programs in at the listeners. Without a token,
    /// every program on this machine may come in there.
    ///
    /// # Errors
    ///
    /// [`IpcBindError`] if the local socket cannot be made.
    pub fn open(
        ipc: &Path,
        bound: BoundListeners,
        config: &RpcConfig,
        token: Option<TokenFile>,
        service: &Service,
    ) -> Result<Self, IpcBindError> {
        let address = |listener: &Option<TcpListener>| listener.as_ref()?.local_addr().ok();
        let (http, ws) = (address(&bound.http), address(&bound.ws));
        let ws = if bound.shared { http } else { ws };
        let tcp = tcp::TcpContext::new(config, token.as_ref(), service);
        let listeners = [
            (
                bound.http,
                tcp::Protocols {
                    http: true,
                    ws: bound.shared,
                },
            ),
            (
                bound.ws,
                tcp::Protocols {
                    http: false,
                    ws: true,
                },
            ),
        ];
        Ok(Self {
            ipc: ipc::IpcServer::start(ipc, session::ClientAccess::all(config), service.clone())?,
            http,
            ws,
            token,
            tcp: listeners
                .into_iter()
                .filter_map(|(listener, protocols)| Some(tcp.serve(listener?, protocols)))
                .collect(),
        })
    }

    /// Completes when the node has ended and its clients were told, as far as they listen.
    pub async fn ended(&mut self) {
        let goodbyes = async {
            self.ipc.ended().await;
            for server in &mut self.tcp {
                server.ended().await;
            }
        };
        if timeout(limits::SHUTDOWN_TIMEOUT, goodbyes).await.is_err() {
            tracing::debug!("some clients did not take their leave in time");
        }
    }

    /// The local socket.
    #[must_use]
    pub fn ipc_path(&self) -> &Path {
        self.ipc.path()
    }

    /// Where HTTP is served, if anywhere.
    #[must_use]
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where WebSocket is served, if anywhere.
    #[must_use]
    pub const fn ws(&self) -> Option<SocketAddr> {
        self.ws
    }

    /// The file that holds what programs have to show over TCP, if they have to show anything.
    #[must_use]
    pub fn token_path(&self) -> Option<&Path> {
        self.token.as_ref().map(TokenFile::path)
    }
}

/// A door over TCP cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve JSON-RPC at {address}: {error}; choose another port with `{setting}`")]
pub struct RpcBindError {
    /// The setting that names the address.
    pub setting: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}
