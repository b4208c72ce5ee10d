//! One view: its lines, and how they fit a terminal.

use std::time::Duration;

use crate::cli::output::{count, duration, grouped, one_line};
use crate::node::{DirectoryAge, LevelView, StatusView};

/// The counters from which rates are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrafficSample {
    bytes_received: u64,
    bytes_sent: u64,
    cells_received: u64,
    cells_sent: u64,
}

impl TrafficSample {
    /// The counters of a status.
    pub(super) const fn of(status: &StatusView) -> Self {
        Self {
            bytes_received: status.flow.bytes_received,
            bytes_sent: status.flow.bytes_sent,
            cells_received: status.flow.cells_received,
            cells_sent: status.flow.cells_sent,
        }
    }

    /// What was added since an earlier sample, per second. A node that was started again counts from zero.
    fn since(self, before: Self, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate =
            |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1_000) / millis;
        Self {
            bytes_received: rate(self.bytes_received, before.bytes_received),
            bytes_sent: rate(self.bytes_sent, before.bytes_sent),
            cells_received: rate(self.cells_received, before.cells_received),
            cells_sent: rate(self.cells_sent, before.cells_sent),
        }
    }
}

/// A view.
pub(super) struct Frame(Vec<FrameRow>);

/// A line: a word in front, and its text.
struct FrameRow {
    label: String,
    text: String,
    /// Whether the user should look at it.
    is_bad: bool,
}

impl Frame {
    /// The view of a status, with rates since an earlier sample.
    pub(super) fn of(status: &StatusView, before: Option<(TrafficSample, Duration)>) -> Self {
        let mut rows = vec![title(status), FrameRow::blank()];
        rows.extend(network(status));
        rows.push(FrameRow::blank());
        rows.extend(flow(status, before));
        rows.push(FrameRow::blank());
        rows.extend(status.levels.iter().map(level));
        Self(rows)
    }

    /// The lines as text.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(FrameRow::line)
    }

    /// What draws the view on a terminal of this size. The last row tells how to quit.
    pub(super) fn drawn(&self, rows: usize, columns: usize, colour: bool, local: bool) -> String {
        let mark = if local { "LOCAL " } else { "" };
        let columns = columns.saturating_sub(mark.len());
        let room = rows.saturating_sub(1).max(1);
        let mut text = String::from("\x1b[H");
        for row in self.0.iter().take(room) {
            let line: String = row.line().chars().take(columns).collect();
            let line = match (colour, row.is_bad) {
                (true, true) => format!("\x1b[33m{line}\x1b[0m"),
                _ => line,
            };
            let mark = if line.is_empty() { "" } else { mark };
            text.push_str(mark);
            text.push_str(&line);
            text.push_str("\x1b[K\r\n");
        }
        // The rest of an earlier, longer view is erased; the last row has no line break, which would scroll.
        text.push_str("\x1b[J");
        text.push_str("q quits");
        text
    }
}

impl FrameRow {
    fn new(label: &str, text: String) -> Self {
        Self {
            label: label.to_owned(),
            text,
            is_bad: false,
        }
    }

    fn bad_if(self, is_bad: bool) -> Self {
        Self { is_bad, ..self }
    }

    fn blank() -> Self {
        Self::new("", String::new())
    }

    fn line(&self) -> String {
        match (self.label.as_str(), self.text.as_str()) {
            ("", text) => text.to_owned(),
            (label, text) => format!("{label:<9} {text}"),
        }
    }
}

fn title(status: &StatusView) -> FrameRow {
    let uptime = duration(status.uptime_secs.saturating_mul(1_000));
    let role = if status.relay {
        format!("relaying, listed: {}", one_line(&status.listed))
    } else {
        "not relaying".to_owned()
    };
    let text = format!("{}, up {uptime}; {role}", one_line(&status.client));
    FrameRow::new("", text)
}

/// Peers, relays, guard and transport.
fn network(status: &StatusView) -> Vec<FrameRow> {
    let inbound = &status.inbound;
    let taken = [
        inbound.named,
        inbound.useful,
        inbound.relays,
        inbound.gossip,
        inbound.cells_only,
    ];
    let taken = taken.into_iter().fold(0, usize::saturating_add);
    let age = match status.directory {
        DirectoryAge::Settled => "settled",
        DirectoryAge::Young => "young",
    };
    let guard = match status.flow.guard_up {
        Some(true) => "connected",
        Some(false) => "not connected",
        None => "none chosen yet",
    };
    let (tor, is_shut) = match (&status.shut, status.tor) {
        (Some(reason), _) => (format!("not ready: {}", one_line(reason)), true),
        (None, true) => ("ready".to_owned(), false),
        (None, false) => ("off".to_owned(), false),
    };
    let clock = status.clock.as_ref();
    vec![
        FrameRow::new(
            "peers",
            format!(
                "{}, with onion/1: {}; inbound {} of {}; banned {}; not reached {}",
                count(status.peers),
                count(status.dark_peers),
                count(taken),
                count(inbound.places),
                count(status.refused),
                count(status.unreached_peers.len())
            ),
        )
        .bad_if(status.peers == 0),
        FrameRow::new(
            "relays",
            format!(
                "{} known, {} usable; directory {age}",
                count(status.relays),
                count(status.eligible_relays)
            ),
        ),
        FrameRow::new("guard", guard.to_owned()).bad_if(status.flow.guard_up == Some(false)),
        FrameRow::new("tor", tor).bad_if(is_shut),
        FrameRow::new(
            "clock",
            clock.map_or_else(|| "not compared yet".to_owned(), ToString::to_string),
        )
        .bad_if(clock.is_some_and(crate::node::ClockView::is_off)),
    ]
}

/// Bytes, cells, circuits, cover and pool.
fn flow(status: &StatusView, before: Option<(TrafficSample, Duration)>) -> Vec<FrameRow> {
    let rate = before.map(|(before, time)| TrafficSample::of(status).since(before, time));
    let mut rows = vec![bandwidth(status, rate), cells(status, rate)];
    rows.extend(queues(status));
    rows
}

fn bandwidth(status: &StatusView, rate: Option<TrafficSample>) -> FrameRow {
    let bytes = rate.map_or_else(
        || "-".to_owned(),
        |rate| {
            let (received, sent) = (kilobytes(rate.bytes_received), kilobytes(rate.bytes_sent));
            format!("{received} in, {sent} out")
        },
    );
    let flow = &status.flow;
    let basis = if flow.is_measured {
        "measured"
    } else {
        "without gossip"
    };
    let megabytes = flow.bytes_per_day / 1_000_000;
    FrameRow::new(
        "bandwidth",
        format!("{bytes}; {megabytes} MB a day ({basis})"),
    )
}

fn cells(status: &StatusView, rate: Option<TrafficSample>) -> FrameRow {
    let cells = rate.map_or_else(
        || "-".to_owned(),
        |rate| {
            let TrafficSample {
                cells_received,
                cells_sent,
                ..
            } = rate;
            format!("{cells_received} in, {cells_sent} out a second")
        },
    );
    let (forwarded, dropped) = (
        grouped(status.cells_forwarded),
        grouped(status.cells_dropped),
    );
    FrameRow::new(
        "cells",
        format!("{cells}; {forwarded} forwarded, {dropped} dropped"),
    )
}

/// What waits, what cover traffic shows, and what had no room.
fn queues(status: &StatusView) -> Vec<FrameRow> {
    let (circuits, emission) = (&status.circuits, &status.emission);
    let mix = format!(
        "{} cells wait; {} envelopes rebuilt",
        count(status.flow.mix_waiting),
        grouped(status.rebuilt)
    );
    let circuits = format!(
        "{} own, {} relayed; {} cells queued",
        count(circuits.own),
        count(circuits.relayed),
        count(circuits.queued_cells)
    );
    let cover = format!(
        "{}, {} cells sent; {} loops back, {} lost",
        one_line(&emission.cover),
        grouped(emission.sent),
        emission.loops_returned,
        emission.loops_lost
    );
    let pool = format!(
        "{} envelopes, {} KB; minimum proof of work {:?}",
        count(status.pool_envelopes),
        count(status.pool_bytes / 1_000),
        status.flow.min_pow
    );
    let gossip = format!(
        "{} displaced, {} packets dropped",
        grouped(status.gossip_displaced),
        grouped(status.packets_dropped)
    );
    vec![
        FrameRow::new("mix", mix),
        FrameRow::new("circuits", circuits),
        FrameRow::new("cover", cover).bad_if(emission.alarm.is_some()),
        FrameRow::new("pool", pool),
        FrameRow::new("gossip", gossip),
    ]
}

fn level(view: &LevelView) -> FrameRow {
    let text = match (&view.missing, view.senders) {
        (Some(missing), _) => format!("not available: {}", one_line(missing)),
        (None, Some(0 | 1)) => "available; the sender is not hidden".to_owned(),
        (None, Some(senders)) => format!("available; {} known senders", count(senders)),
        (None, None) => "available".to_owned(),
    };
    FrameRow::new(view.level.word(), text).bad_if(view.missing.is_some())
}

/// A rate in KB per second, with one digit after the point.
fn kilobytes(bytes: u64) -> String {
    format!("{}.{} KB/s", bytes / 1_000, bytes % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_per_second_and_never_negative() {
        let sample = |bytes, cells| TrafficSample {
            bytes_received: bytes,
            bytes_sent: bytes,
            cells_received: cells,
            cells_sent: cells,
        };
        let rate = sample(9_000, 50).since(sample(1_000, 10), Duration::from_secs(2));
        assert_eq!((rate.bytes_received, rate.cells_sent), (4_000, 20));
        let late = sample(4_000, 30).since(sample(1_000, 0), Duration::from_millis(1_500));
        assert_eq!((late.bytes_sent, late.cells_received), (2_000, 20));
        let restarted = sample(0, 0).since(sample(1_000, 10), Duration::from_secs(1));
        assert_eq!((restarted.bytes_sent, restarted.cells_received), (0, 0));
        assert_eq!(kilobytes(12_345), "12.3 KB/s");
    }

    #[test]
    fn view_is_cut_at_the_size_of_the_terminal() {
        let rows = (0..40).map(|row| FrameRow::new("row", format!("{row} {}", "x".repeat(200))));
        let frame = Frame(rows.collect());
        for (height, columns) in [(24, 80), (5, 20), (1, 20)] {
            let drawn = frame.drawn(height, columns, false, true);
            let lines: Vec<&str> = drawn.split("\r\n").collect();
            assert!(lines.len() <= height.max(2), "{height}: {}", lines.len());
            for line in &lines {
                let text = line
                    .replace("\x1b[H", "")
                    .replace("\x1b[K", "")
                    .replace("\x1b[J", "");
                assert!(
                    text.chars().count() <= columns && !text.contains('\x1b'),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn rows_that_need_attention_are_coloured_only_with_colours() {
        let frame = Frame(vec![
            FrameRow::new("guard", "not connected".to_owned()).bad_if(true),
        ]);
        assert!(frame.drawn(24, 80, true, false).contains("\x1b[33m"));
        assert!(!frame.drawn(24, 80, false, false).contains("\x1b[33m"));
    }
}
