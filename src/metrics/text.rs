//! Writes metrics as text: version 0.0.4 of the exposition format of Prometheus.
//!
//! No sample has a time stamp: the time of the figures is that of the file or of the answer.

use core::fmt::Write;

use super::{METRICS, Metric, MetricSample, MetricValue};
use crate::node::MetricsView;

/// The text of all metrics. A metric without samples is left out.
#[must_use]
pub fn render(view: &MetricsView) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let samples = (metric.samples)(view);
        if !samples.is_empty() {
            // Writing to a string does not fail.
            let _ = write_metric(&mut text, metric, &samples);
        }
    }
    text
}

fn write_metric(to: &mut String, metric: &Metric, samples: &[MetricSample]) -> core::fmt::Result {
    let name = metric.name;
    writeln!(to, "# HELP {name} {}", metric.help)?;
    writeln!(to, "# TYPE {name} {}", metric.kind.word())?;
    for sample in samples {
        write!(to, "{name}{}", sample.suffix)?;
        if let Some((label, word)) = &sample.label {
            // Words come from fixed lists and contain neither quotes nor backslashes.
            write!(to, "{{{label}=\"{word}\"}}")?;
        }
        match sample.value {
            MetricValue::Count(count) => writeln!(to, " {count}")?,
            MetricValue::Number(number) => writeln!(to, " {number:?}")?,
        }
    }
    Ok(())
}
