//! The recorded descriptor: every field and every byte (docs/wire/directory.md,
//! "DescriptorVector").

use circuits::directory::{
    Descriptor, DescriptorDraft, EndpointKinds, PuzzleSolution, RelayEndpoint, Requirements,
    SigningKey,
};
use circuits::ids::{Epoch, NetworkId, Profile, RelayId};
use circuits::mixing::ArrivalRate;
use circuits::secret::Secret;
use serde::Deserialize;

#[derive(Deserialize)]
struct DescriptorVector {
    network: RecordedNetwork,
    signing_key: String,
    key: String,
    relay_id: String,
    short_id: String,
    epoch: u32,
    onion: String,
    onion_next: String,
    endpoints: Endpoints,
    dials: u8,
    family: Vec<String>,
    arrivals: u8,
    ticket_bits: u8,
    puzzle_effort: u32,
    puzzle_nonce: String,
    puzzle_solution: String,
    signature: String,
    raw: String,
    digest: String,
    digest_prefix: String,
}

#[derive(Deserialize)]
struct RecordedNetwork {
    profile: String,
    name: String,
    id: String,
}

#[derive(Deserialize)]
struct Endpoints {
    ip4: (String, u16),
    ip6: (String, u16),
    onion: (String, u16),
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn vector() -> DescriptorVector {
    serde_json::from_str(include_str!("../vectors/descriptor.json")).unwrap()
}

fn draft(vector: &DescriptorVector) -> DescriptorDraft {
    let Endpoints { ip4, ip6, onion } = &vector.endpoints;
    DescriptorDraft {
        epoch: Epoch(vector.epoch),
        onion: bytes(&vector.onion),
        onion_next: bytes(&vector.onion_next),
        endpoints: vec![
            RelayEndpoint::Ip4(ip4.0.parse().unwrap(), ip4.1),
            RelayEndpoint::Ip6(ip6.0.parse().unwrap(), ip6.1),
            RelayEndpoint::Onion(bytes(&onion.0), onion.1),
        ],
        dials: EndpointKinds::ALL,
        family: vector.family.iter().map(|id| RelayId(bytes(id))).collect(),
        arrivals: ArrivalRate::from_byte(vector.arrivals).unwrap(),
        ticket_bits: vector.ticket_bits,
    }
}

#[test]
fn recorded_descriptor_decodes_and_verifies() {
    let vector = vector();
    assert_eq!(vector.network.profile, "main");
    let network = NetworkId::new(Profile::Main, &vector.network.name);
    assert_eq!(network.0, bytes(&vector.network.id));

    let raw = hex::decode(&vector.raw).unwrap();
    let descriptor = Descriptor::decode(&raw).unwrap();
    assert_eq!(descriptor.key().0, bytes(&vector.key));
    assert_eq!(descriptor.draft(), &draft(&vector));
    assert_eq!(vector.dials, 7, "every kind of address");
    assert!(vector.raw.ends_with(&vector.signature));

    let terms = Requirements {
        effort: vector.puzzle_effort,
        ..Requirements::new(network, Profile::Main)
    };
    let verified = descriptor.verify(&terms).unwrap();
    assert_eq!(verified.id().0, bytes(&vector.relay_id));
    assert_eq!(verified.id().short().0, bytes(&vector.short_id));
    assert_eq!(verified.digest().0, bytes(&vector.digest));
    assert_eq!(verified.digest().prefix(), bytes(&vector.digest_prefix));
}

#[test]
fn signing_recorded_fields_gives_recorded_bytes() {
    let vector = vector();
    let mut secret = bytes(&vector.signing_key);
    let key = SigningKey::new(Secret::take(&mut secret)).unwrap();
    let puzzle = PuzzleSolution {
        nonce: bytes(&vector.puzzle_nonce),
        solution: bytes(&vector.puzzle_solution),
    };
    let network = NetworkId::new(Profile::Main, &vector.network.name);
    let signed = Descriptor::sign(draft(&vector), puzzle, &key, network).unwrap();
    assert_eq!(hex::encode(signed.raw()), vector.raw);
}
