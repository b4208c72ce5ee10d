//! Shards of scattered messages: an identity collects them until the message is whole.
//!
//! Only identities collect shards. A filter of an API client gets each shard as the message that it is,
//! like a program that knows no shards: the client asked for what its key decrypts, and its key may
//! belong to several programs.
//!
//! A set is decoded in the turn of its last shard. That is bounded: at most 96 shards of 500 bytes, once
//! per set, and each shard has cost its sender a proof of work.

use circuits::time::Instant;
use sha3::{Digest, Keccak256};

use super::inbox::ArrivedMessage;
use crate::envelope::EnvelopeHash;
use crate::message::{self, DecryptedMessage};
use crate::scatter::{Reassembled, Reassembly, ReassemblyLimits};
use crate::subscriptions::{FilterId, FilteredMessage};

/// The incomplete messages of all identities.
pub(super) struct ShardCollector(Reassembly<FilterId>);

impl Default for ShardCollector {
    fn default() -> Self {
        Self(Reassembly::new(ReassemblyLimits::default()))
    }
}

/// A shard contradicts another, or the shards form no message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct MalformedShards;

impl ShardCollector {
    /// Takes what the identity of this filter decrypted. Returns an ordinary message, or a whole one
    /// after its last shard.
    ///
    /// # Errors
    ///
    /// [`MalformedShards`] if the shards form no message.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        filter: FilterId,
        received: &FilteredMessage,
    ) -> Result<Option<ArrivedMessage>, MalformedShards> {
        let Some(shard) = received.opened.shard() else {
            return Ok(Some(ArrivedMessage::of(received)));
        };
        match self.0.accept(now, &filter, shard) {
            Reassembled::Complete(bytes) => match message::parse(&bytes) {
                Ok(opened) => Ok(Some(ArrivedMessage {
                    id: id_of(&bytes),
                    opened: DecryptedMessage {
                        recipient: received.opened.recipient,
                        ..opened
                    },
                    ..ArrivedMessage::of(received)
                })),
                Err(_) => Err(MalformedShards),
            },
            Reassembled::Collected | Reassembled::Ignored => Ok(None),
            Reassembled::Poisoned => Err(MalformedShards),
        }
    }
}

/// The id of a whole message: the same whichever shards it was made of.
fn id_of(message: &[u8]) -> EnvelopeHash {
    let hash = Keccak256::new().chain_update(LABEL).chain_update(message);
    EnvelopeHash(hash.finalize().into())
}

const LABEL: &[u8] = b"whisht/1/whole";
