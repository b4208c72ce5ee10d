//! Reads RLP that an untrusted peer wrote.
//!
//! A cursor over the items of one list: it borrows, never recurses and never allocates, so nesting
//! and announced lengths cost only the peer's bytes. Encodings must have their shortest form, as in
//! Ethereum's own decoders. Whether items that a caller does not ask for are an error is the
//! caller's choice, because the protocols differ in it: see [`RlpReader::finish`].

use circuits::bytes::ByteReader;

/// The items of an RLP list, or of a bare byte string taken as a sequence of items.
#[derive(Clone, Debug, Default)]
pub(crate) struct RlpReader<'a> {
    left: &'a [u8],
}

/// One item.
#[derive(Clone, Debug)]
pub(crate) enum RlpItem<'a> {
    /// A byte string.
    Bytes(&'a [u8]),
    /// A list, not yet looked into.
    List(RlpReader<'a>),
}

impl<'a> RlpReader<'a> {
    /// Items one after another, such as a message payload.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Opens a packet that is one list and nothing after it.
    pub(crate) fn only_list(packet: &'a [u8]) -> Result<Self, RlpError> {
        let mut items = Self::new(packet);
        let list = items.list()?;
        items.finish()?;
        Ok(list)
    }

    /// Whether no item is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Bytes that are left.
    pub(crate) const fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Ends the reading of a list of fixed length; an error if an item is left.
    pub(crate) const fn finish(self) -> Result<(), RlpError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(RlpError)
        }
    }

    /// Takes the next item.
    pub(crate) fn item(&mut self) -> Result<RlpItem<'a>, RlpError> {
        let mut reader = ByteReader::new(self.left);
        let first = reader.u8().map_err(|_| RlpError)?;
        let item = match first {
            0..=0x7f => RlpItem::Bytes(self.left.get(..1).ok_or(RlpError)?),
            0x80..=0xb7 => {
                let bytes = take(&mut reader, usize::from(first - 0x80))?;
                if first == 0x81 && bytes.first().is_some_and(|&byte| byte < 0x80) {
                    return Err(RlpError);
                }
                RlpItem::Bytes(bytes)
            }
            0xb8..=0xbf => RlpItem::Bytes(take_long(&mut reader, first - 0xb7)?),
            0xc0..=0xf7 => RlpItem::List(Self::new(take(&mut reader, usize::from(first - 0xc0))?)),
            0xf8..=0xff => RlpItem::List(Self::new(take_long(&mut reader, first - 0xf7)?)),
        };
        self.left = reader.rest();
        Ok(item)
    }

    /// Takes the next item, which must be a list.
    pub(crate) fn list(&mut self) -> Result<Self, RlpError> {
        match self.item()? {
            RlpItem::List(items) => Ok(items),
            RlpItem::Bytes(_) => Err(RlpError),
        }
    }

    /// Takes the next item, which must be a list, and returns it whole, header and all.
    pub(crate) fn raw_list(&mut self) -> Result<&'a [u8], RlpError> {
        let before = self.left;
        self.list()?;
        let len = before.len().checked_sub(self.left.len());
        len.and_then(|len| before.get(..len)).ok_or(RlpError)
    }

    /// Takes the next item, which must be a byte string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RlpError> {
        match self.item()? {
            RlpItem::Bytes(bytes) => Ok(bytes),
            RlpItem::List(_) => Err(RlpError),
        }
    }

    /// Takes the next item, which must be a byte string of `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RlpError> {
        self.bytes()?.try_into().map_err(|_| RlpError)
    }

    /// Takes the next item, which must be an integer of up to 64 bits.
    pub(crate) fn integer(&mut self) -> Result<u64, RlpError> {
        integer(self.bytes()?)
    }
}

/// Reads a byte string as an integer: big-endian, no leading zeros, at most 64 bits.
pub(crate) fn integer(bytes: &[u8]) -> Result<u64, RlpError> {
    if bytes.first() == Some(&0) || bytes.len() > 8 {
        return Err(RlpError);
    }
    Ok(bytes
        .iter()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte)))
}

fn take<'a>(reader: &mut ByteReader<'a>, len: usize) -> Result<&'a [u8], RlpError> {
    reader.take(len).map_err(|_| RlpError)
}

/// Takes content whose length needs `width` bytes of its own: only lengths above 55 do.
fn take_long<'a>(reader: &mut ByteReader<'a>, width: u8) -> Result<&'a [u8], RlpError> {
    let len = integer(take(reader, usize::from(width))?)?;
    if len <= 55 {
        return Err(RlpError);
    }
    take(reader, usize::try_from(len).map_err(|_| RlpError)?)
}

/// Not RLP, not in shortest form, cut short, or another kind of item than the protocol wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RlpError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_rlp_crate_writes() {
        let mut stream = rlp::RlpStream::new_list(4);
        stream.append(&0_u64).append(&0x1234_u64);
        stream.append(&vec![7_u8; 60]);
        stream.begin_list(1).append(&"x");
        let bytes = stream.out();

        let mut items = RlpReader::only_list(&bytes).unwrap();
        assert_eq!(items.integer(), Ok(0));
        assert_eq!(items.integer(), Ok(0x1234));
        assert_eq!(items.array::<60>(), Ok([7; 60]));
        assert_eq!(items.clone().raw_list(), Ok(&[0xc1, b'x'][..]));
        assert_eq!(items.list().unwrap().bytes(), Ok(&b"x"[..]));
        assert_eq!(items.finish(), Ok(()));
    }

    #[test]
    fn longer_forms_than_needed_are_refused() {
        for bytes in [&[0x81, 0x7f][..], &[0xb8, 1, 9], &[0xf8, 0], &[0xb9, 0, 60]] {
            assert_eq!(RlpReader::new(bytes).item().unwrap_err(), RlpError);
        }
        assert_eq!(RlpReader::new(&[0x82, 0, 5]).integer(), Err(RlpError));
        assert_eq!(RlpReader::new(&[0]).integer(), Err(RlpError));
    }

    #[test]
    fn an_integer_of_nine_bytes_is_refused() {
        assert_eq!(
            RlpReader::new(&[0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0]).integer(),
            Err(RlpError)
        );
    }

    #[test]
    fn an_item_that_reaches_past_its_list_is_refused() {
        let mut items = RlpReader::new(&[0xc2, 0x83, 0x01, 0x02, 0x03])
            .list()
            .unwrap();
        assert_eq!(items.item().unwrap_err(), RlpError);
    }

    #[test]
    fn bytes_after_the_list_matter_only_where_the_caller_says_so() {
        assert!(RlpReader::new(&[0xc0, 0x01]).list().is_ok());
        assert_eq!(RlpReader::only_list(&[0xc0, 0x01]).unwrap_err(), RlpError);
        assert_eq!(RlpReader::only_list(&[]).unwrap_err(), RlpError);
    }

    #[test]
    fn a_length_near_the_end_of_the_address_space_is_refused_at_once() {
        let bomb = [0xff; 9];
        assert_eq!(RlpReader::new(&bomb).item().unwrap_err(), RlpError);
        let mut bomb = vec![0xbf, 0x7f];
        bomb.extend([0xff; 7]);
        assert_eq!(RlpReader::new(&bomb).item().unwrap_err(), RlpError);
    }

    #[test]
    fn a_million_nested_lists_cost_nothing() {
        let nested = vec![0xc1; 1_000_000];
        assert!(RlpReader::new(&nested).list().unwrap().list().is_err());
    }
}
