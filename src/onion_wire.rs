//! The message bodies of `onion/1`, the capability that only whisht nodes have.
//!
//! Eleven kinds exist: status, relay descriptors and the request for them, cells, stems, announcements
//! and requests of envelope hashes, cells of circuits, requests to be dialled with their answers, and
//! announcements and parts of relay lists (docs/wire.md, section "onion/1"). Other codes are reserved and ignored, so that later versions can add messages.
//!
//! The reader is strict: it accepts one canonical form and no trailing bytes, and checks every
//! length before it copies. Packets other than stems have at most 16 KB, so that none delays the
//! cells of the same connection. The reader must not interpret descriptors and cells.

mod dial_back;
mod relay_list;

use circuits::directory::DescriptorRequest;
use circuits::geometry::CELL_LEN;
use circuits::ids::{Epoch, NetworkId};
use circuits::time::UnixSecs;

use crate::envelope::{Envelope, EnvelopeHash};
use crate::rlp::{RlpError, RlpReader, RlpWriter};

pub use dial_back::{DialBackMessage, DialBackNonce, DialBackResult};
pub use relay_list::{ListAnnouncement, ListPart, MAX_PART};

/// The version, which is the first field of [`OnionMessage::Status`].
pub const VERSION: u8 = 1;

/// Bytes of the longest packet that is not a stem.
pub const MAX_PACKET: usize = 16_384;
/// Bytes of the longest envelope of a stem: the largest size class.
const MAX_STEM_ENVELOPE: usize = 65_536;
/// Bytes of the longest descriptor.
pub const MAX_DESCRIPTOR: usize = 1_024;
/// Maximum number of descriptors in one packet; real ones fill [`MAX_PACKET`] sooner.
pub const MAX_DESCRIPTORS: usize = 64;
/// Maximum number of digest prefixes in one request: the capacity of [`MAX_PACKET`].
pub const MAX_PREFIXES: usize = 2_040;
/// Maximum number of envelope hashes in one packet.
pub const MAX_HASHES: usize = 256;

/// A message of `onion/1`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OnionMessage {
    /// Code 0, the first on every link.
    Status {
        /// Peers of another network exchange no further messages of `onion/1`.
        network: NetworkId,
        /// The sender's epoch of onion keys.
        epoch: Epoch,
        /// The sender's clock, rounded down to ten seconds; `None` if it does not show its clock.
        time: Option<UnixSecs>,
    },
    /// Code 1: signed relay descriptors, each the raw bytes of its RLP list.
    Descriptors(Vec<Vec<u8>>),
    /// Code 2: requests the descriptors of an epoch that the sender lacks.
    GetDescriptors(DescriptorRequest),
    /// Code 3: one cell, always the same length.
    Cell(Box<[u8; CELL_LEN]>),
    /// Code 4: an envelope in its stem phase.
    Stem(Envelope),
    /// Code 5: hashes of envelopes in the sender's pool.
    Announce(Vec<EnvelopeHash>),
    /// Code 6: requests envelopes by hash; the answer is a Messages packet of `shh`.
    GetEnvelopes(Vec<EnvelopeHash>),
    /// Code 7: one cell of a circuit, as long as every other cell.
    CircuitCell(Box<[u8; CELL_LEN]>),
    /// Code 8: a request to be dialled, or its answer.
    DialBack(DialBackMessage),
    /// Code 9: a relay list that the sender holds.
    RelayList(ListAnnouncement),
    /// Code 10: a part of a relay list, or the request for one.
    RelayListPart(ListPart),
}

impl OnionMessage {
    /// Reads the message with `code`; `None` if the code is reserved.
    ///
    /// # Errors
    ///
    /// Names the first violated rule. Each of them is the sender's fault.
    pub fn decode(code: u8, payload: &[u8]) -> Result<Option<Self>, OnionWireError> {
        let limit = match code {
            code::STEM => MAX_STEM_ENVELOPE + LONG_HEADER,
            _ => MAX_PACKET,
        };
        if payload.len() > limit {
            return Err(OnionWireError::TooLong);
        }
        Ok(Some(match code {
            code::STATUS => decode_status(payload)?,
            code::DESCRIPTORS => decode_descriptors(payload)?,
            code::GET_DESCRIPTORS => decode_get_descriptors(payload)?,
            code::CELL => Self::Cell(decode_cell(payload)?),
            code::STEM => decode_stem(payload)?,
            code::ANNOUNCE => Self::Announce(decode_hashes(payload)?),
            code::GET_ENVELOPES => Self::GetEnvelopes(decode_hashes(payload)?),
            code::CIRCUIT_CELL => Self::CircuitCell(decode_cell(payload)?),
            code::DIAL_BACK => Self::DialBack(DialBackMessage::decode(payload)?),
            code::RELAY_LIST => Self::RelayList(ListAnnouncement::decode(payload)?),
            code::RELAY_LIST_PART => Self::RelayListPart(ListPart::decode(payload)?),
            _ => return Ok(None),
        }))
    }

    /// The message's code, relative to the capability's offset.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Status { .. } => code::STATUS,
            Self::Descriptors(_) => code::DESCRIPTORS,
            Self::GetDescriptors(_) => code::GET_DESCRIPTORS,
            Self::Cell(_) => code::CELL,
            Self::Stem(_) => code::STEM,
            Self::Announce(_) => code::ANNOUNCE,
            Self::GetEnvelopes(_) => code::GET_ENVELOPES,
            Self::CircuitCell(_) => code::CIRCUIT_CELL,
            Self::DialBack(_) => code::DIAL_BACK,
            Self::RelayList(_) => code::RELAY_LIST,
            Self::RelayListPart(_) => code::RELAY_LIST_PART,
        }
    }

    /// Writes the message's body.
    ///
    /// # Errors
    ///
    /// An error if [`decode`](Self::decode) would refuse the body: the caller passed too much.
    pub fn encode(&self) -> Result<Vec<u8>, OnionWireError> {
        match self {
            Self::Status {
                network,
                epoch,
                time,
            } => {
                let time = time.map_or(0, |time| time.0);
                let body = RlpWriter::only_list(|body| {
                    let body = body.integer(VERSION).bytes(&network.0);
                    body.integer(epoch.0).integer(time);
                });
                Ok(body)
            }
            Self::Descriptors(descriptors) => encode_descriptors(descriptors),
            Self::GetDescriptors(DescriptorRequest {
                epoch,
                bucket,
                have,
            }) => {
                if have.len() > MAX_PREFIXES {
                    return Err(OnionWireError::TooMany);
                }
                let body = RlpWriter::only_list(|body| {
                    body.integer(epoch.0)
                        .bytes(bucket.as_slice())
                        .bytes(have.as_flattened());
                });
                Ok(body)
            }
            Self::Cell(cell) | Self::CircuitCell(cell) => Ok(encode_cell(cell)),
            Self::Stem(envelope) => encode_stem(envelope),
            Self::Announce(hashes) | Self::GetEnvelopes(hashes) => encode_hashes(hashes),
            Self::DialBack(message) => Ok(message.encode()),
            Self::RelayList(announcement) => Ok(announcement.encode()),
            Self::RelayListPart(part) => part.encode(),
        }
    }

    /// Spreads descriptors over as few packets as the limits allow, in the given order.
    ///
    /// Descriptors that exceed the limit of one packet are left out.
    #[must_use]
    pub fn descriptors(all: impl IntoIterator<Item = Vec<u8>>) -> Vec<Self> {
        let mut packets = Vec::new();
        let mut packet = Vec::new();
        let mut bytes = LONG_HEADER;
        for descriptor in all.into_iter().filter(|one| one.len() <= MAX_DESCRIPTOR) {
            if bytes + descriptor.len() > MAX_PACKET || packet.len() == MAX_DESCRIPTORS {
                packets.push(Self::Descriptors(core::mem::take(&mut packet)));
                bytes = LONG_HEADER;
            }
            bytes += descriptor.len();
            packet.push(descriptor);
        }
        if !packet.is_empty() {
            packets.push(Self::Descriptors(packet));
        }
        packets
    }
}

/// The reason why a body of `onion/1` is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OnionWireError {
    /// A descriptor is longer than [`MAX_DESCRIPTOR`].
    #[error("descriptor is too long")]
    DescriptorTooLong,
    /// The stem's envelope does not decode.
    #[error("the envelope of the stem is invalid")]
    Envelope,
    /// The fields are not those of the message, or not in canonical form.
    #[error("body does not have the form that its code requires")]
    Malformed,
    /// The length is not a multiple of that of a hash or prefix.
    #[error("the last hash is incomplete")]
    RaggedHashes,
    /// The packet is longer than its code allows.
    #[error("packet is too long")]
    TooLong,
    /// More items than one packet may contain.
    #[error("packet carries too many items")]
    TooMany,
    /// The status announces another version.
    #[error("peer speaks another version of onion")]
    Version,
}

impl From<RlpError> for OnionWireError {
    fn from(_: RlpError) -> Self {
        Self::Malformed
    }
}

fn decode_status(payload: &[u8]) -> Result<OnionMessage, OnionWireError> {
    let mut fields = RlpReader::only_list(payload)?;
    if fields.integer()? != u64::from(VERSION) {
        return Err(OnionWireError::Version);
    }
    let network = NetworkId(fields.array()?);
    let epoch = take_epoch(&mut fields)?;
    let time = u32::try_from(fields.integer()?).map_err(|_| OnionWireError::Malformed)?;
    fields.finish()?;
    Ok(OnionMessage::Status {
        network,
        epoch,
        time: (time != 0).then_some(UnixSecs(time)),
    })
}

fn take_epoch(fields: &mut RlpReader<'_>) -> Result<Epoch, OnionWireError> {
    let epoch = u32::try_from(fields.integer()?).map_err(|_| OnionWireError::Malformed)?;
    Ok(Epoch(epoch))
}

fn decode_descriptors(payload: &[u8]) -> Result<OnionMessage, OnionWireError> {
    let mut items = RlpReader::only_list(payload)?;
    let mut descriptors = Vec::new();
    while !items.is_empty() {
        let descriptor = items.raw_list()?;
        if descriptor.len() > MAX_DESCRIPTOR {
            return Err(OnionWireError::DescriptorTooLong);
        }
        if descriptors.len() == MAX_DESCRIPTORS {
            return Err(OnionWireError::TooMany);
        }
        descriptors.push(descriptor.to_vec());
    }
    Ok(OnionMessage::Descriptors(descriptors))
}

fn encode_descriptors(descriptors: &[Vec<u8>]) -> Result<Vec<u8>, OnionWireError> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(OnionWireError::TooMany);
    }
    for descriptor in descriptors {
        if descriptor.len() > MAX_DESCRIPTOR {
            return Err(OnionWireError::DescriptorTooLong);
        }
        RlpReader::only_list(descriptor)?;
    }
    let body = RlpWriter::only_list(|body| {
        for descriptor in descriptors {
            body.encoded(descriptor);
        }
    });
    if body.len() > MAX_PACKET {
        return Err(OnionWireError::TooLong);
    }
    Ok(body)
}

fn decode_get_descriptors(payload: &[u8]) -> Result<OnionMessage, OnionWireError> {
    let mut fields = RlpReader::only_list(payload)?;
    let epoch = take_epoch(&mut fields)?;
    // The bucket is a byte string, not an integer: as an integer, bucket 0 would be the empty
    // string, which means every bucket.
    let bucket = match fields.bytes()? {
        [] => None,
        [bucket] => Some(*bucket),
        _ => return Err(OnionWireError::Malformed),
    };
    let (have, ragged) = fields.bytes()?.as_chunks();
    fields.finish()?;
    if !ragged.is_empty() {
        return Err(OnionWireError::RaggedHashes);
    }
    if have.len() > MAX_PREFIXES {
        return Err(OnionWireError::TooMany);
    }
    Ok(OnionMessage::GetDescriptors(DescriptorRequest {
        epoch,
        bucket,
        have: have.to_vec(),
    }))
}

fn decode_cell(payload: &[u8]) -> Result<Box<[u8; CELL_LEN]>, OnionWireError> {
    let cell = only_bytes(payload)?;
    let cell: &[u8; CELL_LEN] = cell.try_into().map_err(|_| OnionWireError::Malformed)?;
    Ok(Box::new(*cell))
}

/// Writes a cell's body without the RLP encoder: cells are the most frequent messages, and their
/// header is constant.
fn encode_cell(cell: &[u8; CELL_LEN]) -> Vec<u8> {
    let mut body = Vec::with_capacity(CELL_HEADER.len() + CELL_LEN);
    body.extend_from_slice(&CELL_HEADER);
    body.extend_from_slice(cell);
    body
}

fn decode_stem(payload: &[u8]) -> Result<OnionMessage, OnionWireError> {
    let mut items = RlpReader::only_list(payload)?;
    let envelope = items.raw_list()?;
    items.finish()?;
    let envelope = Envelope::decode(envelope).map_err(|_| OnionWireError::Envelope)?;
    Ok(OnionMessage::Stem(envelope))
}

fn encode_stem(envelope: &Envelope) -> Result<Vec<u8>, OnionWireError> {
    if envelope.as_rlp().len() > MAX_STEM_ENVELOPE {
        return Err(OnionWireError::TooLong);
    }
    let body = RlpWriter::only_list(|body| {
        body.encoded(envelope.as_rlp());
    });
    Ok(body)
}

fn decode_hashes(payload: &[u8]) -> Result<Vec<EnvelopeHash>, OnionWireError> {
    let (hashes, ragged) = only_bytes(payload)?.as_chunks();
    if !ragged.is_empty() {
        return Err(OnionWireError::RaggedHashes);
    }
    if hashes.len() > MAX_HASHES {
        return Err(OnionWireError::TooMany);
    }
    Ok(hashes.iter().copied().map(EnvelopeHash).collect())
}

fn encode_hashes(hashes: &[EnvelopeHash]) -> Result<Vec<u8>, OnionWireError> {
    if hashes.len() > MAX_HASHES {
        return Err(OnionWireError::TooMany);
    }
    let hashes: Vec<_> = hashes.iter().flat_map(|hash| hash.0).collect();
    let body = RlpWriter::only_list(|body| {
        body.bytes(&hashes);
    });
    Ok(body)
}

/// The one byte string of a list of one.
fn only_bytes(payload: &[u8]) -> Result<&[u8], RlpError> {
    let mut items = RlpReader::only_list(payload)?;
    let bytes = items.bytes()?;
    items.finish()?;
    Ok(bytes)
}

/// Message codes, relative to the capability's offset.
mod code {
    pub(super) const STATUS: u8 = 0;
    pub(super) const DESCRIPTORS: u8 = 1;
    pub(super) const GET_DESCRIPTORS: u8 = 2;
    pub(super) const CELL: u8 = 3;
    pub(super) const STEM: u8 = 4;
    pub(super) const ANNOUNCE: u8 = 5;
    pub(super) const GET_ENVELOPES: u8 = 6;
    pub(super) const CIRCUIT_CELL: u8 = 7;
    pub(super) const DIAL_BACK: u8 = 8;
    pub(super) const RELAY_LIST: u8 = 9;
    pub(super) const RELAY_LIST_PART: u8 = 10;
}

/// Maximum length of an RLP header, in bytes, for contents up to 16 MB.
const LONG_HEADER: usize = 4;

/// List of 915 bytes, string of 912.
const CELL_HEADER: [u8; 6] = [0xf9, 0x03, 0x93, 0xb9, 0x03, 0x90];
const _: () = assert!(CELL_LEN == 0x390 && CELL_LEN + 3 == 0x393);

#[cfg(test)]
mod tests;
