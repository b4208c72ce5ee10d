//! Rows sealed under the key of the state.
//!
//! A reader of the file without the key sees how many rows each table has and their sizes up to 256
//! bytes; neither ids nor contents. A row moved to another place of the file does not open.
//!
//! Stored id = HMAC-SHA256(name key, table 1 | id), 16 bytes. Content = nonce 24 | XChaCha20-Poly1305 of
//! `id length 1 | id | value length 4 | value | zeros` to a multiple of 256, with `table 1 | stored id 16 |
//! schema 2` authenticated.

use chacha20poly1305::aead::{AeadInOut, inout::InOutBuf};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use circuits::bytes::{ByteReader, Truncated};
use hmac::{Hmac, Mac};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::{StateId, StateRow, StateTable};
use crate::contact::kdf::{Label, expand};

/// The id under which a row is stored.
pub type StoredId = [u8; STORED_ID_LEN];

impl MasterKey {
    /// The id under which a row is stored. It says nothing about the row without the key.
    #[must_use]
    pub fn stored_id(&self, table: StateTable, id: &StateId) -> StoredId {
        let key = expand::<32>(self.expose(), Label::STATE_NAME, &[]);
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice()).expect("any length");
        let hash = mac
            .chain_update([table.code()])
            .chain_update(id.as_bytes())
            .finalize()
            .into_bytes();
        let mut stored = [0; STORED_ID_LEN];
        for (to, from) in stored.iter_mut().zip(hash) {
            *to = from;
        }
        stored
    }

    /// The content of a row.
    ///
    /// # Errors
    ///
    /// [`RowTooLong`] if the id or the value exceeds its length field.
    pub fn seal_row(
        &self,
        table: StateTable,
        id: &StateId,
        value: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, RowTooLong> {
        let id_len = u8::try_from(id.as_bytes().len()).map_err(|_| RowTooLong)?;
        let value_len = u32::try_from(value.len()).map_err(|_| RowTooLong)?;
        let len = HEAD_LEN
            .saturating_add(id.as_bytes().len())
            .saturating_add(value.len());
        let mut content = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(PADDING)));
        content.push(id_len);
        content.extend_from_slice(id.as_bytes());
        content.extend_from_slice(&value_len.to_be_bytes());
        content.extend_from_slice(value);
        content.resize(len.next_multiple_of(PADDING), 0);
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let aad = associated_data(table, &self.stored_id(table, id));
        let tag = self
            .row_cipher(table)
            .encrypt_inout_detached(&nonce.into(), &aad, InOutBuf::from(content.as_mut_slice()))
            .map_err(|_| RowTooLong)?;
        Ok([&nonce[..], content.as_slice(), tag.as_slice()].concat())
    }

    /// Opens a row that was stored under this id.
    ///
    /// # Errors
    ///
    /// [`DamagedRow`] if the row was changed, moved, or sealed under another key.
    pub fn open_row(
        &self,
        table: StateTable,
        stored: &StoredId,
        sealed: &[u8],
    ) -> Result<StateRow, DamagedRow> {
        let mut reader = ByteReader::new(sealed);
        let nonce: [u8; NONCE_LEN] = reader.array()?;
        let len = reader.remaining().checked_sub(TAG_LEN);
        let mut content = Zeroizing::new(reader.take(len.ok_or(DamagedRow)?)?.to_vec());
        let tag: [u8; TAG_LEN] = reader.array()?;
        self.row_cipher(table)
            .decrypt_inout_detached(
                &nonce.into(),
                &associated_data(table, stored),
                InOutBuf::from(content.as_mut_slice()),
                &tag.into(),
            )
            .map_err(|_| DamagedRow)?;
        let mut reader = ByteReader::new(&content);
        let id_len = reader.u8()?;
        let id = StateId::new(reader.take(id_len.into())?);
        let value_len = usize::try_from(reader.u32()?).map_err(|_| DamagedRow)?;
        let value = Zeroizing::new(reader.take(value_len)?.to_vec());
        Ok(StateRow { table, id, value })
    }

    fn row_cipher(&self, table: StateTable) -> XChaCha20Poly1305 {
        let key = expand::<32>(self.expose(), Label::STATE_RECORD, &[&[table.code()]]);
        XChaCha20Poly1305::new(&(*key).into())
    }
}

fn associated_data(table: StateTable, stored: &StoredId) -> Vec<u8> {
    [&[table.code()][..], stored, &SCHEMA.to_be_bytes()].concat()
}

/// The id or the value of a row does not fit its length field.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a row of the state has an id of at most 255 bytes and a value of at most 4 GiB")]
pub struct RowTooLong;

/// A row does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a row of the state is damaged")]
pub struct DamagedRow;

impl From<Truncated> for DamagedRow {
    fn from(_: Truncated) -> Self {
        Self
    }
}

/// The version of the tables.
pub const SCHEMA: u16 = 1;
const STORED_ID_LEN: usize = 16;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
/// The two length fields.
const HEAD_LEN: usize = 1 + 4;
/// Contents are filled to a multiple of this.
const PADDING: usize = 256;

#[cfg(test)]
mod tests {
    use circuits::erasing_rng::ErasingRng;

    use super::*;

    const TABLE: StateTable = StateTable::Contact;

    fn rng() -> ErasingRng {
        ErasingRng::from_seed(&[4; 32])
    }

    fn key() -> MasterKey {
        MasterKey::draw(&mut rng())
    }

    fn id() -> StateId {
        StateId::new(*b"desk")
    }

    #[test]
    fn row_opens_with_its_id_and_value() {
        let key = key();
        for len in [0, 1, 247, 248, 70_000] {
            let sealed = key
                .seal_row(TABLE, &id(), &vec![7; len], &mut rng())
                .unwrap();
            let row = key
                .open_row(TABLE, &key.stored_id(TABLE, &id()), &sealed)
                .unwrap();
            assert_eq!((row.table, row.id), (TABLE, id()));
            assert_eq!(*row.value, vec![7; len]);
        }
    }

    #[test]
    fn size_of_a_row_reveals_its_value_up_to_256_bytes_only() {
        let key = key();
        let size = |len: usize| {
            let value = vec![7; len];
            key.seal_row(TABLE, &id(), &value, &mut rng())
                .unwrap()
                .len()
        };
        let overhead = NONCE_LEN + TAG_LEN;
        assert_eq!(size(0), 256 + overhead);
        assert_eq!(size(247), 256 + overhead);
        assert_eq!(size(248), 512 + overhead);
    }

    #[test]
    fn row_moved_or_altered_by_a_thief_does_not_open() {
        let key = key();
        let stored = key.stored_id(TABLE, &id());
        let sealed = key.seal_row(TABLE, &id(), b"value", &mut rng()).unwrap();
        let other = key.stored_id(TABLE, &StateId::new(*b"desl"));
        assert!(key.open_row(TABLE, &other, &sealed).is_err());
        assert!(key.open_row(StateTable::Meta, &stored, &sealed).is_err());
        assert!(
            MasterKey::draw(&mut ErasingRng::from_seed(&[5; 32]))
                .open_row(TABLE, &stored, &sealed)
                .is_err()
        );
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(key.open_row(TABLE, &stored, &altered).is_err(), "{at}");
            assert!(key.open_row(TABLE, &stored, &sealed[..at]).is_err());
        }
    }

    #[test]
    fn stored_ids_of_one_name_differ_between_tables() {
        let key = key();
        let ids = StateTable::ALL.map(|table| key.stored_id(table, &id()));
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[at + 1..].contains(id));
        }
    }

    #[test]
    fn id_longer_than_its_length_field_is_refused() {
        let long = StateId::new(vec![0; StateId::MAX_LEN + 1]);
        let refused = key().seal_row(TABLE, &long, b"", &mut rng()).unwrap_err();
        assert_eq!(refused, RowTooLong);
    }
}
