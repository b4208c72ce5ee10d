//! Encodes the packets that we send, in the simplest form that every implementation reads.

use crate::bloom::Bloom;
use crate::envelope::{Envelope, EnvelopeHash};
use crate::rlp::RlpWriter;

use super::{MinPow, VERSION};

/// Our status, in four fields, because nim-eth expects that many: the version, the minimum proof of
/// work, the filter (empty for that of a full node), and whether this is a light node.
#[must_use]
pub fn status(min_pow: MinPow, bloom: &Bloom, light: bool) -> Vec<u8> {
    let bloom: &[u8] = if bloom.is_full() { &[] } else { &bloom.0 };
    RlpWriter::only_list(|status| {
        status
            .integer(VERSION)
            .integer(min_pow.value().to_bits())
            .bytes(bloom)
            .integer(light);
    })
}

/// A change of our minimum proof of work.
#[must_use]
pub fn pow_requirement(min_pow: MinPow) -> Vec<u8> {
    RlpWriter::only_integer(min_pow.value().to_bits())
}

/// A change of our topic filter.
#[must_use]
pub fn bloom_exchange(bloom: &Bloom) -> Vec<u8> {
    RlpWriter::only_bytes(&bloom.0)
}

/// A list of envelopes.
#[must_use]
pub fn messages(envelopes: &[Envelope]) -> Vec<u8> {
    let mut packet = Vec::new();
    RlpWriter::append_list_of(envelopes.iter().map(Envelope::as_rlp), &mut packet);
    packet
}

/// Bytes of the header of a [`messages`] packet with `body` bytes of envelopes.
#[must_use]
pub const fn messages_header_len(body: usize) -> usize {
    match body {
        0..=55 => 1,
        56..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 4,
    }
}

/// status-im: acknowledges the batch with this hash.
#[must_use]
pub fn batch_acknowledged(batch: &[u8; 32]) -> Vec<u8> {
    RlpWriter::only_bytes(batch)
}

/// status-im: reports the errors of a batch.
#[must_use]
pub fn messages_response(
    batch: &[u8; 32],
    refused: &[(EnvelopeHash, ResponseErrorCode)],
) -> Vec<u8> {
    RlpWriter::only_list(|packet| {
        packet.integer(1_u8).list(|response| {
            response.bytes(batch).list(|errors| {
                for (envelope, refusal) in refused {
                    errors.list(|error| {
                        error
                            .bytes(&envelope.0)
                            .integer(refusal.code())
                            .bytes(refusal.description().as_bytes());
                    });
                }
            });
        });
    })
}

/// One direct envelope, to a peer that trusts us.
#[must_use]
pub fn p2p_message(envelope: &Envelope) -> Vec<u8> {
    envelope.as_rlp().to_vec()
}

/// The error of one envelope in a [`messages_response`]. The texts never depend on the envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResponseErrorCode {
    /// Its lifetime has ended or not begun.
    Expiry,
    /// Anything else.
    Other,
}

impl ResponseErrorCode {
    /// The codes of status-im/whisper 1.4.10 to 1.6.2.
    const fn code(self) -> u8 {
        match self {
            Self::Expiry => 36,
            Self::Other => 37,
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Expiry => "envelope is not alive",
            Self::Other => "envelope refused",
        }
    }
}
