//! Frames in plain text, as nodes write them in fast mode: what kind they are, and which envelopes
//! they name.
//!
//! A node that takes part in a link reads its frames; so may an observer that plays such a node. The
//! module reads and cuts bytes, and changes nothing else.

use crate::envelope::{Envelope, EnvelopeHash};
use crate::gossip::packet::{ShhPacket, code};
use crate::link::capability::{BASE_CODES, Capability};
use crate::link::frame::{HEADER_LEN, wire_len};
use crate::onion_wire::OnionMessage;

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum FrameKind {
    /// One cell.
    Cell,
    /// An envelope on its stem.
    Stem,
    /// Hashes of envelopes.
    Announcement,
    /// Hashes of envelopes that the sender of the frame wants.
    Request,
    /// Envelopes.
    Envelopes,
    /// Descriptors, and requests for them.
    Directory,
    /// Greetings, signs of life, farewells, and everything else.
    Other,
}

/// One frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainFrame<'a> {
    pub(super) kind: FrameKind,
    /// All its bytes.
    pub(super) wire: &'a [u8],
    /// The code within its capability.
    code: u8,
    /// The payload, packed.
    packed: &'a [u8],
}

/// The frames of one write. The packets of a handshake are not frames: nothing of them, and of what
/// follows them in the same write, is returned.
pub(super) fn frames(bytes: &[u8]) -> impl Iterator<Item = PlainFrame<'_>> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        let (frame, rest) = first_frame(left)?;
        left = rest;
        Some(frame)
    })
}

fn first_frame(bytes: &[u8]) -> Option<(PlainFrame<'_>, &[u8])> {
    let (header, _) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let [high, middle, low, 0xc2, 0x80, 0x80, padding @ ..] = header else {
        return None;
    };
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    let length = usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).ok()?;
    let (wire, rest) = bytes.split_at_checked(wire_len(length))?;
    let content = wire.get(HEADER_LEN..)?.get(..length)?;
    let (wire_code, packed) = match content {
        [0x80, packed @ ..] => (0, packed),
        [code @ 0x01..=0x7f, packed @ ..] => (u16::from(*code), packed),
        [0x81, code, packed @ ..] => (u16::from(*code), packed),
        _ => return None,
    };
    let (kind, code) = classify(wire_code);
    let frame = PlainFrame {
        kind,
        wire,
        code,
        packed,
    };
    Some((frame, rest))
}

/// The kind of a code, and the code within its capability. Every node of a simulation offers the
/// same capabilities, so the table is the same on every link.
fn classify(wire_code: u16) -> (FrameKind, u8) {
    let onion = wire_code.checked_sub(BASE_CODES);
    let shh = onion.and_then(|code| code.checked_sub(Capability::ONION_1.codes()));
    let within = |code: Option<u16>| code.and_then(|code| u8::try_from(code).ok()).unwrap_or(0);
    match (onion, shh) {
        (_, Some(_)) if within(shh) == code::MESSAGES => (FrameKind::Envelopes, within(shh)),
        (_, Some(_)) => (FrameKind::Other, within(shh)),
        (Some(1 | 2), None) => (FrameKind::Directory, within(onion)),
        (Some(3), None) => (FrameKind::Cell, 3),
        (Some(4), None) => (FrameKind::Stem, 4),
        (Some(5), None) => (FrameKind::Announcement, 5),
        (Some(6), None) => (FrameKind::Request, 6),
        _ => (FrameKind::Other, 0),
    }
}

impl PlainFrame<'_> {
    /// The payload; none if it is not packed as frames are.
    fn payload(&self) -> Option<Vec<u8>> {
        snap::raw::Decoder::new().decompress_vec(self.packed).ok()
    }

    /// The cell in this frame; none if it carries something else.
    pub(super) fn cell(&self) -> Option<Box<[u8; circuits::geometry::CELL_LEN]>> {
        if self.kind != FrameKind::Cell {
            return None;
        }
        match OnionMessage::decode(self.code, &self.payload()?) {
            Ok(Some(OnionMessage::Cell(cell))) => Some(cell),
            _ => None,
        }
    }

    /// The envelopes that the frame contains or names.
    pub(super) fn envelopes(&self) -> Vec<EnvelopeHash> {
        let hashes = match self.kind {
            FrameKind::Stem | FrameKind::Announcement | FrameKind::Request => self.onion_hashes(),
            FrameKind::Envelopes => self.shh_hashes(),
            FrameKind::Cell | FrameKind::Directory | FrameKind::Other => None,
        };
        hashes.unwrap_or_default()
    }

    fn onion_hashes(&self) -> Option<Vec<EnvelopeHash>> {
        match OnionMessage::decode(self.code, &self.payload()?).ok()?? {
            OnionMessage::Stem(envelope) => Some(vec![envelope.hash()]),
            OnionMessage::Announce(hashes) | OnionMessage::GetEnvelopes(hashes) => Some(hashes),
            _ => None,
        }
    }

    fn shh_hashes(&self) -> Option<Vec<EnvelopeHash>> {
        let payload = self.payload()?;
        let ShhPacket::Messages(envelopes) = ShhPacket::decode(self.code, &payload).ok()? else {
            return None;
        };
        let hashes = envelopes.map_while(|envelope| Some(Envelope::hash(&envelope.ok()?)));
        Some(hashes.collect())
    }
}

/// Cuts out the cells that `lost` selects; asks once for the frame of each cell, in order. Returns
/// `None` if nothing is cut.
pub(super) fn without_cells(
    bytes: &[u8],
    mut lost: impl FnMut(&PlainFrame<'_>) -> bool,
) -> Option<Vec<u8>> {
    let mut kept: Option<Vec<u8>> = None;
    let mut read = 0;
    for frame in frames(bytes) {
        if frame.kind == FrameKind::Cell && lost(&frame) {
            kept.get_or_insert_with(|| bytes.get(..read).unwrap_or_default().to_vec());
        } else if let Some(kept) = &mut kept {
            kept.extend_from_slice(frame.wire);
        }
        read += frame.wire.len();
    }
    if let Some(kept) = &mut kept {
        kept.extend_from_slice(bytes.get(read..).unwrap_or_default());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame in plain text, by the layout of docs/wire.md.
    fn frame(code: u8, payload: &[u8]) -> Vec<u8> {
        let packed = snap::raw::Encoder::new().compress_vec(payload).unwrap();
        let length = packed.len() + 1;
        let mut wire = vec![0; HEADER_LEN];
        let [.., high, middle, low] = length.to_be_bytes();
        wire[..6].copy_from_slice(&[high, middle, low, 0xc2, 0x80, 0x80]);
        wire.push(code);
        wire.extend_from_slice(&packed);
        wire.resize(wire_len(length), 0);
        wire
    }

    fn cell(fill: u8) -> Vec<u8> {
        let message = OnionMessage::Cell(Box::new([fill; circuits::geometry::CELL_LEN]));
        frame(19, &message.encode().unwrap())
    }

    fn announcement() -> Vec<u8> {
        let message = OnionMessage::Announce(vec![EnvelopeHash([7; 32])]);
        frame(21, &message.encode().unwrap())
    }

    #[test]
    fn frames_of_one_write_are_told_apart() {
        let bytes = [cell(1), announcement(), frame(2, &[0xc0])].concat();
        let kinds: Vec<_> = frames(&bytes).map(|frame| frame.kind).collect();
        let expected = [FrameKind::Cell, FrameKind::Announcement, FrameKind::Other];
        assert_eq!(kinds, expected);
        let second = frames(&bytes).nth(1).unwrap();
        assert_eq!(second.envelopes(), [EnvelopeHash([7; 32])]);
        let first = frames(&bytes).next().unwrap();
        assert_eq!(first.cell().unwrap()[0], 1);
    }

    #[test]
    fn handshake_packet_holds_no_frame() {
        assert_eq!(frames(&[0x9e; 400]).count(), 0);
        assert_eq!(without_cells(&[0x9e; 400], |_| true), None);
    }

    #[test]
    fn lost_cells_alone_are_cut_out() {
        let bytes = [cell(1), announcement(), cell(2), cell(3)].concat();
        let mut asked = 0;
        let left = without_cells(&bytes, |_| {
            asked += 1;
            asked != 2
        });
        assert_eq!(left.unwrap(), [announcement(), cell(2)].concat());
        assert_eq!((asked, without_cells(&bytes, |_| false)), (3, None));
    }
}
