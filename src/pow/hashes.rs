//! The two hashes in which work is counted, of one envelope or of many at once.

use sha3::{Digest, Keccak256};

use crate::envelope::{Envelope, EnvelopeHash};
use crate::keccak::{hash_all, hash_pairs};

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
        let pairs: Vec<_> = inputs.iter().map(HashInput::whole_and_beginning).collect();
        let pairs = hash_pairs(&pairs);

        let seconds: Vec<_> = inputs
            .iter()
            .zip(&pairs)
            .map(|(input, pair)| legacy_input(pair.beginning, input.nonce))
            .collect();
        let seconds: Vec<_> = seconds.iter().map(<[u8; 64]>::as_slice).collect();
        let legacy = hash_all(&seconds);

        let hashed = envelopes.iter().zip(&inputs).zip(pairs.iter().zip(legacy));
        hashed
            .map(|((envelope, input), (pair, legacy))| Self {
                modern: pair.whole,
                legacy,
                len: input.len_without_nonce(),
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
        let nonce = envelope.nonce().to_be_bytes();
        // With room for the nonce, which can be shorter in the envelope.
        let room = envelope.as_rlp().len().saturating_add(nonce.len());
        let mut bytes = Vec::with_capacity(room);
        envelope.append_without_nonce(&mut bytes);
        bytes.extend_from_slice(&nonce);
        Self { bytes, nonce }
    }

    const fn len_without_nonce(&self) -> usize {
        self.bytes.len().saturating_sub(self.nonce.len())
    }

    fn whole_and_beginning(&self) -> (&[u8], usize) {
        (&self.bytes, self.len_without_nonce())
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
