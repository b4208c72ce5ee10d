//! What a simulation measures: delivery, latency, bytes.
//!
//! The measurements are an [`Observer`]. It counts, and keeps one record for each message that the
//! scenario sends; it keeps no event.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::time::Instant;
use serde::Serialize;

use super::observer::{Observation, Observer};
use crate::node::{Event, MessageId, Stage};

/// Counters of a world and the fate of the messages of a scenario.
#[derive(Default)]
pub struct Measurements {
    /// Whether traffic is counted.
    counting: bool,
    bytes: u64,
    packets: u64,
    datagrams: u64,
    dials: u64,
    retries: u64,
    /// Bytes that each node sent.
    sent_by: Vec<u64>,
    messages: BTreeMap<u64, MessageFate>,
    /// The messages by sender.
    by_sender: BTreeMap<(usize, MessageId), u64>,
}

/// One message of the scenario.
#[derive(Clone, Copy, Debug)]
struct MessageFate {
    sent: Instant,
    arrived: Option<Instant>,
    /// Attempts until it arrived, or until now.
    attempts: u32,
}

impl Measurements {
    /// Begins to count traffic; earlier traffic set the network up.
    pub const fn start(&mut self) {
        self.counting = true;
    }

    /// A message with this number is sent now; its node calls it `id`.
    pub fn sent(&mut self, now: Instant, message: u64, (node, id): (usize, MessageId)) {
        let fate = MessageFate {
            sent: now,
            arrived: None,
            attempts: 1,
        };
        self.messages.insert(message, fate);
        self.by_sender.insert((node, id), message);
    }

    /// The figures so far.
    #[must_use]
    pub fn traffic(&self) -> TrafficReport {
        TrafficReport {
            bytes: self.bytes,
            packets: self.packets,
            datagrams: self.datagrams,
            dials: self.dials,
            retries: self.retries,
            most_bytes_of_a_node: self.sent_by.iter().copied().max().unwrap_or(0),
        }
    }

    /// How many of the messages arrived.
    #[must_use]
    pub fn delivered(&self) -> usize {
        let fates = self.messages.values();
        fates.filter(|fate| fate.arrived.is_some()).count()
    }

    /// How many of the messages arrived by at most so many attempts.
    #[must_use]
    pub fn delivered_within(&self, attempts: u32) -> usize {
        let fates = self.messages.values();
        let in_time = |fate: &&MessageFate| fate.arrived.is_some() && fate.attempts <= attempts;
        fates.filter(in_time).count()
    }

    /// The latencies of the messages that arrived, in order of size.
    #[must_use]
    pub fn latencies(&self) -> Vec<Duration> {
        let arrived = |fate: &MessageFate| fate.arrived.map(|arrived| arrived.since(fate.sent));
        let mut latencies: Vec<Duration> = self.messages.values().filter_map(arrived).collect();
        latencies.sort();
        latencies
    }

    fn notified(&mut self, at: Instant, node: usize, event: &Event) {
        match event {
            Event::Message(view) => {
                let fate = message_number(&view.payload)
                    .and_then(|number| self.messages.get_mut(&number))
                    .filter(|fate| fate.arrived.is_none());
                if let Some(fate) = fate {
                    fate.arrived = Some(at);
                }
            }
            Event::Outgoing(id, Stage::Retrying { attempt }) => {
                self.retries += 1;
                let number = self.by_sender.get(&(node, *id));
                let fate = number.and_then(|number| self.messages.get_mut(number));
                if let Some(fate) = fate.filter(|fate| fate.arrived.is_none()) {
                    fate.attempts = *attempt;
                }
            }
            _ => {}
        }
    }
}

impl Observer for Measurements {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        match what {
            Observation::Notified(event) => self.notified(at, node, event),
            _ if !self.counting => {}
            Observation::Dialled(_) => self.dials += 1,
            Observation::Sent(_, bytes) => {
                let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.bytes = self.bytes.saturating_add(bytes);
                self.packets += 1;
                if self.sent_by.len() <= node {
                    self.sent_by.resize(node.saturating_add(1), 0);
                }
                if let Some(sent) = self.sent_by.get_mut(node) {
                    *sent = sent.saturating_add(bytes);
                }
            }
            Observation::Datagram(..) => self.datagrams += 1,
            Observation::Closed(_) | Observation::Received(..) => {}
        }
    }
}

/// The payload of a message of the scenario: its number, and zeros up to the length.
pub(super) fn payload(number: u64) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(PAYLOAD_LEN, 0);
    payload
}

/// The number in a payload that a node shows as hexadecimal.
fn message_number(payload: &str) -> Option<u64> {
    let number = payload.get(..16)?;
    (payload.len() == 2 * PAYLOAD_LEN).then(|| u64::from_str_radix(number, 16).ok())?
}

/// The smallest value that at least `percent` of the sorted values do not exceed, in milliseconds.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let value = sorted.get(rank - 1)?;
    u64::try_from(value.as_millis()).ok()
}

/// Traffic since the measurement began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct TrafficReport {
    /// Bytes on all links: RLPx frames, without TCP and IP.
    pub bytes: u64,
    /// Writes to a link.
    pub packets: u64,
    /// Datagrams of discovery.
    pub datagrams: u64,
    /// Links that were made.
    pub dials: u64,
    /// Second and later attempts of messages.
    pub retries: u64,
    /// Bytes that the busiest node sent.
    pub most_bytes_of_a_node: u64,
}

impl LatencyReport {
    /// The percentiles of sorted latencies; none if there are none.
    #[must_use]
    pub fn of(sorted: &[Duration]) -> Option<Self> {
        Some(Self {
            p50_ms: percentile(sorted, 50)?,
            p90_ms: percentile(sorted, 90)?,
            p95_ms: percentile(sorted, 95)?,
            p99_ms: percentile(sorted, 99)?,
        })
    }
}

/// Latency from the command to the recipient's event, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct LatencyReport {
    /// Median.
    pub p50_ms: u64,
    /// 90th percentile.
    pub p90_ms: u64,
    /// 95th percentile.
    pub p95_ms: u64,
    /// 99th percentile.
    pub p99_ms: u64,
}

/// Bytes of a message's text.
const PAYLOAD_LEN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let at = |percent| percentile(&values, percent);
        assert_eq!([at(50), at(99)], [Some(100), Some(198)]);
        assert_eq!(percentile(&values[..1], 99), Some(1));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn message_number_is_read_back_from_its_payload() {
        let shown = hex::encode(payload(0x1234));
        assert_eq!(message_number(&shown), Some(0x1234));
        assert_eq!(message_number("00"), None);
    }
}
