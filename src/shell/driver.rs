//! The event loop: one task that owns a node, feeds it inputs and applies its outputs.
//!
//! Events that a remote peer can cause arrive through a bounded channel. Completions of the node's
//! own requests arrive through an unbounded channel; their number is bounded by the requests.
//! Applying an output never waits, so a slow disk or peer cannot delay the others.
//!
//! The driver works in rounds, in which every source of inputs has some turns: completions, the
//! node's timers, requests of users, events of peers, datagrams. So no source starves another one,
//! whatever its inputs cost. A turn is bounded too: long computations are jobs on other threads, and
//! a chunk of at most 16 KB completes at most one handshake, which takes 0.3 ms.

mod effects;
mod threads;
mod turns;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use circuits::directory::BadSigningKey;
use circuits::ids::{LinkId, Profile};
use circuits::time::Now;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use zeroize::Zeroizing;

use self::effects::{EffectExecutor, FailedDial};
use self::threads::{open_store, report_hash_rate, start_archive, start_files};
use self::turns::TurnMeter;
use super::archive::OpenArchive;
use super::clock::{Clock, thread_time};
use super::connector::LinkStream;
use super::entropy::EntropySource;
use super::handle::{DriverRequest, Handle};
use super::idle_lock::LastUse;
use super::link_gates::LinkGates;
use super::store::Storage;
use super::tcp::NetEvent;
use super::transport::LinkTransport;
use super::udp::{self, DiscoverySockets};
use super::workers::Workers;
use super::{NoRandomness, random};
use crate::mail::archive::ArchiveResponse;
use crate::node::{
    ClientId, Command, Connectivity, DialFailure, FileFault, FileRequestId, FileResponse, Input,
    JobId, JobResult, Node, NodeConfig, NodeKeys, Refusal, Reply, Restored, StoreId,
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
    let addresses = local_addresses(&setup.listeners)?;
    let (driver, requests) = build(setup)?;
    let events = driver.effects.events.downgrade();
    let (driver, finished) = spawn(driver);
    Ok(Handle {
        client: ClientId::OWN,
        requests,
        events,
        addresses,
        driver,
        last_use: LastUse::new(),
        panicked: Arc::default(),
        finished,
    })
}

/// A driver that does not run yet, and the sender of requests to it.
fn build(setup: Setup) -> Result<(Driver, mpsc::Sender<DriverRequest>), StartError> {
    let clock = Clock::start();
    let loopback_only = setup.config.profile == Profile::Local;
    let gates = LinkGates::new(&setup.config.bandwidth, clock);
    let seed = Zeroizing::new(random()?);
    let node = Node::new(setup.config, setup.keys, setup.restored, &seed, clock.now())?;

    let (to_completions, completions) = mpsc::unbounded_channel();
    let (to_net, net) = mpsc::channel(NET_QUEUE);
    let (to_node, arrived) = mpsc::channel(udp::QUEUE);
    let datagrams = DiscoverySockets::start(setup.datagrams, loopback_only, &to_node);
    let (to_requests, requests) = mpsc::channel(REQUEST_QUEUE);
    let (events, _) = broadcast::channel(EVENT_QUEUE);
    let files = start_files(&setup.storage, to_completions.clone())?;
    let store = open_store(setup.storage, to_completions.clone())?;
    report_hash_rate(&setup.workers, to_completions.clone());
    let archive = setup.archive;
    let mut effects = EffectExecutor {
        clock,
        gates,
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
        files,
        archive: archive
            .map(|opened| start_archive(opened, to_completions.clone()))
            .transpose()?,
        workers: setup.workers,
        transport: setup.transport,
        events,
        to_net,
        to_completions,
    };
    effects.listen(setup.listeners);
    let driver = Driver {
        node,
        entropy: EntropySource::default(),
        effects,
        requests,
        completions,
        net,
        arrived,
        turns: TurnMeter::default(),
        is_panic: false,
    };
    Ok((driver, to_requests))
}

fn local_addresses(listeners: &[TcpListener]) -> io::Result<Arc<[SocketAddr]>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}

/// Runs the driver. The receiver reports its end.
fn spawn(driver: Driver) -> (AbortHandle, watch::Receiver<()>) {
    let (running, finished) = watch::channel(());
    let driver = tokio::spawn(async move {
        driver.run().await;
        drop(running);
    });
    (driver.abort_handle(), finished)
}

type CompletionSender = mpsc::UnboundedSender<Completion>;

/// The completion of something that the node requested.
#[derive(Debug)]
pub(super) enum Completion {
    /// A dial succeeded.
    Dialed(LinkId, LinkStream),
    /// A dial failed.
    NotDialed(LinkId, FailedDial),
    /// Bytes were handed to the operating system.
    Flushed(LinkId, usize),
    /// Records are durable.
    Stored(StoreId),
    /// The number of hashes that a job has tried so far.
    Working(JobId, u64),
    /// The archive's response.
    Archived(ArchiveResponse),
    /// The response of the store for files.
    File(FileRequestId, Result<FileResponse, FileFault>),
    /// A job has ended.
    Worked(JobId, Option<JobResult>),
    /// The hash rate of all threads together, per second.
    HashRate(f64),
    /// The thread of this name has panicked: the node cannot go on.
    ThreadDied(&'static str),
}

struct Driver {
    node: Node,
    entropy: EntropySource,
    effects: EffectExecutor,
    requests: mpsc::Receiver<DriverRequest>,
    completions: mpsc::UnboundedReceiver<Completion>,
    net: mpsc::Receiver<NetEvent>,
    arrived: mpsc::Receiver<udp::ReceivedDatagram>,
    turns: TurnMeter,
    /// Whether the node ends in an emergency: everything is dropped as it is.
    is_panic: bool,
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
            // Waits for something to happen. The order of the branches does not matter, because every
            // source has its turn in the round that follows.
            let flow = tokio::select! {
                biased;
                Some(completion) = self.completions.recv() => {
                    self.on_completion(completion)
                }
                () = timer.as_mut(), if armed => {
                    self.on_timer();
                    ControlFlow::Continue(())
                }
                request = self.requests.recv() => self.on_request(request),
                Ok(()) = self.effects.transport.reach.changed() => {
                    self.on_reach();
                    ControlFlow::Continue(())
                }
                Some(event) = self.net.recv() => {
                    self.on_net(event);
                    ControlFlow::Continue(())
                }
                Some((from, bytes)) = self.arrived.recv() => {
                    self.feed(Input::Datagram(from, &bytes));
                    ControlFlow::Continue(())
                }
            };
            if flow.is_break() || self.serve_round().is_break() {
                break;
            }
            while self.effects.tasks.try_join_next().is_some() {}
            // Connections and clients run on the same threads.
            tokio::task::yield_now().await;
        }
        if !self.is_panic {
            self.finish().await;
        }
    }

    /// Serves each source of inputs for a bounded number of turns: whatever one of them costs, the
    /// others wait for one round.
    fn serve_round(&mut self) -> ControlFlow<()> {
        for _ in 0..COMPLETIONS_PER_ROUND {
            let Ok(completion) = self.completions.try_recv() else {
                break;
            };
            self.on_completion(completion)?;
        }
        if self.effects.is_due() {
            self.on_timer();
        }
        for _ in 0..REQUESTS_PER_ROUND {
            match self.requests.try_recv() {
                Ok(request) => self.on_request(Some(request))?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return self.on_request(None),
            }
        }
        if self
            .effects
            .transport
            .reach
            .has_changed()
            .is_ok_and(|changed| changed)
        {
            self.on_reach();
        }
        for _ in 0..NET_EVENTS_PER_ROUND {
            let Ok(event) = self.net.try_recv() else {
                break;
            };
            self.on_net(event);
        }
        for _ in 0..DATAGRAMS_PER_ROUND {
            let Ok((from, bytes)) = self.arrived.try_recv() else {
                break;
            };
            self.feed(Input::Datagram(from, &bytes));
        }
        ControlFlow::Continue(())
    }

    /// Feeds the node one input, after entropy if that is due.
    fn feed(&mut self, input: Input<'_>) {
        let now = self.effects.clock.now();
        if let Some(entropy) = self.entropy.draw(now.mono) {
            self.handle(now, Input::Entropy(&entropy));
        }
        self.handle(now, input);
    }

    /// Feeds the node one input and applies its outputs: one turn.
    fn handle(&mut self, now: Now, input: Input<'_>) {
        let begun = thread_time();
        for output in self.node.handle(now, input) {
            self.effects.apply(output);
        }
        let took = thread_time().saturating_sub(begun);
        self.turns.record(now.mono, took);
    }

    fn on_timer(&mut self) {
        self.effects.due = None;
        self.feed(Input::Timeout);
    }

    /// Carries out a request. Breaks if the node has to end: on request, or because nothing holds a
    /// handle to it any more.
    fn on_request(&mut self, request: Option<DriverRequest>) -> ControlFlow<()> {
        match request {
            Some(DriverRequest::Command(client, command, answer)) => {
                self.on_command(client, command, answer);
                ControlFlow::Continue(())
            }
            Some(DriverRequest::Panic) => {
                self.is_panic = true;
                ControlFlow::Break(())
            }
            Some(DriverRequest::Shutdown) | None => ControlFlow::Break(()),
        }
    }

    fn on_reach(&mut self) {
        let reach = self.effects.transport.reach.borrow_and_update().clone();
        match &reach {
            Connectivity::Up => tracing::info!("the transport is ready"),
            Connectivity::Unverified(reason) => {
                tracing::info!("whether the transport is ready is unknown: {reason}");
            }
            Connectivity::Down(reason) => tracing::info!("the transport is not ready: {reason}"),
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
            NetEvent::ListenerFault(fault) => self.feed(Input::ListenerFault(&fault)),
        }
    }

    fn on_completion(&mut self, completion: Completion) -> ControlFlow<()> {
        match completion {
            Completion::Dialed(link, stream) => {
                // The node has not closed the link in the meantime.
                if self.effects.dialing.remove(&link).is_some() {
                    self.effects.open(link, stream, None);
                    self.feed(Input::Dialed(link));
                }
            }
            Completion::NotDialed(link, FailedDial { reason, is_refused }) => {
                self.effects.dialing.remove(&link);
                let reason = &reason;
                self.feed(Input::DialFailed(link, DialFailure { reason, is_refused }));
            }
            Completion::Flushed(link, len) => self.feed(Input::Flushed(link, len)),
            Completion::Stored(id) => self.feed(Input::Stored(id)),
            Completion::Working(job, tried) => self.feed(Input::Working(job, tried)),
            Completion::HashRate(rate) => self.feed(Input::HashRate(rate)),
            Completion::ThreadDied(thread) => {
                // The end of the driver ends the node; the caller did not ask for it.
                tracing::error!("the {thread} thread has died; the node ends");
                return ControlFlow::Break(());
            }
            Completion::Archived(word) => self.feed(Input::Archived(word)),
            Completion::File(id, answer) => self.feed(Input::File(id, answer)),
            Completion::Worked(job, done) => {
                self.effects.jobs.remove(&job);
                self.feed(Input::Worked(job, done));
            }
        }
        ControlFlow::Continue(())
    }

    fn on_command(
        &mut self,
        client: ClientId,
        command: Command,
        answer: oneshot::Sender<Result<Reply, Refusal>>,
    ) {
        if matches!(command, Command::Status) {
            let times = self.turns.times(self.effects.clock.now().mono);
            self.feed(Input::TurnTimes(times));
        }
        let id = self.effects.expect_reply(client, answer);
        self.feed(Input::Command(id, command));
    }

    /// Shuts down in order: disconnect messages are written, records are made durable.
    async fn finish(mut self) {
        let (answer, _) = oneshot::channel();
        self.on_command(ClientId::OWN, Command::Shutdown, answer);
        // Readers that wait for the node end; dropped links write their last bytes.
        self.net.close();
        while self.net.try_recv().is_ok() {}
        let EffectExecutor {
            store,
            files,
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
        files.finish().await;
        store.finish().await;
        if let Some(archive) = archive {
            archive.finish().await;
        }
    }
}

/// Completions served in a row. Most only say that bytes have left.
const COMPLETIONS_PER_ROUND: usize = 64;
/// Requests of users served in a row.
const REQUESTS_PER_ROUND: usize = 8;
/// Events of peers served in a row: some milliseconds, if each completes a handshake.
const NET_EVENTS_PER_ROUND: usize = 8;
/// Datagrams served in a row.
const DATAGRAMS_PER_ROUND: usize = 8;
/// Queue length for reads of at most 16 KB each.
const NET_QUEUE: usize = 64;
/// Queue length for commands; further commands wait.
const REQUEST_QUEUE: usize = 64;
/// Number of events that a slow subscriber may lag behind.
const EVENT_QUEUE: usize = 512;
/// Time limit for all links together to close in order.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
