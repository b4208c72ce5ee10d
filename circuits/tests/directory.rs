//! The relay directory on a hostile network, through its public API, with real descriptors (real
//! keys, real puzzles at effort one).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: a panic is a failure"
)]

#[path = "directory/eclipse.rs"]
mod eclipse;
#[path = "directory/eligibility.rs"]
mod eligibility;
#[path = "directory/equivocation.rs"]
mod equivocation;
#[path = "directory/hostile.rs"]
mod hostile;
#[path = "directory/relays.rs"]
mod relays;
#[path = "directory/sync.rs"]
mod sync;
#[path = "directory/vector.rs"]
mod vector;
