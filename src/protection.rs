//! What mixing protects from, in the network as it is measured now.
//!
//! The figures come from a table that the simulator produced (`whisht sim anonymity`; the commands are in
//! the table itself). They hold for an observer of every line that has every rendezvous and a share of the
//! relays, recognises loops, and knows the position of every cell: an upper bound for passive adversaries.
//!
//! A network that is not in the table gets the figure of a smaller one. A row counts if its network is in
//! no respect better than the measured one: not more cells in all, not more at one relay, not more that
//! wait together. So the module never states a better figure than the table contains, and it
//! states none at all for a network that is smaller than every row. It computes no anonymity itself.

mod table;

use core::time::Duration;

pub use self::table::{Figure, Row};

/// A network, as its relays report it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredNetwork {
    /// Relays that paths can use.
    pub relays: usize,
    /// Cells that a typical relay receives per second.
    pub rate: f64,
    /// Mean delay at each relay.
    pub delay: Duration,
}

impl MeasuredNetwork {
    /// Cells of one position that wait together at a typical relay.
    #[must_use]
    pub fn pool(&self) -> f64 {
        self.rate * self.delay.as_secs_f64()
    }

    /// Senders that make this traffic: a lower estimate, because most relays receive more than the rate
    /// of a typical one. Every cell waits at five relays; the rates that relays state count those alone.
    #[must_use]
    pub fn senders(&self) -> f64 {
        self.traffic() / (CELLS_PER_SENDER * RELAYS_PER_CELL)
    }

    /// Cells that all relays receive per second.
    fn traffic(&self) -> f64 {
        self.rate * f64::from(u32::try_from(self.relays).unwrap_or(u32::MAX))
    }

    /// The same as a whole number, rounded down.
    #[must_use]
    pub fn whole_senders(&self) -> u32 {
        let words = format!("{:.0}", self.senders().floor());
        words.parse().unwrap_or(u32::MAX)
    }
}

/// What is known about the adversary's success in a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Protection {
    /// The assumed share of relays that disclose which cell became which.
    pub hostile: f64,
    /// The row for a single message, which describes the network that the figures were made in.
    pub single: Row,
    /// The rows for more messages that the adversary knows to be of one sender, in ascending number.
    pub linked: Vec<Row>,
}

/// The best known upper bounds for a network and an assumed share of hostile relays; none if the table
/// has no network that this one is at least as good as.
#[must_use]
pub fn protection(network: &MeasuredNetwork, hostile: f64) -> Option<Protection> {
    choose(&table::rows(), network, hostile)
}

/// The shares of hostile relays for which the table has rows, in ascending order.
#[must_use]
pub fn assumed_shares() -> Vec<f64> {
    let mut shares: Vec<f64> = table::rows().iter().map(|row| row.hostile).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup_by(|one, other| same_share(*one, *other));
    shares
}

fn choose(rows: &[Row], network: &MeasuredNetwork, hostile: f64) -> Option<Protection> {
    let best = |linked: u32| {
        rows.iter()
            .filter(|row| row.linked == linked && same_share(row.hostile, hostile))
            .filter(|row| is_not_better(row, network))
            .min_by(|one, other| one.guess().total_cmp(&other.guess()))
            .cloned()
    };
    let mut numbers: Vec<u32> = rows.iter().map(|row| row.linked).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let single = best(1)?;
    // More evidence cannot help the user: a figure for more messages is at least that for fewer.
    let mut floor = single.guess();
    let mut linked = Vec::new();
    for row in numbers
        .into_iter()
        .filter(|number| *number > 1)
        .filter_map(best)
    {
        if row.guess() >= floor {
            floor = row.guess();
            linked.push(row);
        }
    }
    Some(Protection {
        hostile,
        single,
        linked,
    })
}

/// Whether the network of a row hides a sender no better than the measured one. Both are compared in
/// what relays state: cells per second at one relay, at all, and how many of them wait.
fn is_not_better(row: &Row, network: &MeasuredNetwork) -> bool {
    row.rate <= network.rate
        && row.rate * f64::from(row.relays) <= network.traffic()
        && row.pool <= network.pool()
}

fn same_share(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-6
}

/// The assumptions behind every figure, one statement each.
pub const ASSUMPTIONS: [&str; 8] = [
    "the adversary observes every line of the network, always, and its clocks are exact",
    "every rendezvous belongs to the adversary, and so does the stated share of the relays, chosen at random; \
     these relays disclose which cell became which",
    "the adversary knows the position of every cell on its path, and recognises loops",
    "the adversary is passive: it neither drops nor delays cells, nor floods a relay",
    "every sender is online all the time and sends full cover; cells are not lost",
    "the relays of the network report their traffic truthfully: a quarter of them that report less lower the \
     figure, others do not change it",
    "the adversary knows nothing else about the message: neither its time of writing nor its author's habits",
    "the figure is the best one of all networks in the simulator's table that have not more cells, not more at \
     one relay, and not more that wait together than the measured one",
];

/// Payload and loop cells that every node emits per second: one in 2.2 s and one in 20 s.
const CELLS_PER_SENDER: f64 = 1.0 / 2.2 + 1.0 / 20.0;
/// Relays at which a cell waits, one of each layer.
const RELAYS_PER_CELL: f64 = 5.0;

#[cfg(test)]
mod tests;
