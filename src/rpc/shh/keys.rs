//! Keys as parameters.

use circuits::secret::Secret;
use serde_json::Value;
use zeroize::Zeroizing;

use super::super::RpcError;
use super::super::value::{bytes, only};
use crate::message::ClientSecret;
use crate::node::ShhCommand;

pub(super) fn add_pair(method: &str, params: Option<Value>) -> Result<ShhCommand, RpcError> {
    let key = secret(only(method, params, bytes)?)
        .map_err(|_| RpcError::failed("invalid length, need 256 bits"))?;
    let is_zero = key.expose() == &[0; 32];
    ClientSecret::from_bytes(&key)
        .map(ShhCommand::AddKeyPair)
        .map_err(|_| {
            RpcError::failed(if is_zero {
                "invalid private key, zero or negative"
            } else {
                "invalid private key, >=N"
            })
        })
}

pub(super) fn add_shared(method: &str, params: Option<Value>) -> Result<ShhCommand, RpcError> {
    secret(only(method, params, bytes)?)
        .map(ShhCommand::AddSymKey)
        .map_err(|len| RpcError::failed(format_args!("wrong key size: {len}")))
}

/// 32 bytes; an error with the actual number otherwise.
fn secret(bytes: Zeroizing<Vec<u8>>) -> Result<Secret<32>, usize> {
    let key: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| bytes.len())?;
    Ok(Secret::init_with(|secret| secret.copy_from_slice(key)))
}
