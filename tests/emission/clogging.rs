//! Clogging: an attacker fills the links of relays with gossip, and looks for cells that come later than usual.
//!
//! A cell that waits behind a burst of envelopes would carry the mark of the burst from relay to relay. Two
//! worlds of equal seeds have the same cells on the same paths; in one of them nodes post bursts of envelopes
//! that keep narrow links busy for seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use circuits::time::{Instant, UnixSecs};
use whisht::node::{Cover, NodeConfig};
use whisht::sim::{Observation, Observer, World, WorldConfig};

use super::*;

/// When cells and other bytes came, by link and direction.
#[derive(Default)]
struct ArrivalLog {
    cells: BTreeMap<(usize, usize), Vec<Instant>>,
    /// Bytes that were no cells, by second.
    others: BTreeMap<(usize, usize, u64), usize>,
}

impl Observer for ArrivalLog {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        let Observation::Received(from, bytes) = what else {
            return;
        };
        if bytes.len().is_multiple_of(CELL_FRAME) {
            let cells = bytes.len() / CELL_FRAME;
            let of_link = self.cells.entry((*from, node)).or_default();
            of_link.extend(std::iter::repeat_n(at, cells));
        } else {
            let second = at.as_micros() / 1_000_000;
            *self.others.entry((*from, node, second)).or_default() += bytes.len();
        }
    }
}

/// A megabit a second on each link: a cell takes 8 ms.
const BANDWIDTH: u64 = 125_000;
const MINUTES: u8 = 12;

fn run(is_clogged: bool) -> World {
    let mut config = WorldConfig::plain(Duration::from_millis(20));
    config.network.bandwidth = BANDWIDTH;
    config.start = UnixSecs(1_795_240_000);
    config.fast = true;
    let mut world = World::new(config, Box::<ArrivalLog>::default());
    for number in 0..RELAYS + 2 {
        let peers: Vec<usize> = [1, 3, 4].map(|step| (number + step) % RELAYS).to_vec();
        let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
        let change = |config: &mut NodeConfig| config.cover = Cover::Full;
        let is_relay = number < RELAYS;
        world.add_node(is_relay, &peers, start, change).unwrap();
    }
    world.run(Duration::from_secs(120));
    for minute in 0..MINUTES {
        if is_clogged {
            for envelope in 0..BURST {
                post(&mut world, usize::from(envelope) % RELAYS, minute);
            }
        }
        world.run(Duration::from_secs(60));
    }
    world
}

/// A node posts an envelope of 19,628 bytes.
fn post(world: &mut World, from: usize, text: u8) {
    let request = SendRequest {
        to: Recipient::Public(secret(READER).public(), Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: vec![text; 15_000].into(),
        level: Some(Level::Open),
        life: Duration::from_secs(600),
        reader: ReaderKind::Whisht,
    };
    let sent = world.command(from, Command::Send(request));
    assert!(matches!(sent, Ok(Reply::Accepted(_))), "{sent:?}");
}

const BURST: u8 = 40;

fn arrivals(world: &World) -> &ArrivalLog {
    world.observer().unwrap()
}

/// The gaps between cells of one link and direction, in seconds, sorted.
fn gaps(log: &ArrivalLog) -> Vec<f64> {
    let links = log.cells.values();
    let mut gaps: Vec<f64> = links
        .flat_map(|times| times.windows(2))
        .map(|pair| pair[1].since(pair[0]).as_secs_f64())
        .collect();
    gaps.sort_by(f64::total_cmp);
    gaps
}

/// The largest difference between the distributions of two sorted samples (Kolmogorov and Smirnov).
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let share = |sample: &[f64], value: f64| {
        let below = sample.partition_point(|other| *other <= value);
        below as f64 / sample.len() as f64
    };
    let values = one.iter().chain(other);
    let differences = values.map(|value| (share(one, *value) - share(other, *value)).abs());
    differences.fold(0.0, f64::max)
}

#[test]
fn gossip_bursts_do_not_shift_cells_measurably() {
    let (idle, clogged) = (run(false), run(true));
    let (idle, clogged) = (arrivals(&idle), arrivals(&clogged));
    // The bursts fill links: without priority a cell would wait for seconds.
    let full = |log: &ArrivalLog| {
        let full = log.others.values();
        full.filter(|bytes| **bytes as u64 > BANDWIDTH / 10 * 8)
            .count()
    };
    let (full_idle, full_clogged) = (full(idle), full(clogged));
    assert_eq!(full_idle, 0);
    assert!(full_clogged > 200, "{full_clogged} full seconds");

    // The same cells on the same links.
    let counts = |log: &ArrivalLog| -> BTreeMap<_, _> {
        let links = log.cells.iter();
        links.map(|(link, times)| (*link, times.len())).collect()
    };
    let (idle_counts, clogged_counts) = (counts(idle), counts(clogged));
    let cells: usize = idle_counts.values().sum();
    let clogged_cells: usize = clogged_counts.values().sum();
    assert!(cells > 10_000 && cells.abs_diff(clogged_cells) < cells / 200);
    let mut shifts: Vec<f64> = Vec::new();
    for (link, times) in &idle.cells {
        let other = clogged.cells.get(link).map_or(&[][..], Vec::as_slice);
        if times.len() == other.len() {
            let pairs = times.iter().zip(other);
            shifts.extend(
                pairs.map(|(one, other)| other.as_micros() as f64 - one.as_micros() as f64),
            );
        }
    }
    assert!(
        shifts.len() > cells / 2,
        "{} of {cells} cells are paired",
        shifts.len()
    );
    shifts.sort_by(f64::total_cmp);
    let at = |share: usize| shifts[shifts.len() * share / 1_000] / 1e6;
    println!(
        "{cells} cells, {full_clogged} full seconds, shift p50 {:.4} s, p99 {:.4} s, most {:.4} s",
        at(500),
        at(990),
        shifts.last().unwrap() / 1e6
    );
    let (idle, clogged) = (gaps(idle), gaps(clogged));
    let distance = distance(&idle, &clogged);
    // Two samples of one distribution differ by more in one of 1,000 cases.
    let critical = 1.95 * (2.0 / idle.len() as f64).sqrt();
    println!("distance of gaps {distance:.4}, critical {critical:.4}");
    assert!(distance < critical, "{distance} against {critical}");
    assert!(at(500).abs() < 0.01 && at(990) < 0.5);
}
