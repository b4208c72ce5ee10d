//! The status packet and the values in it.
//!
//! Every implementation has appended fields to this list, and every implementation reads the lists
//! of the others: only the version is mandatory, and a malformed field is skipped. Well-formed
//! values that are out of range end the connection.

use crate::bloom::Bloom;
use crate::rlp::{RlpError, RlpReader};

use super::{MalformedPacket, VERSION};

/// The content of a peer's first packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Minimum proof of work of the envelopes that it wants.
    pub min_pow: MinPow,
    /// Topic filter of the envelopes that it wants; all topics if absent.
    pub bloom: Option<Bloom>,
    /// Whether it calls itself a light node. This has no effect on forwarding.
    pub light: bool,
    /// Whether it confirms batches (status-im); absent in go-ethereum's status.
    pub confirmations: Option<bool>,
    /// The rate limits that it requests (status-go).
    pub rate_limits: Option<RateLimits>,
}

impl Status {
    /// Decodes `[6, pow, bloom, light, confirmations, rate limits, ...]`.
    ///
    /// If the requirement is malformed, the filter is not decoded, and the peer counts as a full
    /// node without a requirement, as in go-ethereum.
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
/// On the wire it is an integer with the bits of an IEEE 754 double.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct MinPow(f64);

impl MinPow {
    /// go-ethereum's default.
    pub const DEFAULT: Self = Self(0.2);
    /// No requirement.
    pub const ZERO: Self = Self(0.0);

    /// The requirement of `value`; `None` if it is infinite, negative or not a number.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value >= 0.0).then_some(Self(value))
    }

    /// The requirement with these IEEE 754 bits; `None` under the same conditions.
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

/// status-go's limits, in packets per second; zero means unlimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimits {
    /// Per address.
    pub ip: u64,
    /// Per peer.
    pub peer: u64,
    /// Per topic; always sent as zero.
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
