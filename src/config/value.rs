//! How single values are written: the same in flags, environment and file.

use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;
use std::net::SocketAddr;

use circuits::ids::{Profile, RelayId, RelayKey};
use circuits::level::Level;

use crate::node::{Cover, PowGeneration};
use crate::suggest::closest;

/// The name of a network, a part of the network id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworkName(String);

impl FromStr for NetworkName {
    type Err = BadValue;

    fn from_str(name: &str) -> Result<Self, BadValue> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let good = (1..=32).contains(&name.len()) && name.chars().all(allowed);
        good.then(|| Self(name.to_owned())).ok_or_else(|| {
            BadValue::new("expected 1 to 32 letters from a to z, digits and hyphens")
        })
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> Self {
        name.0
    }
}

/// Reads a value by its own rules.
///
/// # Errors
///
/// [`BadValue`] with the words of the type.
pub fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, BadValue> {
    text.parse().map_err(BadValue::new)
}

/// Reads an address of a socket.
///
/// # Errors
///
/// [`BadValue`] for a name, and for an address without a port.
pub fn socket_address(text: &str) -> Result<SocketAddr, BadValue> {
    text.parse().map_err(|_| {
        BadValue::new("expected an IP address and a port, such as 127.0.0.1:20819 or [::1]:20819")
    })
}

/// Reads a level.
///
/// # Errors
///
/// [`BadValue`] names the nearest level.
pub fn level(word: &str) -> Result<Level, BadValue> {
    word.parse()
        .map_err(|error| match closest(word, Level::ALL.map(Level::word)) {
            Some(near) => BadValue::new(format_args!(
                "there is no level {word:?}; did you mean {near}?"
            )),
            None => BadValue::new(format_args!("{word:?}: {error}")),
        })
}

/// Reads a profile.
///
/// # Errors
///
/// [`BadValue`] for any word but `main` and `local`.
pub fn profile(word: &str) -> Result<Profile, BadValue> {
    [Profile::Main, Profile::Local]
        .into_iter()
        .find(|profile| profile.label() == word)
        .ok_or_else(|| BadValue::new("expected `main` or `local`"))
}

/// Reads a relay: its id (64 hexadecimal digits), its key (128), or its enode URL.
///
/// # Errors
///
/// [`BadValue`] for anything else.
pub fn relay(text: &str) -> Result<RelayId, BadValue> {
    let key = text.strip_prefix("enode://").map_or(text, |rest| {
        rest.split_once('@').map_or(rest, |(key, _)| key)
    });
    let mut id = [0; 32];
    let mut full = [0; 64];
    if hex::decode_to_slice(key, &mut id).is_ok() {
        Ok(RelayId(id))
    } else if hex::decode_to_slice(key, &mut full).is_ok() {
        Ok(RelayKey(full).id())
    } else {
        Err(BadValue::new(
            "expected the id of a relay (64 hexadecimal digits) or its enode URL",
        ))
    }
}

/// Reads a peer: its key (128 hexadecimal digits), or its enode URL.
///
/// # Errors
///
/// [`BadValue`] for anything else.
pub fn peer_key(text: &str) -> Result<RelayKey, BadValue> {
    let key = text.strip_prefix("enode://").map_or(text, |rest| {
        rest.split_once('@').map_or(rest, |(key, _)| key)
    });
    let mut full = [0; 64];
    hex::decode_to_slice(key, &mut full).map_err(|_| {
        BadValue::new("expected the enode URL of a peer, or the 128 hexadecimal digits in it")
    })?;
    Ok(RelayKey(full))
}

/// Reads a threshold of proof of work.
///
/// # Errors
///
/// [`BadValue`] for a negative value, and for one that is not a number.
pub fn min_pow(value: f64) -> Result<f64, BadValue> {
    (value.is_finite() && value >= 0.0)
        .then_some(value)
        .ok_or_else(|| BadValue::new("expected a number from 0 upwards, such as 0.2"))
}

/// Reads a rate of cover traffic.
///
/// # Errors
///
/// [`BadValue`] for any other word.
pub fn cover(word: &str) -> Result<Cover, BadValue> {
    Cover::ALL
        .into_iter()
        .find(|cover| cover.word() == word)
        .ok_or_else(|| BadValue::new("expected `full`, `reduced` or `off`"))
}

/// Reads a rule of proof of work.
///
/// # Errors
///
/// [`BadValue`] names the rules.
pub fn pow_generation(word: &str) -> Result<PowGeneration, BadValue> {
    PowGeneration::ALL
        .into_iter()
        .find(|generation| generation.word() == word)
        .ok_or_else(|| BadValue::new("expected `auto`, `both`, `legacy` or `modern`"))
}

/// Checks a count.
///
/// # Errors
///
/// [`BadValue`] names the bounds.
pub fn count(value: i128, bounds: RangeInclusive<usize>) -> Result<usize, BadValue> {
    usize::try_from(value)
        .ok()
        .filter(|value| bounds.contains(value))
        .ok_or_else(|| {
            let (least, most) = (bounds.start(), bounds.end());
            BadValue::new(format_args!(
                "expected a whole number from {least} to {most}"
            ))
        })
}

/// The rule that a value breaks. The caller adds the setting and the value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(String);

impl BadValue {
    /// An error with this rule.
    pub fn new(rule: impl fmt::Display) -> Self {
        Self(rule.to_string())
    }
}

/// Bounds of `max-peers`: each peer costs a file descriptor and up to a megabyte.
pub const PEERS: RangeInclusive<usize> = 1..=500;
/// Bounds of `bandwidth.max-mb-day`: up to a petabyte.
pub const DAY_MB: RangeInclusive<usize> = 1..=1_000_000_000;
/// Bounds of `pool-mb`.
pub const POOL_MB: RangeInclusive<usize> = 1..=65_536;
/// Bounds of `mail.max-mb`.
pub const MAIL_MB: RangeInclusive<usize> = 1..=16_777_216;
/// Bounds of `contact.max-file-mb`: the list of hashes of a larger file has more than 8 MB.
pub const FILE_MB: RangeInclusive<usize> = 1..=16_384;
/// Bounds of `mail.days`: without a limit an archive would endanger the users whose mail it keeps.
pub const MAIL_DAYS: RangeInclusive<usize> = 1..=3_650;
/// Bounds of `state.lock-after`: a minute to a week.
pub const LOCK_MINUTES: RangeInclusive<usize> = 1..=10_080;
/// Bounds of `threads`.
pub const THREADS: RangeInclusive<usize> = 1..=1024;
