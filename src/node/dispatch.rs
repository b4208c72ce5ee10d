//! Moves our own messages from stage to stage.
//!
//! The order of things: refuse what cannot be done as asked; compose and seal; choose lanes; earn
//! a ticket; cut the envelope into pieces; let the pieces leave one by one, each in a cell of its
//! own; wait for the echo. `outbox` holds the messages themselves.

use core::time::Duration;

use circuits::cell::HopDelay;
use circuits::cell_builder::{LayerSpec, seal};
use circuits::dispersal::{Class, Cookie, Payload, Shard, Ticket, disperse};
use circuits::distributions::exponential;
use circuits::ids::ShortId;
use circuits::level::{EmissionSchedule, Insertion, Level};
use circuits::path::RelaxedRules;
use circuits::rendezvous::{TicketBits, TicketSearch};
use circuits::time::{Instant, Now};
use rand_core::Rng;

use super::command::{Refusal, SendRequest};
use super::event::{Event, MessageId, Name, Stage, Trace};
use super::input::Reach;
use super::outbox::{Addressed, Emission, LaneQueue, MOST_ON_THEIR_WAY, Outgoing, State, Watch};
use super::work::{Job, JobId};
use super::{Node, Output, hex};
use crate::envelope::{Envelope, EnvelopeHash};
use crate::latency_model::PathModel;
use crate::pow::{OutOfTime, PowJob};

impl Node {
    /// Takes on a message, or says why not. Nothing is sent if it is refused.
    pub(super) fn send(&mut self, now: Now, request: SendRequest) -> Result<MessageId, Refusal> {
        let level = request.level.unwrap_or(self.config.level);
        let shut = self.reach != Reach::Open;
        if !shut {
            self.level_available(now, level)?;
        }
        self.room_for_one()?;
        let outgoing = match shut {
            true => self.hold_new(now, level, request)?,
            false => {
                let (state, stage) = self.begin_attempt(now, &request, 1)?;
                Outgoing {
                    level,
                    request: Some(request),
                    attempt: 1,
                    stage,
                    state,
                    watch: None,
                }
            }
        };
        let stage = outgoing.stage.clone();
        let id = self.outbox.add(outgoing);
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
    ) -> Result<(State, Stage), Refusal> {
        let (draft, job) = self.compose(now, request)?;
        let stage = Stage::Sealing {
            attempt,
            bits: job.bits(),
            expected_hashes: job.expected_hashes(),
            expected_seconds: self.expected_seconds(&job),
        };
        let search = job.search(&mut self.rng);
        let id = self.start(Job::Seal(Box::new(search)));
        Ok((State::Sealing(id, draft.unmined), stage))
    }

    /// How long a search takes on average, if this machine's rate is known.
    pub(super) fn expected_seconds(&self, job: &PowJob) -> Option<f64> {
        self.hash_rate.map(|rate| job.expected_hashes() / rate)
    }

    /// The search for the nonce of one of our envelopes goes on.
    pub(super) fn on_working(&mut self, job: JobId, tried: u64) {
        let found = self.outbox.messages.iter().find_map(|(id, outgoing)| {
            match (&outgoing.state, &outgoing.stage) {
                (
                    State::Sealing(sealing, _),
                    Stage::Sealing {
                        expected_hashes, ..
                    }
                    | Stage::Searching {
                        expected_hashes, ..
                    },
                ) if *sealing == job => Some((*id, *expected_hashes)),
                _ => None,
            }
        });
        if let Some((id, expected_hashes)) = found {
            self.stage(
                id,
                Stage::Searching {
                    tried,
                    expected_hashes,
                },
            );
        }
    }

    /// The search for the nonce of one of our envelopes is over.
    pub(super) fn on_sealed(&mut self, now: Now, job: JobId, nonce: Result<u64, OutOfTime>) {
        if self.on_post_sealed(now, job, nonce) {
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
            .find_map(|(id, outgoing)| match &outgoing.state {
                State::Sealing(sealing, unmined) if *sealing == job => {
                    Some((*id, unmined.with_nonce(nonce), outgoing.level))
                }
                _ => None,
            });
        let Some((id, envelope, level)) = found else {
            return;
        };
        self.stage(id, sealed(&envelope));
        if level.rules().insertion != Insertion::Gossip && self.hold(id) {
            return;
        }
        self.insert(now, id, level, envelope);
    }

    /// Takes on an envelope that is sealed already, or says why not. It is sent once: its maker
    /// knows it by its hash, and another one would have another.
    pub(super) fn send_sealed(
        &mut self,
        now: Now,
        level: Level,
        envelope: Envelope,
    ) -> Result<(), Refusal> {
        self.level_available(now, level)?;
        self.room_for_one()?;
        let stage = sealed(&envelope);
        let id = self.outbox.add(Outgoing {
            level,
            request: None,
            attempt: 1,
            stage: stage.clone(),
            state: State::Watching,
            watch: None,
        });
        self.stage(id, stage);
        self.insert(now, id, level, envelope);
        match self
            .outbox
            .messages
            .get(&id)
            .map(|outgoing| &outgoing.stage)
        {
            Some(Stage::Failed { reason }) => Err(Refusal::policy(reason.clone(), "send it again")),
            _ => Ok(()),
        }
    }

    fn room_for_one(&self) -> Result<(), Refusal> {
        if self.outbox.on_their_way() < MOST_ON_THEIR_WAY {
            return Ok(());
        }
        Err(Refusal::policy(
            format!("{MOST_ON_THEIR_WAY} messages are on their way already"),
            "wait for one to arrive, or cancel one (`whisht outbox` lists them)",
        ))
    }

    /// Lets a sealed envelope go the way of its level.
    fn insert(&mut self, now: Now, id: MessageId, level: Level, envelope: Envelope) {
        match level.rules().insertion {
            Insertion::Gossip => self.insert_openly(now, id, envelope),
            Insertion::Stem => self.insert_swiftly(now, id, &envelope),
            Insertion::HeldStem => self.plan_lanes(now, id, envelope),
        }
    }

    /// Plain Whisper: into our own pool, and to every peer from there.
    fn insert_openly(&mut self, now: Now, id: MessageId, envelope: Envelope) {
        let hash = envelope.hash();
        match self.check(now, &envelope) {
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
        self.watch(id, hash, None, Some(now.mono.after(OPEN_PATIENCE)));
    }

    /// Onto the stem, from which it enters the network elsewhere.
    fn insert_swiftly(&mut self, now: Now, id: MessageId, envelope: &Envelope) {
        if self.insert_by_stem(now, envelope) {
            self.watch(
                id,
                envelope.hash(),
                None,
                Some(now.mono.after(STEM_PATIENCE)),
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
        let Some(outgoing) = self.outbox.messages.get(&id) else {
            return;
        };
        let rules = outgoing.level.rules();
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
        self.stage(
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
                .map(|lane| lane.hops.iter().map(|hop| Name(hop.id.short())).collect())
                .collect(),
        });
        let job = self.start(Job::Ticket(Box::new(search)));
        let addressed = Box::new(Addressed {
            envelope,
            epoch,
            plan,
            class,
            cookie,
        });
        self.set_state(id, State::Ticket(job, addressed));
    }

    /// The ticket was found: cuts the envelope up and lets the pieces go.
    pub(super) fn on_ticket(&mut self, now: Now, job: JobId, ticket: Ticket) {
        let holds = |state: &State| matches!(state, State::Ticket(id, _) if *id == job);
        let Some((id, outgoing)) = self
            .outbox
            .messages
            .iter_mut()
            .find(|(_, outgoing)| holds(&outgoing.state))
        else {
            return;
        };
        let (id, level) = (*id, outgoing.level);
        let State::Ticket(_, addressed) = core::mem::replace(&mut outgoing.state, State::Watching)
        else {
            return;
        };
        match self.cut(now, level, *addressed, ticket) {
            Some((hash, emission)) => {
                let guard = Some(emission.guard);
                self.set_state(id, State::Emitting(emission));
                self.watch(id, hash, guard, None);
            }
            None => self.fail(
                id,
                "the envelope does not fit the pieces it was planned for",
            ),
        }
    }

    fn cut(
        &mut self,
        now: Now,
        level: Level,
        addressed: Addressed,
        ticket: Ticket,
    ) -> Option<(EnvelopeHash, Emission)> {
        let Addressed {
            envelope,
            epoch,
            plan,
            class,
            cookie,
        } = addressed;
        let rules = level.rules();
        let EmissionSchedule::OnDemand { gap } = rules.emission else {
            return None;
        };
        let pieces = disperse(&mut self.rng, class, envelope.as_rlp()).ok()?;
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
        let total = pieces.len();
        for (index, bytes) in (0_u8..).zip(pieces) {
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
        let emission = Emission {
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
        let due = |outgoing: &Outgoing| outgoing.next_due().is_some_and(|due| due <= now.mono);
        let ids: Vec<MessageId> = self
            .outbox
            .messages
            .iter()
            .filter(|(_, outgoing)| due(outgoing))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.emit_from(now, id);
        }
    }

    fn emit_from(&mut self, now: Now, id: MessageId) {
        let Some(outgoing) = self.outbox.messages.get_mut(&id) else {
            return;
        };
        let State::Emitting(emission) = &mut outgoing.state else {
            return self.on_silence(now, id);
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
            match seal(&mut self.rng, epoch, &layers, false, &delta) {
                Ok(cell) => self.send_cell(now, guard, cell),
                Err(_) => self.counters.cells_dropped += 1,
            }
        }
        self.stage(
            id,
            Stage::Dispatched {
                cells: sent,
                of: total,
            },
        );
        if sent == total {
            let deadline = now
                .mono
                .after(self.patience(lanes, delay, hold.as_duration()));
            if let Some(outgoing) = self.outbox.messages.get_mut(&id) {
                outgoing.state = State::Watching;
                if let Some(watch) = &mut outgoing.watch {
                    watch.deadline = Some(deadline);
                }
            }
        }
    }

    /// How long after the last cell the echo may take: all but one in a thousand come sooner, and
    /// a random time on top keeps a rendezvous that withholds an envelope from timing the retry.
    fn patience(&mut self, lanes: Vec<usize>, delay: Duration, hold: Duration) -> Duration {
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
            Some(outgoing) if !matches!(outgoing.state, State::Ended) => {
                if let State::Sealing(job, _) | State::Ticket(job, _) = &outgoing.state {
                    self.outputs.push_back(Output::CancelWork(*job));
                }
                self.fail(id, "cancelled; pieces that had left cannot be recalled");
                true
            }
            _ => false,
        }
    }

    fn watch(
        &mut self,
        id: MessageId,
        hash: EnvelopeHash,
        guard: Option<ShortId>,
        deadline: Option<Instant>,
    ) {
        if let Some(outgoing) = self.outbox.messages.get_mut(&id) {
            if deadline.is_some() {
                outgoing.state = State::Watching;
            }
            outgoing.watch = Some(Watch {
                hash,
                guard,
                deadline,
                witnesses: 0,
            });
        }
    }

    fn set_state(&mut self, id: MessageId, state: State) {
        if let Some(outgoing) = self.outbox.messages.get_mut(&id) {
            outgoing.state = state;
        }
    }

    pub(super) fn fail(&mut self, id: MessageId, reason: &str) {
        self.end(
            id,
            Stage::Failed {
                reason: reason.to_owned(),
            },
        );
    }

    pub(super) fn end(&mut self, id: MessageId, stage: Stage) {
        self.set_state(id, State::Ended);
        self.stage(id, stage);
    }

    pub(super) fn stage(&mut self, id: MessageId, stage: Stage) {
        if let Some(outgoing) = self.outbox.messages.get_mut(&id) {
            outgoing.stage = stage.clone();
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
const OPEN_PATIENCE: Duration = Duration::from_secs(60);

/// How long a stem may take: several embargoes of a minute each.
const STEM_PATIENCE: Duration = Duration::from_secs(300);

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
