//! The text against the rules of its format, the declarations against the documents.

use std::collections::BTreeMap;

use circuits::time::UnixSecs;

use super::*;
use crate::gossip::GossipStats;
use crate::node::ArchiveMetrics;

const PAGE: &str = include_str!("../../docs/monitoring.md");
const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- end of metrics -->\n";

pub(super) fn view() -> MetricsView {
    MetricsView {
        taken: UnixSecs(1_700_000_000),
        uptime_secs: 5_000,
        gossip_peers: 12,
        banned: 1,
        turned_away: 2,
        link_faults: 3,
        gossip: GossipStats {
            received: 30,
            received_bytes: 9_000,
            sizes: [1, 20, 30, 30, 30, 30, 30],
            first: 10,
            first_bytes: 5_000,
            repeated: 15,
            rejected: [1, 0, 0, 4, 0, 0, 0, 0],
            forwarded: 40,
        },
        pool_bytes: 3_500_000,
        pool_max_bytes: 64 << 20,
        min_pow: 0.2,
        relay: true,
        listed: false,
        cells_forwarded: 12_345,
        mix_waiting: 19,
        rebuilt: 250,
        circuits_relayed: 9,
        relays: 30,
        eligible_relays: 20,
        directory_settled: true,
        loops_returned: 490,
        loops_lost: 8,
        transport_ready: true,
        clock_off: false,
        archive: Some(ArchiveMetrics {
            kept: 1_000,
            bytes: 5_000_000,
        }),
    }
}

/// Reads text as strictly as the format allows: names, types before samples, one group per metric.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut seen) = (BTreeMap::new(), Vec::new());
    let mut current: Option<(String, String)> = None;
    let mut helped = None;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && !help.contains('\\'), "{line}");
            assert!(!seen.contains(&name.to_owned()), "{name} comes twice");
            helped = Some(name.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(helped.as_deref(), Some(name));
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            seen.push(name.to_owned());
            current = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let (metric, kind) = current.as_ref().unwrap();
            let suffix = name.strip_prefix(metric.as_str()).unwrap();
            let suffixes: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix), "{line}");
            assert_eq!(kind == "counter", metric.ends_with("_total"), "{line}");
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(is_name), "{line}");
            check_labels(labels);
            let number: f64 = value.parse().unwrap();
            assert!(number.is_finite() && number >= 0.0, "{line}");
            assert!(
                samples.insert(series.to_owned(), number).is_none(),
                "{line}"
            );
        }
    }
    samples
}

/// At most one label, with a word from a fixed list, a size or a version: none can name a peer.
fn check_labels(labels: &str) {
    let labels = labels.strip_suffix('}').unwrap();
    if labels.is_empty() {
        return;
    }
    let (label, word) = labels.split_once("=\"").unwrap();
    let word = word.strip_suffix('"').unwrap();
    assert!(
        ["cache", "le", "reason", "result", "state", "version"].contains(&label),
        "{labels}"
    );
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    assert!(word.len() <= 20 && word.chars().all(is_plain), "{labels}");
}

#[test]
fn text_obeys_the_rules_of_its_format() {
    let samples = parse(&render(&view()));
    assert_eq!(samples["p2p_peers"], 12.0);
    assert_eq!(
        samples["whisper_envelopes_rejected_total{reason=\"low_pow\"}"],
        4.0
    );
    assert_eq!(
        samples["whisper_envelopes_size_bytes_bucket{le=\"+Inf\"}"],
        30.0
    );
    assert_eq!(samples["whisper_envelopes_size_bytes_count"], 30.0);
    assert_eq!(samples["whisht_min_pow"], 0.2);
}

#[test]
fn figures_of_single_users_are_rounded_down() {
    let samples = parse(&render(&view()));
    assert_eq!(samples["whisht_cells_forwarded_total"], 12_000.0);
    assert_eq!(samples["whisht_envelopes_rebuilt_total"], 200.0);
    assert_eq!(samples["whisht_mix_cells"], 10.0);
    assert_eq!(samples["whisht_circuits_relayed"], 0.0);
    assert_eq!(samples["whisht_pool_bytes"], 3_145_728.0);
    assert_eq!(samples["process_start_time_seconds"] % 3_600.0, 0.0);
}

#[test]
fn node_without_archive_has_no_figures_of_one() {
    let text = render(&MetricsView {
        archive: None,
        ..view()
    });
    assert!(!text.contains("whisht_mail"), "{text}");
    parse(&text);
}

#[test]
fn names_follow_the_conventions() {
    let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for metric in METRICS {
        let (name, help) = (metric.name, metric.help);
        assert_eq!(
            metric.kind == MetricKind::Counter,
            name.ends_with("_total"),
            "{name}"
        );
        assert!(help.ends_with('.') && !help.contains('\n'), "{help}");
        assert!(
            !metric.safe.is_empty() && !metric.safe.ends_with('.'),
            "{name}"
        );
        let known = ["whisht_", "whisper_", "p2p_", "process_"];
        assert!(
            known.iter().any(|prefix| name.starts_with(prefix)),
            "{name}"
        );
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METRICS.len());
}

/// The page with the table as the declarations make it.
fn generated(page: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut table = String::from(
        "\n| metric | kind | meaning | why it reveals nothing about the user |\n|---|---|---|---|\n",
    );
    for metric in METRICS {
        let (name, kind) = (metric.name, metric.kind.word());
        let help = metric.help.trim_end_matches('.');
        table += &format!("| `{name}` | {kind} | {help} | {} |\n", metric.safe);
    }
    format!("{before}{BEGIN}{table}\n{END}{after}")
}

#[test]
fn monitoring_page_contains_the_generated_table() {
    assert!(
        PAGE == generated(PAGE),
        "docs/monitoring.md is not what the declarations say; run `cargo test --lib \
         rewrite_monitoring_page -- --ignored`"
    );
}

#[test]
#[ignore = "rewrites a page; run by hand after a metric changed, and checked by the test above"]
fn rewrite_monitoring_page() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/monitoring.md");
    std::fs::write(path, generated(PAGE)).unwrap();
}

/// The names of metrics in the queries of the dashboard, with the suffixes of histograms.
fn queried(dashboard: &serde_json::Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<&str> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    let prefixes = ["whisht_", "whisper_", "p2p_", "process_"];
    queries
        .iter()
        .flat_map(|query| query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn dashboard_queries_every_metric_and_no_other() {
    let text = include_str!("../../packaging/grafana/whisht.json");
    let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
    let queried = queried(&dashboard);
    let samples = parse(&render(&view()));
    let names: Vec<&str> = samples
        .keys()
        .map(|series| series.split('{').next().unwrap_or_default())
        .collect();
    for name in &queried {
        assert!(names.contains(&name.as_str()), "there is no metric {name}");
    }
    for metric in METRICS {
        let shown = queried.iter().any(|name| name.starts_with(metric.name));
        assert!(shown, "no panel shows {}", metric.name);
    }
}
