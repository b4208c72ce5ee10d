//! Cells of simulated senders: queued as those of messages are, with random content.

use circuits::cell::HopDelay;
use circuits::cell_builder::{Hop, LayerSpec};
use circuits::dispersal::Payload;
use circuits::geometry::DELTA_LEN;
use rand_core::Rng;

use super::cover::{CoverRoute, CoverRoutes};
use super::queue::{CellOwner, QueuedCell};
use crate::node::effects::Effects;
use crate::node::event::MessageId;

/// Cells of a message, of scattered shards and of dummies in turn; fewer if there is no route.
pub(in crate::node) fn synthetic_cells(
    fx: &mut Effects,
    routes: &dyn CoverRoutes,
    message: MessageId,
    count: u8,
) -> Vec<QueuedCell> {
    (0..count)
        .filter_map(|shard| {
            let CoverRoute { hops, .. } = routes.payload_route(fx.path_rng())?;
            let layer = |hop: Hop| LayerSpec {
                hop,
                delay: HopDelay::sample(fx.path_rng(), routes.delay()),
            };
            let layers = hops.into_iter().map(layer).collect();
            let mut body: Box<[u8; DELTA_LEN]> = Payload::Drop.emit(fx.key_rng());
            if shard % 2 == 0 {
                fx.key_rng().fill_bytes(body.as_mut_slice());
            }
            let owner = match shard % 3 {
                2 => CellOwner::Dummy,
                _ => CellOwner::Message {
                    id: message,
                    attempt: 0,
                    shard,
                },
            };
            Some(QueuedCell {
                owner,
                epoch: routes.epoch(),
                layers,
                body,
                spread: shard % 3 == 1,
            })
        })
        .collect()
}
