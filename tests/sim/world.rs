//! A second shell for the node: many of them in one process, in simulated time.
//!
//! The world is a heap of things that will happen, ordered by time and, where times are equal, by
//! the order in which they were planned; so a seed replays a run exactly. Links deliver bytes in
//! order after a fixed delay, jobs are done at once, and what is to be durable is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use circuits::directory::Endpoint as Advertised;
use circuits::ids::{LinkId, Profile};
use circuits::level::Level;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::link::LinkKey;
use whisht::node::{
    Command, CommandId, Event, Input, JobId, Node, NodeConfig, NodeKeys, Output, Refusal, Reply,
    Restored, StoreId,
};

/// Nodes, the links between them, and what will happen next.
pub(crate) struct World {
    now: Instant,
    sequence: u64,
    heap: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    plans: BTreeMap<u64, Plan>,
    nodes: Vec<Place>,
    commands: u64,
    latency: Duration,
}

/// A node and where it is.
struct Place {
    node: Option<Node>,
    addr: PeerAddr,
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
    Stored(StoreId),
    Worked(JobId, Option<whisht::node::Done>),
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
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        let mut secret = [7; 32];
        secret[30] = high + 1;
        secret[31] = low;
        let link = LinkKey::from_bytes(&mut secret).unwrap();
        let port = 20_000 + u16::try_from(number).unwrap();
        let endpoint = Endpoint::Tcp(([127, 0, 0, 1], port).into());
        let addr = PeerAddr {
            key: link.public(),
            endpoint,
        };
        let mut config = NodeConfig {
            profile: Profile::Local,
            network: "test".to_owned(),
            level: Level::Normal,
            relay,
            advertise: vec![Advertised::Ip4([127, 0, 0, 1].into(), port)],
            family: Vec::new(),
            listen_port: 0,
            peers: peers.iter().map(|peer| self.nodes[*peer].addr).collect(),
            max_peers: 25,
            min_pow: 0.002,
            pool_bytes: 1 << 24,
            guard: None,
            danger_reveal_paths: true,
        };
        change(&mut config);
        let guard_seed = Secret::init_with(|seed| seed.fill(high ^ low ^ 0x55));
        let keys = NodeKeys { link, guard_seed };
        let seed = [u8::try_from(number % 251).unwrap(); 32];
        let node = Node::new(config, keys, Restored::default(), seed, self.clock()).unwrap();
        self.nodes.push(Place {
            node: Some(node),
            addr,
            wires: BTreeMap::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            wake: None,
        });
        self.plan(number, self.now, Plan::Wake);
        number
    }

    /// Simulated time since the start.
    pub(crate) fn clock(&self) -> Now {
        let secs = u32::try_from(self.now.as_micros() / 1_000_000).unwrap();
        Now {
            mono: self.now,
            unix: UnixSecs(START.0 + secs),
        }
    }

    /// Asks a node something.
    pub(crate) fn command(&mut self, at: usize, command: Command) -> Result<Reply, Refusal> {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.feed(at, |node, now| {
            node.handle(now, Input::Command(id, command)).collect()
        });
        self.nodes[at]
            .replies
            .remove(&id)
            .expect("commands are answered at once")
    }

    /// The power of this node fails: it says no farewell.
    pub(crate) fn kill(&mut self, at: usize) {
        self.nodes[at].node = None;
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
                    self.feed(at, |node, now| node.handle(now, Input::Timeout).collect());
                }
            }
            Plan::Dial(link, endpoint) => self.connect(at, link, endpoint),
            Plan::Bytes(link, bytes) => {
                if self.nodes[at].wires.contains_key(&link) {
                    let input = Input::Received(link, &bytes);
                    self.feed(at, |node, now| node.handle(now, input).collect());
                }
            }
            Plan::Flushed(link, bytes) => {
                self.feed(at, |node, now| {
                    node.handle(now, Input::Flushed(link, bytes)).collect()
                });
            }
            Plan::Closed(link) => {
                self.nodes[at].wires.remove(&link);
                self.feed(at, |node, now| {
                    node.handle(now, Input::Closed(link)).collect()
                });
            }
            Plan::Stored(id) => {
                self.feed(at, |node, now| {
                    node.handle(now, Input::Stored(id)).collect()
                });
            }
            Plan::Worked(job, done) => {
                self.feed(at, |node, now| {
                    node.handle(now, Input::Worked(job, done)).collect()
                });
            }
        }
    }

    fn connect(&mut self, at: usize, link: LinkId, endpoint: Endpoint) {
        let to = self
            .nodes
            .iter()
            .position(|place| place.node.is_some() && place.addr.endpoint == endpoint);
        let Some(to) = to else {
            self.feed(at, |node, now| {
                node.handle(now, Input::DialFailed(link)).collect()
            });
            return;
        };
        let theirs = self.nodes[to].node.as_mut().unwrap().new_link();
        self.nodes[at].wires.insert(link, (to, theirs));
        self.nodes[to].wires.insert(theirs, (at, link));
        let from = Some([127, 0, 0, 1].into());
        self.feed(to, |node, now| {
            node.handle(now, Input::Accepted(theirs, from)).collect()
        });
        self.feed(at, |node, now| {
            node.handle(now, Input::Dialed(link)).collect()
        });
    }

    fn feed(&mut self, at: usize, input: impl FnOnce(&mut Node, Now) -> Vec<Output>) {
        let now = self.clock();
        let Some(node) = self.nodes[at].node.as_mut() else {
            return;
        };
        let outputs = input(node, now);
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
            Output::Store(id, _) => self.plan(at, self.now, Plan::Stored(id)),
            Output::Work(id, mut job) => {
                let done = loop {
                    if let Some(done) = job.step() {
                        break done;
                    }
                };
                self.plan(at, self.now, Plan::Worked(id, Some(done)));
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

/// A Saturday in 2026, in the middle of an epoch.
const START: UnixSecs = UnixSecs(1_795_240_000);
