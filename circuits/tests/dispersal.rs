//! Dispersal as its users see it: the way of an envelope to its rendezvous, the game that the
//! all-or-nothing transform must win, recorded vectors, and the corpus of the fuzz target.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests may fail like tests"
)]

#[path = "dispersal/game.rs"]
mod game;
#[path = "dispersal/journey.rs"]
mod journey;
#[path = "dispersal/vectors.rs"]
mod vectors;

/// The fuzz target, compiled here so that it cannot rot.
#[path = "../../fuzz/targets/shard.rs"]
pub mod target;

#[test]
fn the_corpus_of_the_fuzz_target_finds_nothing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/shard");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        target::shard(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0);
}

proptest::proptest! {
    #[test]
    fn random_scripts_of_the_fuzz_target_find_nothing(
        script in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
    ) {
        target::shard(&script);
    }
}
