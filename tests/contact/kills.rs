//! A conversation whose ends lose power again and again, each time at a random commit of their state.
//!
//! The disk of one end stops to make records durable after a random number of them, and the node works on for
//! a random time, as if nothing had happened. Then its power fails: everything since the last durable record is
//! lost. After many of these failures every message that a user was promised is at the other end, once.

use super::*;

/// Kills in one world of the short form.
const KILLS: usize = 200;
/// Worlds of the long form: 10,000 kills.
const LONG_WORLDS: u64 = 50;
/// Messages of one end that are on their way at once.
const MAX_OUTSTANDING: usize = 2;

#[test]
fn two_hundred_kills_at_random_commits_lose_no_message_and_repeat_none() {
    let _points = run(0, KILLS);
}

/// `cargo test --release --test contact ten_thousand_kills -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes: the long form of the test above"]
fn ten_thousand_kills_at_random_commits_lose_no_message_and_repeat_none() {
    let mut all = Tally::default();
    for seed in 1..=LONG_WORLDS {
        let tally = run(seed, KILLS);
        all.add(&tally);
        println!("world {seed}: {tally:?}");
    }
    println!("all worlds: {all:?}");
    assert!(all.kills >= 10_000);
}

/// What happened in a world.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    /// Kills at which a record had been asked for that never became durable.
    cut: usize,
    /// Messages whose user was promised that they are stored.
    promised: usize,
    /// Messages that the user was not promised and that were stored nevertheless.
    stored_unpromised: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.cut += other.cut;
        self.promised += other.promised;
        self.stored_unpromised += other.stored_unpromised;
    }
}

/// One end: where it is, what it calls the other, and what its texts begin with.
struct End {
    at: usize,
    to: &'static str,
    name: &'static str,
    /// The texts that its own history has, so that the other end has to get them.
    written: Vec<String>,
    /// Number of texts that were tried.
    tried: usize,
}

fn run(seed: u64, kills: usize) -> Tally {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut scene = opened();
    let mut ends = [
        End::new(SOURCE, "desk", "source"),
        End::new(READER, "source", "reader"),
    ];
    let mut tally = Tally::default();
    while tally.kills < kills {
        for side in 0..2 {
            write_if_few_are_out(&mut scene, &mut ends, side, &mut tally);
        }
        let side = usize::from(rng.next_u32().is_multiple_of(2));
        fail(&mut scene, &mut ends, side, &mut rng, &mut tally);
        // Messages get through in calm times only.
        let calm = u64::from(rng.next_u32() % 90);
        scene.world.run(Duration::from_secs(calm));
    }
    check_all_arrive(&mut scene, &ends, seed);
    tally
}

impl End {
    fn new(at: usize, to: &'static str, name: &'static str) -> Self {
        Self {
            at,
            to,
            name,
            written: vec![format!("{name} 1")],
            tried: 1,
        }
    }

    /// The next text. Texts are never equal, so that a repeated one shows.
    fn next_text(&mut self) -> String {
        self.tried += 1;
        format!("{} {}", self.name, self.tried)
    }
}

fn write_if_few_are_out(scene: &mut Scene, ends: &mut [End; 2], side: usize, tally: &mut Tally) {
    let (other, of) = (ends[1 - side].at, ends[1 - side].to);
    let arrived = scene.texts(other, of).len();
    let end = &mut ends[side];
    if end.written.len() >= arrived + MAX_OUTSTANDING {
        return;
    }
    let text = end.next_text();
    if scene.try_write(end.at, end.to, &text).is_ok() {
        tally.promised += 1;
        end.written.push(text);
    }
}

/// The power of one end fails, a random number of commits and a random time from now. In between its user writes.
fn fail(
    scene: &mut Scene,
    ends: &mut [End; 2],
    side: usize,
    rng: &mut ChaCha20Rng,
    tally: &mut Tally,
) {
    let end = &mut ends[side];
    scene
        .world
        .disk(end.at)
        .hang_after(u64::from(rng.next_u32() % 6));
    let mut unpromised = None;
    if rng.next_u32().is_multiple_of(3) {
        let text = end.next_text();
        // The command is answered when the message is durable. Without an answer nothing is promised.
        match scene.try_write(end.at, end.to, &text) {
            Ok(_) => {
                tally.promised += 1;
                end.written.push(text);
            }
            Err(_) => unpromised = Some(text),
        }
    }
    let micros = 1 + u64::from(rng.next_u32() % 15_000_000);
    scene.world.run(Duration::from_micros(micros));
    tally.cut += usize::from(scene.world.disk(end.at).has_lost_records());
    scene.world.kill(end.at);
    if rng.next_u32().is_multiple_of(4) {
        scene.world.run(Duration::from_secs(30));
    }
    scene.world.restart(end.at).unwrap();
    tally.kills += 1;
    // What was promised is there before the network can bring anything.
    let stored = scene.own_texts(end.at, end.to);
    for text in &end.written {
        assert!(stored.contains(text), "{text} was promised and is lost");
    }
    if let Some(text) = unpromised.filter(|text| stored.contains(text)) {
        tally.stored_unpromised += 1;
        end.written.push(text);
    }
}

fn check_all_arrive(scene: &mut Scene, ends: &[End; 2], seed: u64) {
    for (from, to) in [(0, 1), (1, 0)] {
        let (from, to) = (&ends[from], &ends[to]);
        scene.run_until(Duration::from_secs(4 * 3_600), |scene| {
            scene.texts(to.at, to.to).len() >= from.written.len()
        });
    }
    scene.world.run(Duration::from_secs(600));
    for (from, to) in [(0, 1), (1, 0)] {
        let (from, to) = (&ends[from], &ends[to]);
        let arrived: Vec<String> = scene
            .texts(to.at, to.to)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(arrived, from.written, "seed {seed}");
        for text in &arrived {
            assert!(scene.reported(to.at, text) <= 1, "{text} was shown twice");
        }
    }
}
