//! Hello and Disconnect messages, compared with recordings.

use serde_json::Value;
use whisht::link::capability::{AdvertisedCapability, SharedCapabilities};
use whisht::link::hello::{self, Hello};
use whisht::link::{Capability, DisconnectReason, LinkEvent, PeerFault};

use crate::raw::RawPeer;
use crate::{BOTH, config, events, key};

fn cases(kind: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/hello.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let wanted: Vec<Value> = cases.filter(|case| case["kind"] == kind).cloned().collect();
    assert!(!wanted.is_empty(), "no case is a {kind}");
    wanted
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn advertised(pair: &Value) -> AdvertisedCapability {
    AdvertisedCapability {
        name: pair[0].as_str().unwrap().as_bytes().to_vec(),
        version: pair[1].as_u64().unwrap(),
    }
}

fn check_hello(case: &Value) {
    let wanted = &case["hello"];
    let hello = Hello::decode(&bytes(&case["payload"])).unwrap();
    assert_eq!(hello.version, wanted["version"].as_u64().unwrap());
    assert_eq!(hello.listen_port, wanted["listen_port"].as_u64().unwrap());
    assert_eq!(hello.id.0[..], bytes(&wanted["id"]));
    let listed: Vec<_> = wanted["caps"]
        .as_array()
        .unwrap()
        .iter()
        .map(advertised)
        .collect();
    assert_eq!(hello.capabilities, listed);
    let harmless: String = wanted["name"].as_str().unwrap().chars().take(128).collect();
    assert_eq!(
        hello.client_id,
        harmless.replace(|c: char| !matches!(c, ' '..='~'), "?")
    );
}

#[test]
fn recorded_hellos_decode() {
    cases("hello").iter().for_each(check_hello);
}

#[test]
fn recorded_first_messages_give_recorded_result() {
    for case in cases("hello_decode") {
        if case["result"] == "accept" {
            check_hello(&case);
            continue;
        }
        let name = case["name"].as_str().unwrap();
        let mut peer = RawPeer::dial_as(key(1), config(&BOTH));
        let code = u16::try_from(case["code"].as_u64().unwrap()).unwrap();
        let result = peer.send(code, &bytes(&case["payload"]));
        if code == 1 {
            // The bare number is read as the reason; go-ethereum reads 0.
            let reason = DisconnectReason::TooManyPeers;
            assert_eq!(result, Ok(()));
            let seen = events(&mut peer.link);
            assert_eq!(seen, [LinkEvent::Disconnected(reason)], "{name}");
            continue;
        }
        let wanted = match case["error"].as_str().unwrap() {
            "invalid node identity" => PeerFault::IdentityInvalid,
            "message too big" => PeerFault::FrameTooLong,
            "expected handshake, got 2" => PeerFault::HelloMissing,
            error if error.starts_with("invalid message") => PeerFault::HelloMalformed,
            other => panic!("unknown error {other}"),
        };
        assert_eq!(result, Err(wanted.into()), "{name}");
    }
}

#[test]
fn encoded_hello_matches_recorded_bytes() {
    let mut compared = 0;
    for case in cases("hello") {
        let recorded = &case["hello"];
        let id = bytes(&recorded["id"]).try_into().unwrap();
        let ours = [Capability::SHH_6];
        if recorded["version"] == 5
            && recorded["caps"] == serde_json::json!([["shh", 6]])
            && recorded["listen_port"] == 0
            && recorded["extra_elements"] == serde_json::json!([])
            && recorded["name"].as_str().unwrap().is_ascii()
        {
            let name = recorded["name"].as_str().unwrap();
            let payload = hello::encode(name, 0, &ours, &circuits::ids::RelayKey(id));
            assert_eq!(payload, bytes(&case["payload"]), "{}", case["name"]);
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn recorded_disconnects_decode() {
    for case in cases("disconnect")
        .into_iter()
        .chain(cases("disconnect_decode"))
    {
        let reason = DisconnectReason::decode(&bytes(&case["payload"]), false);
        let number = case["reason"].as_u64().unwrap();
        let wanted = match case["name"].as_str().unwrap() {
            // The bare number is read as the reason; go-ethereum reads 0.
            "bare number: read as reason 0" => "too many peers".to_owned(),
            _ => match (case["text"].as_str(), number) {
                (Some(text), _) => text.to_owned(),
                (None, 0) => "disconnect requested".to_owned(),
                (None, 4) => "too many peers".to_owned(),
                (None, other) => format!("unknown disconnect reason {other}"),
            },
        };
        assert_eq!(reason.to_string(), wanted, "{}", case["name"]);
    }
}

#[test]
fn ping_is_answered_with_recorded_pong() {
    let mut peer = RawPeer::open(&BOTH);
    let ping = bytes(&cases("ping")[0]["payload"]);
    peer.send(2, &crate::raw::snappy(&ping)).unwrap();
    let pong = crate::raw::snappy(&bytes(&cases("pong")[0]["payload"]));
    assert_eq!(peer.read(), [(3, pong)]);
}

#[test]
fn capability_negotiation_matches_recorded_tables() {
    for case in cases("negotiation") {
        let ours: Vec<Capability> = case["ours"]
            .as_array()
            .unwrap()
            .iter()
            .map(capability)
            .collect();
        let theirs: Vec<AdvertisedCapability> = case["theirs"]
            .as_array()
            .unwrap()
            .iter()
            .map(advertised)
            .collect();
        let shared = SharedCapabilities::negotiate(&ours, &theirs);

        let mut matches: Vec<&Value> = case["matches"].as_array().unwrap().iter().collect();
        matches.sort_by_key(|wanted| wanted["offset"].as_u64());
        let wanted: Vec<Capability> = matches.iter().copied().map(capability).collect();
        assert!(shared.iter().eq(wanted.iter().copied()), "{}", case["name"]);
        for (wanted, capability) in matches.into_iter().zip(wanted) {
            let offset = shared.offset(capability).unwrap();
            assert_eq!(u64::from(offset), wanted["offset"].as_u64().unwrap());
            assert_eq!(shared.locate(offset), Some((capability, 0)));
            let last = capability.codes() - 1;
            assert_eq!(shared.locate(offset + last), Some((capability, last)));
        }
    }
}

fn capability(value: &Value) -> Capability {
    let number = |field: &str| value[field].as_u64().unwrap();
    let name = value["name"].as_str().unwrap().to_owned().leak();
    Capability::new(
        name,
        u32::try_from(number("version")).unwrap(),
        u16::try_from(number("length")).unwrap(),
    )
}
