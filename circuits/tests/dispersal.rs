//! Dispersal through its public API: the transport of an envelope to its rendezvous, the secrecy
//! game of the all-or-nothing transform, and recorded vectors.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests may fail like tests"
)]

#[path = "dispersal/journey.rs"]
mod journey;
#[path = "support/scripted_rng.rs"]
mod scripted_rng;
#[path = "dispersal/secrecy_game.rs"]
mod secrecy_game;
#[path = "dispersal/vectors.rs"]
mod vectors;
