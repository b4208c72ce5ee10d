//! Recorded vectors; see `vectors/README.md`.

use core::time::Duration;

use circuits::aont;
use circuits::dispersal::{Class, Cookie, Payload, Shard, Ticket, disperse, rebuild};
use circuits::distributions;
use circuits::geometry::DELTA_LEN;
use circuits::ids::{Epoch, RelayId};
use circuits::rendezvous::{TicketBits, TicketSearch, verify_ticket};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::scripted_rng::ScriptedRng;

#[derive(Deserialize)]
struct Vectors {
    sets: Vec<Set>,
    unfit: Vec<Header>,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    envelope_len: usize,
    k: u8,
    n: u8,
    key: String,
    cookie: String,
    relay: String,
    epoch: u32,
    ticket_bits: u8,
    ticket_start: String,
    ticket: String,
    package_sha256: String,
    deltas_sha256: String,
    package: Option<String>,
    deltas: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    header: String,
}

#[derive(Deserialize)]
struct Samples {
    seed: String,
    draws: Vec<Draw>,
}

#[derive(Deserialize)]
struct Draw {
    mean_ms: u64,
    limit_ms: Option<u64>,
    micros: u64,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/shard.json")).unwrap()
}

fn array<const N: usize>(digits: &str) -> [u8; N] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Set {
    fn class(&self) -> Class {
        Class::from_parts(self.k, self.n, u32::from(self.k) * 615).unwrap()
    }

    fn envelope(&self) -> Vec<u8> {
        (0..self.envelope_len)
            .map(|i| u8::try_from((7 * i * i + 31 * i + 5) % 251).unwrap())
            .collect()
    }

    /// The generator that draws the recorded key.
    fn rng(&self) -> ScriptedRng {
        ScriptedRng(hex::decode(&self.key).unwrap())
    }

    /// The bodies of all cells of this set.
    fn deltas(&self) -> Vec<[u8; DELTA_LEN]> {
        let shards = disperse(&mut self.rng(), self.class(), &self.envelope()).unwrap();
        let emit = |(index, bytes)| {
            let shard = Shard {
                cookie: Cookie(array(&self.cookie)),
                class: self.class(),
                index,
                ticket: Ticket(array(&self.ticket)),
                bytes,
            };
            *Payload::Shard(shard).emit(&mut ScriptedRng(vec![0xee; DELTA_LEN]))
        };
        (0..).zip(shards).map(emit).collect()
    }
}

#[test]
fn packages_match_recorded_vectors() {
    for set in vectors().sets {
        let length = set.class().package_len();
        let package = aont::pack(&mut set.rng(), &set.envelope(), length).unwrap();
        assert_eq!(digest(&package), set.package_sha256, "{}", set.name);
        if let Some(recorded) = &set.package {
            assert_eq!(&hex::encode(&package), recorded, "{}", set.name);
        }
        assert_eq!(aont::unpack(package), Ok(set.envelope()), "{}", set.name);
    }
}

#[test]
fn payloads_match_recorded_vectors() {
    for set in vectors().sets {
        let deltas = set.deltas();
        let all: Vec<_> = deltas
            .iter()
            .flat_map(|delta| delta.iter().copied())
            .collect();
        assert_eq!(digest(&all), set.deltas_sha256, "{}", set.name);
        if let Some(recorded) = &set.deltas {
            let ours: Vec<_> = deltas.iter().map(hex::encode).collect();
            assert_eq!(&ours, recorded, "{}", set.name);
        }
    }
}

#[test]
fn recorded_payloads_rebuild_envelope_in_reverse_order() {
    for set in vectors().sets {
        let Some(recorded) = &set.deltas else {
            continue;
        };
        let shards: Vec<_> = recorded
            .iter()
            .rev()
            .map(|delta| match Payload::parse(&array(delta)) {
                Ok(Payload::Shard(shard)) => shard,
                other => panic!("{other:?}"),
            })
            .collect();
        let indexed: Vec<_> = shards
            .iter()
            .map(|shard| (shard.index, &*shard.bytes))
            .collect();
        assert_eq!(
            rebuild(set.class(), &indexed),
            Ok(set.envelope()),
            "{}",
            set.name
        );
    }
}

#[test]
fn tickets_match_recorded_vectors() {
    for set in vectors().sets {
        let (relay, epoch) = (RelayId(array(&set.relay)), Epoch(set.epoch));
        let (cookie, ticket) = (Cookie(array(&set.cookie)), Ticket(array(&set.ticket)));
        let bits = TicketBits::new(set.ticket_bits).unwrap();
        assert!(
            verify_ticket(&relay, epoch, cookie, ticket, bits),
            "{}",
            set.name
        );

        let mut start = array::<8>(&set.ticket_start);
        start.reverse();
        let mut rng = ScriptedRng(start.to_vec());
        let mut search = TicketSearch::new(&mut rng, &relay, epoch, cookie, bits);
        assert_eq!(search.step(u32::MAX), Some(ticket), "{}", set.name);
    }
}

#[test]
fn recorded_inconsistent_headers_are_refused() {
    for Header { name, header } in vectors().unfit {
        let mut delta = [0; DELTA_LEN];
        delta[..32].copy_from_slice(&array::<32>(&header));
        assert!(Payload::parse(&delta).is_err(), "{name}");
    }
}

#[test]
fn exponential_draws_match_recorded_vectors() {
    let samples: Samples = serde_json::from_str(include_str!("../vectors/sample.json")).unwrap();
    let mut rng = ChaCha20Rng::from_seed(array(&samples.seed));
    for draw in samples.draws {
        let mean = Duration::from_millis(draw.mean_ms);
        let ours = match draw.limit_ms {
            None => distributions::exponential(&mut rng, mean),
            Some(limit) => {
                distributions::exponential_within(&mut rng, mean, Duration::from_millis(limit))
            }
        };
        // Logarithms may differ in their last bit from platform to platform.
        let recorded = Duration::from_micros(draw.micros);
        assert!(
            ours.abs_diff(recorded) <= Duration::from_micros(2),
            "{ours:?}"
        );
    }
}
