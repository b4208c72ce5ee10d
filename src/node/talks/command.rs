//! What users ask about talk lines, and what the node answers and reports.

use circuits::level::Level;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::node::contacts::MessageDirection;

/// A command about talk lines. [`TalkReply`] answers it.
pub enum TalkCommand {
    /// Accept the line that a contact offers, or offer one: [`TalkReply::Talk`], once the message survives
    /// a crash.
    Talk {
        /// A contact's name, or the first digits of the conversation's id.
        to: String,
        /// The level; `normal` if `None`, unless the node's own is one with cover traffic.
        level: Option<Level>,
    },
    /// Send a line of text: [`TalkReply::Done`], once it waits for its frame.
    Say {
        /// As in [`Self::Talk`].
        to: String,
        /// 1 to 793 bytes, without control characters.
        text: Zeroizing<String>,
    },
    /// End a line after what was said, withdraw an offer, or decline one: [`TalkReply::Done`].
    End(String),
    /// List the lines and offers: [`TalkReply::Talks`].
    List,
}

impl core::fmt::Debug for TalkCommand {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TalkCommand(..)")
    }
}

/// The reply to a command about talk lines.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TalkReply {
    /// Done, without a result.
    Done,
    /// A line.
    Talk(TalkView),
    /// All lines and offers.
    Talks(Vec<TalkView>),
}

/// A talk line.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TalkView {
    /// The name of the contact.
    pub contact: String,
    /// The id of the conversation, hexadecimal.
    pub conversation: String,
    /// `out` if this node offered it.
    pub direction: MessageDirection,
    /// How far it is.
    pub stage: TalkStage,
    /// Bytes that each end sends in a minute while the line is open, whether its user types or not.
    pub bytes_per_minute: u64,
    /// The longest time of the line in seconds, with the time in which both ends meet.
    pub seconds: u64,
}

/// How far a talk line is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum TalkStage {
    /// It is offered, and not answered.
    Offered,
    /// It is accepted, and both ends try to meet.
    Meeting {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Both ends have met.
    Open,
    /// It has ended, and is forgotten. Final.
    Ended {
        /// Why.
        reason: String,
    },
}

/// A report about a talk line.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TalkEvent {
    /// It reached another stage.
    Stage(TalkView),
    /// The other user sent a line of text.
    Line {
        /// The name of the contact.
        contact: String,
        /// The id of the conversation, hexadecimal.
        conversation: String,
        /// The text; not yet fit for a terminal.
        text: String,
    },
}

impl core::fmt::Debug for TalkEvent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Stage(view) => write!(f, "Stage({:?})", view.stage),
            Self::Line { .. } => f.write_str("Line(..)"),
        }
    }
}
