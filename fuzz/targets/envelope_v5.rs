//! Arbitrary bytes as an envelope of `shh/5`: what decodes keeps its bytes and fields, is not an
//! envelope of the other form, and is validated by the only PoW rule of this version.

use circuits::time::UnixSecs;
use whisht::envelope::{EncryptionHint, Envelope, NotExpired, ProtocolVersion, UnminedEnvelope};
use whisht::pow::{PowChecked, PowValues};

/// Decodes, encodes again and validates. Panics if a rule is broken.
pub fn envelope_v5(data: &[u8]) {
    let Ok(envelope) = Envelope::decode_as(ProtocolVersion::V5, data) else {
        return;
    };
    assert_eq!(envelope.as_rlp(), data);
    assert_eq!(envelope.protocol(), ProtocolVersion::V5);
    assert!(Envelope::decode_as(ProtocolVersion::V6, data).is_err());
    let outside = envelope.size() - 20 - envelope.data().len();
    assert!(outside <= 4 || (12..=16).contains(&outside));
    if let Some(hint) = envelope.hint() {
        seal_again(&envelope, hint);
    }
    for now in [envelope.sent(), envelope.sent().before(10), UnixSecs(0)] {
        judge(&envelope, now);
    }
}

/// The same message under the current version: the same bytes, if it has that version.
fn seal_again(envelope: &Envelope, hint: EncryptionHint) {
    assert_eq!(hint.protocol(), ProtocolVersion::V5);
    let unmined = UnminedEnvelope {
        expiry: envelope.expiry(),
        ttl: envelope.ttl(),
        topic: envelope.topic(),
        hint,
        data: envelope.data().to_vec(),
    };
    let again = unmined.with_nonce(envelope.nonce());
    let read = Envelope::decode_as(ProtocolVersion::V5, again.as_rlp());
    assert_eq!(read.as_ref().ok(), Some(&again));
    assert_eq!(again.hint(), Some(hint));
    assert_eq!(again.without_nonce(), unmined.without_nonce());
    if again.size() == envelope.size() {
        assert_eq!(&again, envelope);
        assert_eq!(again.without_nonce(), envelope.without_nonce());
    }
}

/// An envelope without finite work does not reach the pool.
fn judge(envelope: &Envelope, now: UnixSecs) {
    let Ok(alive) = NotExpired::check(envelope.expiry(), envelope.ttl(), now) else {
        return;
    };
    let values = PowValues::with_skew(envelope, alive.skew());
    assert_eq!(values.modern.to_bits(), 0);
    assert!(values.legacy > 0.0);
    let finite = values.best().is_finite();
    assert!(finite || envelope.sent() < UnixSecs(11));
    assert_eq!(PowChecked::check(envelope, alive, 0.0).is_ok(), finite);
    assert!(PowChecked::check(envelope, alive, f64::INFINITY).is_err());
}
