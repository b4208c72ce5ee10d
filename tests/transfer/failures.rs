//! Power failures, relays that die or withhold, a receiver whose disk stands still.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use whisht::node::FileStage;

use super::{READER, RELAYS, SOURCE, Scene, document};

/// Each failure comes after a random number of commits; what was to become durable then is lost.
#[test]
fn file_killed_at_random_commits_on_both_sides_arrives_with_equal_bytes() {
    for seed in 0..KILL_RUNS {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let mut scene = Scene::open();
        let bytes = document(2_000_000);
        let at_source = scene.offer(&bytes);
        let at_reader = scene.await_offer();
        scene.accept(at_reader);
        for kill in 0..KILLS {
            scene.run_in_steps(STEP, Duration::from_secs(3600), |scene| {
                let view = scene.view(READER, at_reader);
                scene.is_transferring(READER, at_reader) && view.done * KILLS > view.size * kill / 2
            });
            let at = [SOURCE, READER][usize::from(rng.next_u32().is_multiple_of(2))];
            scene
                .world
                .disk(at)
                .hang_after(u64::from(rng.next_u32() % 4));
            scene.world.run(STEP);
            scene.world.kill(at);
            scene.world.run(Duration::from_secs(5));
            scene.world.restart(at).unwrap();
            scene.world.run(STEP);
        }
        scene.run_until_complete(at_reader);
        assert_eq!(scene.read(at_reader), bytes, "seed {seed}");
        assert!(scene.view(SOURCE, at_source).size == 2_000_000);
    }
}

#[test]
fn relay_that_dies_mid_chunk_delays_the_file_and_changes_nothing() {
    let mut scene = Scene::open();
    let bytes = document(1_500_000);
    scene.offer(&bytes);
    let at_reader = scene.await_offer();
    scene.accept(at_reader);
    scene.run_in_steps(STEP, Duration::from_secs(3600), |scene| {
        scene.is_transferring(READER, at_reader)
    });
    // Half of all relays: one of them is on the path.
    for relay in (0..RELAYS).step_by(2) {
        scene.world.kill(relay);
    }
    scene.world.run(Duration::from_secs(90));
    for relay in (0..RELAYS).step_by(2) {
        scene.world.restart(relay).unwrap();
    }
    scene.run_until_complete(at_reader);
    assert_eq!(scene.read(at_reader), bytes);
}

/// A relay whose disk stands still peels no setup cell: it takes circuits and joins none. The guards of both
/// ends do not withhold: no failed attempt may put a guard aside, since the other end can let all of them fail.
#[test]
fn relays_that_withhold_cost_attempts_and_not_the_file() {
    let mut attempts = Vec::new();
    for withholding in [[0].as_slice(), &[9], &[11]] {
        let mut scene = Scene::open();
        let bytes = document(300_000);
        scene.offer(&bytes);
        let at_reader = scene.await_offer();
        scene.accept(at_reader);
        let guards = [scene.guard(READER), scene.guard(SOURCE)];
        for relay in withholding {
            assert!(!guards.contains(relay), "{withholding:?} {guards:?}");
            scene.world.disk(*relay).hang();
        }
        scene.run_until_complete(at_reader);
        assert_eq!(scene.read(at_reader), bytes, "{withholding:?}");
        let events = scene.file_events(READER).into_iter();
        let tried = events.filter_map(|view| match view.stage {
            FileStage::Transferring { attempt } => Some(attempt),
            _ => None,
        });
        attempts.push(tried.max().unwrap());
    }
    assert!(attempts.iter().any(|attempt| *attempt > 1), "{attempts:?}");
}

/// All relays but the guards withhold until the last window is over. Those of the offer may go on withholding,
/// so the next answer names others, and the sender agrees to them.
#[test]
fn answer_after_windows_in_vain_names_other_relays() {
    let mut scene = Scene::open();
    let bytes = document(300_000);
    scene.offer(&bytes);
    let at_reader = scene.await_offer();
    let guards = [scene.guard(READER), scene.guard(SOURCE)];
    scene.accept(at_reader);
    let proposed = scene.verdicts(READER, "source", "OtherRelays");
    let withholding = (0..RELAYS).filter(|relay| !guards.contains(relay));
    for relay in withholding.clone() {
        scene.world.disk(relay).hang();
    }
    scene.run_in_steps(STEP, Duration::from_secs(3600), |scene| {
        matches!(
            scene.view(READER, at_reader).stage,
            FileStage::Paused { .. }
        )
    });
    assert_eq!(scene.view(READER, at_reader).done, 0);
    for relay in withholding {
        scene.world.release_stores(relay);
    }
    scene.accept(at_reader);
    scene.run_until_complete(at_reader);
    assert_eq!(scene.read(at_reader), bytes);
    let again = scene.verdicts(READER, "source", "OtherRelays");
    assert_eq!(again, proposed + 1, "the answer after it proposes relays");
}

#[test]
fn receiver_whose_disk_stands_still_stops_the_sender_within_its_credit() {
    let mut scene = Scene::open();
    let bytes = document(2_000_000);
    let at_source = scene.offer(&bytes);
    let at_reader = scene.await_offer();
    scene.accept(at_reader);
    scene.run_in_steps(STEP, Duration::from_secs(3600), |scene| {
        scene.is_transferring(READER, at_reader)
    });
    scene.world.disk(READER).hang();
    let done = scene.view(READER, at_reader).done;
    scene.world.run(Duration::from_secs(30));
    // Four chunks at most are on their way: 256 frames in flight, 83 a chunk.
    let sent = scene.view(SOURCE, at_source).done;
    assert!(sent <= done + 5 * 65_536, "{sent} of {done}");
    assert!(scene.view(READER, at_reader).done <= done + 5 * 65_536);
    scene.world.release_stores(READER);
    scene.run_until_complete(at_reader);
    assert_eq!(scene.read(at_reader), bytes);
}

/// Runs of the test with power failures.
const KILL_RUNS: u64 = 2;
/// Power failures of one run.
const KILLS: u64 = 4;
const STEP: Duration = Duration::from_secs(1);
