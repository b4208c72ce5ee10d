//! The node's JSON-RPC 2.0 interface, without the socket.
//!
//! [`RpcMessage`] parses requests, [`RpcCall`] turns a method and its parameters into a command,
//! and the functions below turn the reply into JSON. The methods `whisht_*` are our own: their
//! parameters may be positional or named, and their errors contain a kind, a cause and a remedy in
//! `data`, so that programs need not parse the message. All other methods equal go-ethereum's,
//! including the order of members and the texts of errors ([`shh`], [`admin`]). The rules for
//! requests are go-ethereum's too.

pub mod admin;
mod call;
mod contacts;
mod enode;
mod error;
mod files;
mod inbox;
mod keys;
pub mod mail;
mod methods;
mod request;
pub mod shh;
mod talk;
mod value;
mod views;

use serde_json::{Value, json};

use crate::node::{Event, Reply};

pub use call::{Permissions, Render, RpcCall};
pub use error::{RpcError, RpcErrorKind};
pub use keys::KeyCall;
pub use methods::METHODS;
pub use request::{RpcMessage, RpcRequest, failure, parsed_size, response};
pub use views::{EventNotice, ExportView, LockView, UnlockView};

/// The notification of an event; `None` if the event is for other subscribers.
#[must_use]
pub fn event(subscription: &str, event: &Event) -> Option<Value> {
    match event {
        Event::Filtered(..) => None,
        event => Some(notification(subscription, to_value(event))),
    }
}

/// The notification to a subscriber that read too slowly.
#[must_use]
pub fn lost(subscription: &str, count: u64) -> Value {
    notification(subscription, json!({"lost": count}))
}

/// The JSON of a reply, unless the call [has its own](Render).
///
/// # Errors
///
/// The error in the reply.
pub fn result(reply: &Reply) -> Result<Value, RpcError> {
    Ok(match reply {
        Reply::Done => Value::Bool(true),
        Reply::Accepted(id) => to_value(id),
        Reply::Fetch(view) => to_value(view),
        Reply::Identities(list) => to_value(list),
        Reply::Inbox(list) => to_value(list),
        Reply::Node(node) => admin::node_info(node, &[]),
        Reply::Outbox(list) => to_value(list),
        Reply::Peers(list) => to_value(list),
        Reply::Relays(list) => to_value(list),
        Reply::Status(status) => to_value(status),
        Reply::Metrics(view) => Value::String(crate::metrics::render(view)),
        Reply::Estimate(estimate) => to_value(estimate),
        Reply::Levels(view) => to_value(view),
        Reply::DialBack(view) => to_value(view),
        Reply::HeldCells(count) => to_value(count),
        Reply::Contact(reply) => contacts::result(reply),
        Reply::File(reply) => files::result(reply),
        Reply::Talk(reply) => talk::result(reply),
        Reply::Shh(outcome) => return shh::result(outcome),
    })
}

fn notification(subscription: &str, result: Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "whisht_subscription",
        "params": {"subscription": subscription, "result": result},
    })
}

/// Views consist of texts, numbers and lists, all of which JSON can represent.
fn to_value(view: &impl serde::Serialize) -> Value {
    serde_json::to_value(view).unwrap_or_default()
}

#[cfg(test)]
mod tests;
