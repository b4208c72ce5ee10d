//! The metrics of a running node: taken at an interval, written to a file, served on loopback.
//!
//! A task takes the figures at each multiple of the interval, and keeps the text. Readers get the text that
//! was last made, so they cost the node nothing, and cannot see when something happens between two multiples.
//! What the figures contain is decided by [`crate::metrics`].

mod file;
mod server;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::file::MetricsFile;
use super::Handle;
use super::clock::unix;
use super::log_throttle::LogThrottle;
use crate::config::metrics::MetricsConfig;
use crate::metrics::render;
use crate::node::{Command, Reply};

/// The outputs of the metrics, opened before the node starts.
#[derive(Debug)]
pub(super) struct BoundMetrics {
    listener: Option<TcpListener>,
    file: Option<MetricsFile>,
    interval: Duration,
}

impl BoundMetrics {
    /// Binds the listener, and checks that the file can be written.
    ///
    /// # Errors
    ///
    /// [`MetricsError`] names the output that cannot be opened.
    pub(super) async fn open(config: &MetricsConfig) -> Result<Self, MetricsError> {
        let listener = match config.listen {
            None => None,
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(|error| MetricsError::Bind { address, error })?,
            ),
        };
        let file = config.file.clone().map(MetricsFile::open).transpose()?;
        Ok(Self {
            listener,
            file,
            interval: config.interval,
        })
    }

    /// Takes the metrics of a node until it ends.
    pub(super) async fn start(self, handle: &Handle) -> MetricsExporter {
        let address = self
            .listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        let latest = LatestMetrics::default();
        let mut tasks = JoinSet::new();
        if self.listener.is_some() || self.file.is_some() {
            let task = ExportTask {
                handle: handle.clone(),
                latest: latest.clone(),
                file: self.file,
                interval: self.interval,
            };
            // A reader finds figures from the start.
            let task = task.take(&mut LogThrottle::default()).await;
            tasks.spawn(task.run());
        }
        if let Some(listener) = self.listener {
            tasks.spawn(server::run(listener, handle.clone(), latest));
        }
        MetricsExporter {
            address,
            _tasks: tasks,
        }
    }
}

/// The metrics of a running node. On drop its endpoint closes, and its file is removed.
#[derive(Debug)]
pub struct MetricsExporter {
    address: Option<SocketAddr>,
    _tasks: JoinSet<()>,
}

impl MetricsExporter {
    /// Where the metrics are served, if anywhere.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// The text that was last made; empty before the first.
#[derive(Clone, Debug, Default)]
struct LatestMetrics(Arc<Mutex<Arc<str>>>);

impl LatestMetrics {
    fn get(&self) -> Arc<str> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&text)
    }

    fn set(&self, text: Arc<str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// Takes the figures at each multiple of the interval.
struct ExportTask {
    handle: Handle,
    latest: LatestMetrics,
    file: Option<MetricsFile>,
    interval: Duration,
}

impl ExportTask {
    async fn run(mut self) {
        let mut failures = LogThrottle::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(until_next(self.interval)) => {}
                () = self.handle.finished() => return,
            }
            self = self.take(&mut failures).await;
        }
    }

    /// Takes the figures once. A file that cannot be written is tried again the next time.
    async fn take(mut self, failures: &mut LogThrottle) -> Self {
        let Ok(Ok(Reply::Metrics(view))) = self.handle.command(Command::Metrics).await else {
            return self;
        };
        let text: Arc<str> = render(&view).into();
        self.latest.set(Arc::clone(&text));
        let Some(file) = self.file.take() else {
            return self;
        };
        let write = move || {
            let written = file.replace(&text);
            (file, written)
        };
        // The file is gone only if the thread panicked, which ends this output.
        if let Ok((file, written)) = tokio::task::spawn_blocking(write).await {
            self.file = Some(file);
            if let Err(error) = written
                && let Some(times) = failures.note()
            {
                tracing::warn!(%error, times, "cannot write the metrics; trying again");
            }
        }
        self
    }
}

/// Time until the next multiple of the interval on the wall clock.
fn until_next(interval: Duration) -> Duration {
    let passed = u64::from(unix().0).checked_rem(interval.as_secs());
    interval.saturating_sub(Duration::from_secs(passed.unwrap_or(0)))
}

/// Why the metrics have no output.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address of the listener.
    #[error(
        "cannot serve metrics at {address}: {error}; free the address, or name another one with \
         metrics.listen"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The file.
    #[error(
        "cannot write metrics to {}: {error}; create its directory for the user of the node, or name another \
         file with metrics.file",
        path.display()
    )]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests;
