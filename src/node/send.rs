//! Moves our own messages from stage to stage.
//!
//! The order of things: refuse what cannot be done as asked; compose and seal; choose lanes; earn
//! a ticket; cut the envelope into pieces; let the pieces leave one by one, each in a cell of its
//! own; wait for the echo. `queue` holds the messages themselves.

mod confirm;
mod offline;
pub(super) mod queue;

use core::time::Duration;

use circuits::cell::HopDelay;
use circuits::cell_builder::{LayerSpec, seal_with};
use circuits::dispersal::{Class, Cookie, Payload, Shard, Ticket, disperse};
use circuits::distributions::exponential;
use circuits::ids::ShortId;
use circuits::level::{EmissionSchedule, Insertion, Level};
use circuits::path::RelaxedRules;
use circuits::rendezvous::{TicketBits, TicketSearch};
use circuits::time::{Instant, Now};
use rand_core::Rng;

use self::queue::{
    CellEmission, EchoWatch, LaneQueue, MAX_IN_FLIGHT, PlannedEnvelope, QueuedMessage, SendState,
};
use super::command::{Refusal, SendRequest};
use super::event::{Event, MessageId, RelayLabel, Stage, Trace};
use super::input::Connectivity;
use super::jobs::{Job, JobId};
use super::{Node, Output, hex};
use crate::envelope::{Envelope, EnvelopeHash};
use crate::latency_model::PathModel;
use crate::pow::{OutOfTime, PowJob};

impl Node {
    /// Takes on a message, or says why not. Nothing is sent if it is refused.
    pub(super) fn send(&mut self, now: Now, request: SendRequest) -> Result<MessageId, Refusal> {
        let level = request.level.unwrap_or(self.config.level);
        let offline = self.connectivity != Connectivity::Up;
        if !offline {
            self.check_level(now, level)?;
        }
        self.check_room()?;
        let message = match offline {
            true => self.queue_new(now, level, request)?,
            false => {
                let (state, stage) = self.begin_attempt(now, &request, 1)?;
                QueuedMessage {
                    level,
                    request: Some(request),
                    attempt: 1,
                    stage,
                    state,
                    watch: None,
                }
            }
        };
        let stage = message.stage.clone();
        let id = self.outbox.add(message);
        self.outputs
            .push_back(Output::Notify(Event::Outgoing(id, stage)));
        Ok(id)
    }

    /// Composes an envelope and sets its proof of work going.
    pub(super) fn begin_attempt(
        &mut self,
        now: Now,
        request: &SendRequest,
        attempt: u32,
    ) -> Result<(SendState, Stage), Refusal> {
        let (draft, job) = self.compose(now, request)?;
        let stage = Stage::Sealing {
            attempt,
            bits: job.bits(),
            expected_hashes: job.expected_hashes(),
            expected_seconds: self.expected_seconds(&job),
        };
        let search = job.search(&mut self.rng);
        let id = self.start_job(Job::ProofOfWork(Box::new(search)));
        Ok((SendState::Mining(id, draft.unmined), stage))
    }

    /// How long a search takes on average, if this machine's rate is known.
    pub(super) fn expected_seconds(&self, job: &PowJob) -> Option<f64> {
        self.hash_rate.map(|rate| job.expected_hashes() / rate)
    }

    /// The search for the nonce of one of our envelopes goes on.
    pub(super) fn on_progress(&mut self, job: JobId, tried: u64) {
        let found = self.outbox.messages.iter().find_map(|(id, message)| {
            match (&message.state, &message.stage) {
                (
                    SendState::Mining(mining, _),
                    Stage::Sealing {
                        expected_hashes, ..
                    }
                    | Stage::Searching {
                        expected_hashes, ..
                    },
                ) if *mining == job => Some((*id, *expected_hashes)),
                _ => None,
            }
        });
        if let Some((id, expected_hashes)) = found {
            self.set_stage(
                id,
                Stage::Searching {
                    tried,
                    expected_hashes,
                },
            );
        }
    }

    /// The search for the nonce of one of our envelopes is over.
    pub(super) fn on_nonce(&mut self, now: Now, job: JobId, nonce: Result<u64, OutOfTime>) {
        if self.on_post_nonce(now, job, nonce) {
            return;
        }
        // Our own searches have no limit of time.
        let Ok(nonce) = nonce else {
            return self.bug("the proof of work of a message ran out of time");
        };
        let found = self
            .outbox
            .messages
            .iter()
            .find_map(|(id, message)| match &message.state {
                SendState::Mining(mining, unmined) if *mining == job => {
                    Some((*id, unmined.with_nonce(nonce), message.level))
                }
                _ => None,
            });
        let Some((id, envelope, level)) = found else {
            return;
        };
        self.set_stage(id, sealed(&envelope));
        if level.rules().insertion != Insertion::Gossip && self.queue_if_offline(id) {
            return;
        }
        self.start_insertion(now, id, level, envelope);
    }

    /// Takes on an envelope that is sealed already, or says why not. It is sent once: its maker
    /// knows it by its hash, and another one would have another.
    pub(super) fn send_envelope(
        &mut self,
        now: Now,
        level: Level,
        envelope: Envelope,
    ) -> Result<(), Refusal> {
        self.check_level(now, level)?;
        self.check_room()?;
        let stage = sealed(&envelope);
        let id = self.outbox.add(QueuedMessage {
            level,
            request: None,
            attempt: 1,
            stage: stage.clone(),
            state: SendState::Confirming,
            watch: None,
        });
        self.set_stage(id, stage);
        self.start_insertion(now, id, level, envelope);
        match self.outbox.messages.get(&id).map(|message| &message.stage) {
            Some(Stage::Failed { reason }) => Err(Refusal::policy(reason.clone(), "send it again")),
            _ => Ok(()),
        }
    }

    fn check_room(&self) -> Result<(), Refusal> {
        if self.outbox.in_flight() < MAX_IN_FLIGHT {
            return Ok(());
        }
        Err(Refusal::policy(
            format!("{MAX_IN_FLIGHT} messages are on their way already"),
            "wait for one to arrive, or cancel one (`whisht outbox` lists them)",
        ))
    }

    /// Lets a sealed envelope go the way of its level.
    fn start_insertion(&mut self, now: Now, id: MessageId, level: Level, envelope: Envelope) {
        match level.rules().insertion {
            Insertion::Gossip => self.send_by_gossip(now, id, envelope),
            Insertion::Stem => self.send_by_stem(now, id, &envelope),
            Insertion::HeldStem => self.plan_lanes(now, id, envelope),
        }
    }

    /// Plain Whisper: into our own pool, and to every peer from there.
    fn send_by_gossip(&mut self, now: Now, id: MessageId, envelope: Envelope) {
        let hash = envelope.hash();
        match self.check_envelope(now, &envelope) {
            Some((pow, not_expired)) => {
                self.trace(|| Trace::Fluff {
                    envelope: hex(&hash.0),
                });
                self.pool_envelope(now, envelope, pow, not_expired, None);
            }
            None => {
                return self.fail(
                    id,
                    "the envelope expired while its proof of work was sought",
                );
            }
        }
        self.expect_echo(id, hash, None, Some(now.mono.after(GOSSIP_TIMEOUT)));
    }

    /// Onto the stem, from which it enters the network elsewhere.
    fn send_by_stem(&mut self, now: Now, id: MessageId, envelope: &Envelope) {
        if self.insert_by_stem(now, envelope) {
            self.expect_echo(
                id,
                envelope.hash(),
                None,
                Some(now.mono.after(STEM_TIMEOUT)),
            );
        } else {
            self.fail(
                id,
                "the peers that could pass it on are gone; connect to more whisht nodes",
            );
        }
    }

    /// Chooses lanes and begins to earn the ticket for their end.
    fn plan_lanes(&mut self, now: Now, id: MessageId, envelope: Envelope) {
        let Some(message) = self.outbox.messages.get(&id) else {
            return;
        };
        let rules = message.level.rules();
        let (epoch, plan) = match self.pick_lanes(now, rules) {
            Ok(picked) => picked,
            Err(refusal) => return self.fail(id, &refusal.to_string()),
        };
        let Some(bits) = TicketBits::new(plan.ticket_bits) else {
            return self.fail(id, "the rendezvous asks for a ticket that does not exist");
        };
        let Some(class) = Class::converge(envelope.as_rlp().len()) else {
            return self.fail(id, "the envelope is larger than the largest class");
        };
        let mut cookie = Cookie([0; 16]);
        self.rng.fill_bytes(&mut cookie.0);
        let search = TicketSearch::new(&mut self.rng, &plan.rendezvous.id, epoch, cookie, bits);
        self.set_stage(
            id,
            Stage::Planned {
                lanes: plan
                    .lanes
                    .iter()
                    .map(|lane| lane.hops.len().saturating_sub(1))
                    .collect(),
                k: class.k(),
                n: class.n(),
                lifted: lifted(plan.relaxed),
            },
        );
        self.trace(|| Trace::Lanes {
            lanes: plan
                .lanes
                .iter()
                .map(|lane| {
                    lane.hops
                        .iter()
                        .map(|hop| RelayLabel(hop.id.short()))
                        .collect()
                })
                .collect(),
        });
        let job = self.start_job(Job::Ticket(Box::new(search)));
        let planned = Box::new(PlannedEnvelope {
            envelope,
            epoch,
            plan,
            class,
            cookie,
        });
        self.set_state(id, SendState::Ticket(job, planned));
    }

    /// The ticket was found: cuts the envelope up and lets the pieces go.
    pub(super) fn on_ticket(&mut self, now: Now, job: JobId, ticket: Ticket) {
        let holds = |state: &SendState| matches!(state, SendState::Ticket(id, _) if *id == job);
        let Some((id, message)) = self
            .outbox
            .messages
            .iter_mut()
            .find(|(_, message)| holds(&message.state))
        else {
            return;
        };
        let (id, level) = (*id, message.level);
        let SendState::Ticket(_, planned) =
            core::mem::replace(&mut message.state, SendState::Confirming)
        else {
            return;
        };
        match self.disperse_over_lanes(now, level, *planned, ticket) {
            Some((hash, emission)) => {
                let guard = Some(emission.guard);
                self.set_state(id, SendState::Emitting(emission));
                self.expect_echo(id, hash, guard, None);
            }
            None => self.fail(
                id,
                "the envelope does not fit the pieces it was planned for",
            ),
        }
    }

    fn disperse_over_lanes(
        &mut self,
        now: Now,
        level: Level,
        planned: PlannedEnvelope,
        ticket: Ticket,
    ) -> Option<(EnvelopeHash, CellEmission)> {
        let PlannedEnvelope {
            envelope,
            epoch,
            plan,
            class,
            cookie,
        } = planned;
        let rules = level.rules();
        let EmissionSchedule::OnDemand { gap } = rules.emission else {
            return None;
        };
        let shards = disperse(&mut self.rng, class, envelope.as_rlp()).ok()?;
        let hold = HopDelay::from_duration(rules.sample_hold(&mut self.rng)).ok()?;
        let mut lanes: Vec<LaneQueue> = Vec::with_capacity(plan.lanes.len());
        for lane in &plan.lanes {
            let next = now.mono.after(exponential(&mut self.rng, gap));
            lanes.push(LaneQueue {
                hops: lane.hops.clone(),
                shards: Vec::new().into(),
                next,
            });
        }
        let total = shards.len();
        for (index, bytes) in (0_u8..).zip(shards) {
            let lane = usize::from(index).checked_rem(lanes.len())?;
            let shard = Shard {
                cookie,
                class,
                index,
                ticket,
                bytes,
            };
            lanes.get_mut(lane)?.shards.push_back(shard);
        }
        let guard = plan.guard.id.short();
        let emission = CellEmission {
            guard,
            epoch,
            delay: rules.delay,
            hold,
            gap,
            lanes,
            sent: 0,
            total,
        };
        Some((envelope.hash(), emission))
    }

    /// Pieces whose moment has come leave for the guard.
    pub(super) fn emit_cells(&mut self, now: Now) {
        let due = |message: &QueuedMessage| message.next_due().is_some_and(|due| due <= now.mono);
        let ids: Vec<MessageId> = self
            .outbox
            .messages
            .iter()
            .filter(|(_, message)| due(message))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.emit_from(now, id);
        }
    }

    fn emit_from(&mut self, now: Now, id: MessageId) {
        let Some(message) = self.outbox.messages.get_mut(&id) else {
            return;
        };
        let SendState::Emitting(emission) = &mut message.state else {
            return self.on_echo_timeout(now, id);
        };
        let due = emission.pop_due(&mut self.rng, now.mono);
        let (guard, sent, total) = (emission.guard, emission.sent, emission.total);
        let (epoch, delay, hold) = (emission.epoch, emission.delay, emission.hold);
        let lanes: Vec<usize> = emission.lanes.iter().map(LaneQueue::relays).collect();
        for (hops, shard) in due {
            let last = hops.len().saturating_sub(1);
            let layers: Vec<LayerSpec> = hops
                .into_iter()
                .enumerate()
                .map(|(at, hop)| {
                    let wait = if at == last {
                        hold
                    } else {
                        HopDelay::sample(&mut self.rng, delay)
                    };
                    LayerSpec { hop, delay: wait }
                })
                .collect();
            let delta = Payload::Shard(shard).emit(&mut self.rng);
            let arithmetic = self.local.link.arithmetic();
            match seal_with(arithmetic, &mut self.rng, epoch, &layers, &delta) {
                Ok(cell) => self.send_cell(now, guard, cell),
                Err(_) => self.counters.cells_dropped += 1,
            }
        }
        self.set_stage(
            id,
            Stage::Dispatched {
                cells: sent,
                of: total,
            },
        );
        if sent == total {
            let deadline = now
                .mono
                .after(self.echo_timeout(lanes, delay, hold.as_duration()));
            if let Some(message) = self.outbox.messages.get_mut(&id) {
                message.state = SendState::Confirming;
                if let Some(watch) = &mut message.watch {
                    watch.deadline = Some(deadline);
                }
            }
        }
    }

    /// How long after the last cell the echo may take: all but one in a thousand come sooner, and
    /// a random time on top keeps a rendezvous that withholds an envelope from timing the retry.
    fn echo_timeout(&mut self, lanes: Vec<usize>, delay: Duration, hold: Duration) -> Duration {
        let pieces = lanes.len();
        let model = PathModel {
            lanes,
            shards: pieces,
            needed: pieces,
            gap: Duration::ZERO,
            delay,
            hold,
            stem: true,
        };
        let p999 = model.latency().p999;
        let jitter = u64::try_from(p999.as_micros()).unwrap_or(u64::MAX).max(1);
        p999 + Duration::from_micros(self.rng.next_u64() % jitter)
    }

    /// Forgets a message that is on its way; `false` if there is none of that number.
    pub(super) fn cancel(&mut self, id: MessageId) -> bool {
        match self.outbox.messages.get(&id) {
            Some(message) if !matches!(message.state, SendState::Ended) => {
                if let SendState::Mining(job, _) | SendState::Ticket(job, _) = &message.state {
                    self.outputs.push_back(Output::CancelWork(*job));
                }
                self.fail(id, "cancelled; pieces that had left cannot be recalled");
                true
            }
            _ => false,
        }
    }

    fn expect_echo(
        &mut self,
        id: MessageId,
        hash: EnvelopeHash,
        guard: Option<ShortId>,
        deadline: Option<Instant>,
    ) {
        if let Some(message) = self.outbox.messages.get_mut(&id) {
            if deadline.is_some() {
                message.state = SendState::Confirming;
            }
            message.watch = Some(EchoWatch {
                hash,
                guard,
                deadline,
                witnesses: 0,
            });
        }
    }

    fn set_state(&mut self, id: MessageId, state: SendState) {
        if let Some(message) = self.outbox.messages.get_mut(&id) {
            message.state = state;
        }
    }

    pub(super) fn fail(&mut self, id: MessageId, reason: &str) {
        self.finish(
            id,
            Stage::Failed {
                reason: reason.to_owned(),
            },
        );
    }

    pub(super) fn finish(&mut self, id: MessageId, stage: Stage) {
        self.set_state(id, SendState::Ended);
        self.set_stage(id, stage);
    }

    pub(super) fn set_stage(&mut self, id: MessageId, stage: Stage) {
        if let Some(message) = self.outbox.messages.get_mut(&id) {
            message.stage = stage.clone();
            self.outputs
                .push_back(Output::Notify(Event::Outgoing(id, stage)));
        }
    }
}

fn sealed(envelope: &Envelope) -> Stage {
    Stage::Sealed {
        envelope: hex(&envelope.hash().0),
        bytes: envelope.as_rlp().len(),
    }
}

/// How long a plainly gossiped envelope may take to reach a peer.
const GOSSIP_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a stem may take: several embargoes of a minute each.
const STEM_TIMEOUT: Duration = Duration::from_secs(300);

/// The rule that the local profile lifted for a set of lanes, in the user's words.
fn lifted(relaxed: RelaxedRules) -> Option<String> {
    let mut rules = Vec::new();
    if relaxed.disjointness {
        rules.push("lanes share middle relays");
    }
    if relaxed.peers {
        rules.push("the rendezvous is one of our peers");
    }
    (!rules.is_empty()).then(|| rules.join("; "))
}
