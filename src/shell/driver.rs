//! The event loop: one task that owns a node, feeds it inputs and applies its outputs.
//!
//! Events that a remote peer can cause arrive through a bounded channel. Completions of the node's
//! own requests arrive through an unbounded channel; their number is bounded by the requests.
//! Applying an output never waits, so a slow disk or peer cannot delay the others.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use circuits::directory::BadSigningKey;
use circuits::ids::{LinkId, Profile};
use circuits::time::Instant;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, timeout};

use super::accept_limiter::{AcceptLimiter, AcceptPermit};
use super::archive::{ArchiveHandle, OpenArchive};
use super::clock::Clock;
use super::connector::LinkStream;
use super::handle::{DriverRequest, Handle};
use super::store::{Storage, Store};
use super::tcp::{self, LinkHandle, LinkTask, NetEvent};
use super::transport::LinkTransport;
use super::udp::{self, DiscoverySockets};
use super::workers::{CancelOnDrop, Workers};
use super::{NoRandomness, random};
use crate::endpoint::Endpoint;
use crate::mail::archive::ArchiveResponse;
use crate::node::{
    Command, CommandId, Connectivity, Event, Input, Job, JobId, JobResult, Node, NodeConfig,
    NodeKeys, Output, Refusal, Reply, Restored, StoreId,
};

/// Everything that a node needs to run.
pub struct Setup {
    /// The settings.
    pub config: NodeConfig,
    /// The secrets.
    pub keys: NodeKeys,
    /// State that an earlier run stored, from the same storage.
    pub restored: Restored,
    /// Storage for state that must survive a crash.
    pub storage: Storage,
    /// The transport of its links.
    pub transport: LinkTransport,
    /// The listeners.
    pub listeners: Vec<TcpListener>,
    /// The sockets of discovery, if discovery is on.
    pub datagrams: Vec<UdpSocket>,
    /// The worker pool for searches.
    pub workers: Arc<Workers>,
    /// The archive, if the node is a mail server.
    pub archive: Option<OpenArchive>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The link key cannot sign.
    #[error("{0}; delete the file nodekey for a new one")]
    BadKey(#[from] BadSigningKey),
    /// No seed can be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The operating system cannot start a thread, or does not report a listener's address.
    #[error("the operating system refuses a thread or socket: {0}; check its limits (ulimit -a)")]
    System(#[from] io::Error),
}

/// Starts a node on the current tokio runtime.
///
/// # Errors
///
/// [`StartError`], before anything is sent.
pub fn start(setup: Setup) -> Result<Handle, StartError> {
    let Setup {
        config,
        keys,
        restored,
        storage,
        transport,
        listeners,
        datagrams,
        workers,
        archive,
    } = setup;
    let addresses = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<io::Result<_>>()?;
    let clock = Clock::start();
    let loopback_only = config.profile == Profile::Local;
    let node = Node::new(config, keys, restored, random()?, clock.now())?;

    let (to_completions, completions) = mpsc::unbounded_channel();
    let (to_net, net) = mpsc::channel(NET_QUEUE);
    let (to_node, arrived) = mpsc::channel(udp::QUEUE);
    let datagrams = DiscoverySockets::start(datagrams, loopback_only, &to_node);
    let (to_requests, requests) = mpsc::channel(REQUEST_QUEUE);
    let (events, _) = broadcast::channel(EVENT_QUEUE);
    let stored = to_completions.clone();
    let store = Store::open(storage, move |id| {
        // This fails only if the driver has ended.
        let _ = stored.send(Completion::Stored(id));
    })?;
    let measured = to_completions.clone();
    workers.when_measured(move |rate| {
        // As above.
        let _ = measured.send(Completion::HashRate(rate));
    });
    let archived = to_completions.clone();
    let archive = archive.map(|opened| {
        ArchiveHandle::start(opened, move |word| {
            // This fails only if the driver has ended.
            let _ = archived.send(Completion::Archived(word));
        })
    });
    let mut effects = EffectExecutor {
        clock,
        loopback_only,
        datagrams,
        links: BTreeMap::new(),
        dialing: BTreeMap::new(),
        acceptors: JoinSet::new(),
        tasks: JoinSet::new(),
        jobs: BTreeMap::new(),
        commands: BTreeMap::new(),
        last_command: 0,
        due: None,
        store,
        archive: archive.transpose()?,
        workers,
        transport,
        events: events.clone(),
        to_net,
        to_completions,
    };
    effects.listen(listeners);
    let (running, finished) = watch::channel(());
    let driver = Driver {
        node,
        effects,
        requests,
        completions,
        net,
        arrived,
    };
    let driver = tokio::spawn(async move {
        driver.run().await;
        drop(running);
    });
    Ok(Handle {
        requests: to_requests,
        events: events.downgrade(),
        addresses,
        driver: driver.abort_handle(),
        finished,
    })
}

/// The completion of something that the node requested.
#[derive(Debug)]
pub(super) enum Completion {
    /// A dial succeeded.
    Dialed(LinkId, LinkStream),
    /// A dial failed.
    NotDialed(LinkId),
    /// Bytes were handed to the operating system.
    Flushed(LinkId, usize),
    /// Records are durable.
    Stored(StoreId),
    /// The number of hashes that a job has tried so far.
    Working(JobId, u64),
    /// The archive's response.
    Archived(ArchiveResponse),
    /// A job has ended.
    Worked(JobId, Option<JobResult>),
    /// The hash rate of all threads together, per second.
    HashRate(f64),
}

struct Driver {
    node: Node,
    effects: EffectExecutor,
    requests: mpsc::Receiver<DriverRequest>,
    completions: mpsc::UnboundedReceiver<Completion>,
    net: mpsc::Receiver<NetEvent>,
    arrived: mpsc::Receiver<udp::ReceivedDatagram>,
}

impl Driver {
    async fn run(mut self) {
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        // The node assumes that the transport is up until it is notified of the contrary.
        if *self.effects.transport.reach.borrow() != Connectivity::Up {
            self.on_reach();
        }
        self.feed(Input::Timeout);
        loop {
            let armed = self.effects.arm(timer.as_mut());
            // Completions come first, then the node's timers, then events of remote peers.
            tokio::select! {
                biased;
                Some(completion) = self.completions.recv() => self.on_completion(completion),
                () = timer.as_mut(), if armed => {
                    self.effects.due = None;
                    self.feed(Input::Timeout);
                }
                request = self.requests.recv() => match request {
                    Some(DriverRequest::Command(command, answer)) => self.on_command(command, answer),
                    Some(DriverRequest::Shutdown) | None => break,
                },
                Ok(()) = self.effects.transport.reach.changed() => self.on_reach(),
                Some(event) = self.net.recv() => self.on_net(event),
                Some((from, bytes)) = self.arrived.recv() => {
                    self.feed(Input::Datagram(from, &bytes));
                }
            }
            while self.effects.tasks.try_join_next().is_some() {}
        }
        self.finish().await;
    }

    /// Feeds the node one input and applies its outputs.
    fn feed(&mut self, input: Input<'_>) {
        for output in self.node.handle(self.effects.clock.now(), input) {
            self.effects.apply(output);
        }
    }

    fn on_reach(&mut self) {
        let reach = self.effects.transport.reach.borrow_and_update().clone();
        match &reach {
            Connectivity::Up => tracing::info!("links can be had"),
            Connectivity::Down(reason) => tracing::info!("no links for now: {reason}"),
        }
        self.feed(Input::Connectivity(reach));
    }

    fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Accepted(stream, permit) => {
                let link = self.node.new_link();
                let from = permit.source();
                self.effects.open(link, stream, Some(permit));
                self.feed(Input::Accepted(link, from));
            }
            // After `Output::Close`, the node no longer knows the link.
            NetEvent::Received(link, bytes) if self.effects.links.contains_key(&link) => {
                self.feed(Input::Received(link, &bytes));
            }
            NetEvent::Received(..) => {}
            NetEvent::Ended(link) => {
                self.effects.links.remove(&link);
                self.feed(Input::Closed(link));
            }
        }
    }

    fn on_completion(&mut self, completion: Completion) {
        match completion {
            Completion::Dialed(link, stream) => {
                // The node has not closed the link in the meantime.
                if self.effects.dialing.remove(&link).is_some() {
                    self.effects.open(link, stream, None);
                    self.feed(Input::Dialed(link));
                }
            }
            Completion::NotDialed(link) => {
                self.effects.dialing.remove(&link);
                self.feed(Input::DialFailed(link));
            }
            Completion::Flushed(link, len) => self.feed(Input::Flushed(link, len)),
            Completion::Stored(id) => self.feed(Input::Stored(id)),
            Completion::Working(job, tried) => self.feed(Input::Working(job, tried)),
            Completion::HashRate(rate) => self.feed(Input::HashRate(rate)),
            Completion::Archived(word) => self.feed(Input::Archived(word)),
            Completion::Worked(job, done) => {
                self.effects.jobs.remove(&job);
                self.feed(Input::Worked(job, done));
            }
        }
    }

    fn on_command(&mut self, command: Command, answer: oneshot::Sender<Result<Reply, Refusal>>) {
        let id = self.effects.expect_reply(answer);
        self.feed(Input::Command(id, command));
    }

    /// Shuts down in order: disconnect messages are written, records are made durable.
    async fn finish(mut self) {
        let (answer, _) = oneshot::channel();
        self.on_command(Command::Shutdown, answer);
        // Readers that wait for the node end; dropped links write their last bytes.
        self.net.close();
        while self.net.try_recv().is_ok() {}
        let EffectExecutor {
            store,
            archive,
            mut tasks,
            links,
            dialing,
            acceptors,
            ..
        } = self.effects;
        drop((links, acceptors));
        dialing.into_values().for_each(|dial| dial.abort());
        let goodbyes = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_TIMEOUT, goodbyes).await.is_err() {
            tracing::debug!("some links did not close in time");
        }
        store.finish().await;
        if let Some(archive) = archive {
            archive.finish().await;
        }
    }
}

/// The state that outputs act upon.
struct EffectExecutor {
    clock: Clock,
    loopback_only: bool,
    datagrams: DiscoverySockets,
    links: BTreeMap<LinkId, LinkHandle>,
    dialing: BTreeMap<LinkId, AbortHandle>,
    /// Listener tasks.
    acceptors: JoinSet<()>,
    /// Connections, and dials in progress.
    tasks: JoinSet<()>,
    jobs: BTreeMap<JobId, CancelOnDrop>,
    commands: BTreeMap<CommandId, oneshot::Sender<Result<Reply, Refusal>>>,
    last_command: u64,
    /// The node's next deadline.
    due: Option<Instant>,
    store: Store,
    archive: Option<ArchiveHandle>,
    workers: Arc<Workers>,
    transport: LinkTransport,
    events: broadcast::Sender<Arc<Event>>,
    to_net: mpsc::Sender<NetEvent>,
    to_completions: mpsc::UnboundedSender<Completion>,
}

impl EffectExecutor {
    fn listen(&mut self, listeners: Vec<TcpListener>) {
        let limiter = AcceptLimiter::new(self.loopback_only);
        for listener in listeners {
            self.acceptors
                .spawn(tcp::accept(listener, limiter.clone(), self.to_net.clone()));
        }
        #[cfg(feature = "tor")]
        if let Some(incoming) = self.transport.incoming.take() {
            self.acceptors
                .spawn(tcp::accept_onion(incoming, limiter, self.to_net.clone()));
        }
    }

    /// Sets the timer to the node's next deadline; returns whether there is one.
    fn arm(&self, timer: Pin<&mut Sleep>) -> bool {
        let due = self.due.and_then(|due| self.clock.at(due));
        if let Some(due) = due.filter(|due| *due != timer.deadline()) {
            timer.reset(due);
        }
        due.is_some()
    }

    fn apply(&mut self, output: Output) {
        match output {
            Output::Dial(link, endpoint) => self.dial(link, endpoint),
            Output::Send(link, bytes) => {
                if let Some(handle) = self.links.get(&link) {
                    handle.send(bytes);
                }
            }
            Output::Close(link) => {
                self.links.remove(&link);
                if let Some(dial) = self.dialing.remove(&link) {
                    dial.abort();
                    self.complete(Completion::NotDialed(link));
                }
            }
            Output::Datagram(to, bytes) => self.datagrams.send(to, &bytes),
            Output::Store(id, record) => self.store.put(id, record),
            Output::Archive(task) => {
                if let Some(archive) = &self.archive {
                    archive.put(task);
                }
            }
            Output::Work(id, job) => self.work(id, job),
            Output::CancelWork(id) => drop(self.jobs.remove(&id)),
            Output::Reply(id, reply) => {
                if let Some(waiting) = self.commands.remove(&id) {
                    // The requester may have ended.
                    let _ = waiting.send(reply);
                }
            }
            Output::Notify(event) => {
                // Having no subscriber is not an error.
                let _ = self.events.send(Arc::new(event));
            }
            Output::Timeout(due) => self.due = Some(due),
        }
    }

    /// Starts a task for an established connection.
    fn open(&mut self, link: LinkId, stream: LinkStream, permit: Option<AcceptPermit>) {
        let (handle, connection) = LinkTask::new(link, stream, permit);
        self.links.insert(link, handle);
        self.tasks
            .spawn(connection.run(self.to_net.clone(), self.to_completions.clone()));
    }

    fn dial(&mut self, link: LinkId, endpoint: Endpoint) {
        if !self.may_dial(endpoint) {
            return self.complete(Completion::NotDialed(link));
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
                    tracing::debug!(%error, "a link cannot be had");
                    reporter.failed(error);
                    Completion::NotDialed(link)
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

    fn expect_reply(&mut self, answer: oneshot::Sender<Result<Reply, Refusal>>) -> CommandId {
        self.last_command = self.last_command.wrapping_add(1);
        let id = CommandId(self.last_command);
        self.commands.insert(id, answer);
        id
    }

    fn complete(&self, completion: Completion) {
        // The driver holds the receiving task, so the channel is open.
        let _ = self.to_completions.send(completion);
    }
}

/// Queue length for reads of at most 16 KB each.
const NET_QUEUE: usize = 64;
/// Queue length for commands; further commands wait.
const REQUEST_QUEUE: usize = 64;
/// Number of events that a slow subscriber may lag behind.
const EVENT_QUEUE: usize = 512;
/// Time limit for all links together to close in order.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
