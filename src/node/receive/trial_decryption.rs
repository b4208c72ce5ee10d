//! Trial decryption: every key is tried on every envelope, a bounded number of envelopes at a time.
//!
//! It runs on a timer of its own, after the envelope was scheduled for all peers, so that neither
//! its duration nor its result influences forwarding.

use std::collections::VecDeque;

use circuits::time::Instant;

use super::Receiver;
use crate::envelope::Envelope;
use crate::node::effects::Effects;
use crate::node::event::Event;
use crate::node::timers::{TRY_DECRYPT_INTERVAL, TimerId};
use crate::subscriptions::{DeliveryPath, FilterId};

/// Envelopes that no key has been tried on yet; bounded.
#[derive(Default)]
pub(super) struct TrialQueue {
    waiting: VecDeque<QueuedEnvelope>,
    /// Bytes of direct envelopes; the mempool holds the others anyway.
    direct_bytes: usize,
}

/// An envelope in the queue.
pub(super) struct QueuedEnvelope {
    envelope: Envelope,
    path: DeliveryPath,
    /// The only filter to try, if the envelope was tried with the others before.
    only: Option<FilterId>,
}

impl QueuedEnvelope {
    /// An envelope to try with every filter.
    pub(super) const fn new(envelope: Envelope, path: DeliveryPath) -> Self {
        Self {
            envelope,
            path,
            only: None,
        }
    }

    /// The same envelope, to try with one filter.
    pub(super) const fn for_filter(mut self, filter: FilterId) -> Self {
        self.only = Some(filter);
        self
    }

    fn direct_bytes(&self) -> usize {
        if self.path == DeliveryPath::Direct {
            self.envelope.size()
        } else {
            0
        }
    }
}

impl TrialQueue {
    /// Queues an envelope; `false` if there is no room.
    pub(super) fn push(&mut self, queued: QueuedEnvelope) -> bool {
        let direct_bytes = self.direct_bytes.saturating_add(queued.direct_bytes());
        if self.waiting.len() >= MAX_QUEUED_ENVELOPES || direct_bytes > MAX_DIRECT_BYTES {
            return false;
        }
        self.direct_bytes = direct_bytes;
        self.waiting.push_back(queued);
        true
    }

    fn pop(&mut self) -> Option<QueuedEnvelope> {
        let queued = self.waiting.pop_front()?;
        self.direct_bytes = self.direct_bytes.saturating_sub(queued.direct_bytes());
        Some(queued)
    }

    /// Whether a direct envelope waits.
    pub(super) const fn has_direct(&self) -> bool {
        self.direct_bytes > 0
    }

    /// Number of waiting envelopes.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Makes trial decryption run within one interval.
    pub(super) fn schedule(&self, fx: &mut Effects, now: Instant) {
        fx.expedite(TimerId::TryDecrypt, now.after(TRY_DECRYPT_INTERVAL));
    }
}

impl Receiver {
    /// Tries our keys on queued envelopes. Returns the number of messages for identities that came
    /// in direct envelopes.
    pub(in crate::node) fn try_decrypt(&mut self, fx: &mut Effects) -> u32 {
        let mut direct_messages = 0_u32;
        for _ in 0..MAX_TRIED_PER_ROUND {
            let Some(queued) = self.queue.pop() else {
                fx.arm(TimerId::TryDecrypt, None);
                break;
            };
            let events = self.try_one(&queued);
            for event in events {
                let is_direct = queued.path == DeliveryPath::Direct;
                if is_direct && matches!(event, Event::Message(_)) {
                    direct_messages = direct_messages.saturating_add(1);
                }
                fx.notify(event);
            }
        }
        direct_messages
    }

    fn try_one(&mut self, queued: &QueuedEnvelope) -> Vec<Event> {
        let QueuedEnvelope {
            envelope,
            path,
            only,
        } = queued;
        let matches = match only {
            Some(filter) => self.filters.offer_again(envelope, *path, *filter),
            None => self.filters.offer(envelope, *path),
        };
        let mut events = Vec::with_capacity(matches.len());
        for (filter, received) in matches {
            if let Some(name) = self.identities.name_of(filter) {
                // The inbox keeps it; the filter of an identity is never polled.
                let _kept = self.filters.drain(filter);
                let message = self.inbox.store(name, &received);
                events.extend(message.map(Event::Message));
            } else if self.push_filters.contains(&filter) {
                let _kept = self.filters.drain(filter);
                events.push(Event::Filtered(filter, received));
            }
        }
        events
    }
}

/// Number of envelopes tried per round of 50 ms: 1,280 per second, 20 times what a busy network
/// sends.
const MAX_TRIED_PER_ROUND: usize = 64;

/// Maximum number of queued envelopes.
const MAX_QUEUED_ENVELOPES: usize = 65_536;

/// Maximum size of queued direct envelopes. More are dropped, and can be requested again.
const MAX_DIRECT_BYTES: usize = 64 * 1024 * 1024;
