use circuits::time::UnixSecs;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::{AesNonce, EncryptionHint, Topic, Ttl, UnminedEnvelope};

fn envelope(nonce: u64) -> Envelope {
    Envelope::build(
        UnixSecs(0x5f5e_1032),
        Ttl(50),
        Topic([0xde, 0xad, 0xbe, 0xef]),
        b"hello whisper".to_vec(),
        nonce,
    )
}

#[test]
fn recorded_envelopes_have_recorded_pow() {
    let weak = PowValues::of(&envelope(0x0102_0304_0506_0708));
    assert_eq!(weak.legacy.to_bits(), (1.0_f64 / 33.0 / 50.0).to_bits());
    assert_eq!(weak.modern.to_bits(), (16.0_f64 / 26.0 / 50.0).to_bits());
    let good = PowValues::of(&envelope(42_474));
    assert_eq!(good.legacy.to_bits(), 0.620_606_060_606_060_6_f64.to_bits());
    assert_eq!(
        good.modern.to_bits(),
        0.196_923_076_923_076_92_f64.to_bits()
    );
}

#[test]
fn shh5_envelope_has_legacy_pow_only() {
    let unmined = UnminedEnvelope {
        expiry: UnixSecs(0x5f5e_1032),
        ttl: Ttl(50),
        topic: Topic([0xde, 0xad, 0xbe, 0xef]),
        hint: EncryptionHint::Symmetric(AesNonce([7; 12])),
        data: b"hello whisper".to_vec(),
    };
    let recorded = PowValues::of(&unmined.with_nonce(0x0102_0304_0506_0708));
    assert_eq!(recorded.legacy.to_bits(), (1.0_f64 / 46.0 / 50.0).to_bits());
    // The search covers both generations, whatever is requested: `shh/5` has only one.
    let job = PowJob::for_minimum(&unmined, Generations::Both, 0.2).unwrap();
    assert_eq!(job.generations(), Generations::Legacy);
    let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(1));
    let nonce = core::iter::repeat_with(|| search.step(4_096)).find_map(|found| found);
    let values = PowValues::of(&unmined.with_nonce(nonce.unwrap()));
    assert!(values.legacy >= 0.2 && values.modern.to_bits() == 0);
    // A nonce with modern work only does not count.
    let modern = (0..)
        .map(|nonce| unmined.with_nonce(nonce))
        .find(|sealed| {
            let hashes = PowHashes::of(sealed);
            Generation::Modern.zero_bits(&hashes.modern) >= 9
                && Generation::Legacy.zero_bits(&hashes.legacy) == 0
        })
        .unwrap();
    let not_expired = NotExpired::check(modern.expiry(), modern.ttl(), modern.sent()).unwrap();
    assert_eq!(PowChecked::check(&modern, not_expired, 0.1), Err(LowPow));
}

#[test]
fn zero_hash_counts_by_generation() {
    assert_eq!(Generation::Modern.zero_bits(&[0; 32]), 256);
    assert_eq!(Generation::Legacy.zero_bits(&[0; 32]), 0);
}

#[test]
fn pow_of_either_generation_suffices() {
    let envelope = envelope(42_474);
    let not_expired =
        NotExpired::check(envelope.expiry(), envelope.ttl(), envelope.sent()).unwrap();
    let checked = PowChecked::check(&envelope, not_expired, 0.5).unwrap();
    assert!(checked.value(Generation::Legacy) >= 0.5);
    assert!(checked.value(Generation::Modern) < 0.5);
    assert_eq!(PowChecked::check(&envelope, not_expired, 0.7), Err(LowPow));
}

#[test]
fn hashes_of_another_envelope_do_not_count() {
    let (weak, strong) = (envelope(0x0102_0304_0506_0708), envelope(42_474));
    let alive = NotExpired::check(weak.expiry(), weak.ttl(), weak.sent()).unwrap();
    let stolen = PowHashes::of(&strong);
    assert_eq!(
        PowChecked::check_hashed(&weak, stolen, alive, 0.5),
        Err(LowPow)
    );
    assert!(PowChecked::check_hashed(&strong, stolen, alive, 0.5).is_ok());
}

#[test]
fn clock_skew_reduces_pow() {
    let envelope = envelope(42_474);
    let now = envelope.sent().before(10);
    let not_expired = NotExpired::check(envelope.expiry(), envelope.ttl(), now).unwrap();
    let checked = PowChecked::check(&envelope, not_expired, 0.0).unwrap();
    let diluted = 1_024.0_f64 / 33.0 / 61.0;
    assert_eq!(checked.best().to_bits(), diluted.to_bits());
}

#[test]
fn nan_minimum_accepts_nothing() {
    let envelope = envelope(42_474);
    let not_expired =
        NotExpired::check(envelope.expiry(), envelope.ttl(), envelope.sent()).unwrap();
    assert_eq!(
        PowChecked::check(&envelope, not_expired, f64::NAN),
        Err(LowPow)
    );
}

proptest! {
    #[test]
    fn envelopes_hashed_together_have_the_hashes_of_each(
        envelopes in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..700), any::<u64>()), 0..20),
    ) {
        let envelopes: Vec<_> = envelopes
            .into_iter()
            .map(|(data, nonce)| Envelope::build(UnixSecs(9), Ttl(5), Topic([1; 4]), data, nonce))
            .collect();
        let together = PowHashes::of_all(&envelopes.iter().collect::<Vec<_>>());
        let each: Vec<_> = envelopes.iter().map(PowHashes::of).collect();
        prop_assert_eq!(together, each);
    }

    #[test]
    fn zero_bits_count_whole_hash(words: [u64; 4], high: u8, low: u8) {
        let mut hash: [u8; 32] = words.map(u64::to_be_bytes).concat().try_into().unwrap();
        let (high, low) = (usize::from(high % 33), usize::from(low % 33));
        hash[..high].fill(0);
        hash[32 - low..].fill(0);
        let bits: Vec<bool> = hash.iter().flat_map(|b| (0..8).rev().map(move |i| b >> i & 1 == 1)).collect();
        let leading = bits.iter().position(|&b| b).unwrap_or(256);
        let trailing = bits.iter().rev().position(|&b| b).unwrap_or(0);
        prop_assert_eq!(Generation::Modern.zero_bits(&hash), u32::try_from(leading).unwrap());
        prop_assert_eq!(Generation::Legacy.zero_bits(&hash), u32::try_from(trailing).unwrap());
    }
}
