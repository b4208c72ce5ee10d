//! The client: one connection to the Tor network, many circuits.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arti_client::{
    BootstrapBehavior, DangerouslyIntoTorAddr, ErrorKind, HasKind, IntoTorAddr, IsolationToken,
    StreamPrefs, TorAddr, TorClient,
};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tor_rtcompat::PreferredRuntime;

use crate::Stream;
use crate::error::{ConnectError, TorStartError, with_causes};
use crate::progress::BootstrapProgress;
use crate::service::{IncomingStreams, OnionService};
use crate::settings::{ArtiSettings, ServiceSettings};

/// Where a stream is to go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DialTarget {
    /// An onion service, by its name with `.onion`.
    Onion(String, u16),
    /// A clear address, by way of an exit relay. Names are not taken: nobody resolves them.
    Clear(SocketAddr),
}

impl DialTarget {
    fn address(&self) -> Option<TorAddr> {
        match self {
            Self::Onion(name, port) => (name.as_str(), *port).into_tor_addr().ok(),
            // Dangerous only where a name was resolved to get the address; nobody did.
            Self::Clear(address) => address.into_tor_addr_dangerously().ok(),
        }
    }
}

/// What becomes of a start.
pub type StartFuture = Pin<Box<dyn Future<Output = Result<Tor, TorStartError>> + Send>>;

/// What becomes of a dial.
pub type DialFuture = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

/// A Tor client. Dropping it ends everything that goes through it but streams that stand.
pub struct Tor {
    client: Arc<TorClient<PreferredRuntime>>,
    progress: watch::Receiver<BootstrapProgress>,
    bootstrap: JoinHandle<()>,
}

impl Tor {
    /// Makes a client on the current tokio runtime and lets it bootstrap in the background.
    ///
    /// The network may be absent: what is dialled then fails, and the bootstrap is tried again
    /// until it succeeds.
    ///
    /// # Errors
    ///
    /// [`TorStartError`] before anything was sent.
    pub fn start(settings: ArtiSettings) -> StartFuture {
        Box::pin(Self::begin(settings))
    }

    async fn begin(settings: ArtiSettings) -> Result<Self, TorStartError> {
        // Another user of rustls in this process may have installed its own, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = settings.build()?;
        let runtime = PreferredRuntime::current()
            .map_err(|error| TorStartError::System(error.to_string()))?;
        let client = TorClient::with_runtime(runtime)
            .config(config)
            .bootstrap_behavior(BootstrapBehavior::OnDemand)
            .local_resource_timeout(LOCK_TIMEOUT)
            .create_unbootstrapped_async()
            .await
            .map_err(|error| refusal(&error, settings.directory))?;
        let (sender, progress) = watch::channel(BootstrapProgress::of(&client.bootstrap_status()));
        let bootstrap = tokio::spawn(bootstrap(Arc::clone(&client), sender));
        Ok(Self {
            client,
            progress,
            bootstrap,
        })
    }

    /// How far the bootstrap is; changes as it goes on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<BootstrapProgress> {
        self.progress.clone()
    }

    /// Connects, on circuits that no other stream shares.
    pub fn dial(&self, target: DialTarget) -> DialFuture {
        let client = Arc::clone(&self.client);
        Box::pin(async move {
            let mut preferences = StreamPrefs::new();
            preferences.set_isolation(IsolationToken::new());
            let address = target.address().ok_or(ConnectError::NotFound)?;
            client
                .connect_with_prefs(address, &preferences)
                .await
                .map_err(|error| ConnectError::of(&error))
        })
    }

    /// Opens our onion service. Its address is known at once, before the network is reached.
    ///
    /// # Errors
    ///
    /// [`TorStartError`] if the settings or the keys on disk do not serve.
    pub fn listen(
        &self,
        settings: &ServiceSettings,
    ) -> Result<(OnionService, IncomingStreams), TorStartError> {
        let launched = self
            .client
            .launch_onion_service(settings.build()?)
            .map_err(|error| refusal(&error, PathBuf::new()))?;
        let (running, requests) = launched
            .ok_or_else(|| TorStartError::System("the onion service is switched off".to_owned()))?;
        OnionService::open(running, requests, settings.port)
    }
}

impl Drop for Tor {
    fn drop(&mut self) {
        self.bootstrap.abort();
    }
}

impl fmt::Debug for Tor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tor({})", *self.progress.borrow())
    }
}

/// Brings the client to its network, however often it takes, and tells how far it is.
async fn bootstrap(
    client: Arc<TorClient<PreferredRuntime>>,
    progress: watch::Sender<BootstrapProgress>,
) {
    let mut events = client.bootstrap_events();
    let report = async {
        while let Some(status) = events.next().await {
            progress.send_replace(BootstrapProgress::of(&status));
        }
    };
    let strive = async {
        // Arti does not give up by itself, and an attempt that hangs may never end.
        while !matches!(
            timeout(BOOTSTRAP_TIMEOUT, client.bootstrap()).await,
            Ok(Ok(()))
        ) {
            sleep(RETRY_INTERVAL).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(report, strive);
}

fn refusal(error: &arti_client::Error, directory: PathBuf) -> TorStartError {
    match error.kind() {
        ErrorKind::LocalResourceAlreadyInUse => TorStartError::Locked(directory),
        _ => TorStartError::System(with_causes(error)),
    }
}

/// A process that just ended may hold its lock a moment longer.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// One attempt to reach the network.
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
