//! Attack: a relay that forwards a cell twice would reveal its path (spec M9).

use std::time::Duration;

use circuits::ids::Epoch;

use crate::fixture::{Fixture, TARGET, add_named_peers};
use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

#[test]
fn replayed_cell_passes_once_on_same_link() {
    let mut fixture = Fixture::new();
    let cell = fixture.echo_cell();
    fixture.send_cells(&[cell.clone(), cell.clone()]);
    fixture.run(1);
    fixture.send_cells(&[cell]);
    fixture.run(5);
    assert_eq!(fixture.session().cells().len(), 1);
    assert_eq!(fixture.cells_dropped(), 2);
    assert!(
        fixture.session().is_open(),
        "a replay does not close the peer's link"
    );
}

#[test]
fn replayed_cell_passes_once_across_links() {
    let mut fixture = Fixture::new();
    let cell = fixture.echo_cell();
    fixture.send_cells(std::slice::from_ref(&cell));
    fixture.run(1);
    let second_attacker = fixture.world.add_scripted_peer(PeerBehaviour::cells_only());
    let link = fixture.world.connect_scripted(second_attacker, TARGET);
    fixture.world.act(second_attacker, |attacker, now| {
        ((), attacker.send_cells(now, link, &[cell]))
    });
    fixture.run(5);
    assert_eq!(fixture.session().cells().len(), 1);
}

#[test]
fn cell_is_forwarded_only_after_replay_tag_is_durable() {
    let mut fixture = Fixture::new();
    let cell = fixture.echo_cell();
    fixture.world.disk(TARGET).hang();
    fixture.send_cells(&[cell]);
    fixture.run(30);
    assert!(
        fixture.session().cells().is_empty(),
        "its tag is not durable"
    );
    fixture.world.release_stores(TARGET);
    fixture.run(1);
    assert_eq!(fixture.session().cells().len(), 1);
}

/// Crashes and restarts the target; the attacker reconnects at once.
fn restart(fixture: &mut Fixture) {
    fixture.world.kill(TARGET);
    fixture.run(2);
    fixture.world.restart(TARGET);
    add_named_peers(&mut fixture.world, TARGET);
    fixture.run(5);
    fixture.link = fixture.world.connect_scripted(fixture.attacker, TARGET);
}

#[test]
fn replay_after_relay_restart_is_dropped() {
    let mut fixture = Fixture::new();
    let cell = fixture.echo_cell();
    let later = fixture.echo_cell();
    fixture.send_cells(std::slice::from_ref(&cell));
    fixture.run(1);
    assert_eq!(fixture.session().cells().len(), 1);
    restart(&mut fixture);
    fixture.send_cells(&[cell]);
    fixture.run(2);
    assert_eq!(fixture.cells_forwarded(), 0);
    // The cell is peeled; the link to which its handle led is gone.
    fixture.send_cells(&[later]);
    fixture.run(2);
    assert_eq!(fixture.cells_forwarded(), 1, "the key is restored");
}

#[test]
fn cell_without_durable_tag_at_power_loss_passes_at_most_once() {
    let mut fixture = Fixture::new();
    let cell = fixture.echo_cell();
    fixture.world.disk(TARGET).hang();
    fixture.send_cells(std::slice::from_ref(&cell));
    fixture.run(1);
    assert!(fixture.session().cells().is_empty());
    restart(&mut fixture);
    fixture.send_cells(&[cell]);
    fixture.world.release_stores(TARGET);
    fixture.run(2);
    assert!(fixture.session().cells().len() <= 1);
}

#[test]
fn replay_in_next_epoch_is_dropped() {
    let world = World::before_epoch_end(Duration::from_millis(5), 20);
    let mut fixture = Fixture::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(fixture.world.clock().unix);
    let cell = fixture.echo_cell();
    let unused = fixture.echo_cell();
    fixture.send_cells(std::slice::from_ref(&cell));
    fixture.run(1);
    assert_eq!(fixture.session().cells().len(), 1);
    fixture.run(30);
    assert_eq!(Epoch::at(fixture.world.clock().unix), epoch.next());
    fixture.send_cells(&[cell]);
    fixture.run(2);
    assert_eq!(
        fixture.session().cells().len(),
        1,
        "the old key's tags are kept"
    );
    fixture.send_cells(&[unused]);
    fixture.run(2);
    assert_eq!(
        fixture.session().cells().len(),
        2,
        "the old key still peels cells"
    );
}

#[test]
fn cell_under_erased_key_is_dropped() {
    let world = World::before_epoch_end(Duration::from_millis(5), 20);
    let mut fixture = Fixture::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(fixture.world.clock().unix);
    let cell = fixture.echo_cell();
    assert!(fixture.world.disk(TARGET).key_epochs().contains(&epoch));
    fixture.run(30);
    fixture.world.jump_clock(Epoch::SECS);
    fixture.run(10);
    assert!(
        !fixture.world.disk(TARGET).key_epochs().contains(&epoch),
        "the key of an epoch is erased when the next is over"
    );
    fixture.send_cells(&[cell]);
    fixture.run(2);
    assert!(fixture.session().cells().is_empty());
}

#[test]
fn damaged_replay_log_erases_key_until_next_epoch() {
    let world = World::before_epoch_end(Duration::from_millis(5), 60);
    let mut fixture = Fixture::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(fixture.world.clock().unix);
    let (cell, unused) = (fixture.echo_cell(), fixture.echo_cell());
    fixture.send_cells(std::slice::from_ref(&cell));
    fixture.run(1);
    fixture.world.kill(TARGET);
    fixture.world.disk(TARGET).corrupt_log(epoch);
    restart(&mut fixture);
    assert_eq!(fixture.world.disk(TARGET).key_epochs(), [epoch.next()]);
    // After any number of restarts: a second key for the epoch would contradict its descriptor.
    restart(&mut fixture);
    assert_eq!(fixture.world.disk(TARGET).key_epochs(), [epoch.next()]);
    fixture.send_cells(&[cell, unused]);
    fixture.run(2);
    assert!(fixture.session().cells().is_empty());

    fixture.run(60);
    assert_eq!(Epoch::at(fixture.world.clock().unix), epoch.next());
    fixture.fetch_descriptors();
    let cell = fixture.echo_cell();
    fixture.send_cells(&[cell]);
    fixture.run(2);
    assert_eq!(fixture.session().cells().len(), 1, "the next key is in use");
}

#[test]
fn relay_without_promised_key_does_not_equivocate() {
    let world = World::before_epoch_end(Duration::from_millis(5), 60);
    let mut fixture = Fixture::in_world(world, PeerBehaviour::relay());
    let epoch = Epoch::at(fixture.world.clock().unix);
    fixture.world.kill(TARGET);
    fixture.world.disk(TARGET).corrupt_log(epoch.next());
    restart(&mut fixture);
    restart(&mut fixture);
    let before = fixture.world.status(1).relays;
    fixture.run(60);
    assert_eq!(Epoch::at(fixture.world.clock().unix), epoch.next());
    assert_eq!(
        fixture.world.status(1).relays,
        before,
        "no proof of equivocation exists"
    );
    assert!(
        !fixture
            .world
            .disk(TARGET)
            .key_epochs()
            .contains(&epoch.next()),
        "a key other than the published one is useless"
    );
}
