//! Messages at levels with cover traffic: each envelope, its cells, and what has become of them.
//!
//! A message that fits into an envelope of the smallest class travels in one cell. A larger one is
//! scattered into envelopes of that class, or converges at one rendezvous if its reader may use another
//! program. The envelopes are made one after the other; each is drafted when its proof of work begins,
//! so that its lag is drawn for the slot that it will take.
//!
//! A cell is handed to the emission, which alone decides when it leaves. Nothing here changes when
//! cells leave this node: retries, cancelling and a full queue change only which cells they are.

mod compose;
mod confirm;
mod depart;
mod route;
mod window;

use circuits::dispersal::{Class, Cookie};
use circuits::ids::{Epoch, ShortId};
use circuits::path::MixPath;
use circuits::time::Instant;
use core::time::Duration;

pub(super) use self::compose::{check_envelope, form_of};
pub(super) use self::route::{CellShape, draw_paths, queued_cell};
pub(super) use self::window::ShardWindow;

use crate::envelope::{Envelope, EnvelopeHash, UnminedEnvelope};
use crate::node::event::Stage;
use crate::node::jobs::JobId;
use crate::scatter::ScatterShard;

/// A message whose cells leave among cover traffic.
pub(super) struct MixedMessage {
    form: MixedForm,
    parts: Vec<MixedPart>,
    /// Number of parts that the reader needs.
    needed: usize,
    search: Option<MixedSearch>,
    /// When to go on, or, once everything has left, when to try again.
    due: Option<Instant>,
    /// Expected time until the last cell leaves, and since when it counts.
    wait: Duration,
    waits_since: Instant,
    /// Whether this node sent the first part that came back before a peer had.
    first_gossip: bool,
}

/// How the message is divided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MixedForm {
    /// One envelope in one cell.
    Whole,
    /// Envelopes with one shard each, of which the reader needs some.
    Scatter,
    /// One envelope whose shards meet at one rendezvous.
    Converge,
}

/// One envelope of the message.
struct MixedPart {
    /// What it carries, if the message is scattered.
    shard: Option<ScatterShard>,
    state: PartState,
    /// Its envelopes of all attempts, the latest one last.
    hashes: Vec<EnvelopeHash>,
    /// Number of its cells, and of those that have left.
    cells: usize,
    left: usize,
    /// The first relay of its cells.
    guard: Option<ShortId>,
    /// Number of peers that sent one of its envelopes.
    peers: usize,
    /// Whether the network has it.
    seen: bool,
}

enum PartState {
    /// Its envelope is not drafted yet.
    Waiting,
    /// The proof of work or the ticket is being searched.
    Searching,
    /// The envelope is complete, and has no cells.
    Mined(Envelope),
    /// Its cells are in the queue of the emission.
    Queued(Envelope),
    /// Its cells have left.
    Left,
}

/// What a message waits for; the job is that of one part at a time.
enum MixedSearch {
    Nonce {
        job: JobId,
        part: usize,
        unmined: UnminedEnvelope,
    },
    Ticket {
        job: JobId,
        envelope: Envelope,
        plan: Box<ConvergePlan>,
    },
}

/// Paths to one rendezvous, for the cells of an envelope that converges.
struct ConvergePlan {
    epoch: Epoch,
    paths: Vec<MixPath>,
    class: Class,
    cookie: Cookie,
}

impl MixedMessage {
    fn new(form: MixedForm, parts: Vec<MixedPart>, needed: usize) -> Self {
        Self {
            form,
            parts,
            needed,
            search: None,
            due: None,
            wait: Duration::ZERO,
            waits_since: Instant::ZERO,
            first_gossip: false,
        }
    }

    /// A message whose only envelope is complete; `None` if it is too large for any class.
    pub(super) fn of_envelope(envelope: Envelope) -> Option<Self> {
        let len = envelope.as_rlp().len();
        let form = if Class::whole().suits(len) {
            MixedForm::Whole
        } else {
            Class::converge(len).map(|_| MixedForm::Converge)?
        };
        let part = MixedPart {
            hashes: vec![envelope.hash()],
            state: PartState::Mined(envelope),
            ..MixedPart::new(None)
        };
        Some(Self::new(form, vec![part], 1))
    }

    /// How the message is divided.
    #[cfg(test)]
    pub(super) const fn form(&self) -> MixedForm {
        self.form
    }

    /// Number of cells that the message puts into the queue, as far as is known.
    pub(super) fn cells(&self) -> usize {
        self.parts.iter().map(|part| part.cells).sum()
    }

    /// All its envelopes so far.
    pub(super) fn hashes(&self) -> impl Iterator<Item = EnvelopeHash> {
        self.parts
            .iter()
            .flat_map(|part| part.hashes.iter().copied())
    }

    /// The job that it waits for.
    pub(super) const fn job(&self) -> Option<JobId> {
        match &self.search {
            Some(MixedSearch::Nonce { job, .. } | MixedSearch::Ticket { job, .. }) => Some(*job),
            None => None,
        }
    }

    /// When to go on.
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Number of scattered shards that have begun and not left.
    pub(super) fn shards_underway(&self) -> usize {
        let is_underway = |part: &&MixedPart| {
            matches!(
                part.state,
                PartState::Searching | PartState::Mined(_) | PartState::Queued(_)
            )
        };
        match self.form {
            MixedForm::Scatter => self.parts.iter().filter(is_underway).count(),
            MixedForm::Whole | MixedForm::Converge => 0,
        }
    }

    /// What users see who look at `now`, which may be long after the last cell left.
    pub(super) fn stage_at(&self, now: Instant) -> Stage {
        let mut stage = self.stage();
        if let Stage::Departing { wait_seconds, .. } = &mut stage {
            let wait = self.wait.saturating_sub(now.since(self.waits_since));
            *wait_seconds = wait.as_secs();
        }
        stage
    }

    /// What users see when something happens to the message.
    pub(super) fn stage(&self) -> Stage {
        let of = self.cells();
        if !self.has_left() {
            let sealed = |part: &&MixedPart| {
                !matches!(part.state, PartState::Waiting | PartState::Searching)
            };
            return Stage::Departing {
                sealed: self.parts.iter().filter(sealed).count(),
                envelopes: self.parts.len(),
                left: self.parts.iter().map(|part| part.left).sum(),
                cells: of,
                wait_seconds: self.wait.as_secs(),
            };
        }
        let shown = self.parts.iter().filter(|part| part.peers > 0).count();
        match self.form {
            _ if shown == 0 => Stage::Dispatched { cells: of, of },
            MixedForm::Scatter => Stage::SeenShards {
                shards: shown,
                needed: self.needed,
                of: self.parts.len(),
                first_gossip: self.first_gossip,
            },
            MixedForm::Whole | MixedForm::Converge => Stage::Seen {
                peers: self.parts.iter().map(|part| part.peers).sum(),
                first_gossip: self.first_gossip,
            },
        }
    }

    /// Whether this node sent one of its envelopes to a peer before a peer had sent it here.
    pub(super) const fn first_gossip(&self) -> bool {
        self.first_gossip
    }

    /// Whether all cells have left.
    pub(super) fn has_left(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.all(|part| matches!(part.state, PartState::Left))
    }

    /// Number of parts that the network has.
    fn seen(&self) -> usize {
        self.parts.iter().filter(|part| part.seen).count()
    }

    /// The part to which the cell with this number belongs.
    fn part_of(&mut self, cell: u8) -> Option<&mut MixedPart> {
        match self.form {
            MixedForm::Converge => self.parts.first_mut(),
            MixedForm::Whole | MixedForm::Scatter => self.parts.get_mut(usize::from(cell)),
        }
    }

    /// The part with this envelope.
    fn part_with(&mut self, hash: EnvelopeHash) -> Option<&mut MixedPart> {
        let mut parts = self.parts.iter_mut();
        parts.find(|part| part.hashes.contains(&hash))
    }

    /// Begins another attempt for parts that the network does not have: as many as give the missing
    /// ones the margin of the table, and no more. The reader keeps the shards that it has, so another
    /// whole set would only put more envelopes of one message into the network.
    fn restart_missing(&mut self) {
        let missing = self.needed.saturating_sub(self.seen());
        let again = missing.saturating_mul(3).div_ceil(2);
        let parts = self.parts.iter_mut().filter(|part| !part.seen);
        for part in parts.take(again) {
            part.state = PartState::Waiting;
            part.left = 0;
        }
        self.due = None;
    }
}

impl MixedPart {
    const fn new(shard: Option<ScatterShard>) -> Self {
        Self {
            shard,
            state: PartState::Waiting,
            hashes: Vec::new(),
            cells: 1,
            left: 0,
            guard: None,
            peers: 0,
            seen: false,
        }
    }

    /// Takes the envelope of a part that has one.
    fn take_envelope(&mut self) -> Option<Envelope> {
        match core::mem::replace(&mut self.state, PartState::Waiting) {
            PartState::Mined(envelope) | PartState::Queued(envelope) => Some(envelope),
            other => {
                self.state = other;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
