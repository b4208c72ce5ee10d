//! Sealing as a job: the arithmetic of a cell runs on the threads for long computations.
//!
//! If the turn of a slot sealed its cell, the work of the processor would move the instant at which
//! the cell leaves, and another cell would move it by another time. A job draws from a generator of its
//! own, so that its result does not depend on when it runs.

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::cell_builder::{LayerSpec, SealError, seal_with};
use circuits::dispersal::{Class, Cookie, Payload, Shard, Ticket};
use circuits::erasing_rng::ErasingRng;
use circuits::geometry::{DELTA_LEN, SHARD_LEN};
use circuits::ids::Epoch;
use circuits::rendezvous::TicketSearch;
use rand_core::Rng;

/// A cell to be sealed.
pub struct SealJob {
    rng: ErasingRng,
    arithmetic: Arithmetic,
    epoch: Epoch,
    layers: Vec<LayerSpec>,
    body: SealBody,
}

/// What the last hop will read.
pub(super) enum SealBody {
    /// A body that is ready.
    Ready(Box<[u8; DELTA_LEN]>),
    /// Cover traffic.
    Cover(Payload),
    /// One shard of a set that no other shard completes.
    Dangling(Box<DanglingShard>),
}

/// A shard of cover whose ticket is being found.
pub(super) struct DanglingShard {
    pub(super) cookie: Cookie,
    pub(super) class: Class,
    pub(super) index: u8,
    pub(super) search: TicketSearch,
}

impl SealJob {
    /// A cell for these layers. The generator is used for nothing else.
    pub(super) const fn new(
        rng: ErasingRng,
        arithmetic: Arithmetic,
        epoch: Epoch,
        layers: Vec<LayerSpec>,
        body: SealBody,
    ) -> Self {
        Self {
            rng,
            arithmetic,
            epoch,
            layers,
            body,
        }
    }

    /// Searches for `hashes` hashes, if a ticket is missing, and seals. Returns the cell once it is
    /// sealed.
    ///
    /// # Errors
    ///
    /// [`SealError`] if no cell can have these layers; the caller that chose them is at fault.
    pub(in crate::node) fn step(&mut self, hashes: u32) -> Option<Result<Cell, SealError>> {
        let delta = match &mut self.body {
            SealBody::Ready(delta) => delta.clone(),
            SealBody::Cover(payload) => payload.emit(&mut self.rng),
            SealBody::Dangling(dangling) => {
                let ticket = find_ticket(self.arithmetic, &mut dangling.search, hashes)?;
                let mut bytes = Box::new([0; SHARD_LEN]);
                self.rng.fill_bytes(bytes.as_mut_slice());
                let shard = Shard {
                    cookie: dangling.cookie,
                    class: dangling.class,
                    index: dangling.index,
                    ticket,
                    bytes,
                };
                Payload::Shard(shard).emit(&mut self.rng)
            }
        };
        Some(seal_with(
            self.arithmetic,
            &mut self.rng,
            self.epoch,
            &self.layers,
            &delta,
        ))
    }

    /// Seals at once; `None` if a ticket is missing, or no cell can have these layers.
    pub(super) fn seal_now(&mut self) -> Option<Cell> {
        self.step(0)?.ok()
    }

    /// Hashes that the search for a ticket takes on average; zero without a search.
    #[cfg(feature = "sim")]
    pub(crate) const fn expected_hashes(&self) -> u64 {
        match &self.body {
            SealBody::Dangling(dangling) => 1 << dangling.search.bits().get(),
            SealBody::Ready(_) | SealBody::Cover(_) => 0,
        }
    }
}

/// Searches for `hashes` hashes. A simulated node that computes with stand-ins takes any ticket: the
/// rendezvous then drops the shard at once, and not when its set expires, which no peer can see.
fn find_ticket(arithmetic: Arithmetic, search: &mut TicketSearch, hashes: u32) -> Option<Ticket> {
    #[cfg(feature = "sim")]
    if !arithmetic.is_real() {
        return (hashes > 0).then(|| search.untried());
    }
    debug_assert!(
        arithmetic.is_real(),
        "there is no other without the feature"
    );
    search.step(hashes)
}
