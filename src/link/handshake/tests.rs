//! Recorded handshake packets: our own are equal byte for byte, and every form is read.

use serde_json::Value;

use super::*;

#[path = "../../../tests/link/script.rs"]
mod script;

use self::script::RecordedRng;

const VECTORS: &str = include_str!("../../../tests/vectors/rlpx.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn key(value: &Value) -> Arc<LinkKey> {
    let mut secret = bytes(value).try_into().unwrap();
    Arc::new(LinkKey::from_bytes(&mut secret).unwrap())
}

/// Reads a packet as a link does: the minimum length first, then as many bytes as requested.
fn read_from<T>(
    stream: &[u8],
    least: usize,
    mut read: impl FnMut(&[u8]) -> Result<Reading<T>, PeerFault>,
) -> Result<(T, Format), Option<PeerFault>> {
    let mut needs = least;
    loop {
        let packet = stream.get(..needs).ok_or(None)?;
        match read(packet)? {
            Reading::Done(content, format) => return Ok((content, format)),
            Reading::Needs(more) => needs = more,
        }
    }
}

#[test]
fn recorded_initiator_packets_are_reproduced() {
    for case in vectors()["cases"].as_array().unwrap() {
        let (initiator, responder) = (&case["initiator"], &case["responder"]);
        let ours = key(&initiator["static_private_key"]);
        let remote = RelayKey(bytes(&responder["static_public_key"]).try_into().unwrap());
        let auth = bytes(&case["auth"]["packet"]);
        let state = if case["format"] == "eip8" {
            let mut script = RecordedRng::of(initiator, &case["auth"]);
            let state = Initiator::new(ours, remote, &mut script).unwrap();
            assert_eq!(state.auth(), auth, "{}", case["name"]);
            assert!(script.is_over());
            state
        } else {
            // We never write plain auth packets, but must read the answer to one.
            let mut script =
                RecordedRng::default().then(&bytes(&initiator["ephemeral_private_key"]));
            Initiator {
                key: ours,
                remote,
                ephemeral: WipedKey::generate(&mut script),
                nonce: bytes(&initiator["nonce"]).try_into().unwrap(),
                auth,
            }
        };
        let ack = bytes(&case["ack"]["packet"]);
        let (session, format) =
            read_from(&ack, Ack::LEN, |packet| state.read_ack(packet)).unwrap_or_else(|_| panic!());
        assert_eq!(format == Format::Eip8, case["format"] == "eip8");
        opens_first_frame(session, case, "responder");
    }
}

#[test]
fn recorded_responder_packets_are_reproduced() {
    for case in vectors()["cases"].as_array().unwrap() {
        let responder = &case["responder"];
        let ours = key(&responder["static_private_key"]);
        let packet = bytes(&case["auth"]["packet"]);
        let (auth, format) =
            read_from(&packet, Auth::LEN, |packet| Auth::read(&ours, packet)).unwrap();
        assert_eq!(auth.signature[..], bytes(&case["auth"]["signature"]));

        let mut script = RecordedRng::of(responder, &case["ack"]);
        let (ack, session) = respond(&ours, &auth, format, &packet, &mut script)
            .unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(ack, bytes(&case["ack"]["packet"]), "{}", case["name"]);
        assert!(script.is_over());
        let initiator = bytes(&case["initiator"]["static_public_key"]);
        assert_eq!(session.remote.0[..], initiator);
        opens_first_frame(session, case, "initiator");
    }
}

/// Asserts that the keys agree: the session opens the other end's first frame.
fn opens_first_frame(mut session: RlpxSession, case: &Value, from: &str) {
    let frames = case["frames"].as_array().unwrap();
    let hello = frames.iter().find(|frame| frame["from"] == from).unwrap();
    let mut wire = bytes(&hello["wire"]);
    let (header, body) = wire.split_first_chunk_mut().unwrap();
    let size = session.opener.open_header(header).unwrap();
    let payload = bytes(&hello["payload"]);
    assert_eq!(session.opener.open_body(size, body), Ok((0, &payload[..])));
}

#[test]
fn altered_packets_are_refused_as_recorded() {
    for case in vectors()["read_cases"].as_array().unwrap() {
        let name = &case["name"];
        let ours = key(&case["reader_static_private_key"]);
        let stream = bytes(&case["packet"]);
        if case["kind"] == "ack" {
            let result = read_from(&stream, Ack::LEN, |packet| Ack::read(&ours, packet));
            assert_eq!(result.is_ok(), case["result"] == "accept", "{name}");
            if let Ok((ack, _)) = result {
                assert_eq!(ack.ephemeral[..], bytes(&case["public_key"]), "{name}");
                assert_eq!(ack.nonce[..], bytes(&case["nonce"]), "{name}");
            }
            continue;
        }
        let result = read_from(&stream, Auth::LEN, |packet| Auth::read(&ours, packet));
        assert_eq!(result.is_err(), case["result"] == "reject", "{name}");
        let (auth, format) = match result {
            Ok(read) => read,
            Err(fault) => {
                let wanted = match case["error"].as_str().unwrap() {
                    "unexpected EOF" => None,
                    "ecies: invalid message" => Some(PeerFault::HandshakeCiphertext),
                    error if error.starts_with("rlp: ") => Some(PeerFault::HandshakeMalformed),
                    error if error.starts_with("size underflow") => {
                        Some(PeerFault::HandshakeLength)
                    }
                    other => panic!("unknown error {other}"),
                };
                assert_eq!(fault, wanted, "{name}");
                continue;
            }
        };
        assert_eq!(format == Format::Plain, case["plain"] == true, "{name}");
        assert_eq!(auth.signature[..], bytes(&case["signature"]), "{name}");
        assert_eq!(auth.initiator[..], bytes(&case["public_key"]), "{name}");
        assert_eq!(auth.nonce[..], bytes(&case["nonce"]), "{name}");
        let mut script = RecordedRng::default().then(&[1; 1_000]);
        let answer = respond(&ours, &auth, format, &stream, &mut script).map(|_| ());
        let wanted = match case["error"].as_str() {
            None => Ok(()),
            Some("invalid signature recovery id") => Err(PeerFault::HandshakeSignature),
            Some("invalid secp256k1 public key") => Err(PeerFault::HandshakeKey),
            Some(other) => panic!("unknown error {other}"),
        };
        assert_eq!(answer, wanted, "{name}");
    }
}

#[test]
fn own_packets_have_geth_padding_lengths() {
    let ours = key(&Value::from("11".repeat(32)));
    let theirs = key(&Value::from("22".repeat(32)));
    for (draw, len) in [(0, 384), (199, 583), (200, 384), (u32::MAX, 479)] {
        let mut script = RecordedRng::default()
            .then(&[1; 64])
            .then(&u32::to_le_bytes(draw))
            .then(&[1; 48]);
        let initiator = Initiator::new(ours.clone(), theirs.public(), &mut script);
        assert_eq!(initiator.unwrap().auth().len(), len);
    }
}

#[test]
fn dial_to_key_off_curve_is_refused() {
    let ours = key(&Value::from("11".repeat(32)));
    for remote in [RelayKey([0; 64]), RelayKey([1; 64]), RelayKey([0xff; 64])] {
        let dialled = Initiator::new(ours.clone(), remote, &mut RecordedRng::default());
        assert_eq!(dialled.map(|_| ()), Err(LocalFault::KeyNotOnCurve));
    }
}
