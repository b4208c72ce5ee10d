//! Proof of work by both generations.

use serde_json::Value;
use whisht::envelope::{Envelope, Ttl};
use whisht::pow::{Generation, PowHashes, PowValues, required_bits, work};

use super::{array, bytes, cases, float_bits, int, name};

/// Compares the work of one envelope with the result of each program.
fn check(envelope: &Envelope, skew: u32, case: &Value) {
    let hashes = PowHashes::of(envelope);
    let values = PowValues::with_skew(envelope, skew);
    for (program, generation, hash, size) in [
        (
            "geth_1_8_27",
            Generation::Legacy,
            hashes.legacy,
            envelope.size(),
        ),
        (
            "status_im_1_6_2",
            Generation::Modern,
            hashes.modern,
            hashes.len,
        ),
    ] {
        let recorded = &case["pow"][program];
        let context = format!("{} by {program}", name(case));
        assert_eq!(hash, array(&recorded["pow_hash"]), "{context}");
        assert_eq!(size, int::<usize>(&recorded["size"]), "{context}");
        assert_eq!(
            generation.zero_bits(&hash),
            int::<u32>(&recorded["zero_bits"]),
            "{context}"
        );
        assert_eq!(
            values.by(generation).to_bits(),
            float_bits(&recorded["pow_f64_bits"]),
            "{context}"
        );
    }
}

#[test]
fn pow_of_recorded_envelopes_matches() {
    for case in cases("envelope_v6", "cases") {
        check(&Envelope::decode(&bytes(&case["rlp"])).unwrap(), 0, &case);
    }
}

#[test]
fn pow_under_clock_skew_matches_recorded() {
    for case in of_kind("computed_pow") {
        let envelope = Envelope::decode(&bytes(&case["rlp"])).unwrap();
        check(&envelope, int(&case["diff"]), &case);
    }
}

#[test]
fn required_bits_match_recorded() {
    for case in of_kind("required_bits") {
        let target = f64::from_bits(float_bits(&case["target_f64_bits"]));
        let (size, ttl) = (int::<usize>(&case["size"]), int::<u32>(&case["ttl"]));
        let bits = required_bits(target, size, Ttl(ttl));
        if (target * f64::from(u32::try_from(size).unwrap()) * f64::from(ttl)).is_infinite() {
            // The Go programs overflow to a single bit here: see the README of the vectors.
            assert_eq!(bits, u32::MAX);
            continue;
        }
        for program in ["bits_geth_v6", "bits_geth_v5", "bits_status_im"] {
            assert_eq!(bits, int::<u32>(&case[program]), "{}", name(&case));
        }
    }
}

#[test]
fn pow_formula_matches_recorded_to_last_bit() {
    for case in of_kind("formula") {
        let value = work(
            int(&case["zero_bits"]),
            int(&case["size"]),
            int(&case["ttl"]),
        );
        assert_eq!(
            value.to_bits(),
            float_bits(&case["result_f64_bits"]),
            "{case}"
        );
    }
}

fn of_kind(kind: &str) -> Vec<Value> {
    let mut cases = cases("pow", "cases");
    cases.retain(|case| case["kind"] == kind);
    assert!(!cases.is_empty());
    cases
}
