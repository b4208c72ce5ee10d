//! The inbound side: loops come back when the network brings them, and a classifier looks for the user in
//! their times.

use std::time::Duration;

use circuits::time::Instant;
use whisht::node::{Cover, NodeConfig};
use whisht::sim::{NetworkModel, Observation, Observer, World, WorldConfig, WorldSeed};

use super::CELL_FRAME;

const RELAYS: usize = 10;
const CLIENTS: usize = 8;
const WINDOW: Duration = Duration::from_secs(30);

/// The cells that came to each client: time, and number of the client.
#[derive(Default)]
struct Arrivals(Vec<(Instant, usize)>);

impl Observer for Arrivals {
    fn observe(&mut self, at: Instant, _: usize, what: &Observation<'_>) {
        if let Observation::Sent(to, bytes) = what
            && *to >= RELAYS
            && bytes.len() == CELL_FRAME
        {
            self.0.push((at, to - RELAYS));
        }
    }
}

/// Clients that share ten relays over a lossy network.
fn world(seed: u64) -> World {
    let seed = WorldSeed::from_number(seed);
    let config = WorldConfig {
        fast: true,
        ..WorldConfig::timed(seed, NetworkModel::internet(), 1_000_000)
    };
    let mut world = World::new(config, Box::new(Arrivals::default()));
    for number in 0..RELAYS + CLIENTS {
        let peers: Vec<usize> = [1, 3, 4].map(|step| (number + step) % RELAYS).to_vec();
        let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
        let relay = number < RELAYS;
        let change = |config: &mut NodeConfig| {
            config.cover = if relay { Cover::Off } else { Cover::Full };
        };
        world.add_node(relay, &peers, start, change).unwrap();
    }
    world
}

/// What a classifier sees of one window: number of cells, mean and first of their times.
type Features = [f64; 3];

fn features(arrivals: &[Instant], from: Instant) -> Features {
    let times: Vec<f64> = arrivals
        .iter()
        .filter(|at| **at >= from && **at < from.after(WINDOW))
        .map(|at| at.since(from).as_secs_f64())
        .collect();
    let count = f64::from(u32::try_from(times.len()).unwrap());
    let mean = times.iter().sum::<f64>() / count.max(1.0);
    [count, mean, times.first().copied().unwrap_or(30.0)]
}

/// Area under the curve of a feature, and its standard deviation if the classes are alike.
fn area(idle: &[f64], busy: &[f64]) -> (f64, f64) {
    let mut all: Vec<(f64, bool)> = idle.iter().map(|value| (*value, false)).collect();
    all.extend(busy.iter().map(|value| (*value, true)));
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut rank, mut sum, mut at) = (0.0, 0.0, 0);
    while at < all.len() {
        let ties = all[at..].iter().take_while(|entry| entry.0 == all[at].0);
        let ties: Vec<bool> = ties.map(|entry| entry.1).collect();
        let count = f64::from(u32::try_from(ties.len()).unwrap());
        let busy = ties.iter().filter(|busy| **busy).count();
        sum += f64::from(u32::try_from(busy).unwrap()) * (rank + (count + 1.0) / 2.0);
        rank += count;
        at += ties.len();
    }
    let (m, n) = (number(idle.len()), number(busy.len()));
    let area = (sum - n * (n + 1.0) / 2.0) / (m * n);
    (area, ((m + n + 1.0) / (12.0 * m * n)).sqrt())
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Lets half of the clients queue `cells` cells whenever those before have left; gives the features of
/// their windows, and of those of the idle clients.
fn windows(seed: u64, cells: u8, count: u32) -> [Vec<Features>; 2] {
    let mut world = world(seed);
    world.run(Duration::from_secs(60));
    let mut starts = Vec::new();
    for window in 0..count {
        starts.push(world.clock().mono);
        // 100 cells take 220 s to leave.
        if window % u32::from(cells).div_ceil(13) != 0 {
            world.run(WINDOW);
            continue;
        }
        for client in CLIENTS / 2..CLIENTS {
            let queued = world.queue_cells(RELAYS + client, 1, cells);
            assert_eq!(queued, usize::from(cells));
        }
        world.run(WINDOW);
    }
    let mut arrivals = vec![Vec::new(); CLIENTS];
    for (at, client) in &world.observer::<Arrivals>().unwrap().0 {
        arrivals[*client].push(*at);
    }
    let mut classes = [Vec::new(), Vec::new()];
    for (client, arrivals) in arrivals.iter().enumerate() {
        let class = &mut classes[usize::from(client >= CLIENTS / 2)];
        class.extend(starts.iter().map(|from| features(arrivals, *from)));
    }
    classes
}

fn compare(cells: u8, count: u32, sigmas: f64) {
    let [idle, busy] = windows(u64::from(cells), cells, count);
    let received: f64 = idle.iter().map(|features| features[0]).sum();
    assert!(received / number(idle.len()) > 0.7, "loops come back");
    for (at, name) in ["number", "mean time", "first time"].iter().enumerate() {
        let of = |class: &[Features]| class.iter().map(|one| one[at]).collect::<Vec<f64>>();
        let (area, deviation) = area(&of(&idle), &of(&busy));
        println!(
            "{cells} cells, {} windows: AUC of {name} {area:.3} +- {deviation:.3}",
            idle.len() + busy.len()
        );
        assert!((area - 0.5).abs() < sigmas * deviation, "{name}: {area}");
    }
}

#[test]
fn times_of_returning_loops_do_not_show_a_message() {
    compare(10, 10, 4.0);
}

#[test]
#[ignore = "takes minutes, for a narrower interval; the test above is its short form"]
fn times_of_returning_loops_do_not_show_a_message_in_thousands_of_windows() {
    for cells in [1, 10, 100] {
        compare(cells, 100, 3.0);
    }
}

#[test]
fn area_of_separate_classes_is_one() {
    assert_eq!(area(&[1.0, 2.0], &[3.0, 4.0]).0, 1.0);
    assert_eq!(area(&[1.0, 2.0], &[1.0, 2.0]).0, 0.5);
}
