//! Opens envelopes whose topic is that of a card, on another thread than the node's.
//!
//! Anyone who has the address can fill its topics with envelopes that decrypt and do not verify. Each costs
//! 0.13 ms here and a proof of work there. Every candidate is tried, none is preferred by its work.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use super::VerifiedCard;
use super::key::CardKey;
use crate::envelope::{Envelope, EnvelopeHash};

/// An envelope, and the keys whose topic it has.
pub struct CardCandidate {
    /// The envelope.
    pub envelope: Envelope,
    /// The keys. More than one only if topics of two envelopes are equal by chance.
    pub keys: Vec<Arc<CardKey>>,
}

/// Envelopes to open.
pub struct CardSearch {
    waiting: Vec<CardCandidate>,
    found: Vec<VerifiedCard>,
}

impl fmt::Debug for CardSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardSearch(..)")
    }
}

impl CardSearch {
    /// A search among these candidates.
    #[must_use]
    pub const fn new(candidates: Vec<CardCandidate>) -> Self {
        Self {
            waiting: candidates,
            found: Vec::new(),
        }
    }

    /// The envelopes that are left, to try them again if the search is lost.
    pub fn envelopes(&self) -> impl Iterator<Item = EnvelopeHash> {
        self.waiting
            .iter()
            .map(|candidate| candidate.envelope.hash())
    }

    /// Opens some candidates, for a few milliseconds at most. Returns all verified cards after the last.
    pub fn step(&mut self) -> Option<Vec<VerifiedCard>> {
        for _ in 0..CANDIDATES_PER_STEP {
            let Some(candidate) = self.waiting.pop() else {
                return Some(core::mem::take(&mut self.found));
            };
            let data = candidate.envelope.data();
            let opened = candidate.keys.iter().filter_map(|key| key.open(data).ok());
            self.found.extend(opened);
        }
        None
    }

    /// The time of the search on one core, for a simulator.
    #[must_use]
    pub fn time(&self) -> Duration {
        let candidates = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        VERIFY_TIME.saturating_mul(candidates)
    }
}

/// About two milliseconds.
const CANDIDATES_PER_STEP: usize = 16;

/// Time to decrypt and verify a card, measured in a release build.
const VERIFY_TIME: Duration = Duration::from_micros(130);
