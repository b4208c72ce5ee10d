//! Proof of an old conversation inside a new one, and which of two conversations goes on.
//!
//! A person whose state was restored starts a new conversation. The carry of epoch 0 of the old one, which
//! both ends kept, authenticates the new id. Whether to believe that is the user's decision.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Conversation, ConversationId};
use crate::contact::kdf::Label;
use crate::contact::parts::{Continuity, Part};

impl Conversation {
    /// The part that proves this conversation inside a new one.
    #[must_use]
    pub fn continuity(&self, new: &ConversationId) -> Part {
        Part::Continuity(Continuity {
            old: self.id,
            proof: self.continuity_proof(new),
        })
    }

    /// Whether a part of a new conversation proves that its sender has this one.
    #[must_use]
    pub fn is_continued_by(&self, new: &ConversationId, continuity: &Continuity) -> bool {
        continuity.old == self.id
            && *new != self.id
            && bool::from(self.continuity_proof(new).ct_eq(&continuity.proof))
    }

    fn continuity_proof(&self, new: &ConversationId) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.continuity.as_slice()).expect("a key of 32 bytes");
        mac.update(Label::CONV_CONTINUE.bytes());
        mac.update(&new.0);
        mac.finalize().into_bytes().into()
    }
}

/// Which of two conversations with the same person goes on, if both wrote first at the same time. Both
/// ends come to the same result.
#[must_use]
pub fn preferred(a: ConversationId, b: ConversationId) -> ConversationId {
    a.min(b)
}
