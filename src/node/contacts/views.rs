//! Views of contacts: own addresses, contacts, cards, conversations and their messages.
//!
//! As everywhere, a view leaves the node only on the user's request, and optional fields are present as
//! `null`. Ids are hexadecimal; an address is the text of its id (`contact::address`).

use circuits::level::Level;
use serde::{Deserialize, Serialize};

use super::command::HowKnown;
use super::event::ContactStage;
use crate::node::event::Stage;
use crate::node::views::{EstimateView, PriceView, level_word};

/// An own address.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AddressView {
    /// Its name on this node.
    pub name: String,
    /// Its id (32 bytes, hexadecimal).
    pub id: String,
    /// Number of cards of now that this node has published and that are alive.
    pub cards: usize,
    /// Seconds until the next card is published; `None` if none is planned.
    #[serde(deserialize_with = "Option::deserialize")]
    pub next_card_secs: Option<u64>,
    /// Why no card can be published now, and the remedy.
    #[serde(deserialize_with = "Option::deserialize")]
    pub obstacle: Option<String>,
    /// Least level that its cards ask for.
    #[serde(with = "level_word")]
    pub least_level: Level,
    /// Bits of the inner ticket that its cards ask for.
    pub ticket_bits: u8,
    /// Number of requests that wait for an answer.
    pub requests: usize,
}

/// The state of a contact.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// Another contact named it. Nothing is sent to it, and no card of it is looked for.
    Introduced,
    /// No card of now is known.
    Named,
    /// A card of now is known.
    Ready,
}

/// A contact.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ContactView {
    /// Its name.
    pub name: String,
    /// The id in its address (32 bytes, hexadecimal). `None` if it wrote first and has shown no address.
    #[serde(deserialize_with = "Option::deserialize")]
    pub id: Option<String>,
    /// Its state.
    pub state: ContactState,
    /// Six words that both sides compare: 66 bits of the id. `None` without an id.
    #[serde(deserialize_with = "Option::deserialize")]
    pub words: Option<String>,
    /// Whether the user has compared the words.
    pub verified: bool,
    /// Its card, if one of now is known.
    #[serde(deserialize_with = "Option::deserialize")]
    pub card: Option<CardView>,
    /// Why there is no card: what may be the cause, and what this node sees of the network.
    #[serde(deserialize_with = "Option::deserialize")]
    pub missing_card: Option<MissingCardView>,
    /// The contact that introduced it, if one did.
    #[serde(deserialize_with = "Option::deserialize")]
    pub introduced: Option<IntroducedView>,
    /// Ids of its conversations, the one to send in first.
    pub conversations: Vec<String>,
}

/// What this node sees of the network while a card is missing. The owner may be away, or the peers may
/// hide the card.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MissingCardView {
    /// Number of connected peers.
    pub peers: usize,
    /// Number of envelopes in the pool.
    pub pool_envelopes: usize,
    /// Seconds since the last card of the contact ceased to be of now; `None` if there never was one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub since_secs: Option<u64>,
}

/// Who introduced a contact.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IntroducedView {
    /// The name of the introducing contact.
    pub by: String,
    /// How the introducing contact knows it.
    pub how: HowKnown,
    /// The day, in days since 1970.
    pub day: u32,
    /// Its note; may be empty. It is text of another machine.
    pub note: String,
}

/// A card.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CardView {
    /// The period that it is for.
    pub period: u32,
    /// When that period ends (seconds since 1970).
    pub ends: u64,
    /// The period in which it was made.
    pub serial: u32,
    /// Its revision in that period.
    pub revision: u8,
    /// The generation of its keys.
    pub generation: u32,
    /// Least level of messages to its owner.
    #[serde(with = "level_word")]
    pub least_level: Level,
    /// Bits of the inner ticket.
    pub ticket_bits: u8,
    /// Whether its owner accepts letters.
    pub letters: bool,
    /// Whether its owner accepts files.
    pub files: bool,
}

/// The state of a conversation (docs/wire/contact.md, "Conversations").
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationStateView {
    /// This node wrote first, and nothing has come back.
    Opening,
    /// The other side wrote first, and the user has not accepted it.
    Asked,
    /// Both sides can write.
    Open,
    /// The state of this node was restored. Nothing is sent until the conversation is renewed.
    Stale,
    /// Over.
    Closed,
}

impl ConversationStateView {
    /// The state in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Opening => "no answer yet",
            Self::Asked => "request",
            Self::Open => "open",
            Self::Stale => "restored: renew it",
            Self::Closed => "closed",
        }
    }
}

/// A conversation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConversationView {
    /// Its id, hexadecimal. The first digits that no other conversation shares are enough in commands.
    pub id: String,
    /// The contact, once there is one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub contact: Option<String>,
    /// The own address that the other side wrote to; `None` if this node wrote first.
    #[serde(deserialize_with = "Option::deserialize")]
    pub to: Option<String>,
    /// Its state.
    pub state: ConversationStateView,
    /// Whether it consists of letters: one end keeps words and stores nothing. Answers to it have no forward
    /// secrecy against the words.
    pub letters: bool,
    /// Number of messages in its history.
    pub messages: usize,
    /// Number of these that the user has not read.
    pub unread: usize,
    /// When the last message was received or written (seconds since 1970).
    pub last: u64,
    /// The number of the current epoch: how often new post-quantum keys were exchanged.
    pub epoch: u16,
    /// Numbers of messages that have not come although later ones have.
    pub missing: Vec<u64>,
    /// Whether its events are muted.
    pub muted: bool,
    /// Whether the user has starred it.
    pub starred: bool,
    /// Day (since 1970) on which the other side restored its state and proved the old conversation.
    /// The words should be compared again.
    #[serde(deserialize_with = "Option::deserialize")]
    pub restored_day: Option<u32>,
}

/// Which side wrote a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageDirection {
    /// This node.
    Out,
    /// The other side.
    In,
}

/// A message in a conversation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ConversationMessageView {
    /// The conversation's id, hexadecimal.
    pub conversation: String,
    /// The contact, once there is one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub contact: Option<String>,
    /// Its place in the history, from 1 on, in the order of storing.
    pub place: u64,
    /// Which side wrote it.
    pub direction: MessageDirection,
    /// Its number among the messages of its side, from 1 on.
    pub number: u64,
    /// When this node received or accepted it (seconds since 1970).
    pub time: u64,
    /// Its content.
    pub parts: Vec<MessagePartView>,
    /// Its stage, if this node sends it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub stage: Option<ContactStage>,
    /// The level that this node sends it at.
    #[serde(with = "optional_level_word")]
    pub level: Option<Level>,
    /// Whether the user has read it, or wrote it.
    pub read: bool,
    /// How far its sending is; `None` in events, and for a message that this node does not send any more.
    #[serde(deserialize_with = "Option::deserialize")]
    pub delivery: Option<DeliveryView>,
}

/// How far the sending of a message is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DeliveryView {
    /// The stage of the attempt that is running.
    #[serde(deserialize_with = "Option::deserialize")]
    pub attempt: Option<Stage>,
    /// What the message waits for if no attempt is running.
    #[serde(deserialize_with = "Option::deserialize")]
    pub waits_for: Option<String>,
    /// Seconds for which it waits at most; `None` if that is not known.
    #[serde(deserialize_with = "Option::deserialize")]
    pub wait_seconds: Option<u64>,
    /// What an attempt was estimated to cost when the message was written.
    #[serde(deserialize_with = "Option::deserialize")]
    pub price: Option<PriceView>,
}

/// A part of a message. Texts are shown with control characters made visible (`printable`); they are not
/// changed here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "part")]
pub enum MessagePartView {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A small file.
    File {
        /// Its name; may be empty.
        name: String,
        /// Its content, hexadecimal.
        bytes: String,
    },
    /// The sender claims this address; the words should be compared.
    Address {
        /// The id (32 bytes, hexadecimal).
        id: String,
    },
    /// The sender introduces a person.
    Introduction {
        /// The id (32 bytes, hexadecimal).
        id: String,
        /// The name that the sender gives the person.
        name: String,
        /// How the sender knows the person.
        how: HowKnown,
        /// A note; may be empty.
        note: String,
    },
    /// The sender proved that it knows the secrets of an earlier conversation, which it has lost.
    Continuity {
        /// The id of the earlier conversation, hexadecimal.
        of: String,
    },
    /// The sender offers a file, which the list of files has unless a limit was reached.
    FileOffer {
        /// Its name; not to be trusted.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The sender answers the offer of a file.
    FileAnswer {
        /// What the answer says.
        verdict: FileVerdictView,
    },
    /// The sender offers a talk line.
    TalkOffer,
    /// The sender answers the offer of a talk line, or withdraws its own.
    TalkAnswer {
        /// Whether the line is accepted.
        accepted: bool,
    },
    /// The sender closes the conversation.
    Goodbye,
    /// A part that needs a newer version.
    Unknown {
        /// Its type.
        kind: u8,
    },
}

impl MessagePartView {
    /// The answer to the offer of a talk line as a statement about the other end.
    #[must_use]
    pub const fn talk_answer(accepted: bool) -> &'static str {
        if accepted {
            "accepts the talk line"
        } else {
            "declines the talk line, or withdraws it"
        }
    }

    /// A part of an unknown type in words.
    #[must_use]
    pub fn unknown(kind: u8) -> String {
        format!("a part of type {kind}, which needs a newer version of whisht")
    }
}

/// What an answer says to the offer of a file.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileVerdictView {
    /// The file is not wanted.
    Declined,
    /// It is wanted, and other relays are proposed.
    OtherRelays,
    /// It is wanted.
    Accepted,
    /// It has arrived.
    Received,
}

impl FileVerdictView {
    /// The verdict as a statement about the other end.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Declined => "does not want the file",
            Self::OtherRelays => "wants the file, and names other relays for it",
            Self::Accepted => "wants the file",
            Self::Received => "has the file",
        }
    }
}

/// What a message costs, and how it travels.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SendPriceView {
    /// The level that applies.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Whether it travels in the longer form of a first message, because nothing has come back yet.
    pub first: bool,
    /// Bits of the inner ticket that are still to be found; 0 if none.
    pub ticket_bits: u8,
    /// Bytes of the encrypted body, which envelopes carry.
    pub body_bytes: usize,
    /// The cost of its envelopes; `None` while no card is known.
    #[serde(deserialize_with = "Option::deserialize")]
    pub estimate: Option<EstimateView>,
}

/// A level as its word, or `null`.
mod optional_level_word {
    use circuits::level::Level;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub(super) fn serialize<S: Serializer>(
        level: &Option<Level>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        level.map(Level::word).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Level>, D::Error> {
        let word = Option::<String>::deserialize(from)?;
        word.map(|word| {
            word.parse()
                .map_err(|_| de::Error::custom(format_args!("there is no level {word:?}")))
        })
        .transpose()
    }
}
