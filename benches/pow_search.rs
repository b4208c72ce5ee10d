//! Nonces per second of one core: the crate `sha3`, and each of our backends.
//!
//! Compare ratios within one run. The last lines print them, from short rounds of all methods by
//! turns; the fastest round of each counts, since a busy machine makes a round longer and never
//! shorter. `sha3` computes one `Keccak256` digest of all bytes for each nonce, the naive method;
//! `sha3, absorbed once` keeps the state after all bytes but the nonce. The envelope has 600 bytes.
//! Under the modern rule all of it is hashed with each nonce, under the legacy rule a block of 64
//! bytes.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha3::{Digest, Keccak256};
use whisht::envelope::{EncryptionHint, Topic, Ttl, UnminedEnvelope};
use whisht::keccak::KeccakBackend;
use whisht::pow::{Generations, PowJob};

/// Nonces per round.
const TRIES: u32 = 512;
/// Rounds of each method for the ratios.
const TURNS: u32 = 400;

/// A method of trying nonces: its name, and one round of it.
type HashMethod = (String, Box<dyn FnMut()>);

fn envelope() -> UnminedEnvelope {
    let mut unmined = UnminedEnvelope {
        expiry: circuits::time::UnixSecs(1_800_000_000),
        ttl: Ttl(3_600),
        topic: Topic([1, 2, 3, 4]),
        hint: EncryptionHint::Absent,
        data: Vec::new(),
    };
    while unmined.with_nonce(u64::MAX).as_rlp().len() < 600 {
        unmined.data.push(0xa5);
    }
    unmined
}

/// Tries nonces with the ordinary hash over all bytes.
fn ordinary(prefix: &[u8]) -> HashMethod {
    let mut input = prefix.to_vec();
    input.extend_from_slice(&[0; 8]);
    let at = prefix.len();
    let mut nonce = 1_u64 << 60;
    let turn = move || {
        for _ in 0..TRIES {
            nonce += 1;
            let bytes = input.get_mut(at..).unwrap();
            bytes.copy_from_slice(&nonce.to_be_bytes());
            black_box(Keccak256::digest(&input));
        }
    };
    ("sha3".to_owned(), Box::new(turn))
}

/// The same, with all bytes but the nonce absorbed beforehand.
fn absorbed_once(prefix: &[u8]) -> HashMethod {
    let absorbed = Keccak256::new().chain_update(prefix);
    let mut nonce = 1_u64 << 60;
    let turn = move || {
        for _ in 0..TRIES {
            nonce += 1;
            let hash = absorbed.clone().chain_update(nonce.to_be_bytes());
            black_box(hash.finalize());
        }
    };
    ("sha3, absorbed once".to_owned(), Box::new(turn))
}

/// Tries nonces like the node, with this backend.
fn ours(generations: Generations, backend: KeccakBackend) -> HashMethod {
    // Enough bits that no round ends early.
    let job = PowJob::new(&envelope(), generations, 56).unwrap();
    let search = job.search(&mut ChaCha20Rng::from_seed([1; 32]));
    let mut search = search.with_backend(backend);
    let turn = move || {
        black_box(search.step(TRIES));
    };
    (backend.to_string(), Box::new(turn))
}

/// All methods under one rule.
fn methods(generations: Generations) -> Vec<HashMethod> {
    let envelope = envelope().without_nonce();
    let mut legacy = Keccak256::digest(&envelope).to_vec();
    legacy.extend_from_slice(&[0; 24]);
    let prefix = match generations {
        Generations::Modern => envelope,
        Generations::Legacy | Generations::Both => legacy,
    };
    let mut methods = vec![ordinary(&prefix), absorbed_once(&prefix)];
    for name in KeccakBackend::NAMES {
        match KeccakBackend::named(name) {
            Some(backend) => methods.push(ours(generations, backend)),
            None => println!("SKIPPED: this processor has no {name}"),
        }
    }
    methods
}

fn pow_search(criterion: &mut Criterion) {
    for (rule, generations) in RULES {
        let mut group = criterion.benchmark_group(format!("seal 600 bytes, {rule} rule"));
        group.throughput(Throughput::Elements(u64::from(TRIES)));
        for (name, mut turn) in methods(generations) {
            group.bench_function(name, |bencher| bencher.iter(&mut turn));
        }
        group.finish();
    }
    for (rule, generations) in RULES {
        println!("\n{rule} rule, the fastest of {TURNS} turns of {TRIES} nonces:");
        ratios(&mut methods(generations));
    }
}

/// Prints rates, and their ratios to those of the first and the second method.
fn ratios(methods: &mut [HashMethod]) {
    let mut fastest = vec![Duration::MAX; methods.len()];
    for _ in 0..TURNS {
        for (shortest, (_, turn)) in fastest.iter_mut().zip(methods.iter_mut()) {
            let begun = Instant::now();
            turn();
            *shortest = begun.elapsed().min(*shortest);
        }
    }
    let rates: Vec<f64> = fastest
        .iter()
        .map(|time| f64::from(TRIES) / time.as_secs_f64())
        .collect();
    let [plain, absorbed, ..] = rates.as_slice() else {
        return;
    };
    for ((name, _), rate) in methods.iter().zip(&rates) {
        println!(
            "{name:>20}: {:>7.2} M/s {:>6.2}x sha3 {:>6.2}x absorbed once",
            rate / 1e6,
            rate / plain,
            rate / absorbed
        );
    }
}

const RULES: [(&str, Generations); 2] = [
    ("modern", Generations::Modern),
    ("legacy", Generations::Legacy),
];

criterion_group!(benches, pow_search);
criterion_main!(benches);
