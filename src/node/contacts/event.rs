//! What the node reports about contacts without a request.

use serde::{Deserialize, Serialize};

use super::command::SentMessage;
use super::views::{ContactView, ConversationMessageView, ConversationView};

/// A report about contacts. What it tells survives a crash.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactEvent {
    /// A card of this contact was found, or its state changed otherwise.
    Contact(ContactView),
    /// A message arrived in a conversation.
    Message(ConversationMessageView),
    /// A conversation began, or its state changed. A request is one in the state `asked`.
    Conversation(ConversationView),
    /// A message that this node sends reached another stage.
    Outgoing(SentMessage, ContactStage),
}

/// The stage of a message in a conversation, as far as this node knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum ContactStage {
    /// An envelope is being made.
    Sealing {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// The envelope, or its shards, have left.
    Dispatched {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// The attempt came back by gossip: it is in the network.
    Seen {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// A message of the other side says that this one arrived. Final.
    Answered,
    /// No attempt is running. The other side has not said that the message arrived; it may have.
    Unanswered {
        /// Why the last attempt ended, if it did not reach the network.
        #[serde(deserialize_with = "Option::deserialize")]
        reason: Option<String>,
    },
    /// The time that the user gave the message is over. Final.
    Expired,
    /// The user stopped it. Final.
    Cancelled,
}
