//! The record of a leak test: leaks by kind, destination and thread, and counts of all judged calls.
//!
//! The record is bounded for any traced program: repetitions are counted, and at most a thousand
//! distinct entries are kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use whisht_watch::{CallerName, SystemCall};

use super::policy::LeakKind;

/// What a traced program did.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceRecord {
    /// Each leak, and how often it occurred.
    pub(super) leaks: BTreeMap<LeakEntry, Occurrences>,
    /// Leaks beyond [`MAX_ROWS`].
    pub(super) further: u64,
    /// Allowed destinations, and how often each was used.
    pub(super) spoke: BTreeMap<SocketAddr, u64>,
    /// The calls that the policy decided about.
    pub(super) counts: CallCounts,
}

/// A leak and the thread that made it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct LeakEntry {
    pub(super) kind: LeakKind,
    pub(super) to: String,
    pub(super) who: CallerName,
}

/// When a leak first occurred, and how often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Occurrences {
    /// Time since the start of the trace.
    pub(super) first: Duration,
    pub(super) count: u64,
    /// Whether it was refused every time.
    pub(super) refused: bool,
}

/// How many calls of each kind the policy decided about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct CallCounts {
    pub(super) binds: u64,
    pub(super) connects: u64,
    pub(super) files: u64,
    pub(super) listens: u64,
    pub(super) sends: u64,
    pub(super) sockets: u64,
}

impl CallCounts {
    /// Counts a call.
    pub(super) const fn count(&mut self, call: &SystemCall) {
        let counter = match call {
            SystemCall::Bind(_) => &mut self.binds,
            SystemCall::Connect(_) => &mut self.connects,
            SystemCall::Listen(_) => &mut self.listens,
            SystemCall::Open(_) => &mut self.files,
            SystemCall::Send(_) => &mut self.sends,
            SystemCall::Socket { .. } => &mut self.sockets,
            SystemCall::Unseen(_) => return,
        };
        *counter += 1;
    }
}

impl TraceRecord {
    /// Records a leak; `true` if it is the first of its kind.
    pub(super) fn leak(&mut self, entry: LeakEntry, at: Duration, refused: bool) -> bool {
        if let Some(times) = self.leaks.get_mut(&entry) {
            times.count += 1;
            times.refused &= refused;
            return false;
        }
        if self.leaks.len() >= MAX_ROWS {
            self.further += 1;
            return false;
        }
        let times = Occurrences {
            first: at,
            count: 1,
            refused,
        };
        self.leaks.insert(entry, times);
        true
    }

    /// Records an allowed destination.
    pub(super) fn spoke(&mut self, to: SocketAddr) {
        if self.spoke.len() < MAX_ROWS || self.spoke.contains_key(&to) {
            *self.spoke.entry(to).or_default() += 1;
        }
    }

    /// Number of leaks, repetitions included.
    pub(super) fn total(&self) -> u64 {
        let named: u64 = self.leaks.values().map(|times| times.count).sum();
        named.saturating_add(self.further)
    }
}

/// Distinct leaks, and distinct destinations, that are kept.
const MAX_ROWS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn leak(to: impl ToString) -> LeakEntry {
        LeakEntry {
            kind: LeakKind::Connect,
            to: to.to_string(),
            who: CallerName::default(),
        }
    }

    #[test]
    fn repeated_leak_is_counted() {
        let mut record = TraceRecord::default();
        let second = Duration::from_secs(1);
        assert!(record.leak(leak("a"), second, true));
        assert!(!record.leak(leak("a"), second * 2, false));
        let times = record.leaks.values().next().unwrap();
        assert_eq!(
            (times.first, times.count, times.refused),
            (second, 2, false)
        );
        assert_eq!(record.total(), 2);
    }

    #[test]
    fn record_is_bounded_for_any_number_of_destinations() {
        let mut record = TraceRecord::default();
        for to in 0..MAX_ROWS + 5 {
            record.leak(leak(to), Duration::ZERO, true);
            record.spoke(([127, 0, 0, 1], u16::try_from(to).unwrap()).into());
        }
        assert_eq!(record.leaks.len(), MAX_ROWS);
        assert_eq!(record.spoke.len(), MAX_ROWS);
        assert_eq!(record.further, 5);
        assert_eq!(record.total(), u64::try_from(MAX_ROWS).unwrap() + 5);
    }
}
