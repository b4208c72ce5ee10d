//! Encodes the packets that we send, in the simplest form that every implementation reads.

use rlp::RlpStream;

use crate::bloom::Bloom;
use crate::envelope::{Envelope, EnvelopeHash};

use super::{MinPow, VERSION};

/// Our status, in four fields, because nim-eth expects that many: the version, the minimum proof of
/// work, the filter (empty for that of a full node), and whether this is a light node.
#[must_use]
pub fn status(min_pow: MinPow, bloom: &Bloom, light: bool) -> Vec<u8> {
    let mut status = RlpStream::new_list(4);
    status.append(&VERSION).append(&min_pow.value().to_bits());
    if bloom.is_full() {
        status.append_empty_data();
    } else {
        status.append(&bloom.0.as_slice());
    }
    status.append(&light);
    status.out().into()
}

/// A change of our minimum proof of work.
#[must_use]
pub fn pow_requirement(min_pow: MinPow) -> Vec<u8> {
    rlp::encode(&min_pow.value().to_bits()).into()
}

/// A change of our topic filter.
#[must_use]
pub fn bloom_exchange(bloom: &Bloom) -> Vec<u8> {
    rlp::encode(&bloom.0.as_slice()).into()
}

/// A list of envelopes.
#[must_use]
pub fn messages(envelopes: &[Envelope]) -> Vec<u8> {
    let mut messages = RlpStream::new_list(envelopes.len());
    for envelope in envelopes {
        messages.append_raw(envelope.as_rlp(), 1);
    }
    messages.out().into()
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
    rlp::encode(&batch.as_slice()).into()
}

/// status-im: reports the errors of a batch.
#[must_use]
pub fn messages_response(
    batch: &[u8; 32],
    refused: &[(EnvelopeHash, ResponseErrorCode)],
) -> Vec<u8> {
    let mut packet = RlpStream::new_list(2);
    packet.append(&1_u8).begin_list(2).append(&batch.as_slice());
    packet.begin_list(refused.len());
    for (envelope, refusal) in refused {
        packet
            .begin_list(3)
            .append(&envelope.0.as_slice())
            .append(&refusal.code())
            .append(&refusal.description());
    }
    packet.out().into()
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
