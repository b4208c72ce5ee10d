//! What the emission stream reads of other components: the mixing guard, its link, and the routes of an epoch.

use circuits::time::Now;

use super::Node;
use super::effects::Effects;
use super::emission::{CoverRoutes, Emission, MixRoutes, SlotContext};

/// The emission stream with what it reads, for cells by these routes.
pub(super) fn emitting<'a>(
    node: &'a mut Node,
    now: Now,
    routes: Option<&'a MixRoutes>,
) -> (&'a mut Emission, &'a mut Effects, SlotContext<'a>) {
    let guard = node.directory.mixing_guard(now);
    let context = SlotContext {
        guard,
        link: guard.and_then(|guard| node.peers.guard_link(guard)),
        own: routes.and_then(|routes| node.relay.hop(routes.epoch())),
        routes: routes.map(|routes| -> &dyn CoverRoutes { routes }),
    };
    (&mut node.emission, &mut node.fx, context)
}

/// The routes of our cells at the levels with cover traffic.
pub(super) fn mix_routes(node: &Node, now: Now) -> Option<MixRoutes> {
    let (_, paths) = node.directory.mix_paths(now).ok()?;
    let delay = node.directory.mix_network(now).class().mean();
    Some(MixRoutes::new(paths, delay))
}
