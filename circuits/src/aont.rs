//! All-or-nothing transform: a package reveals nothing until all of it is present.
//!
//! The transform hides no content that was not hidden before: envelopes are encrypted to their
//! reader, and each cell to its rendezvous. It provides four properties:
//!
//! * A rendezvous with fewer than `k` shards cannot recognise the envelope when it returns through
//!   another rendezvous, although the public pool contains every candidate.
//! * An attacker that records cells in the middle of the path and steals keys later must decrypt
//!   `k` lanes, not one. Lanes share their guard and, at *converge*, their rendezvous; against
//!   these two relays there is no threshold.
//! * Shards have no structure: only the class of the envelope is visible.
//! * The zero bytes at the end prove to the rendezvous that all shards belong to one set and are
//!   unaltered.
//!
//! The construction is AONT-RS (Resch and Plank, FAST 2011; proof and corrections by Chen, Laing
//! and Martin, 2017) with ChaCha20 as the cipher: `C = ChaCha20(K, length | envelope | zeros)` and
//! `package = C | (K xor BLAKE2b-256(label | C))`. `K` is fresh for every package and used once, so
//! a zero nonce is safe. The transform has no secret key and is not encryption: the complete
//! package yields the envelope.

use core::fmt;

use blake2::{Blake2b256, Digest};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use rand_core::CryptoRng;

use crate::bytes::ByteWriter;
use crate::geometry::{AONT_KEY_LEN, CANARY_LEN, PACKAGE_OVERHEAD};
use crate::secret::Secret;

/// Packs an envelope into a package of `package_len` bytes, with a fresh key.
///
/// # Errors
///
/// [`TooLong`] if the envelope and [`PACKAGE_OVERHEAD`] exceed `package_len`.
pub fn pack(
    rng: &mut impl CryptoRng,
    envelope: &[u8],
    package_len: usize,
) -> Result<Vec<u8>, TooLong> {
    let needed = envelope.len().checked_add(PACKAGE_OVERHEAD);
    if needed.is_none_or(|needed| needed > package_len) {
        return Err(TooLong);
    }
    let length = u32::try_from(envelope.len()).map_err(|_| TooLong)?;

    // The package is encrypted in place, so that no plaintext copy remains in memory.
    let mut package = vec![0; package_len];
    let mut fields = ByteWriter::new(&mut package);
    fields.put(&length.to_be_bytes()).map_err(|_| TooLong)?;
    fields.put(envelope).map_err(|_| TooLong)?;

    let key = Secret::init_with(|key| rng.fill_bytes(key));
    let (body, tail) = package
        .split_last_chunk_mut::<AONT_KEY_LEN>()
        .ok_or(TooLong)?;
    apply_keystream(&key, body);
    *tail = *key.expose();
    mask(tail, body);
    Ok(package)
}

/// Unpacks the envelope of a package.
///
/// # Errors
///
/// [`NotWhole`] if any byte differs from the output of [`pack`]: one changed bit yields another
/// key, and the zero bytes at the end do not decrypt to zero.
pub fn unpack(mut package: Vec<u8>) -> Result<Vec<u8>, NotWhole> {
    let (body, tail) = package
        .split_last_chunk_mut::<AONT_KEY_LEN>()
        .ok_or(NotWhole)?;
    mask(tail, body);
    let key = Secret::take(tail);
    apply_keystream(&key, body);

    let (length, rest) = body.split_first_chunk::<LENGTH_LEN>().ok_or(NotWhole)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| NotWhole)?;
    let zeros = rest.get(length..).ok_or(NotWhole)?;
    if zeros.len() < CANARY_LEN || zeros.iter().any(|&byte| byte != 0) {
        return Err(NotWhole);
    }
    let end = LENGTH_LEN.saturating_add(length);
    package.copy_within(LENGTH_LEN..end, 0);
    package.truncate(length);
    Ok(package)
}

/// Encrypts or decrypts the body in place. Each key encrypts one package, so the nonce is zero.
fn apply_keystream(key: &Secret<AONT_KEY_LEN>, body: &mut [u8]) {
    ChaCha20::new(key.expose().into(), &[0; 12].into()).apply_keystream(body);
}

/// XORs the digest of the body into the key; a second call undoes the first.
fn mask(key: &mut [u8; AONT_KEY_LEN], body: &[u8]) {
    let digest = Blake2b256::new()
        .chain_update(LABEL)
        .chain_update(body)
        .finalize();
    for (byte, mask) in key.iter_mut().zip(digest) {
        *byte ^= mask;
    }
}

/// The envelope is longer than its package allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("envelope is longer than its package allows")
    }
}

impl core::error::Error for TooLong {}

/// The package was altered or assembled from shards of several packages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotWhole;

impl fmt::Display for NotWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("package is altered or incomplete")
    }
}

impl core::error::Error for NotWhole {}

const LABEL: &[u8] = b"whisht/1/aont";
const LENGTH_LEN: usize = 4;

const _: () = assert!(PACKAGE_OVERHEAD == LENGTH_LEN + CANARY_LEN + AONT_KEY_LEN);

#[cfg(test)]
mod tests;
