//! The node's RPC server for other programs on this machine.
//!
//! There is always a Unix socket, for programs of the same user; HTTP and WebSocket over loopback
//! are served if the configuration enables them. Each endpoint turns its bytes into requests of a
//! `session`, which knows its client's subscriptions and its rights (`access`). Over TCP, `auth` comes before the session:
//! Host, Origin and token.
//!
//! Method parameters and results are not parsed here: that is [`crate::rpc`].

mod access;
mod auth;
mod budget;
mod client;
mod connection;
mod console;
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
use std::sync::{Arc, Weak};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Handle;
use super::console::Console;
use super::identity_service::IdentityService;
use crate::config::rpc::{Module, RpcConfig};

pub(in crate::shell) use auth::refusal_of_web_page;
pub use client::{RpcClient, RpcClientError};
pub use ipc::IpcBindError;
pub use token::TokenFile;

/// The node and the identities on which sessions act.
#[derive(Clone, Debug)]
pub struct Service {
    /// The handle of the node.
    pub handle: Handle,
    /// The service for identities.
    pub identities: IdentityService,
    /// The console of the node, which ends with it.
    pub console: Weak<Console>,
}

/// Listeners for HTTP and WebSocket, bound before the node starts: an address that cannot be bound
/// must not cost a node its peers.
#[derive(Debug)]
pub struct BoundListeners {
    http: Option<TcpListener>,
    ws: Option<TcpListener>,
    /// Both protocols share the first listener.
    shared: bool,
}

impl BoundListeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    ///
    /// [`RpcBindError`] names the address that cannot be bound.
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
            ws: if shared {
                None
            } else {
                bind("rpc.ws", config.ws)?
            },
            shared,
        })
    }

    /// Whether any endpoint needs a token.
    #[must_use]
    pub const fn has_tcp(&self) -> bool {
        self.http.is_some() || self.ws.is_some()
    }
}

/// The RPC server of a running node; it ends on drop.
#[derive(Debug)]
pub struct RpcServer {
    ipc: ipc::IpcServer,
    http: Option<SocketAddr>,
    ws: Option<SocketAddr>,
    token: Option<TokenFile>,
    tcp: Vec<tcp::TcpServer>,
    /// Modules that clients over TCP may call.
    modules: watch::Sender<Arc<[Module]>>,
}

impl RpcServer {
    /// Opens the local socket at `ipc`, and accepts clients at the listeners. Without a token,
    /// every program on this machine is accepted there.
    ///
    /// # Errors
    ///
    /// [`IpcBindError`] if the local socket cannot be created.
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
        let derivations = Arc::new(budget::DerivationQueue::new());
        let (modules, allowed) = watch::channel(config.modules.as_slice().into());
        let access = access::ClientAccess::over_tcp(config, allowed, Arc::clone(&derivations));
        let tcp = tcp::TcpContext::new(config, token.as_ref(), service, access);
        let access = access::ClientAccess::all(config, derivations);
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
            ipc: ipc::IpcServer::start(ipc, access, service.clone())?,
            http,
            ws,
            token,
            tcp: listeners
                .into_iter()
                .filter_map(|(listener, protocols)| Some(tcp.serve(listener?, protocols)))
                .collect(),
            modules,
        })
    }

    /// Allows clients over TCP these modules only, from their next request on.
    pub fn allow_modules(&self, modules: &[Module]) {
        self.modules.send_replace(modules.into());
    }

    /// Completes when the node has ended and its clients are notified.
    pub async fn ended(&mut self) {
        let goodbyes = async {
            self.ipc.ended().await;
            for server in &mut self.tcp {
                server.ended().await;
            }
        };
        if timeout(limits::SHUTDOWN_TIMEOUT, goodbyes).await.is_err() {
            tracing::debug!("some clients did not disconnect in time");
        }
    }

    /// The path of the local socket.
    #[must_use]
    pub fn ipc_path(&self) -> &Path {
        self.ipc.path()
    }

    /// The address of HTTP, if it is served.
    #[must_use]
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// The address of WebSocket, if it is served.
    #[must_use]
    pub const fn ws(&self) -> Option<SocketAddr> {
        self.ws
    }

    /// The token file for TCP clients, if a token is required.
    #[must_use]
    pub fn token_path(&self) -> Option<&Path> {
        self.token.as_ref().map(TokenFile::path)
    }
}

/// Modules that clients may call; a reload changes them while clients are connected.
type AllowedModules = watch::Receiver<Arc<[Module]>>;

/// All modules, whatever is reloaded.
fn all_modules() -> AllowedModules {
    watch::channel(Module::ALL.into()).1
}

/// A TCP endpoint cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve JSON-RPC at {address}: {error}; choose another port with `{setting}`")]
pub struct RpcBindError {
    /// The setting that names the address.
    pub setting: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// The error of the operating system.
    pub error: io::Error,
}
