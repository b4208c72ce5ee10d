//! The onion layer of whisht.
//!
//! A cell passes through the modules in this order:
//!
//! 1. [`path`] picks lanes (guard, middles, rendezvous) from a frozen [`directory`] snapshot.
//! 2. [`aont`] and [`dispersal`] turn an envelope into `n` shards of which any `k` rebuild it.
//! 3. [`cell_builder`] encrypts each shard into one constant-size [`cell`].
//! 4. [`relay`] peels one layer at each hop; [`mix`] delays the cell.
//! 5. [`rendezvous`] collects the shards, and [`dandelion`] chooses where the envelope enters the
//!    network.
//!
//! A [`circuit`] is what a cell leaves behind at the relays of its path if its origin asks for it: a
//! way for many cells in both directions.
//!
//! [`stream`] is the clock of cover traffic, and [`loops`] the record of the cells that return.
//! [`level`] defines the requirements of each level of privacy, and [`mixing`] reads from the
//! directory whether the network meets those of the mixing levels.
//!
//! All modules share [`arithmetic`], [`backoff`], [`bounded_map`], [`bytes`], [`distributions`],
//! [`due_index`], [`erasing_rng`], [`fair_queue`], [`geometry`], [`ids`], [`keys`], [`rate_limit`], [`secret`] and [`time`].
//!
//! The crate knows nothing of Whisper, sockets, files, clocks or global randomness: time is an
//! argument, randomness is a generator that the caller seeds, and an envelope is a byte string.

#![forbid(unsafe_code)]

pub mod aont;
pub mod arithmetic;
pub mod backoff;
pub mod bounded_map;
pub mod bytes;
pub mod cell;
pub mod cell_builder;
pub mod circuit;
pub mod dandelion;
pub mod directory;
pub mod dispersal;
pub mod distributions;
pub mod due_index;
pub mod erasing_rng;
pub mod fair_queue;
pub mod geometry;
pub mod ids;
pub mod keys;
pub mod level;
pub mod loops;
pub mod mix;
pub mod mixing;
pub mod path;
pub mod rate_limit;
pub mod relay;
pub mod rendezvous;
pub mod secret;
pub mod stream;
pub mod time;
