//! Parameters and results in go-ethereum's form.
//!
//! Bytes are hexadecimal with the prefix `0x`, numbers are JSON numbers, and null means "absent"
//! for optional values. Errors use go-ethereum's words unless these name types of Go.

use core::fmt;
use std::vec::IntoIter;

use serde_json::{Map, Number, Value};
use zeroize::Zeroizing;

use super::RpcError;
use super::request::take;
use crate::envelope::Topic;

/// Positional parameters, taken one after another.
pub(super) struct PositionalParams {
    values: IntoIter<Value>,
    wanted: usize,
    next: usize,
}

impl PositionalParams {
    /// The parameters of a method that requires this number.
    pub(super) fn new(
        method: &str,
        params: Option<Value>,
        wanted: usize,
    ) -> Result<Self, RpcError> {
        match params {
            Some(Value::Array(values)) => Ok(Self {
                values: values.into_iter(),
                wanted,
                next: 0,
            }),
            Some(_) => Err(RpcError::bad_params("non-array args")),
            None => Err(RpcError::bad_params(format_args!(
                "{} expects {wanted} parameters, got 0",
                exported(method)
            ))),
        }
    }

    /// Parses the next parameter; after the last one, an error if more follow.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(Value) -> Result<T, ValueError>,
    ) -> Result<T, RpcError> {
        let at = self.next;
        let value = self.values.next().ok_or_else(|| {
            RpcError::bad_params(format_args!("missing value for required argument {at}"))
        })?;
        let read = read(value).map_err(|ValueError(what)| {
            RpcError::bad_params(format_args!("invalid argument {at}: {what}"))
        })?;
        self.next += 1;
        if self.next == self.wanted && self.values.len() > 0 {
            return Err(RpcError::bad_params(format_args!(
                "too many arguments, want at most {}",
                self.wanted
            )));
        }
        Ok(read)
    }
}

/// The only parameter of a method.
pub(super) fn only<T>(
    method: &str,
    params: Option<Value>,
    read: impl FnOnce(Value) -> Result<T, ValueError>,
) -> Result<T, RpcError> {
    PositionalParams::new(method, params, 1)?.read(read)
}

/// A method's name in Go: the letter after the underscore is a capital.
fn exported(method: &str) -> String {
    let (module, name) = method.split_once('_').unwrap_or((method, ""));
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let rest = letters.as_str();
    format!(
        "{module}_{}{rest}",
        first.map(String::from).unwrap_or_default()
    )
}

/// A defect of a value.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ValueError(pub(super) String);

impl ValueError {
    pub(super) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// The members of an object, all optional. Unknown members are ignored.
pub(super) struct ObjectParams(Map<String, Value>);

impl ObjectParams {
    /// An object, or null for an empty one.
    pub(super) fn new(value: Value) -> Result<Self, ValueError> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            Value::Null => Ok(Self(Map::new())),
            _ => Err(ValueError::new("not an object")),
        }
    }

    /// Parses the member of this name; `None` if it is missing or null.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ValueError> {
        self.read_unnamed(name, read)
            .map_err(|ValueError(what)| ValueError(format!("{name}: {what}")))
    }

    /// As [`read`](Self::read), for errors in which go-ethereum does not name the member.
    pub(super) fn read_unnamed<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ValueError> {
        match take(&mut self.0, name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some),
        }
    }
}

/// A text; null is the empty one.
pub(super) fn text(value: Value) -> Result<String, ValueError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        _ => Err(ValueError::new("not a text")),
    }
}

/// A whole number of 32 bits; null is zero.
pub(super) fn whole(value: Value) -> Result<u32, ValueError> {
    match value {
        Value::Null => Ok(0),
        value => value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| ValueError::new("not a whole number of 32 bits")),
    }
}

/// A finite number; null is zero.
pub(super) fn float(value: Value) -> Result<f64, ValueError> {
    match value {
        Value::Null => Ok(0.0),
        value => value
            .as_f64()
            .filter(|number| number.is_finite())
            .ok_or_else(|| ValueError::new("not a number of 64 bits")),
    }
}

/// True or false.
pub(super) fn flag(value: Value) -> Result<bool, ValueError> {
    value
        .as_bool()
        .ok_or_else(|| ValueError::new("neither true nor false"))
}

/// Bytes; the text that held them is wiped, since it may have been a key.
pub(super) fn bytes(value: Value) -> Result<Zeroizing<Vec<u8>>, ValueError> {
    let text = Zeroizing::new(hexadecimal(value)?);
    let digits = digits(&text)?;
    hex::decode(digits)
        .map(Zeroizing::new)
        .map_err(|_| ValueError::new("invalid hex string"))
}

/// A topic: four bytes.
pub(super) fn topic(value: Value) -> Result<Topic, ValueError> {
    let text = hexadecimal(value)?;
    let digits = digits(&text)?;
    let mut topic = Topic::default();
    let wanted = 2 * topic.0.len();
    if digits.len() != wanted {
        return Err(ValueError(format!(
            "hex string has length {}, want {wanted} for Topic",
            digits.len()
        )));
    }
    hex::decode_to_slice(digits, &mut topic.0)
        .map_err(|_| ValueError::new("invalid hex string"))?;
    Ok(topic)
}

/// A list of topics.
pub(super) fn topics(value: Value) -> Result<Vec<Topic>, ValueError> {
    match value {
        Value::Array(list) => list.into_iter().map(topic).collect(),
        _ => Err(ValueError::new("topics: not a list")),
    }
}

fn hexadecimal(value: Value) -> Result<String, ValueError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(ValueError::new("non-string")),
    }
}

/// The digits after the prefix. The empty text needs no prefix.
fn digits(text: &str) -> Result<&str, ValueError> {
    let prefixed = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match prefixed {
        None if text.is_empty() => Ok(""),
        None => Err(ValueError::new("hex string without 0x prefix")),
        Some(digits) if digits.len() % 2 == 1 => Err(ValueError::new("hex string of odd length")),
        Some(digits) => Ok(digits),
    }
}

/// Bytes as `0x` and lower-case hexadecimal digits.
pub(super) fn from_bytes(bytes: &[u8]) -> Value {
    format!("0x{}", hex::encode(bytes)).into()
}

/// A number in Go's format: the shortest decimals that parse to the same number, with an exponent
/// below 1e-6 and from 1e21 on. A number that is not finite has no JSON form and becomes zero.
pub(super) fn from_float(number: f64) -> Value {
    let size = number.abs();
    let text = if !number.is_finite() {
        "0".to_owned()
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent}")
            }
            _ => text,
        }
    } else {
        format!("{number}")
    };
    // Every text above is a valid JSON number.
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn floats_have_go_format() {
        for (number, text) in [
            (0.2, "0.2"),
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (5.389_473_684_210_526, "5.389473684210526"),
            (0.000_001, "0.000001"),
            (0.000_000_12, "1.2e-7"),
            (1e-10, "1e-10"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "0"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(from_float(number).to_string(), text);
        }
    }

    #[test]
    fn hex_errors_equal_geth_texts() {
        let wrong = |value: &str| bytes(json!(value)).unwrap_err().0;
        assert_eq!(wrong("00"), "hex string without 0x prefix");
        assert_eq!(wrong("0x0"), "hex string of odd length");
        assert_eq!(wrong("0xzz"), "invalid hex string");
        assert_eq!(wrong("0xé"), "invalid hex string");
        assert_eq!(*bytes(json!("0XAb")).unwrap(), [0xab]);
        assert!(bytes(json!("")).unwrap().is_empty());
        let wrong = topic(json!("0x0102030405")).unwrap_err().0;
        assert_eq!(wrong, "hex string has length 10, want 8 for Topic");
    }

    #[test]
    fn numbers_and_texts_are_not_converted() {
        for bad in [
            json!("1"),
            json!(-1),
            json!(1.5),
            json!(4_294_967_296_u64),
            json!([]),
        ] {
            assert!(whole(bad).is_err());
        }
        assert_eq!(whole(json!(4_294_967_295_u64)), Ok(u32::MAX));
        let huge: Value = serde_json::from_str("1e999").unwrap();
        assert!(float(huge).is_err());
    }

    #[test]
    fn missing_parameters_error_equals_geth_text() {
        let error = only("shh_addSymKey", None, bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "shh_AddSymKey expects 1 parameters, got 0"
        );
    }

    proptest! {
        #[test]
        fn bytes_round_trip_through_json(data: Vec<u8>) {
            prop_assert_eq!(&*bytes(from_bytes(&data)).unwrap(), &data);
        }

        #[test]
        fn arbitrary_text_does_not_panic(data in "(0[xX])?[0-9a-fA-Fé]{0,12}") {
            let read = bytes(json!(data));
            let read_as_topic = topic(json!(data));
            if let Ok(topic) = read_as_topic {
                prop_assert_eq!(&*read.unwrap(), &topic.0);
            }
        }

        #[test]
        fn finite_floats_round_trip_through_json(number: f64) {
            let text = from_float(number).to_string();
            let back: f64 = text.parse().unwrap();
            prop_assert!(!number.is_finite() || back.to_bits() == number.to_bits());
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert!(!number.is_finite() || float(read).unwrap().to_bits() == number.to_bits());
        }
    }
}
