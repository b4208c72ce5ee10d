//! What a peer lacks of the pool: the result of a walk, a window at a time.
//!
//! The window is small, so that a peer costs little memory, and is filled as the peer takes
//! envelopes. They leave in the order of the walk. An order by the links that brought them would
//! show the peer which envelopes came by the same link.

use core::time::Duration;
use std::collections::VecDeque;

use circuits::time::Instant;
use rand_core::CryptoRng;

use super::pool_walk::{PoolWalk, WALK_STEPS, WalkBudget};
use super::source::QueuedEnvelope;

/// The backlog of one peer.
#[derive(Debug)]
pub(super) struct Backlog {
    window: VecDeque<QueuedEnvelope>,
    /// The walk that fills the window, unless it is complete.
    walk: Option<PoolWalk>,
    /// When the next steps of the walk may be taken, if they are reserved.
    reserved: Option<Instant>,
    /// Earliest time of another circle, if one is wanted.
    wanted: Option<Instant>,
    /// Earliest time of another circle.
    not_before: Instant,
}

impl Backlog {
    /// An empty backlog; no walk is wanted.
    pub(super) const fn new() -> Self {
        Self {
            window: VecDeque::new(),
            walk: None,
            reserved: None,
            wanted: None,
            not_before: Instant::ZERO,
        }
    }

    /// Requests a walk through the whole pool, at most once per [`WALK_INTERVAL`].
    pub(super) fn want_walk(&mut self) {
        self.wanted.get_or_insert(self.not_before);
    }

    /// Takes the wish for a walk, which another queue of the same peer will fulfil.
    pub(super) fn take_wish(&mut self) -> bool {
        self.wanted.take().is_some()
    }

    /// Starts a wanted walk, and reserves steps if the window has room for what they find.
    pub(super) fn plan(&mut self, now: Instant, rng: &mut impl CryptoRng, budget: &mut WalkBudget) {
        if self.wanted.is_some_and(|wanted| wanted <= now) {
            self.wanted = None;
            self.not_before = now.after(WALK_INTERVAL);
            match &mut self.walk {
                Some(walk) => walk.restart(),
                None => self.walk = Some(PoolWalk::new(rng)),
            }
        }
        if self.walk.is_some() && self.reserved.is_none() && self.len() <= MAX_WINDOW - WALK_STEPS {
            self.reserved = Some(budget.reserve(now));
        }
    }

    /// Takes the walk if its next steps are due.
    pub(super) fn take_walk(&mut self, now: Instant) -> Option<PoolWalk> {
        if self.reserved.is_none_or(|reserved| reserved > now) {
            return None;
        }
        self.reserved = None;
        self.walk.take()
    }

    /// Adds what the steps found; `walk` is what remains of the walk.
    pub(super) fn refill(&mut self, walk: Option<PoolWalk>, found: Vec<QueuedEnvelope>) {
        self.walk = walk;
        self.window.extend(found);
    }

    /// Takes the next envelope.
    pub(super) fn pop(&mut self) -> Option<QueuedEnvelope> {
        self.window.pop_front()
    }

    /// When steps or another circle are due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        [self.reserved, self.wanted].into_iter().flatten().min()
    }

    /// Number of envelopes in the window.
    pub(super) fn len(&self) -> usize {
        self.window.len()
    }
}

/// Maximum number of envelopes in the window.
const MAX_WINDOW: usize = 2 * WALK_STEPS;
/// Minimum interval between two walks for a peer that changes its requirements, or whose queue has
/// no room. A narrower requirement takes effect at once.
const WALK_INTERVAL: Duration = Duration::from_secs(5);
