//! The node's JSON-RPC 2.0 interface, without the socket.
//!
//! [`Request`] reads one request, [`Call`] turns a method and its parameters into something to do,
//! and the functions below turn what came of it back into JSON. Methods begin with `whisht_`.
//! Parameters may be positional, as web3 libraries send them, or named. Every error carries a
//! kind, a cause and a remedy in its `data`, so that no program has to read the message.

mod call;
mod error;

use serde_json::{Value, json};

use crate::node::{Event, Reply};

pub use call::{Call, METHODS};
pub use error::{Kind, RpcError};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Echoed in the response. `None` for a notification, which gets no response.
    pub id: Option<Value>,
    /// What to do.
    pub method: String,
    /// With what.
    pub params: Value,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and the id to answer to.
    pub fn read(value: Value) -> Result<Self, (Value, RpcError)> {
        let Value::Object(mut fields) = value else {
            return Err((
                Value::Null,
                RpcError::invalid_request("it is not an object"),
            ));
        };
        let id = fields.remove("id");
        let fail = |cause| {
            Err((
                id.clone().unwrap_or_default(),
                RpcError::invalid_request(cause),
            ))
        };
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return fail("`jsonrpc` is not \"2.0\"");
        }
        if matches!(
            id,
            Some(Value::Object(_) | Value::Array(_) | Value::Bool(_))
        ) {
            return fail("`id` is neither a number nor a text");
        }
        let Some(Value::String(method)) = fields.remove("method") else {
            return fail("`method` is missing or no text");
        };
        Ok(Self {
            id,
            method,
            params: fields.remove("params").unwrap_or_default(),
        })
    }
}

/// The response to a request.
#[must_use]
pub fn response(id: Value, outcome: Result<Value, RpcError>) -> Value {
    match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error.to_json()}),
    }
}

/// What a subscriber is told of an event.
#[must_use]
pub fn event(subscription: &str, event: &Event) -> Value {
    notification(subscription, to_value(event))
}

/// What a subscriber is told who did not read fast enough.
#[must_use]
pub fn lost(subscription: &str, count: u64) -> Value {
    notification(subscription, json!({"lost": count}))
}

/// What a reply looks like to the caller.
#[must_use]
pub fn result(reply: &Reply) -> Value {
    match reply {
        Reply::Done => Value::Bool(true),
        Reply::Accepted(id) => to_value(id),
        Reply::Identities(list) => to_value(list),
        Reply::Inbox(list) => to_value(list),
        Reply::Outbox(list) => to_value(list),
        Reply::Peers(list) => to_value(list),
        Reply::Relays(list) => to_value(list),
        Reply::Status(status) => to_value(status),
        Reply::Estimate(estimate) => to_value(estimate),
    }
}

fn notification(subscription: &str, result: Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "whisht_subscription",
        "params": {"subscription": subscription, "result": result},
    })
}

/// Views are made of texts, numbers and lists, all of which JSON can say.
fn to_value(view: &impl serde::Serialize) -> Value {
    serde_json::to_value(view).unwrap_or_default()
}

#[cfg(test)]
mod tests;
