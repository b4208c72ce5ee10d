//! Departure: the envelopes of a message are made one after the other, and their cells queued.

use circuits::dispersal::{Class, Cookie, Ticket};
use circuits::level::Level;
use circuits::rendezvous::{TicketBits, TicketSearch};
use circuits::time::{Instant, Now};
use core::time::Duration;
use rand_core::Rng;

use super::route::converging_cells;
use super::route::trace_paths;
use super::{
    CellShape, ConvergePlan, MixedForm, MixedMessage, MixedSearch, PartState, draw_paths,
    queued_cell,
};
use crate::envelope::Envelope;
use crate::message::CopyTag;
use crate::node::action::Action;
use crate::node::command::{Refusal, SendRequest};
use crate::node::effects::Effects;
use crate::node::emission::CellOwner;
use crate::node::event::MessageId;
use crate::node::jobs::{Job, JobOwner};
use crate::node::send::message::{Outgoing, SendState};
use crate::node::send::outbox::FirstStep;
use crate::node::send::{SendContext, Sender};

impl Sender {
    /// Composes a message at a level with cover traffic, if its cells would leave.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause; nothing is accepted.
    pub(in crate::node::send) fn compose_mixed(
        fx: &mut Effects,
        now: Now,
        request: &SendRequest,
        level: Level,
        tag: CopyTag,
        context: SendContext<'_>,
    ) -> Result<FirstStep, Refusal> {
        let mixed = MixedMessage::compose(fx.key_rng(), now, request, level, tag, context)?;
        check_queue(level, mixed.cells(), context)?;
        Ok(FirstStep::Mix(Box::new(mixed)))
    }

    /// Starts a message that is composed.
    pub(in crate::node::send) fn start_mixed(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        mixed: MixedMessage,
        context: SendContext<'_>,
    ) {
        self.replace_state(fx, id, SendState::Mixed(Box::new(mixed)));
        self.advance_mixed(fx, now, id, context);
    }

    /// Starts a message whose envelope is complete: a post of a `shh_*` client.
    pub(in crate::node::send) fn insert_mixed(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        envelope: Envelope,
        context: SendContext<'_>,
    ) {
        self.by_hash.insert(envelope.hash(), id);
        match MixedMessage::of_envelope(envelope) {
            Some(mixed) => self.start_mixed(fx, now, id, mixed, context),
            None => self.fail(fx, id, "the envelope is larger than the largest class"),
        }
    }

    /// Goes on with a message: the next envelope is made, and one that is complete gets its cells.
    pub(in crate::node::send) fn advance_mixed(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) {
        let before = self.messages.get(&id).and_then(Outgoing::stage);
        let queued = self.queue_mined(fx, now, id, context);
        if let Err(reason) = queued.and_then(|()| self.start_part(fx, now, id, context)) {
            return self.fail(fx, id, reason);
        }
        if let Some(mixed) = self.messages.get_mut(&id).and_then(Outgoing::mixed_mut) {
            let unqueued = |part: &&super::MixedPart| {
                !matches!(part.state, PartState::Queued(_) | PartState::Left)
            };
            let unqueued = mixed.parts.iter().filter(unqueued).count();
            let slots = u32::try_from(unqueued).unwrap_or(u32::MAX);
            let spread = match mixed.form {
                MixedForm::Scatter => self.window.wait(now.mono, unqueued),
                MixedForm::Whole | MixedForm::Converge => Duration::ZERO,
            };
            let queue = context.emission.wait();
            let slots = context.emission.slot_time().saturating_mul(slots);
            mixed.wait = queue.saturating_add(slots).max(spread);
            mixed.waits_since = now.mono;
        }
        self.settle(fx, id, before.as_ref());
    }

    /// Drafts the next envelope, and starts its proof of work. At most one is made at a time.
    fn start_part(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) -> Result<(), String> {
        let Some(message) = self.messages.get_mut(&id) else {
            return Ok(());
        };
        let (level, tag) = (message.level(), message.tag());
        let (Some(request), Some(mixed)) = (message.request(), message.mixed()) else {
            return Ok(());
        };
        let waits = |part: &super::MixedPart| matches!(part.state, PartState::Waiting);
        let Some(part) = mixed
            .parts
            .iter()
            .position(waits)
            .filter(|_| mixed.search.is_none())
        else {
            return Ok(());
        };
        if mixed.form == MixedForm::Scatter
            && let Err(opens) = self.window.begin(now.mono)
        {
            if let Some(mixed) = message.mixed_mut() {
                mixed.due = Some(opens);
            }
            return Ok(());
        }
        let drafted = mixed.draft_part(fx.key_rng(), now, (request, level, tag), part, context);
        let (draft, job) = match drafted {
            Ok(drafted) => drafted,
            Err(refusal) => {
                if mixed.form == MixedForm::Scatter {
                    self.window.give_up(1);
                }
                return Err(refusal.to_string());
            }
        };
        let search = Job::ProofOfWork(Box::new(job.search(fx.rng())));
        let job = fx.start_job(JobOwner::Message(id), search);
        let Some(mixed) = message.mixed_mut() else {
            return Ok(());
        };
        if let Some(part) = mixed.parts.get_mut(part) {
            part.state = PartState::Searching;
        }
        mixed.search = Some(MixedSearch::Nonce {
            job,
            part,
            unmined: draft.unmined,
        });
        Ok(())
    }

    /// The proof of work of a part is found.
    pub(in crate::node::send) fn on_mixed_nonce(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        nonce: u64,
        context: SendContext<'_>,
    ) {
        let Some(mixed) = self.messages.get_mut(&id).and_then(Outgoing::mixed_mut) else {
            return;
        };
        let Some(MixedSearch::Nonce { part, unmined, .. }) = mixed.search.take() else {
            return;
        };
        let envelope = unmined.with_nonce(nonce);
        if let Some(part) = mixed.parts.get_mut(part) {
            self.by_hash.insert(envelope.hash(), id);
            part.hashes.push(envelope.hash());
            part.state = PartState::Mined(envelope);
        }
        self.advance_mixed(fx, now, id, context);
    }

    /// Gives paths to the parts that are complete.
    fn queue_mined(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) -> Result<(), String> {
        let Some(message) = self.messages.get_mut(&id) else {
            return Ok(());
        };
        let (rules, attempt) = (message.level().rules(), message.attempt());
        let Some(mixed) = message.mixed_mut() else {
            return Ok(());
        };
        for number in 0..mixed.parts.len() {
            let Some(part) = mixed.parts.get_mut(number) else {
                break;
            };
            if !matches!(part.state, PartState::Mined(_)) {
                continue;
            }
            if mixed.form == MixedForm::Converge {
                return match part.take_envelope() {
                    Some(envelope) => self.search_ticket(fx, now, id, envelope, context),
                    None => Ok(()),
                };
            }
            let shard = u8::try_from(number).unwrap_or(u8::MAX);
            let owner = CellOwner::Message { id, attempt, shard };
            let (epoch, paths) = draw_paths(fx, now, context, 1)?;
            trace_paths(fx, &paths);
            let (Some(path), Some(envelope)) = (paths.first(), part.take_envelope()) else {
                continue;
            };
            let shape = CellShape {
                spread: mixed.form == MixedForm::Scatter,
                ..CellShape::whole(fx, now, context, rules, owner, epoch)
            };
            let Some(cell) = queued_cell(fx, shape, path, &envelope) else {
                return Err("the envelope does not fit into one cell".to_owned());
            };
            part.guard = path.relays.first().map(|hop| hop.id.short());
            part.state = PartState::Queued(envelope);
            fx.request(Action::QueueCells(vec![cell]));
        }
        Ok(())
    }

    /// Draws paths to one rendezvous for an envelope that converges, and searches its ticket.
    fn search_ticket(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        envelope: Envelope,
        context: SendContext<'_>,
    ) -> Result<(), String> {
        let class = Class::converge(envelope.as_rlp().len())
            .ok_or("the envelope is larger than the largest class")?;
        let (epoch, paths) = draw_paths(fx, now, context, class.n().into())?;
        trace_paths(fx, &paths);
        let first = paths.first().ok_or("no path was drawn")?;
        let bits = TicketBits::new(first.ticket_bits);
        let bits = bits.ok_or("the rendezvous requires an impossible ticket")?;
        let bits = bits.for_class(class);
        let mut cookie = Cookie([0; 16]);
        fx.key_rng().fill_bytes(&mut cookie.0);
        let rendezvous = &first.rendezvous.id;
        let search = TicketSearch::new(fx.key_rng(), rendezvous, epoch, cookie, bits);
        let guard = first.relays.first().map(|hop| hop.id.short());
        let job = fx.start_job(JobOwner::Message(id), Job::Ticket(Box::new(search)));
        if let Some(mixed) = self.messages.get_mut(&id).and_then(Outgoing::mixed_mut) {
            if let Some(part) = mixed.parts.first_mut() {
                part.state = PartState::Searching;
                part.cells = class.n().into();
                part.guard = guard;
            }
            let plan = ConvergePlan {
                epoch,
                paths,
                class,
                cookie,
            };
            mixed.search = Some(MixedSearch::Ticket {
                job,
                envelope,
                plan: Box::new(plan),
            });
        }
        Ok(())
    }

    /// The ticket of an envelope that converges is found: its cells are queued together.
    pub(in crate::node::send) fn on_mixed_ticket(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        ticket: Ticket,
        context: SendContext<'_>,
    ) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let (rules, attempt) = (message.level().rules(), message.attempt());
        let Some(mixed) = message.mixed_mut() else {
            return;
        };
        let Some(MixedSearch::Ticket { envelope, plan, .. }) = mixed.search.take() else {
            return;
        };
        let owner = |shard| CellOwner::Message { id, attempt, shard };
        let common = CellShape::whole(fx, now, context, rules, owner(0), plan.epoch);
        let shape = |index| CellShape {
            owner: owner(index),
            ..common
        };
        let Some(cells) = converging_cells(fx, shape, &plan, &envelope, ticket) else {
            return self.fail(fx, id, "the envelope does not fit its class of shards");
        };
        if let Some(part) = mixed.parts.first_mut() {
            part.state = PartState::Queued(envelope);
        }
        fx.request(Action::QueueCells(cells));
        self.advance_mixed(fx, now, id, context);
    }

    /// The queue had no room for these cells: they are queued later, on other paths.
    pub(in crate::node) fn on_queue_full(
        &mut self,
        fx: &mut Effects,
        now: Now,
        owners: &[CellOwner],
    ) {
        for owner in owners {
            self.requeue(fx, *owner, Some(now.mono.after(QUEUE_RETRY_INTERVAL)));
        }
    }

    /// A queued cell cannot leave any more: its epoch is over, or the guard is another one.
    pub(in crate::node) fn on_cell_expired(
        &mut self,
        fx: &mut Effects,
        now: Now,
        owner: CellOwner,
    ) {
        self.requeue(fx, owner, Some(now.mono));
    }

    /// Takes back the cells of a part, to be queued again at `due`. Those of an envelope that converges
    /// are all taken back: they have one rendezvous and one ticket.
    fn requeue(&mut self, fx: &mut Effects, owner: CellOwner, due: Option<Instant>) {
        let CellOwner::Message { id, attempt, shard } = owner else {
            return;
        };
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let is_current = message.attempt() == attempt;
        let Some(mixed) = message.mixed_mut().filter(|_| is_current) else {
            return;
        };
        let converges = mixed.form == MixedForm::Converge;
        if let Some(part) = mixed.part_of(shard)
            && matches!(part.state, PartState::Queued(_))
            && let Some(envelope) = part.take_envelope()
        {
            part.state = PartState::Mined(envelope);
            part.left = 0;
            mixed.due = due;
            if converges {
                fx.request(Action::WithdrawCells(id));
            }
            self.settle(fx, id, None);
        }
    }

    /// A queued cell has left for the guard.
    pub(in crate::node) fn on_cell_left(
        &mut self,
        fx: &mut Effects,
        now: Now,
        owner: CellOwner,
        context: SendContext<'_>,
    ) {
        let CellOwner::Message { id, attempt, shard } = owner else {
            return;
        };
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let before = message.stage();
        let is_current = message.attempt() == attempt;
        let Some(mixed) = message.mixed_mut().filter(|_| is_current) else {
            return;
        };
        let is_scattered = mixed.form == MixedForm::Scatter;
        let Some(part) = mixed.part_of(shard) else {
            return;
        };
        if !matches!(part.state, PartState::Queued(_)) {
            return;
        }
        part.left = part.left.saturating_add(1).min(part.cells);
        if part.left == part.cells {
            part.state = PartState::Left;
        }
        if is_scattered {
            self.window.on_left(now.mono);
        }
        self.await_mixed(fx, now, id, context);
        self.settle(fx, id, before.as_ref());
        self.advance_mixed(fx, now, id, context);
    }

    /// Once everything has left, the time of the echoes begins.
    fn await_mixed(&mut self, fx: &mut Effects, now: Now, id: MessageId, context: SendContext<'_>) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let rules = message.level().rules();
        if let SendState::Mixed(mixed) = message.state_mut()
            && mixed.has_left()
        {
            let patience = mixed.patience(fx.path_rng(), now, rules, context);
            mixed.due = Some(now.mono.after(patience));
        }
    }
}

/// Checks whether the cells of a message would leave.
///
/// # Errors
///
/// [`Refusal`] without cover traffic, and if the queue has no room for them.
fn check_queue(level: Level, cells: usize, context: SendContext<'_>) -> Result<(), Refusal> {
    if !context.emission.has_cover() {
        return Err(Refusal::policy(
            format!("level `{level}` needs cover traffic, and this node sends none"),
            "set `cover` to `full` and start the node again",
        ));
    }
    let room = context.emission.room();
    if cells > room {
        let wait = context.emission.wait().as_secs();
        return Err(Refusal::policy(
            format!(
                "the message needs {cells} cells, and the queue has room for {room}; the last cell of \
                 the queue leaves in about {wait} s"
            ),
            "wait for other messages to leave, or cancel one (`whisht outbox` lists them)",
        ));
    }
    Ok(())
}

/// Time after which cells that had no room are queued again.
const QUEUE_RETRY_INTERVAL: Duration = Duration::from_secs(30);
