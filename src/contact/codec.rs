//! How the state of contact becomes bytes, and is read again.
//!
//! A small binary codec: a version, then fields in a fixed order; integers are big-endian, byte strings
//! and lists carry their length. What it writes contains keys, so its buffer is erased on drop, also
//! where it grows. It encrypts nothing; the store does.

use circuits::bytes::{ByteReader, TrailingBytes, Truncated};
use zeroize::Zeroizing;

use super::kdf::Key32;

/// A record of the state cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadState {
    /// Another version of the program wrote the record.
    #[error(
        "a record of the state has version {found}; this program reads version {expected}: use the \
         program that wrote it"
    )]
    Version {
        /// The version of the record.
        found: u8,
        /// The version that this program reads.
        expected: u8,
    },
    /// The record is shorter or longer than its fields.
    #[error("a record of the state does not have the length of its fields: restore a backup")]
    Length,
    /// A field has a value that the program does not write.
    #[error("a record of the state has an invalid field, {0}: restore a backup")]
    Field(&'static str),
}

impl From<Truncated> for BadState {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

impl From<TrailingBytes> for BadState {
    fn from(_: TrailingBytes) -> Self {
        Self::Length
    }
}

/// Writes a record.
pub struct StateWriter(Zeroizing<Vec<u8>>);

impl StateWriter {
    /// Starts a record of a version.
    #[must_use]
    pub fn new(version: u8) -> Self {
        let mut writer = Self(Zeroizing::new(Vec::with_capacity(FIRST_CAPACITY)));
        writer.u8(version);
        writer
    }

    /// Writes one byte.
    pub fn u8(&mut self, value: u8) {
        self.array(&[value]);
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// Writes two bytes.
    pub fn u16(&mut self, value: u16) {
        self.array(&value.to_be_bytes());
    }

    /// Writes four bytes.
    pub fn u32(&mut self, value: u32) {
        self.array(&value.to_be_bytes());
    }

    /// Writes eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.array(&value.to_be_bytes());
    }

    /// Writes bytes of a length that the reader knows.
    pub fn array(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            // A vector that grows by itself leaves a copy of its bytes behind.
            let mut grown = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
    }

    /// Writes a byte string and its length, four bytes. No record has 4 GB.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.array(bytes);
    }

    /// Writes whether there is a value, and the value.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Writes a list and its length.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            write(self, item);
        }
    }

    /// The record.
    #[must_use]
    pub fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl std::io::Write for StateWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.array(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Bytes that a record holds before it grows.
const FIRST_CAPACITY: usize = 512;

/// Reads a record.
#[derive(Clone, Debug)]
pub struct StateReader<'a>(ByteReader<'a>);

impl<'a> StateReader<'a> {
    /// Starts to read a record.
    ///
    /// # Errors
    ///
    /// [`BadState::Version`] if the record has another version.
    pub fn new(bytes: &'a [u8], version: u8) -> Result<Self, BadState> {
        let mut reader = Self(ByteReader::new(bytes));
        let found = reader.u8()?;
        if found == version {
            Ok(reader)
        } else {
            Err(BadState::Version {
                found,
                expected: version,
            })
        }
    }

    /// Reads one byte.
    ///
    /// # Errors
    ///
    /// [`BadState::Length`], here and below, if the record ends before.
    pub fn u8(&mut self) -> Result<u8, BadState> {
        Ok(self.0.u8()?)
    }

    /// Reads a truth value.
    ///
    /// # Errors
    ///
    /// [`BadState::Field`] if the byte is neither 0 nor 1.
    pub fn bool(&mut self) -> Result<bool, BadState> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadState::Field("truth value")),
        }
    }

    /// Reads two bytes.
    ///
    /// # Errors
    ///
    /// If the record ends before.
    pub fn u16(&mut self) -> Result<u16, BadState> {
        Ok(self.0.u16()?)
    }

    /// Reads four bytes.
    ///
    /// # Errors
    ///
    /// If the record ends before.
    pub fn u32(&mut self) -> Result<u32, BadState> {
        Ok(self.0.u32()?)
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    ///
    /// If the record ends before.
    pub fn u64(&mut self) -> Result<u64, BadState> {
        Ok(self.0.u64()?)
    }

    /// Reads `N` bytes.
    ///
    /// # Errors
    ///
    /// If the record ends before.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], BadState> {
        Ok(self.0.array()?)
    }

    /// Reads a key of 32 bytes.
    ///
    /// # Errors
    ///
    /// If the record ends before.
    pub fn key(&mut self) -> Result<Key32, BadState> {
        self.array().map(Zeroizing::new)
    }

    /// Reads a byte string.
    ///
    /// # Errors
    ///
    /// If the record ends before.
    pub fn bytes(&mut self) -> Result<&'a [u8], BadState> {
        let len = usize::try_from(self.u32()?).map_err(|_| BadState::Length)?;
        Ok(self.0.take(len)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// [`BadState::Field`] if the text is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, BadState> {
        str::from_utf8(self.bytes()?).map_err(|_| BadState::Field("text"))
    }

    /// Reads a value that may be absent.
    ///
    /// # Errors
    ///
    /// That of `read`, or of the record.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, BadState>,
    ) -> Result<Option<T>, BadState> {
        self.bool()?.then(|| read(self)).transpose()
    }

    /// Reads a list of at most `max` items.
    ///
    /// # Errors
    ///
    /// [`BadState::Field`] if the list is longer; else that of `read`, or of the record.
    pub fn list<T>(
        &mut self,
        max: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, BadState>,
    ) -> Result<Vec<T>, BadState> {
        let len = usize::try_from(self.u32()?).map_err(|_| BadState::Length)?;
        if len > max {
            return Err(BadState::Field("length of a list"));
        }
        (0..len).map(|_| read(self)).collect()
    }

    /// Checks that the record is read to its end.
    ///
    /// # Errors
    ///
    /// [`BadState::Length`] if bytes are left.
    pub fn finish(self) -> Result<(), BadState> {
        Ok(self.0.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(3);
        writer.u8(1);
        writer.bool(true);
        writer.u16(2);
        writer.u32(3);
        writer.u64(4);
        writer.array(&[5; 32]);
        writer.bytes(&[6; 700]);
        writer.bytes("text".as_bytes());
        writer.option(Some(7), StateWriter::u8);
        writer.option(None, StateWriter::u8);
        writer.list([8_u16, 9].into_iter(), StateWriter::u16);
        writer.finish()
    }

    fn read(bytes: &[u8]) -> Result<(), BadState> {
        let mut reader = StateReader::new(bytes, 3)?;
        assert_eq!((reader.u8()?, reader.bool()?), (1, true));
        assert_eq!((reader.u16()?, reader.u32()?, reader.u64()?), (2, 3, 4));
        assert_eq!(*reader.key()?, [5; 32]);
        assert_eq!(reader.bytes()?, [6; 700]);
        assert_eq!(reader.text()?, "text");
        assert_eq!(reader.option(StateReader::u8)?, Some(7));
        assert_eq!(reader.option(StateReader::u8)?, None);
        assert_eq!(reader.list(2, StateReader::u16)?, [8, 9]);
        reader.finish()
    }

    #[test]
    fn record_is_read_as_it_was_written() {
        assert_eq!(read(&record()), Ok(()));
    }

    #[test]
    fn record_of_any_other_length_is_refused() {
        let whole = record();
        for len in 0..whole.len() {
            let (cut, _) = whole.split_at(len);
            assert_eq!(read(cut), Err(BadState::Length), "{len}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(read(&longer), Err(BadState::Length));
    }

    #[test]
    fn record_of_another_version_is_refused() {
        let mut altered = record();
        altered[0] = 4;
        let version = BadState::Version {
            found: 4,
            expected: 3,
        };
        assert_eq!(read(&altered), Err(version));
    }

    #[test]
    fn list_longer_than_its_bound_is_refused_before_it_is_read() {
        let mut writer = StateWriter::new(1);
        writer.u32(u32::MAX);
        let bytes = writer.finish();
        let mut reader = StateReader::new(&bytes, 1).unwrap();
        let list = reader.list(5, StateReader::u8);
        assert_eq!(list, Err(BadState::Field("length of a list")));
    }
}
