//! What users ask about contacts, and what the node answers.
//!
//! A contact, an own address and a conversation are named in a command by the name that the user gave;
//! a conversation also by the first digits of its id.

use core::time::Duration;

use circuits::level::Level;
use circuits::time::UnixSecs;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::views::{
    AddressView, CardView, ContactView, ConversationMessageView, ConversationView, SendPriceView,
};
use crate::contact::id::ContactId;
use crate::contact::kdf::Key32;
use crate::contact::letter::LetterRoot;

/// A command about contacts. [`ContactReply`] answers it.
pub enum ContactCommand {
    /// Create an own address from the seed of its Ed25519 key. Answered by
    /// [`ContactReply::Address`], once the address survives a crash.
    CreateAddress {
        /// The name of the address on this node.
        name: String,
        /// The seed of its key.
        seed: Key32,
    },
    /// Write by letters from now on, with the keys of the user's words: [`ContactReply::Done`]. Only for a
    /// node that stores nothing.
    OpenLetters(LetterRoot),
    /// List the own addresses: [`ContactReply::Addresses`].
    Addresses,
    /// Name the owner of an address: [`ContactReply::Contact`].
    Add {
        /// The id in the address.
        id: ContactId,
        /// The name of the contact.
        name: String,
    },
    /// List the contacts: [`ContactReply::Contacts`].
    Contacts,
    /// Describe a contact: [`ContactReply::Contact`].
    Contact(String),
    /// Record that the user has compared the words of a contact: [`ContactReply::Contact`].
    Verify(String),
    /// Erase a contact and its conversations, or a conversation: [`ContactReply::Done`].
    Forget(String),
    /// Send a message to a contact or in a conversation: [`ContactReply::Sent`].
    Send(ContactSend),
    /// What such a message costs, without sending it: [`ContactReply::Price`].
    Price(ContactSend),
    /// List the conversations: [`ContactReply::Conversations`].
    Conversations,
    /// Show a conversation and its messages: [`ContactReply::Conversation`].
    Conversation {
        /// A contact's name, or the first digits of the conversation's id.
        of: String,
        /// Only messages with a place after this one.
        after: u64,
    },
    /// Show the last messages of a conversation before a place: [`ContactReply::Conversation`].
    ConversationPage {
        /// A contact's name, or the first digits of the conversation's id.
        of: String,
        /// Only messages before this place; the last ones if `None`.
        before: Option<u64>,
        /// Maximum number of messages.
        limit: usize,
    },
    /// Show a conversation and those of its messages that a query selects: [`ContactReply::Conversation`].
    History {
        /// A contact's name, or the first digits of the conversation's id.
        of: String,
        /// Which messages.
        query: HistoryQuery,
    },
    /// Mark the messages of a conversation up to this place as read: [`ContactReply::Done`].
    MarkRead {
        /// A contact's name, or the first digits of the conversation's id.
        of: String,
        /// The place of the last message that the user has seen.
        place: u64,
    },
    /// Accept a request, under a name, or an introduced contact: [`ContactReply::Conversation`] or
    /// [`ContactReply::Contact`]. Nothing is sent.
    Accept {
        /// The request's first digits, or the name of an introduced contact.
        of: String,
        /// The name of the new contact. An introduced contact keeps its name without one.
        name: Option<String>,
    },
    /// Erase a request, and ignore further messages of its conversation: [`ContactReply::Done`].
    Decline(String),
    /// Report no events of a conversation, or report them again: [`ContactReply::Done`].
    Mute {
        /// A contact's name, or the first digits of the conversation's id.
        of: String,
        /// Whether it is muted.
        muted: bool,
    },
    /// Star conversations, or take their stars away: [`ContactReply::Done`]. One that does not exist is
    /// skipped.
    Star {
        /// Names of contacts, or the first digits of conversations' ids.
        of: Vec<String>,
        /// Whether they become starred.
        starred: bool,
    },
    /// Erase messages of a conversation from the history: [`ContactReply::Done`]. Refused for a message that
    /// is still being sent.
    EraseMessages {
        /// A contact's name, or the first digits of the conversation's id.
        of: String,
        /// The places of the messages.
        places: Vec<u64>,
    },
    /// List the messages whose sending has not ended, of all conversations: [`ContactReply::UnderWay`].
    UnderWay {
        /// Maximum number of messages.
        limit: usize,
    },
    /// Tell one contact of another, unsigned: [`ContactReply::Sent`].
    Introduce(IntroductionRequest),
    /// Start a new session with a contact whose conversation is stale: [`ContactReply::Sent`].
    Renew {
        /// The contact.
        of: String,
        /// How the first message of the new session travels, and what it says.
        send: ContactSend,
    },
    /// Send an unanswered message again, with the same content: [`ContactReply::Sent`].
    SendAgain(SentMessage),
    /// Stop sending a message; what has left cannot be recalled: [`ContactReply::Done`].
    Cancel(SentMessage),
    /// Say goodbye and close a conversation: [`ContactReply::Sent`].
    Close(ContactSend),
    /// Show the card of an own address or of a contact: [`ContactReply::Card`].
    CardShow(String),
    /// Signed cards of an own address for the coming days, for a helper to publish:
    /// [`ContactReply::CardFile`].
    CardExport {
        /// The own address.
        name: String,
        /// Number of days, 1 to 14.
        days: u32,
    },
    /// Publish the cards of such a file for their owner: [`ContactReply::CardsPublished`].
    CardPublish(Vec<u8>),
}

impl ContactCommand {
    /// The message that it writes or prices, if it does.
    pub(in crate::node) const fn message_mut(&mut self) -> Option<&mut ContactSend> {
        match self {
            Self::Send(send) | Self::Price(send) | Self::Close(send) | Self::Renew { send, .. } => {
                Some(send)
            }
            Self::Introduce(introduction) => Some(&mut introduction.send),
            _ => None,
        }
    }

    /// Whether it asks for a view, and changes nothing.
    pub(in crate::node) const fn is_view(&self) -> bool {
        matches!(
            self,
            Self::Addresses
                | Self::Contacts
                | Self::Contact(_)
                | Self::Conversations
                | Self::Conversation { .. }
                | Self::ConversationPage { .. }
                | Self::History { .. }
                | Self::UnderWay { .. }
                | Self::CardShow(_)
        )
    }
}

impl core::fmt::Debug for ContactCommand {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ContactCommand(..)")
    }
}

/// A selection of the messages of a conversation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HistoryQuery {
    /// Only messages with a place after this one.
    pub after: u64,
    /// Only messages that were received or written at this time or later.
    pub since: Option<UnixSecs>,
    /// Only messages that were received or written before this time.
    pub before: Option<UnixSecs>,
    /// The last ones of these, at most so many; all if `None`.
    pub limit: Option<usize>,
    /// Only messages of this node whose sending has not ended.
    pub unfinished: bool,
}

/// A message to a contact or in a conversation.
pub struct ContactSend {
    /// A contact's name, or the first digits of the conversation's id.
    pub to: String,
    /// The text, UTF-8; may be empty if there is an attachment.
    pub text: Zeroizing<String>,
    /// A small file.
    pub attachment: Option<Attachment>,
    /// The privacy level; the node's default if `None`.
    pub level: Option<Level>,
    /// Minimum time that each envelope stays in the network; the default if `None`.
    pub life: Option<Duration>,
}

/// A small file inside a message.
pub struct Attachment {
    /// The name that the recipient sees; may be empty.
    pub name: String,
    /// The content.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// An introduction: what one contact is told about another.
pub struct IntroductionRequest {
    /// How the message travels. Its text may be empty.
    pub send: ContactSend,
    /// The contact that is introduced.
    pub about: String,
    /// How the user knows it.
    pub how: HowKnown,
    /// A note of at most 512 bytes.
    pub note: String,
}

/// How the sender of an introduction knows the person.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HowKnown {
    /// Not said.
    Unsaid,
    /// Their words were compared by voice.
    Voice,
    /// They met.
    InPerson,
}

impl HowKnown {
    /// Its byte in messages and in the state.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Unsaid => 0,
            Self::Voice => 1,
            Self::InPerson => 2,
        }
    }

    /// An introduction in words, ready for one line. The caller makes control characters of the texts visible.
    #[must_use]
    pub fn introduction(self, address: &str, name: &str, note: &str) -> String {
        let how = match self {
            Self::Unsaid => "",
            Self::Voice => ", whose words were compared by voice",
            Self::InPerson => ", whom the sender met",
        };
        let colon = if note.is_empty() { "" } else { ": " };
        format!("introduces {name}{how}, {address}{colon}{note}")
    }

    /// The meaning of a byte; an unknown one says nothing.
    pub(super) const fn of_code(code: u8) -> Self {
        match code {
            1 => Self::Voice,
            2 => Self::InPerson,
            _ => Self::Unsaid,
        }
    }
}

/// Names a message that this node sends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SentMessage {
    /// The id of its conversation, hexadecimal.
    pub conversation: String,
    /// Its number in the conversation, from 1 on.
    pub number: u64,
}

/// The reply to a command about contacts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactReply {
    /// Done, without a result.
    Done,
    /// An own address.
    Address(AddressView),
    /// The own addresses.
    Addresses(Vec<AddressView>),
    /// A contact.
    Contact(ContactView),
    /// The contacts.
    Contacts(Vec<ContactView>),
    /// The message is stored and will be sent; events report its stages.
    Sent(SentMessage),
    /// The cost of a message.
    Price(SendPriceView),
    /// The conversations, requests among them.
    Conversations(Vec<ConversationView>),
    /// A conversation, and messages of it in their order.
    Conversation {
        /// The conversation.
        conversation: ConversationView,
        /// Its messages.
        messages: Vec<ConversationMessageView>,
    },
    /// Messages whose sending has not ended, by conversation and number.
    UnderWay(Vec<ConversationMessageView>),
    /// A card.
    Card(CardView),
    /// Signed cards, to be written into a file.
    CardFile(Vec<u8>),
    /// Number of cards whose publication has started.
    CardsPublished(usize),
}
