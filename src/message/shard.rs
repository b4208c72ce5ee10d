//! Shards of a scattered message, each in a message of its own.
//!
//! The payload of such a message is an encoded shard ([`crate::scatter`]), and its padding begins with
//! a mark: the first 8 bytes of keccak256(label | set). The mark is not in the payload, because a
//! program may send payloads that others have written: none of them may be taken for a shard. To
//! programs that know no shards, the mark is random padding and the shard a payload of noise.
//!
//! A message with a shard is never signed: the signature of the scattered message is inside the
//! shards, so the reader of one shard learns nothing about the sender.

use sha3::{Digest, Keccak256};

use super::DecryptedMessage;
use crate::scatter::{ScatterProfile, ScatterShard, SetId};

/// Marks the padding of a message whose payload is a shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShardMark([u8; Self::LEN]);

impl ShardMark {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// The mark of the shards of a set.
    #[must_use]
    pub fn of_set(set: SetId) -> Self {
        let hash = Keccak256::new().chain_update(LABEL).chain_update(set.0);
        let mut mark = [0; Self::LEN];
        for (to, from) in mark.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(mark)
    }

    /// Its bytes in the padding.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl DecryptedMessage {
    /// The shard that the message carries; `None` if it is an ordinary message.
    #[must_use]
    pub fn shard(&self) -> Option<ScatterShard> {
        if self.signer.is_some() {
            return None;
        }
        let profile = match self.recipient {
            Some(_) => ScatterProfile::Asymmetric,
            None => ScatterProfile::Symmetric,
        };
        let shard = ScatterShard::decode(profile, &self.payload).ok()?;
        let mark = ShardMark::of_set(shard.set);
        self.padding.starts_with(mark.as_bytes()).then_some(shard)
    }
}

const LABEL: &[u8] = b"whisht/1/shard";

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use zeroize::Zeroizing;

    use super::*;
    use crate::scatter::scatter;

    fn message(shard: &ScatterShard) -> DecryptedMessage {
        let mark = ShardMark::of_set(shard.set);
        DecryptedMessage {
            payload: shard.encode(),
            padding: [mark.as_bytes().as_slice(), &[9]].concat(),
            signer: None,
            recipient: None,
        }
    }

    fn shard() -> ScatterShard {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let shards = scatter(&mut rng, ScatterProfile::Symmetric, b"text").unwrap();
        shards.into_iter().next().unwrap()
    }

    #[test]
    fn marked_message_is_read_as_a_shard() {
        assert_eq!(message(&shard()).shard(), Some(shard()));
    }

    #[test]
    fn payload_of_another_program_is_no_shard_without_the_mark() {
        for padding in [vec![], vec![0; 8], message(&shard()).padding[1..].to_vec()] {
            let unmarked = DecryptedMessage {
                padding,
                ..message(&shard())
            };
            assert_eq!(unmarked.shard(), None);
        }
        let mut other = message(&shard());
        other.payload = Zeroizing::new(b"text".to_vec());
        assert_eq!(other.shard(), None);
    }

    #[test]
    fn mark_matches_its_vector() {
        let mark = ShardMark::of_set(SetId([0, 1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(hex::encode(mark.as_bytes()), "9ce1acdaf6a63a00");
    }
}
