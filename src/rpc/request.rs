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
        if count_values(text) > MAX_VALUES {
            return Err(RpcError::no_request(format_args!(
                "a request holds at most {MAX_VALUES} values"
            )));
        }
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

/// An upper bound of the memory that a text takes once it is parsed, in bytes; of a text that
/// [`RpcMessage::read`] refuses, the memory that it takes until then.
#[must_use]
pub fn parsed_size(text: &[u8]) -> usize {
    let values = match count_values(text) {
        count if count > MAX_VALUES => 0,
        count => count,
    };
    text.len()
        .saturating_add(values.saturating_mul(VALUE_BYTES))
}

/// An upper bound of the number of JSON values in a text: each but the first follows a bracket or a
/// comma outside a string.
fn count_values(text: &[u8]) -> usize {
    let mut count = 1_usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' | b',' => count = count.saturating_add(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    count
}

/// Skips the rest of a string.
fn skip_string<'a>(bytes: &mut impl Iterator<Item = &'a u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // The next byte is literal.
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
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
/// Maximum number of values in one text: 64 for each request of the largest batch.
const MAX_VALUES: usize = 65_536;
/// Maximum memory of a parsed value beside its text. The worst case is an object of one member,
/// which counts as two values and takes the tables of a map.
const VALUE_BYTES: usize = 400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(value: &Value) -> usize {
        match value {
            Value::Array(list) => 1 + list.iter().map(values).sum::<usize>(),
            Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
            _ => 1,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            r#"[a-z,\[\]{}"\\]{0,6}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((r#"[a,{"]{0,3}"#, inner), 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn counted_values_are_at_least_parsed_values(value in any_json()) {
            let text = value.to_string();
            prop_assert!(count_values(text.as_bytes()) >= values(&value), "{text}");
        }
    }

    #[test]
    fn request_of_many_small_values_is_refused_before_it_is_parsed() {
        let many = |count: usize| format!("[{}0]", "0,".repeat(count));
        let error = RpcMessage::read(many(MAX_VALUES).as_bytes()).unwrap_err();
        assert!(error.cause.contains("at most 65536 values"), "{error}");
        // A long text counts once.
        let text = format!(
            r#"{{"id":1,"method":"shh_post","params":["{}"]}}"#,
            "a,[".repeat(99_999)
        );
        assert!(RpcMessage::read(text.as_bytes()).unwrap().is_some());
        assert!(parsed_size(many(60_000).as_bytes()) > 60_000 * VALUE_BYTES);
    }
}
