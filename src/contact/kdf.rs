//! Key derivation for contact: SHA-256, HKDF-SHA256, and the closed list of labels.
//!
//! A label is the prefix of what it separates; none is a prefix of another, which a test checks. A
//! derivation under a label that is not in the list does not compile.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A key of 32 bytes, erased on drop.
pub type Key32 = Zeroizing<[u8; 32]>;

/// What a derivation is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label(&'static [u8]);

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Label {
            $($(#[$doc])* pub const $name: Self = Self($text);)*

            /// Every label.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

labels! {
    /// The id of a root.
    ID = b"whisht/1/id";
    /// The words of the voice check.
    WORDS = b"whisht/1/words";
    /// Extracts from the seed of twelve words, for an address.
    ROOT_SALT = b"whisht/1/root/salt";
    /// The Ed25519 seed of an address.
    ROOT_ED25519 = b"whisht/1/root/ed25519";
    /// Extracts from an id, for cards.
    CARD_SALT = b"whisht/1/card/salt";
    /// The topic of a card.
    CARD_TOPIC = b"whisht/1/card/topic";
    /// The key of a card.
    CARD_KEY = b"whisht/1/card/key";
    /// What the identity key signs.
    CARD_CERT = b"whisht/1/card/cert";
    /// What the signing key signs.
    CARD_SIG = b"whisht/1/card/sig";
    /// The hash of a key block.
    FIRST_BLOCK = b"whisht/1/first/block";
    /// The transcript of a first contact.
    FIRST_TRANSCRIPT = b"whisht/1/first/transcript";
    /// The key of the box.
    FIRST_BOX = b"whisht/1/first/box";
    /// The secret of epoch 0.
    FIRST_EPOCH = b"whisht/1/first/epoch";
    /// The inner ticket.
    FIRST_TICKET = b"whisht/1/first/ticket";
    /// Extracts from the outer shared secret.
    FIRST_SALT = b"whisht/1/first/salt";
    /// The topic of a first message.
    FIRST_TOPIC = b"whisht/1/first/topic";
    /// The outer key of a first message.
    FIRST_KEY = b"whisht/1/first/key";
    /// The id of a conversation.
    CONV_ID = b"whisht/1/conv/id";
    /// The start of a chain.
    CONV_CHAIN = b"whisht/1/conv/chain";
    /// The root of the resync slots of an epoch.
    CONV_RESYNC_ROOT = b"whisht/1/conv/resync/root";
    /// A resync slot.
    CONV_RESYNC_SLOT = b"whisht/1/conv/resync/slot";
    /// What an epoch hands to the next.
    CONV_CARRY = b"whisht/1/conv/carry";
    /// The key of a step.
    CONV_MESSAGE = b"whisht/1/conv/message";
    /// The next link of a chain.
    CONV_NEXT = b"whisht/1/conv/next";
    /// The topic of a step.
    CONV_TOPIC = b"whisht/1/conv/topic";
    /// The outer key of a step.
    CONV_KEY = b"whisht/1/conv/key";
    /// Binds the plaintext of Olm to its conversation.
    CONV_BIND = b"whisht/1/conv/bind";
    /// The secret of the next epoch.
    CONV_EPOCH = b"whisht/1/conv/epoch";
    /// Proves a new session from inside the old one.
    CONV_CONTINUE = b"whisht/1/conv/continue";
    /// Extracts from the seed of twelve words, for letters.
    LETTER_SALT = b"whisht/1/letter/salt";
    /// The X25519 key of a source of letters.
    LETTER_X25519 = b"whisht/1/letter/x25519";
    /// The X-Wing seed of a source of letters.
    LETTER_X_WING = b"whisht/1/letter/x-wing";
    /// The authentication key of a source of letters.
    LETTER_AUTH = b"whisht/1/letter/auth";
    /// The guard seed of a source of letters.
    LETTER_GUARD = b"whisht/1/letter/guard";
    /// The id of a source of letters.
    LETTER_ID = b"whisht/1/letter/id";
    /// What stands for the id of a source in replies to it.
    LETTER_TO = b"whisht/1/letter/to";
    /// The key of the authentication code of a letter.
    LETTER_MAC = b"whisht/1/letter/mac";
    /// Extracts from the secret of a file that is handed over.
    BULK_SALT = b"whisht/1/bulk/salt";
    /// The cookie by which the circuits of an attempt meet.
    BULK_COOKIE = b"whisht/1/bulk/cookie";
    /// The key of the hello of one end of an attempt.
    BULK_HELLO = b"whisht/1/bulk/hello";
    /// The key of one direction of an attempt.
    BULK_KEY = b"whisht/1/bulk/key";
    /// The hash of a chunk.
    BULK_LEAF = b"whisht/1/bulk/leaf";
    /// The hash over the list of chunks.
    BULK_ROOT = b"whisht/1/bulk/root";
    /// The key of a record of the state.
    STATE_RECORD = b"whisht/1/state/record";
    /// The key under which natural ids of records are hidden.
    STATE_NAME = b"whisht/1/state/name";
}

/// SHA-256 of the label and the parts, one after the other.
#[must_use]
pub fn hash(label: Label, parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new_with_prefix(label.0);
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// HKDF-Extract with the label as the salt. The input is the concatenation of the parts.
#[must_use]
pub fn extract(salt: Label, parts: &[&[u8]]) -> Key32 {
    extract_under(salt.0, parts)
}

/// HKDF-Extract under a salt of bytes: a transcript, or the secret that an epoch handed on.
#[must_use]
pub fn extract_under(salt: &[u8], parts: &[&[u8]]) -> Key32 {
    let input = Zeroizing::new(parts.concat());
    let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), &input);
    Zeroizing::new(prk.into())
}

/// HKDF-Expand to `N` bytes. The info is the label, then the parts.
#[must_use]
pub fn expand<const N: usize>(prk: &[u8; 32], label: Label, parts: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= MAX_EXPANDED) };
    let mut out = Zeroizing::new([0; N]);
    let info = Zeroizing::new([&[label.0], parts].concat().concat());
    // A pseudo-random key of 32 bytes is long enough, and N is short enough: both cannot fail.
    if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(prk) {
        let _filled = hkdf.expand(&info, out.as_mut_slice());
    }
    out
}

/// HKDF-SHA256 expands to at most 255 hashes.
const MAX_EXPANDED: usize = 255 * 32;

impl Label {
    /// The bytes, where they are signed or authenticated themselves.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_a_prefix_of_another() {
        for (number, label) in Label::ALL.iter().enumerate() {
            for other in Label::ALL.iter().skip(number + 1) {
                let (a, b) = (label.0, other.0);
                assert!(
                    !a.starts_with(b) && !b.starts_with(a),
                    "{label:?} {other:?}"
                );
            }
        }
    }

    /// From the check values of the contact formats, computed by an independent program.
    #[test]
    fn epoch_secret_agrees_with_the_check_value() {
        let prk = extract_under(&[0x33; 32], &[&[0x22; 32]]);
        let x0 = expand::<32>(&prk, Label::FIRST_EPOCH, &[]);
        assert_eq!(
            hex::encode(*x0),
            "057459f0578e84de9300994d0ad85a3d82db1dfb359556d68308d77097a531ce"
        );
        let carry = expand::<32>(&x0, Label::CONV_CARRY, &[]);
        assert_eq!(
            hex::encode(*carry),
            "9537d1bfd6c4df95949a646f6db4223bc0eea2f790511bf605a241ca0607f3c0"
        );
    }
}
