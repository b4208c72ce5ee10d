//! Contact by hash: two people find each other by an address, and talk with forward secrecy.
//!
//! An address is a hash of a root key ([`id`]). Its owner publishes cards with short-lived keys, which
//! readers of the address find in the gossip without asking for them. A first message is encrypted to a
//! card; conversations continue under single-use topics and keys. The formats are in docs/wire/contact.md.
//!
//! Everything here is computation: no module draws from another generator than the one that it is given
//! (but for the ratchet, docs/decisions/0021), reads a clock, or stores anything.

pub mod chain;
pub mod codec;
pub mod elligator;
pub mod first_contact;
pub mod id;
pub mod kdf;
pub mod key_block;
pub mod outer;
pub mod plaintext;
pub mod ratchet;
pub mod x_wing;
