//! Requests, responses and batches, by go-ethereum's rules.
//!
//! Programs rely on these rules, which differ from JSON-RPC 2.0. A request without an id is an
//! error and not a notification. `jsonrpc` is ignored. Member names are read in capital letters
//! too. An error that belongs to no request has no member `id`. After such an error a connection
//! that could carry more requests ends.

use serde_json::{Map, Value, json};

use super::RpcError;

/// A parsed request.
#[derive(Clone, Debug)]
pub struct RpcRequest {
    /// Echoed in the response: a number in its own digits, a text or null.
    pub id: Value,
    /// The method.
    pub method: String,
    /// The parameters; `None` if absent.
    pub params: Option<Value>,
}

/// The content of one transmission.
#[derive(Clone, Debug)]
pub enum RpcMessage {
    /// One request, answered by one response.
    Single(RpcRequest),
    /// A list of requests, answered by a list of responses in the same order, even if it is empty.
    Batch(Vec<RpcRequest>),
}

impl RpcMessage {
    /// Parses the first JSON value of a text; `None` if there is only white space.
    ///
    /// # Errors
    ///
    /// The defect; [`failure`] turns it into an answer.
    pub fn read(text: &[u8]) -> Result<Option<Self>, RpcError> {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter();
        match values.next() {
            None => Ok(None),
            Some(Err(error)) => Err(RpcError::not_json(error)),
            Some(Ok(Value::Array(list))) if list.len() > MAX_BATCH => Err(RpcError::no_request(
                format_args!("a list holds at most {MAX_BATCH} requests"),
            )),
            Some(Ok(Value::Array(list))) => {
                let requests = list.into_iter().map(RpcRequest::read);
                requests
                    .collect::<Result<_, _>>()
                    .map(|many| Some(Self::Batch(many)))
            }
            Some(Ok(value)) => {
                let request = RpcRequest::read(value)?;
                if !request.is_addressed() {
                    return Err(RpcError::unknown_method(&request.method));
                }
                Ok(Some(Self::Single(request)))
            }
        }
    }
}

impl RpcRequest {
    /// Parses a request.
    ///
    /// # Errors
    ///
    /// The defect. One invalid request makes a list invalid as a whole.
    pub fn read(value: Value) -> Result<Self, RpcError> {
        let Value::Object(mut members) = value else {
            return Err(RpcError::no_request("the request is not an object"));
        };
        let id = take(&mut members, "id");
        let method = match take(&mut members, "method") {
            Some(Value::String(method)) => method,
            None | Some(Value::Null) => String::new(),
            Some(_) => return Err(RpcError::no_request("`method` is not a text")),
        };
        let id = match id {
            Some(id @ (Value::Null | Value::Number(_) | Value::String(_))) => id,
            Some(_) => return Err(RpcError::no_request("invalid request id")),
            None => return Err(RpcError::no_request("missing request id")),
        };
        let params = take(&mut members, "params");
        let request = Self { id, method, params };
        if request.is_subscription() && request.subscription_name().is_none() {
            return Err(RpcError::not_json("Unable to parse subscription request"));
        }
        Ok(request)
    }

    /// Whether the method names a module and a function.
    fn is_addressed(&self) -> bool {
        self.method.split('_').count() == 2
    }

    fn is_subscription(&self) -> bool {
        self.method.ends_with("_subscribe") && !self.method.starts_with("whisht_")
    }

    /// The first parameter of a subscription; in go-ethereum it counts as a method.
    fn subscription_name(&self) -> Option<&str> {
        self.params.as_ref()?.as_array()?.first()?.as_str()
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

/// The answer to an invalid request.
#[must_use]
pub fn failure(error: &RpcError) -> Value {
    json!({"jsonrpc": "2.0", "error": error.to_json()})
}

/// The member of this name, in lower or upper case.
pub(super) fn take(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    if let Some(found) = members.remove(name) {
        return Some(found);
    }
    let other = members.keys().find(|key| key.eq_ignore_ascii_case(name));
    let other = other.cloned()?;
    members.remove(&other)
}

/// Maximum number of requests in one list.
const MAX_BATCH: usize = 1024;
