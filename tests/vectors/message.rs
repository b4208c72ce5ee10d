//! Messages: encrypted again from the recorded inputs and randomness, decrypted, tampered with,
//! parsed.

use circuits::secret::Secret;
use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::Value;
use whisht::envelope::Envelope;
use whisht::message::{
    self, ClientPublic, ClientSecret, DecryptedMessage, Padding, Plaintext, SymKey,
    decrypt_asymmetric, decrypt_symmetric, seal_asymmetric, seal_symmetric,
};

use super::{array, bytes, cases, int, name, text};

/// Returns the recorded program's random bytes, and nothing else.
pub(super) struct ReplayRng(pub(super) Vec<u8>);

impl ReplayRng {
    pub(super) fn of(case: &Value, fields: &[&str]) -> Self {
        let recorded = fields.iter().map(|field| &case["random"][field]);
        Self(
            recorded
                .filter(|value| !value.is_null())
                .flat_map(bytes)
                .collect(),
        )
    }
}

impl TryRng for ReplayRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("encryption draws bytes only");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("encryption draws bytes only");
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        to.copy_from_slice(&self.0[..to.len()]);
        self.0.drain(..to.len());
        Ok(())
    }
}

impl TryCryptoRng for ReplayRng {}

fn secret(value: &Value) -> Secret<32> {
    Secret::take(&mut array(value))
}

pub(super) fn client(value: &Value) -> ClientSecret {
    ClientSecret::from_bytes(&secret(value)).unwrap()
}

pub(super) fn sym(value: &Value) -> SymKey {
    SymKey::new(secret(value)).unwrap()
}

fn build(rng: &mut ReplayRng, case: &Value) -> Plaintext {
    let given = (!case["padding"].is_null()).then(|| bytes(&case["padding"]));
    let padding = given.as_deref().map_or(Padding::Align, Padding::Given);
    let signer =
        (!case["signer_private_key"].is_null()).then(|| client(&case["signer_private_key"]));
    let plaintext =
        Plaintext::build(rng, &bytes(&case["payload"]), padding, signer.as_ref()).unwrap();
    assert_eq!(
        plaintext.as_bytes(),
        bytes(&case["plaintext"]["raw"]),
        "{}",
        name(case)
    );
    plaintext
}

fn recorded(case: &Value) -> Envelope {
    let envelope = Envelope::decode(&bytes(&case["envelope"]["rlp"])).unwrap();
    let again = Envelope::build(
        envelope.expiry(),
        envelope.ttl(),
        envelope.topic(),
        envelope.data().to_vec(),
        text(&case["envelope"]["nonce"]).parse().unwrap(),
    );
    assert_eq!(again.hash(), envelope.hash(), "{}", name(case));
    envelope
}

pub(super) fn check_opened(case: &Value, opened: &DecryptedMessage) {
    let context = name(case);
    let layout = &case["plaintext"];
    let raw = bytes(&layout["raw"]);
    let padding_at: usize = int(&layout["padding_offset"]);
    let padding = &raw[padding_at..][..int::<usize>(&layout["padding_len"])];
    assert_eq!(
        opened.payload.as_slice(),
        bytes(&case["payload"]),
        "{context}"
    );
    assert_eq!(opened.padding, padding, "{context}");
    check_signer(opened.signer, &layout["recovered_public_key"], context);
}

pub(super) fn check_signer(signer: Option<ClientPublic>, recorded: &Value, context: &str) {
    let recorded = (!recorded.is_null()).then(|| array(recorded));
    assert_eq!(signer.map(|key| key.to_bytes()), recorded, "{context}");
}

#[test]
fn symmetric_messages_encrypt_to_recorded_bytes() {
    for case in cases("message_v6_sym", "cases") {
        let mut rng = ReplayRng::of(&case, &["default_padding", "gcm_nonce"]);
        let plaintext = build(&mut rng, &case);
        let data = seal_symmetric(&mut rng, &sym(&case["sym_key"]), &plaintext);
        assert_eq!(data, recorded(&case).data(), "{}", name(&case));
        assert!(rng.0.is_empty(), "{}", name(&case));
    }
}

#[test]
fn symmetric_messages_decrypt_to_recorded_payload() {
    for case in cases("message_v6_sym", "cases") {
        let opened = decrypt_symmetric(&sym(&case["sym_key"]), recorded(&case).data()).unwrap();
        assert_eq!(opened.recipient, None);
        check_opened(&case, &opened);
    }
}

#[test]
fn asymmetric_messages_encrypt_to_recorded_bytes() {
    for case in cases("message_v6_asym", "cases") {
        let mut rng = ReplayRng::of(&case, &["default_padding", "ephemeral_private_key", "iv"]);
        let plaintext = build(&mut rng, &case);
        let recipient = ClientPublic::from_bytes(&bytes(&case["recipient_public_key"])).unwrap();
        let data = seal_asymmetric(&mut rng, &recipient, &plaintext);
        assert_eq!(data, recorded(&case).data(), "{}", name(&case));
        assert!(rng.0.is_empty(), "{}", name(&case));
    }
}

#[test]
fn asymmetric_messages_decrypt_to_recorded_payload() {
    for case in cases("message_v6_asym", "cases") {
        let key = client(&case["recipient_private_key"]);
        let opened = decrypt_asymmetric(&key, recorded(&case).data()).unwrap();
        assert_eq!(opened.recipient, Some(key.public()));
        check_opened(&case, &opened);
    }
}

#[test]
fn tampered_messages_give_recorded_result() {
    for file in ["message_v6_sym", "message_v6_asym"] {
        for case in cases(file, "open_cases") {
            let envelope = Envelope::decode(&bytes(&case["rlp"])).unwrap();
            // The type of a key has 32 bytes, so a key of another length decrypts nothing.
            let accepted = <[u8; 32]>::try_from(bytes(&case["key"])).is_ok_and(|mut key| {
                let key = Secret::take(&mut key);
                if file == "message_v6_sym" {
                    SymKey::new(key)
                        .is_ok_and(|key| decrypt_symmetric(&key, envelope.data()).is_ok())
                } else {
                    decrypt_asymmetric(&ClientSecret::from_bytes(&key).unwrap(), envelope.data())
                        .is_ok()
                }
            });
            for program in ["geth_1_8_27", "status_im_1_6_2"] {
                assert_eq!(
                    accepted,
                    case[program] == "accept",
                    "{}: {program}",
                    name(&case)
                );
            }
        }
    }
}

#[test]
fn plaintexts_parse_as_in_status_im() {
    for case in cases("message_v6_sym", "parse_cases") {
        let parsed = message::parse(&bytes(&case["raw"]));
        let accepted = case["status_im_1_6_2"] == "accept";
        assert_eq!(parsed.is_ok(), accepted, "{}", name(&case));
        if let Ok(opened) = parsed {
            assert_eq!(
                opened.payload.as_slice(),
                bytes(&case["payload"]),
                "{}",
                name(&case)
            );
            assert_eq!(opened.padding, bytes(&case["padding"]), "{}", name(&case));
            check_signer(opened.signer, &case["recovered_public_key"], name(&case));
        }
    }
}

#[test]
fn passwords_derive_recorded_keys() {
    for case in cases("symkey_from_password", "cases") {
        let password = String::from_utf8(bytes(&case["password_utf8"])).unwrap();
        let key = SymKey::from_password(&password).unwrap();
        assert_eq!(*key.expose(), array(&case["key_whisper_v6"]));
        assert_eq!(*key.expose(), array(&case["key_status_im_1_6_2"]));
    }
}
