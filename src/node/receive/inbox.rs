//! The inbox: messages for the identities of this user, bounded, and kept for thirty days.
//!
//! Every message is a row of the user's state (`row`), so a message that was announced is there after
//! a restart. While the state is locked, messages are in memory, and become rows when it is opened.

mod row;

use std::collections::VecDeque;

use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use crate::envelope::{EnvelopeHash, Topic};
use crate::message::{ClientPublic, CopyTag, DecryptedMessage};
use crate::node::command::Refusal;
use crate::node::hex;
use crate::node::inbox_query::{InboxQuery, MessageIdPrefix};
use crate::node::views::MessageView;
use crate::state::{StateChange, StateRow};
use crate::subscriptions::FilteredMessage;

/// The messages received so far.
#[derive(Default)]
pub(super) struct Inbox {
    messages: VecDeque<ReceivedMessage>,
    bytes: usize,
    /// The number of the next message. Numbers give the order in which messages were received.
    next: u64,
}

/// A message that has just been stored.
pub(super) struct StoredMessage {
    pub(super) view: MessageView,
    /// What makes it durable, and erases the messages that it displaced.
    pub(super) changes: Vec<StateChange>,
}

struct ReceivedMessage {
    number: u64,
    received: UnixSecs,
    to: String,
    from: Option<ClientPublic>,
    id: EnvelopeHash,
    /// The tag that all envelopes of one message share; `None` from other programs.
    tag: Option<CopyTag>,
    topic: Topic,
    made: u32,
    expires: u32,
    payload: Zeroizing<Vec<u8>>,
}

/// A message for an identity, from one envelope or from several.
pub(super) struct ArrivedMessage {
    /// The hash of its envelope; for a message of several, another hash that stays the same.
    pub(super) id: EnvelopeHash,
    /// The topic of its last envelope, as are the times.
    pub(super) topic: Topic,
    pub(super) made: u32,
    pub(super) expires: u32,
    pub(super) opened: DecryptedMessage,
}

impl ArrivedMessage {
    /// The message of one envelope.
    pub(super) fn of(received: &FilteredMessage) -> Self {
        let envelope = &received.envelope;
        Self {
            id: envelope.hash(),
            topic: envelope.topic(),
            made: envelope.sent().0,
            expires: envelope.expiry().0,
            opened: received.opened.clone(),
        }
    }
}

impl Inbox {
    /// Stores a message for an identity. Returns `None` if it is stored already: the mempool is
    /// tried again for every new identity, and a sender that heard no echo sends a message again as
    /// another envelope.
    pub(super) fn store(
        &mut self,
        now: UnixSecs,
        to: &str,
        arrived: ArrivedMessage,
    ) -> Option<StoredMessage> {
        let ArrivedMessage {
            id,
            topic,
            made,
            expires,
            opened,
        } = arrived;
        let tag = CopyTag::of_padding(&opened.padding);
        let same = |message: &ReceivedMessage| {
            message.to == to && (message.id == id || message.is_copy(tag, &opened))
        };
        if self.messages.iter().any(same) {
            return None;
        }
        let message = ReceivedMessage {
            number: self.next,
            received: now,
            to: to.to_owned(),
            from: opened.signer,
            id,
            tag,
            topic,
            made,
            expires,
            payload: opened.payload,
        };
        let view = message.view();
        let mut changes = vec![message.put()];
        self.push(message);
        changes.extend(self.drop_oldest(now));
        Some(StoredMessage { view, changes })
    }

    /// Takes the messages of earlier runs. Those of this run become newer than all of them. Returns what
    /// makes the state agree with the inbox.
    pub(super) fn restore(&mut self, now: UnixSecs, rows: &[StateRow]) -> Vec<StateChange> {
        let own = core::mem::take(self);
        for row in rows {
            match ReceivedMessage::of_row(row) {
                Some(message) => self.push(message),
                None => tracing::warn!("a stored message has an unknown format and is not shown"),
            }
        }
        let mut changes = Vec::new();
        for mut message in own.messages {
            let same = |known: &ReceivedMessage| known.to == message.to && known.id == message.id;
            if self.messages.iter().any(same) {
                continue;
            }
            message.number = self.next;
            changes.push(message.put());
            self.push(message);
        }
        changes.extend(self.drop_oldest(now));
        changes
    }

    /// Drops messages that are too old or too many, oldest first. Returns what erases their rows.
    pub(super) fn drop_oldest(&mut self, now: UnixSecs) -> Vec<StateChange> {
        let mut changes = Vec::new();
        let before = now.before(MAX_AGE_SECS);
        while let Some(oldest) = self.messages.front() {
            let is_bounded = self.messages.len() <= MAX_MESSAGES && self.bytes <= MAX_PAYLOAD_BYTES;
            if is_bounded && oldest.received >= before {
                break;
            }
            changes.push(oldest.delete());
            self.bytes = self.bytes.saturating_sub(oldest.payload.len());
            self.messages.pop_front();
        }
        changes
    }

    fn push(&mut self, message: ReceivedMessage) {
        self.next = self.next.max(message.number.saturating_add(1));
        self.bytes = self.bytes.saturating_add(message.payload.len());
        self.messages.push_back(message);
    }

    /// The messages of a query, in the order in which they were received.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the query names a message that is not in the inbox, or more than one.
    pub(super) fn messages(&self, query: &InboxQuery) -> Result<Vec<MessageView>, Refusal> {
        let messages = self.messages.iter();
        Ok(match query {
            InboxQuery::All => messages.map(ReceivedMessage::view).collect(),
            InboxQuery::Since(time) => messages
                .filter(|message| message.received >= *time)
                .map(ReceivedMessage::view)
                .collect(),
            InboxQuery::After(id) => {
                let envelope = self.find(id)?;
                // One envelope may hold a message for several identities.
                let mut last = self.messages.iter();
                let last = last.rposition(|message| message.id == envelope);
                let after = last.map_or(0, |last| last.saturating_add(1));
                messages.skip(after).map(ReceivedMessage::view).collect()
            }
            InboxQuery::One(id) => {
                let envelope = self.find(id)?;
                messages
                    .filter(|message| message.id == envelope)
                    .map(ReceivedMessage::view)
                    .collect()
            }
        })
    }

    /// The envelope of the message with this id.
    fn find(&self, id: &MessageIdPrefix) -> Result<EnvelopeHash, Refusal> {
        let hashes = self.messages.iter().map(|message| message.id);
        let mut found = hashes.filter(|hash| id.matches(hash));
        let first = found.next().ok_or_else(|| {
            Refusal::usage(
                format!("no message has the id {id}"),
                "`whisht inbox` shows the ids; messages are kept for 30 days, or until the node ends \
                 if it keeps everything in memory",
            )
        })?;
        if found.any(|hash| hash != first) {
            return Err(Refusal::usage(
                format!("the ids of several messages begin with {id}"),
                "give more digits",
            ));
        }
        Ok(first)
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
            id: hex(&self.id.0),
            received: self.received.0,
            to: self.to.clone(),
            from: self.from.map(|from| hex(&from.to_bytes())),
            topic: hex(&self.topic.0),
            made: self.made,
            expires: self.expires,
            payload: hex(&self.payload),
        }
    }
}

/// Maximum number of messages; the oldest are dropped first.
const MAX_MESSAGES: usize = 4096;

/// Seconds for which a message is kept: thirty days.
const MAX_AGE_SECS: u32 = 30 * 24 * 60 * 60;

/// Maximum number of payload bytes.
const MAX_PAYLOAD_BYTES: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Envelope, Ttl};
    use crate::message::DecryptedMessage;
    use crate::subscriptions::DeliveryPath;

    fn message(number: u8) -> FilteredMessage {
        let data = vec![number; 40];
        FilteredMessage {
            envelope: Envelope::build(UnixSecs(900), Ttl(50), Topic([1; 4]), data, 1),
            opened: DecryptedMessage {
                payload: Zeroizing::new(vec![number]),
                padding: Vec::new(),
                signer: None,
                recipient: None,
            },
            arrival: DeliveryPath::Direct,
        }
    }

    fn inbox(numbers: &[u8]) -> Inbox {
        let mut inbox = Inbox::default();
        for (second, number) in numbers.iter().enumerate() {
            let now = UnixSecs(1_000 + u32::try_from(second).unwrap());
            let arrived = ArrivedMessage::of(&message(*number));
            inbox.store(now, "desk", arrived).unwrap();
        }
        inbox
    }

    fn id(number: u8) -> String {
        hex(&message(number).envelope.hash().0)
    }

    fn payloads(inbox: &Inbox, query: &InboxQuery) -> Vec<String> {
        let messages = inbox.messages(query).unwrap();
        messages.into_iter().map(|one| one.payload).collect()
    }

    #[test]
    fn id_of_a_message_is_the_same_when_the_network_returns_it_in_another_order() {
        let (before, after) = (inbox(&[1, 2, 3]), inbox(&[3, 1, 2]));
        let short: MessageIdPrefix = id(2).get(..8).unwrap().parse().unwrap();
        for inbox in [before, after] {
            let query = InboxQuery::One(short.clone());
            assert_eq!(payloads(&inbox, &query), ["02"]);
        }
    }

    #[test]
    fn messages_after_an_id_or_a_time_are_those_received_later() {
        let inbox = inbox(&[1, 2, 3]);
        let after = |number| InboxQuery::After(id(number).parse().unwrap());
        assert_eq!(payloads(&inbox, &after(1)), ["02", "03"]);
        assert!(payloads(&inbox, &after(3)).is_empty());
        let since = |secs| InboxQuery::Since(UnixSecs(secs));
        assert_eq!(payloads(&inbox, &since(1_001)), ["02", "03"]);
        assert_eq!(payloads(&inbox, &since(0)).len(), 3);
        assert!(payloads(&inbox, &since(2_000)).is_empty());
    }

    #[test]
    fn unknown_id_is_an_error_and_not_an_empty_list() {
        let inbox = inbox(&[1, 2]);
        for query in [
            InboxQuery::After(id(9).parse().unwrap()),
            InboxQuery::One(id(9).parse().unwrap()),
        ] {
            let refused = inbox.messages(&query).unwrap_err();
            assert!(refused.cause.contains(&id(9)), "{}", refused.cause);
        }
    }
}
