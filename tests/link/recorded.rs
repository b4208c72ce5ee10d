//! Sessions of go-ethereum, replayed through whole links.

use std::sync::Arc;

use circuits::ids::RelayKey;
use circuits::time::Instant;
use serde_json::Value;
use whisht::link::{
    Capability, DisconnectReason, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits,
};

use crate::events;
use crate::script::RecordedRng;

/// Whisper with a range for the largest code in the recordings, which go-ethereum would refuse.
const ROOMY_SHH: Capability = Capability::new("shh", 6, 2_000);

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/rlpx.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn secret(end: &Value) -> Arc<LinkKey> {
    let mut secret = bytes(&end["static_private_key"]).try_into().unwrap();
    Arc::new(LinkKey::from_bytes(&mut secret).unwrap())
}

fn public(end: &Value) -> RelayKey {
    RelayKey(bytes(&end["static_public_key"]).try_into().unwrap())
}

fn config() -> Arc<LinkConfig> {
    Arc::new(LinkConfig {
        client_id: "whisht/test".into(),
        listen_port: 0,
        capabilities: vec![ROOMY_SHH],
        limits: LinkLimits::default(),
    })
}

/// Passes to `link` all bytes that one end of the session sent, in chunks of `chunk` bytes, and
/// compares the output.
fn replay(mut link: Link, case: &Value, from: &str, opening: &Value, chunk: usize) {
    let mut script = RecordedRng::of(
        &case[if from == "initiator" {
            "responder"
        } else {
            "initiator"
        }],
        &case[if from == "initiator" { "ack" } else { "auth" }],
    );
    let frames = case["frames"].as_array().unwrap().iter();
    let theirs: Vec<&Value> = frames.filter(|frame| frame["from"] == from).collect();
    let mut stream = bytes(opening);
    theirs
        .iter()
        .for_each(|frame| stream.extend(bytes(&frame["wire"])));
    for part in stream.chunks(chunk) {
        link.receive(Instant::ZERO, &mut script, part).unwrap();
    }

    let mut seen = events(&mut link).into_iter();
    for frame in theirs {
        let code = frame["code"].as_u64().unwrap();
        let wanted = match code {
            0 => LinkEvent::Connected {
                remote: public(&case[from]),
                client_id: format!("{from}/v1"),
                shared: vec![ROOMY_SHH],
            },
            1 => LinkEvent::Disconnected(DisconnectReason::Quitting),
            2 | 3 => continue,
            _ => LinkEvent::Message {
                capability: ROOMY_SHH,
                code: u16::try_from(code).unwrap() - 16,
                payload: bytes(&frame["payload"]),
            },
        };
        assert!(
            seen.next() == Some(wanted),
            "{}: {}",
            case["name"],
            frame["what"]
        );
    }
    assert_eq!(seen.next(), None);
}

#[test]
fn recorded_geth_dialler_session_replays() {
    for case in vectors()["cases"].as_array().unwrap() {
        for chunk in [1, 100, usize::MAX] {
            let link = Link::accept(config(), secret(&case["responder"]), Instant::ZERO);
            replay(link, case, "initiator", &case["auth"]["packet"], chunk);
        }
    }
}

#[test]
fn recorded_geth_listener_session_replays() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let mut dialled = 0;
    for case in cases.filter(|case| case["format"] == "eip8") {
        for chunk in [1, 100, usize::MAX] {
            let mut script = RecordedRng::of(&case["initiator"], &case["auth"]);
            let mut link = Link::dial(
                config(),
                secret(&case["initiator"]),
                public(&case["responder"]),
                &mut script,
                Instant::ZERO,
            )
            .unwrap();
            assert!(script.is_over());
            let auth = link.poll_transmit(Instant::ZERO, usize::MAX);
            assert_eq!(auth, Some(bytes(&case["auth"]["packet"])));
            replay(link, case, "responder", &case["ack"]["packet"], chunk);
            dialled += 1;
        }
    }
    assert_eq!(dialled, 18);
}

#[test]
fn ack_matches_recorded_bytes() {
    for case in vectors()["cases"].as_array().unwrap() {
        let mut script = RecordedRng::of(&case["responder"], &case["ack"]);
        let mut link = Link::accept(config(), secret(&case["responder"]), Instant::ZERO);
        let auth = bytes(&case["auth"]["packet"]);
        link.receive(Instant::ZERO, &mut script, &auth).unwrap();
        assert!(script.is_over());
        let sent = link.poll_transmit(Instant::ZERO, usize::MAX).unwrap();
        assert!(sent.starts_with(&bytes(&case["ack"]["packet"])));
    }
}
