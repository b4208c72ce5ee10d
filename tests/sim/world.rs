//! A second shell for the node: many of them in one process, in simulated time.
//!
//! The world is a queue of events, ordered by time and, where times are equal, by
//! the order in which they were planned; so a seed replays a run exactly. Links deliver bytes in
//! order after a fixed delay, jobs are done at once, and what is to be durable is.

#![allow(dead_code, reason = "no test uses all that a world can do")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use circuits::directory::RelayEndpoint as Advertised;
use circuits::ids::{Epoch, LinkId, Profile};
use circuits::level::Level;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};
use whisht::discovery::{self, Discovery};
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::link::LinkKey;
use whisht::mail::archive::ArchiveResponse;
use whisht::message::SymKey;
use whisht::node::{
    Command, CommandId, Event, Input, Job, JobId, JobResult, Node, NodeConfig, NodeKeys, Output,
    PowGeneration, Refusal, Reply, StatusView, StoreId,
};

pub(crate) mod archive;
pub(crate) mod disk;
pub(crate) mod scripted_peer;

use archive::SimArchive;
use disk::SimDisk;
use scripted_peer::ScriptedPeer;

/// Nodes, the links between them, and what will happen next.
pub(crate) struct World {
    now: Instant,
    sequence: u64,
    queue: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    scheduled: BTreeMap<u64, SimEvent>,
    nodes: Vec<Machine>,
    commands: u64,
    latency: Duration,
    /// The key of every mail server's password, if they have one.
    pub(crate) mail_password: Option<[u8; 32]>,
    /// What the wall clock says at the start, and after a clock jump.
    start: UnixSecs,
    /// Who cannot be dialled: the router before it lets nobody in.
    behind_nat: BTreeSet<usize>,
    /// What scripted peers are found by; they answer and ask nothing.
    scripted_discovery: BTreeMap<usize, Discovery>,
    /// Who sent datagrams, and where to.
    datagrams: BTreeSet<(usize, SocketAddr)>,
}

/// What runs on a machine.
enum Process {
    Node(Box<Node>),
    Scripted(Box<ScriptedPeer>),
    /// The power has failed.
    Offline,
}

/// A node and where it is.
struct Machine {
    process: Process,
    addr: PeerAddr,
    config: Option<NodeConfig>,
    disk: SimDisk,
    archive: SimArchive,
    links: BTreeMap<LinkId, (usize, LinkId)>,
    events: Vec<(Instant, Event)>,
    replies: BTreeMap<CommandId, Result<Reply, Refusal>>,
    wake: Option<Instant>,
}

enum SimEvent {
    Wake,
    Dial(LinkId, Endpoint),
    Bytes(LinkId, Vec<u8>),
    Flushed(LinkId, usize),
    Closed(LinkId),
    Datagram(SocketAddr, Vec<u8>),
    Stored(StoreId),
    Archived(ArchiveResponse),
    Working(JobId, u64),
    Worked(JobId, Option<JobResult>),
    HashRate,
}

impl World {
    pub(crate) fn new(latency: Duration) -> Self {
        Self {
            now: Instant::ZERO,
            sequence: 0,
            queue: BinaryHeap::new(),
            scheduled: BTreeMap::new(),
            nodes: Vec::new(),
            commands: 0,
            latency,
            mail_password: None,
            start: START,
            behind_nat: BTreeSet::new(),
            scripted_discovery: BTreeMap::new(),
            datagrams: BTreeSet::new(),
        }
    }

    /// Adds a machine that discovery finds, whatever it is otherwise.
    pub(crate) fn add_discoverable_peer(
        &mut self,
        behaviour: scripted_peer::PeerBehaviour,
    ) -> usize {
        let number = self.add_scripted_peer(behaviour);
        let Endpoint::Tcp(own) = self.addr(number).endpoint else {
            panic!("the world has sockets only")
        };
        let config = discovery::DiscoveryConfig {
            bootnodes: Vec::new(),
            own: vec![own],
            loopback_only: true,
        };
        let key = Arc::new(link_key(number));
        let discovery = Discovery::new(config, key, [7; 32], self.now);
        self.scripted_discovery.insert(number, discovery);
        number
    }

    /// Where a node sent datagrams to.
    pub(crate) fn datagrams_of(&self, at: usize) -> Vec<SocketAddr> {
        let own = self.datagrams.iter().filter(|(from, _)| *from == at);
        own.map(|(_, to)| *to).collect()
    }

    /// Puts a node behind a router that lets out what it dials, and nobody in.
    pub(crate) fn put_behind_nat(&mut self, at: usize) {
        self.behind_nat.insert(at);
    }

    /// The same in the last seconds of an epoch.
    pub(crate) fn before_epoch_end(latency: Duration, left: u32) -> Self {
        let end = Epoch::at(START).next().start();
        Self {
            start: UnixSecs(end.0 - left),
            ..Self::new(latency)
        }
    }

    /// All machines sleep: the wall clock goes on, and nothing else does.
    pub(crate) fn jump_clock(&mut self, secs: u32) {
        self.start.0 += secs;
        for at in 0..self.nodes.len() {
            self.schedule(at, self.now, SimEvent::Wake);
        }
    }

    /// Adds a node that dials `peers`; gives its number.
    pub(crate) fn add(&mut self, relay: bool, peers: &[usize]) -> usize {
        self.add_with(relay, peers, |_| {})
    }

    pub(crate) fn add_with(
        &mut self,
        relay: bool,
        peers: &[usize],
        change: impl FnOnce(&mut NodeConfig),
    ) -> usize {
        let number = self.nodes.len();
        let addr = address(number);
        let Endpoint::Tcp(socket) = addr.endpoint else {
            panic!("the world has sockets only")
        };
        let mut config = NodeConfig {
            profile: Profile::Local,
            network: "test".to_owned(),
            level: Level::Normal,
            relay,
            advertise: vec![Advertised::Ip4([127, 0, 0, 1].into(), socket.port())],
            family: Vec::new(),
            listen_port: 0,
            peers: peers.iter().map(|peer| self.nodes[*peer].addr).collect(),
            trusted_peers: Vec::new(),
            discovery: None,
            listening: vec![socket],
            max_peers: 25,
            min_pow: 0.002,
            pow_generation: PowGeneration::Auto,
            pool_bytes: 1 << 24,
            guard: None,
            mail: None,
            danger_reveal_paths: true,
        };
        change(&mut config);
        let node = self.build(number, &config, &SimDisk::default());
        self.nodes.push(Machine::new(node, addr, Some(config)));
        self.schedule(number, self.now, SimEvent::Wake);
        self.schedule(number, self.now, SimEvent::HashRate);
        number
    }

    /// Adds a machine that speaks the protocols and keeps no rule.
    pub(crate) fn add_scripted_peer(&mut self, behaviour: scripted_peer::PeerBehaviour) -> usize {
        let number = self.nodes.len();
        let scripted = ScriptedPeer::new(link_key(number), behaviour);
        let process = Process::Scripted(Box::new(scripted));
        self.nodes
            .push(Machine::new(process, address(number), None));
        number
    }

    /// The power of a node comes back: it has what was durable, and nothing else.
    pub(crate) fn restart(&mut self, at: usize) {
        let config = self.nodes[at].config.clone().unwrap();
        self.nodes[at].wake = None;
        let disk = std::mem::take(&mut self.nodes[at].disk);
        let process = self.build(at, &config, &disk);
        self.nodes[at].process = process;
        self.nodes[at].disk = disk;
        self.schedule(at, self.now, SimEvent::Wake);
    }

    fn build(&self, number: usize, config: &NodeConfig, disk: &SimDisk) -> Process {
        let low = u8::try_from(number % 251).unwrap();
        let keys = NodeKeys {
            link: link_key(number),
            guard_seed: Secret::init_with(|seed| seed.fill(low ^ 0x55)),
            mail_password: self
                .mail_password
                .map(|key| SymKey::new(Secret::init_with(|own| *own = key)).unwrap()),
        };
        let mut seed = [low; 32];
        // A second run draws other random numbers.
        seed[0] = u8::try_from(self.now.as_micros() % 251).unwrap();
        let restored = disk.restored();
        let node = Node::new(config.clone(), keys, restored, seed, self.clock()).unwrap();
        Process::Node(Box::new(node))
    }

    /// What a node has made durable; a test may damage it.
    pub(crate) fn disk(&mut self, at: usize) -> &mut SimDisk {
        &mut self.nodes[at].disk
    }

    /// The disk of a node works again: everything that was held back is durable now.
    pub(crate) fn release_stores(&mut self, at: usize) {
        if let Some(last) = self.nodes[at].disk.release() {
            self.schedule(at, self.now, SimEvent::Stored(last));
        }
    }

    /// What a mail server keeps; a test may slow it down.
    pub(crate) fn archive(&mut self, at: usize) -> &mut SimArchive {
        &mut self.nodes[at].archive
    }

    /// The archive of a node works again.
    pub(crate) fn release_archive(&mut self, at: usize) {
        for word in self.nodes[at].archive.release() {
            self.schedule(at, self.now, SimEvent::Archived(word));
        }
    }

    /// What a scripted peer has received, and the state of its sessions.
    pub(crate) fn scripted(&self, at: usize) -> &ScriptedPeer {
        match &self.nodes[at].process {
            Process::Scripted(scripted) => scripted,
            _ => panic!("{at} is honest"),
        }
    }

    /// Lets a scripted peer do something.
    pub(crate) fn act<T>(
        &mut self,
        at: usize,
        action: impl FnOnce(&mut ScriptedPeer, Now) -> (T, Vec<Output>),
    ) -> T {
        let now = self.clock();
        let Process::Scripted(scripted) = &mut self.nodes[at].process else {
            panic!("{at} is honest")
        };
        let (result, outputs) = action(scripted, now);
        for output in outputs {
            self.apply(at, output);
        }
        result
    }

    /// A scripted peer dials a node and is given a second for it; gives its end of the link.
    pub(crate) fn connect_scripted(&mut self, scripted: usize, node: usize) -> LinkId {
        let peer = self.addr(node);
        let link = self.act(scripted, |scripted, _| scripted.dial(peer));
        self.run(Duration::from_secs(1));
        link
    }

    /// How a node says it is.
    pub(crate) fn status(&mut self, at: usize) -> StatusView {
        match self.command(at, Command::Status) {
            Ok(Reply::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Simulated time since the start.
    pub(crate) fn clock(&self) -> Now {
        let secs = u32::try_from(self.now.as_micros() / 1_000_000).unwrap();
        Now {
            mono: self.now,
            unix: UnixSecs(self.start.0 + secs),
        }
    }

    /// Asks a node something.
    pub(crate) fn command(&mut self, at: usize, command: Command) -> Result<Reply, Refusal> {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.feed(at, Input::Command(id, command));
        self.nodes[at]
            .replies
            .remove(&id)
            .expect("commands are answered at once")
    }

    /// Asks a node something that may take it up to an hour.
    pub(crate) fn ask(&mut self, at: usize, command: Command) -> Result<Reply, Refusal> {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.feed(at, Input::Command(id, command));
        self.run_until(Duration::from_secs(3_601), |world| {
            world.nodes[at].replies.contains_key(&id)
        });
        self.nodes[at].replies.remove(&id).expect("an answer")
    }

    /// The power of this node fails: it says no farewell.
    pub(crate) fn kill(&mut self, at: usize) {
        self.nodes[at].process = Process::Offline;
        for (_, (other, link)) in std::mem::take(&mut self.nodes[at].links) {
            self.schedule(other, self.now.after(self.latency), SimEvent::Closed(link));
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        self.run_to(until, |_| false);
    }

    /// Lets time pass until something is so, or `time` is over; says which.
    pub(crate) fn run_until(&mut self, time: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let until = self.now.after(time);
        self.run_to(until, condition)
    }

    /// What a node told, with the time it did.
    pub(crate) fn events(&self, at: usize) -> &[(Instant, Event)] {
        &self.nodes[at].events
    }

    pub(crate) fn addr(&self, at: usize) -> PeerAddr {
        self.nodes[at].addr
    }

    fn run_to(&mut self, until: Instant, condition: impl Fn(&Self) -> bool) -> bool {
        while let Some(Reverse((at, sequence, machine))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some(event) = self.scheduled.remove(&sequence) {
                self.dispatch(machine, event);
            }
            if condition(self) {
                return true;
            }
        }
        self.now = until;
        condition(self)
    }

    fn schedule(&mut self, machine: usize, at: Instant, event: SimEvent) {
        self.sequence += 1;
        self.scheduled.insert(self.sequence, event);
        self.queue.push(Reverse((at, self.sequence, machine)));
    }

    fn dispatch(&mut self, at: usize, event: SimEvent) {
        match event {
            SimEvent::Wake => {
                if self.nodes[at].wake.is_none_or(|wake| wake <= self.now) {
                    self.nodes[at].wake = None;
                    self.feed(at, Input::Timeout);
                }
            }
            SimEvent::Dial(link, endpoint) => self.connect(at, link, endpoint),
            SimEvent::Bytes(link, bytes) => {
                if self.nodes[at].links.contains_key(&link) {
                    self.feed(at, Input::Received(link, &bytes));
                }
            }
            SimEvent::Flushed(link, bytes) => self.feed(at, Input::Flushed(link, bytes)),
            SimEvent::Closed(link) => {
                self.nodes[at].links.remove(&link);
                self.feed(at, Input::Closed(link));
            }
            SimEvent::Datagram(from, bytes) => {
                let now = self.clock();
                let Some(discovery) = self.scripted_discovery.get_mut(&at) else {
                    return self.feed(at, Input::Datagram(from, &bytes));
                };
                discovery.receive(now, from, &bytes);
                let answers: Vec<_> = std::iter::from_fn(|| discovery.poll_transmit()).collect();
                for (to, bytes) in answers {
                    self.apply(at, Output::Datagram(to, bytes));
                }
            }
            SimEvent::Stored(id) => self.feed(at, Input::Stored(id)),
            SimEvent::Archived(word) => self.feed(at, Input::Archived(word)),
            SimEvent::Working(job, tried) => self.feed(at, Input::Working(job, tried)),
            SimEvent::Worked(job, done) => self.feed(at, Input::Worked(job, done)),
            SimEvent::HashRate => self.feed(at, Input::HashRate(f64::from(HASHES_PER_SECOND))),
        }
    }

    fn connect(&mut self, at: usize, link: LinkId, endpoint: Endpoint) {
        let to = self.nodes.iter().position(|machine| {
            !matches!(machine.process, Process::Offline) && machine.addr.endpoint == endpoint
        });
        let Some(to) = to.filter(|to| !self.behind_nat.contains(to)) else {
            self.feed(at, Input::DialFailed(link));
            return;
        };
        let theirs = match &mut self.nodes[to].process {
            Process::Node(node) => node.new_link(),
            Process::Scripted(scripted) => scripted.new_link(),
            Process::Offline => return,
        };
        self.nodes[at].links.insert(link, (to, theirs));
        self.nodes[to].links.insert(theirs, (at, link));
        let from = Some([127, 0, 0, 1].into());
        self.feed(to, Input::Accepted(theirs, from));
        self.feed(at, Input::Dialed(link));
    }

    fn feed(&mut self, at: usize, input: Input<'_>) {
        let now = self.clock();
        let outputs: Vec<Output> = match &mut self.nodes[at].process {
            Process::Node(node) => node.handle(now, input).collect(),
            Process::Scripted(scripted) => scripted.handle(now, input),
            Process::Offline => return,
        };
        for output in outputs {
            self.apply(at, output);
        }
    }

    fn apply(&mut self, at: usize, output: Output) {
        let soon = self.now.after(self.latency);
        match output {
            Output::Dial(link, endpoint) => self.schedule(at, soon, SimEvent::Dial(link, endpoint)),
            Output::Send(link, bytes) => {
                self.schedule(at, self.now, SimEvent::Flushed(link, bytes.len()));
                if let Some((to, theirs)) = self.nodes[at].links.get(&link).copied() {
                    self.schedule(to, soon, SimEvent::Bytes(theirs, bytes));
                }
            }
            Output::Close(link) => {
                if let Some((to, theirs)) = self.nodes[at].links.remove(&link) {
                    self.schedule(to, soon, SimEvent::Closed(theirs));
                }
            }
            Output::Datagram(to, bytes) => {
                self.datagrams.insert((at, to));
                let from = self.nodes[at].addr.endpoint;
                let mut machines = self.nodes.iter();
                let to = machines.position(|machine| machine.addr.endpoint == Endpoint::Tcp(to));
                if let (Some(to), Endpoint::Tcp(from)) = (to, from) {
                    self.schedule(to, soon, SimEvent::Datagram(from, bytes));
                }
            }
            Output::Store(id, record) => {
                if self.nodes[at].disk.store(id, record) {
                    self.schedule(at, self.now, SimEvent::Stored(id));
                }
            }
            Output::Archive(task) => {
                if let Some(word) = self.nodes[at].archive.submit(task) {
                    self.schedule(at, soon, SimEvent::Archived(word));
                }
            }
            Output::Work(id, job) => {
                let (progress, done, took) = run_job(job);
                if let Some(tried) = progress {
                    self.schedule(at, self.now, SimEvent::Working(id, tried));
                }
                self.schedule(at, self.now.after(took), SimEvent::Worked(id, done));
            }
            Output::CancelWork(_) => {}
            Output::Reply(id, reply) => {
                self.nodes[at].replies.insert(id, reply);
            }
            Output::Notify(event) => self.nodes[at].events.push((self.now, event)),
            Output::Timeout(due) => {
                if self.nodes[at].wake.is_none_or(|wake| due < wake) {
                    self.nodes[at].wake = Some(due);
                    self.schedule(at, due.max(self.now), SimEvent::Wake);
                }
            }
        }
    }
}

impl Machine {
    fn new(process: Process, addr: PeerAddr, config: Option<NodeConfig>) -> Self {
        Self {
            process,
            addr,
            config,
            disk: SimDisk::default(),
            archive: SimArchive::default(),
            links: BTreeMap::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            wake: None,
        }
    }
}

/// What a job tells on its way if it takes more than a step, and what it finds. That takes no time
/// here, unless the job runs out of what it was given: then it has tried as many hashes as every
/// machine of this world does in that time.
fn run_job(mut job: Job) -> (Option<u64>, Option<JobResult>, Duration) {
    let limit = job.limit();
    let most = limit.map(|limit| limit.as_secs().saturating_mul(HASHES_PER_SECOND.into()));
    let mut progress = None;
    loop {
        if let (Some(limit), Some(most)) = (limit, most)
            && job.tried() >= Some(most)
        {
            return (progress, Job::finish(vec![job]), limit);
        }
        if let Some(done) = job.step() {
            return (progress, Some(done), Duration::ZERO);
        }
        progress = job.tried();
    }
}

/// The key of the machine with this number.
fn link_key(number: usize) -> LinkKey {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    let mut secret = [7; 32];
    secret[30] = high + 1;
    secret[31] = low;
    LinkKey::from_bytes(&mut secret).unwrap()
}

/// Where the machine with this number is.
fn address(number: usize) -> PeerAddr {
    let port = 20_000 + u16::try_from(number).unwrap();
    PeerAddr {
        key: link_key(number).public(),
        endpoint: Endpoint::Tcp(([127, 0, 0, 1], port).into()),
    }
}

/// A whole number of steps, whatever the real machine hashes with.
pub(crate) const HASHES_PER_SECOND: u32 = 131_072;

/// A Saturday in 2026, in the middle of an epoch.
const START: UnixSecs = UnixSecs(1_795_240_000);
