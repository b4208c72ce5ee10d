//! Encodes RLP, with the crate `rlp` underneath.
//!
//! A list is written by a function, so it cannot be left open and its items need not be counted.
//! The writer sends nothing and checks no format.

use ::rlp::RlpStream;

/// Writes items one after another.
pub(crate) struct RlpWriter(RlpStream);

impl RlpWriter {
    /// The encoding of one list, whose items `items` writes.
    pub(crate) fn only_list(items: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self(RlpStream::new());
        writer.list(items);
        writer.0.out().into()
    }

    /// Appends a list of items that are encoded already, without an intermediate copy.
    pub(crate) fn append_list_of<'a>(
        items: impl Iterator<Item = &'a [u8]> + Clone,
        to: &mut Vec<u8>,
    ) {
        let len: usize = items.clone().map(<[u8]>::len).sum();
        to.reserve(len.saturating_add(MAX_HEADER_LEN));
        match u8::try_from(len) {
            Ok(len @ 0..=55) => to.push(0xc0 + len),
            _ => {
                let bytes = len.to_be_bytes();
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                let significant = bytes.get(zeros..).unwrap_or_default();
                to.push(u8::try_from(significant.len()).map_or(u8::MAX, |width| 0xf7 + width));
                to.extend_from_slice(significant);
            }
        }
        for item in items {
            to.extend_from_slice(item);
        }
    }

    /// The encoding of one byte string.
    pub(crate) fn only_bytes(bytes: &[u8]) -> Vec<u8> {
        ::rlp::encode(&bytes).into()
    }

    /// The encoding of one integer.
    pub(crate) fn only_integer(value: impl Into<u64>) -> Vec<u8> {
        let value: u64 = value.into();
        ::rlp::encode(&value).into()
    }

    /// Writes a list, whose items `items` writes.
    pub(crate) fn list(&mut self, items: impl FnOnce(&mut Self)) -> &mut Self {
        self.0.begin_unbounded_list();
        items(self);
        self.0.finalize_unbounded_list();
        self
    }

    /// Writes a byte string.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.append(&bytes);
        self
    }

    /// Writes an integer: big-endian without leading zeros.
    pub(crate) fn integer(&mut self, value: impl Into<u64>) -> &mut Self {
        let value: u64 = value.into();
        self.0.append(&value);
        self
    }

    /// Copies items that are encoded already.
    pub(crate) fn encoded(&mut self, items: &[u8]) -> &mut Self {
        self.0.append_raw(items, 1);
        self
    }
}

/// The longest header of a list: a byte, and its length in eight bytes.
const MAX_HEADER_LEN: usize = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rlp::{RlpItem, RlpReader};

    #[test]
    fn writer_encodes_the_examples_of_the_specification() {
        assert_eq!(RlpWriter::only_bytes(b"dog"), b"\x83dog");
        assert_eq!(RlpWriter::only_bytes(b""), [0x80]);
        assert_eq!(RlpWriter::only_integer(0_u8), [0x80]);
        assert_eq!(RlpWriter::only_integer(15_u8), [0x0f]);
        assert_eq!(RlpWriter::only_integer(1_024_u16), [0x82, 0x04, 0x00]);
        assert_eq!(RlpWriter::only_list(|_| {}), [0xc0]);
        let animals = RlpWriter::only_list(|list| {
            list.bytes(b"cat").bytes(b"dog");
        });
        assert_eq!(animals, b"\xc8\x83cat\x83dog");
        // The set-theoretical representation of three.
        let three = RlpWriter::only_list(|list| {
            list.list(|_| {})
                .list(|list| {
                    list.list(|_| {});
                })
                .list(|list| {
                    list.list(|_| {}).list(|list| {
                        list.list(|_| {});
                    });
                });
        });
        assert_eq!(three, [0xc7, 0xc0, 0xc1, 0xc0, 0xc3, 0xc0, 0xc1, 0xc0]);
    }

    #[test]
    fn several_encoded_items_are_copied_into_a_list() {
        let items = [RlpWriter::only_bytes(b"cat"), RlpWriter::only_integer(7_u8)];
        let list = RlpWriter::only_list(|list| {
            list.encoded(&items.concat()).bytes(b"x");
        });
        let mut reader = RlpReader::only_list(&list).unwrap();
        assert_eq!(reader.bytes(), Ok(&b"cat"[..]));
        assert_eq!(reader.integer(), Ok(7));
        assert_eq!(reader.bytes(), Ok(&b"x"[..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn list_of_encoded_items_equals_one_of_the_crate() {
        for len in [0, 1, 54, 55, 56, 255, 256, 65_535, 65_536] {
            let item = RlpWriter::only_bytes(&vec![7; len]);
            for items in [vec![], vec![&item[..]], vec![&item[..], &[1], &item[..]]] {
                let mut list = vec![9];
                RlpWriter::append_list_of(items.iter().copied(), &mut list);
                let expected = RlpWriter::only_list(|list| {
                    list.encoded(&items.concat());
                });
                assert_eq!(list, [vec![9], expected].concat());
            }
        }
    }

    proptest! {
        #[test]
        fn reader_reads_what_writer_wrote(
            number: u64,
            bytes in proptest::collection::vec(any::<u8>(), 0..70_000),
            inner in proptest::collection::vec(any::<u32>(), 0..40),
        ) {
            let list = RlpWriter::only_list(|list| {
                list.integer(number).bytes(&bytes).list(|list| {
                    for item in &inner {
                        list.integer(*item);
                    }
                });
            });
            let mut reader = RlpReader::only_list(&list).unwrap();
            prop_assert_eq!(reader.integer(), Ok(number));
            prop_assert_eq!(reader.bytes(), Ok(&bytes[..]));
            let RlpItem::List(mut items) = reader.item().unwrap() else {
                return Err(TestCaseError::fail("not a list"));
            };
            for item in inner {
                prop_assert_eq!(items.integer(), Ok(u64::from(item)));
            }
            prop_assert!(items.is_empty() && reader.is_empty());
        }
    }
}
