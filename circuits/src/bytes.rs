//! Bounds-checked reader and writer for fixed-width binary formats.
//!
//! Cells, shards, tickets and records are read and written through [`ByteReader`] and
//! [`ByteWriter`]. All integers are big-endian. Trailing bytes are an error unless the caller takes
//! them with [`ByteReader::rest`]. RLP and other variable-length formats are not parsed here.

use core::fmt;

/// Reads fields from the front of a byte slice.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    left: &'a [u8],
}

impl<'a> ByteReader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Takes exactly `len` bytes.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer bytes remain; the reader does not advance.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.left.split_at_checked(len).ok_or(Truncated)?;
        self.left = tail;
        Ok(head)
    }

    /// Takes exactly `N` bytes as an array.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer bytes remain; the reader does not advance.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, tail) = self.left.split_first_chunk::<N>().ok_or(Truncated)?;
        self.left = tail;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if no byte remains.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a big-endian 16-bit integer.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer than two bytes remain.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a big-endian 32-bit integer.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer than four bytes remain.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a big-endian 64-bit integer.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer than eight bytes remain.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    /// All remaining bytes.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.left
    }

    /// Number of remaining bytes.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Checks that the input is consumed.
    ///
    /// # Errors
    ///
    /// [`TrailingBytes`] if bytes remain.
    pub const fn finish(self) -> Result<(), TrailingBytes> {
        if self.left.is_empty() {
            Ok(())
        } else {
            Err(TrailingBytes)
        }
    }
}

/// Writes fields one after another into a buffer of fixed size.
#[derive(Debug)]
pub struct ByteWriter<'a> {
    left: &'a mut [u8],
}

impl<'a> ByteWriter<'a> {
    /// Starts at the front of `buffer`.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { left: buffer }
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    ///
    /// [`Full`] if the bytes do not fit; nothing is written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let left = core::mem::take(&mut self.left);
        match left.split_at_mut_checked(bytes.len()) {
            Some((head, tail)) => {
                head.copy_from_slice(bytes);
                self.left = tail;
                Ok(())
            }
            None => Err(Full),
        }
    }

    /// The unwritten part of the buffer.
    #[must_use]
    pub const fn rest(self) -> &'a mut [u8] {
        self.left
    }
}

/// The `N` bytes of `array` from `START` on. A range beyond the end is a compile error.
///
/// For formats of constant length, whose reads cannot fail.
///
/// ```
/// use circuits::bytes::part;
///
/// let middle: &[u8; 2] = part::<1, _, _>(&[7, 8, 9, 10]);
/// assert_eq!(middle, &[8, 9]);
/// ```
#[must_use]
pub const fn part<const START: usize, const N: usize, const LEN: usize>(
    array: &[u8; LEN],
) -> &[u8; N] {
    const { assert!(START + N <= LEN) };
    #[expect(clippy::expect_used, reason = "the assertion above")]
    array
        .split_at(START)
        .1
        .first_chunk()
        .expect("within bounds")
}

/// Mutable counterpart of [`part`].
#[must_use]
pub const fn part_mut<const START: usize, const N: usize, const LEN: usize>(
    array: &mut [u8; LEN],
) -> &mut [u8; N] {
    const { assert!(START + N <= LEN) };
    #[expect(clippy::expect_used, reason = "the assertion above")]
    let part = array
        .split_at_mut(START)
        .1
        .first_chunk_mut()
        .expect("within bounds");
    part
}

/// The input has fewer bytes than the format requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input ends too early")
    }
}

impl core::error::Error for Truncated {}

/// The input has bytes after the last field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TrailingBytes;

impl fmt::Display for TrailingBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input has bytes after its last field")
    }
}

impl core::error::Error for TrailingBytes {}

/// The buffer has less space than the field requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("output buffer is full")
    }
}

impl core::error::Error for Full {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_reads_fields_in_order_and_finishes() {
        let mut reader = ByteReader::new(&[1, 0, 2, 0, 0, 0, 3, 9, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(reader.take(2), Ok(&[9, 9][..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn reader_does_not_advance_on_truncated_field() {
        let mut reader = ByteReader::new(&[7]);
        assert_eq!(reader.u16(), Err(Truncated));
        assert_eq!(reader.u8(), Ok(7));
    }

    #[test]
    fn reader_finish_refuses_trailing_bytes() {
        assert_eq!(ByteReader::new(&[0]).finish(), Err(TrailingBytes));
    }

    #[test]
    fn writer_refuses_field_larger_than_remaining_space() {
        let mut buffer = [0; 3];
        let mut writer = ByteWriter::new(&mut buffer);
        assert_eq!(writer.put(&[1, 2]), Ok(()));
        assert_eq!(writer.put(&[3, 4]), Err(Full));
        assert_eq!(buffer, [1, 2, 0]);
    }
}
