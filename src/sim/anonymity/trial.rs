//! The trial: makes traffic, shows an adversary what it may see, and scores what the adversary says.
//!
//! The truth about cells exists only in this module. [`traffic`] draws it, [`view`] decides what an
//! adversary of some knowledge sees, and [`score`] compares; the type of the truth is private to this
//! folder, so an adversary cannot read it.

pub(super) mod exclusion;
pub(super) mod group_study;
pub(super) mod joint_study;
pub(super) mod latency;
pub(super) mod model;
mod network;
pub(super) mod score;
pub(super) mod study;
pub(super) mod table;
mod traffic;
mod truth;
pub(super) mod view;
