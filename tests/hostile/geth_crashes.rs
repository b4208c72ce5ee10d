//! Inputs that crash go-ethereum (protocol sheet 10.4): survived here, and never sent.

use circuits::time::UnixSecs;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use secp256k1::PublicKey;
use whisht::ecies;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::link::DisconnectReason;
use whisht::message::{
    self, ASYMMETRIC_OVERHEAD, ClientSecret, Padding, Plaintext, SymKey, max_payload_len,
};
use whisht::node::{Command, Identity};
use whisht::pow::PowValues;

use crate::fixture::{Fixture, TARGET};

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([0x6e; 32])
}

/// An envelope around arbitrary data, with enough work for the target.
fn envelope_around(now: UnixSecs, data: &[u8], ttl: u32) -> Envelope {
    let build = |nonce| {
        let expiry = UnixSecs(now.0 - 2 + ttl);
        Envelope::build(expiry, Ttl(ttl), Topic([1, 2, 3, 4]), data.to_vec(), nonce)
    };
    let enough = |envelope: &Envelope| PowValues::of(envelope).best() >= 0.002;
    (0..).map(build).find(enough).unwrap()
}

/// A fixture whose target has a subscription, and the public key of it.
fn listening() -> (Fixture, PublicKey) {
    let mut fixture = Fixture::new();
    let secret = ClientSecret::generate(&mut rng());
    let public = PublicKey::from_slice(&secret.public().to_bytes()).unwrap();
    let identity = Identity::KeyPair(secret);
    let command = Command::AddIdentity("me".to_owned(), identity);
    fixture.world.command(TARGET, command).unwrap();
    (fixture, public)
}

/// Sends an envelope to the target by gossip, and waits until every key is tried.
fn send_envelope(fixture: &mut Fixture, envelope: Envelope) {
    let link = fixture.link;
    fixture.world.act(fixture.attacker, |attacker, now| {
        ((), attacker.send_envelopes(now, link, &[envelope]))
    });
    fixture.run(2);
}

#[test]
fn plaintext_with_invalid_size_field_is_not_delivered_but_forwarded() {
    let (mut fixture, to) = listening();
    let bombs: [&[u8]; 6] = [
        &[0x03],
        &[0x01, 0x01],
        &[0x01, 0x02, 0x09],
        &[0x03, 0x03, 0x00, 0x00],
        &[0x04],
        &[],
    ];
    for (count, bomb) in bombs.into_iter().enumerate() {
        let data = ecies::encrypt(&mut rng(), &to, &[], bomb);
        let envelope = envelope_around(
            fixture.world.clock().unix,
            &data,
            60 + u32::try_from(count).unwrap(),
        );
        send_envelope(&mut fixture, envelope);
        assert_eq!(fixture.world.status(TARGET).pool_envelopes, count + 1);
    }
    assert_eq!(fixture.messages(), 0);
    assert!(fixture.session().is_open());
}

#[test]
fn truncated_ecies_body_is_not_delivered_but_pooled() {
    let (mut fixture, to) = listening();
    let whole = ecies::encrypt(&mut rng(), &to, &[], b"");
    assert_eq!(whole.len(), ASYMMETRIC_OVERHEAD);
    for (count, len) in [0, 1, 64, 65, 66, 97, 98, 112].into_iter().enumerate() {
        let envelope = envelope_around(fixture.world.clock().unix, &whole[..len], 60);
        send_envelope(&mut fixture, envelope);
        assert_eq!(fixture.world.status(TARGET).pool_envelopes, count + 1);
    }
    assert_eq!(fixture.messages(), 0);
}

#[test]
fn envelope_with_zero_ttl_is_refused() {
    let (mut fixture, _) = listening();
    let now = fixture.world.clock().unix;
    let envelope = Envelope::build(now, Ttl(0), Topic([1; 4]), vec![1; 40], 0);
    send_envelope(&mut fixture, envelope);
    assert_eq!(fixture.world.status(TARGET).pool_envelopes, 0);
    assert!(fixture.session().is_open(), "one violation is tolerated");
}

/// A test beside [`DisconnectReason`], which has no name for this reason, shows that it is never
/// sent.
#[test]
fn disconnect_reason_17_is_decoded() {
    for compressed in [false, true] {
        let read = DisconnectReason::decode(&[0xc1, 0x11], compressed);
        assert_eq!(read.to_string(), "unknown disconnect reason 17");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Attack: a size field that exceeds the message; go-ethereum checks only that the field
    /// exists.
    #[test]
    fn own_plaintext_size_field_stays_within_plaintext(
        payload in prop::collection::vec(any::<u8>(), 0..700),
        room in 0..600_usize,
        signed: bool,
    ) {
        let signer = signed.then(|| ClientSecret::generate(&mut rng()));
        let len = payload.len() + 1 + 3 + room + if signed { 65 } else { 0 };
        for padding in [Padding::Align, Padding::UpTo(len)] {
            let plaintext = Plaintext::build(&mut rng(), &payload, padding, signer.as_ref());
            let Ok(plaintext) = plaintext else {
                prop_assert!(max_payload_len(len, signed) < Some(payload.len()));
                continue;
            };
            let bytes = plaintext.as_bytes();
            let end = bytes.len() - if signed { 65 } else { 0 };
            let field = usize::from(bytes[0] & 3);
            prop_assert_eq!(bytes[0] & 4 == 4, signed);
            let size = bytes[1..=field].iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
            prop_assert!(1 + field + size <= end);
            prop_assert_eq!(&bytes[1 + field..1 + field + size], payload.as_slice());
            let key = ClientSecret::generate(&mut rng());
            let sealed = message::seal_asymmetric(&mut rng(), &key.public(), &plaintext);
            prop_assert!(sealed.len() > ASYMMETRIC_OVERHEAD);
            let sealed = message::seal_symmetric(&mut rng(), &SymKey::generate(&mut rng()), &plaintext);
            prop_assert!(sealed.len() > 28);
        }
    }
}
