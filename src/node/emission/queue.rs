//! The queue of cells that wait for payload slots.
//!
//! The cells of all messages and dummies leave through one queue, first in, first out. Only the cell
//! at its head is sealed, so that a cell is not older than the cover that it displaces. The queue
//! decides when no cell leaves; it never decides when one does: that is the stream's part.

use core::time::Duration;
use std::collections::VecDeque;

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::cell_builder::LayerSpec;
use circuits::geometry::DELTA_LEN;
use circuits::ids::{Epoch, ShortId};
use circuits::time::Instant;

use super::seal::{SealBody, SealJob};
use crate::node::effects::Effects;
use crate::node::event::MessageId;
use crate::node::jobs::{Job, JobId, JobOwner};

/// A cell that waits for a payload slot.
pub(in crate::node) struct QueuedCell {
    /// Who is told when the cell leaves.
    pub(in crate::node) owner: CellOwner,
    /// The epoch of the onion keys of all layers.
    pub(in crate::node) epoch: Epoch,
    /// Guard, middles and rendezvous, with their delays.
    pub(in crate::node) layers: Vec<LayerSpec>,
    /// What the rendezvous reads.
    pub(in crate::node) body: Box<[u8; DELTA_LEN]>,
    /// Whether the cell is one of a scattered message, of which at most 18 leave in ten minutes.
    pub(in crate::node) spread: bool,
}

/// Who is told of a cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum CellOwner {
    /// A message.
    Message {
        /// The message.
        id: MessageId,
        /// Number of the attempt.
        attempt: u32,
        /// Which of its shards.
        shard: u8,
    },
    /// A dummy envelope.
    Dummy,
}

/// The queue has no room for these cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) struct EmissionQueueFull {
    /// Expected time until it is empty.
    pub(in crate::node) wait: Duration,
}

/// The cell of cover that a queued cell would displace. Both must look alike to the guard.
#[derive(Clone, Copy)]
pub(super) struct DisplacedCover {
    pub(super) epoch: Epoch,
    pub(super) guard: ShortId,
}

/// The cells that wait.
#[derive(Default)]
pub(super) struct EmissionQueue {
    waiting: VecDeque<WaitingCell>,
    /// When the last scattered shards left, oldest first.
    departures: VecDeque<Instant>,
}

struct WaitingCell {
    queued: QueuedCell,
    state: SealState,
}

enum SealState {
    Unsealed,
    Sealing(JobId),
    Sealed(Cell),
}

/// What a payload slot takes from the queue.
pub(super) struct TakenCell {
    pub(super) owner: CellOwner,
    pub(super) cell: Cell,
}

impl EmissionQueue {
    /// Number of cells.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds all of these cells, or none if there is no room.
    pub(super) fn push(&mut self, cells: Vec<QueuedCell>) -> bool {
        if self.waiting.len().saturating_add(cells.len()) > MAX_QUEUED {
            return false;
        }
        let waiting = cells.into_iter().map(|queued| WaitingCell {
            queued,
            state: SealState::Unsealed,
        });
        self.waiting.extend(waiting);
        true
    }

    /// Removes the cells of a message.
    pub(super) fn withdraw(&mut self, message: MessageId) {
        let is_own = |owner| matches!(owner, CellOwner::Message { id, .. } if id == message);
        self.waiting.retain(|cell| !is_own(cell.queued.owner));
    }

    /// Starts to seal the cell that leaves next, unless that is done.
    pub(super) fn seal_next(&mut self, fx: &mut Effects, now: Instant, arithmetic: Arithmetic) {
        let Some(next) = self.next(now) else {
            return;
        };
        let Some(cell) = self.waiting.get_mut(next) else {
            return;
        };
        if !matches!(cell.state, SealState::Unsealed) {
            return;
        }
        let QueuedCell {
            epoch,
            layers,
            body,
            ..
        } = &cell.queued;
        let rng = fx.key_rng().child();
        let body = SealBody::Ready(body.clone());
        let job = SealJob::new(rng, arithmetic, *epoch, layers.clone(), body);
        cell.state = SealState::Sealing(fx.start_job(JobOwner::Emission, Job::Seal(Box::new(job))));
    }

    /// A cell is sealed. A cell that could not be sealed is removed, and its owner returned.
    ///
    /// # Errors
    ///
    /// The result, if the job was not for a cell that waits here.
    pub(super) fn on_sealed(
        &mut self,
        job: JobId,
        sealed: Option<Cell>,
    ) -> Result<Option<CellOwner>, Option<Cell>> {
        let is_sealing =
            |cell: &WaitingCell| matches!(cell.state, SealState::Sealing(own) if own == job);
        let Some(at) = self.waiting.iter().position(is_sealing) else {
            return Err(sealed);
        };
        match (sealed, self.waiting.get_mut(at)) {
            (Some(sealed), Some(cell)) => {
                cell.state = SealState::Sealed(sealed);
                Ok(None)
            }
            _ => Ok(self.waiting.remove(at).map(|cell| cell.queued.owner)),
        }
    }

    /// Removes the cells at the head that can leave in no slot any more: their epoch is over, or the
    /// guard is another one. Returns their owners.
    pub(super) fn remove_outdated(
        &mut self,
        now: Instant,
        cover: DisplacedCover,
    ) -> Vec<CellOwner> {
        let mut outdated = Vec::new();
        while let Some(next) = self.next(now)
            && let Some(cell) = self.waiting.get(next)
            && (cell.queued.epoch < cover.epoch || first_hop(&cell.queued) != Some(cover.guard))
        {
            outdated.extend(self.waiting.remove(next).map(|cell| cell.queued.owner));
        }
        outdated
    }

    /// Takes the cell that leaves in place of `cover`, if one is ready. Both are of one epoch: the
    /// guard reads the epoch of a cell, and would tell a cell of the new epoch among cover of the old.
    pub(super) fn take(&mut self, now: Instant, cover: DisplacedCover) -> Option<TakenCell> {
        let next = self.next(now)?;
        let cell = self.waiting.get(next)?;
        if cell.queued.epoch != cover.epoch || !matches!(cell.state, SealState::Sealed(_)) {
            return None;
        }
        let WaitingCell { queued, state } = self.waiting.remove(next)?;
        let SealState::Sealed(cell) = state else {
            return None;
        };
        if queued.spread {
            self.departures.push_back(now);
        }
        Some(TakenCell {
            owner: queued.owner,
            cell,
        })
    }

    /// Expected time until a cell that is queued now leaves, at this mean time between two slots.
    pub(super) fn wait(&self, slot: Duration) -> Duration {
        let cells = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let slots = slot.saturating_mul(cells.saturating_add(1));
        let spread = self
            .waiting
            .iter()
            .filter(|cell| cell.queued.spread)
            .count();
        let windows = spread.checked_div(MAX_SPREAD).unwrap_or(0);
        let windows = u32::try_from(windows).unwrap_or(u32::MAX);
        slots.max(SPREAD_WINDOW.saturating_mul(windows))
    }

    /// The index of the cell that leaves next: the first one that may leave now.
    fn next(&mut self, now: Instant) -> Option<usize> {
        while let Some(first) = self.departures.front()
            && now.since(*first) >= SPREAD_WINDOW
        {
            self.departures.pop_front();
        }
        let may_spread = self.departures.len() < MAX_SPREAD;
        let mut cells = self.waiting.iter();
        cells.position(|cell| may_spread || !cell.queued.spread)
    }
}

/// The relay that a cell is sent to.
fn first_hop(cell: &QueuedCell) -> Option<ShortId> {
    Some(cell.layers.first()?.hop.id.short())
}

/// Maximum number of cells that wait: 19 minutes of payload slots.
pub(super) const MAX_QUEUED: usize = 512;

/// Scattered shards that leave within [`SPREAD_WINDOW`]: more would be told apart from dummies by
/// their number.
const MAX_SPREAD: usize = 18;

const SPREAD_WINDOW: Duration = Duration::from_secs(600);
