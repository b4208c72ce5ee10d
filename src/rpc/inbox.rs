//! `whisht_inbox`: which messages are wanted.

use circuits::time::UnixSecs;
use serde::Deserialize;
use serde_json::Value;

use super::RpcError;
use super::call::{bad, object};
use crate::node::{Command, InboxQuery, MessageIdPrefix};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InboxParams {
    /// The id of a message, or a time in seconds since 1970.
    after: Option<Value>,
    /// The id of the only message.
    id: Option<String>,
}

/// Reads the parameters: none, `after` by position or by name, or `id` by name.
pub(super) fn read(params: Value) -> Result<Command, RpcError> {
    let params = match params {
        Value::Null => return Ok(Command::Inbox(InboxQuery::All)),
        Value::Array(list) if list.is_empty() => return Ok(Command::Inbox(InboxQuery::All)),
        Value::Array(list) if !matches!(list.as_slice(), [Value::Object(_)]) => {
            let [after] = <[Value; 1]>::try_from(list).map_err(|list| {
                RpcError::invalid_params(
                    format_args!("the method takes one parameter; there are {}", list.len()),
                    "give `after`, or an object with `after` or `id`",
                )
            })?;
            InboxParams {
                after: Some(after),
                id: None,
            }
        }
        named => object(named)?,
    };
    let query = match params {
        InboxParams {
            after: None,
            id: None,
        } => InboxQuery::All,
        InboxParams {
            after: Some(after),
            id: None,
        } => after_query(&after)?,
        InboxParams {
            after: None,
            id: Some(id),
        } => InboxQuery::One(id_prefix(&id, "id")?),
        _ => {
            return Err(RpcError::invalid_params(
                "`after` and `id` are both given",
                "give one of them",
            ));
        }
    };
    Ok(Command::Inbox(query))
}

fn after_query(after: &Value) -> Result<InboxQuery, RpcError> {
    if let Value::String(id) = after {
        return id_prefix(id, "after").map(InboxQuery::After);
    }
    let secs = after.as_u64().and_then(|secs| u32::try_from(secs).ok());
    secs.map(|secs| InboxQuery::Since(UnixSecs(secs)))
        .ok_or_else(|| {
            bad(
                "after",
                "it is neither an id nor a time",
                "give the id of a message as text, or seconds since 1970 as a number",
            )
        })
}

fn id_prefix(text: &str, name: &str) -> Result<MessageIdPrefix, RpcError> {
    text.parse().map_err(|error| {
        let remedy = "give the id that `whisht_inbox` returns, or its first digits";
        bad(name, error, remedy)
    })
}
