//! Applies the outputs of a node: dials, links, searches, records, replies.
//!
//! Nothing here waits. Work that takes time runs in a task or thread and reports a [`Completion`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use circuits::ids::LinkId;
use circuits::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;

use super::Completion;
use super::LinkGates;
use crate::endpoint::Endpoint;
use crate::node::{ClientId, ClockView, CommandId, Event, Job, JobId, Output, Refusal, Reply};
use crate::shell::accept_limiter::{AcceptLimiter, AcceptPermit};
use crate::shell::archive::ArchiveHandle;
use crate::shell::clock::Clock;
use crate::shell::connector::{DialError, LinkStream};
use crate::shell::file_store::FileStore;
use crate::shell::store::Store;
use crate::shell::tcp::{self, LinkHandle, LinkTask, NetEvent};
use crate::shell::transport::LinkTransport;
use crate::shell::udp::DiscoverySockets;
use crate::shell::workers::{CancelOnDrop, Workers};

/// The state that outputs act upon.
pub(super) struct EffectExecutor {
    /// The limits of bandwidth.
    pub(super) gates: LinkGates,
    pub(super) clock: Clock,
    pub(super) loopback_only: bool,
    pub(super) datagrams: DiscoverySockets,
    pub(super) links: BTreeMap<LinkId, LinkHandle>,
    pub(super) dialing: BTreeMap<LinkId, AbortHandle>,
    /// Listener tasks.
    pub(super) acceptors: JoinSet<()>,
    /// Connections, and dials in progress.
    pub(super) tasks: JoinSet<()>,
    pub(super) jobs: BTreeMap<JobId, CancelOnDrop>,
    pub(super) commands: BTreeMap<CommandId, oneshot::Sender<Result<Reply, Refusal>>>,
    pub(super) last_command: u64,
    /// The node's next deadline.
    pub(super) due: Option<Instant>,
    pub(super) store: Store,
    pub(super) files: FileStore,
    pub(super) archive: Option<ArchiveHandle>,
    pub(super) workers: Arc<Workers>,
    pub(super) transport: LinkTransport,
    pub(super) events: broadcast::Sender<Arc<Event>>,
    pub(super) to_net: mpsc::Sender<NetEvent>,
    pub(super) to_completions: mpsc::UnboundedSender<Completion>,
}

impl EffectExecutor {
    /// Accepts connections on listeners, and on the onion service if there is one.
    pub(super) fn listen(&mut self, listeners: Vec<TcpListener>) {
        let limiter = AcceptLimiter::new(tcp::link_limits(self.loopback_only));
        for listener in listeners {
            let net = self.to_net.clone();
            self.acceptors
                .spawn(tcp::keep_accepting(listener, limiter.clone(), net));
        }
        #[cfg(feature = "tor")]
        if let Some(incoming) = self.transport.incoming.take() {
            self.acceptors
                .spawn(tcp::accept_onion(incoming, limiter, self.to_net.clone()));
        }
    }

    /// Sets the timer to the node's next deadline; returns whether there is one.
    pub(super) fn arm(&self, timer: Pin<&mut Sleep>) -> bool {
        let due = self.due.and_then(|due| self.clock.at(due));
        if let Some(due) = due.filter(|due| *due != timer.deadline()) {
            timer.reset(due);
        }
        due.is_some()
    }

    /// Whether the node's next deadline has come.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= self.clock.now().mono)
    }

    /// Applies one output of the node.
    pub(super) fn apply(&mut self, output: Output) {
        match output {
            Output::Dial(link, endpoint) => self.dial(link, endpoint),
            Output::Send(link, bytes) => {
                if let Some(handle) = self.links.get(&link) {
                    handle.send(bytes);
                }
            }
            Output::Keep(link) => {
                if self.links.get(&link).is_some_and(|handle| !handle.keep()) {
                    tracing::debug!("no slot is left for a link that the node keeps");
                }
            }
            Output::Close(link) => {
                self.links.remove(&link);
                if let Some(dial) = self.dialing.remove(&link) {
                    dial.abort();
                    let failed = FailedDial::because("the dial was cancelled");
                    self.complete(Completion::NotDialed(link, failed));
                }
            }
            Output::Datagram(to, bytes) => self.datagrams.send(to, &bytes),
            Output::Store(id, record) => self.store.put(id, record),
            Output::Archive(task) => {
                if let Some(archive) = &self.archive {
                    archive.put(task);
                }
            }
            Output::File(id, request) => self.files.put(id, request),
            Output::Work(id, job) => self.work(id, job),
            Output::CancelWork(id) => drop(self.jobs.remove(&id)),
            Output::Reply(id, reply) => {
                if let Some(waiting) = self.commands.remove(&id) {
                    // The requester may have ended.
                    let _ = waiting.send(reply);
                }
            }
            Output::Notify(event) => {
                if let Event::Clock(view) = &event {
                    log_clock(view);
                }
                // Having no subscriber is not an error.
                let _ = self.events.send(Arc::new(event));
            }
            Output::LimitBandwidth(limits) => self.gates.set_limits(&limits),
            Output::Timeout(due) => self.due = Some(due),
        }
    }

    /// Starts a task for an established connection.
    pub(super) fn open(&mut self, link: LinkId, stream: LinkStream, permit: Option<AcceptPermit>) {
        let (handle, connection) = LinkTask::new(link, stream, permit, self.gates.clone());
        self.links.insert(link, handle);
        self.tasks
            .spawn(connection.run(self.to_net.clone(), self.to_completions.clone()));
    }

    fn dial(&mut self, link: LinkId, endpoint: Endpoint) {
        if !self.may_dial(endpoint) {
            let failed = FailedDial::because("the local profile connects to loopback only");
            return self.complete(Completion::NotDialed(link, failed));
        }
        let (completions, connector) = (
            self.to_completions.clone(),
            self.transport.connector.clone(),
        );
        let reporter = self.transport.reporter();
        let task = self.tasks.spawn(async move {
            let completion = match connector.dial(endpoint).await {
                Ok(stream) => {
                    reporter.connected();
                    Completion::Dialed(link, stream)
                }
                Err(error) => {
                    tracing::debug!(%error, "a dial failed");
                    reporter.failed(error);
                    let failed = FailedDial {
                        is_refused: error == DialError::Refused,
                        ..FailedDial::because(error)
                    };
                    Completion::NotDialed(link, failed)
                }
            };
            // This fails only if the driver has ended.
            let _ = completions.send(completion);
        });
        self.dialing.insert(link, task);
    }

    /// The local profile never leaves the machine, except through a private Tor network (spec M17).
    fn may_dial(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Tcp(address) => !self.loopback_only || address.ip().is_loopback(),
            Endpoint::Onion(..) => true,
        }
    }

    fn work(&mut self, id: JobId, job: Job) {
        let (progress, completions) = (self.to_completions.clone(), self.to_completions.clone());
        let cancel = self.workers.run(
            job,
            move |tried| {
                // This fails only if the driver has ended, here and below.
                let _ = progress.send(Completion::Working(id, tried));
            },
            move |done| {
                let _ = completions.send(Completion::Worked(id, done));
            },
        );
        self.jobs.insert(id, cancel);
    }

    /// Registers a requester for the reply to the returned command id.
    pub(super) fn expect_reply(
        &mut self,
        client: ClientId,
        answer: oneshot::Sender<Result<Reply, Refusal>>,
    ) -> CommandId {
        self.last_command = self.last_command.wrapping_add(1);
        let id = CommandId {
            number: self.last_command,
            client,
        };
        self.commands.insert(id, answer);
        id
    }

    fn complete(&self, completion: Completion) {
        // The driver holds the receiving task, so the channel is open.
        let _ = self.to_completions.send(completion);
    }
}

/// A dial that failed.
#[derive(Debug)]
pub(in crate::shell) struct FailedDial {
    /// The reason, for the user.
    pub(super) reason: String,
    /// Whether the address answered that no program listens there.
    pub(super) is_refused: bool,
}

impl FailedDial {
    fn because(reason: impl ToString) -> Self {
        Self {
            reason: reason.to_string(),
            is_refused: false,
        }
    }
}

/// Logs what peers show of this machine's clock.
fn log_clock(view: &ClockView) {
    if view.refuses {
        tracing::error!(
            "the clock of this machine is {view}; nothing is sent until it is set \
             (`timedatectl set-ntp true`)"
        );
    } else if !view.is_off() {
        tracing::info!("the clock of this machine is {view}");
    } else {
        tracing::warn!(
            "the clock of this machine is {view}; check it (`timedatectl`), because messages with a \
             wrong time are lost"
        );
    }
}
