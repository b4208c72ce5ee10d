//! `shh/5`: messages encrypted again and decrypted, bare envelopes, their work, and plaintexts.

use circuits::time::UnixSecs;
use rlp::RlpStream;
use serde_json::Value;
use whisht::envelope::{
    AesNonce, EncryptionHint, Envelope, EnvelopeHash, ProtocolVersion, Topic, Ttl, UnminedEnvelope,
};
use whisht::message::v5::{self, PlaintextV5};
use whisht::message::{ClientPublic, Padding};
use whisht::pow::{Generation, Generations, PowHashes, PowJob, PowValues};

use super::message::{ReplayRng, check_opened, check_signer, client, sym};
use super::{array, bytes, cases, float_bits, int, name, text};

/// The cases whose messages are under a shared key, or to a public key.
fn of_kind(kind: &str) -> Vec<Value> {
    let mut cases = cases("message_v5", "cases");
    cases.retain(|case| case["kind"] == kind);
    assert!(cases.len() > 10);
    cases
}

fn recorded(case: &Value) -> Envelope {
    Envelope::decode_as(ProtocolVersion::V5, &bytes(&case["envelope"]["rlp"])).unwrap()
}

fn nonce(value: &Value) -> AesNonce {
    AesNonce(array(value))
}

fn build(rng: &mut ReplayRng, case: &Value) -> PlaintextV5 {
    let given = (!case["padding"].is_null()).then(|| bytes(&case["padding"]));
    let padding = given.as_deref().map_or(Padding::Align, Padding::Given);
    let signer = &case["signer_private_key"];
    let signer = (!signer.is_null()).then(|| client(signer));
    let plaintext =
        PlaintextV5::build(rng, &bytes(&case["payload"]), padding, signer.as_ref()).unwrap();
    let raw = bytes(&case["plaintext"]["raw"]);
    assert_eq!(plaintext.as_bytes(), raw, "{}", name(case));
    plaintext
}

/// Builds an envelope of these inputs and compares it with the recorded one.
fn check_sealed(case: &Value, hint: EncryptionHint, data: Vec<u8>) {
    let envelope = &case["envelope"];
    let unmined = UnminedEnvelope {
        expiry: UnixSecs(int(&envelope["expiry"])),
        ttl: Ttl(int(&envelope["ttl"])),
        topic: Topic(array(&case["topic"])),
        hint,
        data,
    };
    let sealed = unmined.with_nonce(text(&envelope["env_nonce"]).parse().unwrap());
    assert_eq!(sealed.as_rlp(), bytes(&envelope["rlp"]), "{}", name(case));
    let hash = EnvelopeHash(array(&envelope["hash"]));
    assert_eq!(sealed.hash(), hash, "{}", name(case));
    check_pow(&sealed, &envelope["pow"]["geth_1_8_27"], name(case));
    check_target(case, &unmined, &sealed);
}

/// The recorded nonce reaches its target, and so does a nonce of our own search.
fn check_target(case: &Value, unmined: &UnminedEnvelope, sealed: &Envelope) {
    let target: f64 = text(&case["pow_target"]).parse().unwrap();
    assert!(PowValues::of(sealed).legacy >= target, "{}", name(case));
    let job = PowJob::for_minimum(unmined, Generations::default(), target).unwrap();
    let hashes = PowHashes::of(sealed);
    let bits = Generation::Legacy.zero_bits(&hashes.legacy);
    assert!(bits >= job.bits(), "{}", name(case));
}

fn check_pow(envelope: &Envelope, recorded: &Value, context: &str) {
    let hash = PowHashes::of(envelope).legacy;
    assert_eq!(hash, array(&recorded["pow_hash"]), "{context}");
    assert_eq!(
        envelope.size(),
        int::<usize>(&recorded["size"]),
        "{context}"
    );
    let bits = Generation::Legacy.zero_bits(&hash);
    assert_eq!(bits, int::<u32>(&recorded["zero_bits"]), "{context}");
    let values = PowValues::of(envelope);
    let value = float_bits(&recorded["pow_f64_bits"]);
    assert_eq!(values.legacy.to_bits(), value, "{context}");
    assert_eq!(values.best().to_bits(), value, "{context}");
}

#[test]
fn symmetric_messages_encrypt_to_recorded_bytes() {
    for case in of_kind("sym") {
        let mut rng = ReplayRng::of(&case, &["default_padding", "gcm_nonce"]);
        let plaintext = build(&mut rng, &case);
        let (hint, data) = v5::seal_symmetric(&mut rng, &sym(&case["sym_key"]), &plaintext);
        assert!(rng.0.is_empty(), "{}", name(&case));
        check_sealed(&case, hint, data);
    }
}

#[test]
fn symmetric_messages_decrypt_to_recorded_payload() {
    for case in of_kind("sym") {
        let envelope = recorded(&case);
        let nonce = nonce(&case["envelope"]["aes_nonce"]);
        assert_eq!(envelope.hint(), Some(EncryptionHint::Symmetric(nonce)));
        let opened = v5::decrypt_symmetric(&sym(&case["sym_key"]), nonce, envelope.data()).unwrap();
        assert_eq!(opened.recipient, None);
        check_opened(&case, &opened);
    }
}

#[test]
fn asymmetric_messages_encrypt_to_recorded_bytes() {
    for case in of_kind("asym") {
        let mut rng = ReplayRng::of(&case, &["default_padding", "ephemeral_private_key", "iv"]);
        let plaintext = build(&mut rng, &case);
        let recipient = ClientPublic::from_bytes(&bytes(&case["recipient_public_key"])).unwrap();
        let (hint, data) = v5::seal_asymmetric(&mut rng, &recipient, &plaintext);
        assert!(rng.0.is_empty(), "{}", name(&case));
        check_sealed(&case, hint, data);
    }
}

#[test]
fn asymmetric_messages_decrypt_to_recorded_payload() {
    for case in of_kind("asym") {
        let envelope = recorded(&case);
        assert_eq!(envelope.hint(), Some(EncryptionHint::Asymmetric));
        let key = client(&case["recipient_private_key"]);
        let opened = v5::decrypt_asymmetric(&key, envelope.data()).unwrap();
        assert_eq!(opened.recipient, Some(key.public()));
        check_opened(&case, &opened);
    }
}

#[test]
fn shh5_envelopes_decode_to_recorded_fields_or_are_refused() {
    for case in cases("message_v5", "envelope_cases") {
        let (rlp, aes_nonce) = (bytes(&case["rlp"]), bytes(&case["aes_nonce"]));
        assert_eq!(rlp, written(&case), "{}", name(&case));
        let read = Envelope::decode_as(ProtocolVersion::V5, &rlp);
        let Ok(envelope) = read else {
            assert_eq!(aes_nonce.len(), 5, "{}", name(&case));
            continue;
        };
        let times = (envelope.expiry(), envelope.ttl());
        let recorded = (UnixSecs(int(&case["expiry"])), Ttl(int(&case["ttl"])));
        assert_eq!(times, recorded, "{}", name(&case));
        assert_eq!(envelope.topic(), Topic(array(&case["topic"])));
        assert_eq!(envelope.data(), bytes(&case["data"]));
        assert_eq!(envelope.nonce().to_string(), text(&case["env_nonce"]));
        assert_eq!(envelope.hash(), EnvelopeHash(array(&case["hash"])));
        assert_eq!(envelope.hint(), hint(&case), "{}", name(&case));
        check_pow(&envelope, &case["pow_geth_1_8_27"], name(&case));
    }
}

/// The hint that version and AES nonce encode.
fn hint(case: &Value) -> Option<EncryptionHint> {
    let known = bytes(&case["version"]).iter().all(|&byte| byte == 0);
    known.then(|| match bytes(&case["aes_nonce"]).len() {
        0 => EncryptionHint::Asymmetric,
        _ => EncryptionHint::Symmetric(nonce(&case["aes_nonce"])),
    })
}

/// The fields of a case in the recorded program's RLP.
fn written(case: &Value) -> Vec<u8> {
    let mut stream = RlpStream::new_list(7);
    stream
        .append(&bytes(&case["version"]))
        .append(&int::<u32>(&case["expiry"]))
        .append(&int::<u32>(&case["ttl"]))
        .append(&bytes(&case["topic"]))
        .append(&bytes(&case["aes_nonce"]))
        .append(&bytes(&case["data"]))
        .append(&text(&case["env_nonce"]).parse::<u64>().unwrap());
    stream.out().to_vec()
}

#[test]
fn shh5_plaintexts_parse_as_in_geth() {
    for case in cases("message_v5", "parse_cases") {
        let parsed = v5::parse(&bytes(&case["raw"]));
        let accepted = case["geth_1_8_27"] == "accept";
        assert_eq!(parsed.is_ok(), accepted, "{}", name(&case));
        let Ok(opened) = parsed else { continue };
        assert_eq!(
            opened.payload.as_slice(),
            bytes(&case["payload"]),
            "{}",
            name(&case)
        );
        let padding = &case["padding"];
        let padding = (!padding.is_null()).then(|| bytes(padding));
        assert_eq!(
            opened.padding,
            padding.unwrap_or_default(),
            "{}",
            name(&case)
        );
        check_signer(opened.signer, &case["recovered_public_key"], name(&case));
    }
}
