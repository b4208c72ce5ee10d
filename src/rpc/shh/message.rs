//! A received message in go-ethereum's form.

use serde_json::{Map, Value};

use super::super::value::{from_bytes, from_float};
use crate::pow::PowValues;
use crate::subscriptions::{DeliveryPath, FilteredMessage};

/// The members in go-ethereum's order; the signer and the recipient only if known.
pub(super) fn view(received: &FilteredMessage) -> Value {
    let FilteredMessage {
        envelope,
        opened,
        arrival,
    } = received;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    if let Some(signer) = opened.signer {
        put("sig", from_bytes(&signer.to_bytes()));
    }
    put("ttl", envelope.ttl().0.into());
    put("timestamp", envelope.sent().0.into());
    put("topic", from_bytes(&envelope.topic().0));
    put("payload", from_bytes(&opened.payload));
    put("padding", from_bytes(&opened.padding));
    put("pow", from_float(work(received, *arrival)));
    put("hash", from_bytes(&envelope.hash().0));
    if let Some(recipient) = opened.recipient {
        put("recipientPublicKey", from_bytes(&recipient.to_bytes()));
    }
    Value::Object(members)
}

/// The work of the envelope: the value from gossip, or the envelope's own work for a direct
/// message.
///
/// A direct message may have a ttl of zero, by which go-ethereum divides; it then has a number that
/// JSON cannot represent, and sends no answer. Here such an envelope counts with a ttl of one
/// second.
fn work(received: &FilteredMessage, arrival: DeliveryPath) -> f64 {
    match arrival {
        DeliveryPath::Gossip { pow } => pow,
        DeliveryPath::Direct => {
            let pow = PowValues::of(&received.envelope).best();
            if pow.is_finite() {
                pow
            } else {
                PowValues::with_skew(&received.envelope, 1).best()
            }
        }
    }
}
