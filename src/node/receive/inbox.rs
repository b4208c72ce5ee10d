//! The inbox: messages for the identities of this user, in memory and bounded.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use crate::envelope::{EnvelopeHash, Topic};
use crate::message::{ClientPublic, CopyTag, DecryptedMessage};
use crate::node::hex;
use crate::node::views::MessageView;
use crate::subscriptions::FilteredMessage;

/// The messages received so far.
#[derive(Default)]
pub(super) struct Inbox {
    messages: VecDeque<ReceivedMessage>,
    bytes: usize,
    last: u64,
}

struct ReceivedMessage {
    number: u64,
    to: String,
    from: Option<ClientPublic>,
    envelope: EnvelopeHash,
    /// The tag that all envelopes of one message share; `None` from other programs.
    tag: Option<CopyTag>,
    topic: Topic,
    made: u32,
    expires: u32,
    payload: Zeroizing<Vec<u8>>,
}

impl Inbox {
    /// Stores a message for an identity. Returns `None` if it is stored already: the mempool is
    /// tried again for every new identity, and a sender that heard no echo sends a message again as
    /// another envelope.
    pub(super) fn store(&mut self, to: &str, received: &FilteredMessage) -> Option<MessageView> {
        let envelope = &received.envelope;
        let tag = CopyTag::of_padding(&received.opened.padding);
        let same = |message: &ReceivedMessage| {
            message.to == to
                && (message.envelope == envelope.hash() || message.is_copy(tag, &received.opened))
        };
        if self.messages.iter().any(same) {
            return None;
        }
        self.last = self.last.saturating_add(1);
        let message = ReceivedMessage {
            number: self.last,
            to: to.to_owned(),
            from: received.opened.signer,
            envelope: envelope.hash(),
            tag,
            topic: envelope.topic(),
            made: envelope.sent().0,
            expires: envelope.expiry().0,
            payload: received.opened.payload.clone(),
        };
        let view = message.view();
        self.bytes = self.bytes.saturating_add(message.payload.len());
        self.messages.push_back(message);
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_PAYLOAD_BYTES {
            let Some(oldest) = self.messages.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.payload.len());
        }
        Some(view)
    }

    /// Messages with a number above `after`, oldest first.
    pub(super) fn messages(&self, after: u64) -> Vec<MessageView> {
        let newer = self
            .messages
            .iter()
            .filter(|message| message.number > after);
        newer.map(ReceivedMessage::view).collect()
    }
}

impl ReceivedMessage {
    /// Whether a decrypted message is this one in another envelope. Signer and payload are compared
    /// too: a sender that has learnt the tag of a message cannot suppress it, or put another in its
    /// place.
    fn is_copy(&self, tag: Option<CopyTag>, opened: &DecryptedMessage) -> bool {
        tag.is_some()
            && self.tag == tag
            && self.from == opened.signer
            && *self.payload == *opened.payload
    }

    fn view(&self) -> MessageView {
        MessageView {
            number: self.number,
            to: self.to.clone(),
            from: self.from.map(|from| hex(&from.to_bytes())),
            topic: hex(&self.topic.0),
            envelope: hex(&self.envelope.0),
            made: self.made,
            expires: self.expires,
            payload: hex(&self.payload),
        }
    }
}

/// Maximum number of messages; the oldest are dropped first.
const MAX_MESSAGES: usize = 4096;

/// Maximum number of payload bytes.
const MAX_PAYLOAD_BYTES: usize = 32 * 1024 * 1024;
