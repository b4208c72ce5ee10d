//! `tests/vectors/cell.json`: cells with all intermediate values.
//!
//! The reference implementation writes the file; builder and relay must match it byte for byte. To
//! rewrite it after a deliberate change of the format, run this test with `WHISHT_WRITE_VECTORS`
//! set.

use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::ids::{Epoch, RelayId};
use circuits::keys::{OnionPublic, OnionSecret};
use circuits::relay::{Peeled, RelayLimits, ReplaySet};
use circuits::secret::Secret;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::path::{at, peel_at};
use crate::reference;
use crate::scripted_rng::ScriptedRng;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/cell.json");

/// One cell. Byte strings are hexadecimal; integers are numbers.
#[derive(Deserialize, Eq, PartialEq, Serialize)]
struct Case {
    name: String,
    epoch: u32,
    version: u8,
    bulletin: bool,
    /// Secret of the path, before clamping.
    x: String,
    /// Output of the generator for the last header: the slot, of which delay, flags and reserved
    /// are overwritten, and the unused slots.
    random: String,
    delta: String,
    layers: Vec<LayerCase>,
}

/// One layer, with the cell as its relay receives it.
#[derive(Deserialize, Eq, PartialEq, Serialize)]
struct LayerCase {
    relay_id: String,
    onion_secret: String,
    onion_public: String,
    /// In units of 10 ms.
    delay: u16,
    /// Product of the clamped scalars so far, modulo the group order, little-endian.
    scalar: String,
    alpha: String,
    s: String,
    prk: String,
    replay: String,
    header: String,
    body: String,
    blind: String,
    stream: String,
    slot: String,
    beta: String,
    gamma: String,
    cell: String,
}

/// Bytes derived from a name.
fn named<const N: usize>(name: &str) -> [u8; N] {
    let blocks = (0_u32..).flat_map(|n| {
        Sha256::new()
            .chain_update(b"whisht test vector/")
            .chain_update(name)
            .chain_update(n.to_be_bytes())
            .finalize()
    });
    let bytes: Vec<u8> = blocks.take(N).collect();
    bytes.try_into().unwrap()
}

fn unhex<const N: usize>(digits: &str) -> [u8; N] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn make(name: &str, epoch: u32, len: usize, bulletin: bool) -> Case {
    let version = 0x10 | Epoch(epoch).hint();
    let x: [u8; 32] = named(&format!("{name}/x"));
    let delta: [u8; 647] = named(&format!("{name}/delta"));
    let random = named::<216>(&format!("{name}/random"))[..36 * (7 - len)].to_vec();
    let secrets: Vec<[u8; 32]> = (0..len)
        .map(|n| named(&format!("{name}/onion secret {n}")))
        .collect();
    let relays: Vec<_> = secrets
        .iter()
        .enumerate()
        .map(|(n, secret)| reference::ReferenceRelay {
            id: named(&format!("{name}/relay {n}")),
            onion: x25519_dalek::x25519(*secret, x25519_dalek::X25519_BASEPOINT_BYTES),
        })
        .collect();
    let delays: Vec<u16> = (0..len)
        .map(|n| u16::from_be_bytes(named(&format!("{name}/{n}"))) % 60_001)
        .collect();
    let layers = reference::schedule(x, &relays, epoch);
    let slots = slots(&relays, &delays, bulletin, &random);
    let cells = reference::wrap(version, &layers, &slots, &random[36..], &delta, |_, _| {});
    let mut scalar = Scalar::from_bytes_mod_order(clamp_integer(x));
    let layers = (0..len)
        .map(|n| {
            let product = scalar;
            scalar *= Scalar::from_bytes_mod_order(clamp_integer(layers[n].blind));
            LayerCase {
                onion_secret: hex::encode(secrets[n]),
                delay: delays[n],
                scalar: hex::encode(product.to_bytes()),
                ..layer_case(&relays[n], &layers[n], &cells[n])
            }
        })
        .collect();
    Case {
        name: name.into(),
        epoch,
        version,
        bulletin,
        x: hex::encode(x),
        random: hex::encode(random),
        delta: hex::encode(delta),
        layers,
    }
}

/// The slots of a path; the last one is terminal and has random bytes for next hop and tag.
fn slots(
    relays: &[reference::ReferenceRelay],
    delays: &[u16],
    bulletin: bool,
    random: &[u8],
) -> Vec<Vec<u8>> {
    let terminal = if bulletin { 0b101 } else { 0b001 };
    (0..relays.len())
        .map(|n| {
            let (next, flags, gamma) = match relays.get(n + 1) {
                Some(next) => (&next.id[..16], 0, [0; 16]),
                None => (&random[..16], terminal, random[20..36].try_into().unwrap()),
            };
            reference::slot(next.try_into().unwrap(), delays[n], flags, 0, gamma)
        })
        .collect()
}

/// The values of a layer that follow from the reference implementation.
fn layer_case(
    relay: &reference::ReferenceRelay,
    layer: &reference::Layer,
    cell: &[u8],
) -> LayerCase {
    LayerCase {
        relay_id: hex::encode(relay.id),
        onion_secret: String::new(),
        onion_public: hex::encode(relay.onion),
        delay: 0,
        scalar: String::new(),
        alpha: hex::encode(layer.alpha),
        s: hex::encode(layer.shared),
        prk: hex::encode(layer.prk),
        replay: hex::encode(layer.replay),
        header: hex::encode(layer.header),
        body: hex::encode(layer.body),
        blind: hex::encode(layer.blind),
        stream: hex::encode(&layer.stream),
        slot: hex::encode(&reference::slots(layer, cell)[..36]),
        beta: hex::encode(&cell[49..265]),
        gamma: hex::encode(&cell[33..49]),
        cell: hex::encode(cell),
    }
}
fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(FILE).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn cell_vectors_match_reference_implementation() {
    let made = [
        make("one layer", 41_007, 1, false),
        make("four layers", 41_008, 4, false),
        make("six layers, bulletin", 99_000, 6, true),
    ];
    let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
    if std::env::var_os("WHISHT_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(FILE).unwrap() == text,
        "{FILE} differs"
    );
}

#[test]
fn sealing_with_recorded_randomness_gives_recorded_cell() {
    for case in cases() {
        let layers: Vec<_> = case
            .layers
            .iter()
            .map(|layer| LayerSpec {
                hop: Hop {
                    id: RelayId(unhex(&layer.relay_id)),
                    onion: OnionPublic::check(unhex(&layer.onion_public)).unwrap(),
                },
                delay: HopDelay::from_units(layer.delay).unwrap(),
            })
            .collect();
        let mut script = ScriptedRng(hex::decode(case.x + &case.random).unwrap());
        let epoch = Epoch(case.epoch);
        let cell = seal(
            &mut script,
            epoch,
            &layers,
            case.bulletin,
            &unhex(&case.delta),
        )
        .unwrap();
        assert_eq!(
            hex::encode(cell.as_bytes()),
            case.layers[0].cell,
            "{}",
            case.name
        );
        assert!(
            script.0.is_empty(),
            "{}: recorded randomness is left over",
            case.name
        );
    }
}

#[test]
fn peeling_recorded_cell_gives_next_recorded_cell() {
    for case in cases() {
        let epoch = Epoch(case.epoch);
        for (place, layer) in case.layers.iter().enumerate() {
            let limits = RelayLimits::default();
            let mut relay =
                circuits::relay::OnionRelay::new(RelayId(unhex(&layer.relay_id)), limits);
            let secret = Secret::init_with(|bytes| *bytes = unhex(&layer.onion_secret));
            let key = OnionSecret::from_secret(secret);
            assert_eq!(hex::encode(key.public().as_bytes()), layer.onion_public);
            relay.install_key(epoch, key, ReplaySet::default()).unwrap();

            let cell = Cell::parse(&hex::decode(&layer.cell).unwrap()).unwrap();
            let wait = HopDelay::from_units(layer.delay).unwrap().as_duration();
            let mark = match peel_at(&mut relay, at(epoch, 1), cell) {
                Peeled::Forward {
                    next,
                    delay,
                    cell,
                    mark,
                } => {
                    let following = &case.layers[place + 1];
                    assert_eq!(next, RelayId(unhex(&following.relay_id)).short());
                    assert_eq!(delay, wait);
                    assert_eq!(hex::encode(cell.as_bytes()), following.cell);
                    mark
                }
                Peeled::Terminal {
                    hold,
                    bulletin,
                    delta,
                    mark,
                } => {
                    assert_eq!(place + 1, case.layers.len());
                    assert_eq!((hold, bulletin), (wait, case.bulletin));
                    assert_eq!(hex::encode(*delta), case.delta);
                    mark
                }
                other => panic!("{}, layer {place}: {other:?}", case.name),
            };
            assert_eq!(mark.epoch, epoch);
            assert_eq!(hex::encode(mark.tag.0), layer.replay);
        }
    }
}
