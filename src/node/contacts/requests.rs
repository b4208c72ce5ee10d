//! The requests that wait for the user: how many, how large, and how many came today.
//!
//! Only the bounds are here. When they are reached, the requests with the least work go first, and when many
//! come in a day, their tickets have to become harder.

use std::collections::{BTreeMap, BTreeSet};

use circuits::time::UnixSecs;

use crate::contact::conversation::ConversationId;

/// The requests that wait for the user: how many, how large, and how many came today.
#[derive(Default)]
pub(super) struct WaitingRequests {
    requests: BTreeMap<ConversationId, (u8, usize)>,
    /// Requests in the order of eviction: the least work first.
    order: BTreeSet<(u8, ConversationId)>,
    bytes: usize,
    day: u32,
    today: u32,
}

impl WaitingRequests {
    /// Adds a request, or a message of one.
    pub(super) fn add(&mut self, id: ConversationId, bits: u8, bytes: usize) {
        self.remove(id);
        self.requests.insert(id, (bits, bytes));
        self.order.insert((bits, id));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A request was answered or erased.
    pub(super) fn remove(&mut self, id: ConversationId) {
        if let Some((bits, bytes)) = self.requests.remove(&id) {
            self.order.remove(&(bits, id));
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Counts a request of today. Returns whether requests have to become harder: at 200, and at each
    /// doubling.
    pub(super) fn count_today(&mut self, now: UnixSecs) -> bool {
        let day = now.0 / DAY_SECS;
        if self.day != day {
            (self.day, self.today) = (day, 0);
        }
        self.today = self.today.saturating_add(1);
        let ratio = self.today / MANY_REQUESTS;
        self.today.is_multiple_of(MANY_REQUESTS) && ratio.is_power_of_two()
    }

    /// Whether few requests came on the last day that any came.
    pub(super) const fn is_quiet(&self) -> bool {
        self.today < MANY_REQUESTS
    }

    /// Removes requests until the others fit.
    pub(super) fn overflow(&mut self) -> Vec<ConversationId> {
        let mut evicted = Vec::new();
        while (self.requests.len() > MAX_REQUESTS || self.bytes > MAX_REQUEST_BYTES)
            && let Some((_, id)) = self.order.first().copied()
        {
            self.remove(id);
            evicted.push(id);
        }
        evicted
    }
}

/// Maximum number of requests.
const MAX_REQUESTS: usize = 4096;
/// Maximum size of the messages of all requests, 64 MB.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Above so many requests a day, tickets become harder.
const MANY_REQUESTS: u32 = 200;
const DAY_SECS: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ConversationId {
        ConversationId([number; 32])
    }

    #[test]
    fn request_with_least_work_is_evicted_first() {
        let mut quota = WaitingRequests::default();
        quota.add(id(1), 20, MAX_REQUEST_BYTES / 2);
        quota.add(id(2), 16, MAX_REQUEST_BYTES / 2);
        assert!(quota.overflow().is_empty());
        quota.add(id(3), 18, 1);
        assert_eq!(quota.overflow(), [id(2)]);
        assert!(quota.overflow().is_empty());
    }

    #[test]
    fn tickets_become_harder_at_each_doubling_of_requests() {
        let mut quota = WaitingRequests::default();
        let now = UnixSecs(1_795_240_000);
        let harder = (1..=1700).filter(|_| quota.count_today(now));
        assert_eq!(harder.collect::<Vec<_>>(), [200, 400, 800, 1600]);
        assert!(!quota.is_quiet());
        quota.count_today(now.after(DAY_SECS));
        assert!(quota.is_quiet());
    }
}
