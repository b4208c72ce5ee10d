//! The cost of trial decryption for an envelope to another key, which nearly every envelope is.
//!
//! Each envelope costs one recovery of a signature and one decryption, and each key one trial in
//! addition. `trial` at the end separates the two and compares a trial with its goal, and with its
//! unavoidable part: one AES-GCM, or one Diffie-Hellman on secp256k1.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark, which prints its results"
)]

use std::hint::black_box;
use std::sync::Arc;

use aes_gcm::aead::{AeadInOut, inout::InOutBuf};
use aes_gcm::{Aes256Gcm, KeyInit};
use circuits::time::UnixSecs;
use criterion::{BenchmarkId, Criterion, criterion_group};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use secp256k1::ecdh::shared_secret_point;
use whisht::ecies;
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::message::{
    ASYMMETRIC_OVERHEAD, ClientSecret, Padding, Plaintext, SYMMETRIC_OVERHEAD, SymKey,
    seal_asymmetric, seal_symmetric,
};
use whisht::subscriptions::{DeliveryPath, Filter, FilterKey, Filters};

#[path = "support/min_time.rs"]
mod min_time;

use min_time::min_nanos;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Envelopes of 600 bytes to a key that is not among the tried ones.
fn envelopes(
    plain: usize,
    mut seal: impl FnMut(&mut ChaCha20Rng, &Plaintext) -> Vec<u8>,
) -> Vec<Envelope> {
    let mut rng = rng(8);
    let envelope = |nonce| {
        let plaintext = Plaintext::build(&mut rng, b"to you", Padding::UpTo(plain), None);
        let data = seal(&mut rng, &plaintext.unwrap());
        let expiry = UnixSecs(1_700_000_000);
        let envelope = Envelope::build(expiry, Ttl(3_600), Topic([1; 4]), data, nonce);
        assert_eq!(envelope.as_rlp().len(), 600);
        envelope
    };
    (1 << 56..(1 << 56) + 64).map(envelope).collect()
}

fn to_a_group() -> Vec<Envelope> {
    let key = SymKey::generate(&mut rng(9));
    envelopes(DATA - SYMMETRIC_OVERHEAD, |rng, plaintext| {
        seal_symmetric(rng, &key, plaintext)
    })
}

fn to_a_person() -> Vec<Envelope> {
    let key = ClientSecret::generate(&mut rng(9)).public();
    envelopes(DATA - ASYMMETRIC_OVERHEAD, |rng, plaintext| {
        seal_asymmetric(rng, &key, plaintext)
    })
}

fn filters(keys: impl Iterator<Item = FilterKey>) -> Filters {
    let mut filters = Filters::new();
    for key in keys {
        filters.install(Filter {
            key,
            topics: Vec::new(),
            source: None,
            minimum_pow: 0.0,
            allow_p2p: false,
        });
    }
    filters
}

fn symmetric(count: usize) -> Filters {
    let mut rng = rng(10);
    filters((0..count).map(|_| FilterKey::Symmetric(Arc::new(SymKey::generate(&mut rng)))))
}

fn asymmetric(count: usize) -> Filters {
    let mut rng = rng(10);
    filters((0..count).map(|_| FilterKey::Asymmetric(Arc::new(ClientSecret::generate(&mut rng)))))
}

/// Offers one envelope after another; none decrypts.
fn offer<'a>(filters: &'a mut Filters, envelopes: &'a [Envelope]) -> impl FnMut() + 'a {
    let mut next = envelopes.iter().cycle();
    move || {
        let envelope = black_box(next.next().unwrap());
        let taken = filters.offer(envelope, DeliveryPath::Gossip { pow: 1.0 });
        assert!(taken.is_empty());
    }
}

fn envelope(c: &mut Criterion) {
    let (group, person) = (to_a_group(), to_a_person());
    let mut criterion = c.benchmark_group("envelope");
    for count in [0, 10, 1_000] {
        let mut filters = symmetric(count);
        let mut run = offer(&mut filters, &group);
        criterion.bench_function(BenchmarkId::new("symmetric keys", count), |b| {
            b.iter(&mut run)
        });
    }
    for count in [10, 100] {
        let mut filters = asymmetric(count);
        let mut run = offer(&mut filters, &person);
        criterion.bench_function(BenchmarkId::new("asymmetric keys", count), |b| {
            b.iter(&mut run)
        });
    }
    criterion.finish();
}

/// One AES-256-GCM over as many bytes, with an existing key schedule.
fn raw_gcm() -> impl FnMut() {
    let cipher = Aes256Gcm::new(&[7; 32].into());
    let nonce = [9; 12].into();
    let mut sealed = vec![0; DATA - SYMMETRIC_OVERHEAD];
    let tag = cipher.encrypt_inout_detached(&nonce, b"", InOutBuf::from(&mut sealed[..]));
    let tag = tag.unwrap();
    let mut body = sealed.clone();
    move || {
        body.copy_from_slice(&sealed);
        let body = InOutBuf::from(&mut body[..]);
        let opened = cipher.decrypt_inout_detached(&nonce, b"", body, &tag);
        opened.unwrap();
    }
}

/// One Diffie-Hellman on secp256k1, by libsecp256k1.
fn raw_ecdh() -> impl FnMut() {
    let rng = &mut rng(11);
    let theirs = ecies::random_key(rng).public_key();
    let ours = ecies::random_key(rng);
    move || {
        black_box(shared_secret_point(black_box(&theirs), black_box(&ours)));
    }
}

fn raw(c: &mut Criterion) {
    c.bench_function("raw/aes-256-gcm open", |b| b.iter(raw_gcm()));
    c.bench_function("raw/secp256k1 ecdh", |b| b.iter(raw_ecdh()));
}

/// Computes the cost of one trial from few filters and from many, and compares.
fn trial() {
    let (group, person) = (to_a_group(), to_a_person());
    let (mut few, mut many) = (symmetric(10), symmetric(1_000));
    let [few, many, gcm] = min_nanos([
        &mut offer(&mut few, &group),
        &mut offer(&mut many, &group),
        &mut raw_gcm(),
    ]);
    let symmetric = (many - few) / 990.0;
    println!("trial, symmetric: {symmetric:.0} ns (goal: 1000), one raw AES-256-GCM {gcm:.0} ns");

    let (mut few, mut many) = (asymmetric(10), asymmetric(100));
    let [few, many, ecdh] = min_nanos([
        &mut offer(&mut few, &person),
        &mut offer(&mut many, &person),
        &mut raw_ecdh(),
    ]);
    let asymmetric = (many - few) / 90.0;
    let ratio = asymmetric / ecdh;
    println!(
        "trial, asymmetric: {asymmetric:.0} ns, one raw ecdh {ecdh:.0} ns: {ratio:.2} (goal: 1.4)"
    );
}

/// Data bytes of an envelope of 600 bytes.
const DATA: usize = 600 - 28;

criterion_group!(benches, envelope, raw);

fn main() {
    benches();
    // `--test` only checks that the benchmark runs.
    if !std::env::args().any(|argument| argument == "--test") {
        trial();
    }
    Criterion::default().configure_from_args().final_summary();
}
