//! A cell that passes twice would tell its path (spec M9).

use std::time::Duration;

use circuits::ids::Epoch;

use crate::scene::{Scene, TARGET, name_peers};
use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

#[test]
fn a_cell_that_a_neighbour_replays_passes_once() {
    let mut scene = Scene::new();
    let cell = scene.echo();
    scene.bring(&[cell.clone(), cell.clone()]);
    scene.run(1);
    scene.bring(&[cell]);
    scene.run(5);
    assert_eq!(scene.session().cells().len(), 1);
    assert_eq!(scene.dropped(), 2);
    assert!(
        scene.session().is_open(),
        "a replay costs no neighbour its link"
    );
}

#[test]
fn a_cell_that_is_replayed_over_another_link_passes_once() {
    let mut scene = Scene::new();
    let cell = scene.echo();
    scene.bring(std::slice::from_ref(&cell));
    scene.run(1);
    let accomplice = scene.world.add_scripted_peer(PeerBehaviour::cells_only());
    let link = scene.world.connect_scripted(accomplice, TARGET);
    scene.world.act(accomplice, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    scene.run(5);
    assert_eq!(scene.session().cells().len(), 1);
}

#[test]
fn a_cell_leaves_only_after_its_tag_is_durable() {
    let mut scene = Scene::new();
    let cell = scene.echo();
    scene.world.disk(TARGET).hang();
    scene.bring(&[cell]);
    scene.run(30);
    assert!(scene.session().cells().is_empty(), "its tag is not durable");
    scene.world.release_stores(TARGET);
    scene.run(1);
    assert_eq!(scene.session().cells().len(), 1);
}

/// Power fails and comes back; the attacker is there again at once.
fn restart(scene: &mut Scene) {
    scene.world.kill(TARGET);
    scene.run(2);
    scene.world.restart(TARGET);
    name_peers(&mut scene.world, TARGET);
    scene.run(5);
    scene.link = scene.world.connect_scripted(scene.attacker, TARGET);
}

#[test]
fn a_cell_is_not_replayed_by_making_the_relay_start_again() {
    let mut scene = Scene::new();
    let cell = scene.echo();
    let later = scene.echo();
    scene.bring(std::slice::from_ref(&cell));
    scene.run(1);
    assert_eq!(scene.session().cells().len(), 1);
    restart(&mut scene);
    scene.bring(&[cell]);
    scene.run(2);
    assert!(scene.session().cells().is_empty());
    scene.bring(&[later]);
    scene.run(2);
    assert_eq!(scene.session().cells().len(), 1, "the key itself is kept");
}

#[test]
fn a_cell_lost_with_the_power_before_its_tag_was_durable_never_left() {
    let mut scene = Scene::new();
    let cell = scene.echo();
    scene.world.disk(TARGET).hang();
    scene.bring(std::slice::from_ref(&cell));
    scene.run(1);
    assert!(scene.session().cells().is_empty());
    restart(&mut scene);
    scene.bring(&[cell]);
    scene.world.release_stores(TARGET);
    scene.run(2);
    assert!(scene.session().cells().len() <= 1);
}

#[test]
fn a_cell_is_not_replayed_across_the_end_of_an_epoch() {
    let world = World::before_epoch_end(Duration::from_millis(5), 20);
    let mut scene = Scene::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(scene.world.clock().unix);
    let cell = scene.echo();
    let unused = scene.echo();
    scene.bring(std::slice::from_ref(&cell));
    scene.run(1);
    assert_eq!(scene.session().cells().len(), 1);
    scene.run(30);
    assert_eq!(Epoch::at(scene.world.clock().unix), epoch.next());
    scene.bring(&[cell]);
    scene.run(2);
    assert_eq!(
        scene.session().cells().len(),
        1,
        "the old key's tags are kept"
    );
    scene.bring(&[unused]);
    scene.run(2);
    assert_eq!(
        scene.session().cells().len(),
        2,
        "the old key still opens cells"
    );
}

#[test]
fn a_cell_under_an_erased_key_dies() {
    let world = World::before_epoch_end(Duration::from_millis(5), 20);
    let mut scene = Scene::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(scene.world.clock().unix);
    let cell = scene.echo();
    assert!(scene.world.disk(TARGET).key_epochs().contains(&epoch));
    scene.run(30);
    scene.world.jump_clock(Epoch::SECS);
    scene.run(10);
    assert!(
        !scene.world.disk(TARGET).key_epochs().contains(&epoch),
        "the key of an epoch is erased when the next is over"
    );
    scene.bring(&[cell]);
    scene.run(2);
    assert!(scene.session().cells().is_empty());
}

#[test]
fn a_relay_whose_tag_log_is_damaged_erases_the_key_and_is_silent_until_its_next() {
    let world = World::before_epoch_end(Duration::from_millis(5), 60);
    let mut scene = Scene::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(scene.world.clock().unix);
    let (cell, unused) = (scene.echo(), scene.echo());
    scene.bring(std::slice::from_ref(&cell));
    scene.run(1);
    scene.world.kill(TARGET);
    scene.world.disk(TARGET).corrupt_log(epoch);
    restart(&mut scene);
    assert_eq!(scene.world.disk(TARGET).key_epochs(), [epoch.next()]);
    // However often it starts: a second key for the epoch would contradict its descriptor.
    restart(&mut scene);
    assert_eq!(scene.world.disk(TARGET).key_epochs(), [epoch.next()]);
    scene.bring(&[cell, unused]);
    scene.run(2);
    assert!(scene.session().cells().is_empty());

    scene.run(60);
    assert_eq!(Epoch::at(scene.world.clock().unix), epoch.next());
    scene.ask_for_relays();
    let cell = scene.echo();
    scene.bring(&[cell]);
    scene.run(2);
    assert_eq!(scene.session().cells().len(), 1, "the next key is in use");
}

#[test]
fn a_relay_that_lost_its_promised_key_does_not_contradict_itself() {
    let world = World::before_epoch_end(Duration::from_millis(5), 60);
    let mut scene = Scene::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(scene.world.clock().unix);
    scene.world.kill(TARGET);
    scene.world.disk(TARGET).corrupt_log(epoch.next());
    restart(&mut scene);
    restart(&mut scene);
    let before = scene.world.status(1).relays;
    scene.run(60);
    assert_eq!(Epoch::at(scene.world.clock().unix), epoch.next());
    assert_eq!(
        scene.world.status(1).relays,
        before,
        "nobody holds a proof against it"
    );
    assert!(
        !scene
            .world
            .disk(TARGET)
            .key_epochs()
            .contains(&epoch.next()),
        "a key for an epoch that another was promised for is of no use"
    );
}
