//! The world: machines, the links between them, and what will happen next.
//!
//! The world does what a shell does, for every node at once and in simulated time: it takes the
//! earliest event, gives it to the node that it concerns, and does what the node asks for. It reads
//! no clock and starts no thread. It keeps no event: they go to an [`Observer`].

mod effects;
mod interference;
mod population;
mod streams;

use std::any::Any;
use std::collections::BTreeMap;
use std::time::Duration;

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::directory::{Descriptor, DescriptorMemo};
use circuits::ids::{Epoch, ShortId};
use circuits::keys::OnionPublic;
use circuits::time::{Instant, Now, UnixSecs};

use self::effects::SimEvent;
pub use self::interference::Interference;
use super::archive::SimArchive;
use super::disk::{DiskModel, SimDisk};
use super::event_queue::EventQueue;
use super::files::SimFiles;
use super::machine::{Actor, Machine, Process};
use super::mining::MiningModel;
use super::network::NetworkModel;
use super::observer::Observer;
use super::seed::{SmallRng, WorldSeed};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::node::{
    ClientId, Command, CommandId, Connectivity, Input, MessageId, Output, Refusal, RefusalKind,
    Reply, simulation,
};

/// The rules of a world.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// From which every other seed is derived.
    pub seed: WorldSeed,
    /// The links.
    pub network: NetworkModel,
    /// The disks.
    pub disk: DiskModel,
    /// The searches.
    pub mining: MiningModel,
    /// What the wall clock says at the start.
    pub start: UnixSecs,
    /// Whether nodes compute with stand-ins: the same traffic at a fraction of the cost.
    pub fast: bool,
}

impl WorldConfig {
    /// A world for tests: one latency, and disks and searches that take no time.
    #[must_use]
    pub fn plain(latency: Duration) -> Self {
        Self {
            seed: WorldSeed::from_number(0),
            network: NetworkModel::fixed(latency),
            disk: DiskModel::default(),
            mining: MiningModel {
                hashes_per_second: 131_072,
                instant: true,
            },
            start: START,
            fast: false,
        }
    }

    /// A world for measurements: disks and searches take time, and nodes are not restarted.
    #[must_use]
    pub const fn timed(seed: WorldSeed, network: NetworkModel, hashes_per_second: u32) -> Self {
        Self {
            seed,
            network,
            disk: DiskModel::SOLID_STATE,
            mining: MiningModel {
                hashes_per_second,
                instant: false,
            },
            start: START,
            fast: false,
        }
    }
}

/// What the wall clock says at the start: a Saturday in 2026, in the middle of an epoch.
const START: UnixSecs = UnixSecs(1_795_240_000);

/// Machines, numbered from 0 in the order in which they were added, and their future.
///
/// Methods that take the number of a machine panic if the world has no such machine.
pub struct World {
    config: WorldConfig,
    now: Instant,
    queue: EventQueue<(usize, SimEvent)>,
    machines: Vec<Machine>,
    by_endpoint: BTreeMap<Endpoint, usize>,
    observer: Box<dyn Observer>,
    commands: u64,
    replies: BTreeMap<CommandId, Result<Reply, Refusal>>,
    mail_password: Option<[u8; 32]>,
    datagrams: u64,
    /// Draws which cells are lost.
    losses: SmallRng,
    interference: Option<Box<dyn Interference>>,
    /// Descriptors that a node has verified, in fast mode.
    descriptors: DescriptorMemo,
    /// Outputs of the last input; kept for its memory.
    outputs: Vec<Output>,
}

impl World {
    /// A world without machines.
    #[must_use]
    pub fn new(config: WorldConfig, observer: Box<dyn Observer>) -> Self {
        Self {
            losses: config.seed.small_rng("losses", &[]),
            interference: None,
            config,
            now: Instant::ZERO,
            queue: EventQueue::new(),
            machines: Vec::new(),
            by_endpoint: BTreeMap::new(),
            observer,
            commands: 0,
            replies: BTreeMap::new(),
            mail_password: None,
            datagrams: 0,
            descriptors: DescriptorMemo::default(),
            outputs: Vec::new(),
        }
    }

    /// The observer, if it is of type `T`.
    #[must_use]
    pub fn observer<T: Observer>(&self) -> Option<&T> {
        let observer: &dyn Any = &*self.observer;
        observer.downcast_ref()
    }

    /// The observer, if it is of type `T`.
    #[must_use]
    pub fn observer_mut<T: Observer>(&mut self) -> Option<&mut T> {
        let observer: &mut dyn Any = &mut *self.observer;
        observer.downcast_mut()
    }

    /// The key of the password of every mail server that is added from now on.
    pub const fn set_mail_password(&mut self, password: Option<[u8; 32]>) {
        self.mail_password = password;
    }

    /// Puts a machine behind a router that lets out what it dials and lets nothing in.
    pub fn put_behind_nat(&mut self, at: usize) {
        self.machine_mut(at).behind_nat = true;
    }

    /// Sets the wall clock of a machine, to so many seconds ahead of the right time.
    pub fn set_clock_ahead(&mut self, at: usize, secs: i64) {
        self.machine_mut(at).clock_ahead = secs;
        self.queue.push(self.now, (at, SimEvent::Resume));
    }

    /// All machines sleep: the wall clock goes on, and nothing else does.
    pub fn jump_clock(&mut self, secs: u32) {
        self.config.start = self.config.start.after(secs);
        for at in 0..self.machines.len() {
            self.queue.push(self.now, (at, SimEvent::Resume));
        }
    }

    /// What a node has made durable; a test may damage it.
    pub fn disk(&mut self, at: usize) -> &mut SimDisk {
        &mut self.machine_mut(at).disk
    }

    /// The disk of a node works again: every record that waited is durable now.
    pub fn release_stores(&mut self, at: usize) {
        let machine = self.machine_mut(at);
        let run = machine.starts;
        if let Some(last) = machine.disk.release() {
            self.queue.push(self.now, (at, SimEvent::Stored(run, last)));
        }
    }

    /// What a mail server keeps; a test may slow it down.
    pub fn archive(&mut self, at: usize) -> &mut SimArchive {
        &mut self.machine_mut(at).archive
    }

    /// The archive of a node works again.
    pub fn release_archive(&mut self, at: usize) {
        for answer in self.machine_mut(at).archive.release() {
            self.queue
                .push(self.now, (at, SimEvent::Archived(Box::new(answer))));
        }
    }

    /// The store for files of a node; a test may slow it down, fill it or damage it.
    pub fn files(&mut self, at: usize) -> &mut SimFiles {
        &mut self.machine_mut(at).files
    }

    /// The store for files of a node works again.
    pub fn release_files(&mut self, at: usize) {
        let machine = self.machine_mut(at);
        let run = machine.starts;
        for answer in machine.files.release() {
            let answer = SimEvent::File(run, Box::new(answer));
            self.queue.push(self.now, (at, answer));
        }
    }

    /// The program of a machine, if it is of type `T`.
    #[must_use]
    pub fn actor<T: Actor>(&self, at: usize) -> Option<&T> {
        let Process::Actor(actor) = &self.machine(at).process else {
            return None;
        };
        let actor: &dyn Any = &**actor;
        actor.downcast_ref()
    }

    /// Lets a program of type `T` do something; nothing happens if another one runs there.
    pub fn act<T: Actor, R>(
        &mut self,
        at: usize,
        action: impl FnOnce(&mut T, Now) -> (R, Vec<Output>),
    ) -> Option<R> {
        let now = self.clock_of(at);
        let Process::Actor(actor) = &mut self.machine_mut(at).process else {
            return None;
        };
        let actor: &mut dyn Any = &mut **actor;
        let (result, outputs) = action(actor.downcast_mut()?, now);
        for output in outputs {
            self.apply(at, output);
        }
        Some(result)
    }

    /// The arithmetic of the nodes.
    pub(super) const fn arithmetic(&self) -> Arithmetic {
        if self.config.fast {
            Arithmetic::stand_in()
        } else {
            Arithmetic::REAL
        }
    }

    /// A relay as a hop with its key of `epoch`, once its descriptor is durable.
    pub(super) fn hop(&self, relay: usize, epoch: Epoch) -> Option<Hop> {
        let machine = self.machine(relay);
        let draft = |epoch| {
            let raw = machine.disk.own_descriptor(epoch)?;
            let descriptor = Descriptor::decode(raw).ok()?;
            Some(descriptor.draft().clone())
        };
        let onion = match draft(epoch) {
            Some(own) => own.onion,
            None => draft(epoch.previous())?.onion_next,
        };
        Some(Hop {
            id: machine.addr.key.id(),
            onion: OnionPublic::check(onion).ok()?,
        })
    }

    /// A node sends a cell that the caller has built.
    pub(super) fn send_cell(&mut self, at: usize, next: ShortId, cell: Cell) {
        let now = self.clock_of(at);
        if let Process::Node(node) = &mut self.machine_mut(at).process {
            let outputs: Vec<Output> = simulation::send_cell(node, now, next, cell).collect();
            for output in outputs {
                self.apply(at, output);
            }
        }
    }

    /// Tells a node whether its machine is connected. Its links stay as they are.
    pub fn set_connectivity(&mut self, at: usize, connectivity: Connectivity) {
        self.feed(at, Input::Connectivity(connectivity));
    }

    /// A node queues cells for its emission stream, as those of one message, in place of those of the
    /// message that have not left. Returns their number: none if there is no route, or no room.
    pub fn queue_cells(&mut self, at: usize, message: u64, count: u8) -> usize {
        let now = self.clock_of(at);
        let Process::Node(node) = &mut self.machine_mut(at).process else {
            return 0;
        };
        let queued = simulation::queue_cells(node, now, MessageId(message), count);
        self.feed(at, Input::Timeout);
        queued
    }

    /// Both clocks.
    #[must_use]
    pub fn clock(&self) -> Now {
        let secs = u32::try_from(self.now.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        Now {
            mono: self.now,
            unix: self.config.start.after(secs),
        }
    }

    /// Both clocks, as a machine reads them.
    pub(super) fn clock_of(&self, at: usize) -> Now {
        let Now { mono, unix } = self.clock();
        let shown = i64::from(unix.0).saturating_add(self.machine(at).clock_ahead);
        let unix = UnixSecs(u32::try_from(shown.max(0)).unwrap_or(u32::MAX));
        Now { mono, unix }
    }

    /// Machines in this world.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there is no machine.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// Where a machine is, and its link key.
    #[must_use]
    pub fn addr(&self, at: usize) -> PeerAddr {
        self.machine(at).addr
    }

    /// Whether a program runs on a machine.
    #[must_use]
    pub fn is_running(&self, at: usize) -> bool {
        !self.machine(at).process.is_offline()
    }

    /// Asks a node something that it answers at once.
    ///
    /// # Errors
    ///
    /// The node's refusal. A command that takes the node time is refused here, although the node
    /// works on it: see [`Self::ask`].
    pub fn command(&mut self, at: usize, command: Command) -> Result<Reply, Refusal> {
        self.command_of(ClientId::OWN, at, command)
    }

    /// Asks a node something that it answers at once, as one of its clients.
    ///
    /// # Errors
    ///
    /// Those of [`Self::command`].
    pub fn command_of(
        &mut self,
        client: ClientId,
        at: usize,
        command: Command,
    ) -> Result<Reply, Refusal> {
        let id = self.submit(client, at, command);
        // What has to survive a crash is answered once the disk has it.
        let until = self.now.after(self.config.disk.delay);
        while !self.replies.contains_key(&id) && self.step(until) {}
        self.replies.remove(&id).unwrap_or_else(unanswered)
    }

    /// Asks a node something that may take it up to `patience`.
    ///
    /// # Errors
    ///
    /// The node's refusal, or that there is no answer in time.
    pub fn ask(
        &mut self,
        at: usize,
        command: Command,
        patience: Duration,
    ) -> Result<Reply, Refusal> {
        let id = self.submit(ClientId::OWN, at, command);
        let until = self.now.after(patience);
        while !self.replies.contains_key(&id) && self.step(until) {}
        self.replies.remove(&id).unwrap_or_else(unanswered)
    }

    fn submit(&mut self, client: ClientId, at: usize, command: Command) -> CommandId {
        self.commands += 1;
        let id = CommandId {
            number: self.commands,
            client,
        };
        self.feed(at, Input::Command(id, command));
        id
    }

    /// The power of a machine fails: it says no farewell.
    pub fn kill(&mut self, at: usize) {
        let machine = self.machine_mut(at);
        machine.process = Process::Offline;
        let links = core::mem::take(&mut machine.links);
        machine.jobs.clear();
        for mut end in links.into_values() {
            let transit = end.line.send(&self.config.network, self.now, 0);
            let closed = SimEvent::Closed(end.theirs);
            self.queue.push(transit.arrives, (end.to, closed));
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        self.run_to(self.now.after(time));
    }

    /// Lets time pass until the clock shows `until`.
    pub fn run_to(&mut self, until: Instant) {
        while self.step(until) {}
    }

    /// Does the next thing that happens, if it happens by `until`; otherwise the clock goes to
    /// `until` and the answer is no.
    pub fn step(&mut self, until: Instant) -> bool {
        match self.queue.pop_until(until) {
            Some((at, (machine, event))) => {
                self.now = at;
                self.dispatch(machine, event);
                true
            }
            None => {
                self.now = self.now.max(until);
                false
            }
        }
    }

    /// Events that are planned.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.queue.len()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the caller has the number from this world"
    )]
    fn machine(&self, at: usize) -> &Machine {
        &self.machines[at]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the caller has the number from this world"
    )]
    fn machine_mut(&mut self, at: usize) -> &mut Machine {
        &mut self.machines[at]
    }
}

fn unanswered() -> Result<Reply, Refusal> {
    Err(Refusal {
        kind: RefusalKind::Usage,
        cause: "the simulated node has not answered".to_owned(),
        remedy: "give it time, or ask a node that runs".to_owned(),
    })
}

/// The number of a machine, as seeds take it.
fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
