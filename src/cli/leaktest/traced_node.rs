//! A traced node: `whisht run` in a process of its own, with its banner, its log and its end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use whisht_watch::WatchError;

use super::policy::EgressPolicy;
use super::watch::{ProgramReport, ProgramSpec, WatchedProgram};
use super::{failed, this_program};
use crate::cli::Failure;
use crate::cli::output::safe;
use crate::cli::run::banner::Banner;

/// A node under the tracer.
#[derive(Debug)]
pub(super) struct TracedNode {
    pub(super) watch: WatchedProgram,
    log: Log,
    /// Ends when all writers of the log have ended.
    logging: JoinSet<()>,
}

/// The last lines of a log.
type Log = Arc<Mutex<VecDeque<String>>>;

impl TracedNode {
    /// Starts `whisht` with these arguments. `settings` is whether the node inherits the `WHISHT_*`
    /// variables of the environment.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the node cannot be started or traced.
    pub(super) async fn start(
        arguments: Vec<OsString>,
        settings: bool,
        policy: EgressPolicy,
    ) -> Result<(Self, StartingNode), Failure> {
        let node = ProgramSpec {
            program: this_program()?,
            arguments,
            settings,
        };
        let mut watch = WatchedProgram::start(node, policy).await?;
        let (tell, banner) = oneshot::channel();
        let (log, mut logging) = (Log::default(), JoinSet::new());
        if let Some(stdout) = watch.take_stdout() {
            let stdout = pipe::Receiver::from_owned_fd(stdout.into()).map_err(failed)?;
            tokio::spawn(first_line(stdout, tell));
        }
        if let Some(stderr) = watch.take_stderr() {
            let stderr = pipe::Receiver::from_owned_fd(stderr.into()).map_err(failed)?;
            logging.spawn(last_lines(stderr, Arc::clone(&log)));
        }
        let node = Self {
            watch,
            log,
            logging,
        };
        Ok((node, StartingNode(banner)))
    }

    /// Asks the node to end, and kills it after [`SHUTDOWN_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// [`Failure`] if the report is lost.
    pub(super) async fn finish(mut self) -> Result<NodeOutcome, Failure> {
        self.watch.interrupt();
        let report = match timeout(SHUTDOWN_TIMEOUT, &mut self.watch.report).await {
            Ok(report) => report,
            Err(_) => {
                self.watch.kill();
                (&mut self.watch.report).await
            }
        };
        self.outcome(report).await
    }

    /// The outcome of a node that has ended.
    pub(super) async fn outcome(
        &mut self,
        report: Result<Result<ProgramReport, WatchError>, oneshot::error::RecvError>,
    ) -> Result<NodeOutcome, Failure> {
        let program = report.map_err(failed)?.map_err(failed)?;
        // The last lines may still be in the pipe.
        let _ = timeout(LOG_DRAIN_TIMEOUT, self.logging.join_next()).await;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(NodeOutcome {
            program,
            log: log.iter().cloned().collect(),
        })
    }
}

/// A node that is starting.
#[derive(Debug)]
pub(super) struct StartingNode(oneshot::Receiver<Banner>);

impl StartingNode {
    /// The banner of the node; `None` after `limit`. If the node ends before its banner, this waits
    /// for `limit`: the caller learns of the end from the report.
    pub(super) async fn up(self, limit: Duration) -> Option<Banner> {
        let said = async {
            match self.0.await {
                Ok(banner) => banner,
                Err(_) => std::future::pending().await,
            }
        };
        timeout(limit, said).await.ok()
    }
}

/// The end of a traced node.
#[derive(Debug)]
pub(super) struct NodeOutcome {
    pub(super) program: ProgramReport,
    /// The last lines of its log.
    pub(super) log: Vec<String>,
}

/// Enode URLs of a node on loopback; empty if it does not listen there.
pub(super) fn loopback_enodes(node: &Banner) -> Vec<String> {
    let key = node
        .enode
        .iter()
        .find_map(|enode| Some(enode.split_once('@')?.0));
    let loopback = node.listen.iter().copied().filter_map(|mut place| {
        if place.ip().is_unspecified() {
            place.set_ip(match place {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        place.ip().is_loopback().then_some(place)
    });
    key.map(|key| loopback.map(|place| format!("{key}@{place}")).collect())
        .unwrap_or_default()
}

/// Sends the banner in the first line, and reads on, so that the node never blocks on a full pipe.
async fn first_line(stdout: pipe::Receiver, tell: oneshot::Sender<Banner>) {
    let mut lines = BufReader::new(stdout).lines();
    if let Ok(Some(line)) = lines.next_line().await
        && let Ok(banner) = serde_json::from_str(&line)
    {
        // The test no longer waits if the receiver is gone.
        let _ = tell.send(banner);
    }
    while let Ok(Some(_)) = lines.next_line().await {}
}

/// Keeps the last lines.
async fn last_lines(stderr: pipe::Receiver, log: Log) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() >= MAX_LOG_LINES {
            log.pop_front();
        }
        log.push_back(safe(&line));
    }
}

/// Time limit of a clean shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// Time limit for the last lines of the log.
const LOG_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Lines of the log that are kept.
const MAX_LOG_LINES: usize = 12;
