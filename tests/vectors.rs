//! Compares the codecs and ciphers with bytes recorded from go-ethereum and status-im.
//!
//! tests/vectors/README.md names the sources of the files and explains their format.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a vector that does not parse is a failed test"
)]

use serde_json::Value;

#[path = "vectors/bloom.rs"]
mod bloom;
#[path = "vectors/contact_address.rs"]
mod contact_address;
#[path = "vectors/contact_card.rs"]
mod contact_card;
#[path = "vectors/contact_first.rs"]
mod contact_first;
#[path = "vectors/envelope.rs"]
mod envelope;
#[path = "vectors/keystore.rs"]
mod keystore;
#[path = "vectors/mail.rs"]
mod mail;
#[path = "vectors/message.rs"]
mod message;
#[path = "vectors/message_v5.rs"]
mod message_v5;
#[path = "vectors/pow.rs"]
mod pow;
#[path = "vectors/relay_list.rs"]
mod relay_list;
#[path = "vectors/transfer.rs"]
mod transfer;

/// One list of one file.
fn cases(file: &str, list: &str) -> Vec<Value> {
    let text = match file {
        "bloom" => include_str!("vectors/bloom.json"),
        "contact_address" => include_str!("vectors/contact_address.json"),
        "contact_card" => include_str!("vectors/contact_card.json"),
        "contact_first" => include_str!("vectors/contact_first.json"),
        "envelope_v6" => include_str!("vectors/envelope_v6.json"),
        "mailserver_request" => include_str!("vectors/mailserver_request.json"),
        "keystore_v3" => include_str!("vectors/keystore_v3.json"),
        "message_v5" => include_str!("vectors/message_v5.json"),
        "message_v6_asym" => include_str!("vectors/message_v6_asym.json"),
        "message_v6_sym" => include_str!("vectors/message_v6_sym.json"),
        "pow" => include_str!("vectors/pow.json"),
        "relay_list" => include_str!("vectors/relay_list.json"),
        "status" => include_str!("vectors/status.json"),
        "symkey_from_password" => include_str!("vectors/symkey_from_password.json"),
        "transfer" => include_str!("vectors/transfer.json"),
        _ => panic!("no vectors named {file}"),
    };
    let parsed: Value = serde_json::from_str(text).unwrap();
    let cases = parsed[list].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{file} has no {list}");
    cases
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a string"))
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn int<T: TryFrom<u64>>(value: &Value) -> T {
    let wide = value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is not an integer"));
    T::try_from(wide).unwrap_or_else(|_| panic!("{value} is too large"))
}

fn float_bits(value: &Value) -> u64 {
    u64::from_str_radix(text(value), 16).unwrap()
}

/// The description of a case, for the message of a failing assertion.
fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap_or("without a name")
}
