//! Takes the figures of the metrics, and of the traffic, from the components.
//!
//! The work is a few additions for each link, and does not grow with the messages of the user or with the
//! mempool. The shell asks once per interval, not once per reader.

use circuits::ids::Profile;
use circuits::time::Now;

use super::Node;
use super::effects::Counter;
use super::input::Connectivity;
use super::peers::PeerKnowledge;
use super::views::{
    ArchiveMetrics, ClockView, FlowView, LISTED, MetricsView, bytes_per_day, settings_bytes_per_day,
};

/// The figures of a node now.
pub(super) fn view(node: &Node, now: Now) -> MetricsView {
    let gossip = node.gossip.machine();
    let is_relay = |peer| node.directory.contains(peer);
    let knowledge = PeerKnowledge::new(gossip, &is_relay);
    let inbound = node.peers.inbound_view(now.mono, knowledge);
    let snapshot = node.directory.snapshot(now);
    let listing = node.directory.publisher().listing_status(
        now,
        node.stem.can_stem(),
        node.clock.is_wrong(now),
    );
    let (pool, emission) = (node.gossip.pool(), node.emission.view());
    let archive = node.mail.server_view();
    MetricsView {
        taken: now.unix,
        uptime_secs: now.mono.since(node.started).as_secs(),
        gossip_peers: gossip.peers().count(),
        banned: node.peers.banned(now.mono),
        turned_away: inbound.turned_away,
        link_faults: node.fx.counted(Counter::LinkFaults),
        gossip: gossip.stats(),
        pool_bytes: pool.bytes(),
        pool_max_bytes: node.config.pool_bytes,
        min_pow: gossip.min_pow().value(),
        relay: node.config.relay,
        listed: listing == LISTED,
        cells_forwarded: node.fx.counted(Counter::CellsForwarded),
        mix_waiting: node.relay.waiting_cells(),
        rebuilt: node.fx.counted(Counter::Rebuilt),
        circuits_relayed: node.circuits.view(&node.fx).relayed,
        relays: node.directory.len(),
        eligible_relays: snapshot.relays().len(),
        directory_settled: node.config.profile != Profile::Main || !snapshot.is_young(),
        loops_returned: emission.loops_returned,
        loops_lost: emission.loops_lost,
        transport_ready: !matches!(node.send.connectivity(), Connectivity::Down(_)),
        clock_off: node
            .clock
            .view(now)
            .is_some_and(|clock: ClockView| clock.is_off()),
        archive: archive.map(|archive| ArchiveMetrics {
            kept: archive.kept,
            bytes: archive.bytes,
        }),
    }
}

/// The traffic of a node until now.
pub(super) fn flow(node: &Node, now: Now) -> FlowView {
    let traffic = node.peers.traffic().view();
    let settings = settings_bytes_per_day(node.config.cover, node.config.relay);
    let bytes = traffic.bytes_received.saturating_add(traffic.bytes_sent);
    let uptime = now.mono.since(node.started).as_secs();
    let (bytes_per_day, is_measured) = bytes_per_day(settings, bytes, uptime);
    let guard = node.directory.mixing_guard(now);
    let limits = &node.config.bandwidth;
    let max_per_day = limits
        .received_per_day
        .zip(limits.sent_per_day)
        .map(|(received, sent)| received.saturating_add(sent));
    FlowView {
        mix_waiting: node.relay.waiting_cells(),
        guard_up: guard.map(|guard| node.peers.guard_link(guard).is_some()),
        min_pow: node.gossip.machine().min_pow().value(),
        bytes_per_day: bytes_per_day.min(max_per_day.unwrap_or(u64::MAX)),
        max_per_second: limits.per_second,
        max_per_day,
        is_measured,
        ..traffic
    }
}
