//! The routes of cover, from the directory.

use core::time::Duration;

use circuits::cell_builder::Hop;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::Epoch;
use circuits::path::{LoopEnd, MixPath, MixPaths};
use circuits::rendezvous::TicketBits;

use super::cover::{CoverRoute, CoverRoutes};

/// The mixing paths of an epoch, with its delay.
pub(in crate::node) struct MixRoutes {
    paths: MixPaths,
    delay: Duration,
}

impl MixRoutes {
    /// Routes with this mean delay at each relay.
    pub(in crate::node) const fn new(paths: MixPaths, delay: Duration) -> Self {
        Self { paths, delay }
    }
}

impl CoverRoutes for MixRoutes {
    fn epoch(&self) -> Epoch {
        self.paths.epoch()
    }

    fn delay(&self) -> Duration {
        self.delay
    }

    fn payload_route(&self, rng: &mut ErasingRng) -> Option<CoverRoute> {
        let MixPath {
            relays,
            rendezvous,
            ticket_bits,
        } = self.paths.draw(rng).ok()?;
        Some(CoverRoute {
            hops: relays.into_iter().chain([rendezvous]).collect(),
            ticket_bits: TicketBits::new(ticket_bits)?,
        })
    }

    fn loop_relays(&self, rng: &mut ErasingRng, is_relay: bool) -> Option<Vec<Hop>> {
        let end = if is_relay {
            LoopEnd::Relay
        } else {
            LoopEnd::ThroughGuard
        };
        Some(self.paths.draw_loop(end, rng).ok()?.to_vec())
    }
}
