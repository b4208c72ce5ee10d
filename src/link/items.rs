//! Walks RLP that a stranger wrote.
//!
//! A cursor over the items of one list: it borrows, never recurses and never allocates, so nesting
//! and announced lengths cost an attacker's bytes and nothing of ours. Encodings are held to their
//! shortest form, as Ethereum's own decoders do. What a caller does not ask for stays unparsed,
//! which is how trailing elements of later protocol versions are skipped.

use circuits::bytes::Reader;

/// The items of an RLP list, or of a bare byte string taken as a sequence of items.
#[derive(Clone, Debug)]
pub(super) struct Items<'a> {
    left: &'a [u8],
}

/// One item.
#[derive(Clone, Debug)]
pub(super) enum Item<'a> {
    /// A byte string.
    Bytes(&'a [u8]),
    /// A list, not yet looked into.
    List(Items<'a>),
}

impl<'a> Items<'a> {
    /// Items one after another, such as a message payload.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Whether no item is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Takes the next item.
    pub(super) fn item(&mut self) -> Result<Item<'a>, NotRlp> {
        let mut reader = Reader::new(self.left);
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
    pub(super) fn list(&mut self) -> Result<Self, NotRlp> {
        match self.item()? {
            Item::List(items) => Ok(items),
            Item::Bytes(_) => Err(NotRlp),
        }
    }

    /// Takes the next item, which must be a byte string.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], NotRlp> {
        match self.item()? {
            Item::Bytes(bytes) => Ok(bytes),
            Item::List(_) => Err(NotRlp),
        }
    }

    /// Takes the next item, which must be a byte string of `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], NotRlp> {
        self.bytes()?.try_into().map_err(|_| NotRlp)
    }

    /// Takes the next item, which must be an integer of up to 64 bits.
    pub(super) fn integer(&mut self) -> Result<u64, NotRlp> {
        integer(self.bytes()?)
    }
}

/// Reads a byte string as an integer: big-endian, no leading zeros, at most 64 bits.
pub(super) fn integer(bytes: &[u8]) -> Result<u64, NotRlp> {
    if bytes.first() == Some(&0) || bytes.len() > 8 {
        return Err(NotRlp);
    }
    Ok(bytes
        .iter()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte)))
}

fn take<'a>(reader: &mut Reader<'a>, len: usize) -> Result<&'a [u8], NotRlp> {
    reader.take(len).map_err(|_| NotRlp)
}

/// Takes content whose length needs `width` bytes of its own: only lengths above 55 do.
fn take_long<'a>(reader: &mut Reader<'a>, width: u8) -> Result<&'a [u8], NotRlp> {
    let len = integer(take(reader, usize::from(width))?)?;
    if len <= 55 {
        return Err(NotRlp);
    }
    take(reader, usize::try_from(len).map_err(|_| NotRlp)?)
}

/// Not RLP, not in shortest form, cut short, or another kind of item than the protocol wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotRlp;

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

        let mut items = Items::new(&bytes).list().unwrap();
        assert_eq!(items.integer(), Ok(0));
        assert_eq!(items.integer(), Ok(0x1234));
        assert_eq!(items.array::<60>(), Ok([7; 60]));
        assert_eq!(items.list().unwrap().bytes(), Ok(&b"x"[..]));
        assert!(items.is_empty());
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
