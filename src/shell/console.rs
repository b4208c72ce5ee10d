//! The console: pages in the browser of the user who runs the node.
//!
//! The console has a loopback listener of its own, which is bound when the user asks for the console
//! and not before. A one-time URL opens a session; a session can do what the local socket can do,
//! except read keys. Every page works without JavaScript, and a page loads nothing from elsewhere.
//!
//! Handlers see only requests that passed `guard`: Host, Origin, Fetch Metadata, session and, for
//! forms, the session's form token. A `GET` changes nothing, the one-time URL excepted. Handlers write
//! nothing to the log: a failure is shown on the page.

mod ask;
mod assets;
mod card;
mod compose;
mod conversation;
mod events;
mod files;
mod forms;
mod guard;
mod inbox;
mod layout;
mod levels;
mod limits;
mod lock;
mod login;
mod network;
mod numbers;
mod outbox;
mod panic;
mod picture;
mod precision;
mod selection;
mod server;
mod session;
mod settings;
mod traffic;
mod unlock;
mod visit;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use circuits::ids::Profile;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use self::ask::NodeClient;
use self::guard::ConsoleOrigin;
use self::login::LoginTokens;
use self::numbers::ConversationNumbers;
use self::server::ConsoleServer;
use self::session::Sessions;
use self::traffic::Traffic;
use super::identity_service::IdentityService;
use super::{Handle, NoRandomness, random};
use crate::config::console::ConsoleConfig;

/// What the console shows and acts on.
#[derive(Clone, Debug)]
pub struct ConsoleParts {
    /// The handle of the node.
    pub handle: Handle,
    /// The service for identities.
    pub identities: IdentityService,
    /// The data directory; `None` if the node keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// The profile of the node.
    pub profile: Profile,
}

/// The console of a running node. Its listener is open from the first [`Console::open`] until the node
/// ends or this value is dropped.
#[derive(Debug)]
pub struct Console {
    config: ConsoleConfig,
    parts: ConsoleParts,
    /// The first label of the host name, drawn once per run: 16 hexadecimal digits.
    label: String,
    running: AsyncMutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    server: ConsoleServer,
    state: Arc<ConsoleState>,
}

impl Console {
    /// Prepares the console of a node; nothing is bound.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`] if the system gives no random name.
    pub fn new(config: ConsoleConfig, parts: ConsoleParts) -> Result<Self, NoRandomness> {
        Ok(Self {
            config,
            parts,
            label: hex::encode(random::<8>()?),
            running: AsyncMutex::new(None),
        })
    }

    /// Opens the listener unless it is open, and draws a new one-time URL, which replaces an earlier
    /// one that was not used.
    ///
    /// # Errors
    ///
    /// [`ConsoleError`] if the listener cannot be bound, or the system gives no random token.
    pub async fn open(&self) -> Result<ConsoleUrl, ConsoleError> {
        let mut running = self.running.lock().await;
        let open = match running.take() {
            Some(open) => open,
            None => self.start()?,
        };
        let Running { state, .. } = running.insert(open);
        let token = state.login().draw(Instant::now())?;
        let url = format!("{}/in/{}", state.origin.as_str(), token.as_str());
        Ok(ConsoleUrl(url))
    }

    /// Completes when the node has ended and the last page is served.
    pub async fn ended(&self) {
        if let Some(running) = self.running.lock().await.as_mut() {
            running.server.ended().await;
        }
    }

    fn start(&self) -> Result<Running, ConsoleError> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.config.port));
        let refused = |error| ConsoleError::Bind { address, error };
        let listener = super::listen::bind_one(address).map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let host = self.config.host.name(&self.label);
        let state = Arc::new(ConsoleState {
            origin: ConsoleOrigin::new(&host, bound.port()),
            node: NodeClient::new(self.parts.handle.for_new_client()),
            parts: self.parts.clone(),
            sessions: Mutex::default(),
            login: Mutex::default(),
            numbers: Mutex::default(),
            traffic: Traffic::start(&self.parts.handle),
        });
        Ok(Running {
            server: ConsoleServer::start(listener, Arc::clone(&state)),
            state,
        })
    }
}

/// A URL that opens the console once, within two minutes. It is a secret until then.
pub struct ConsoleUrl(String);

impl ConsoleUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for ConsoleUrl {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ConsoleUrl(..)")
    }
}

/// What all requests share.
#[derive(Debug)]
struct ConsoleState {
    origin: ConsoleOrigin,
    node: NodeClient,
    parts: ConsoleParts,
    sessions: Mutex<Sessions>,
    login: Mutex<LoginTokens>,
    numbers: Mutex<ConversationNumbers>,
    traffic: Traffic,
}

impl ConsoleState {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        locked(&self.sessions)
    }

    fn login(&self) -> MutexGuard<'_, LoginTokens> {
        locked(&self.login)
    }

    const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn numbers(&self) -> MutexGuard<'_, ConversationNumbers> {
        locked(&self.numbers)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the console cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The address cannot be bound.
    #[error(
        "cannot serve the console at {address}: {error}; choose another port with `console.port`"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The system gave no random numbers for the token.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

#[cfg(test)]
mod tests;
