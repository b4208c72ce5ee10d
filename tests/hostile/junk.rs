//! A relay under cells that it cannot use, at ten times what it can peel.

use std::time::Duration;

use circuits::cell::Cell;
use circuits::ids::LinkId;

use crate::fixture::{Fixture, TARGET};
use crate::sim::scripted_peer::PeerBehaviour;

/// Links that bring junk. Together they bring ten times the 500 cells that a relay peels per second.
const JUNK_LINKS: usize = 10;
const JUNK_PER_TURN: usize = 50;
/// Links of honest peers, each with 2.5 cells per second.
const HONEST_LINKS: usize = 20;
const TURNS: usize = 40;
const TURN: Duration = Duration::from_millis(100);

fn connect(fixture: &mut Fixture) -> (usize, LinkId) {
    let peer = fixture.world.add_scripted_peer(PeerBehaviour::cells_only());
    let link = fixture.world.connect_scripted(peer, TARGET);
    (peer, link)
}

fn send(fixture: &mut Fixture, (peer, link): (usize, LinkId), cells: &[Cell]) {
    fixture
        .world
        .act(peer, |peer, now| ((), peer.send_cells(now, link, cells)));
}

/// Cells that fail at the relay, each for another reason: a wrong tag, a replay.
fn junk(fixture: &mut Fixture) -> Vec<Cell> {
    let valid = fixture.echo_cell();
    let mut forged = *valid.as_bytes();
    forged[60] ^= 1;
    let forged = Cell::parse(&forged).unwrap();
    let pair = [forged, valid];
    pair.iter().cycle().take(JUNK_PER_TURN).cloned().collect()
}

#[test]
fn junk_at_ten_times_the_peel_rate_costs_honest_links_no_cell() {
    let mut fixture = Fixture::with(PeerBehaviour::cells_only());
    let hostile: Vec<_> = (0..JUNK_LINKS).map(|_| connect(&mut fixture)).collect();
    let honest: Vec<_> = (0..HONEST_LINKS).map(|_| connect(&mut fixture)).collect();
    let batches: Vec<_> = hostile.iter().map(|_| junk(&mut fixture)).collect();
    let mut sent = 0;
    for turn in 0..TURNS {
        for (attacker, cells) in hostile.iter().zip(&batches) {
            send(&mut fixture, *attacker, cells);
        }
        for (number, peer) in honest.iter().enumerate() {
            if (turn + number) % 4 == 0 {
                let cell = fixture.echo_cell();
                send(&mut fixture, *peer, &[cell]);
                sent += 1;
            }
        }
        fixture.world.run(TURN);
    }
    fixture.run(3);
    // One cell of each hostile link is valid once.
    let returned = fixture.session().cells().len();
    assert_eq!(returned, sent + JUNK_LINKS, "of {sent} honest cells");
    let junk = u64::try_from(JUNK_LINKS * (TURNS * JUNK_PER_TURN - 1)).unwrap();
    assert_eq!(fixture.cells_dropped(), junk);
}
