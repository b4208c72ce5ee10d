//! The Tor client: one bootstrap, and a separate circuit for each stream.

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

/// Target of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DialTarget {
    /// An onion service, by its name including `.onion`.
    Onion(String, u16),
    /// An IP address, reached through an exit relay. Host names are not accepted, because this
    /// crate resolves none.
    Clear(SocketAddr),
}

impl DialTarget {
    fn address(&self) -> Option<TorAddr> {
        match self {
            Self::Onion(name, port) => (name.as_str(), *port).into_tor_addr().ok(),
            // The call is dangerous only for addresses from a local name lookup; this crate does
            // none.
            Self::Clear(address) => address.into_tor_addr_dangerously().ok(),
        }
    }
}

/// Future of a started client.
pub type StartFuture = Pin<Box<dyn Future<Output = Result<Tor, TorStartError>> + Send>>;

/// Future of a dialled stream.
pub type DialFuture = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

/// A Tor client. Dropping it stops the bootstrap; established streams remain open.
pub struct Tor {
    client: Arc<TorClient<PreferredRuntime>>,
    progress: watch::Receiver<BootstrapProgress>,
    bootstrap: JoinHandle<()>,
}

impl Tor {
    /// Creates a client on the current tokio runtime and starts the bootstrap in the background.
    ///
    /// If the network is unreachable, dials fail and the bootstrap is retried until it succeeds.
    ///
    /// # Errors
    ///
    /// [`TorStartError`], before any network traffic.
    pub fn start(settings: ArtiSettings) -> StartFuture {
        Box::pin(Self::begin(settings))
    }

    async fn begin(settings: ArtiSettings) -> Result<Self, TorStartError> {
        // Fails if the process has a rustls provider already; that provider works too.
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
            .map_err(|error| start_error(&error, settings.directory))?;
        let (sender, progress) = watch::channel(BootstrapProgress::of(&client.bootstrap_status()));
        let bootstrap = tokio::spawn(bootstrap(Arc::clone(&client), sender));
        Ok(Self {
            client,
            progress,
            bootstrap,
        })
    }

    /// The progress of the bootstrap, updated as it advances.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<BootstrapProgress> {
        self.progress.clone()
    }

    /// Dials a target over circuits that no other stream shares.
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

    /// Starts the onion service. Its address is known at once, before the network is reached.
    ///
    /// # Errors
    ///
    /// [`TorStartError`] if the settings or the keys on disk are invalid.
    pub fn listen(
        &self,
        settings: &ServiceSettings,
    ) -> Result<(OnionService, IncomingStreams), TorStartError> {
        let launched = self
            .client
            .launch_onion_service(settings.build()?)
            .map_err(|error| start_error(&error, PathBuf::new()))?;
        let (running, requests) = launched.ok_or_else(|| {
            TorStartError::System("the onion service is disabled in the Tor settings".to_owned())
        })?;
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

/// Bootstraps the client, with retries until it succeeds, and reports the progress.
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
    let connect = async {
        // Arti does not time out by itself, and a hanging attempt may never end.
        while !matches!(
            timeout(BOOTSTRAP_TIMEOUT, client.bootstrap()).await,
            Ok(Ok(()))
        ) {
            sleep(RETRY_INTERVAL).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(report, connect);
}

fn start_error(error: &arti_client::Error, directory: PathBuf) -> TorStartError {
    match error.kind() {
        ErrorKind::LocalResourceAlreadyInUse => TorStartError::Locked(directory),
        _ => TorStartError::System(with_causes(error)),
    }
}

/// Time to wait for the lock, which a process that has just ended may still have.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of one bootstrap attempt.
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two bootstrap attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
