//! The game of the all-or-nothing transform (anonymity 2.4), played by statistics.
//!
//! The adversary names two envelopes of one class and fewer than `k` indices, gets those pieces of
//! one of the two, and guesses which. It knows everything but the key, so it trains first: it makes
//! pieces of both itself and learns how far some figure of them tells the two apart. The same
//! adversary wins almost always against plain Reed-Solomon, which shows that it works, and must be
//! at chance against the transform.

use circuits::dispersal::{Class, disperse};
use circuits::distributions;
use circuits::geometry::SHARD_LEN;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};
use reed_solomon_erasure::galois_8::ReedSolomon;

type Piece = [u8; SHARD_LEN];

/// Makes all pieces of an envelope.
type Scheme = fn(&mut ChaCha20Rng, Class, &[u8]) -> Vec<Piece>;

/// What is computed of the pieces that the adversary got, given what the two envelopes' pieces at
/// the same places would be without the transform.
type Figure = fn(got: &[Piece], plain: &[Vec<Piece>; 2]) -> f64;

const FIGURES: [(&str, Figure); 5] = [
    ("known bytes", known_bytes),
    ("known sums of pieces", known_sums),
    ("number of ones", |got, _| ones(got)),
    ("repeated bytes", |got, _| repeats(got)),
    ("histogram of bytes", |got, _| unevenness(got)),
];

const TRAINING: u32 = 50;

#[test]
fn fewer_than_k_pieces_do_not_tell_which_of_two_envelopes_they_are_of() {
    for (k, trials) in [(2, 4_200), (4, 2_100), (16, 420)] {
        for (name, wins) in play(k, trials, transformed) {
            // Five standard deviations of a fair coin.
            let strays = (2.0 * wins - f64::from(trials)).abs();
            let bound = 5.0 * f64::from(trials).sqrt();
            assert!(strays < bound, "{name}: {wins} of {trials} at k = {k}");
        }
    }
}

#[test]
fn without_the_transform_the_same_adversary_wins() {
    for k in [2, 4, 16] {
        for (name, wins) in play(k, 120, plain) {
            assert!(wins > 114.0, "{name}: {wins} of 120 at k = {k}");
        }
    }
}

/// Plays with every figure against one scheme, at three choices of indices.
fn play(k: u8, trials: u32, scheme: Scheme) -> Vec<(&'static str, f64)> {
    let mut rng = ChaCha20Rng::seed_from_u64(k.into());
    let class = Class::ALL.into_iter().find(|class| class.k() == k).unwrap();
    // One as structured as can be, one without any structure.
    let mut noise = vec![0; class.capacity()];
    rng.fill_bytes(&mut noise);
    let envelopes = [vec![0xff; class.capacity()], noise];

    let mut wins: Vec<_> = FIGURES.iter().map(|(name, _)| (*name, 0.0)).collect();
    for indices in [
        (0..k - 1).collect(),
        choose(&mut rng, class),
        choose(&mut rng, class),
    ] {
        let deal = |rng: &mut ChaCha20Rng, scheme: Scheme, which: usize| -> Vec<Piece> {
            let pieces = scheme(rng, class, &envelopes[which]);
            indices
                .iter()
                .map(|index| pieces[usize::from(*index)])
                .collect()
        };
        let plains = [0, 1].map(|which| deal(&mut rng, plain, which));
        for ((_, wins), (_, figure)) in wins.iter_mut().zip(FIGURES) {
            let [first, second] = [0, 1].map(|which| {
                let figures =
                    (0..TRAINING).map(|_| figure(&deal(&mut rng, scheme, which), &plains));
                figures.sum::<f64>() / f64::from(TRAINING)
            });
            for _ in 0..trials / 3 {
                let secret = usize::from(distributions::one_in(&mut rng, 2));
                let got = figure(&deal(&mut rng, scheme, secret), &plains);
                let guess = usize::from((got - first).abs() > (got - second).abs());
                *wins += f64::from(u8::from(guess == secret));
            }
        }
    }
    wins
}

/// k - 1 indices at random.
fn choose(rng: &mut impl CryptoRng, class: Class) -> Vec<u8> {
    let mut left: Vec<_> = (0..class.n()).collect();
    while left.len() >= usize::from(class.k()) {
        let spare = *distributions::pick(rng, &left).unwrap();
        left.retain(|index| *index != spare);
    }
    left
}

fn transformed(rng: &mut ChaCha20Rng, class: Class, envelope: &[u8]) -> Vec<Piece> {
    let pieces = disperse(rng, class, envelope).unwrap();
    pieces.into_iter().map(|piece| *piece).collect()
}

/// The envelope in the place it has in a package, coded without the transform.
fn plain(_: &mut ChaCha20Rng, class: Class, envelope: &[u8]) -> Vec<Piece> {
    let (k, n) = (usize::from(class.k()), usize::from(class.n()));
    let mut package = vec![0; n * SHARD_LEN];
    package[4..4 + envelope.len()].copy_from_slice(envelope);
    let (pieces, _) = package.as_chunks_mut::<SHARD_LEN>();
    let codec = ReedSolomon::new(k, n - k).unwrap();
    codec.encode(&mut *pieces).unwrap();
    pieces.to_vec()
}

/// How many more bytes agree with the second envelope than with the first.
fn known_bytes(got: &[Piece], plain: &[Vec<Piece>; 2]) -> f64 {
    let [first, second] = plain
        .each_ref()
        .map(|plain| equal(got.as_flattened(), plain.as_flattened()));
    second - first
}

/// The same for the sum of all pieces, which the code, being linear, preserves.
fn known_sums(got: &[Piece], plain: &[Vec<Piece>; 2]) -> f64 {
    let [first, second] = plain.each_ref().map(|plain| equal(&sum(got), &sum(plain)));
    second - first
}

fn sum(pieces: &[Piece]) -> Piece {
    let mut sum = [0; SHARD_LEN];
    for piece in pieces {
        sum.iter_mut().zip(piece).for_each(|(a, b)| *a ^= b);
    }
    sum
}

fn equal(a: &[u8], b: &[u8]) -> f64 {
    count(a.iter().zip(b).filter(|(a, b)| a == b).count())
}

fn ones(pieces: &[Piece]) -> f64 {
    let bytes = pieces.as_flattened().iter();
    bytes.map(|byte| f64::from(byte.count_ones())).sum()
}

fn repeats(pieces: &[Piece]) -> f64 {
    let pairs = pieces.as_flattened().windows(2);
    count(pairs.filter(|pair| pair[0] == pair[1]).count())
}

/// Sum of squares of the counts of byte values.
fn unevenness(pieces: &[Piece]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in pieces.as_flattened() {
        counts[usize::from(*byte)] += 1;
    }
    counts.iter().map(|count| f64::from(*count).powi(2)).sum()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).unwrap().into()
}
