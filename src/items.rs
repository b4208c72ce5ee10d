//! Walks RLP that a stranger wrote.
//!
//! A cursor over the items of one list: it borrows, never recurses and never allocates, so nesting
//! and announced lengths cost an attacker's bytes and nothing of ours. Encodings are held to their
//! shortest form, as Ethereum's own decoders do. Whether what a caller does not ask for is an
//! error is the caller's choice, because the protocols differ in it: see [`Items::finish`].

use circuits::bytes::ByteReader;

/// The items of an RLP list, or of a bare byte string taken as a sequence of items.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items<'a> {
    left: &'a [u8],
}

/// One item.
#[derive(Clone, Debug)]
pub(crate) enum Item<'a> {
    /// A byte string.
    Bytes(&'a [u8]),
    /// A list, not yet looked into.
    List(Items<'a>),
}

impl<'a> Items<'a> {
    /// Items one after another, such as a message payload.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Opens a packet that is one list and nothing after it.
    pub(crate) fn only_list(packet: &'a [u8]) -> Result<Self, NotRlp> {
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
    pub(crate) const fn finish(self) -> Result<(), NotRlp> {
        if self.is_empty() { Ok(()) } else { Err(NotRlp) }
    }

    /// Takes the next item.
    pub(crate) fn item(&mut self) -> Result<Item<'a>, NotRlp> {
        let mut reader = ByteReader::new(self.left);
        let first = reader.u8().map_err(|_| NotRlp)?;
        let item = match first {
            0..=0x7f => Item::Bytes(self.left.get(..1).ok_or(NotRlp)?),
            0x80..=0xb7 => {
                let bytes = take(&mut reader, usize::from(first - 0x80))?;
                if first == 0x81 && bytes.first().is_some_and(|&byte| byte < 0x80) {
                    return Err(NotRlp);
                }
                Item::Bytes(bytes)
            }
            0xb8..=0xbf => Item::Bytes(take_long(&mut reader, first - 0xb7)?),
            0xc0..=0xf7 => Item::List(Self::new(take(&mut reader, usize::from(first - 0xc0))?)),
            0xf8..=0xff => Item::List(Self::new(take_long(&mut reader, first - 0xf7)?)),
        };
        self.left = reader.rest();
        Ok(item)
    }

    /// Takes the next item, which must be a list.
    pub(crate) fn list(&mut self) -> Result<Self, NotRlp> {
        match self.item()? {
            Item::List(items) => Ok(items),
            Item::Bytes(_) => Err(NotRlp),
        }
    }

    /// Takes the next item, which must be a list, and returns it whole, header and all.
    pub(crate) fn raw_list(&mut self) -> Result<&'a [u8], NotRlp> {
        let before = self.left;
        self.list()?;
        let len = before.len().checked_sub(self.left.len());
        len.and_then(|len| before.get(..len)).ok_or(NotRlp)
    }

    /// Takes the next item, which must be a byte string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], NotRlp> {
        match self.item()? {
            Item::Bytes(bytes) => Ok(bytes),
            Item::List(_) => Err(NotRlp),
        }
    }

    /// Takes the next item, which must be a byte string of `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], NotRlp> {
        self.bytes()?.try_into().map_err(|_| NotRlp)
    }

    /// Takes the next item, which must be an integer of up to 64 bits.
    pub(crate) fn integer(&mut self) -> Result<u64, NotRlp> {
        integer(self.bytes()?)
    }
}

/// Reads a byte string as an integer: big-endian, no leading zeros, at most 64 bits.
pub(crate) fn integer(bytes: &[u8]) -> Result<u64, NotRlp> {
    if bytes.first() == Some(&0) || bytes.len() > 8 {
        return Err(NotRlp);
    }
    Ok(bytes
        .iter()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte)))
}

fn take<'a>(reader: &mut ByteReader<'a>, len: usize) -> Result<&'a [u8], NotRlp> {
    reader.take(len).map_err(|_| NotRlp)
}

/// Takes content whose length needs `width` bytes of its own: only lengths above 55 do.
fn take_long<'a>(reader: &mut ByteReader<'a>, width: u8) -> Result<&'a [u8], NotRlp> {
    let len = integer(take(reader, usize::from(width))?)?;
    if len <= 55 {
        return Err(NotRlp);
    }
    take(reader, usize::try_from(len).map_err(|_| NotRlp)?)
}

/// Not RLP, not in shortest form, cut short, or another kind of item than the protocol wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotRlp;

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

        let mut items = Items::only_list(&bytes).unwrap();
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
            assert_eq!(Items::new(bytes).item().unwrap_err(), NotRlp);
        }
        assert_eq!(Items::new(&[0x82, 0, 5]).integer(), Err(NotRlp));
        assert_eq!(Items::new(&[0]).integer(), Err(NotRlp));
    }

    #[test]
    fn an_integer_of_nine_bytes_is_refused() {
        assert_eq!(
            Items::new(&[0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0]).integer(),
            Err(NotRlp)
        );
    }

    #[test]
    fn an_item_that_reaches_past_its_list_is_refused() {
        let mut items = Items::new(&[0xc2, 0x83, 0x01, 0x02, 0x03]).list().unwrap();
        assert_eq!(items.item().unwrap_err(), NotRlp);
    }

    #[test]
    fn bytes_after_the_list_matter_only_where_the_caller_says_so() {
        assert!(Items::new(&[0xc0, 0x01]).list().is_ok());
        assert_eq!(Items::only_list(&[0xc0, 0x01]).unwrap_err(), NotRlp);
        assert_eq!(Items::only_list(&[]).unwrap_err(), NotRlp);
    }

    #[test]
    fn a_length_near_the_end_of_the_address_space_is_refused_at_once() {
        let bomb = [0xff; 9];
        assert_eq!(Items::new(&bomb).item().unwrap_err(), NotRlp);
        let mut bomb = vec![0xbf, 0x7f];
        bomb.extend([0xff; 7]);
        assert_eq!(Items::new(&bomb).item().unwrap_err(), NotRlp);
    }

    #[test]
    fn a_million_nested_lists_cost_nothing() {
        let nested = vec![0xc1; 1_000_000];
        assert!(Items::new(&nested).list().unwrap().list().is_err());
    }
}
