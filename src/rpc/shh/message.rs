//! A received message as clients know it.

use serde_json::{Map, Value};

use super::super::value::{from_bytes, from_float};
use crate::pow::PowValues;
use crate::subscriptions::{DeliveryPath, FilteredMessage};

/// Its members, in go-ethereum's order; the signer and the recipient only if there is one.
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

/// The work in the envelope: what gossip found, or what there is in one that was handed over.
///
/// Who hands one over may leave the life at zero, by which go-ethereum divides; it then has no
/// number that JSON could say, and no answer. Here such an envelope lives for a second.
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
