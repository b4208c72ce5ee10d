//! The adversaries: from [sightings](super::sighting) to probabilities.
//!
//! Each module here reads sightings and the published rules of the network, and nothing else.
//! Nothing in this folder names the traffic or the truth (`tests/architecture` checks the imports;
//! the truth is private to `super::trial`).
//!
//! With exponential delays the probability of every matching of the cells that enter and leave a
//! relay is the same, because `exp(-(out - in) / D)` has the same product over all of them. Each cell
//! that leaves is therefore uniform over the cells that wait, and one pass in order of time gives the
//! exact probabilities.

mod blind_filter;
mod forward_filter;
mod grouping;
mod joint_trace;
mod weights;

pub use self::blind_filter::BlindFilter;
pub use self::forward_filter::ForwardFilter;
pub use self::grouping::{SiblingCandidate, grouped_senders, sibling_window};
pub use self::joint_trace::{LinkLog, joint_senders};
pub(super) use self::weights::{log_posterior, posterior_of};
