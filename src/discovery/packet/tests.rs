use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;

use super::*;

/// A time at which the recorded packets have not expired.
const THEN: UnixSecs = UnixSecs(0x43b9_a355);

fn key(seed: u8) -> LinkKey {
    LinkKey::generate(&mut ChaCha20Rng::from_seed([seed; 32]))
}

fn recorded() -> Vec<(String, Vec<u8>)> {
    let vectors = include_str!("../../../tests/vectors/discv4.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["cases"].as_array().unwrap().clone();
    let case = |case: &Value| {
        let name = case["name"].as_str().unwrap().to_owned();
        (name, hex::decode(case["packet"].as_str().unwrap()).unwrap())
    };
    cases.iter().map(case).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn eip_8_packets_decode() {
    let vectors = include_str!("../../../tests/vectors/discv4.json");
    let signer = serde_json::from_str::<Value>(vectors).unwrap()["signer"].clone();
    let packets: Vec<DiscoveryPacket> = recorded()
        .iter()
        .map(|(name, bytes)| {
            let opened =
                decode_packet(bytes, THEN).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                hex::encode(opened.from.0),
                signer.as_str().unwrap(),
                "{name}"
            );
            assert_eq!(opened.hash[..], bytes[..32]);
            opened.packet
        })
        .collect();
    let here = (ip("2001:db8:85a3:8d3:1319:8a2e:370:7348"), 2222);
    let ping = |from, to| DiscoveryPacket::Ping {
        from: (ip(from), 3322),
        tcp: 5544,
        to,
    };
    assert_eq!(packets[0], ping("127.0.0.1", (ip("::1"), 2222)));
    assert_eq!(packets[1], ping("2001:db8:3c4d:15::abcd:ef12", here));
    let hash = "fbc914b16819237dcd8801d7e53f69e9719adecb3cc0e790c57e91ca4461c954";
    assert!(
        matches!(packets[2], DiscoveryPacket::Pong { ping, to } if to == here && hex::encode(ping) == hash)
    );
    assert!(
        matches!(packets[3], DiscoveryPacket::FindNode { target } if hex::encode(target.0) == signer.as_str().unwrap())
    );
    let DiscoveryPacket::Neighbors(contacts) = &packets[4] else {
        panic!("not Neighbors")
    };
    let ports: Vec<_> = contacts
        .iter()
        .map(|contact| (contact.ip, contact.udp, contact.tcp))
        .collect();
    assert_eq!(
        ports,
        [
            (ip("99.33.22.55"), 4444, 4445),
            (ip("1.2.3.4"), 1, 1),
            (ip("2001:db8:3c4d:15::abcd:ef12"), 3333, 3333),
            (ip("2001:db8:85a3:8d3:1319:8a2e:370:7348"), 999, 1000),
        ]
    );
}

#[test]
fn expired_packet_is_rejected_before_signature_recovery() {
    for (name, mut bytes) in recorded() {
        let later = UnixSecs(THEN.0 + 1);
        assert_eq!(
            decode_packet(&bytes, later).unwrap_err(),
            BadPacket::Expired,
            "{name}"
        );
        // An invalid signature under a matching hash.
        bytes[96] = 9;
        let hash: [u8; 32] = Keccak256::digest(&bytes[32..]).into();
        bytes[..32].copy_from_slice(&hash);
        assert_eq!(
            decode_packet(&bytes, later).unwrap_err(),
            BadPacket::Expired,
            "{name}"
        );
        assert_eq!(
            decode_packet(&bytes, THEN).unwrap_err(),
            BadPacket::WrongSignature,
            "{name}"
        );
    }
}

#[test]
fn each_defect_has_its_own_error() {
    let (bytes, _) = encode_packet(
        &DiscoveryPacket::FindNode {
            target: RelayKey([7; 64]),
        },
        THEN,
        &key(1),
    );
    assert_eq!(decode_packet(&[], THEN).unwrap_err(), BadPacket::TooShort);
    assert_eq!(
        decode_packet(&bytes[..97], THEN).unwrap_err(),
        BadPacket::WrongHash
    );
    let long = [&bytes[..], &[0; 1280]].concat();
    assert_eq!(decode_packet(&long, THEN).unwrap_err(), BadPacket::TooLong);
    let rehashed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        let hash: [u8; 32] = Keccak256::digest(&bytes[32..]).into();
        bytes[..32].copy_from_slice(&hash);
        decode_packet(&bytes, THEN).map(|opened| opened.from)
    };
    assert_eq!(
        rehashed(&|bytes| bytes[97] = 9),
        Err(BadPacket::UnknownKind)
    );
    assert_eq!(rehashed(&|bytes| bytes[97] = 1), Err(BadPacket::Malformed));
    assert_eq!(
        rehashed(&|bytes| bytes.truncate(97)),
        Err(BadPacket::TooShort)
    );
    // Another body under the same signature yields another key or none; never the signer's.
    assert_ne!(rehashed(&|bytes| bytes[110] ^= 1), Ok(key(1).public()));
}

#[test]
fn largest_neighbors_packet_fits_packet_limit() {
    let contact = Contact {
        key: key(1).public(),
        ip: ip("2a00:1450:4001:81b::200e"),
        udp: 65_535,
        tcp: 65_535,
    };
    let packet = DiscoveryPacket::Neighbors(vec![contact; DiscoveryPacket::MAX_NEIGHBORS]);
    let (bytes, _) = encode_packet(&packet, UnixSecs(u32::MAX), &key(1));
    assert!(bytes.len() <= MAX_PACKET_BYTES, "{}", bytes.len());
    assert_eq!(decode_packet(&bytes, THEN).unwrap().packet, packet);
}

fn contacts() -> impl Strategy<Value = Vec<Contact>> {
    let one = (any::<u8>(), any::<IpAddr>(), any::<u16>(), any::<u16>());
    let contact = one.prop_map(|(byte, ip, udp, tcp)| Contact {
        key: RelayKey([byte; 64]),
        ip: ip.to_canonical(),
        udp,
        tcp,
    });
    prop::collection::vec(contact, 0..=DiscoveryPacket::MAX_NEIGHBORS)
}

fn packets() -> impl Strategy<Value = DiscoveryPacket> {
    let to = (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| (ip.to_canonical(), port));
    prop_oneof![
        (any::<u16>(), to.clone(), to.clone()).prop_map(|(tcp, from, to)| DiscoveryPacket::Ping {
            from,
            tcp,
            to
        }),
        (any::<[u8; 32]>(), to).prop_map(|(ping, to)| DiscoveryPacket::Pong { ping, to }),
        any::<u8>().prop_map(|byte| DiscoveryPacket::FindNode {
            target: RelayKey([byte; 64])
        }),
        contacts().prop_map(DiscoveryPacket::Neighbors),
    ]
}

proptest! {
    #[test]
    fn encoded_packet_decodes_with_key_of_its_sender(packet in packets(), expiry in 5_u32.., seed in 1_u8..9) {
        let key = key(seed);
        let (bytes, hash) = encode_packet(&packet, UnixSecs(expiry), &key);
        let opened = decode_packet(&bytes, UnixSecs(expiry)).unwrap();
        prop_assert_eq!(opened.packet, packet);
        prop_assert_eq!(opened.hash, hash);
        prop_assert_eq!(opened.from, key.public());
        if expiry < u32::MAX {
            prop_assert_eq!(decode_packet(&bytes, UnixSecs(expiry + 1)).unwrap_err(), BadPacket::Expired);
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode_packet(&bytes, THEN).is_err());
    }

    #[test]
    fn flipped_bit_is_rejected(packet in packets(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (mut bytes, _) = encode_packet(&packet, THEN, &key(1));
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode_packet(&bytes, THEN).is_err());
    }
}
