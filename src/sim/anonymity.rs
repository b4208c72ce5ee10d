//! How well mixing hides a sender from an adversary that observes every link.
//!
//! The parts are kept apart, so that the adversary cannot use what it could not see:
//!
//! * [`traffic`](MixModel) makes cells and their paths. It knows the truth, and emits
//!   [`CellSighting`]s: what an observer of every link sees, and what hostile relays disclose.
//! * [`ForwardFilter`] is the adversary. It reads link events and nothing else, and gives for each
//!   cell at a rendezvous a probability for every sender.
//! * [`score`](Score) compares these probabilities with the truth.
//!
//! The traffic is a model: Poisson senders that are always on, exponential delays, equal links, no
//! loss, passive relays, and rendezvous that are all hostile. No node runs in it. What the model
//! grants the adversary (the position of every cell on its path) makes its figures upper bounds for
//! passive adversaries; loss and churn, which it omits, shrink the pools in practice.

mod forward_filter;
mod score;
mod study;
mod traffic;

pub use self::forward_filter::ForwardFilter;
pub use self::score::{Interval, Score, ScoreReport};
pub use self::study::{AnonymityReport, Knowledge, Study};
pub use self::traffic::{CellPlace, CellSighting, MixModel, Routes, Transfer};
