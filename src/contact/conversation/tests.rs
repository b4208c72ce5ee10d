//! Conversations between two ends, over envelopes that a test may lose, repeat, reorder and alter.

mod attack;
mod basics;
mod fixture;
mod loss;
mod recorded;
mod restore;
mod vectors;
