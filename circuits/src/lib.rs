//! The onion layer of whisht.
//!
//! A cell travels through this crate in the order of its modules:
//!
//! 1. [`path`] picks lanes (guard, middles, rendezvous) from a frozen [`directory`] snapshot.
//! 2. [`aont`] and [`dispersal`] turn an envelope into `n` shards of which any `k` rebuild it.
//! 3. [`cell_builder`] seals each shard into one constant-size [`cell`].
//! 4. [`relay`] peels one layer at each hop; [`mix`] lets it wait.
//! 5. [`rendezvous`] collects the shards, and [`dandelion`] says where the envelope enters the network.
//!
//! [`level`] says what each level of privacy demands of all of this.
//!
//! Underneath lie the words that all of them share: [`bytes`], [`geometry`], [`ids`], [`keys`],
//! [`distributions`], [`secret`], [`time`].
//!
//! The crate knows nothing of Whisper, sockets, files, clocks or global randomness: time is an
//! argument, randomness is a generator that the caller seeds, and an envelope is a byte string.

#![forbid(unsafe_code)]

pub mod aont;
pub mod bytes;
pub mod cell;
pub mod cell_builder;
pub mod dandelion;
pub mod directory;
pub mod dispersal;
pub mod distributions;
pub mod geometry;
pub mod ids;
pub mod keys;
pub mod level;
pub mod mix;
pub mod path;
pub mod relay;
pub mod rendezvous;
pub mod secret;
pub mod time;
