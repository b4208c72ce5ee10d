//! The ending of a demonstration at a mixing level: which way the message took among the cover.
//!
//! Only the demonstration knows the paths, because the source reports them. A relay sees cells of equal size
//! and random delay; the table shows how many passed, and how many of these carried the message.

use circuits::ids::ShortId;
use circuits::mixing::Layer;
use serde_json::{Value, json};

use super::report::short;
use super::timeline::Timeline;
use crate::cli::output::count;

/// Headings of the table.
pub(super) const HEADING: [&str; 6] = [
    "RELAY",
    "LAYER",
    "ROLE",
    "CELLS",
    "OF THE MESSAGE",
    "COULD REVEAL",
];

/// A row for each relay.
pub(super) fn rows(timeline: &Timeline) -> Vec<[String; 6]> {
    let observations = timeline.observations.relays().iter().enumerate();
    observations
        .map(|(number, observation)| {
            let part = Part::of(timeline, number);
            let cells = observation.cells + observation.shards;
            [
                short(number),
                layer(timeline.names(), number).to_string(),
                part.words(),
                count(cells),
                count(part.cells()),
                part.verdict(cells),
            ]
        })
        .collect()
}

/// The paths of the message's cells, the rendezvous last, by the names of the relays.
pub(super) fn paths(timeline: &Timeline) -> Value {
    let path = |lane: &Vec<usize>| lane.iter().map(|hop| short(*hop)).collect::<Vec<_>>();
    json!(timeline.lanes.iter().map(path).collect::<Vec<_>>())
}

/// The paths in one line.
pub(super) fn words(timeline: &Timeline) -> String {
    let path = |lane: &Vec<usize>| {
        let names: Vec<String> = lane.iter().map(|hop| short(*hop)).collect();
        names.join(" > ")
    };
    let paths: Vec<String> = timeline.lanes.iter().map(path).collect();
    format!("path of each cell, rendezvous last: {}", paths.join("; "))
}

/// The layer of a relay, counted from 1: in a local network, its rank among all relays modulo five.
fn layer(names: &[ShortId], number: usize) -> usize {
    let own = names.get(number);
    let rank = names
        .iter()
        .filter(|name| own.is_some_and(|own| *name < own))
        .count();
    Layer::of_rank(rank).index() + 1
}

/// What a relay did for the message.
#[derive(Default)]
struct Part {
    guard: usize,
    middle: usize,
    rendezvous: usize,
}

impl Part {
    fn of(timeline: &Timeline, relay: usize) -> Self {
        let mut part = Self::default();
        for lane in &timeline.lanes {
            let last = lane.len().saturating_sub(1);
            for (position, _) in lane.iter().enumerate().filter(|(_, hop)| **hop == relay) {
                match position {
                    position if position == last => part.rendezvous += 1,
                    0 => part.guard += 1,
                    _ => part.middle += 1,
                }
            }
        }
        part
    }

    const fn cells(&self) -> usize {
        self.guard + self.middle + self.rendezvous
    }

    fn words(&self) -> String {
        let parts = [
            (self.guard, "guard"),
            (self.middle, "middle"),
            (self.rendezvous, "rendezvous"),
        ];
        let parts = parts.iter().filter(|(cells, _)| *cells > 0);
        let parts: Vec<&str> = parts.map(|(_, word)| *word).collect();
        if parts.is_empty() {
            "cover only".to_owned()
        } else {
            parts.join(", ")
        }
    }

    fn verdict(&self, cells: usize) -> String {
        let which = format!("not which of {} cells was the message", count(cells));
        match self {
            Self {
                rendezvous: 1.., ..
            } => "an encrypted envelope, which every node has soon; not where its cell came from"
                .to_owned(),
            Self { guard: 1.., .. } => format!("that the source sends cells all the time; {which}"),
            _ => format!("two peers and a delay for each cell; {which}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use circuits::level::Level;

    use super::*;

    #[test]
    fn part_of_a_relay_follows_from_its_positions_on_the_paths() {
        let names: Vec<ShortId> = [3_u8, 1, 2, 6, 5, 4].map(|byte| ShortId([byte; 16])).into();
        let mut timeline = Timeline::new(&names, Level::Dark, b"");
        timeline.lanes = vec![vec![0, 1, 2, 3, 4, 5], vec![0, 2, 1, 4, 3, 0]];
        let part = |relay| Part::of(&timeline, relay).words();
        assert_eq!(part(0), "guard, rendezvous");
        assert_eq!(part(1), "middle");
        assert_eq!(part(5), "rendezvous");
        let rows = rows(&timeline);
        // The ranks of the first three ids are 2, 0 and 1.
        let layers: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(layers, ["3", "1", "2", "1", "5", "4"]);
        assert_eq!(rows[0][4], "3");
        assert!(
            words(&timeline).ends_with("r1 > r2 > r3 > r4 > r5 > r6; r1 > r3 > r2 > r5 > r4 > r1")
        );
    }
}
