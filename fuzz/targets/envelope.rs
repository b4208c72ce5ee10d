//! Arbitrary bytes as an envelope: what decodes must encode to the same bytes, and is validated.

use circuits::time::UnixSecs;
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, NotExpired};
use whisht::pow::{PowChecked, PowValues};

/// Decodes, encodes again and validates. Panics if a rule is broken.
pub fn envelope(data: &[u8]) {
    let Ok(envelope) = Envelope::decode(data) else {
        return;
    };
    assert_eq!(envelope.as_rlp(), data);
    let again = Envelope::build(
        envelope.expiry(),
        envelope.ttl(),
        envelope.topic(),
        envelope.data().to_vec(),
        envelope.nonce(),
    );
    assert_eq!(again.as_rlp(), data);
    assert_eq!(again.hash(), envelope.hash());

    let topic = envelope.topic();
    assert!(Bloom::merged(topic).contains(&Bloom::assigned(topic)));
    judge(&envelope);
}

/// An envelope without finite work does not reach the pool.
fn judge(envelope: &Envelope) {
    for now in [envelope.sent(), envelope.sent().before(10), UnixSecs(0)] {
        let Ok(alive) = NotExpired::check(envelope.expiry(), envelope.ttl(), now) else {
            continue;
        };
        assert!(alive.skew() <= 11);
        let values = PowValues::with_skew(envelope, alive.skew());
        assert!(values.best() > 0.0);
        // Within seconds of 1970 a ttl of 136 years wraps to zero, as peers permit.
        let finite = values.best().is_finite();
        assert!(finite || envelope.sent() < UnixSecs(11));
        assert_eq!(PowChecked::check(envelope, alive, 0.0).is_ok(), finite);
        assert!(PowChecked::check(envelope, alive, f64::INFINITY).is_err());
    }
}
