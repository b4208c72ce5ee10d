//! The metrics, each declared once.

use core::fmt;

use super::{Metric, MetricKind, MetricSample, MetricValue};
use crate::gossip::{REJECT_REASONS, SIZE_BOUNDS};
use crate::node::MetricsView;

/// All metrics, in the order of the text.
pub const METRICS: &[Metric] = &[
    // The condition of the node.
    Metric {
        name: "whisht_build_info",
        kind: MetricKind::Gauge,
        help: "Version of this node; the value is 1.",
        safe: "every peer learns the version from the hello",
        samples: |_| {
            vec![labelled(
                "version",
                env!("CARGO_PKG_VERSION"),
                MetricValue::Count(1),
            )]
        },
    },
    Metric {
        name: "process_start_time_seconds",
        kind: MetricKind::Gauge,
        help: "Start of this node in seconds since 1970, rounded down to the hour.",
        safe: "peers see when the node connects; the hour does not tell when its user came",
        samples: |view| {
            let started = u64::from(view.taken.0).saturating_sub(view.uptime_secs);
            one(rounded(started, 3_600))
        },
    },
    Metric {
        name: "whisht_transport_ready",
        kind: MetricKind::Gauge,
        help: "1 if links can be opened, 0 while Tor is not ready.",
        safe: "a property of the machine and of Tor",
        samples: |view| one(view.transport_ready),
    },
    Metric {
        name: "whisht_clock_off",
        kind: MetricKind::Gauge,
        help: "1 if this machine's clock differs from that of its peers by a minute or more.",
        safe: "a property of the machine; the difference itself, which could identify it, is left out",
        samples: |view| one(view.clock_off),
    },
    // Peers.
    Metric {
        name: "p2p_peers",
        kind: MetricKind::Gauge,
        help: "Number of connected peers that carry gossip.",
        safe: "gossip links do not depend on use; links that this node dials for cells are not counted",
        samples: |view| one(view.gossip_peers),
    },
    Metric {
        name: "whisht_banned_peers",
        kind: MetricKind::Gauge,
        help: "Number of keys and addresses that are banned for a time.",
        safe: "peers cause bans by breaking the protocol",
        samples: |view| one(view.banned),
    },
    Metric {
        name: "whisht_inbound_refused_total",
        kind: MetricKind::Counter,
        help: "Number of inbound links refused for want of places.",
        safe: "other nodes dial, and the places do not depend on use",
        samples: |view| one(view.turned_away),
    },
    Metric {
        name: "whisht_link_faults_total",
        kind: MetricKind::Counter,
        help: "Number of links that ended because the peer broke a rule.",
        safe: "peers cause faults",
        samples: |view| one(view.link_faults),
    },
    // Gossip.
    Metric {
        name: "whisper_envelopes_received_total",
        kind: MetricKind::Counter,
        help: "Number of envelopes received from peers, repeated ones included.",
        safe: "every node receives every envelope; counted before any key is tried",
        samples: |view| one(view.gossip.received),
    },
    Metric {
        name: "whisper_envelopes_validated_total",
        kind: MetricKind::Counter,
        help: "Number of envelopes received from peers and accepted.",
        safe: "as whisper_envelopes_received_total",
        samples: |view| one(view.gossip.first.saturating_add(view.gossip.repeated)),
    },
    Metric {
        name: "whisper_envelopes_rejected_total",
        kind: MetricKind::Counter,
        help: "Number of envelopes received from peers and rejected, by reason.",
        safe: "peers cause rejections; the reasons are a fixed list",
        samples: |view| {
            let counts = REJECT_REASONS.iter().zip(view.gossip.rejected);
            let sample = |(reason, count): (&&str, u64)| {
                labelled("reason", reason, MetricValue::Count(count))
            };
            counts.map(sample).collect()
        },
    },
    Metric {
        name: "whisper_envelopes_cached_total",
        kind: MetricKind::Counter,
        help: "Number of accepted envelopes that the pool had (hit) or lacked (miss).",
        safe: "own envelopes are counted when they come back from peers, as those of others are; one of \
               level open, which hides nothing, is missing among the misses",
        samples: |view| {
            vec![
                labelled("cache", "hit", MetricValue::Count(view.gossip.repeated)),
                labelled("cache", "miss", MetricValue::Count(view.gossip.first)),
            ]
        },
    },
    Metric {
        name: "whisper_envelopes_size_bytes",
        kind: MetricKind::Histogram,
        help: "Sizes of the envelopes received from peers.",
        safe: "sizes are public, and every node receives every envelope",
        samples: sizes,
    },
    Metric {
        name: "whisht_envelopes_forwarded_total",
        kind: MetricKind::Counter,
        help: "Number of envelopes sent to peers, of those that other peers brought.",
        safe: "envelopes that enter the network at this node are not counted",
        samples: |view| one(view.gossip.forwarded),
    },
    Metric {
        name: "whisht_pool_bytes",
        kind: MetricKind::Gauge,
        help: "Size of the envelope pool in bytes, rounded down to 1 MiB.",
        safe: "the pool is public; the rounding hides the few seconds by which an own envelope is in it \
               earlier",
        samples: |view| one(rounded(count(view.pool_bytes), 1 << 20)),
    },
    Metric {
        name: "whisht_pool_max_bytes",
        kind: MetricKind::Gauge,
        help: "Maximum size of the envelope pool in bytes.",
        safe: "a setting",
        samples: |view| one(view.pool_max_bytes),
    },
    Metric {
        name: "whisht_min_pow",
        kind: MetricKind::Gauge,
        help: "Minimum proof of work that is announced to peers.",
        safe: "every peer learns it",
        samples: |view| vec![plain(MetricValue::Number(view.min_pow))],
    },
    // The relay role.
    Metric {
        name: "whisht_relay",
        kind: MetricKind::Gauge,
        help: "1 if this node relays cells of other nodes.",
        safe: "the descriptor of a relay is public",
        samples: |view| one(view.relay),
    },
    Metric {
        name: "whisht_relay_listed",
        kind: MetricKind::Gauge,
        help: "1 if this relay is listed in the directory for this epoch.",
        safe: "the directory is public",
        samples: |view| one(view.listed),
    },
    Metric {
        name: "whisht_cells_forwarded_total",
        kind: MetricKind::Counter,
        help: "Number of cells of other nodes that this relay forwarded, rounded down to 1000.",
        safe: "own cells do not pass the mix of this node; the rounding hides single messages of others",
        samples: |view| one(rounded(view.cells_forwarded, 1_000)),
    },
    Metric {
        name: "whisht_mix_cells",
        kind: MetricKind::Gauge,
        help: "Number of cells of other nodes that wait in the mix, rounded down to 10.",
        safe: "own cells do not pass the mix of this node; the descriptor states the mean",
        samples: |view| one(rounded(count(view.mix_waiting), 10)),
    },
    Metric {
        name: "whisht_envelopes_rebuilt_total",
        kind: MetricKind::Counter,
        help: "Number of envelopes of other nodes rebuilt here as a rendezvous, rounded down to 100.",
        safe: "the sender is another node; the rounding hides single messages of others",
        samples: |view| one(rounded(view.rebuilt, 100)),
    },
    Metric {
        name: "whisht_circuits_relayed",
        kind: MetricKind::Gauge,
        help: "Number of circuits of other nodes through this relay, rounded down to 10.",
        safe: "own circuits are not counted; the rounding hides single circuits of others",
        samples: |view| one(rounded(count(view.circuits_relayed), 10)),
    },
    // The network.
    Metric {
        name: "whisht_directory_relays",
        kind: MetricKind::Gauge,
        help: "Number of relays in the directory, and of those that paths can use.",
        safe: "the directory is public, and the same everywhere",
        samples: |view| {
            vec![
                labelled("state", "known", MetricValue::Count(count(view.relays))),
                labelled(
                    "state",
                    "usable",
                    MetricValue::Count(count(view.eligible_relays)),
                ),
            ]
        },
    },
    Metric {
        name: "whisht_directory_settled",
        kind: MetricKind::Gauge,
        help: "1 if the directory is old enough to judge relays by.",
        safe: "follows from the time since the first start",
        samples: |view| one(view.directory_settled),
    },
    Metric {
        name: "whisht_loops_total",
        kind: MetricKind::Counter,
        help: "Number of loops of the cover traffic that returned, or were lost.",
        safe: "loops leave from start to exit at random times, whether the user sends or not",
        samples: |view| {
            vec![
                labelled("result", "lost", MetricValue::Count(view.loops_lost.into())),
                labelled(
                    "result",
                    "returned",
                    MetricValue::Count(view.loops_returned.into()),
                ),
            ]
        },
    },
    // The mail server.
    Metric {
        name: "whisht_mail_archive_envelopes_total",
        kind: MetricKind::Counter,
        help: "Number of envelopes that the mail server made durable.",
        safe: "every public envelope is archived",
        samples: |view| optional(view.archive.map(|archive| archive.kept)),
    },
    Metric {
        name: "whisht_mail_archive_bytes",
        kind: MetricKind::Gauge,
        help: "Size of the archive of the mail server in bytes.",
        safe: "every public envelope is archived; requests of clients are not counted",
        samples: |view| optional(view.archive.map(|archive| archive.bytes)),
    },
];

/// The histogram of the sizes.
fn sizes(view: &MetricsView) -> Vec<MetricSample> {
    let gossip = &view.gossip;
    let bucket = |bound: &dyn fmt::Display, count| MetricSample {
        suffix: "_bucket",
        ..labelled("le", bound, MetricValue::Count(count))
    };
    let whole = |suffix, count| MetricSample {
        suffix,
        ..plain(MetricValue::Count(count))
    };
    let bounds = SIZE_BOUNDS.iter().zip(gossip.sizes);
    let mut samples: Vec<MetricSample> =
        bounds.map(|(bound, count)| bucket(bound, count)).collect();
    samples.push(bucket(&"+Inf", gossip.received));
    samples.push(whole("_sum", gossip.received_bytes));
    samples.push(whole("_count", gossip.received));
    samples
}

const fn plain(value: MetricValue) -> MetricSample {
    MetricSample {
        suffix: "",
        label: None,
        value,
    }
}

fn labelled(label: &'static str, word: impl fmt::Display, value: MetricValue) -> MetricSample {
    MetricSample {
        label: Some((label, word.to_string())),
        ..plain(value)
    }
}

fn one(value: impl Into<WholeNumber>) -> Vec<MetricSample> {
    let WholeNumber(value) = value.into();
    vec![plain(MetricValue::Count(value))]
}

fn optional(value: Option<u64>) -> Vec<MetricSample> {
    value.map_or_else(Vec::new, one)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Rounds down to a multiple of `step`.
const fn rounded(value: u64, step: u64) -> u64 {
    match value.checked_rem(step) {
        Some(rest) => value.saturating_sub(rest),
        None => value,
    }
}

/// A whole number of any type.
struct WholeNumber(u64);

impl From<bool> for WholeNumber {
    fn from(holds: bool) -> Self {
        Self(holds.into())
    }
}

impl From<u64> for WholeNumber {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<usize> for WholeNumber {
    fn from(number: usize) -> Self {
        Self(count(number))
    }
}
