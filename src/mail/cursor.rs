//! The order of the archive, and the cursor by which a client continues in it.
//!
//! An envelope's position is the start of its lifetime and its hash: 36 bytes, whose order is the
//! order of the pair. go-ethereum and status-im use positions as record keys, and status-im returns
//! the position of the last envelope as the cursor. A cursor grants nothing: a forged one only
//! starts elsewhere in a range that the client may read.

use core::fmt;

use circuits::bytes::ByteReader;
use circuits::time::UnixSecs;

use crate::envelope::{Envelope, EnvelopeHash, Topic};

/// An envelope's position in the order of an archive.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// Start of the lifetime: expiry minus ttl.
    pub sent: UnixSecs,
    /// The envelope's hash.
    pub hash: EnvelopeHash,
}

impl Position {
    /// Bytes of a position.
    pub const LEN: usize = 36;

    /// The position of an envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        Self {
            sent: envelope.sent(),
            hash: envelope.hash(),
        }
    }

    /// `sent 4 | hash 32`, as servers write their record keys.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (sent, hash) = bytes.split_at_mut(4);
        sent.copy_from_slice(&self.sent.0.to_be_bytes());
        hash.copy_from_slice(&self.hash.0);
        bytes
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Position([redacted])")
    }
}

/// The end of a page, as servers and clients exchange it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor {
    /// The position of the last examined envelope.
    pub position: Position,
    /// Later versions of status-go append the topic and expect it back. It does not affect the
    /// order.
    pub topic: Option<Topic>,
}

impl Cursor {
    /// Reads a cursor; `None` for the empty one, which means the beginning or the end.
    ///
    /// # Errors
    ///
    /// [`BadCursor`] for every other length.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, BadCursor> {
        let mut reader = ByteReader::new(bytes);
        if reader.remaining() == 0 {
            return Ok(None);
        }
        let sent = reader.u32().map_err(|_| BadCursor)?;
        let hash = reader.array().map_err(|_| BadCursor)?;
        let topic = match reader.remaining() {
            0 => None,
            _ => Some(Topic(reader.array().map_err(|_| BadCursor)?)),
        };
        reader.finish().map_err(|_| BadCursor)?;
        let position = Position {
            sent: UnixSecs(sent),
            hash: EnvelopeHash(hash),
        };
        Ok(Some(Self { position, topic }))
    }

    /// The bytes that [`Self::read`] accepts.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.position.to_bytes().to_vec();
        bytes.extend(self.topic.into_iter().flat_map(|topic| topic.0));
        bytes
    }
}

impl From<Position> for Cursor {
    fn from(position: Position) -> Self {
        Self {
            position,
            topic: None,
        }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor([redacted])")
    }
}

/// The bytes are not a cursor of a mail server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cursor has neither 36 nor 40 bytes")]
pub struct BadCursor;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(sent: u32, hash: [u8; 32]) -> Position {
        Position {
            sent: UnixSecs(sent),
            hash: EnvelopeHash(hash),
        }
    }

    #[test]
    fn cursor_with_topic_round_trips() {
        let mut bytes = position(7, [9; 32]).to_bytes().to_vec();
        bytes.extend([1, 2, 3, 4]);
        let cursor = Cursor::read(&bytes).unwrap().unwrap();
        assert_eq!(cursor.position, position(7, [9; 32]));
        assert_eq!(cursor.to_bytes(), bytes);
    }

    #[test]
    fn cursor_of_other_length_is_refused() {
        for len in (1..64).filter(|len| ![36, 40].contains(len)) {
            assert_eq!(Cursor::read(&vec![0; len]), Err(BadCursor), "{len}");
        }
        assert_eq!(Cursor::read(&[]), Ok(None));
    }

    proptest! {
        #[test]
        fn position_bytes_sort_like_positions(a: (u32, [u8; 32]), b: (u32, [u8; 32])) {
            let (a, b) = (position(a.0, a.1), position(b.0, b.1));
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            prop_assert_eq!(Cursor::read(&a.to_bytes()), Ok(Some(a.into())));
        }
    }
}
