//! Sessions against each other: order, loss, replay, records, refusals.

use super::*;

fn pair() -> (Ratchet, Ratchet) {
    let mut pre_keys = PreKeys::create();
    let (mut a, keys) = Ratchet::start(&pre_keys.identity_key(), &pre_keys.fallback_key()).unwrap();
    let (first, _) = a.encrypt(b"first").unwrap();
    let (b, seen, text) = pre_keys.accept(&first).unwrap();
    assert_eq!(keys, seen);
    assert_eq!(*text, b"first");
    (a, b)
}

#[test]
fn session_decrypts_first_messages_in_any_order() {
    let mut pre_keys = PreKeys::create();
    let (mut a, _) = Ratchet::start(&pre_keys.identity_key(), &pre_keys.fallback_key()).unwrap();
    let [one, two] = [b"one", b"two"].map(|text| a.encrypt(text).unwrap().0);
    let (mut b, _, text) = pre_keys.accept(&two).unwrap();
    assert_eq!(*text, b"two");
    assert_eq!(*b.decrypt(&one).unwrap(), b"one");
    assert_eq!(b.decrypt(&one), Err(RatchetError::KeyGone));
}

#[test]
fn session_survives_its_record_in_every_state() {
    let (mut a, mut b) = pair();
    for round in 0..12_u8 {
        a = Ratchet::from_bytes(&a.to_bytes()).unwrap();
        b = Ratchet::from_bytes(&b.to_bytes()).unwrap();
        let (lost, _) = b.encrypt(&[round, 0]).unwrap();
        let (there, _) = b.encrypt(&[round, 1]).unwrap();
        assert_eq!(*a.decrypt(&there).unwrap(), [round, 1]);
        let (back, position) = a.encrypt(&[round, 2]).unwrap();
        assert_eq!(position.chain, u32::from(round) + 1);
        assert_eq!(*b.decrypt(&back).unwrap(), [round, 2]);
        a = Ratchet::from_bytes(&a.to_bytes()).unwrap();
        assert_eq!(*a.decrypt(&lost).unwrap(), [round, 0]);
    }
}

#[test]
fn pre_keys_survive_their_record() {
    let pre_keys = PreKeys::create();
    let mut restored = PreKeys::from_bytes(&pre_keys.to_bytes()).unwrap();
    assert_eq!(pre_keys.identity_key(), restored.identity_key());
    let (mut a, _) = Ratchet::start(&pre_keys.identity_key(), &pre_keys.fallback_key()).unwrap();
    let (first, _) = a.encrypt(b"x").unwrap();
    assert_eq!(*restored.accept(&first).unwrap().2, b"x");
}

#[test]
fn encrypted_len_is_exact_in_every_state() {
    let (mut a, mut b) = pair();
    let mut pre_keys = PreKeys::create();
    let (mut opening, _) =
        Ratchet::start(&pre_keys.identity_key(), &pre_keys.fallback_key()).unwrap();
    for len in (0..200).chain([356, 500, 2_000, 20_000]) {
        let text = vec![7; len];
        for ratchet in [&mut opening, &mut b] {
            let expected = ratchet.encrypted_len(len);
            assert_eq!(ratchet.encrypt(&text).unwrap().0.len(), expected, "{len}");
        }
    }
    let (message, _) = b.encrypt(b"turn").unwrap();
    a.decrypt(&message).unwrap();
    assert_eq!(a.encrypted_len(9), a.encrypt(&[0; 9]).unwrap().0.len());
    let (first, _) = opening.encrypt(b"y").unwrap();
    assert!(pre_keys.accept(&first).is_ok());
}

#[test]
fn first_message_of_olm_version_1_is_refused() {
    let mut pre_keys = PreKeys::create();
    let mut session = Account::new()
        .create_outbound_session(
            SessionConfig::version_1(),
            Curve25519PublicKey::from_bytes(pre_keys.identity_key()),
            Curve25519PublicKey::from_bytes(pre_keys.fallback_key()),
        )
        .unwrap();
    let first = session.encrypt(b"x").unwrap().to_parts().1;
    assert_eq!(pre_keys.accept(&first).err(), Some(RatchetError::Malformed));
}

#[test]
fn first_message_for_another_account_is_refused() {
    let pre_keys = PreKeys::create();
    let (mut a, _) = Ratchet::start(&pre_keys.identity_key(), &pre_keys.fallback_key()).unwrap();
    let (first, _) = a.encrypt(b"x").unwrap();
    let refused = PreKeys::create().accept(&first).err();
    assert_eq!(refused, Some(RatchetError::OtherPreKey));
}

#[test]
fn first_message_with_any_byte_altered_is_refused() {
    let mut pre_keys = PreKeys::create();
    let (mut a, _) = Ratchet::start(&pre_keys.identity_key(), &pre_keys.fallback_key()).unwrap();
    let (first, _) = a.encrypt(b"x").unwrap();
    for place in 0..first.len() {
        let mut altered = first.clone();
        altered[place] ^= 1;
        assert!(pre_keys.accept(&altered).is_err(), "byte {place}");
    }
    assert!(pre_keys.accept(&first).is_ok());
}

#[test]
fn altered_message_leaves_the_session_as_it_was() {
    let (mut a, mut b) = pair();
    let (message, _) = b.encrypt(b"x").unwrap();
    for place in 0..message.len() {
        let mut altered = message.clone();
        altered[place] ^= 1;
        assert!(a.decrypt(&altered).is_err(), "byte {place}");
    }
    assert_eq!(*a.decrypt(&message).unwrap(), b"x");
}

#[test]
fn session_with_key_of_low_order_is_refused() {
    let pre_keys = PreKeys::create();
    let started = Ratchet::start(&pre_keys.identity_key(), &[0; 32]);
    assert_eq!(started.err(), Some(RatchetError::WeakKey));
}
