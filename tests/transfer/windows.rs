//! Windows: none is lost to a relay that an end may not use, or to a node that has just started.

use std::time::Duration;

use circuits::level::Level;
use whisht::node::{FileCommand, FileReply, FileStage};
use zeroize::Zeroizing;

use super::{READER, RELAYS, SOURCE, Scene, accept_command, document, outgoing};

/// The reader exchanges gossip with half of the relays, so that it may not meet at about half of those of an
/// offer. Every session is broken by a kill, and the next one is that of the next window.
#[test]
fn kill_costs_the_rest_of_its_window_and_no_other_one() {
    let mut scene = Scene::with((0..RELAYS / 2).collect::<Vec<_>>(), |_| {});
    let bytes = document(3_000_000);
    scene.offer(&bytes);
    let at_reader = scene.await_offer();
    scene.accept(at_reader);
    let mut attempts = vec![0];
    for at in [READER, SOURCE, READER, SOURCE] {
        let before = attempts.last().copied();
        scene.run_in_steps(STEP, Duration::from_secs(600), |scene| {
            scene.is_transferring(READER, at_reader) && attempt(scene, at_reader) > before
        });
        attempts.extend(attempt(&mut scene, at_reader));
        scene.world.kill(at);
        scene.world.run(Duration::from_secs(5));
        scene.world.restart(at).unwrap();
        scene.world.run(STEP);
    }
    scene.run_until(Duration::from_secs(600), |scene| {
        scene.is_complete(READER, at_reader)
    });
    assert_eq!(scene.read(at_reader), bytes);
    assert_eq!(attempts, [0, 1, 2, 3, 4]);
}

/// A session that began in one window is broken in the next one, which neither end has tried. The node that was
/// killed has no link to its guard at first.
#[test]
fn node_without_a_link_to_its_guard_keeps_the_running_window() {
    let mut scene = Scene::open();
    let bytes = document(6_000_000);
    scene.offer(&bytes);
    let at_reader = scene.await_offer();
    scene.accept(at_reader);
    scene.run_in_steps(STEP, Duration::from_secs(600), |scene| {
        scene.is_transferring(READER, at_reader)
    });
    // A disk that stands still makes the session last.
    let window = scene.world.clock().unix.0 / WINDOW_SECS;
    while scene.world.clock().unix.0 / WINDOW_SECS == window {
        scene.world.disk(READER).hang();
        scene.world.run(Duration::from_secs(40));
        scene.world.release_stores(READER);
        scene.world.run(Duration::from_secs(2));
    }
    assert!(scene.is_transferring(READER, at_reader));
    assert_eq!(attempt(&mut scene, at_reader), Some(1));
    scene.world.kill(READER);
    scene.world.run(Duration::from_secs(2));
    scene.world.restart(READER).unwrap();
    scene.run_in_steps(STEP, Duration::from_secs(100), |scene| {
        scene.is_transferring(READER, at_reader)
    });
    assert_eq!(attempt(&mut scene, at_reader), Some(2));
    scene.run_until_complete(at_reader);
    assert_eq!(scene.read(at_reader), bytes);
}

#[test]
fn node_with_cover_traffic_hands_over_only_when_the_user_names_normal() {
    let mut scene = Scene::with([1, 3, 5], |config| config.level = Level::Hush);
    let mut file = outgoing("desk", 10);
    let refused = scene
        .try_file(SOURCE, FileCommand::Price(outgoing("desk", 10)))
        .unwrap_err();
    assert!(refused.remedy.contains("--level normal"), "{refused}");
    file.level = Some(Level::Normal);
    let FileReply::File(begun) = scene.file(SOURCE, FileCommand::Begin(file)) else {
        panic!("the file is not begun");
    };
    let chunk = FileCommand::Chunk {
        file: begun.number,
        chunk: 0,
        bytes: Zeroizing::new(document(10)),
    };
    scene.file(SOURCE, chunk);
    scene.file(SOURCE, FileCommand::End(begun.number));

    let at_reader = scene.await_offer();
    let refused = scene
        .try_file(READER, accept_command(at_reader))
        .unwrap_err();
    let remedy = format!("whisht file accept {at_reader} --level normal");
    assert!(refused.remedy.contains(&remedy), "{refused}");
    assert_eq!(scene.view(READER, at_reader).stage, FileStage::Offered);
    let level = Some(Level::Normal);
    let file = at_reader;
    scene.file(READER, FileCommand::Accept { file, level });
    scene.run_until(Duration::from_secs(1_200), |scene| {
        scene.is_complete(READER, at_reader)
    });
    assert_eq!(scene.read(at_reader), document(10));
}

/// The attempt in which a file moves.
fn attempt(scene: &mut Scene, number: u64) -> Option<u32> {
    match scene.view(READER, number).stage {
        FileStage::Transferring { attempt } => Some(attempt),
        _ => None,
    }
}

const STEP: Duration = Duration::from_secs(1);
const WINDOW_SECS: u32 = 120;
