//! Contact by hash: two people find each other by an address, and talk with forward secrecy.
//!
//! An address is a hash of a root key ([`id`]). Its owner publishes cards with short-lived keys, which
//! readers of the address find in the gossip without asking for them. A first message is encrypted to a
//! card; conversations continue under single-use topics and keys. The formats are in docs/wire/contact.md.
//!
//! Everything here is computation: no module draws from another generator than the one that it is given
//! (but for the ratchet, docs/decisions/0021), reads a clock, or stores anything.

pub mod address;
pub mod address_key;
pub mod card;
pub mod chain;
pub mod codec;
pub mod conversation;
pub mod elligator;
mod epoch;
pub mod first_contact;
pub mod generation;
pub mod id;
pub mod job;
pub mod kdf;
pub mod key_block;
pub mod letter;
pub mod mnemonic;
pub mod outer;
pub mod parts;
pub mod period;
pub mod plaintext;
pub mod qr;
pub mod ratchet;
pub mod resync;
pub mod scan;
pub mod schedule;
pub mod voice;
mod watched;
pub mod x_wing;
