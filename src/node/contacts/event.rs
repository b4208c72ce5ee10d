//! What the node reports about contacts without a request.

use serde::{Deserialize, Serialize};

use super::command::SentMessage;
use super::views::{ContactView, ConversationMessageView, ConversationView};
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::node::event::Stage;
use crate::printable::one_line;

/// A report about contacts. What it tells survives a crash, but for the progress of an attempt.
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
    /// The running attempt of a message that this node sends went on. Nothing of it survives a crash.
    Progress(SentMessage, Stage),
}

/// The stage of a message in a conversation, as far as this node knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum ContactStage {
    /// Envelopes are made, and leave.
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
        /// Whether this node sent one of its envelopes to a peer before a peer had sent it here: that peer may
        /// suspect that the message is from here.
        first_gossip: bool,
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

impl ContactStage {
    /// The stage in words. No stage is called "sent" or "read".
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Sealing { attempt } => {
                format!("attempt {attempt}: its envelopes are made and leave")
            }
            Self::Dispatched { attempt } => format!("attempt {attempt}: has left"),
            Self::Seen {
                attempt,
                first_gossip: false,
            } => format!("attempt {attempt}: came back; the network has it"),
            Self::Seen { attempt, .. } => format!(
                "attempt {attempt}: came back; the network has it, and this node was the first to gossip it"
            ),
            Self::Answered => "answered".to_owned(),
            Self::Unanswered { reason: None } => "not answered".to_owned(),
            Self::Unanswered {
                reason: Some(reason),
            } => format!("not answered: {}", one_line(reason)),
            Self::Expired => "given up: its time is over".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
        }
    }

    /// Whether the message will not reach another stage by itself.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self, Self::Answered | Self::Expired | Self::Cancelled)
    }

    /// Appends the stage to a row of the state.
    pub(super) fn write(&self, writer: &mut StateWriter) {
        let (code, attempt) = match self {
            Self::Sealing { attempt } => (1, *attempt),
            Self::Dispatched { attempt } => (2, *attempt),
            Self::Seen {
                attempt,
                first_gossip: false,
            } => (3, *attempt),
            Self::Seen { attempt, .. } => (8, *attempt),
            Self::Answered => (4, 0),
            Self::Unanswered { .. } => (5, 0),
            Self::Expired => (6, 0),
            Self::Cancelled => (7, 0),
        };
        writer.u8(code);
        writer.u32(attempt);
        let reason = match self {
            Self::Unanswered { reason } => reason.as_deref(),
            _ => None,
        };
        writer.option(reason, |writer, reason| writer.bytes(reason.as_bytes()));
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the row is cut or has an unknown code.
    pub(super) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        let (code, attempt) = (reader.u8()?, reader.u32()?);
        let reason = reader.option(|reader| Ok(reader.text()?.to_owned()))?;
        Ok(match code {
            1 => Self::Sealing { attempt },
            2 => Self::Dispatched { attempt },
            3 | 8 => Self::Seen {
                attempt,
                first_gossip: code == 8,
            },
            4 => Self::Answered,
            5 => Self::Unanswered { reason },
            6 => Self::Expired,
            7 => Self::Cancelled,
            _ => return Err(BadState::Field("stage")),
        })
    }
}
