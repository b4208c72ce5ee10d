//! The status packet and the values in it.
//!
//! Every implementation has added fields to the end of this list, and every one reads the list of
//! every other: only the version is mandatory, and a field that cannot be read is skipped. Values
//! that can be read but make no sense end the connection.

use crate::bloom::Bloom;
use crate::rlp_reader::{RlpError, RlpReader};

use super::{MalformedPacket, VERSION};

/// What a peer says about itself in its first packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// It wants no envelope with less work than this.
    pub min_pow: MinPow,
    /// It wants no envelope outside this filter; everything if absent.
    pub bloom: Option<Bloom>,
    /// Whether it calls itself a light node. Nothing follows from it.
    pub light: bool,
    /// Whether it confirms batches (status-im); absent in go-ethereum's status.
    pub confirmations: Option<bool>,
    /// How fast it wants to be sent to (status-go).
    pub rate_limits: Option<RateLimits>,
}

impl Status {
    /// Reads `[6, pow, bloom, light, confirmations, rate limits, ...]`.
    ///
    /// If the requirement cannot be read, neither is the filter, and the peer counts as a full
    /// node without a requirement: so does go-ethereum.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, MalformedPacket> {
        let mut fields = RlpReader::new(payload)
            .list()
            .map_err(|_| MalformedPacket::StatusNotAList)?;
        if fields.integer() != Ok(u64::from(VERSION)) {
            return Err(MalformedPacket::Version);
        }
        let mut status = Self {
            min_pow: MinPow::ZERO,
            bloom: None,
            light: false,
            confirmations: None,
            rate_limits: None,
        };
        let Ok(bits) = fields.integer() else {
            return Ok(status);
        };
        status.min_pow = MinPow::from_bits(bits).ok_or(MalformedPacket::PowNotANumber)?;
        if let Ok(bytes) = fields.bytes()
            && !bytes.is_empty()
        {
            let bytes = <[u8; 64]>::try_from(bytes).map_err(|_| MalformedPacket::BloomLength)?;
            status.bloom = Some(Bloom(bytes));
        }
        status.light = take_bool(&mut fields) == Ok(true);
        status.confirmations = take_bool(&mut fields).ok();
        status.rate_limits = fields.list().and_then(RateLimits::decode).ok();
        Ok(status)
    }
}

fn take_bool(fields: &mut RlpReader<'_>) -> Result<bool, RlpError> {
    match fields.integer()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(RlpError),
    }
}

/// A proof-of-work requirement: finite and not negative.
///
/// It travels as the bits of an IEEE 754 double, read as an integer.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct MinPow(f64);

impl MinPow {
    /// What go-ethereum asks for unless told otherwise.
    pub const DEFAULT: Self = Self(0.2);
    /// No requirement.
    pub const ZERO: Self = Self(0.0);

    /// The requirement of `value`; `None` if it is infinite, negative or not a number.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value >= 0.0).then_some(Self(value))
    }

    /// The requirement that these bits stand for, under the same conditions.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        Self::new(f64::from_bits(bits))
    }

    /// The requirement as a number.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

/// status-go's limits, in packets a second; zero means none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimits {
    /// For each address.
    pub ip: u64,
    /// For each peer.
    pub peer: u64,
    /// For each topic; always sent as zero.
    pub topic: u64,
}

impl RateLimits {
    pub(super) fn decode(mut fields: RlpReader<'_>) -> Result<Self, RlpError> {
        Ok(Self {
            ip: fields.integer()?,
            peer: fields.integer()?,
            topic: fields.integer()?,
        })
    }
}
