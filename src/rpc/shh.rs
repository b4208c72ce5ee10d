//! The `shh_*` methods of go-ethereum 1.8: their parameters to commands, their results to JSON.
//!
//! Names, forms, member order, number formats and error texts are go-ethereum's (protocol sheet
//! 7.2) and are compared with a recording of the original. docs/compatibility.md lists the
//! differences and their reasons. This module translates only; `node::shh_api` decides.

mod criteria;
mod keys;
mod message;
mod post;

use circuits::secret::Secret;
use rand_core::CryptoRng;
use serde_json::{Value, json};

use super::call::RpcCall;
use super::enode::Enode;
use super::value::{PositionalParams, bytes, float, from_bytes, from_float, only, text, whole};
use super::{Permissions, RpcError};
use crate::bloom::Bloom;
use crate::gossip::packet::MinPow;
use crate::message::SymKey;
use crate::node::{Command, MAX_ENVELOPE_SIZE, ShhCommand, ShhError, ShhInfo, ShhReply};
use crate::subscriptions::FilteredMessage;

/// Parses a call. `None` if there is no such method.
pub(super) fn read(
    method: &str,
    params: Option<Value>,
    permissions: Permissions,
) -> Option<Result<RpcCall, RpcError>> {
    let command = match method {
        "shh_version" => return Some(Ok(RpcCall::Known("6.0".into()))),
        "shh_info" => Ok(ShhCommand::Info),
        "shh_setMaxMessageSize" => return Some(set_max_size(method, params).map(RpcCall::plain)),
        "shh_setMinPoW" => return Some(set_min_pow(method, params).map(RpcCall::plain)),
        "shh_setBloomFilter" => return Some(set_bloom(method, params).map(RpcCall::plain)),
        "shh_markTrustedPeer" => trust_peer(method, params),
        "shh_makeLightClient" => return Some(Ok(RpcCall::plain(Command::SetLight(true)))),
        "shh_cancelLightClient" => return Some(Ok(RpcCall::plain(Command::SetLight(false)))),
        "shh_newKeyPair" => Ok(ShhCommand::NewKeyPair),
        "shh_addPrivateKey" => keys::add_pair(method, params),
        "shh_deleteKeyPair" => only(method, params, text).map(ShhCommand::DeleteKeyPair),
        "shh_hasKeyPair" => only(method, params, text).map(ShhCommand::HasKeyPair),
        "shh_getPublicKey" => only(method, params, text).map(ShhCommand::PublicKey),
        "shh_getPrivateKey" => permissions
            .keys()
            .and_then(|()| only(method, params, text).map(ShhCommand::PrivateKey)),
        "shh_newSymKey" => Ok(ShhCommand::NewSymKey),
        "shh_addSymKey" => keys::add_shared(method, params),
        "shh_generateSymKeyFromPassword" => {
            let password = only(method, params, text);
            return Some(password.map(|password| RpcCall::KeyFromPassword(password.into())));
        }
        "shh_deleteSymKey" => only(method, params, text).map(ShhCommand::DeleteSymKey),
        "shh_hasSymKey" => only(method, params, text).map(ShhCommand::HasSymKey),
        "shh_getSymKey" => permissions
            .keys()
            .and_then(|()| only(method, params, text).map(ShhCommand::SymKey)),
        "shh_post" => post::read(method, params),
        "shh_newMessageFilter" => criteria::read(method, params).map(ShhCommand::NewFilter),
        "shh_getFilterMessages" => only(method, params, text).map(ShhCommand::Messages),
        "shh_deleteMessageFilter" | "shh_uninstallFilter" => {
            only(method, params, text).map(ShhCommand::DeleteFilter)
        }
        "shh_subscribe" => return Some(subscribe(method, params)),
        "shh_unsubscribe" => return Some(only(method, params, text).map(RpcCall::ShhUnsubscribe)),
        _ => return None,
    };
    Some(command.map(RpcCall::shh))
}

fn set_max_size(method: &str, params: Option<Value>) -> Result<Command, RpcError> {
    let wanted = only(method, params, whole)?;
    let size = usize::try_from(wanted)
        .ok()
        .filter(|size| *size <= MAX_ENVELOPE_SIZE);
    let too_large = || format!("message size too large [{wanted}>{MAX_ENVELOPE_SIZE}]");
    size.map(Command::SetMaxSize)
        .ok_or_else(|| RpcError::failed(too_large()))
}

fn set_min_pow(method: &str, params: Option<Value>) -> Result<Command, RpcError> {
    let wanted = only(method, params, float)?;
    let invalid = || RpcError::failed(format_args!("invalid PoW: {wanted:.6}"));
    MinPow::new(wanted)
        .map(Command::SetMinPow)
        .ok_or_else(invalid)
}

fn set_bloom(method: &str, params: Option<Value>) -> Result<Command, RpcError> {
    let filter = only(method, params, bytes)?;
    let size = filter.len();
    let bloom = <[u8; 64]>::try_from(filter.as_slice());
    bloom
        .map(|bloom| Command::SetBloom(Bloom(bloom)))
        .map_err(|_| RpcError::failed(format_args!("invalid bloom filter size: {size}")))
}

fn trust_peer(method: &str, params: Option<Value>) -> Result<ShhCommand, RpcError> {
    let url = only(method, params, text)?;
    let peer = Enode::parse(&url).map_err(RpcError::failed)?;
    Ok(ShhCommand::TrustPeer(peer.key))
}

fn subscribe(method: &str, params: Option<Value>) -> Result<RpcCall, RpcError> {
    let name = params.as_ref().and_then(|params| params.get(0)?.as_str());
    if let Some(name) = name.filter(|name| *name != "messages") {
        // go-ethereum treats the name of a subscription as a method.
        return Err(RpcError::unknown_method(&format!("shh_{name}")));
    }
    let mut args = PositionalParams::new(method, params, 2)?;
    let _name = args.read(text)?;
    let criteria = criteria::read_next(&mut args)?;
    Ok(RpcCall::ShhSubscribe(criteria))
}

/// The result of a call.
///
/// # Errors
///
/// The node's error, in go-ethereum's words.
pub(super) fn result(reply: &Result<ShhReply, ShhError>) -> Result<Value, RpcError> {
    match reply {
        // go-ethereum has no such error, so its text is our own.
        Err(ShhError::Refused(refusal)) => Err(refusal.clone().into()),
        Err(error) => Err(RpcError::failed(error)),
        Ok(reply) => Ok(match reply {
            ShhReply::Done => true.into(),
            ShhReply::Known(known) => (*known).into(),
            ShhReply::Id(id) => id.as_str().into(),
            ShhReply::PublicKey(key) => from_bytes(&key.to_bytes()),
            ShhReply::Secret(key) => from_bytes(key.expose()),
            ShhReply::Info(info) => self::info(info),
            ShhReply::Messages(list) => list
                .iter()
                .map(|received| message::view(received))
                .collect(),
            ShhReply::Posted(hash) => from_bytes(&hash.0),
            // The caller, who serves the connection, replaces the number by a subscription id.
            ShhReply::Subscribed(filter) => filter.0.into(),
        }),
    }
}

fn info(info: &ShhInfo) -> Value {
    json!({
        "memory": info.memory,
        "messages": info.messages,
        "minPow": from_float(info.min_pow),
        "maxMessageSize": info.max_message_size,
    })
}

/// Derives a key from a password and returns the command that stores it; the reply contains the
/// key's id. The derivation takes a noticeable fraction of a second, so call it on a thread that
/// may block.
#[must_use]
pub fn keep_key(password: &str) -> Command {
    let key = match SymKey::from_password(password) {
        Ok(key) => Secret::init_with(|bytes| bytes.copy_from_slice(key.expose())),
        // The key of zeros is stored like any other; no known password yields it.
        Err(_) => Secret::init_with(|_| ()),
    };
    Command::Shh(ShhCommand::AddSymKey(key))
}

/// The notification of a message.
#[must_use]
pub fn notification(subscription: &str, received: &FilteredMessage) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "shh_subscription",
        "params": {"subscription": subscription, "result": message::view(received)},
    })
}

/// A subscription id: unpredictable, and without leading zeros.
#[must_use]
pub fn subscription_id(rng: &mut impl CryptoRng) -> String {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    format!("{:#x}", u128::from_be_bytes(id))
}

/// The connection does not support notifications.
#[must_use]
pub fn no_notifications() -> RpcError {
    RpcError::failed("notifications not supported")
}

/// Whether a call subscribes to messages, whatever its criteria are: go-ethereum refuses it where
/// notifications are impossible before it reads them.
#[must_use]
pub fn subscribes_to_messages(method: &str, params: Option<&Value>) -> bool {
    let name = params
        .and_then(|params| params.get(0))
        .and_then(Value::as_str);
    method == "shh_subscribe" && name == Some("messages")
}

/// The connection has no subscription with this id.
#[must_use]
pub fn no_subscription() -> RpcError {
    RpcError::failed("subscription not found")
}
