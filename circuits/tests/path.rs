//! Path choice: every path keeps all rules, and a refusal means that no path exists.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

#[path = "path/demo.rs"]
mod demo;
#[path = "path/dialling.rs"]
mod dialling;
#[path = "path/drawn.rs"]
mod drawn;
#[path = "path/guards.rs"]
mod guards;
#[path = "path/mixing_guards.rs"]
mod mixing_guards;
#[path = "path/mixing_network.rs"]
mod mixing_network;
#[path = "path/mixing_paths.rs"]
mod mixing_paths;
#[path = "path/refused.rs"]
mod refused;
#[path = "path/sybil.rs"]
mod sybil;
#[path = "path/vector.rs"]
mod vector;
#[path = "path/world.rs"]
mod world;
