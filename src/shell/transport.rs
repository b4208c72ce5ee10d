//! The transport of links, and whether it is up.
//!
//! [`LinkTransport::open`] starts what the configuration asks for: direct TCP, the embedded Tor
//! client with its onion service, or a monitor of an external Tor daemon. From then on a task
//! reports the [`Connectivity`], derived from Tor's own status and from the results of dials. While
//! Tor is not ready, the node queues its messages; it never uses another transport.

mod tor_control;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connector::socks::{SocksError, greet};
use super::connector::{Connector, DialError};
#[cfg(feature = "tor")]
use super::data_dir::ARTI;
use crate::config::tor::{DaemonConfig, TorBackend, TorConfig};
use crate::endpoint::Endpoint;
use crate::node::Connectivity;

/// The transport of a node's links.
#[derive(Debug)]
pub struct LinkTransport {
    /// The connector.
    pub(super) connector: Connector,
    /// The address of the node's onion service.
    onion: Option<Endpoint>,
    /// Streams that arrive at the onion service of the embedded Tor client.
    #[cfg(feature = "tor")]
    pub(super) incoming: Option<whisht_tor::IncomingStreams>,
    /// The current connectivity.
    pub(super) reach: watch::Receiver<Connectivity>,
    outcomes: mpsc::UnboundedSender<DialOutcome>,
    /// The monitor task, which ends with the transport.
    _watch: JoinSet<()>,
    #[cfg(feature = "tor")]
    _service: Option<whisht_tor::OnionService>,
}

/// Why the transport cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file that describes the private Tor network.
    #[error("cannot read {}: {error}; check tor.network", path.display())]
    Network {
        /// The file.
        path: std::path::PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The embedded Tor client does not start.
    #[cfg(feature = "tor")]
    #[error("Tor does not start: {0}")]
    Tor(#[from] whisht_tor::TorStartError),
    /// This program was built without arti.
    #[cfg(not(feature = "tor"))]
    #[error("this whisht was built without arti; use tor.mode = \"socks\"")]
    NoArti,
}

impl TransportError {
    /// Whether the settings are wrong, rather than the system.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            #[cfg(feature = "tor")]
            Self::Tor(error) => error.is_usage(),
            #[cfg(not(feature = "tor"))]
            Self::NoArti => true,
        }
    }
}

/// The results of dials, as the monitor sees them.
#[derive(Clone, Copy, Debug)]
enum DialOutcome {
    Connected,
    TorUnreachable,
}

/// Reports to a [`LinkTransport`] the result of a dial.
#[derive(Clone, Debug)]
pub(super) struct DialReporter(mpsc::UnboundedSender<DialOutcome>);

impl DialReporter {
    /// A dial succeeded.
    pub(super) fn connected(&self) {
        // This fails only if the monitor, and the node with it, has ended.
        let _ = self.0.send(DialOutcome::Connected);
    }

    /// A dial failed.
    pub(super) fn failed(&self, error: DialError) {
        if matches!(error, DialError::TorUnreachable | DialError::NoIsolation) {
            let _ = self.0.send(DialOutcome::TorUnreachable);
        }
    }
}

impl LinkTransport {
    /// Direct TCP connections.
    #[must_use]
    pub fn direct() -> Self {
        let (_, reach) = watch::channel(Connectivity::Up);
        let (outcomes, _) = mpsc::unbounded_channel();
        Self {
            connector: Connector::Direct,
            onion: None,
            #[cfg(feature = "tor")]
            incoming: None,
            reach,
            outcomes,
            _watch: JoinSet::new(),
            #[cfg(feature = "tor")]
            _service: None,
        }
    }

    /// Starts the configured transport. `state` is a directory for arti, which keeps the key of the
    /// onion service there. `serve` says whether the node publishes an onion service.
    #[cfg_attr(
        not(feature = "tor"),
        expect(clippy::unused_async, reason = "only arti takes time to start")
    )]
    pub(super) async fn open(
        config: &TorConfig,
        state: &Path,
        serve: bool,
    ) -> Result<Self, TransportError> {
        match &config.backend {
            TorBackend::Off => Ok(Self::direct()),
            TorBackend::Daemon(daemon) => Ok(Self::through_daemon(daemon)),
            #[cfg(feature = "tor")]
            TorBackend::Arti(arti) => Self::through_arti(arti, state, serve).await,
            #[cfg(not(feature = "tor"))]
            TorBackend::Arti(_) => {
                let _ = (state, serve);
                Err(TransportError::NoArti)
            }
        }
    }

    /// The address of the node's onion service.
    #[must_use]
    pub const fn onion(&self) -> Option<Endpoint> {
        self.onion
    }

    /// The reporter for results of dials.
    pub(super) fn reporter(&self) -> DialReporter {
        DialReporter(self.outcomes.clone())
    }

    fn through_daemon(config: &DaemonConfig) -> Self {
        let (sender, reach) =
            watch::channel(Connectivity::down("the Tor daemon has not been asked yet"));
        let (outcomes, heard) = mpsc::unbounded_channel();
        let mut watch = JoinSet::new();
        watch.spawn(watch_daemon(config.clone(), sender, heard));
        Self {
            connector: Connector::Daemon(config.socks),
            onion: config.onion,
            #[cfg(feature = "tor")]
            incoming: None,
            reach,
            outcomes,
            _watch: watch,
            #[cfg(feature = "tor")]
            _service: None,
        }
    }

    #[cfg(feature = "tor")]
    async fn through_arti(
        config: &crate::config::tor::ArtiConfig,
        state: &Path,
        serve: bool,
    ) -> Result<Self, TransportError> {
        let tor = std::sync::Arc::new(whisht_tor::Tor::start(settings(config, state)?).await?);
        let (service, incoming, onion) = if serve {
            let readers = config.readers.iter();
            let settings = whisht_tor::ServiceSettings {
                port: config.onion_port,
                readers: readers
                    .map(|reader| whisht_tor::AuthorizedClient {
                        name: reader.name.clone(),
                        key: reader.key.clone(),
                    })
                    .collect(),
            };
            let (service, incoming) = tor.listen(&settings)?;
            let onion = format!("{}:{}", service.name(), config.onion_port)
                .parse()
                .ok();
            (Some(service), Some(incoming), onion)
        } else {
            (None, None, None)
        };
        let (sender, reach) = watch::channel(Connectivity::down("Tor is starting"));
        let (outcomes, heard) = mpsc::unbounded_channel();
        let mut watch = JoinSet::new();
        watch.spawn(watch_arti(tor.progress(), sender, heard));
        Ok(Self {
            connector: Connector::Arti(tor),
            onion,
            incoming,
            reach,
            outcomes,
            _watch: watch,
            _service: service,
        })
    }
}

/// The addresses outside this machine that Tor may connect to.
#[derive(Clone, Debug, Default)]
pub struct TorEntryAddresses {
    #[cfg(feature = "tor")]
    arti: Option<whisht_tor::EntryAddresses>,
}

impl TorEntryAddresses {
    /// The addresses that a configuration allows. `data_dir` is the node's own directory.
    ///
    /// # Errors
    ///
    /// [`TransportError`] if Tor cannot be started with this configuration.
    pub fn of(config: &TorConfig, data_dir: &Path) -> Result<Self, TransportError> {
        match &config.backend {
            // A daemon is on loopback.
            TorBackend::Off | TorBackend::Daemon(_) => Ok(Self::default()),
            #[cfg(feature = "tor")]
            TorBackend::Arti(arti) => Ok(Self {
                arti: Some(whisht_tor::EntryAddresses::of(&settings(
                    arti,
                    &data_dir.join(ARTI),
                )?)?),
            }),
            #[cfg(not(feature = "tor"))]
            TorBackend::Arti(_) => {
                let _ = data_dir;
                Err(TransportError::NoArti)
            }
        }
    }

    /// Whether Tor is configured. The embedded Tor client may have learned new addresses meanwhile.
    pub fn contains(&mut self, place: SocketAddr) -> bool {
        #[cfg(feature = "tor")]
        let holds = self
            .arti
            .as_mut()
            .is_some_and(|entries| entries.contains(place));
        #[cfg(not(feature = "tor"))]
        let holds = {
            let _ = place;
            false
        };
        holds
    }
}

#[cfg(feature = "tor")]
fn settings(
    config: &crate::config::tor::ArtiConfig,
    state: &Path,
) -> Result<whisht_tor::ArtiSettings, TransportError> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).map_err(|error| TransportError::Network {
            path: path.clone(),
            error,
        })
    };
    Ok(whisht_tor::ArtiSettings {
        directory: state.to_owned(),
        network: config.network.as_ref().map(read).transpose()?,
        bridges: config.bridges.clone(),
        transports: config
            .transports
            .iter()
            .map(|transport| whisht_tor::TransportProgram {
                protocols: transport.protocols.clone(),
                program: transport.program.clone(),
            })
            .collect(),
        keys: config.keys.clone(),
    })
}

/// Reports whether the embedded Tor client carries links: by its own status, and against it if
/// failed dials show that its network is unreachable, which Tor may not notice for hours.
#[cfg(feature = "tor")]
async fn watch_arti(
    mut progress: watch::Receiver<whisht_tor::BootstrapProgress>,
    reach: watch::Sender<Connectivity>,
    mut outcomes: mpsc::UnboundedReceiver<DialOutcome>,
) {
    let (mut lost, mut carried) = (false, false);
    loop {
        let now = progress.borrow_and_update().clone();
        publish(
            &reach,
            match (now.ready, lost) {
                (true, false) if carried => Connectivity::Up,
                (true, false) => {
                    Connectivity::unverified("Tor has built a circuit, and has carried no link yet")
                }
                (true, true) => Connectivity::down("Tor cannot reach its network"),
                (false, _) => Connectivity::down(format_args!("Tor is starting: {now}")),
            },
        );
        tokio::select! {
            changed = progress.changed() => if changed.is_err() {
                return;
            },
            heard = outcomes.recv() => match heard {
                Some(DialOutcome::Connected) => (lost, carried) = (false, true),
                Some(DialOutcome::TorUnreachable) => (lost, carried) = (true, false),
                None => return,
            },
        }
    }
}

/// Reports whether a daemon runs, polling it while it does not.
async fn watch_daemon(
    config: DaemonConfig,
    reach: watch::Sender<Connectivity>,
    mut outcomes: mpsc::UnboundedReceiver<DialOutcome>,
) {
    let (mut told, mut carried) = (None, false);
    loop {
        let found = match probe_daemon(&config, &mut told).await {
            Connectivity::Unverified(_) if carried => Connectivity::Up,
            found => found,
        };
        let pause = if found.is_down() {
            carried = false;
            RETRY_INTERVAL
        } else {
            CHECK_INTERVAL
        };
        publish(&reach, found);
        tokio::select! {
            () = sleep(pause) => {}
            // Whether a dial found a Tor triggers an immediate check.
            heard = until_changed(&mut outcomes, carried) => match heard {
                Some(carries) => carried = carries,
                None => return,
            },
        }
    }
}

/// Waits until the result of a dial says whether Tor carries links, and this is not `carried`.
async fn until_changed(
    outcomes: &mut mpsc::UnboundedReceiver<DialOutcome>,
    carried: bool,
) -> Option<bool> {
    loop {
        match outcomes.recv().await? {
            DialOutcome::Connected if !carried => return Some(true),
            DialOutcome::Connected => {}
            // The port is checked again even if it was known to carry nothing.
            DialOutcome::TorUnreachable => return Some(false),
        }
    }
}

/// Whether a daemon may carry links: down if the SOCKS port or the control port shows it, unverified
/// otherwise, since only a link shows that Tor carries links. A control port that cannot be queried
/// is a configuration error to report, and does not stop sending.
async fn probe_daemon(config: &DaemonConfig, told: &mut Option<String>) -> Connectivity {
    if let Err(reason) = greet_daemon(config.socks).await {
        return Connectivity::Down(reason);
    }
    let Some(control) = &config.control else {
        return Connectivity::unverified(format_args!(
            "the SOCKS port {} answers, and no link was carried yet; set tor.control to see the \
             state of the daemon",
            config.socks
        ));
    };
    match tor_control::query(control).await {
        Ok(health) if health.percent < 100 => Connectivity::down(format_args!(
            "the Tor daemon is starting: {} %, {}",
            health.percent, health.doing
        )),
        Ok(health) if !health.circuit => {
            Connectivity::down("the Tor daemon has no circuit; its network may be gone")
        }
        Ok(_) => {
            Connectivity::unverified("the Tor daemon has a circuit, and has carried no link yet")
        }
        Err(error) => {
            let error = error.to_string();
            if told.as_ref() != Some(&error) {
                tracing::warn!("tor.control cannot be used: {error}");
                *told = Some(error.clone());
            }
            Connectivity::unverified(format_args!(
                "no link was carried yet, and tor.control cannot be used: {error}"
            ))
        }
    }
}

/// Whether a SOCKS port that isolates links answers.
///
/// # Errors
///
/// The reason and the remedy, for users.
async fn greet_daemon(address: SocketAddr) -> Result<(), String> {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await?;
        greet(&mut stream).await
    };
    match timeout(REPLY_TIMEOUT, greeting).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(SocksError::NoIsolation)) => Err(format!(
            "the daemon at {address} accepts no user name, so links would share circuits; remove \
             PreferSOCKSNoAuth from the torrc, or check tor.socks"
        )),
        Ok(Err(SocksError::NotSocks)) => Err(format!(
            "the port {address} does not speak SOCKS5; check tor.socks (a control port is for \
             tor.control)"
        )),
        Ok(Err(SocksError::Io(_) | SocksError::Refused(_))) | Err(_) => Err(format!(
            "no Tor daemon answers at {address}; start it (systemctl start tor), or check tor.socks"
        )),
    }
}

fn publish(reach: &watch::Sender<Connectivity>, now: Connectivity) {
    reach.send_if_modified(|last| {
        let changed = *last != now;
        *last = now;
        changed
    });
}

/// The interval between two checks of a daemon that runs.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// The interval between two checks of a daemon that does not run.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A daemon on this machine answers at once.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
