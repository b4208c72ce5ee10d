//! A second shell for the node: many of them in one process, in simulated time.
//!
//! The world is a heap of things that will happen, ordered by time and, where times are equal, by
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
    Command, CommandId, Done, Event, Input, Job, JobId, Node, NodeConfig, NodeKeys, Output,
    PowGeneration, Refusal, Reply, StatusView, StoreId,
};

pub(crate) mod archive;
pub(crate) mod disk;
pub(crate) mod rogue;

use archive::Archive;
use disk::Disk;
use rogue::Rogue;

/// Nodes, the links between them, and what will happen next.
pub(crate) struct World {
    now: Instant,
    sequence: u64,
    heap: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    plans: BTreeMap<u64, Plan>,
    nodes: Vec<Place>,
    commands: u64,
    latency: Duration,
    /// The key of every mail server's password, if they have one.
    pub(crate) mail_password: Option<[u8; 32]>,
    /// What the wall clock says at the start, and after a leap.
    start: UnixSecs,
    /// Who cannot be dialled: the router before it lets nobody in.
    walled: BTreeSet<usize>,
    /// What rogues are found by; they answer and ask nothing.
    found_by: BTreeMap<usize, Discovery>,
    /// Who sent datagrams, and where to.
    datagrams: BTreeSet<(usize, SocketAddr)>,
}

/// Who lives at a place.
enum Body {
    Honest(Box<Node>),
    Rogue(Box<Rogue>),
    /// Nobody, for the power has failed.
    Dark,
}

/// A node and where it is.
struct Place {
    body: Body,
    addr: PeerAddr,
    config: Option<NodeConfig>,
    disk: Disk,
    archive: Archive,
    wires: BTreeMap<LinkId, (usize, LinkId)>,
    events: Vec<(Instant, Event)>,
    replies: BTreeMap<CommandId, Result<Reply, Refusal>>,
    wake: Option<Instant>,
}

enum Plan {
    Wake,
    Dial(LinkId, Endpoint),
    Bytes(LinkId, Vec<u8>),
    Flushed(LinkId, usize),
    Closed(LinkId),
    Datagram(SocketAddr, Vec<u8>),
    Stored(StoreId),
    Archived(ArchiveResponse),
    Working(JobId, u64),
    Worked(JobId, Option<Done>),
    HashRate,
}

impl World {
    pub(crate) fn new(latency: Duration) -> Self {
        Self {
            now: Instant::ZERO,
            sequence: 0,
            heap: BinaryHeap::new(),
            plans: BTreeMap::new(),
            nodes: Vec::new(),
            commands: 0,
            latency,
            mail_password: None,
            start: START,
            walled: BTreeSet::new(),
            found_by: BTreeMap::new(),
            datagrams: BTreeSet::new(),
        }
    }

    /// Adds a machine that discovery finds, whatever it is otherwise.
    pub(crate) fn add_found_rogue(&mut self, manners: rogue::Manners) -> usize {
        let number = self.add_rogue(manners);
        let Endpoint::Tcp(own) = self.addr(number).endpoint else {
            panic!("the world has sockets only")
        };
        let config = discovery::DiscoveryConfig {
            bootnodes: Vec::new(),
            own: vec![own],
            loopback_only: true,
        };
        let key = Arc::new(link_key(number));
        let machine = Discovery::new(config, key, [7; 32], self.now);
        self.found_by.insert(number, machine);
        number
    }

    /// Where a node sent datagrams to.
    pub(crate) fn datagrams_of(&self, at: usize) -> Vec<SocketAddr> {
        let own = self.datagrams.iter().filter(|(from, _)| *from == at);
        own.map(|(_, to)| *to).collect()
    }

    /// Puts a node behind a router that lets out what it dials, and nobody in.
    pub(crate) fn wall_in(&mut self, at: usize) {
        self.walled.insert(at);
    }

    /// The same in the last seconds of an epoch.
    pub(crate) fn before_midnight(latency: Duration, left: u32) -> Self {
        let end = Epoch::at(START).next().start();
        Self {
            start: UnixSecs(end.0 - left),
            ..Self::new(latency)
        }
    }

    /// All machines sleep: the wall clock goes on, and nothing else does.
    pub(crate) fn leap(&mut self, secs: u32) {
        self.start.0 += secs;
        for at in 0..self.nodes.len() {
            self.plan(at, self.now, Plan::Wake);
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
        let node = self.build(number, &config, &Disk::default());
        self.nodes.push(Place::new(node, addr, Some(config)));
        self.plan(number, self.now, Plan::Wake);
        self.plan(number, self.now, Plan::HashRate);
        number
    }

    /// Adds a machine that speaks the protocols and keeps no rule.
    pub(crate) fn add_rogue(&mut self, manners: rogue::Manners) -> usize {
        let number = self.nodes.len();
        let rogue = Rogue::new(link_key(number), manners);
        let body = Body::Rogue(Box::new(rogue));
        self.nodes.push(Place::new(body, address(number), None));
        number
    }

    /// The power of a node comes back: it has what was durable, and nothing else.
    pub(crate) fn revive(&mut self, at: usize) {
        let config = self.nodes[at].config.clone().unwrap();
        self.nodes[at].wake = None;
        let disk = std::mem::take(&mut self.nodes[at].disk);
        let body = self.build(at, &config, &disk);
        self.nodes[at].body = body;
        self.nodes[at].disk = disk;
        self.plan(at, self.now, Plan::Wake);
    }

    fn build(&self, number: usize, config: &NodeConfig, disk: &Disk) -> Body {
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
        Body::Honest(Box::new(node))
    }

    /// What a node has made durable; a test may damage it.
    pub(crate) fn disk(&mut self, at: usize) -> &mut Disk {
        &mut self.nodes[at].disk
    }

    /// The disk of a node works again: everything that was held back is durable now.
    pub(crate) fn release_stores(&mut self, at: usize) {
        if let Some(last) = self.nodes[at].disk.release() {
            self.plan(at, self.now, Plan::Stored(last));
        }
    }

    /// What a mail server keeps; a test may slow it down.
    pub(crate) fn archive(&mut self, at: usize) -> &mut Archive {
        &mut self.nodes[at].archive
    }

    /// The archive of a node works again.
    pub(crate) fn release_archive(&mut self, at: usize) {
        for word in self.nodes[at].archive.release() {
            self.plan(at, self.now, Plan::Archived(word));
        }
    }

    /// What a rogue has heard and how its lines are.
    pub(crate) fn rogue(&self, at: usize) -> &Rogue {
        match &self.nodes[at].body {
            Body::Rogue(rogue) => rogue,
            _ => panic!("{at} is honest"),
        }
    }

    /// Lets a rogue do something.
    pub(crate) fn incite<T>(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut Rogue, Now) -> (T, Vec<Output>),
    ) -> T {
        let now = self.clock();
        let Body::Rogue(rogue) = &mut self.nodes[at].body else {
            panic!("{at} is honest")
        };
        let (result, outputs) = act(rogue, now);
        for output in outputs {
            self.carry_out(at, output);
        }
        result
    }

    /// A rogue dials a node and is given a second for it; gives its end of the line.
    pub(crate) fn intrude(&mut self, rogue: usize, node: usize) -> LinkId {
        let peer = self.addr(node);
        let line = self.incite(rogue, |rogue, _| rogue.dial(peer));
        self.run(Duration::from_secs(1));
        line
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
        self.run_until_so(Duration::from_secs(3_601), |world| {
            world.nodes[at].replies.contains_key(&id)
        });
        self.nodes[at].replies.remove(&id).expect("an answer")
    }

    /// The power of this node fails: it says no farewell.
    pub(crate) fn kill(&mut self, at: usize) {
        self.nodes[at].body = Body::Dark;
        for (_, (other, link)) in std::mem::take(&mut self.nodes[at].wires) {
            self.plan(other, self.now.after(self.latency), Plan::Closed(link));
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        self.run_until(until, |_| false);
    }

    /// Lets time pass until something is so, or `time` is over; says which.
    pub(crate) fn run_until_so(&mut self, time: Duration, so: impl Fn(&Self) -> bool) -> bool {
        let until = self.now.after(time);
        self.run_until(until, so)
    }

    /// What a node told, with the time it did.
    pub(crate) fn events(&self, at: usize) -> &[(Instant, Event)] {
        &self.nodes[at].events
    }

    pub(crate) fn addr(&self, at: usize) -> PeerAddr {
        self.nodes[at].addr
    }

    fn run_until(&mut self, until: Instant, so: impl Fn(&Self) -> bool) -> bool {
        while let Some(Reverse((at, sequence, place))) = self.heap.peek().copied() {
            if at > until {
                break;
            }
            self.heap.pop();
            self.now = at;
            if let Some(plan) = self.plans.remove(&sequence) {
                self.happen(place, plan);
            }
            if so(self) {
                return true;
            }
        }
        self.now = until;
        so(self)
    }

    fn plan(&mut self, place: usize, at: Instant, plan: Plan) {
        self.sequence += 1;
        self.plans.insert(self.sequence, plan);
        self.heap.push(Reverse((at, self.sequence, place)));
    }

    fn happen(&mut self, at: usize, plan: Plan) {
        match plan {
            Plan::Wake => {
                if self.nodes[at].wake.is_none_or(|wake| wake <= self.now) {
                    self.nodes[at].wake = None;
                    self.feed(at, Input::Timeout);
                }
            }
            Plan::Dial(link, endpoint) => self.connect(at, link, endpoint),
            Plan::Bytes(link, bytes) => {
                if self.nodes[at].wires.contains_key(&link) {
                    self.feed(at, Input::Received(link, &bytes));
                }
            }
            Plan::Flushed(link, bytes) => self.feed(at, Input::Flushed(link, bytes)),
            Plan::Closed(link) => {
                self.nodes[at].wires.remove(&link);
                self.feed(at, Input::Closed(link));
            }
            Plan::Datagram(from, bytes) => {
                let now = self.clock();
                let Some(machine) = self.found_by.get_mut(&at) else {
                    return self.feed(at, Input::Datagram(from, &bytes));
                };
                machine.receive(now, from, &bytes);
                let answers: Vec<_> = std::iter::from_fn(|| machine.poll_transmit()).collect();
                for (to, bytes) in answers {
                    self.carry_out(at, Output::Datagram(to, bytes));
                }
            }
            Plan::Stored(id) => self.feed(at, Input::Stored(id)),
            Plan::Archived(word) => self.feed(at, Input::Archived(word)),
            Plan::Working(job, tried) => self.feed(at, Input::Working(job, tried)),
            Plan::Worked(job, done) => self.feed(at, Input::Worked(job, done)),
            Plan::HashRate => self.feed(at, Input::HashRate(f64::from(HASHES_PER_SECOND))),
        }
    }

    fn connect(&mut self, at: usize, link: LinkId, endpoint: Endpoint) {
        let to = self
            .nodes
            .iter()
            .position(|place| !matches!(place.body, Body::Dark) && place.addr.endpoint == endpoint);
        let Some(to) = to.filter(|to| !self.walled.contains(to)) else {
            self.feed(at, Input::DialFailed(link));
            return;
        };
        let theirs = match &mut self.nodes[to].body {
            Body::Honest(node) => node.new_link(),
            Body::Rogue(rogue) => rogue.new_link(),
            Body::Dark => return,
        };
        self.nodes[at].wires.insert(link, (to, theirs));
        self.nodes[to].wires.insert(theirs, (at, link));
        let from = Some([127, 0, 0, 1].into());
        self.feed(to, Input::Accepted(theirs, from));
        self.feed(at, Input::Dialed(link));
    }

    fn feed(&mut self, at: usize, input: Input<'_>) {
        let now = self.clock();
        let outputs: Vec<Output> = match &mut self.nodes[at].body {
            Body::Honest(node) => node.handle(now, input).collect(),
            Body::Rogue(rogue) => rogue.handle(now, input),
            Body::Dark => return,
        };
        for output in outputs {
            self.carry_out(at, output);
        }
    }

    fn carry_out(&mut self, at: usize, output: Output) {
        let soon = self.now.after(self.latency);
        match output {
            Output::Dial(link, endpoint) => self.plan(at, soon, Plan::Dial(link, endpoint)),
            Output::Send(link, bytes) => {
                self.plan(at, self.now, Plan::Flushed(link, bytes.len()));
                if let Some((to, theirs)) = self.nodes[at].wires.get(&link).copied() {
                    self.plan(to, soon, Plan::Bytes(theirs, bytes));
                }
            }
            Output::Close(link) => {
                if let Some((to, theirs)) = self.nodes[at].wires.remove(&link) {
                    self.plan(to, soon, Plan::Closed(theirs));
                }
            }
            Output::Datagram(to, bytes) => {
                self.datagrams.insert((at, to));
                let from = self.nodes[at].addr.endpoint;
                let mut places = self.nodes.iter();
                let to = places.position(|place| place.addr.endpoint == Endpoint::Tcp(to));
                if let (Some(to), Endpoint::Tcp(from)) = (to, from) {
                    self.plan(to, soon, Plan::Datagram(from, bytes));
                }
            }
            Output::Store(id, record) => {
                if self.nodes[at].disk.store(id, record) {
                    self.plan(at, self.now, Plan::Stored(id));
                }
            }
            Output::Archive(task) => {
                if let Some(word) = self.nodes[at].archive.take(task) {
                    self.plan(at, soon, Plan::Archived(word));
                }
            }
            Output::Work(id, job) => {
                let (told, done, took) = work(job);
                if let Some(tried) = told {
                    self.plan(at, self.now, Plan::Working(id, tried));
                }
                self.plan(at, self.now.after(took), Plan::Worked(id, done));
            }
            Output::CancelWork(_) => {}
            Output::Reply(id, reply) => {
                self.nodes[at].replies.insert(id, reply);
            }
            Output::Notify(event) => self.nodes[at].events.push((self.now, event)),
            Output::Timeout(due) => {
                if self.nodes[at].wake.is_none_or(|wake| due < wake) {
                    self.nodes[at].wake = Some(due);
                    self.plan(at, due.max(self.now), Plan::Wake);
                }
            }
        }
    }
}

impl Place {
    fn new(body: Body, addr: PeerAddr, config: Option<NodeConfig>) -> Self {
        Self {
            body,
            addr,
            config,
            disk: Disk::default(),
            archive: Archive::default(),
            wires: BTreeMap::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            wake: None,
        }
    }
}

/// What a job tells on its way if it takes more than a step, and what it finds. That takes no time
/// here, unless the job runs out of what it was given: then it has tried as many hashes as every
/// machine of this world does in that time.
fn work(mut job: Job) -> (Option<u64>, Option<Done>, Duration) {
    let limit = job.limit();
    let most = limit.map(|limit| limit.as_secs().saturating_mul(HASHES_PER_SECOND.into()));
    let mut told = None;
    loop {
        if let (Some(limit), Some(most)) = (limit, most)
            && job.tried() >= Some(most)
        {
            return (told, Job::finish(vec![job]), limit);
        }
        if let Some(done) = job.step() {
            return (told, Some(done), Duration::ZERO);
        }
        told = job.tried();
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
