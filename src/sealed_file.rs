//! Files that wait on this machine in chunks, each sealed under a key of its file.
//!
//! The key of a file is a row of the user's state; the sealed chunks are outside of it. A thief of the
//! chunks without the key learns how many there are, and nothing else: every chunk has the same size.
//! A chunk that was changed, or moved to another place or file, does not open.
//!
//! Sealed chunk = nonce 24 | XChaCha20-Poly1305 of the chunk, 65,536 | tag 16, with `whisht files 1 | id of
//! the file 16 | number of the chunk 4` authenticated. Nothing here opens a file.

use core::fmt;

use chacha20poly1305::aead::{AeadInOut, inout::InOutBuf};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use circuits::bytes::ByteReader;
use circuits::secret::Secret;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Bytes of a chunk. The last chunk of a file is filled up with zeros.
pub const FILE_CHUNK: usize = 65_536;
/// Bytes of a sealed chunk.
pub const SEALED_CHUNK: usize = NONCE_LEN + FILE_CHUNK + TAG_LEN;

/// The name of a stored file, drawn by the node. No peer learns it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct StoredFileId(pub [u8; 16]);

impl StoredFileId {
    /// Draws a name.
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self(id)
    }
}

impl fmt::Debug for StoredFileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredFileId(..)")
    }
}

/// The key of a stored file.
#[derive(Debug)]
pub struct FileKey(Secret<32>);

impl FileKey {
    /// Draws a key.
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::init_with(|key| rng.fill_bytes(key)))
    }

    /// A key that the state of the user contains.
    #[must_use]
    pub const fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    /// The bytes, for the state of the user.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Seals a chunk of at most [`FILE_CHUNK`] bytes, which is filled up with zeros.
    ///
    /// # Errors
    ///
    /// [`ChunkTooLong`] if it has more.
    pub fn seal(
        &self,
        file: StoredFileId,
        chunk: u32,
        bytes: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, ChunkTooLong> {
        if bytes.len() > FILE_CHUNK {
            return Err(ChunkTooLong(bytes.len()));
        }
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut content = Zeroizing::new(Vec::with_capacity(FILE_CHUNK));
        content.extend_from_slice(bytes);
        content.resize(FILE_CHUNK, 0);
        let tag = self
            .cipher()
            .encrypt_inout_detached(
                &nonce.into(),
                &associated_data(file, chunk),
                InOutBuf::from(content.as_mut_slice()),
            )
            .map_err(|_| ChunkTooLong(bytes.len()))?;
        Ok([&nonce[..], content.as_slice(), tag.as_slice()].concat())
    }

    /// Opens a chunk: [`FILE_CHUNK`] bytes.
    ///
    /// # Errors
    ///
    /// [`DamagedChunk`] if the chunk was changed, moved, or sealed under another key.
    pub fn open(
        &self,
        file: StoredFileId,
        chunk: u32,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DamagedChunk> {
        let mut reader = ByteReader::new(sealed);
        let nonce: [u8; NONCE_LEN] = reader.array().map_err(|_| DamagedChunk)?;
        let content = reader.take(FILE_CHUNK).map_err(|_| DamagedChunk)?;
        let mut content = Zeroizing::new(content.to_vec());
        let tag: [u8; TAG_LEN] = reader.array().map_err(|_| DamagedChunk)?;
        if reader.remaining() > 0 {
            return Err(DamagedChunk);
        }
        self.cipher()
            .decrypt_inout_detached(
                &nonce.into(),
                &associated_data(file, chunk),
                InOutBuf::from(content.as_mut_slice()),
                &tag.into(),
            )
            .map_err(|_| DamagedChunk)?;
        Ok(content)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.expose().into())
    }
}

fn associated_data(file: StoredFileId, chunk: u32) -> Vec<u8> {
    [&b"whisht files 1"[..], &file.0, &chunk.to_be_bytes()].concat()
}

/// A chunk is too long to be sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a chunk of a file has at most 65,536 bytes; this has {0}")]
pub struct ChunkTooLong(pub usize);

/// A chunk does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a chunk of a stored file is damaged, or belongs to another place or key")]
pub struct DamagedChunk;

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn sealed_chunk_moved_cut_or_changed_does_not_open() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let (key, other) = (FileKey::draw(rng), FileKey::draw(rng));
        let file = StoredFileId::draw(rng);
        let sealed = key.seal(file, 7, b"the list of names", rng).unwrap();
        assert_eq!(sealed.len(), SEALED_CHUNK);
        let opened = key.open(file, 7, &sealed).unwrap();
        assert_eq!(opened.len(), FILE_CHUNK);
        assert!(opened.starts_with(b"the list of names\0"));

        assert_eq!(key.open(file, 8, &sealed), Err(DamagedChunk));
        let moved = StoredFileId::draw(rng);
        assert_eq!(key.open(moved, 7, &sealed), Err(DamagedChunk));
        assert_eq!(other.open(file, 7, &sealed), Err(DamagedChunk));
        let (_, cut) = sealed.split_last().unwrap();
        assert_eq!(key.open(file, 7, cut), Err(DamagedChunk));
        let long = [&sealed[..], &[0]].concat();
        assert_eq!(key.open(file, 7, &long), Err(DamagedChunk));
        for at in [0, NONCE_LEN, SEALED_CHUNK - 1] {
            let mut changed = sealed.clone();
            *changed.get_mut(at).unwrap() ^= 1;
            assert_eq!(key.open(file, 7, &changed), Err(DamagedChunk), "byte {at}");
        }
    }

    #[test]
    fn chunk_sealed_twice_differs_and_a_longer_one_is_refused() {
        let rng = &mut ChaCha20Rng::from_seed([2; 32]);
        let (key, file) = (FileKey::draw(rng), StoredFileId::draw(rng));
        let whole = vec![5; FILE_CHUNK];
        let first = key.seal(file, 0, &whole, rng).unwrap();
        let second = key.seal(file, 0, &whole, rng).unwrap();
        assert_ne!(first, second);
        let long = vec![5; FILE_CHUNK + 1];
        let refused = key.seal(file, 0, &long, rng);
        assert_eq!(refused, Err(ChunkTooLong(FILE_CHUNK + 1)));
    }
}
