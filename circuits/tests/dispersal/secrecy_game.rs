//! The secrecy game of the all-or-nothing transform (anonymity 2.4), evaluated statistically.
//!
//! The adversary names two envelopes of one class and fewer than `k` indices, receives the shards
//! with these indices of one envelope, and guesses which envelope it is. The adversary knows
//! everything except the key. It therefore trains first: it creates shards of both envelopes and
//! learns how far a statistic of the shards separates them. The same adversary wins almost always
//! against plain Reed-Solomon, which shows that it works, and must be at chance against the
//! transform.

use circuits::dispersal::{Class, disperse};
use circuits::distributions;
use circuits::geometry::SHARD_LEN;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};
use reed_solomon_erasure::galois_8::ReedSolomon;

type ShardBytes = [u8; SHARD_LEN];

/// Creates all shards of an envelope.
type Scheme = fn(&mut ChaCha20Rng, Class, &[u8]) -> Vec<ShardBytes>;

/// A statistic of the received shards, given the shards of both envelopes at the same indices
/// without the transform.
type Statistic = fn(got: &[ShardBytes], plain: &[Vec<ShardBytes>; 2]) -> f64;

const STATISTICS: [(&str, Statistic); 5] = [
    ("known bytes", known_bytes),
    ("known sums of shards", known_sums),
    ("number of ones", |got, _| ones(got)),
    ("repeated bytes", |got, _| repeats(got)),
    ("histogram of bytes", |got, _| unevenness(got)),
];

const TRAINING: u32 = 50;

#[test]
fn fewer_than_k_shards_do_not_distinguish_two_envelopes() {
    for (k, trials) in [(2, 4_200), (4, 2_100), (16, 420)] {
        for (name, wins) in play(k, trials, transformed) {
            // Five standard deviations of a fair coin.
            let deviation = (2.0 * wins - f64::from(trials)).abs();
            let bound = 5.0 * f64::from(trials).sqrt();
            assert!(deviation < bound, "{name}: {wins} of {trials} at k = {k}");
        }
    }
}

#[test]
fn adversary_wins_without_transform() {
    for k in [2, 4, 16] {
        for (name, wins) in play(k, 120, plain) {
            assert!(wins > 114.0, "{name}: {wins} of 120 at k = {k}");
        }
    }
}

/// Plays with every statistic against one scheme, at three choices of indices.
fn play(k: u8, trials: u32, scheme: Scheme) -> Vec<(&'static str, f64)> {
    let mut rng = ChaCha20Rng::seed_from_u64(k.into());
    let class = Class::ALL.into_iter().find(|class| class.k() == k).unwrap();
    // One envelope with as much structure as possible, and one without structure.
    let mut noise = vec![0; class.capacity()];
    rng.fill_bytes(&mut noise);
    let envelopes = [vec![0xff; class.capacity()], noise];

    let mut wins: Vec<_> = STATISTICS.iter().map(|(name, _)| (*name, 0.0)).collect();
    for indices in [
        (0..k - 1).collect(),
        choose(&mut rng, class),
        choose(&mut rng, class),
    ] {
        let deal = |rng: &mut ChaCha20Rng, scheme: Scheme, which: usize| -> Vec<ShardBytes> {
            let shards = scheme(rng, class, &envelopes[which]);
            indices
                .iter()
                .map(|index| shards[usize::from(*index)])
                .collect()
        };
        let plains = [0, 1].map(|which| deal(&mut rng, plain, which));
        for ((_, wins), (_, statistic)) in wins.iter_mut().zip(STATISTICS) {
            let [first, second] = [0, 1].map(|which| {
                let values =
                    (0..TRAINING).map(|_| statistic(&deal(&mut rng, scheme, which), &plains));
                values.sum::<f64>() / f64::from(TRAINING)
            });
            for _ in 0..trials / 3 {
                let secret = usize::from(distributions::one_in(&mut rng, 2));
                let got = statistic(&deal(&mut rng, scheme, secret), &plains);
                let guess = usize::from((got - first).abs() > (got - second).abs());
                *wins += f64::from(u8::from(guess == secret));
            }
        }
    }
    wins
}

/// `k - 1` random indices.
fn choose(rng: &mut impl CryptoRng, class: Class) -> Vec<u8> {
    let mut left: Vec<_> = (0..class.n()).collect();
    while left.len() >= usize::from(class.k()) {
        let spare = *distributions::pick(rng, &left).unwrap();
        left.retain(|index| *index != spare);
    }
    left
}

fn transformed(rng: &mut ChaCha20Rng, class: Class, envelope: &[u8]) -> Vec<ShardBytes> {
    let shards = disperse(rng, class, envelope).unwrap();
    shards.into_iter().map(|shard| *shard).collect()
}

/// The shards of the envelope at its position in a package, encoded without the transform.
fn plain(_: &mut ChaCha20Rng, class: Class, envelope: &[u8]) -> Vec<ShardBytes> {
    let (k, n) = (usize::from(class.k()), usize::from(class.n()));
    let mut package = vec![0; n * SHARD_LEN];
    package[4..4 + envelope.len()].copy_from_slice(envelope);
    let (shards, _) = package.as_chunks_mut::<SHARD_LEN>();
    let codec = ReedSolomon::new(k, n - k).unwrap();
    codec.encode(&mut *shards).unwrap();
    shards.to_vec()
}

/// Number of bytes that agree with the second envelope minus those that agree with the first.
fn known_bytes(got: &[ShardBytes], plain: &[Vec<ShardBytes>; 2]) -> f64 {
    let [first, second] = plain
        .each_ref()
        .map(|plain| equal(got.as_flattened(), plain.as_flattened()));
    second - first
}

/// The same for the sum of all shards, which the linear code preserves.
fn known_sums(got: &[ShardBytes], plain: &[Vec<ShardBytes>; 2]) -> f64 {
    let [first, second] = plain.each_ref().map(|plain| equal(&sum(got), &sum(plain)));
    second - first
}

fn sum(shards: &[ShardBytes]) -> ShardBytes {
    let mut sum = [0; SHARD_LEN];
    for shard in shards {
        sum.iter_mut().zip(shard).for_each(|(a, b)| *a ^= b);
    }
    sum
}

fn equal(a: &[u8], b: &[u8]) -> f64 {
    count(a.iter().zip(b).filter(|(a, b)| a == b).count())
}

fn ones(shards: &[ShardBytes]) -> f64 {
    let bytes = shards.as_flattened().iter();
    bytes.map(|byte| f64::from(byte.count_ones())).sum()
}

fn repeats(shards: &[ShardBytes]) -> f64 {
    let pairs = shards.as_flattened().windows(2);
    count(pairs.filter(|pair| pair[0] == pair[1]).count())
}

/// Sum of squares of the counts of byte values.
fn unevenness(shards: &[ShardBytes]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in shards.as_flattened() {
        counts[usize::from(*byte)] += 1;
    }
    counts.iter().map(|count| f64::from(*count).powi(2)).sum()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).unwrap().into()
}
