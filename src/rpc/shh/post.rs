//! The parameters of `shh_post`: a message whose visible fields the client chooses.

use circuits::level::Level;
use serde_json::Value;

use super::super::RpcError;
use super::super::enode::Enode;
use super::super::value::{ObjectParams, ValueError, bytes, float, only, text, topic, whole};
use super::criteria::ONE_KEY;
use crate::envelope::Ttl;
use crate::message::ClientPublic;
use crate::node::{Post, PostTo, ShhCommand};

/// Parses the parameters.
pub(super) fn read(method: &str, params: Option<Value>) -> Result<ShhCommand, RpcError> {
    let post = only(method, params, |value| post(ObjectParams::new(value)?))??;
    Ok(ShhCommand::Post(Box::new(post)))
}

/// The outer error means a malformed field, the inner one an invalid combination of fields.
fn post(mut fields: ObjectParams) -> Result<Result<Post, RpcError>, ValueError> {
    let not_empty = |text: &String| !text.is_empty();
    let to = recipient(
        fields.read("symKeyID", text)?.filter(not_empty),
        fields
            .read("pubKey", bytes)?
            .as_deref()
            .map_or(&[], Vec::as_slice),
    );
    let sign_as = fields.read("sig", text)?.filter(not_empty);
    let ttl = Ttl(fields.read("ttl", whole)?.unwrap_or_default());
    let topic = fields.read_unnamed("topic", topic)?.unwrap_or_default();
    let payload = fields.read("payload", bytes)?.unwrap_or_default();
    let padding = fields.read("padding", bytes)?.unwrap_or_default().to_vec();
    let pow_target = fields.read("powTarget", float)?.unwrap_or_default();
    let pow_time = fields.read("powTime", whole)?.unwrap_or_default();
    let peer = fields
        .read("targetPeer", text)?
        .filter(not_empty)
        .map(|url| {
            let peer = Enode::parse(&url).map_err(|error| error.to_string())?;
            Ok(peer.key)
        });
    let level = fields.read("level", level)?;
    Ok(to.map(|to| Post {
        to,
        sign_as,
        ttl,
        topic,
        payload,
        padding,
        pow_target,
        pow_time,
        peer,
        level,
    }))
}

fn recipient(shared: Option<String>, public: &[u8]) -> Result<PostTo, RpcError> {
    match (shared, public) {
        (Some(id), []) => Ok(PostTo::Shared(id)),
        (None, [_, ..]) => ClientPublic::from_bytes(public)
            .map(PostTo::Public)
            .map_err(|_| RpcError::failed("invalid public key")),
        _ => Err(RpcError::failed(ONE_KEY)),
    }
}

/// The privacy level, an extension of go-ethereum's method.
fn level(value: Value) -> Result<Level, ValueError> {
    text(value)?.parse().map_err(ValueError::new)
}
