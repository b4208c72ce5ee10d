//! Figures for the metrics: what this node does for others, and its condition.
//!
//! Nothing here depends on whether the user of this node sends, receives or fetches messages. A figure
//! that mixes own use with the use of others does not belong here; `StatusView` has those.

use circuits::time::UnixSecs;

use crate::gossip::GossipStats;

/// The figures of one moment. Counters are since the start.
#[derive(Clone, Debug)]
pub struct MetricsView {
    /// When the figures were taken.
    pub taken: UnixSecs,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Number of connected peers that carry gossip.
    pub gossip_peers: usize,
    /// Number of banned keys and addresses.
    pub banned: usize,
    /// Number of newcomers refused for want of places.
    pub turned_away: u64,
    /// Number of links that ended with a fault of the peer.
    pub link_faults: u64,
    /// Counts of the envelopes that peers brought.
    pub gossip: GossipStats,
    /// Size of the mempool in bytes.
    pub pool_bytes: usize,
    /// Maximum size of the mempool in bytes.
    pub pool_max_bytes: usize,
    /// The minimum proof of work that is announced to peers.
    pub min_pow: f64,
    /// Whether it relays cells of other nodes.
    pub relay: bool,
    /// Whether it is listed in the directory for this epoch.
    pub listed: bool,
    /// Number of cells of other nodes that were forwarded.
    pub cells_forwarded: u64,
    /// Number of cells of other nodes that wait in the mix.
    pub mix_waiting: usize,
    /// Number of envelopes of other nodes rebuilt here as a rendezvous.
    pub rebuilt: u64,
    /// Number of circuits of other nodes through this one.
    pub circuits_relayed: usize,
    /// Number of known relays.
    pub relays: usize,
    /// Number of relays that paths can use now.
    pub eligible_relays: usize,
    /// Whether the directory is old enough to judge relays by.
    pub directory_settled: bool,
    /// Number of loops of the cover traffic that came back.
    pub loops_returned: u32,
    /// Number of loops of the cover traffic that did not come back in time.
    pub loops_lost: u32,
    /// Whether links can be opened.
    pub transport_ready: bool,
    /// Whether this machine's clock differs from that of its peers by a minute or more.
    pub clock_off: bool,
    /// The archive of a mail server; `None` if the node is not one.
    pub archive: Option<ArchiveMetrics>,
}

/// The archive of a mail server.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveMetrics {
    /// Number of envelopes that were made durable.
    pub kept: u64,
    /// Size of the archive in bytes.
    pub bytes: u64,
}
