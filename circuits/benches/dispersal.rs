//! Cost of dispersal compared with the cost of its parts.
//!
//! For each size, `disperse` is compared with `parts`: one raw Reed-Solomon coding of the same shape,
//! one pass of ChaCha20 and one of BLAKE2b over as many bytes, with allocated buffers and codec.
//! `disperse` should take at most 1.3 times as long. `rebuild` decodes from a different choice of
//! shards each time, like a rendezvous.

#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

use blake2::{Blake2b256, Digest};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use circuits::dispersal::{Class, disperse, rebuild};
use circuits::distributions;
use circuits::geometry::SHARD_LEN;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use reed_solomon_erasure::galois_8::ReedSolomon;

const SIZES: [usize; 4] = [600, 4_800, 9_600, 48 * 1_024];

fn dispersal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispersal");
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    for size in SIZES {
        let class = Class::converge(size).unwrap();
        let envelope = vec![0x5a; size];
        group.throughput(Throughput::Bytes(size.try_into().unwrap()));
        group.bench_function(BenchmarkId::new("disperse", size), |bencher| {
            bencher.iter(|| disperse(&mut rng, class, &envelope));
        });

        let mut parts = Parts::new(class);
        group.bench_function(BenchmarkId::new("parts", size), |bencher| {
            bencher.iter(|| parts.run());
        });

        let shards = disperse(&mut rng, class, &envelope).unwrap();
        let shards: Vec<_> = (0..)
            .zip(&shards)
            .map(|(index, shard)| (index, shard.as_ref()))
            .collect();
        group.bench_function(BenchmarkId::new("rebuild", size), |bencher| {
            bencher.iter_batched(
                || lose(&mut rng, class, shards.clone()),
                |left| rebuild(class, &left),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A random choice of `k` shards.
fn lose<T>(rng: &mut ChaCha20Rng, class: Class, mut shards: Vec<T>) -> Vec<T> {
    while shards.len() > usize::from(class.k()) {
        let lost = distributions::below(rng, shards.len().try_into().unwrap());
        shards.swap_remove(lost.try_into().unwrap());
    }
    shards
}

/// The parts of a dispersal, with allocated buffers and codec.
struct Parts {
    codec: ReedSolomon,
    shards: Vec<[u8; SHARD_LEN]>,
    package: Vec<u8>,
}

impl Parts {
    fn new(class: Class) -> Self {
        let (k, n) = (usize::from(class.k()), usize::from(class.n()));
        Self {
            codec: ReedSolomon::new(k, n - k).unwrap(),
            shards: vec![[0x5a; SHARD_LEN]; n],
            package: vec![0x5a; class.package_len()],
        }
    }

    fn run(&mut self) -> [u8; 32] {
        ChaCha20::new(&[7; 32].into(), &[0; 12].into()).apply_keystream(&mut self.package);
        self.codec.encode(&mut self.shards).unwrap();
        Blake2b256::digest(&self.package).into()
    }
}

criterion_group!(benches, dispersal);
criterion_main!(benches);
