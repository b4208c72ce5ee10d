//! Replays the fuzz corpus, and mutations of it, as ordinary tests.
//!
//! Each target of `fuzz/targets` is a function that must hold for every input. A fuzzer searches
//! for inputs that violate one; this file replays the findings on the stable compiler in every run.
//! Mutations are drawn from a seed that is the target's name, so a failure repeats. A failing input
//! is printed.
//!
//! A new target is added in three places: here, in fuzz/Cargo.toml, and as a wrapper in
//! fuzz/fuzz_targets. The last test compares them.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a corpus that cannot be read is a failed test, and a finding must be shown"
)]

#[path = "corpus/mutate.rs"]
mod mutate;
#[path = "corpus/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mutate::Mutator;

/// Generates the tests of each target, and the list of all. The number is that of mutations per
/// input: fewer where one run costs a public-key operation or more.
macro_rules! replay {
    ($($target:ident: $mutations:literal,)+) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),+];

        $(
            mod $target {
                use super::{replay, replay_mutations, targets};

                #[test]
                fn target_holds_for_corpus() {
                    replay(stringify!($target), targets::$target::$target);
                }

                #[test]
                fn target_holds_for_mutated_corpus() {
                    replay_mutations(stringify!($target), targets::$target::$target, $mutations);
                }
            }
        )+
    };
}

replay! {
    bulk_frame: 20_000,
    cell: 3_000,
    circuit: 1_000,
    onion_packet: 20_000,
    contact_address: 400,
    contact_card: 2_000,
    contact_parts: 20_000,
    contact_plaintext: 20_000,
    descriptor: 20_000,
    discv4_packet: 3_000,
    envelope: 20_000,
    envelope_v5: 20_000,
    file_answer: 20_000,
    file_offer: 20_000,
    file_metadata: 5_000,
    first_message: 3_000,
    hello: 20_000,
    letter: 3_000,
    mail_request: 5_000,
    mail_response: 20_000,
    keystore_json: 5_000,
    message: 5_000,
    rlpx_frame: 3_000,
    rlpx_handshake: 5_000,
    rpc_request: 20_000,
    scatter_shard: 20_000,
    shard: 20_000,
    shh5_packet: 5_000,
    shh_packet: 20_000,
    talk_part: 20_000,
}

fn replay(name: &str, target: fn(&[u8])) {
    for (file, input) in corpus(name) {
        run(target, &input, &file);
    }
    run(target, &[], "the empty input");
}

fn replay_mutations(name: &str, target: fn(&[u8]), mutations: usize) {
    let corpus = corpus(name);
    let mut mutator = Mutator::new(
        name,
        corpus.iter().map(|(_, input)| input.clone()).collect(),
    );
    let each = mutations / corpus.len();
    for (file, input) in &corpus {
        for cut in mutate::truncations(input, each / 4) {
            run(target, cut, &format!("{file}, cut to {} bytes", cut.len()));
        }
        for _ in 0..each {
            let (mutant, how) = mutator.mutate(input);
            run(target, &mutant, &format!("{file}, {how}"));
        }
    }
    for _ in 0..NOISE {
        run(target, &mutator.noise(), "noise");
    }
}

/// Runs the target, and prints the input if it fails.
fn run(target: fn(&[u8]), input: &[u8], origin: &str) {
    struct Witness<'a>(&'a [u8], &'a str);

    impl Drop for Witness<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let Self(input, origin) = self;
                eprintln!("broken by {origin}: {}", hex::encode(input));
            }
        }
    }

    let _witness = Witness(input, origin);
    target(input);
}

/// The files of one target, in the order of their names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = entries(&fuzz("corpus").join(name));
    files.sort();
    assert!(!files.is_empty(), "fuzz/corpus/{name} is empty");
    files
        .into_iter()
        .map(|path| (file_name(&path), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn every_target_has_corpus_wrapper_and_tests() {
    let here: BTreeSet<String> = TARGETS.iter().map(ToString::to_string).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let paths = entries(&fuzz(folder)).into_iter();
        paths
            .map(|path| file_name(&path.with_extension("")))
            .collect()
    };
    assert_eq!(stems("targets"), here, "fuzz/targets and tests/corpus.rs");
    assert_eq!(stems("corpus"), here, "fuzz/corpus and tests/corpus.rs");
    assert_eq!(stems("fuzz_targets"), here, "fuzz/fuzz_targets");

    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    let binaries: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| {
            line.strip_prefix("path = \"fuzz_targets/")?
                .strip_suffix(".rs\"")
        })
        .map(str::to_owned)
        .collect();
    assert_eq!(binaries, here, "fuzz/Cargo.toml");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn fuzz(inner: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(inner)
}

/// Number of random inputs that are independent of the corpus.
const NOISE: usize = 200;
