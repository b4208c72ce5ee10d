//! Methods about talk lines. As the methods about contacts, these need the local socket or a token.

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::call::{nothing, object, text};
use super::contacts::level;
use super::{RpcCall, RpcError};
use crate::node::{Command, TalkCommand, TalkReply};

/// The methods of this module.
const TALK_METHODS: [&str; 4] = [
    "whisht_talk",
    "whisht_talkEnd",
    "whisht_talkSay",
    "whisht_talks",
];

/// Whether this module reads the parameters of a method.
pub(super) fn has(method: &str) -> bool {
    TALK_METHODS.contains(&method)
}

/// Parses the parameters of a method.
pub(super) fn read(method: &str, params: Value) -> Result<RpcCall, RpcError> {
    command(method, params).map(|command| RpcCall::plain(Command::Talk(command)))
}

fn command(method: &str, params: Value) -> Result<TalkCommand, RpcError> {
    Ok(match method {
        "whisht_talk" => {
            let TalkParams { to, level: word } = object(params)?;
            let level = word.as_deref().map(level).transpose()?;
            TalkCommand::Talk { to, level }
        }
        "whisht_talkEnd" => TalkCommand::End(text(params, "to")?),
        "whisht_talkSay" => {
            let SayParams { to, text } = object(params)?;
            TalkCommand::Say { to, text }
        }
        "whisht_talks" => nothing(params, TalkCommand::List)?,
        _ => return Err(RpcError::unknown_method(method)),
    })
}

/// The JSON of a reply: the view itself.
pub(super) fn result(reply: &TalkReply) -> Value {
    match reply {
        TalkReply::Done => Value::Bool(true),
        TalkReply::Talk(view) => super::to_value(view),
        TalkReply::Talks(list) => super::to_value(list),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TalkParams {
    /// The name of a contact, or the first digits of a conversation's id.
    to: String,
    /// The level; that of the node if absent.
    level: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SayParams {
    to: String,
    /// 1 to 793 bytes without control characters.
    text: Zeroizing<String>,
}

#[cfg(test)]
mod tests {
    use circuits::level::Level;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use serde_json::json;

    use super::*;
    use crate::rpc::{Permissions, RpcErrorKind};

    fn call_as(contacts: bool, method: &str, params: Value) -> Result<RpcCall, RpcError> {
        let permissions = Permissions {
            contacts,
            ..Permissions::default()
        };
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        RpcCall::read(method, Some(params), permissions, &mut rng)
    }

    #[test]
    fn program_without_a_token_opens_no_line_and_says_nothing() {
        for method in TALK_METHODS {
            let refused = call_as(false, method, json!([])).unwrap_err();
            assert_eq!(refused.kind, RpcErrorKind::Policy, "{method}");
        }
    }

    #[test]
    fn line_has_the_contact_level_and_text_that_were_given() {
        let params = json!([{"to": "desk", "level": "normal"}]);
        let call = call_as(true, "whisht_talk", params).unwrap();
        let RpcCall::Node(Command::Talk(TalkCommand::Talk { to, level }), _) = call else {
            panic!("the call offers a line");
        };
        assert_eq!((to.as_str(), level), ("desk", Some(Level::Normal)));
        let call = call_as(
            true,
            "whisht_talkSay",
            json!([{"to": "desk", "text": "hi"}]),
        )
        .unwrap();
        let RpcCall::Node(Command::Talk(TalkCommand::Say { text, .. }), _) = call else {
            panic!("the call says a line");
        };
        assert_eq!(text.as_str(), "hi");
    }
}
