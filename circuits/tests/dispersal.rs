//! Dispersal as its users see it: the way of an envelope to its rendezvous, the game that the
//! all-or-nothing transform must win, and recorded vectors.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests may fail like tests"
)]

#[path = "dispersal/journey.rs"]
mod journey;
#[path = "dispersal/secrecy_game.rs"]
mod secrecy_game;
#[path = "dispersal/vectors.rs"]
mod vectors;
