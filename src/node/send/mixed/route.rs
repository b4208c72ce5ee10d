//! Routes of cells among cover: a path of its own for each, with its own delays and hold.

use core::time::Duration;

use circuits::cell::HopDelay;
use circuits::cell_builder::LayerSpec;
use circuits::dispersal::{Class, Cookie, Payload, Shard, Ticket, disperse};
use circuits::geometry::SHARD_LEN;
use circuits::ids::Epoch;
use circuits::level::LevelRules;
use circuits::path::MixPath;
use circuits::time::Now;
use rand_core::Rng;

use crate::envelope::Envelope;
use crate::node::effects::Effects;
use crate::node::emission::{CellOwner, QueuedCell};
use crate::node::event::{RelayLabel, Trace};
use crate::node::send::SendContext;

/// Draws paths to one rendezvous, with the epoch of their onion keys.
///
/// # Errors
///
/// The cause, in words.
pub(in crate::node::send) fn draw_paths(
    fx: &mut Effects,
    now: Now,
    context: SendContext<'_>,
    count: usize,
) -> Result<(Epoch, Vec<MixPath>), String> {
    let paths = context.directory.mix_paths(now);
    let (epoch, paths) = paths.map_err(|error| error.to_string())?;
    let drawn = paths.draw_converging(count, fx.path_rng());
    let drawn = drawn.map_err(|refusal| refusal.to_string())?;
    Ok((epoch, drawn))
}

/// Reports the paths of a message to a demonstration, the rendezvous last.
pub(super) fn trace_paths(fx: &mut Effects, paths: &[MixPath]) {
    fx.trace(|| {
        let label = |path: &MixPath| {
            let hops = path.relays.iter().chain([&path.rendezvous]);
            hops.map(|hop| RelayLabel(hop.id.short())).collect()
        };
        Trace::Lanes {
            lanes: paths.iter().map(label).collect(),
        }
    });
}

/// What a cell is, beside its path.
#[derive(Clone, Copy)]
pub(in crate::node::send) struct CellShape {
    pub(in crate::node::send) owner: CellOwner,
    pub(in crate::node::send) epoch: Epoch,
    /// Mean delay at each relay.
    pub(in crate::node::send) delay: Duration,
    /// Delay at the rendezvous.
    pub(in crate::node::send) hold: HopDelay,
    /// Whether it carries a scattered shard.
    pub(in crate::node::send) spread: bool,
}

impl CellShape {
    /// The cell of an envelope that travels whole, with the delays of a level in this epoch.
    pub(in crate::node::send) fn whole(
        fx: &mut Effects,
        now: Now,
        context: SendContext<'_>,
        rules: &LevelRules,
        owner: CellOwner,
        epoch: Epoch,
    ) -> Self {
        let class = context.directory.mix_network(now).class();
        let hold = rules.sample_hold(fx.path_rng());
        Self {
            owner,
            epoch,
            delay: rules.delay.mean(class),
            // A drawn hold is at most 600 s, which a delay can express.
            hold: HopDelay::from_duration(hold).unwrap_or(HopDelay::ZERO),
            spread: false,
        }
    }
}

/// A cell with an envelope in it, for the queue; `None` if the envelope does not fit.
pub(in crate::node::send) fn queued_cell(
    fx: &mut Effects,
    shape: CellShape,
    path: &MixPath,
    envelope: &Envelope,
) -> Option<QueuedCell> {
    let class = Class::whole();
    let shards = disperse(fx.key_rng(), class, envelope.as_rlp()).ok()?;
    let bytes = shards.into_iter().next()?;
    // Neither is checked for a package that travels whole; random bytes look like any others.
    let (mut cookie, mut ticket) = (Cookie([0; 16]), Ticket([0; 8]));
    fx.key_rng().fill_bytes(&mut cookie.0);
    fx.key_rng().fill_bytes(&mut ticket.0);
    let shard = Shard {
        cookie,
        class,
        index: 0,
        ticket,
        bytes,
    };
    Some(cell_of(fx, shape, path, shard))
}

/// The cells of an envelope that converges, one for each path; `None` if the envelope does not fit.
pub(super) fn converging_cells(
    fx: &mut Effects,
    mut shape: impl FnMut(u8) -> CellShape,
    plan: &super::ConvergePlan,
    envelope: &Envelope,
    ticket: Ticket,
) -> Option<Vec<QueuedCell>> {
    let shards: Vec<Box<[u8; SHARD_LEN]>> =
        disperse(fx.key_rng(), plan.class, envelope.as_rlp()).ok()?;
    let mut cells = Vec::with_capacity(shards.len());
    for ((index, bytes), path) in (0..).zip(shards).zip(&plan.paths) {
        let shard = Shard {
            cookie: plan.cookie,
            class: plan.class,
            index,
            ticket,
            bytes,
        };
        cells.push(cell_of(fx, shape(index), path, shard));
    }
    Some(cells)
}

fn cell_of(fx: &mut Effects, shape: CellShape, path: &MixPath, shard: Shard) -> QueuedCell {
    let CellShape {
        owner,
        epoch,
        delay,
        hold,
        spread,
    } = shape;
    let mut layers = Vec::with_capacity(path.relays.len().saturating_add(1));
    for hop in path.relays {
        let delay = HopDelay::sample(fx.path_rng(), delay);
        layers.push(LayerSpec { hop, delay });
    }
    layers.push(LayerSpec {
        hop: path.rendezvous,
        delay: hold,
    });
    QueuedCell {
        owner,
        epoch,
        layers,
        body: Payload::Shard(shard).emit(fx.key_rng()),
        spread,
    }
}
