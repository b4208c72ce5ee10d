//! A received message as a row of the user's state. The format is in docs/wire/contact.md, "State".

use circuits::bytes::{ByteReader, Truncated};
use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use super::ReceivedMessage;
use crate::envelope::{EnvelopeHash, Topic};
use crate::message::{ClientPublic, CopyTag};
use crate::state::{StateChange, StateRow, StateTable};

impl ReceivedMessage {
    /// The row that holds this message.
    pub(super) fn put(&self) -> StateChange {
        StateChange::put(StateTable::Inbox, self.row_id(), self.to_bytes())
    }

    /// Erases the row.
    pub(super) fn delete(&self) -> StateChange {
        StateChange::delete(StateTable::Inbox, self.row_id())
    }

    /// The message of a row; `None` if its format is not known.
    pub(super) fn of_row(row: &StateRow) -> Option<Self> {
        let number = u64::from_be_bytes(row.id.as_bytes().try_into().ok()?);
        Self::from_bytes(number, &row.value).ok()?
    }

    /// The number: rows are ordered as the messages came.
    fn row_id(&self) -> [u8; 8] {
        self.number.to_be_bytes()
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let name = self.to.as_bytes();
        let name_len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let from = self.from.map(|from| from.to_bytes());
        let from = from.as_ref().map_or(&[][..], <[u8; 65]>::as_slice);
        let tag = self.tag.as_ref().map(CopyTag::as_bytes);
        let tag = tag.map_or(&[][..], <[u8; CopyTag::LEN]>::as_slice);
        let signed = if from.is_empty() { 0 } else { SIGNED };
        let tagged = if tag.is_empty() { 0 } else { TAGGED };
        let parts: [&[u8]; 10] = [
            &[VERSION, signed | tagged],
            &self.received.0.to_be_bytes(),
            &self.id.0,
            &self.topic.0,
            &self.made.to_be_bytes(),
            &self.expires.to_be_bytes(),
            from,
            tag,
            &[name_len],
            name.get(..usize::from(name_len)).unwrap_or(name),
        ];
        Zeroizing::new([&parts.concat()[..], &self.payload].concat())
    }

    fn from_bytes(number: u64, bytes: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut reader = ByteReader::new(bytes);
        let (version, flags) = (reader.u8()?, reader.u8()?);
        if version != VERSION || flags & !(SIGNED | TAGGED) != 0 {
            return Ok(None);
        }
        let received = UnixSecs(reader.u32()?);
        let id = EnvelopeHash(reader.array()?);
        let topic = Topic(reader.array()?);
        let (made, expires) = (reader.u32()?, reader.u32()?);
        let from = match flags & SIGNED {
            0 => None,
            _ => match ClientPublic::from_bytes(reader.take(65)?) {
                Ok(from) => Some(from),
                Err(_) => return Ok(None),
            },
        };
        let tag = match flags & TAGGED {
            0 => None,
            _ => CopyTag::of_padding(reader.take(CopyTag::LEN)?),
        };
        let name_len = reader.u8()?;
        let Ok(to) = core::str::from_utf8(reader.take(name_len.into())?) else {
            return Ok(None);
        };
        Ok(Some(Self {
            number,
            received,
            to: to.to_owned(),
            from,
            id,
            tag,
            topic,
            made,
            expires,
            payload: Zeroizing::new(reader.rest().to_vec()),
        }))
    }
}

const VERSION: u8 = 1;
/// The row names a signer.
const SIGNED: u8 = 1;
/// The row has a copy tag.
const TAGGED: u8 = 2;
