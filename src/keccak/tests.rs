use proptest::prelude::*;
use sha3::{Digest, Keccak256};

use super::*;

/// The backends that this machine supports.
fn here() -> Vec<KeccakBackend> {
    KeccakBackend::NAMES
        .into_iter()
        .filter_map(KeccakBackend::named)
        .collect()
}

/// Prints skipped backends directly to the terminal, because the harness captures what tests print.
#[test]
fn unsupported_backends_are_printed() {
    use std::io::Write;
    for name in KeccakBackend::NAMES {
        let line = match KeccakBackend::named(name) {
            Some(_) => format!("TESTED: {name}\n"),
            None => format!("NOT TESTED: {name}, which this processor lacks\n"),
        };
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    assert!(!here().is_empty());
}

#[test]
fn backend_names_match_lanes() {
    for lanes in here() {
        assert!(KeccakBackend::NAMES.contains(&lanes.to_string().as_str()));
    }
    assert!(KeccakBackend::named("scalar").is_some() && KeccakBackend::named("MMX").is_none());
    assert_eq!(
        KeccakBackend::fastest().to_string(),
        here().last().unwrap().to_string()
    );
}

/// The digests of one group of sponges, by the functions that a search uses.
#[cfg(target_arch = "x86_64")]
fn digests<const N: usize>(
    lanes: &impl SideBySide<N>,
    states: [[u64; 25]; N],
    padding_follows: bool,
) -> Vec<[u64; 4]> {
    let sponges: Sponges<N> = core::array::from_fn(|word| states.map(|state| state[word]));
    let words = lanes.digests(&sponges, padding_follows);
    (0..N).map(|lane| words.map(|word| word[lane])).collect()
}

/// The states after one permutation of a group.
#[cfg(target_arch = "x86_64")]
fn permuted<const N: usize>(lanes: &impl SideBySide<N>, states: [[u64; 25]; N]) -> Vec<[u64; 25]> {
    let mut sponges: Sponges<N> = core::array::from_fn(|word| states.map(|state| state[word]));
    lanes.permute(&mut sponges);
    (0..N).map(|lane| sponges.map(|word| word[lane])).collect()
}

proptest! {
    #[test]
    fn one_lane_permutes_as_crate_keccak(state: [u64; 25]) {
        let (mut ours, mut theirs) = (state, state);
        permute(&mut ours);
        scalar::permute_plain(&mut theirs);
        prop_assert_eq!(ours, theirs);
    }
}

#[cfg(target_arch = "x86_64")]
proptest! {
    #[test]
    fn backends_permute_every_state_alike(states: [[u64; 25]; 8], padding_follows: bool) {
        let scalar = scalar::Scalar;
        let whole: Vec<_> = states.iter().flat_map(|state| permuted(&scalar, [*state])).collect();
        let ends: Vec<_> = states
            .iter()
            .flat_map(|state| digests(&scalar, [*state], padding_follows))
            .collect();
        if let Some(lanes) = avx512::Avx512::detect() {
            prop_assert_eq!(&permuted::<8>(&lanes, states), &whole);
            prop_assert_eq!(&digests::<8>(&lanes, states, padding_follows), &ends);
            let [first @ .., _, _, _, _] = states;
            prop_assert_eq!(&permuted::<4>(&lanes, first)[..], &whole[..4]);
            prop_assert_eq!(&digests::<4>(&lanes, first, padding_follows)[..], &ends[..4]);
        }
        if let Some(lanes) = avx2::Avx2::detect() {
            let [first @ .., _, _, _, _] = states;
            prop_assert_eq!(&permuted(&lanes, first)[..], &whole[..4]);
            prop_assert_eq!(&digests(&lanes, first, padding_follows)[..], &ends[..4]);
        }
    }
}

fn ordinary(input: &[u8]) -> [u8; 32] {
    Keccak256::digest(input).into()
}

#[test]
fn inputs_of_every_length_hash_as_alone() {
    let bytes: Vec<u8> = (0..500)
        .map(|at| (at * 7 % 251).try_into().unwrap())
        .collect();
    let inputs: Vec<&[u8]> = (0..bytes.len()).map(|len| &bytes[..len]).collect();
    let expected: Vec<_> = inputs.iter().map(|input| ordinary(input)).collect();
    for backend in here() {
        assert!(backend.hash_all(&inputs) == expected, "{backend}");
    }
}

proptest! {
    #[test]
    fn inputs_of_mixed_lengths_hash_as_alone(
        inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..900), 0..20),
    ) {
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected: Vec<_> = inputs.iter().map(|input| ordinary(input)).collect();
        for backend in here() {
            prop_assert_eq!(&backend.hash_all(&inputs), &expected, "{}", backend);
        }
    }
}

#[test]
fn beginnings_of_every_length_hash_as_alone() {
    let bytes: Vec<u8> = (0..450)
        .map(|at| (at * 7 % 251).try_into().unwrap())
        .collect();
    for inputs in [1, 2, 27] {
        for len in (0..bytes.len()).step_by(inputs) {
            let inputs: Vec<_> = (0..inputs).map(|more| (&bytes[more..], len)).collect();
            let inputs: Vec<_> = inputs
                .into_iter()
                .filter(|(input, len)| len <= &input.len())
                .collect();
            let expected: Vec<_> = inputs
                .iter()
                .map(|(input, len)| HashPair {
                    whole: ordinary(input),
                    beginning: ordinary(&input[..*len]),
                })
                .collect();
            for backend in here() {
                assert!(backend.hash_pairs(&inputs) == expected, "{backend}");
            }
        }
    }
}

proptest! {
    #[test]
    fn beginnings_of_mixed_inputs_hash_as_alone(
        inputs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..900), 0..900_usize), 0..20),
    ) {
        let inputs: Vec<_> = inputs
            .iter()
            .map(|(input, len)| (input.as_slice(), (*len).min(input.len())))
            .collect();
        for backend in here() {
            let pairs = backend.hash_pairs(&inputs);
            for (pair, (input, len)) in pairs.iter().zip(&inputs) {
                prop_assert_eq!(pair.whole, ordinary(input), "{}", backend);
                prop_assert_eq!(pair.beginning, ordinary(&input[..*len]), "{}", backend);
            }
        }
    }
}
