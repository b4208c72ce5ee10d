//! Frames of recorded sessions, byte for byte in both directions.

use serde_json::Value;

use super::*;
use crate::link::secrets::Half;

const VECTORS: &str = include_str!("../../../tests/vectors/rlpx.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

/// The codecs of both ends of a recorded session: initiator's, then responder's.
fn codecs(case: &Value) -> [(Sealer, Opener); 2] {
    let nonces = [&case["initiator"]["nonce"], &case["responder"]["nonce"]].map(array);
    let packets = [&case["auth"]["packet"], &case["ack"]["packet"]].map(bytes);
    let [initiator, responder] = [0, 1].map(|end| Half {
        nonce: &nonces[end],
        packet: &packets[end],
    });
    let ephemeral = array(&case["ephemeral_shared_secret"]);
    let secrets = SessionSecrets::derive(&ephemeral, &nonces[0], &nonces[1]);
    assert_eq!(secrets.aes().expose(), &array(&case["aes_secret"]));
    assert_eq!(secrets.mac().expose(), &array(&case["mac_secret"]));
    [
        secrets.codecs(&initiator, &responder),
        secrets.codecs(&responder, &initiator),
    ]
}

fn digest(mac: &RunningMac) -> [u8; 32] {
    mac.state.digest()
}

#[test]
fn recorded_frames_are_reproduced_and_decrypted() {
    for case in vectors()["cases"].as_array().unwrap() {
        let [mut initiator, mut responder] = codecs(case);
        let egress = array(&case["initiator_egress_mac"]);
        assert_eq!(digest(&real(&mut initiator.0.0).mac), egress);
        assert_eq!(digest(&real(&mut responder.1.0).mac), egress);
        let ingress = array(&case["initiator_ingress_mac"]);
        assert_eq!(digest(&real(&mut initiator.1.0).mac), ingress);
        assert_eq!(digest(&real(&mut responder.0.0).mac), ingress);

        for frame in case["frames"].as_array().unwrap() {
            let (sealer, opener) = if frame["from"] == "initiator" {
                (&mut initiator.0, &mut responder.1)
            } else {
                (&mut responder.0, &mut initiator.1)
            };
            let code = u16::try_from(frame["code"].as_u64().unwrap()).unwrap();
            let sent = match &frame["snappy_payload"] {
                Value::Null => bytes(&frame["payload"]),
                packed => bytes(packed),
            };
            let mut wire = Vec::new();
            sealer.seal(code, &sent, &mut wire).unwrap();
            assert_eq!(wire, bytes(&frame["wire"]), "{}", frame["what"]);
            assert_eq!(
                digest(&real(&mut sealer.0).mac),
                array(&frame["sender_egress_mac_after"])
            );

            let (header, body) = wire.split_first_chunk_mut().unwrap();
            let size = opener.open_header(header).unwrap();
            assert_eq!(opener.open_body(size, body), Ok((code, &sent[..])));
        }
    }
}

#[test]
fn tampered_first_frames_are_refused_as_recorded() {
    let vectors = vectors();
    for variant in vectors["first_frame_cases"].as_array().unwrap() {
        let cases = vectors["cases"].as_array().unwrap();
        let case = cases.iter().find(|case| case["name"] == variant["run"]);
        let [_, (_, mut opener)] = codecs(case.unwrap());
        let mut wire = bytes(&variant["wire"]);
        let (header, body) = wire.split_first_chunk_mut().unwrap();
        let result = opener
            .open_header(header)
            .and_then(|size| opener.open_body(size, body).map(|(code, _)| code));
        let wanted = match variant["error"].as_str().unwrap() {
            "" => Ok(0),
            "bad header MAC" => Err(PeerFault::HeaderMac),
            // Cut short: the reader would wait for the rest, and must not accept less as a body.
            "bad frame MAC" | "unexpected EOF" => Err(PeerFault::BodyMac),
            other => panic!("unknown result {other}"),
        };
        assert_eq!(result, wanted, "{}", variant["name"]);
    }
}

#[test]
fn published_derivation_is_reproduced() {
    let vectors = vectors();
    let case = &vectors["published_derivation"];
    let nonces = [&case["initiator"]["nonce"], &case["responder"]["nonce"]].map(array);
    let (auth, ack) = (bytes(&case["auth"]), bytes(&case["ack"]));
    let ephemeral = array(&case["ephemeral_shared_secret"]);
    let secrets = SessionSecrets::derive(&ephemeral, &nonces[0], &nonces[1]);
    assert_eq!(secrets.aes().expose(), &array(&case["aes_secret"]));
    assert_eq!(secrets.mac().expose(), &array(&case["mac_secret"]));

    let ours = Half {
        nonce: &nonces[1],
        packet: &ack,
    };
    let theirs = Half {
        nonce: &nonces[0],
        packet: &auth,
    };
    let (mut sealer, mut opener) = secrets.codecs(&ours, &theirs);
    assert_eq!(
        digest(&real(&mut sealer.0).mac),
        array(&case["responder_egress_mac"])
    );
    assert_eq!(
        digest(&real(&mut opener.0).mac),
        array(&case["responder_ingress_mac"])
    );
    real(&mut opener.0).mac.state.update(b"foo");
    let after_foo = array(&case["responder_ingress_mac_after_foo"]);
    assert_eq!(digest(&real(&mut opener.0).mac), after_foo);
}

#[test]
fn message_codes_have_one_encoding() {
    for code in 0..=u16::MAX {
        let (form, len) = encode_code(code);
        assert_eq!(decode_code(&form[..len]), Some((code, &[][..])));
    }
    for malformed in [
        &[][..],
        &[0x00],
        &[0x81],
        &[0x81, 0x7f],
        &[0x82, 0, 1],
        &[0x82, 1],
        &[0x83, 1, 0, 0],
        &[0xc0],
    ] {
        assert_eq!(decode_code(malformed), None);
    }
}

#[test]
fn message_above_three_byte_length_is_refused() {
    let vectors = vectors();
    let [(mut sealer, _), (_, mut opener)] = codecs(&vectors["cases"][0]);
    let mut wire = Vec::new();
    let payload = vec![0; MAX_CONTENT];
    assert_eq!(sealer.seal(1, &payload, &mut wire), Err(FrameTooLong));
    assert!(wire.is_empty());
    sealer.seal(1, &payload[1..], &mut wire).unwrap();
    let (header, body) = wire.split_first_chunk_mut().unwrap();
    let size = opener.open_header(header).unwrap();
    assert_eq!(size.content_len(), MAX_CONTENT);
    assert_eq!(opener.open_body(size, body), Ok((1, &payload[1..])));
}

#[test]
fn empty_frame_is_refused() {
    let vectors = vectors();
    let [(mut sealer, _), (_, mut opener)] = codecs(&vectors["cases"][0]);
    let mut header = [0; BLOCK];
    sealer.0.apply_keystream(&mut header);
    let mac = sealer.0.mac_of_header(&header);
    let sealed: [u8; HEADER_LEN] = [header, mac].concat().try_into().unwrap();
    let result = opener.open_header(&sealed).map(|size| size.content_len());
    assert_eq!(result, Err(PeerFault::FrameEmpty));
}

/// The cipher and the MAC of a direction that has them.
fn real(protection: &mut Protection) -> &mut FrameCipher {
    match protection {
        Protection::Real(real) => real,
        #[cfg(feature = "sim")]
        Protection::StandIn => panic!("no node here is simulated"),
    }
}
