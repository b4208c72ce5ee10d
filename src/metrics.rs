//! Metrics for the operator of a node, as text in the format of Prometheus.
//!
//! Each metric is declared once: its name, kind and help, why it reveals nothing about the user, and where
//! its value comes from. The table in docs/monitoring.md is made from the declarations.
//!
//! The text has no label for a peer, a topic, an envelope, a circuit or a level. Traffic of this node's
//! own is in none of the figures, so the text of a node whose user sends all day equals that of a node whose
//! user does nothing. Figures that follow from the traffic of single other users are rounded down. This
//! module reads no clock and asks no node; the shell does (`shell::metrics`).

mod declared;
mod text;

pub use declared::METRICS;
pub use text::render;

use crate::node::MetricsView;

/// A declared metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name. go-ethereum's or status-im's where they have the same figure.
    pub name: &'static str,
    /// How its values behave.
    pub kind: MetricKind,
    /// What it counts.
    pub help: &'static str,
    /// Why it reveals nothing about the user of this node (docs/threat-model.md).
    pub safe: &'static str,
    /// Its samples.
    samples: fn(&MetricsView) -> Vec<MetricSample>,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MetricKind {
    /// Grows from zero at the start of the node.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative counts per upper bound, with sum and count.
    Histogram,
}

impl MetricKind {
    /// The word in a `# TYPE` line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One line of a metric.
#[derive(Clone, Debug, PartialEq)]
struct MetricSample {
    /// What follows the name: `_bucket`, `_sum` or `_count` of a histogram.
    suffix: &'static str,
    /// A label and its value, from a fixed list.
    label: Option<(&'static str, String)>,
    value: MetricValue,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
enum MetricValue {
    Count(u64),
    Number(f64),
}

#[cfg(test)]
mod tests;
