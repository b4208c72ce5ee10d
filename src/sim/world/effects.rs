//! Events that come to machines, and the effects that machines ask for.

use std::net::SocketAddr;

use circuits::ids::LinkId;

use super::super::files::FileCompletion;
use super::super::machine::{LinkEnd, Process, Wake};
use super::super::network::Line;
use super::super::observer::Observation;
use super::{World, wide};
use crate::endpoint::Endpoint;
use crate::mail::archive::ArchiveResponse;
use crate::node::{DialFailure, Input, Job, JobId, JobResult, Output, StoreId};

/// Something that will happen to a machine.
pub(super) enum SimEvent {
    /// The machine is switched on.
    Start,
    /// A timer of the machine is due, unless another event has taken its place.
    Wake,
    /// Something is different although no timer is due: the machine looks around.
    Resume,
    Dial(LinkId, Endpoint),
    Dialed(LinkId),
    Bytes(LinkId, Vec<u8>),
    Flushed(LinkId, usize),
    Closed(LinkId),
    Datagram(SocketAddr, Vec<u8>),
    /// The record of the machine's run with this number is durable.
    Stored(u64, StoreId),
    Archived(Box<ArchiveResponse>),
    /// The answer of the store for files to the machine's run with this number.
    File(u64, Box<FileCompletion>),
    Working(JobId, u64),
    Worked(JobId, Box<Option<JobResult>>),
}

impl World {
    pub(super) fn dispatch(&mut self, at: usize, event: SimEvent) {
        let now = self.now;
        match event {
            SimEvent::Start => {
                let rate = self.config.mining.hashes_per_second;
                self.feed(at, Input::Timeout);
                self.feed(at, Input::HashRate(f64::from(rate)));
            }
            SimEvent::Wake => match self.machine_mut(at).wake.take(now) {
                Wake::Due => self.feed(at, Input::Timeout),
                Wake::Later(due) => self.queue.push(due, (at, SimEvent::Wake)),
                Wake::Stale => {}
            },
            SimEvent::Resume => self.feed(at, Input::Timeout),
            SimEvent::Dial(link, endpoint) => self.connect(at, link, endpoint),
            SimEvent::Dialed(link) => self.feed(at, Input::Dialed(link)),
            SimEvent::Bytes(link, bytes) => {
                if let Some(from) = self.machine(at).links.get(&link).map(|end| end.to) {
                    self.observe(at, &Observation::Received(from, &bytes));
                    self.feed(at, Input::Received(link, &bytes));
                }
            }
            SimEvent::Flushed(link, bytes) => self.feed(at, Input::Flushed(link, bytes)),
            SimEvent::Closed(link) => {
                self.machine_mut(at).links.remove(&link);
                self.feed(at, Input::Closed(link));
            }
            SimEvent::Datagram(from, bytes) => self.feed(at, Input::Datagram(from, &bytes)),
            // A later run numbers its records anew.
            SimEvent::Stored(run, id) if self.machine(at).starts == run => {
                self.feed(at, Input::Stored(id));
            }
            SimEvent::Stored(..) => {}
            SimEvent::Archived(answer) => self.feed(at, Input::Archived(*answer)),
            SimEvent::File(run, answer) if self.machine(at).starts == run => {
                let (id, answer) = *answer;
                self.feed(at, Input::File(id, answer));
            }
            SimEvent::File(..) => {}
            SimEvent::Working(job, tried) => self.feed(at, Input::Working(job, tried)),
            SimEvent::Worked(job, done) => {
                if self.machine_mut(at).jobs.remove(&job) {
                    self.feed(at, Input::Worked(job, *done));
                }
            }
        }
    }

    /// A dial has reached the machine with this address, if there is one.
    fn connect(&mut self, at: usize, link: LinkId, endpoint: Endpoint) {
        let to = self.by_endpoint.get(&endpoint).copied().filter(|to| {
            let machine = self.machine(*to);
            !machine.process.is_offline() && !machine.behind_nat
        });
        let theirs = to.and_then(|to| self.machine_mut(to).process.new_link());
        let (Some(to), Some(theirs)) = (to, theirs) else {
            let failure = DialFailure {
                reason: "the peer does not answer",
                is_refused: false,
            };
            self.feed(at, Input::DialFailed(link, failure));
            return;
        };
        let machine = self.machine_mut(at);
        machine.dials += 1;
        let dial = machine.dials;
        let there = self.line(at, to, dial, 0);
        let back = self.line(to, at, dial, 1);
        let end = |to, theirs, line| LinkEnd {
            to,
            theirs,
            line,
            unreported: 0,
        };
        self.machine_mut(at)
            .links
            .insert(link, end(to, theirs, there));
        let mut answer = end(at, link, back);
        // The dialler hears of it one way later, and before anything that comes on the link.
        let transit = answer.line.send(&self.config.network, self.now, 0);
        self.machine_mut(to).links.insert(theirs, answer);
        self.observe(at, &Observation::Dialled(to));
        self.queue
            .push(transit.arrives, (at, SimEvent::Dialed(link)));
        let from = match self.machine(at).addr.endpoint {
            Endpoint::Tcp(own) => Some(own.ip()),
            Endpoint::Onion(..) => None,
        };
        self.feed(to, Input::Accepted(theirs, from));
    }

    /// One direction of a new link: the `dial`th that `from` and `to` make in this direction.
    fn line(&self, from: usize, to: usize, dial: u64, side: u64) -> Line {
        let (from, to) = (wide(from), wide(to));
        let seed = &self.config.seed;
        let mut pair = seed.small_rng("latency", &[from.min(to), from.max(to)]);
        let latency = self.config.network.latency(&mut pair);
        Line::new(seed.small_rng("line", &[from, to, dial, side]), latency)
    }

    /// The one-way delay between a machine and an address, whether or not a machine is there.
    fn dial_delay(&self, at: usize, endpoint: Endpoint) -> core::time::Duration {
        let to = self
            .by_endpoint
            .get(&endpoint)
            .map_or(u64::MAX, |to| wide(*to));
        let from = wide(at);
        let numbers = [from.min(to), from.max(to)];
        let mut pair = self.config.seed.small_rng("latency", &numbers);
        self.config.network.latency(&mut pair)
    }

    pub(super) fn feed(&mut self, at: usize, input: Input<'_>) {
        let now = self.clock_of(at);
        let mut outputs = core::mem::take(&mut self.outputs);
        match &mut self.machine_mut(at).process {
            Process::Node(node) => outputs.extend(node.handle(now, input)),
            Process::Actor(actor) => outputs.extend(actor.handle(now, input)),
            Process::Offline => {}
        }
        for output in outputs.drain(..) {
            self.apply(at, output);
        }
        self.outputs = outputs;
    }

    /// Does one thing that a machine asks for.
    pub(super) fn apply(&mut self, at: usize, output: Output) {
        let now = self.now;
        match output {
            Output::Dial(link, endpoint) => {
                let due = now.after(self.dial_delay(at, endpoint));
                self.queue.push(due, (at, SimEvent::Dial(link, endpoint)));
            }
            Output::Send(link, bytes) => self.send(at, link, bytes),
            // A simulated node has no limit of descriptors.
            Output::Keep(_) => {}
            Output::Close(link) => self.close(at, link),
            Output::Datagram(to, bytes) => self.send_datagram(at, to, bytes),
            Output::Store(id, record) => {
                let due = now.after(self.config.disk.delay);
                let machine = self.machine_mut(at);
                let run = machine.starts;
                if machine.disk.store(id, record) {
                    self.queue.push(due, (at, SimEvent::Stored(run, id)));
                }
            }
            Output::Archive(request) => {
                if let Some(answer) = self.machine_mut(at).archive.submit(request) {
                    let due = now.after(ARCHIVE_DELAY);
                    let archived = SimEvent::Archived(Box::new(answer));
                    self.queue.push(due, (at, archived));
                }
            }
            Output::File(id, request) => {
                let due = now.after(FILE_DELAY);
                let machine = self.machine_mut(at);
                let run = machine.starts;
                if let Some(answer) = machine.files.submit(id, request) {
                    self.queue
                        .push(due, (at, SimEvent::File(run, Box::new(answer))));
                }
            }
            Output::Work(id, job) => self.work(at, id, job),
            Output::CancelWork(id) => {
                if self.machine(at).jobs.contains(&id) {
                    let stopped = SimEvent::Worked(id, Box::new(None));
                    self.queue.push(now, (at, stopped));
                }
            }
            Output::Reply(id, reply) => {
                self.replies.insert(id, reply);
            }
            Output::Notify(event) => self.observe(at, &Observation::Notified(&event)),
            // The links of the simulator have capacities of their own.
            Output::LimitBandwidth(_) => {}
            Output::Timeout(due) => {
                if let Some(due) = self.machine_mut(at).wake.want(due.max(now)) {
                    self.queue.push(due, (at, SimEvent::Wake));
                }
            }
        }
    }

    fn send(&mut self, at: usize, link: LinkId, bytes: Vec<u8>) {
        let now = self.now;
        let model = self.config.network;
        let machine = self.machine_mut(at);
        let Some(end) = machine.links.get_mut(&link) else {
            self.queue
                .push(now, (at, SimEvent::Flushed(link, bytes.len())));
            return;
        };
        let uploaded = machine.uplink.send(&model, now, bytes.len());
        let transit = end.line.send(&model, uploaded, bytes.len());
        let (to, theirs) = (end.to, end.theirs);
        end.unreported = end.unreported.saturating_add(bytes.len());
        if end.unreported >= FLUSH_REPORT {
            let flushed = core::mem::take(&mut end.unreported);
            self.queue
                .push(transit.left, (at, SimEvent::Flushed(link, flushed)));
        }
        self.observe(at, &Observation::Sent(to, &bytes));
        let bytes = self.without_lost_cells((at, to), bytes);
        if !bytes.is_empty() {
            self.queue
                .push(transit.arrives, (to, SimEvent::Bytes(theirs, bytes)));
        }
    }

    fn close(&mut self, at: usize, link: LinkId) {
        let Some(mut end) = self.machine_mut(at).links.remove(&link) else {
            return;
        };
        let transit = end.line.send(&self.config.network, self.now, 0);
        self.observe(at, &Observation::Closed(end.to));
        let closed = SimEvent::Closed(end.theirs);
        self.queue.push(transit.arrives, (end.to, closed));
    }

    fn send_datagram(&mut self, at: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.observe(at, &Observation::Datagram(to, &bytes));
        let Endpoint::Tcp(from) = self.machine(at).addr.endpoint else {
            return;
        };
        let Some(to) = self.by_endpoint.get(&Endpoint::Tcp(to)).copied() else {
            return;
        };
        self.datagrams += 1;
        let numbers = [wide(at), wide(to), self.datagrams];
        let mut rng = self.config.seed.small_rng("datagram", &numbers);
        if let Some(arrives) = self.config.network.datagram(self.now, &mut rng) {
            self.queue
                .push(arrives, (to, SimEvent::Datagram(from, bytes)));
        }
    }

    fn work(&mut self, at: usize, id: JobId, job: Job) {
        let now = self.now;
        let model = self.config.mining;
        let machine = self.machine_mut(at);
        machine.jobs.insert(id);
        let mined = model.run(job, &mut machine.mining);
        if let Some(tried) = mined.progress {
            self.queue.push(now, (at, SimEvent::Working(id, tried)));
        }
        let worked = SimEvent::Worked(id, Box::new(mined.result));
        self.queue.push(now.after(mined.took), (at, worked));
    }

    fn observe(&mut self, at: usize, what: &Observation<'_>) {
        self.observer.observe(self.now, at, what);
    }
}

/// Bytes after which a node is told that they have left. Less than its window of 64 KiB, so that no
/// node waits for the report, and more than most messages, so that few inputs are spent on it.
const FLUSH_REPORT: usize = 16 * 1024;

/// Time of an answer of the archive.
/// Time in which a store for files answers.
const FILE_DELAY: core::time::Duration = core::time::Duration::from_millis(2);
const ARCHIVE_DELAY: core::time::Duration = core::time::Duration::from_millis(5);
