//! Methods about contacts and conversations.
//!
//! A contact is named by the name that the user gave, a conversation also by the first digits of its id.
//! Texts arrive as JSON strings, which a request over the local socket keeps off the command line of
//! every process. These methods need the local socket or a token ([`super::Permissions`]): a
//! conversation is worth more to an attacker than any key that `shh_*` methods return.

use core::time::Duration;

use circuits::level::Level;
use circuits::time::UnixSecs;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::call::{bad, nothing, object, text};
use super::{RpcCall, RpcError};
use crate::contact::address::ContactAddress;
use crate::node::{
    Attachment, Command, ContactCommand, ContactReply, ContactSend, HistoryQuery, HowKnown,
    IntroductionRequest, LevelChoice, SentMessage,
};

/// The methods of this module.
const CONTACT_METHODS: [&str; 24] = [
    "whisht_acceptContact",
    "whisht_addContact",
    "whisht_addresses",
    "whisht_cancelReply",
    "whisht_card",
    "whisht_contact",
    "whisht_contacts",
    "whisht_conversation",
    "whisht_conversations",
    "whisht_declineContact",
    "whisht_estimateReply",
    "whisht_exportCards",
    "whisht_forget",
    "whisht_goodbye",
    "whisht_introduce",
    "whisht_markRead",
    "whisht_muteContact",
    "whisht_newAddress",
    "whisht_publishCards",
    "whisht_renewContact",
    "whisht_renewReply",
    "whisht_reply",
    "whisht_unmuteContact",
    "whisht_verifyContact",
];

/// The methods that write or price a message, whose level may be a custom one.
const MESSAGE_METHODS: [&str; 5] = [
    "whisht_estimateReply",
    "whisht_goodbye",
    "whisht_introduce",
    "whisht_renewContact",
    "whisht_reply",
];

/// Whether this module reads the parameters of a method.
pub(super) fn has(method: &str) -> bool {
    CONTACT_METHODS.contains(&method)
}

/// Parses the parameters of a method.
pub(super) fn read(method: &str, mut params: Value) -> Result<RpcCall, RpcError> {
    let custom = take_custom_level(method, &mut params);
    let command = command(method, params)?;
    Ok(RpcCall::plain(match custom {
        Some(name) => Command::ContactCustom(name, Box::new(command)),
        None => Command::Contact(command),
    }))
}

/// Takes the name of a custom level out of the parameters of a message, if it names one.
fn take_custom_level(method: &str, params: &mut Value) -> Option<String> {
    if !MESSAGE_METHODS.contains(&method) {
        return None;
    }
    let object = match params {
        Value::Array(list) => list.first_mut()?.as_object_mut()?,
        params => params.as_object_mut()?,
    };
    let level: LevelChoice = object.get("level")?.as_str()?.parse().ok()?;
    match level {
        LevelChoice::Standard(_) => None,
        LevelChoice::Custom(name) => {
            object.remove("level");
            Some(name)
        }
    }
}

fn command(method: &str, params: Value) -> Result<ContactCommand, RpcError> {
    Ok(match method {
        "whisht_acceptContact" => {
            let AcceptParams { of, name } = object(params)?;
            ContactCommand::Accept { of, name }
        }
        "whisht_addContact" => add(params)?,
        "whisht_addresses" => nothing(params, ContactCommand::Addresses)?,
        "whisht_cancelReply" => ContactCommand::Cancel(sent(params)?),
        "whisht_card" => ContactCommand::CardShow(text(params, "name")?),
        "whisht_contact" => ContactCommand::Contact(text(params, "name")?),
        "whisht_contacts" => nothing(params, ContactCommand::Contacts)?,
        "whisht_conversation" => conversation(params)?,
        "whisht_conversations" => nothing(params, ContactCommand::Conversations)?,
        "whisht_declineContact" => ContactCommand::Decline(text(params, "of")?),
        "whisht_estimateReply" => ContactCommand::Price(message(object(params)?)?),
        "whisht_exportCards" => {
            let ExportParams { name, days } = object(params)?;
            ContactCommand::CardExport { name, days }
        }
        "whisht_forget" => ContactCommand::Forget(text(params, "of")?),
        "whisht_goodbye" => ContactCommand::Close(message(object(params)?)?),
        "whisht_introduce" => introduce(params)?,
        "whisht_markRead" => {
            let ReadParams { of, place } = object(params)?;
            ContactCommand::MarkRead { of, place }
        }
        "whisht_muteContact" => mute(params, true)?,
        "whisht_newAddress" => new_address(params)?,
        "whisht_publishCards" => publish(params)?,
        "whisht_renewContact" => {
            let params: MessageParams = object(params)?;
            ContactCommand::Renew {
                of: params.to.clone(),
                send: message(params)?,
            }
        }
        "whisht_renewReply" => ContactCommand::SendAgain(sent(params)?),
        "whisht_reply" => ContactCommand::Send(message(object(params)?)?),
        "whisht_unmuteContact" => mute(params, false)?,
        "whisht_verifyContact" => ContactCommand::Verify(text(params, "name")?),
        _ => return Err(RpcError::unknown_method(method)),
    })
}

/// The JSON of a reply: the view itself.
pub(super) fn result(reply: &ContactReply) -> Value {
    match reply {
        ContactReply::Done => Value::Bool(true),
        ContactReply::Address(view) => super::to_value(view),
        ContactReply::Addresses(list) => super::to_value(list),
        ContactReply::Contact(view) => super::to_value(view),
        ContactReply::Contacts(list) => super::to_value(list),
        ContactReply::Sent(sent) => super::to_value(sent),
        ContactReply::Price(price) => super::to_value(price),
        ContactReply::Conversations(list) => super::to_value(list),
        ContactReply::Conversation {
            conversation,
            messages,
        } => json!({"conversation": conversation, "messages": messages}),
        ContactReply::UnderWay(list) => super::to_value(list),
        ContactReply::Card(card) => super::to_value(card),
        ContactReply::CardFile(bytes) => Value::String(hex::encode(bytes)),
        ContactReply::CardsPublished(count) => super::to_value(count),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptParams {
    /// The first digits of a request's id, or the name of an introduced contact.
    of: String,
    /// The name of the new contact.
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddParams {
    address: String,
    name: String,
}

fn add(params: Value) -> Result<ContactCommand, RpcError> {
    let AddParams { address, name } = object(params)?;
    let address: ContactAddress = address.parse().map_err(|error| {
        let remedy = "copy the whole address, 63 characters that begin with shh1";
        bad("address", error, remedy)
    })?;
    Ok(ContactCommand::Add {
        id: address.id(),
        name,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressParams {
    name: String,
    /// The seed of the address key: 32 bytes in hexadecimal digits.
    seed: Zeroizing<String>,
}

fn new_address(params: Value) -> Result<ContactCommand, RpcError> {
    let AddressParams { name, seed: digits } = object(params)?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits.as_str(), seed.as_mut_slice())
        .map_err(|_| bad("seed", "it is not 32 bytes", "write 64 hexadecimal digits"))?;
    Ok(ContactCommand::CreateAddress { name, seed })
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationParams {
    of: String,
    /// The place of the last message that the caller has.
    after: Option<u64>,
    since: Option<u32>,
    before: Option<u32>,
    limit: Option<usize>,
    #[serde(default)]
    unfinished: bool,
}

fn conversation(params: Value) -> Result<ContactCommand, RpcError> {
    let params = match params {
        Value::Array(list) if matches!(list.as_slice(), [Value::String(_)]) => {
            let of = text(Value::Array(list), "of")?;
            ConversationParams {
                of,
                ..ConversationParams::default()
            }
        }
        named => object(named)?,
    };
    Ok(ContactCommand::History {
        of: params.of,
        query: HistoryQuery {
            after: params.after.unwrap_or(0),
            since: params.since.map(UnixSecs),
            before: params.before.map(UnixSecs),
            limit: params.limit,
            unfinished: params.unfinished,
        },
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadParams {
    of: String,
    place: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportParams {
    name: String,
    days: u32,
}

fn mute(params: Value, muted: bool) -> Result<ContactCommand, RpcError> {
    let of = text(params, "of")?;
    Ok(ContactCommand::Mute { of, muted })
}

fn publish(params: Value) -> Result<ContactCommand, RpcError> {
    let digits = text(params, "file")?;
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    let bytes = hex::decode(digits).map_err(|error| bad("file", error, "write it in hex"))?;
    Ok(ContactCommand::CardPublish(bytes))
}

fn sent(params: Value) -> Result<SentMessage, RpcError> {
    object(params)
}

/// A message to a contact or in a conversation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageParams {
    /// The name of a contact, or the first digits of a conversation's id.
    to: String,
    #[serde(default)]
    text: Zeroizing<String>,
    /// The level; that of the node if absent.
    level: Option<String>,
    /// Seconds.
    life: Option<u64>,
    attachment: Option<AttachmentParams>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachmentParams {
    /// The name that the recipient sees; none if absent.
    #[serde(default)]
    name: String,
    /// The content in hexadecimal digits.
    bytes: Zeroizing<String>,
}

fn message(params: MessageParams) -> Result<ContactSend, RpcError> {
    let level = params.level.as_deref().map(level).transpose()?;
    let attachment = params.attachment.map(attachment).transpose()?;
    Ok(ContactSend {
        to: params.to,
        text: params.text,
        attachment,
        level,
        life: params.life.map(Duration::from_secs),
    })
}

pub(super) fn level(word: &str) -> Result<Level, RpcError> {
    let choice: LevelChoice = word
        .parse()
        .map_err(|error| bad("level", error, "see whisht_levels"))?;
    match choice {
        LevelChoice::Standard(level) => Ok(level),
        LevelChoice::Custom(name) => Err(bad(
            "level",
            format_args!(
                "`{name}` is not a level of the program; files and talk lines use those only"
            ),
            "see whisht_levels",
        )),
    }
}

fn attachment(params: AttachmentParams) -> Result<Attachment, RpcError> {
    let digits = params.bytes.strip_prefix("0x").unwrap_or(&params.bytes);
    let bytes = hex::decode(digits).map_err(|error| bad("attachment", error, "write it in hex"))?;
    Ok(Attachment {
        name: params.name,
        bytes: bytes.into(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IntroduceParams {
    /// The contact that is introduced.
    about: String,
    how: Option<HowKnown>,
    #[serde(default)]
    note: String,
    to: String,
    #[serde(default)]
    text: Zeroizing<String>,
    level: Option<String>,
    life: Option<u64>,
}

fn introduce(params: Value) -> Result<ContactCommand, RpcError> {
    let params: IntroduceParams = object(params)?;
    let send = message(MessageParams {
        to: params.to,
        text: params.text,
        level: params.level,
        life: params.life,
        attachment: None,
    })?;
    Ok(ContactCommand::Introduce(IntroductionRequest {
        send,
        about: params.about,
        how: params.how.unwrap_or(HowKnown::Unsaid),
        note: params.note,
    }))
}

#[cfg(test)]
mod tests;
