//! A reader that cannot over-read and a writer that cannot overflow.
//!
//! Every fixed-width format above (cells, shards, tickets, records) goes through these two. All
//! integers are big-endian. Trailing bytes are an error unless the caller takes them with
//! [`ByteReader::rest`]; variable-length formats of foreign design (RLP) are not parsed here.

use core::fmt;

/// Takes fields off the front of a byte slice.
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
    /// [`Truncated`] if fewer are left; nothing is consumed then.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.left.split_at_checked(len).ok_or(Truncated)?;
        self.left = tail;
        Ok(head)
    }

    /// Takes exactly `N` bytes as an array.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer are left; nothing is consumed then.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, tail) = self.left.split_first_chunk::<N>().ok_or(Truncated)?;
        self.left = tail;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if none is left.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a big-endian 16-bit integer.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer than two bytes are left.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a big-endian 32-bit integer.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer than four bytes are left.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a big-endian 64-bit integer.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if fewer than eight bytes are left.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    /// Everything that is left; the reader is used up.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.left
    }

    /// Number of bytes left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`TrailingBytes`] if anything is left.
    pub const fn finish(self) -> Result<(), TrailingBytes> {
        if self.left.is_empty() {
            Ok(())
        } else {
            Err(TrailingBytes)
        }
    }
}

/// Puts fields one after another into a buffer of fixed size.
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
    /// [`Full`] if they do not fit; nothing is written then.
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

    /// The part not written yet; the writer is used up.
    #[must_use]
    pub const fn rest(self) -> &'a mut [u8] {
        self.left
    }
}

/// The `N` bytes of `array` from `START` on; a range beyond its end stops the build.
///
/// For formats of constant length, where a read that can fail would only hide that it cannot.
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

/// As [`part`], for writing.
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

/// Fewer bytes were left than the format requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input ends too early")
    }
}

impl core::error::Error for Truncated {}

/// Bytes were left over after the last field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TrailingBytes;

impl fmt::Display for TrailingBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input goes on after its last field")
    }
}

impl core::error::Error for TrailingBytes {}

/// The buffer is smaller than what was to be written.
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
    fn reads_fields_in_order_and_ends_exactly() {
        let mut reader = ByteReader::new(&[1, 0, 2, 0, 0, 0, 3, 9, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(reader.take(2), Ok(&[9, 9][..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_field_cut_short_consumes_nothing() {
        let mut reader = ByteReader::new(&[7]);
        assert_eq!(reader.u16(), Err(Truncated));
        assert_eq!(reader.u8(), Ok(7));
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        assert_eq!(ByteReader::new(&[0]).finish(), Err(TrailingBytes));
    }

    #[test]
    fn the_writer_refuses_what_does_not_fit() {
        let mut buffer = [0; 3];
        let mut writer = ByteWriter::new(&mut buffer);
        assert_eq!(writer.put(&[1, 2]), Ok(()));
        assert_eq!(writer.put(&[3, 4]), Err(Full));
        assert_eq!(buffer, [1, 2, 0]);
    }
}
