//! One layer of a circuit in one direction: ChaCha20-Poly1305 over a body of constant length.
//!
//! A layer takes 16 bytes for its tag in front, so 16 bytes have to leave at the end. The keystream of
//! a cell continues beyond the 892 bytes that the tag covers; its next 16 bytes fill the place that
//! becomes free when a layer is removed (as the filler of a Sphinx header does). The origin knows all
//! streams and can therefore compute every byte that a relay fills in or drops.
//!
//! The counter of the cell is the nonce. This module does not count.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

use super::hop_keys::Broken;
use crate::bytes::{part, part_mut};
use crate::geometry::{CIRCUIT_BODY_LEN, CIRCUIT_TAG_LEN};
use crate::secret::Secret;

/// The key of one layer in one direction.
pub(super) struct LayerCipher(pub(super) Secret<32>);

impl LayerCipher {
    /// Encrypts the first 892 bytes of `body` and puts the tag in front. The last 16 bytes leave.
    pub(super) fn seal(&self, counter: u64, body: &mut [u8; CIRCUIT_BODY_LEN]) {
        body.rotate_right(CIRCUIT_TAG_LEN);
        let data = part_mut::<CIRCUIT_TAG_LEN, DATA_LEN, _>(body);
        #[expect(
            clippy::expect_used,
            reason = "fails beyond 256 GB; a body has 892 bytes"
        )]
        let tag = ChaCha20Poly1305::new(self.0.expose().into())
            .encrypt_inout_detached(&nonce(counter).into(), &[], data.as_mut_slice().into())
            .expect("a body is short enough");
        *part_mut::<0, CIRCUIT_TAG_LEN, _>(body) = tag.into();
    }

    /// Checks the tag, decrypts what it covers, and fills the last 16 bytes with the stream.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the body is not what was sealed under this counter.
    pub(super) fn open(
        &self,
        counter: u64,
        body: &mut [u8; CIRCUIT_BODY_LEN],
    ) -> Result<(), Broken> {
        let tag = *part::<0, CIRCUIT_TAG_LEN, _>(body);
        let data = part_mut::<CIRCUIT_TAG_LEN, DATA_LEN, _>(body);
        ChaCha20Poly1305::new(self.0.expose().into())
            .decrypt_inout_detached(
                &nonce(counter).into(),
                &[],
                data.as_mut_slice().into(),
                &tag.into(),
            )
            .map_err(|_| Broken)?;
        body.rotate_left(CIRCUIT_TAG_LEN);
        let end = part_mut::<DATA_LEN, CIRCUIT_TAG_LEN, _>(body);
        end.fill(0);
        self.add_stream(counter, end);
        Ok(())
    }

    /// XORs into `bytes` the part of the stream that ends with the 16 bytes beyond the data.
    pub(super) fn add_stream(&self, counter: u64, bytes: &mut [u8]) {
        self.add_stream_before(counter, CIRCUIT_BODY_LEN, bytes);
    }

    /// XORs into `bytes` the part of the stream that ends with the data.
    pub(super) fn add_data_stream(&self, counter: u64, bytes: &mut [u8]) {
        self.add_stream_before(counter, DATA_LEN, bytes);
    }

    fn add_stream_before(&self, counter: u64, end: usize, bytes: &mut [u8]) {
        let mut stream = ChaCha20::new(self.0.expose().into(), &nonce(counter).into());
        let start = end.saturating_sub(bytes.len());
        // The first block makes the key of the tag. The position is far below the stream's end.
        let _: Result<(), _> = stream.try_seek(TAG_KEY_BLOCK_LEN.saturating_add(start));
        stream.apply_keystream(bytes);
    }
}

/// Four zero bytes and the number of the cell.
fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    *part_mut::<4, 8, _>(&mut nonce) = counter.to_be_bytes();
    nonce
}

/// Bytes that the tag of a layer covers.
pub(super) const DATA_LEN: usize = CIRCUIT_BODY_LEN - CIRCUIT_TAG_LEN;
/// Bytes of the stream before those that encrypt (RFC 8439, section 2.8).
const TAG_KEY_BLOCK_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher() -> LayerCipher {
        LayerCipher(Secret::init_with(|key| key.fill(7)))
    }

    #[test]
    fn opened_body_is_what_was_sealed_and_the_stream_beyond_it() {
        let plain: [u8; CIRCUIT_BODY_LEN] =
            core::array::from_fn(|n| u8::try_from(n % 251).unwrap());
        let mut body = plain;
        cipher().seal(5, &mut body);
        let ciphertext = body;
        cipher().open(5, &mut body).unwrap();
        assert_eq!(body[..DATA_LEN], plain[..DATA_LEN]);

        let mut stream = [0; CIRCUIT_BODY_LEN];
        cipher().add_stream(5, &mut stream);
        assert_eq!(body[DATA_LEN..], stream[DATA_LEN..]);
        for (place, byte) in ciphertext[CIRCUIT_TAG_LEN..].iter().enumerate() {
            assert_eq!(*byte, plain[place] ^ stream[place], "{place}");
        }
        let mut data_stream = [0; 80];
        cipher().add_data_stream(5, &mut data_stream);
        assert_eq!(data_stream, stream[DATA_LEN - 80..DATA_LEN]);
    }

    #[test]
    fn body_of_another_counter_is_refused() {
        let mut body = [1; CIRCUIT_BODY_LEN];
        cipher().seal(5, &mut body);
        for counter in [0, 4, 6, 5 << 32] {
            assert_eq!(cipher().open(counter, &mut body.clone()), Err(Broken));
        }
    }
}
