//! Offers of a hostile correspondent.

use std::time::Duration;

use whisht::node::{FileCommand, FileStage};

use super::{READER, SOURCE, Scene, document};

/// The sender forgets each file at once, so that its own limits do not apply.
#[test]
fn offers_above_the_limit_of_a_contact_are_dropped() {
    let mut scene = Scene::open();
    for number in 1..=5 {
        let at_source = scene.offer(&document(100 + number));
        scene.file(SOURCE, FileCommand::Erase(at_source));
        scene.world.run(Duration::from_secs(300));
    }
    let files = scene.files(READER);
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| file.stage == FileStage::Offered));
    // A decision makes room for another offer.
    let first = files.first().unwrap().number;
    scene.file(READER, FileCommand::Decline(first));
    scene.offer(&document(200));
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.files(READER).len() == 4
    });
}
