//! Contacts: own addresses, other people's, and the conversations with them.
//!
//! The component owns which contacts and conversations there are, and the order in which state becomes
//! durable and acts. The formats and the cryptography are in `crate::contact`.

mod command;
mod event;
mod views;

pub use command::{
    Attachment, ContactCommand, ContactReply, ContactSend, HowKnown, Introduction, SentMessage,
};
pub use event::{ContactEvent, ContactStage};
pub use views::{
    AddressView, CardView, ContactState, ContactView, ConversationMessageView,
    ConversationStateView, ConversationView, IntroducedView, MessageDirection, MessagePartView,
    MissingCardView, SendPriceView,
};
