//! How many nonces one core tries in a second: the crate `sha3`, and each of our ways to hash.
//!
//! Compare ratios within one run. `sha3` computes one `Keccak256` digest of all the bytes for each
//! nonce, as a program does that knows nothing better; `sha3, absorbed once` keeps the state after
//! everything but the nonce. The envelope has 600 bytes. Under the modern rule all of it is hashed
//! with each nonce, under the legacy rule a block of 64 bytes.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha3::{Digest, Keccak256};
use whisht::envelope::{Marking, Topic, Ttl, Unsealed};
use whisht::pow::{Generations, Lanes, SealJob};

/// Nonces for one measurement.
const TRIES: u32 = 4096;

fn envelope() -> Unsealed {
    let mut unsealed = Unsealed {
        expiry: circuits::time::UnixSecs(1_800_000_000),
        ttl: Ttl(3_600),
        topic: Topic([1, 2, 3, 4]),
        marking: Marking::Absent,
        data: Vec::new(),
    };
    while unsealed.seal(u64::MAX).as_rlp().len() < 600 {
        unsealed.data.push(0xa5);
    }
    unsealed
}

/// Tries nonces with the ordinary hash, as long as it counts less than `bits`.
fn ordinary(group: &mut BenchmarkGroup<'_, WallTime>, modern: bool) {
    let envelope = envelope().without_nonce();
    let mut legacy = Keccak256::digest(&envelope).to_vec();
    legacy.extend_from_slice(&[0; 24]);
    let prefix = if modern { envelope } else { legacy };
    group.bench_function("sha3", |bencher| {
        let mut input = prefix.clone();
        input.extend_from_slice(&[0; 8]);
        let mut nonce = 1_u64 << 60;
        bencher.iter(|| {
            for _ in 0..TRIES {
                nonce += 1;
                let at = input.len() - 8;
                input
                    .get_mut(at..)
                    .unwrap()
                    .copy_from_slice(&nonce.to_be_bytes());
                black_box(Keccak256::digest(&input));
            }
        });
    });
    group.bench_function("sha3, absorbed once", |bencher| {
        let absorbed = Keccak256::new().chain_update(&prefix);
        let mut nonce = 1_u64 << 60;
        bencher.iter(|| {
            for _ in 0..TRIES {
                nonce += 1;
                let hash = absorbed.clone().chain_update(nonce.to_be_bytes());
                black_box(hash.finalize());
            }
        });
    });
}

fn ours(group: &mut BenchmarkGroup<'_, WallTime>, generations: Generations) {
    // So many bits that no measurement ends early.
    let job = SealJob::new(&envelope(), generations, 56).unwrap();
    for name in Lanes::NAMES {
        let Some(lanes) = Lanes::named(name) else {
            eprintln!("SKIPPED: this processor has no {name}");
            continue;
        };
        let mut search = job
            .search(&mut ChaCha20Rng::from_seed([1; 32]))
            .with_lanes(lanes);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(search.step(TRIES)));
        });
    }
}

fn sealing(criterion: &mut Criterion) {
    for (rule, modern, generations) in [
        ("modern", true, Generations::Modern),
        ("legacy", false, Generations::Legacy),
    ] {
        let mut group = criterion.benchmark_group(format!("seal 600 bytes, {rule} rule"));
        group.throughput(Throughput::Elements(u64::from(TRIES)));
        ordinary(&mut group, modern);
        ours(&mut group, generations);
        group.finish();
    }
}

criterion_group!(benches, sealing);
criterion_main!(benches);
