use proptest::prelude::*;
use rand_core::SeedableRng;

use super::*;

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);

/// A table, its randomness and its clock.
struct Scene {
    pulls: Pulls,
    rng: ChaCha20Rng,
    now: Instant,
}

impl Scene {
    fn new(seed: u8) -> Self {
        Self {
            pulls: Pulls::default(),
            rng: ChaCha20Rng::from_seed([seed; 32]),
            now: Instant::from_micros(1_000_000),
        }
    }

    fn announce(&mut self, link: LinkId, number: u32) {
        let hash = hash(number);
        self.pulls.announced(&mut self.rng, self.now, link, hash);
    }

    fn wait(&mut self, time: Duration) -> Turn {
        self.now = self.now.after(time);
        self.pulls.run(&mut self.rng, self.now)
    }

    /// Long enough for every wait that is drawn here, and shorter than anybody's patience.
    fn wait_out(&mut self) -> Turn {
        self.wait(Duration::from_secs(3))
    }
}

fn hash(number: u32) -> EnvelopeHash {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    EnvelopeHash(bytes)
}

fn asked(turn: &Turn) -> Vec<(LinkId, usize)> {
    turn.ask
        .iter()
        .map(|(link, list)| (*link, list.len()))
        .collect()
}

#[test]
fn every_hash_is_asked_for_once_after_a_wait_of_one_of_those_who_announced_it() {
    let mut chosen = [0; 4];
    for seed in 0..200 {
        let mut scene = Scene::new(seed);
        for link in [A, B, C] {
            scene.announce(link, 7);
        }
        assert_eq!(scene.wait(Duration::ZERO), Turn::default());
        let turn = scene.wait_out();
        assert_eq!(turn.ask.values().flatten().count(), 1);
        let (link, _) = asked(&turn)[0];
        chosen[usize::try_from(link.0).unwrap()] += 1;
        assert_eq!(scene.wait(Duration::from_millis(1)), Turn::default());
    }
    // 66.7 expected for each, standard deviation 6.7.
    assert!(
        chosen[1..].iter().all(|count| (40..=94).contains(count)),
        "{chosen:?}"
    );
}

#[test]
fn who_does_not_deliver_is_named_and_another_is_asked() {
    let mut scene = Scene::new(1);
    scene.announce(A, 7);
    let _ = scene.wait_out();
    scene.announce(B, 7);
    let turn = scene.wait(PATIENCE);
    assert_eq!(turn.failed, [A]);
    assert_eq!(asked(&turn), [(B, 1)]);
    let turn = scene.wait(PATIENCE);
    assert_eq!(turn.failed, [B]);
    assert_eq!(scene.pulls.len(), 0, "nobody is left to ask");
    assert_eq!(scene.pulls.next_due(), None);
}

#[test]
fn who_owes_an_answer_is_asked_only_when_there_is_nobody_else() {
    for seed in 0..30 {
        let mut scene = Scene::new(seed);
        scene.announce(A, 1);
        let _ = scene.wait_out();
        let _ = scene.wait(PATIENCE);
        scene.announce(A, 2);
        scene.announce(B, 2);
        scene.announce(A, 3);
        assert_eq!(asked(&scene.wait_out()), [(A, 1), (B, 1)]);
        // Having delivered, it is as good as any other.
        let announcers = scene.pulls.arrived(scene.now, &hash(3));
        assert_eq!(announcers, [A]);
        assert!(!scene.pulls.peers[&A].owes);
    }
}

#[test]
fn a_peer_that_delivers_slowly_is_given_time_but_not_for_ever() {
    let mut scene = Scene::new(1);
    for number in 0..100 {
        scene.announce(A, number);
    }
    let _ = scene.wait_out();
    for number in 0..14 {
        let turn = scene.wait(Duration::from_secs(4));
        assert_eq!(turn, Turn::default(), "after {number}");
        let _ = scene.pulls.arrived(scene.now, &hash(number));
    }
    let turn = scene.wait(Duration::from_secs(4));
    assert_eq!(turn.failed.len(), 86);
}

#[test]
fn nobody_is_asked_for_more_than_a_packet_at_a_time() {
    let mut scene = Scene::new(1);
    for number in 0..600 {
        scene.announce(A, number);
    }
    assert_eq!(asked(&scene.wait_out()), [(A, MAX_HASHES)]);
    assert_eq!(scene.wait(BUSY), Turn::default());
    for number in 0..600 {
        let _ = scene.pulls.arrived(scene.now, &hash(number));
    }
    assert_eq!(scene.pulls.len(), 0);
}

#[test]
fn a_flood_of_invented_hashes_takes_its_bound_and_keeps_nobody_else_out() {
    let mut scene = Scene::new(1);
    for number in 0..100_000 {
        scene.announce(A, number);
    }
    assert_eq!(scene.pulls.len(), MOST_NAMED);
    scene.announce(B, 200_000);
    assert_eq!(asked(&scene.wait_out()), [(A, MAX_HASHES), (B, 1)]);
    // Many such peers together fill the table and no more.
    for link in 10..40 {
        for number in 0..3_000 {
            scene.announce(LinkId(link), u32::try_from(link).unwrap() << 20 | number);
        }
    }
    assert_eq!(scene.pulls.len(), MOST_WANTED);
}

#[test]
fn what_a_closed_link_announced_is_asked_of_others_or_forgotten() {
    let mut scene = Scene::new(1);
    scene.announce(A, 1);
    scene.announce(A, 2);
    scene.announce(B, 2);
    scene.announce(A, 3);
    let _ = scene.wait_out();
    scene.announce(B, 1);
    scene.pulls.close(scene.now, A);
    assert_eq!(scene.pulls.len(), 2);
    let turn = scene.wait(PATIENCE);
    assert!(turn.failed.iter().all(|link| *link == B));
    scene.pulls.close(scene.now, B);
    assert_eq!(scene.pulls.len(), 0);
    assert!(scene.pulls.turns.is_empty() && scene.pulls.peers.is_empty());
}

#[test]
fn what_arrives_names_all_who_had_announced_it() {
    let mut scene = Scene::new(1);
    for link in [A, B, C] {
        scene.announce(link, 1);
    }
    let _ = scene.wait_out();
    let mut announcers = scene.pulls.arrived(scene.now, &hash(1));
    announcers.sort();
    assert_eq!(announcers, [A, B, C]);
    assert!(scene.pulls.arrived(scene.now, &hash(1)).is_empty());
}

#[test]
fn what_was_refused_is_not_asked_for_again_for_a_minute() {
    let mut scene = Scene::new(1);
    scene.announce(A, 1);
    scene.pulls.declined(scene.now, hash(1));
    scene.announce(B, 1);
    assert_eq!(scene.wait_out(), Turn::default());
    let _ = scene.wait(DECLINED);
    scene.announce(B, 1);
    assert_eq!(asked(&scene.wait_out()), [(B, 1)]);
    for number in 0..10_000 {
        scene.pulls.declined(scene.now, hash(number));
    }
    assert_eq!(scene.pulls.declined.len(), MOST_DECLINED);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Announce(u64, u32),
    Arrive(u32),
    Decline(u32),
    Close(u64),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..5_u64, 0..12_u32).prop_map(|(link, number)| Event::Announce(link, number)),
        2 => (0..12_u32).prop_map(Event::Arrive),
        1 => (0..12_u32).prop_map(Event::Decline),
        1 => (1..5_u64).prop_map(Event::Close),
        3 => (0..8_000_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn the_books_balance_whatever_happens(events in prop::collection::vec(event(), 1..200)) {
        let mut scene = Scene::new(3);
        for event in events {
            match event {
                Event::Announce(link, number) => scene.announce(LinkId(link), number),
                Event::Arrive(number) => {
                    let _ = scene.pulls.arrived(scene.now, &hash(number));
                }
                Event::Decline(number) => scene.pulls.declined(scene.now, hash(number)),
                Event::Close(link) => scene.pulls.close(scene.now, LinkId(link)),
                Event::Wait(millis) => {
                    let turn = scene.wait(Duration::from_millis(millis));
                    for (link, envelopes) in &turn.ask {
                        prop_assert!(envelopes.len() <= MAX_HASHES);
                        for envelope in envelopes {
                            let asked = scene.pulls.wanted[envelope].asked;
                            prop_assert_eq!(asked.map(|(asked, _)| asked), Some(*link));
                        }
                    }
                }
            }
            let turns: BTreeSet<_> = scene
                .pulls
                .wanted
                .iter()
                .map(|(envelope, wanted)| (wanted.turn, *envelope))
                .collect();
            prop_assert_eq!(&turns, &scene.pulls.turns);
            for (link, peer) in &scene.pulls.peers {
                let wanted = || scene.pulls.wanted.values();
                let named = wanted().filter(|wanted| wanted.first == *link).count();
                let asked = |wanted: &&Wanted| wanted.asked.is_some_and(|(asked, _)| asked == *link);
                prop_assert_eq!(peer.named, named);
                prop_assert_eq!(peer.asked, wanted().filter(asked).count());
            }
        }
    }
}
