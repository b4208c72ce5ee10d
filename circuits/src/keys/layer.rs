//! The keys of one layer, all derived from one X25519 result, and their use on a cell (spec F2).
//!
//! `PRK = HKDF-Extract("whisht/1/cell", s)`, and each key is
//! `Expand(PRK, "whisht/1/" | label | alpha | X | ID | epoch)`. The keys are bound to the element
//! as received, the relay's key, its id and the epoch of the key: a change of any of them gives
//! different keys. Each key is used for one cell, so every nonce is zero; the two keys that a circuit
//! keeps leave this module and are used with counters.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use super::OnionPublic;
use crate::cell::Cell;
use crate::geometry::HEADER_STREAM_LEN;
use crate::ids::{Epoch, RelayId};
use crate::secret::Secret;

/// Data to which the keys of a layer are bound besides the shared secret.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    /// The element of the cell, as received.
    pub(crate) alpha: &'a [u8; 32],
    /// The relay's onion key.
    pub(crate) onion: &'a OnionPublic,
    /// The relay.
    pub(crate) relay: &'a RelayId,
    /// The epoch of the onion key, not of the clock.
    pub(crate) epoch: Epoch,
}

/// The key schedule of one layer.
pub(crate) struct LayerKeys {
    prk: Hkdf<Sha256>,
    /// `alpha | X | ID | epoch`, the suffix of every info string.
    bound: [u8; BOUND_LEN],
}

impl LayerKeys {
    /// Extracts the key schedule from an X25519 result.
    pub(crate) fn new(shared: &Secret<32>, binding: Binding<'_>) -> Self {
        let mut bound = [0; BOUND_LEN];
        let parts = [
            &binding.alpha[..],
            binding.onion.as_bytes(),
            &binding.relay.0,
            &binding.epoch.0.to_be_bytes(),
        ];
        for (to, from) in bound.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        Self {
            prk: Hkdf::new(Some(b"whisht/1/cell"), shared.expose()),
            bound,
        }
    }

    /// Encrypts the body and sets the tag over version, alpha, beta and body.
    pub(crate) fn seal(&self, cell: &mut Cell) {
        let aad = cell.view().associated_data();
        #[expect(
            clippy::expect_used,
            reason = "fails beyond 256 GB; a body has 647 bytes"
        )]
        let tag = ChaCha20Poly1305::new(self.body().expose().into())
            .encrypt_inout_detached(&NONCE.into(), &aad, cell.delta_mut().as_mut_slice().into())
            .expect("a body is short enough");
        *cell.gamma_mut() = tag.into();
    }

    /// Checks the tag over version, alpha, beta and body, then decrypts the body.
    ///
    /// # Errors
    ///
    /// [`Forged`] if anything differs from what the origin encrypted; the body is then unchanged.
    pub(crate) fn open(&self, cell: &mut Cell) -> Result<(), Forged> {
        let aad = cell.view().associated_data();
        let tag = (*cell.view().gamma()).into();
        ChaCha20Poly1305::new(self.body().expose().into())
            .decrypt_inout_detached(
                &NONCE.into(),
                &aad,
                cell.delta_mut().as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| Forged)
    }

    /// XORs the header stream into the slots and into the slot that shifts in behind them.
    pub(crate) fn apply_header_stream(&self, slots: &mut [u8; HEADER_STREAM_LEN]) {
        let key = Secret::init_with(|key| self.expand(b"header", key));
        ChaCha20::new(key.expose().into(), &NONCE.into()).apply_keystream(slots);
    }

    /// The tag under which the relay remembers the cell.
    pub(crate) fn replay_tag(&self) -> [u8; 16] {
        let mut tag = [0; 16];
        self.expand(b"replay", &mut tag);
        tag
    }

    /// The factor that blinds the element for the next hop; clamped at use.
    pub(crate) fn blind(&self) -> Secret<32> {
        Secret::init_with(|key| self.expand(b"blind", key))
    }

    /// The key of a circuit's cells on their way from the origin.
    pub(crate) fn keep_forward(&self) -> Secret<32> {
        Secret::init_with(|key| self.expand(b"keep-f", key))
    }

    /// The key of a circuit's cells on their way to the origin.
    pub(crate) fn keep_backward(&self) -> Secret<32> {
        Secret::init_with(|key| self.expand(b"keep-b", key))
    }

    fn body(&self) -> Secret<32> {
        Secret::init_with(|key| self.expand(b"body", key))
    }

    fn expand<const N: usize>(&self, label: &[u8], key: &mut [u8; N]) {
        const { assert!(N <= 32, "one block of output") };
        #[expect(
            clippy::expect_used,
            reason = "HKDF yields up to 255 blocks; this is one"
        )]
        self.prk
            .expand_multi_info(&[b"whisht/1/", label, &self.bound], key)
            .expect("one block is within HKDF's range");
    }
}

/// The tag does not match the cell under this key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Forged;

/// The integer that X25519 derives from 32 bytes, modulo the group order.
///
/// An origin multiplies these integers instead of iterating X25519, which is faster. The result is
/// exact for keys that passed [`OnionPublic::check`]. It is never zero: a clamped integer is a
/// nonzero multiple of eight below 2^255, and eight times the group order is larger.
pub(crate) fn clamped_scalar(bytes: &Secret<32>) -> Scalar {
    let mut clamped = clamp_integer(*bytes.expose());
    let scalar = Scalar::from_bytes_mod_order(clamped);
    clamped.zeroize();
    scalar
}

/// The nonce is constant because every key encrypts one message.
const NONCE: [u8; 12] = [0; 12];
/// alpha 32, X 32, ID 32, epoch 4.
const BOUND_LEN: usize = 32 + 32 + 32 + 4;
