//! Effects: what a component may do beside changing its own state.
//!
//! Every component method that acts takes `&mut Effects` first. Outputs for the shell, requests to
//! other components ([`Action`]), timers, jobs, records that must be durable and random numbers all
//! pass through here, so a component never sees the node, and a test reads what the component did
//! without a node. This module carries nothing out and interprets nothing.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use circuits::erasing_rng::ErasingRng;
use circuits::time::Instant;
use zeroize::Zeroizing;

use super::action::Action;
use super::command::{Refusal, Reply};
use super::durability::{Continuation, DurabilityBarrier, StateBacklog, StateContinuation};
use super::event::{Event, Trace};
use super::file_storage::{FileRequest, FileRequestId};
use super::generators::Generators;
use super::input::{CommandId, StoreId};
use super::jobs::{Job, JobId, JobOwner};
use super::output::{Output, Record};
use super::timers::{TimerId, Timers};
use crate::state::StateChange;

/// What the components of one node have asked for, and the resources that they share.
pub(super) struct Effects {
    generators: Generators,
    outputs: VecDeque<Output>,
    /// The last output of a turn; set when everything else of the turn is done.
    deadline: Option<Instant>,
    /// When the node asked to be called at the end of the last turn.
    awaited: Instant,
    actions: VecDeque<Action>,
    timers: Timers,
    jobs: BTreeMap<JobId, JobOwner>,
    last_job: u64,
    last_file_request: FileRequestId,
    durability: DurabilityBarrier<Continuation>,
    state: StateBacklog,
    counters: Counters,
    /// Whether traces are emitted. For demonstrations only.
    reveals_paths: bool,
}

/// Something that is counted since the start, too coarse to identify a user.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Counter {
    /// Cells that this node lost, refused or could not read.
    CellsDropped,
    /// Cells passed on to their next hop.
    CellsForwarded,
    /// Cells of circuits that arrived.
    CircuitCellsReceived,
    /// Cells of circuits that left.
    CircuitCellsSent,
    /// Cells of circuits that were dropped because their link exceeds its rate.
    CircuitCellsDropped,
    /// Descriptors that the directory refused.
    DescriptorsRefused,
    /// Offers of files and talk lines above the limits of a conversation or of this node.
    OffersDropped,
    /// Direct envelopes that were dropped before our keys were tried on them.
    DirectUntried,
    /// Links that ended with a fault.
    LinkFaults,
    /// Packets of gossip or `onion/1` that the queue of a connected link had no room for.
    PacketsDropped,
    /// Messages or envelopes that break a rule of their format.
    Malformed,
    /// Envelopes that left the mempool before our keys were tried on them.
    PooledUntried,
    /// Envelopes rebuilt here as a rendezvous.
    Rebuilt,
}

#[derive(Default)]
struct Counters(BTreeMap<Counter, u64>);

impl Effects {
    /// Effects that draw all randomness from `generators`; periodic timers are due at `now`.
    pub(super) fn new(generators: Generators, now: Instant, reveals_paths: bool) -> Self {
        Self {
            generators,
            outputs: VecDeque::new(),
            deadline: None,
            awaited: now,
            actions: VecDeque::new(),
            timers: Timers::new(now),
            jobs: BTreeMap::new(),
            last_job: 0,
            last_file_request: FileRequestId::default(),
            durability: DurabilityBarrier::default(),
            state: StateBacklog::default(),
            counters: Counters::default(),
            reveals_paths,
        }
    }

    // -- randomness

    /// The generator for timers, order and search starts.
    pub(super) const fn rng(&mut self) -> &mut ErasingRng {
        self.generators.schedule()
    }

    /// The generator for keys, and for what is encrypted or padded with them.
    pub(super) const fn key_rng(&mut self) -> &mut ErasingRng {
        self.generators.keys()
    }

    /// For circuits of this node.
    pub(super) const fn circuit_rng(&mut self) -> &mut ErasingRng {
        self.generators.circuits()
    }

    /// The generator for guards, lanes and stems, and for the delays on them.
    pub(super) const fn path_rng(&mut self) -> &mut ErasingRng {
        self.generators.paths()
    }

    /// The generator for cover traffic. Only the slots of the emission stream draw from it.
    pub(super) const fn cover_rng(&mut self) -> &mut ErasingRng {
        self.generators.cover()
    }

    /// The generator for the times of dials.
    pub(super) const fn dial_rng(&mut self) -> &mut ErasingRng {
        self.generators.dials()
    }

    /// Mixes entropy of the operating system into all generators.
    pub(super) fn reseed(&mut self, entropy: &[u8; 32]) {
        self.generators.reseed(entropy);
    }

    /// A seed for the generator of a component that keeps its own.
    pub(super) fn seed(&mut self) -> Zeroizing<[u8; 32]> {
        self.generators.seed()
    }

    // -- outputs for the shell

    /// Emits an output.
    pub(super) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Asks the store for files; [`Input::File`](super::input::Input::File) with the returned number
    /// answers.
    pub(super) fn ask_file_store(&mut self, request: FileRequest) -> FileRequestId {
        let FileRequestId(last) = self.last_file_request;
        self.last_file_request = FileRequestId(last.saturating_add(1));
        self.emit(Output::File(self.last_file_request, request));
        self.last_file_request
    }

    /// Answers a command.
    pub(super) fn reply(&mut self, command: CommandId, reply: Result<Reply, Refusal>) {
        self.emit(Output::Reply(command, reply));
    }

    /// Tells users of an event.
    pub(super) fn notify(&mut self, event: Event) {
        self.emit(Output::Notify(event));
    }

    /// Emits a trace if this node is a demonstration.
    pub(super) fn trace(&mut self, trace: impl FnOnce() -> Trace) {
        if self.reveals_paths {
            self.notify(Event::Trace(trace()));
        }
    }

    /// Whether traces are emitted.
    pub(super) const fn reveals_paths(&self) -> bool {
        self.reveals_paths
    }

    /// Asks to be called at the next due timer, at `now` at the earliest. Ends a turn.
    pub(super) fn set_deadline(&mut self, now: Instant) {
        let next = self.timers.next_due().unwrap_or(now);
        self.awaited = next.max(now);
        self.deadline = Some(self.awaited);
    }

    /// The instant by which the node asked to be called.
    pub(super) const fn awaited(&self) -> Instant {
        self.awaited
    }

    /// The next output; the deadline comes last.
    pub(super) fn pop_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        output.or_else(|| self.deadline.take().map(Output::Timeout))
    }

    // -- requests to other components

    /// Asks another component for something; `routing` carries it out in order.
    pub(super) fn request(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// The next request.
    pub(super) fn pop_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    // -- timers

    /// Sets a timer, or disarms it with `None`.
    pub(super) fn arm(&mut self, timer: TimerId, due: Option<Instant>) {
        self.timers.arm(timer, due);
    }

    /// Brings a timer forward to `due` unless it is due sooner.
    pub(super) fn expedite(&mut self, timer: TimerId, due: Instant) {
        self.timers.expedite(timer, due);
    }

    /// Moves a timer back, if it is set.
    pub(super) fn postpone(&mut self, timer: TimerId, by: Duration) {
        self.timers.postpone(timer, by);
    }

    /// The next due timer in the order of [`TimerId`], after `last`.
    pub(super) fn pop_due(&mut self, now: Instant, last: Option<TimerId>) -> Option<TimerId> {
        self.timers.pop_due(now, last)
    }

    // -- jobs

    /// Starts a job. Its result goes to `owner`.
    pub(super) fn start_job(&mut self, owner: JobOwner, job: Job) -> JobId {
        self.last_job = self.last_job.saturating_add(1);
        let id = JobId(self.last_job);
        self.jobs.insert(id, owner);
        self.emit(Output::Work(id, job));
        id
    }

    /// Stops a job. Its owner hears nothing further.
    pub(super) fn cancel_job(&mut self, job: JobId) {
        if self.jobs.remove(&job).is_some() {
            self.emit(Output::CancelWork(job));
        }
    }

    /// Stops all jobs of an owner, which hears nothing further.
    pub(super) fn cancel_jobs_of(&mut self, owner: JobOwner) {
        let jobs = self.jobs.extract_if(.., |_, of| *of == owner);
        let jobs: Vec<JobId> = jobs.map(|(job, _)| job).collect();
        for job in jobs {
            self.emit(Output::CancelWork(job));
        }
    }

    /// The owner of a running job.
    pub(super) fn job_owner(&self, job: JobId) -> Option<JobOwner> {
        self.jobs.get(&job).copied()
    }

    /// The owner of a job that has ended.
    pub(super) fn end_job(&mut self, job: JobId) -> Option<JobOwner> {
        self.jobs.remove(&job)
    }

    // -- durability

    /// Asks for a record to be made durable.
    pub(super) fn store(&mut self, record: Record) {
        let output = self.durability.store(record);
        self.emit(output);
    }

    /// Makes changes of the user's state durable, together or not at all. The state has to be open.
    pub(super) fn store_state(&mut self, changes: Vec<StateChange>) {
        if !self.state.is_open() {
            return self.bug("the state of the user is changed while it is locked");
        }
        let bytes = changes.iter().map(StateChange::len);
        let bytes = bytes.fold(0, usize::saturating_add);
        self.store(Record::State(changes));
        self.state.add(self.durability.last(), bytes);
    }

    /// Stores changes of the user's state; `then` continues when they are durable. The state has to be
    /// open.
    pub(super) fn store_state_then(&mut self, changes: Vec<StateChange>, then: StateContinuation) {
        self.store_state(changes);
        self.defer(Continuation::State(then));
    }

    /// The state of the user is there: changes can be stored from now on.
    pub(super) const fn open_state(&mut self) {
        self.state.open();
    }

    /// The state of the user is locked: nothing is stored from now on.
    pub(super) const fn lock_state(&mut self) {
        self.state.lock();
    }

    /// Whether the state of the user is open. While it is locked, nothing of it is read or written.
    pub(super) const fn state_is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Whether so many changes of the state wait for the disk that a component should begin nothing
    /// that adds to them.
    pub(super) fn state_is_congested(&self) -> bool {
        self.state.is_congested()
    }

    /// Whether every change of the state so far is durable.
    pub(super) fn state_is_durable(&self) -> bool {
        self.state.is_durable()
    }

    /// Tells users of an event once every change of the state so far is durable.
    pub(super) fn notify_durable(&mut self, event: Event) {
        if self.state_is_durable() {
            self.notify(event);
        } else {
            self.defer(Continuation::State(StateContinuation::Notify(event)));
        }
    }

    /// Defers `continuation` until every record stored so far is durable.
    pub(super) fn defer(&mut self, continuation: Continuation) {
        self.durability.defer(continuation);
    }

    /// Continuations that need not wait any longer, now that every record up to `id` is durable.
    pub(super) fn stored(&mut self, id: StoreId) -> Vec<Continuation> {
        self.state.stored(id);
        self.durability.stored(id)
    }

    /// Number of continuations that wait for the disk.
    pub(super) fn awaiting_disk(&self) -> usize {
        self.durability.waiting()
    }

    // -- counters and bugs

    /// Counts one.
    pub(super) fn count(&mut self, counter: Counter) {
        self.count_many(counter, 1);
    }

    /// Counts `number`.
    pub(super) fn count_many(&mut self, counter: Counter, number: usize) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let count = self.counters.0.entry(counter).or_default();
        *count = count.saturating_add(number);
    }

    /// The count since the start.
    pub(super) fn counted(&self, counter: Counter) -> u64 {
        self.counters.0.get(&counter).copied().unwrap_or(0)
    }

    /// Reports that an invariant is broken. The node continues without what depended on it.
    pub(super) fn bug(&self, what: &'static str) {
        tracing::error!(what, "this is a bug in whisht; please report it");
    }
}

#[cfg(test)]
impl Effects {
    /// Effects for the test of one component.
    pub(super) fn for_test() -> Self {
        Self::new(Generators::new(&[7; 32]), Instant::ZERO, false)
    }

    /// All outputs so far.
    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        self.outputs.drain(..).collect()
    }

    /// All requests so far.
    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        self.actions.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use circuits::ids::Epoch;

    use super::*;

    #[test]
    fn deadline_comes_after_every_output() {
        let mut fx = Effects::for_test();
        fx.set_deadline(Instant::ZERO);
        fx.store(Record::EraseOnionKey(Epoch(1)));
        assert!(matches!(fx.pop_output(), Some(Output::Store(..))));
        assert!(matches!(fx.pop_output(), Some(Output::Timeout(_))));
        assert!(fx.pop_output().is_none());
    }

    #[test]
    fn deadline_is_never_in_the_past() {
        let mut fx = Effects::for_test();
        let now = Instant::ZERO.after(Duration::from_secs(9));
        fx.set_deadline(now);
        assert!(matches!(fx.pop_output(), Some(Output::Timeout(due)) if due == now));
    }

    #[test]
    fn cancelled_job_has_no_owner() {
        let mut fx = Effects::for_test();
        let search = crate::pow::PowJob::over(
            vec![0],
            crate::pow::Generations::Modern,
            crate::pow::PowGoal::Bits(1),
        )
        .unwrap()
        .search(fx.rng());
        let job = fx.start_job(JobOwner::Post, Job::ProofOfWork(Box::new(search)));
        assert_eq!(fx.job_owner(job), Some(JobOwner::Post));
        fx.cancel_job(job);
        fx.cancel_job(job);
        assert_eq!(fx.end_job(job), None);
        let outputs = fx.take_outputs();
        assert!(matches!(
            outputs.as_slice(),
            [Output::Work(..), Output::CancelWork(_)]
        ));
    }
}
