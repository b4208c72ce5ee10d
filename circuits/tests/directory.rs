//! The relay directory as a hostile network sees it: through its public surface, with real
//! descriptors (real keys, real puzzles at effort one).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: a panic is a failure"
)]

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
