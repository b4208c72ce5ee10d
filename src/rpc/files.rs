//! Methods about files that are handed over.
//!
//! A file is named by its number. Its bytes pass in hexadecimal digits, 65,536 bytes a request, so that
//! neither the node nor a program holds more than a chunk. As the methods about contacts, these need the
//! local socket or a token.

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::call::{bad, nothing, number, object};
use super::contacts::level;
use super::{RpcCall, RpcError};
use crate::node::{Command, FileCommand, FileOutgoing, FileReply};
use crate::sealed_file::FILE_CHUNK;

/// The methods of this module.
const FILE_METHODS: [&str; 10] = [
    "whisht_file",
    "whisht_fileAccept",
    "whisht_fileBegin",
    "whisht_fileChunk",
    "whisht_fileDecline",
    "whisht_fileEnd",
    "whisht_fileErase",
    "whisht_filePrice",
    "whisht_fileRead",
    "whisht_files",
];

/// Whether this module reads the parameters of a method.
pub(super) fn has(method: &str) -> bool {
    FILE_METHODS.contains(&method)
}

/// Parses the parameters of a method.
pub(super) fn read(method: &str, params: Value) -> Result<RpcCall, RpcError> {
    command(method, params).map(|command| RpcCall::plain(Command::File(command)))
}

fn command(method: &str, params: Value) -> Result<FileCommand, RpcError> {
    Ok(match method {
        "whisht_file" => FileCommand::Show(number(params, "file")?),
        "whisht_fileAccept" => accept(params)?,
        "whisht_fileBegin" => FileCommand::Begin(outgoing(params)?),
        "whisht_fileChunk" => chunk(params)?,
        "whisht_fileDecline" => FileCommand::Decline(number(params, "file")?),
        "whisht_fileEnd" => FileCommand::End(number(params, "file")?),
        "whisht_fileErase" => FileCommand::Erase(number(params, "file")?),
        "whisht_filePrice" => FileCommand::Price(outgoing(params)?),
        "whisht_fileRead" => {
            let ReadParams { file, chunk } = object(params)?;
            FileCommand::Read { file, chunk }
        }
        "whisht_files" => nothing(params, FileCommand::List)?,
        _ => return Err(RpcError::unknown_method(method)),
    })
}

/// The JSON of a reply: the view itself, or the bytes of a chunk in hexadecimal digits.
pub(super) fn result(reply: &FileReply) -> Value {
    match reply {
        FileReply::Done => Value::Bool(true),
        FileReply::File(view) => super::to_value(view),
        FileReply::Files(list) => super::to_value(list),
        FileReply::Price(price) => super::to_value(price),
        FileReply::Chunk(bytes) => Value::String(hex::encode(&*bytes.0)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutgoingParams {
    /// The name of a contact, or the first digits of a conversation's id.
    to: String,
    /// The name that the recipient sees; none if absent.
    #[serde(default)]
    name: String,
    /// Bytes.
    size: u64,
    /// The level; that of the node if absent.
    level: Option<String>,
}

fn outgoing(params: Value) -> Result<FileOutgoing, RpcError> {
    let params: OutgoingParams = object(params)?;
    Ok(FileOutgoing {
        to: params.to,
        name: params.name,
        size: params.size,
        level: params.level.as_deref().map(level).transpose()?,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptParams {
    file: u64,
    /// As in [`OutgoingParams`].
    level: Option<String>,
}

/// The number alone, or an object with the level.
fn accept(params: Value) -> Result<FileCommand, RpcError> {
    let is_number = params.get(0).is_some_and(Value::is_number);
    let (file, word) = if is_number {
        (number(params, "file")?, None)
    } else {
        let AcceptParams { file, level } = object(params)?;
        (file, level)
    };
    let level = word.as_deref().map(level).transpose()?;
    Ok(FileCommand::Accept { file, level })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChunkParams {
    file: u64,
    chunk: u32,
    /// The content in hexadecimal digits.
    bytes: Zeroizing<String>,
}

fn chunk(params: Value) -> Result<FileCommand, RpcError> {
    let ChunkParams { file, chunk, bytes } = object(params)?;
    let digits = bytes.strip_prefix("0x").unwrap_or(&bytes);
    let bytes = hex::decode(digits).map_err(|error| bad("bytes", error, "write it in hex"))?;
    let bytes = Zeroizing::new(bytes);
    if bytes.is_empty() || bytes.len() > FILE_CHUNK {
        return Err(bad(
            "bytes",
            format_args!(
                "a chunk has 1 to {FILE_CHUNK} bytes; this has {}",
                bytes.len()
            ),
            "send the file in chunks of that size, of which only the last may be shorter",
        ));
    }
    Ok(FileCommand::Chunk { file, chunk, bytes })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadParams {
    file: u64,
    chunk: u32,
}

#[cfg(test)]
mod tests;
