//! A node that is watched: `whisht run` in a process of its own, with what it says and how it ends.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
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

/// A node in the hands of the watcher.
#[derive(Debug)]
pub(super) struct TracedNode {
    pub(super) watch: WatchedProgram,
    log: Log,
    /// Ends when nobody can write to the log any more.
    logging: JoinSet<()>,
}

/// The last lines of a log.
type Log = Arc<Mutex<VecDeque<String>>>;

impl TracedNode {
    /// Starts `whisht` with these arguments; what it says comes when it is up. `settings` says
    /// whether the environment is meant for it.
    ///
    /// # Errors
    ///
    /// [`Failure`] if it cannot be started, or watched.
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

    /// Ends it in good order, or else in disorder.
    ///
    /// # Errors
    ///
    /// [`Failure`] if nobody knows what it did.
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

    /// What it did, if it has ended by itself.
    pub(super) async fn outcome(
        &mut self,
        report: Result<Result<ProgramReport, WatchError>, oneshot::error::RecvError>,
    ) -> Result<NodeOutcome, Failure> {
        let program = report.map_err(failed)?.map_err(failed)?;
        // Its last words may still be in the pipe.
        let _ = timeout(LOG_DRAIN_TIMEOUT, self.logging.join_next()).await;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(NodeOutcome {
            program,
            log: log.iter().cloned().collect(),
        })
    }
}

/// A node that is not up yet.
#[derive(Debug)]
pub(super) struct StartingNode(oneshot::Receiver<Value>);

impl StartingNode {
    /// What it says once it is up; `None` if it is not in time. If it ends before, this never does:
    /// whoever waits hears of the end.
    pub(super) async fn up(self, limit: Duration) -> Option<Banner> {
        let said = async {
            match self.0.await {
                Ok(banner) => Banner(banner),
                Err(_) => std::future::pending().await,
            }
        };
        timeout(limit, said).await.ok()
    }
}

/// What became of a node.
#[derive(Debug)]
pub(super) struct NodeOutcome {
    pub(super) program: ProgramReport,
    /// The last that it logged.
    pub(super) log: Vec<String>,
}

/// What a node says once it is up.
#[derive(Clone, Debug)]
pub(super) struct Banner(Value);

impl Banner {
    /// Its local socket.
    pub(super) fn ipc(&self) -> PathBuf {
        self.0
            .get("ipc")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .into()
    }

    /// How its peers name it, on loopback; nothing, if it listens nowhere there.
    pub(super) fn enodes(&self) -> Vec<String> {
        let texts = |name: &str| {
            let list = self.0.get(name).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str)
        };
        let key = texts("enode").find_map(|enode| Some(enode.split_once('@')?.0));
        let places = texts("listen").filter_map(|place| place.parse().ok());
        let loopback = places.filter_map(|mut place: SocketAddr| {
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

    /// One of its texts.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Whether it keeps mail.
    pub(super) fn keeps_mail(&self) -> bool {
        self.0
            .get("mail")
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }
}

/// Hands over the first line as JSON, and reads on, so that nobody has to wait.
async fn first_line(stdout: pipe::Receiver, tell: oneshot::Sender<Value>) {
    let mut lines = BufReader::new(stdout).lines();
    if let Ok(Some(line)) = lines.next_line().await
        && let Ok(banner) = serde_json::from_str(&line)
    {
        // Nobody waits any more, and the node goes on.
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

/// How long a node may take to end in good order.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long they may take to come.
const LOG_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Lines of its log that are kept.
const MAX_LOG_LINES: usize = 12;
