//! Synthetic load: every node sends cells through six relays, at a constant mean rate.
//!
//! The cells carry nothing. They cost what cells of a level with cover traffic would cost, which the
//! node does not have yet. Relays form a ring in which each forwards to the sixteen after it, so that
//! links stay open however many relays there are; a node's first relay is always the same.

use std::time::Duration;

use circuits::cell::HopDelay;
use circuits::cell_builder::{Hop, LayerSpec, seal_with};
use circuits::dispersal::Payload;
use circuits::ids::Epoch;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::super::seed::{SmallRng, WorldSeed};
use super::super::world::World;
use super::topology::below;

/// Draws when which node sends a cell, and along which relays.
pub(super) struct CellSource {
    /// Mean time between two cells of the whole network.
    gap: Duration,
    /// When the next cell is sent.
    due: Instant,
    /// Draws times and paths.
    rng: SmallRng,
    /// Draws what is in the cells.
    cells: ChaCha20Rng,
    relays: Vec<usize>,
    hops: Vec<Option<Hop>>,
    /// The epoch of the hops' keys.
    epoch: Option<Epoch>,
    sent: u64,
}

impl CellSource {
    /// `rate` cells per second and node; none if it is zero, or there are no two relays.
    pub(super) fn new(
        seed: &WorldSeed,
        nodes: usize,
        relays: Vec<usize>,
        rate: f64,
    ) -> Option<Self> {
        let nodes = f64::from(u32::try_from(nodes).ok()?);
        let gap = Duration::try_from_secs_f64(1.0 / (rate * nodes)).ok()?;
        if relays.len() < 2 || gap.is_zero() {
            return None;
        }
        Some(Self {
            gap,
            due: Instant::ZERO,
            rng: seed.small_rng("synthetic", &[]),
            cells: ChaCha20Rng::from_seed(seed.derive("synthetic cells", &[])),
            relays,
            hops: Vec::new(),
            epoch: None,
            sent: 0,
        })
    }

    /// Begins at this time.
    pub(super) fn start(&mut self, now: Instant) {
        self.due = now;
        self.draw_next();
    }

    /// When the next cell is sent.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Cells sent so far.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends the cell that is due.
    pub(super) fn emit(&mut self, world: &mut World) {
        self.draw_next();
        let epoch = Epoch::at(world.clock().unix);
        if self.epoch != Some(epoch) {
            let hop = |relay: &usize| world.hop(*relay, epoch);
            self.hops = self.relays.iter().map(hop).collect();
            self.epoch = Some(epoch);
        }
        let from = below(&mut self.rng, world.len());
        let Some(path) = self.path(from) else {
            return;
        };
        let layers: Vec<LayerSpec> = path
            .into_iter()
            .map(|hop| LayerSpec {
                hop,
                delay: HopDelay::sample(&mut self.cells, MEAN_DELAY),
            })
            .collect();
        let delta = Payload::Drop.emit(&mut self.cells);
        let arithmetic = world.arithmetic();
        let cell = seal_with(arithmetic, &mut self.cells, epoch, &layers, &delta);
        if let (Ok(cell), Some(first)) = (cell, layers.first()) {
            self.sent += 1;
            world.send_cell(from, first.hop.id.short(), cell);
        }
    }

    /// Six relays, the first of which is the node's own; none while a key is unknown.
    fn path(&mut self, from: usize) -> Option<Vec<Hop>> {
        let relays = self.relays.len();
        let mut at = from % relays;
        if self.relays.get(at) == Some(&from) {
            at = (at + 1) % relays;
        }
        let mut path = Vec::with_capacity(HOPS);
        for _ in 0..HOPS {
            path.push((*self.hops.get(at)?)?);
            at = (at + 1 + below(&mut self.rng, SUCCESSORS.min(relays - 1))) % relays;
        }
        Some(path)
    }

    fn draw_next(&mut self) {
        self.due = self.due.after(self.gap.mul_f64(self.rng.exponential()));
    }
}

/// Relays of a path.
const HOPS: usize = 6;
/// Relays to which a relay forwards.
const SUCCESSORS: usize = 16;
/// Mean delay of a cell at a relay.
const MEAN_DELAY: Duration = Duration::from_secs(1);
