//! The two hashes in which work is counted, of one envelope or of many at once.

use sha3::{Digest, Keccak256};

use crate::envelope::{Envelope, EnvelopeHash};
use crate::keccak::hash_all;

/// The two hashes whose bits are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowHashes {
    /// `K256(rlp | nonce)`.
    pub modern: [u8; 32],
    /// `K256(K256(rlp) | 24 zero bytes | nonce)`.
    pub legacy: [u8; 32],
    /// The length of `rlp`, that of the envelope without its nonce: the modern size.
    pub len: usize,
    /// The envelope that was hashed.
    envelope: EnvelopeHash,
}

impl PowHashes {
    /// Hashes one envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        let without_nonce = envelope.without_nonce();
        let nonce = envelope.nonce().to_be_bytes();
        let inner = Keccak256::new().chain_update(&without_nonce);
        let legacy = legacy_input(inner.clone().finalize().into(), nonce);
        Self {
            modern: inner.chain_update(nonce).finalize().into(),
            legacy: Keccak256::digest(legacy).into(),
            len: without_nonce.len(),
            envelope: envelope.hash(),
        }
    }

    /// Hashes many envelopes at once, in their order: several times as fast as one by one.
    #[must_use]
    pub fn of_all(envelopes: &[&Envelope]) -> Vec<Self> {
        let inputs: Vec<_> = envelopes.iter().map(|one| HashInput::of(one)).collect();
        let whole = inputs.iter().map(|input| input.bytes.as_slice());
        let bytes: Vec<_> = whole
            .chain(inputs.iter().map(HashInput::without_nonce))
            .collect();
        let mut modern = hash_all(&bytes);
        let inner = modern.split_off(inputs.len());

        let seconds: Vec<_> = inputs
            .iter()
            .zip(inner)
            .map(|(input, inner)| legacy_input(inner, input.nonce))
            .collect();
        let seconds: Vec<_> = seconds.iter().map(<[u8; 64]>::as_slice).collect();
        let legacy = hash_all(&seconds);

        let both = modern.into_iter().zip(legacy);
        let hashed = envelopes.iter().zip(&inputs).zip(both);
        hashed
            .map(|((envelope, input), (modern, legacy))| Self {
                modern,
                legacy,
                len: input.without_nonce().len(),
                envelope: envelope.hash(),
            })
            .collect()
    }

    /// Whether the envelope is the one that was hashed.
    pub(super) fn belong_to(&self, envelope: &Envelope) -> bool {
        self.envelope == envelope.hash()
    }
}

/// The bytes of the modern hash; all but the last eight are those of the inner legacy hash.
struct HashInput {
    bytes: Vec<u8>,
    nonce: [u8; 8],
}

impl HashInput {
    fn of(envelope: &Envelope) -> Self {
        let mut bytes = envelope.without_nonce();
        let nonce = envelope.nonce().to_be_bytes();
        bytes.extend_from_slice(&nonce);
        Self { bytes, nonce }
    }

    fn without_nonce(&self) -> &[u8] {
        let len = self.bytes.len().saturating_sub(self.nonce.len());
        self.bytes.get(..len).unwrap_or_default()
    }
}

/// What the oldest code hashes: the digest, the unused rest of its buffer, and the nonce.
pub(super) fn legacy_input(inner: [u8; 32], nonce: [u8; 8]) -> [u8; 64] {
    let mut input = [0; 64];
    let (head, tail) = input.split_at_mut(56);
    for (to, from) in head.iter_mut().zip(inner) {
        *to = from;
    }
    tail.copy_from_slice(&nonce);
    input
}
