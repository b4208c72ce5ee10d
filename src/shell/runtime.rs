//! The composition root of `whisht run`: data directory, listeners, identities, RPC server, node.
//!
//! The order matters: the directory is locked before anything in it is read, the port is bound
//! before the node announces it, and the node knows its identities before the first peer can
//! connect.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use circuits::ids::{Profile, RelayKey};
use circuits::secret::Secret;
use tokio::net::{TcpListener, UdpSocket};
use zeroize::Zeroizing;

use super::console::{Console, ConsoleParts};
use super::data_dir::{ARTI, DataDir, DirError, IPC};
use super::driver::StartError;
use super::identity_files::IdentityError;
use super::identity_service::IdentityService;
use super::identity_set::IdentitySet;
use super::idle_lock::IdleLock;
use super::listen::{self, ListenError};
use super::mail::{self, MailError};
use super::metrics::{BoundMetrics, MetricsError, MetricsExporter};
use super::private_dir::PrivateDir;
use super::relay_list_file::{self, RelayListFileError};
use super::rpc::{BoundListeners, IpcBindError, RpcBindError, RpcServer, Service, TokenFile};
use super::state_store::{self, StateError};
use super::store::{self, Storage};
use super::udp::{self, UdpError};
use super::{
    Handle, LinkTransport, NoRandomness, Setup, Stopped, TransportError, Workers, random, start,
};
use crate::config::console::ConsoleConfig;
use crate::config::tor::{TorBackend, TorConfig};
use crate::config::{Config, Listen};
use crate::contact::letter::LetterRoot;
use crate::endpoint::Endpoint;
use crate::link::LinkKey;
use crate::message::SymKey;
use crate::node::{NodeKeys, OpenedState, Refusal, Restored};
use crate::relay_list::RelayList;
use crate::state::StateRows;

/// Where a node stores its state.
#[derive(Clone, Debug)]
pub enum DataLocation {
    /// In this directory.
    Directory(PathBuf),
    /// In memory: all state is lost when the process ends.
    Ephemeral,
}

impl DataLocation {
    /// Opens the storage for the network that the node joins.
    ///
    /// # Errors
    ///
    /// [`DirError`] if the directory cannot be used.
    pub fn open(&self, config: &Config) -> Result<Storage, DirError> {
        match self {
            Self::Ephemeral => Ok(Storage::Memory),
            Self::Directory(path) => {
                let (profile, network) = (config.node.profile, &config.node.network);
                let dir = DataDir::open(path, profile, network)?;
                Ok(Storage::Disk(Arc::new(dir)))
            }
        }
    }
}

/// A running node and the resources that belong to it.
#[derive(Debug)]
pub struct RunningNode {
    handle: Handle,
    key: RelayKey,
    rpc: RpcServer,
    console: Arc<Console>,
    metrics: MetricsExporter,
    onion: Option<Endpoint>,
    _idle_lock: Option<IdleLock>,
    /// Removed after its contents.
    _private_dir: Option<PrivateDir>,
    /// Removed after the Tor client that uses it.
    _tor_dir: Option<PrivateDir>,
}

impl RunningNode {
    /// Starts a node whose identities stay locked if they have a password. `ipc` names another
    /// socket than the one in the data directory.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`]; every resource that was opened is closed again.
    pub async fn open(
        config: Config,
        location: &DataLocation,
        ipc: Option<&Path>,
    ) -> Result<Self, RuntimeError> {
        let storage = location.open(&config)?;
        let identities = IdentitySet::read(&storage)?;
        Self::start(config, storage, identities, None, ipc).await
    }

    /// Starts a node with storage that is open already. With the words of a source of letters, it chooses the
    /// same guard in every run.
    ///
    /// # Errors
    ///
    /// As [`RunningNode::open`].
    pub async fn start(
        mut config: Config,
        storage: Storage,
        identities: IdentitySet,
        words: Option<&LetterRoot>,
        ipc: Option<&Path>,
    ) -> Result<Self, RuntimeError> {
        let (archive, mail_password) =
            mail::open(config.mail.as_ref(), &storage, config.tor.only).await?;
        let keys = keys(&storage, &config, mail_password, words)?;
        let key = refuse_own_address(&config, keys.link.public())?;
        let mut restored = restore(&storage, identities.locked().len() > 0)?;
        restored.relay_list_file = relay_list(&config)?;
        let (listeners, datagrams) = bind_links(&storage, &mut config)?;
        let (tor_dir, tor_state) = tor_state(&storage, &config.tor)?;
        let transport = LinkTransport::open(&config.tor, &tor_state, config.is_reachable()).await?;
        config.reached_by(transport.onion());
        let bound = BoundListeners::bind(&config.rpc)?;
        let metrics = BoundMetrics::open(&config.metrics).await?;
        let (runtime_dir, private_dir) = runtime_dir(&storage)?;
        let socket = ipc.map_or_else(|| runtime_dir.join(IPC), Path::to_owned);
        let needs_token = bound.has_tcp() && !config.rpc.danger_no_token;
        let token = needs_token.then(|| token(&storage, &runtime_dir));
        let token = token.transpose()?;

        let identity_service = IdentityService::from(&storage);
        let place = (data_dir_of(&storage), config.node.profile);
        let threads = config.threads.unwrap_or_else(Workers::available);
        let workers = Arc::new(Workers::start(threads).map_err(StartError::System)?);
        let setup = Setup {
            config: config.node,
            keys,
            restored,
            storage,
            transport,
            listeners,
            datagrams,
            workers,
            archive,
        };
        let onion = setup.transport.onion();
        let handle = start(setup)?;
        for command in identities.into_commands() {
            handle.command(command).await??;
        }
        let idle_lock = IdleLock::start(&handle, &identity_service, config.lock_after);
        let (console, service) = services(config.console, &handle, identity_service, place)?;
        let rpc = RpcServer::open(&socket, bound, &config.rpc, token, &service)?;
        Ok(Self {
            metrics: metrics.start(&handle).await,
            handle,
            key,
            rpc,
            console,
            onion,
            _idle_lock: idle_lock,
            _private_dir: private_dir,
            _tor_dir: tor_dir,
        })
    }

    /// The handle of the node.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Shuts the node down in order, and tells its RPC clients.
    pub async fn shutdown(mut self) {
        self.handle.shutdown().await;
        self.rpc.ended().await;
        self.console.ended().await;
    }

    /// The console; its listener opens on request.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The public key that peers know the node by.
    #[must_use]
    pub const fn key(&self) -> RelayKey {
        self.key
    }

    /// The listening addresses.
    #[must_use]
    pub const fn rpc(&self) -> &RpcServer {
        &self.rpc
    }

    /// The metrics of the node.
    #[must_use]
    pub const fn metrics(&self) -> &MetricsExporter {
        &self.metrics
    }

    /// The onion service of the node.
    #[must_use]
    pub const fn onion(&self) -> Option<Endpoint> {
        self.onion
    }

    /// The path of its local socket.
    #[must_use]
    pub fn ipc_path(&self) -> &Path {
        self.rpc.ipc_path()
    }
}

fn keys(
    storage: &Storage,
    config: &Config,
    mail_password: Option<SymKey>,
    words: Option<&LetterRoot>,
) -> Result<NodeKeys, RuntimeError> {
    let mut link = match storage {
        Storage::Disk(dir) if config.keeps_link_key() => Zeroizing::new(*dir.node_key()?.expose()),
        _ => Zeroizing::new(random()?),
    };
    let guard_seed = match (storage, words) {
        (Storage::Disk(dir), _) => dir.guard_seed()?,
        (Storage::Memory, Some(root)) => Secret::take(&mut root.guard_seed()),
        (Storage::Memory, None) => Secret::take(&mut random()?),
    };
    let link = LinkKey::from_bytes(&mut link).map_err(|_| RuntimeError::BadNodeKey)?;
    Ok(NodeKeys {
        link,
        guard_seed,
        mail_password,
    })
}

/// Refuses the node's own address among its peers: the user has copied the wrong one, and would wait
/// for a connection that is never made. Returns the node's key.
fn refuse_own_address(config: &Config, key: RelayKey) -> Result<RelayKey, RuntimeError> {
    let node = &config.node;
    let named = [
        ("peers", &node.peers),
        ("trusted-peers", &node.trusted_peers),
    ];
    match named
        .into_iter()
        .find(|(_, peers)| peers.iter().any(|peer| peer.key == key))
    {
        Some((setting, _)) => Err(RuntimeError::OwnAddress { setting }),
        None => Ok(key),
    }
}

/// Reads and verifies the configured relay list. A list that the pinned signers do not vouch for is an
/// error: the node would wait for another one without a relay to use.
fn relay_list(config: &Config) -> Result<Option<Vec<u8>>, RuntimeError> {
    let (Some(path), Some(signers)) = (&config.relay_list_file, &config.node.signers) else {
        return Ok(None);
    };
    let raw = relay_list_file::read(path)?;
    let (network, profile) = (config.node.network_id(), config.node.profile);
    RelayList::decode(&raw)
        .and_then(|list| list.verify(network, profile, signers))
        .map_err(|cause| RelayListFileError::Bad {
            path: path.clone(),
            cause,
        })?;
    Ok(Some(raw))
}

/// Reads what an earlier run stored.
fn restore(storage: &Storage, has_locked: bool) -> Result<Restored, RuntimeError> {
    match storage {
        Storage::Memory => Ok(Restored {
            state: Some(StateRows::default()),
            ..Restored::default()
        }),
        Storage::Disk(dir) => {
            let mut restored = store::load(dir)?;
            if let Some(state) = open_state(dir, has_locked)? {
                restored.state = Some(state.rows);
                restored.state_is_stale = state.is_stale;
            }
            Ok(restored)
        }
    }
}

/// The user's state, if a password has unlocked it or none is needed. A new state waits for the password
/// of locked identities, which then protects it too.
fn open_state(dir: &DataDir, has_locked: bool) -> Result<Option<OpenedState>, RuntimeError> {
    state_store::open_unprotected(dir, !has_locked)?;
    Ok(dir.state().take_opened()?)
}

/// Binds the listeners of links and the sockets of discovery, and records their addresses in the
/// configuration.
fn bind_links(
    storage: &Storage,
    config: &mut Config,
) -> Result<(Vec<TcpListener>, Vec<UdpSocket>), RuntimeError> {
    let listeners = bind(storage, &config.listen)?;
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect();
    config.bound(&addresses);
    if config.finds_own_address() {
        config.publish(&listen::own_addresses(&addresses));
        if config.node.advertise.is_empty() {
            tracing::warn!(
                "this machine has no public address, so the relay is not listed, and other nodes do not choose \
                 it; forward the port to this machine, and set `advertise`"
            );
        }
    }
    let datagrams = match config.node.discovery {
        Some(_) => udp::bind(&addresses)?,
        None => Vec::new(),
    };
    Ok((listeners, datagrams))
}

/// Binds the listeners, and stores the port if the node chose it.
fn bind(storage: &Storage, listen: &Listen) -> Result<Vec<TcpListener>, RuntimeError> {
    let remembered = match storage {
        Storage::Disk(dir) => dir.port(),
        Storage::Memory => None,
    };
    let listeners = listen::bind(listen, remembered)?;
    let address = listeners
        .first()
        .and_then(|listener| listener.local_addr().ok());
    if let (Listen::Everywhere | Listen::Loopback, Some(address)) = (listen, address) {
        let (wanted, port) = (remembered.unwrap_or(listen::DEFAULT_PORT), address.port());
        if port != wanted {
            tracing::warn!(
                wanted,
                port,
                "the port is taken, and the node listens on another, which a firewall may not know; \
                 free the port, or name one with --listen"
            );
        }
        if let Storage::Disk(dir) = storage {
            dir.remember_port(port)?;
        }
    }
    Ok(listeners)
}

/// The console of a node, and what its RPC clients use. `place` is the data directory and the profile.
fn services(
    config: ConsoleConfig,
    handle: &Handle,
    identities: IdentityService,
    (data_dir, profile): (Option<PathBuf>, Profile),
) -> Result<(Arc<Console>, Service), NoRandomness> {
    let parts = ConsoleParts {
        handle: handle.clone(),
        identities: identities.clone(),
        data_dir,
        profile,
    };
    let console = Arc::new(Console::new(config, parts)?);
    let service = Service {
        handle: handle.clone(),
        identities,
        console: Arc::downgrade(&console),
    };
    Ok((console, service))
}

/// The data directory, if there is one.
fn data_dir_of(storage: &Storage) -> Option<PathBuf> {
    match storage {
        Storage::Disk(dir) => Some(dir.path().to_owned()),
        Storage::Memory => None,
    }
}

/// The directory of the socket and the token. An ephemeral node gets a temporary directory.
fn runtime_dir(storage: &Storage) -> Result<(PathBuf, Option<PrivateDir>), RuntimeError> {
    match storage {
        Storage::Disk(dir) => Ok((dir.path().to_owned(), None)),
        Storage::Memory => {
            let dir = PrivateDir::make(random()?)?;
            Ok((dir.path().to_owned(), Some(dir)))
        }
    }
}

fn token(storage: &Storage, runtime_dir: &Path) -> Result<TokenFile, DirError> {
    match storage {
        Storage::Disk(dir) => TokenFile::of(dir),
        Storage::Memory => TokenFile::ephemeral(runtime_dir),
    }
}

/// The directory of arti's state. An ephemeral node gets a temporary directory.
fn tor_state(
    storage: &Storage,
    tor: &TorConfig,
) -> Result<(Option<PrivateDir>, PathBuf), RuntimeError> {
    match (storage, &tor.backend) {
        (Storage::Disk(dir), _) => Ok((None, dir.path().join(ARTI))),
        (Storage::Memory, TorBackend::Arti(_)) => {
            let dir = PrivateDir::make(random()?)?;
            let path = dir.path().to_owned();
            Ok((Some(dir), path))
        }
        (Storage::Memory, _) => Ok((None, PathBuf::new())),
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The local socket.
    #[error(transparent)]
    IpcBind(#[from] IpcBindError),
    /// The stored link key is not a valid key.
    #[error("the file nodekey has no valid secp256k1 key; restore it, or delete it for a new one")]
    BadNodeKey,
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A TCP endpoint of the RPC server.
    #[error(transparent)]
    RpcBind(#[from] RpcBindError),
    /// An identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The listeners.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The mail server.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The system gave no random numbers for keys.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The node's own address among its peers.
    #[error("`{setting}` names the address of this node itself; name another peer")]
    OwnAddress {
        /// The setting.
        setting: &'static str,
    },
    /// The outputs of the metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The file of a relay list.
    #[error(transparent)]
    RelayList(#[from] RelayListFileError),
    /// The node refuses an identity.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state of the user.
    #[error(transparent)]
    State(#[from] StateError),
    /// The node itself.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The sockets of discovery.
    #[error(transparent)]
    Udp(#[from] UdpError),
    /// The node ended at once.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The transport cannot be started.
    #[error(transparent)]
    Transport(#[from] TransportError),
}
