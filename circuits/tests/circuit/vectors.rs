//! `tests/vectors/circuit.json`: setup cells and exchanges over one to six relays.
//!
//! `circuit.py` writes the file from the documents; builder, relays and origin must match it byte for
//! byte, and every recorded body is refused after a change of one byte.

use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::circuit::{Broken, CircuitIds, CircuitKeys, CircuitSetup, HopKeys, MeetCookie};
use circuits::ids::{Epoch, LinkId, RelayId};
use circuits::keys::{OnionPublic, OnionSecret};
use circuits::relay::{OnionRelay, Peeled, RelayLimits, ReplaySet};
use circuits::secret::Secret;
use circuits::time::{Instant, Now};
use serde::Deserialize;

use crate::scripted_rng::ScriptedRng;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/circuit.json");

#[derive(Deserialize)]
struct Case {
    name: String,
    epoch: u32,
    x: String,
    random: String,
    cookie: String,
    delta: String,
    layers: Vec<LayerCase>,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct LayerCase {
    relay_id: String,
    onion_secret: String,
    onion_public: String,
    keep_f: String,
    keep_b: String,
    cell: String,
    id_forward: String,
    id_backward: String,
}

#[derive(Deserialize)]
struct Exchange {
    counter: u64,
    payload: String,
    random: String,
    forward: Vec<String>,
    answer: String,
    backward: Vec<String>,
}

fn unhex<const N: usize>(digits: &str) -> [u8; N] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    assert!(cases.iter().map(|case| case.layers.len()).eq(1..=6));
    cases
}

impl Case {
    /// The setup cell that the recorded draws give.
    fn build(&self) -> CircuitSetup {
        let delta = hex::decode(&self.delta).unwrap();
        // The meeting, the body around it, the secret of the path, the last header.
        let draws = [
            &delta[20..],
            &delta,
            &hex::decode(&self.x).unwrap(),
            &hex::decode(&self.random).unwrap(),
        ];
        let mut rng = ScriptedRng(draws.concat());
        let layers = self.layers.iter();
        let hops: Vec<_> = layers
            .map(|layer| Hop {
                id: RelayId(unhex(&layer.relay_id)),
                onion: OnionPublic::check(unhex(&layer.onion_public)).unwrap(),
            })
            .collect();
        let cookie = MeetCookie(unhex(&self.cookie));
        let setup = CircuitSetup::build(&mut rng, Epoch(self.epoch), &hops, &cookie).unwrap();
        assert!(rng.0.is_empty(), "{}: draws are left over", self.name);
        setup
    }

    /// The keys that relay `place` keeps.
    fn keys(&self, place: usize) -> HopKeys {
        let layer = &self.layers[place];
        let key = |digits: &str| Secret::init_with(|key| *key = unhex(digits));
        HopKeys::of(key(&layer.keep_f), key(&layer.keep_b))
    }
}

#[test]
fn setup_cell_with_recorded_draws_is_the_recorded_cell() {
    for case in cases() {
        let setup = case.build();
        let first = &case.layers[0];
        assert_eq!(
            hex::encode(setup.cell.as_bytes()),
            first.cell,
            "{}",
            case.name
        );
        assert_eq!(
            hex::encode(setup.ids().forward.as_bytes()),
            first.id_forward
        );
        assert_eq!(
            hex::encode(setup.ids().backward.as_bytes()),
            first.id_backward
        );
    }
}

#[test]
fn relays_peel_recorded_setup_cells_and_pass_recorded_bodies() {
    for case in cases() {
        for (place, layer) in case.layers.iter().enumerate() {
            let epoch = Epoch(case.epoch);
            let now = Now {
                mono: Instant::from_micros(1),
                unix: epoch.start(),
            };
            let limits = RelayLimits::default();
            let mut relay = OnionRelay::new(RelayId(unhex(&layer.relay_id)), limits);
            let secret = Secret::init_with(|bytes| *bytes = unhex(&layer.onion_secret));
            let secret = OnionSecret::from_secret(secret);
            relay
                .install_key(epoch, secret, ReplaySet::default())
                .unwrap();
            let cell = Cell::parse(&hex::decode(&layer.cell).unwrap()).unwrap();
            let expected = CircuitIds::of(cell.as_bytes());
            relay.accept(now, LinkId(1), cell).unwrap();
            let (ids, keys) = match relay.next_peel(now).unwrap().outcome {
                Peeled::Extend {
                    next,
                    cell,
                    ids,
                    keys,
                    ..
                } => {
                    let following = &case.layers[place + 1];
                    assert_eq!(next, RelayId(unhex(&following.relay_id)).short());
                    assert_eq!(hex::encode(cell.as_bytes()), following.cell);
                    (ids, keys)
                }
                Peeled::Meet {
                    cookie, ids, keys, ..
                } => {
                    assert_eq!(place + 1, case.layers.len());
                    assert_eq!(hex::encode(cookie.0), case.cookie);
                    (ids, keys)
                }
                other => panic!("{}, relay {place}: {other:?}", case.name),
            };
            assert_eq!(ids, expected);
            assert_eq!(hex::encode(ids.forward.as_bytes()), layer.id_forward);
            assert_eq!(hex::encode(ids.backward.as_bytes()), layer.id_backward);
            // Both the keys of the cell and those that are recorded.
            for keys in [keys, case.keys(place)] {
                pass_recorded_bodies(&case, place, keys);
            }
        }
    }
}

fn pass_recorded_bodies(case: &Case, place: usize, mut keys: HopKeys) {
    let last = case.layers.len() - 1;
    for (counter, exchange) in (0..).zip(&case.exchanges) {
        assert_eq!(exchange.counter, counter);
        let mut body = unhex::<908>(&exchange.forward[place]);
        if place == last {
            let payload = keys.take_payload(Box::new(body)).unwrap();
            assert_eq!(hex::encode(*payload), exchange.payload);
            let answer = keys.return_payload(&unhex(&exchange.answer)).unwrap();
            assert_eq!(hex::encode(*answer), exchange.backward[0]);
        } else {
            keys.forward(&mut body).unwrap();
            assert_eq!(hex::encode(body), exchange.forward[place + 1]);
            let mut body = unhex::<908>(&exchange.backward[last - place - 1]);
            keys.backward(&mut body).unwrap();
            assert_eq!(hex::encode(body), exchange.backward[last - place]);
        }
    }
}

#[test]
fn origin_seals_recorded_bodies_and_opens_recorded_answers() {
    for case in cases() {
        let recorded = (0..case.layers.len())
            .map(|place| case.keys(place))
            .collect();
        for mut keys in [case.build().keys, CircuitKeys::of(recorded)] {
            for exchange in &case.exchanges {
                let mut rng = ScriptedRng(hex::decode(&exchange.random).unwrap());
                let body = keys.seal(&mut rng, &unhex(&exchange.payload)).unwrap();
                assert_eq!(hex::encode(*body), exchange.forward[0], "{}", case.name);
                assert!(rng.0.is_empty());
                let answer = keys
                    .open(&unhex(exchange.backward.last().unwrap()))
                    .unwrap();
                assert_eq!(hex::encode(*answer), exchange.answer, "{}", case.name);
            }
        }
    }
}

#[test]
fn recorded_bodies_are_refused_after_a_change_of_one_byte() {
    for case in cases() {
        let exchange = &case.exchanges[0];
        for at in (0..908).step_by(101).chain([15, 16, 827, 907]) {
            for place in 0..case.layers.len() {
                let mut body = unhex::<908>(&exchange.forward[place]);
                body[at] ^= 0x20;
                let mut keys = case.keys(place);
                assert_eq!(keys.forward(&mut body), Err(Broken), "byte {at}");
                // The circuit has ended for the next body too, in both directions.
                let mut next = unhex::<908>(&exchange.forward[place]);
                assert_eq!(keys.forward(&mut next), Err(Broken));
                assert_eq!(keys.backward(&mut next), Err(Broken));
            }
            let relays = (0..case.layers.len())
                .map(|place| case.keys(place))
                .collect();
            let mut keys = CircuitKeys::of(relays);
            let mut answer = unhex::<908>(exchange.backward.last().unwrap());
            answer[at] ^= 0x20;
            assert_eq!(keys.open(&answer), Err(Broken), "byte {at}");
            answer[at] ^= 0x20;
            assert_eq!(keys.open(&answer), Err(Broken), "the circuit has ended");
        }
    }
}
