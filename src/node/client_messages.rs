//! Which client each message in flight belongs to, so that one client leaves room for the others.
//!
//! The node sends a bounded number of messages at once. A program that sends as many as it may would
//! keep every other program from sending one. Each client may always have a few messages in flight;
//! beyond these it is refused while the places left are few. This component sends nothing and knows
//! no message, only its number.

use std::collections::BTreeMap;

use super::command::Refusal;
use super::event::MessageId;
use super::input::ClientId;

/// The clients of the messages in flight.
#[derive(Debug, Default)]
pub(super) struct ClientMessages(BTreeMap<MessageId, ClientId>);

impl ClientMessages {
    /// Checks that a client may have another message in flight, and forgets the messages that have
    /// ended.
    pub(super) fn check(
        &mut self,
        client: ClientId,
        is_in_flight: impl Fn(MessageId) -> bool,
    ) -> Result<(), Refusal> {
        self.0.retain(|message, _| is_in_flight(*message));
        let own = self.0.values().filter(|owner| **owner == client).count();
        if own < ALWAYS_PERMITTED || self.0.len() < MAX_WITHOUT_RESERVE {
            return Ok(());
        }
        Err(Refusal::policy(
            format!(
                "{own} messages of this client are in flight, and the places left are kept for other \
                 clients"
            ),
            "wait for one to arrive, or cancel one (`whisht outbox` lists them)",
        ))
    }

    /// Records the message of a client.
    pub(super) fn note(&mut self, message: MessageId, client: ClientId) {
        self.0.insert(message, client);
    }
}

/// Messages that a client may have in flight whatever the others have, as far as there are places.
const ALWAYS_PERMITTED: usize = 4;

/// Messages in flight above which a client that has more than [`ALWAYS_PERMITTED`] is refused. The rest
/// of the places is kept for clients that have fewer.
const MAX_WITHOUT_RESERVE: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends messages until the client is refused; returns how many were accepted.
    fn flood(messages: &mut ClientMessages, next: &mut u64, client: u64) -> usize {
        let mut accepted = 0;
        while messages.check(ClientId(client), |_| true).is_ok() && messages.0.len() < 64 {
            *next += 1;
            messages.note(MessageId(*next), ClientId(client));
            accepted += 1;
        }
        accepted
    }

    #[test]
    fn client_that_floods_messages_leaves_places_for_other_clients() {
        let (mut messages, mut next) = (ClientMessages::default(), 0);
        assert_eq!(flood(&mut messages, &mut next, 1), MAX_WITHOUT_RESERVE);
        for other in 2..=5 {
            assert_eq!(flood(&mut messages, &mut next, other), ALWAYS_PERMITTED);
        }
        let refusal = messages.check(ClientId(1), |_| true).unwrap_err();
        assert!(refusal.to_string().contains("48 messages of this client"));
    }

    #[test]
    fn ended_messages_free_their_places() {
        let (mut messages, mut next) = (ClientMessages::default(), 0);
        flood(&mut messages, &mut next, 1);
        assert!(messages.check(ClientId(1), |_| false).is_ok());
        assert!(messages.0.is_empty());
    }
}
