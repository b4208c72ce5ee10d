//! From the handshake to the keys of a session (protocol sheet 1.4).
//!
//! ```text
//! shared = K(e | K(nonce of responder | nonce of initiator))      e: ephemeral agreement
//! aes    = K(e | shared)
//! mac    = K(e | aes)
//! ```
//!
//! The MAC states of the two directions begin with `mac xor the reader's nonce` and the handshake
//! packet that the writer sent, as it was on the wire. From `aes | mac` both ends also derive a
//! name for the link that is never sent: the handle by which cells address a peer outside the
//! directory.

use circuits::ids::ShortId;
use circuits::secret::Secret;
use hkdf::Hkdf;
use sha2::Sha256;
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use super::frame::{Opener, Sealer};
use crate::keccak::RunningKeccak;

/// The two secrets of a session.
pub struct SessionSecrets {
    aes: Secret<32>,
    mac: Secret<32>,
}

impl SessionSecrets {
    /// Derives the secrets from the ephemeral agreement and both nonces.
    #[must_use]
    pub fn derive(
        ephemeral: &[u8; 32],
        initiator_nonce: &[u8; 32],
        responder_nonce: &[u8; 32],
    ) -> Self {
        let nonces = keccak(responder_nonce, initiator_nonce);
        let shared = keccak(ephemeral, &nonces);
        let aes = keccak(ephemeral, &shared);
        let mac = keccak(ephemeral, &aes);
        Self {
            aes: Secret::init_with(|bytes| *bytes = *aes),
            mac: Secret::init_with(|bytes| *bytes = *mac),
        }
    }

    /// The key of both keystreams.
    #[must_use]
    pub const fn aes(&self) -> &Secret<32> {
        &self.aes
    }

    /// The key of both MACs.
    #[must_use]
    pub const fn mac(&self) -> &Secret<32> {
        &self.mac
    }

    /// The name of this link in the next-hop fields: `HKDF-SHA256(aes | mac, "whisht/1/handle")`.
    #[must_use]
    pub fn handle(&self) -> ShortId {
        let mut ikm = Zeroizing::new([0; 64]);
        let (aes, mac) = ikm.split_at_mut(32);
        aes.copy_from_slice(self.aes.expose());
        mac.copy_from_slice(self.mac.expose());
        let mut handle = [0; 16];
        #[expect(clippy::expect_used, reason = "HKDF-SHA256 yields up to 8,160 bytes")]
        Hkdf::<Sha256>::new(None, ikm.as_ref())
            .expand(b"whisht/1/handle", &mut handle)
            .expect("16 bytes");
        ShortId(handle)
    }

    /// The frame codecs of the end that sent `ours` and received `theirs`.
    #[must_use]
    pub fn codecs(&self, ours: &Half<'_>, theirs: &Half<'_>) -> (Sealer, Opener) {
        (
            Sealer::new(self, self.mac_seed(theirs.nonce, ours.packet)),
            Opener::new(self, self.mac_seed(ours.nonce, theirs.packet)),
        )
    }

    /// The MAC state of the direction in which `packet` went.
    fn mac_seed(&self, reader_nonce: &[u8; 32], packet: &[u8]) -> RunningKeccak {
        let mut key = Zeroizing::new(*reader_nonce);
        for (to, from) in key.iter_mut().zip(self.mac.expose()) {
            *to ^= from;
        }
        let mut seed = RunningKeccak::new();
        seed.update(key.as_ref());
        seed.update(packet);
        seed
    }
}

/// The contribution of one end to a handshake.
#[derive(Clone, Copy)]
pub struct Half<'a> {
    /// Its nonce.
    pub nonce: &'a [u8; 32],
    /// Its packet as it was on the wire, with the size prefix of EIP-8 if there was one.
    pub packet: &'a [u8],
}

fn keccak(first: &[u8; 32], second: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let hash = Keccak256::new().chain_update(first).chain_update(second);
    Zeroizing::new(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_handle_matches_definition() {
        let secrets = SessionSecrets::derive(&[1; 32], &[2; 32], &[3; 32]);
        let mut okm = [0; 16];
        Hkdf::<Sha256>::new(
            None,
            &[*secrets.aes.expose(), *secrets.mac.expose()].concat(),
        )
        .expand(b"whisht/1/handle", &mut okm)
        .unwrap();
        assert_eq!(secrets.handle(), ShortId(okm));
        let swapped = SessionSecrets::derive(&[1; 32], &[3; 32], &[2; 32]);
        assert_ne!(swapped.handle(), secrets.handle());
    }
}
