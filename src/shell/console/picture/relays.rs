//! The relays of the directory, and which of them paths can use.

use std::collections::BTreeMap;

use super::svg::{Anchor, Canvas, Picture, length};
use crate::node::RelayView;

/// A dot for each relay, those of one subnet side by side: filled if paths can use it. Which of them is the
/// guard is not shown.
pub(in crate::shell::console) fn relays(relays: &[RelayView]) -> Picture {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, "Relays by subnet; filled: paths can use it");
    let mut subnets: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for relay in relays {
        subnets.entry(&relay.subnet).or_default().push(relay.eligible);
    }
    let mut cursor = Cursor::default();
    let mut drawn: usize = 0;
    'all: for subnet in subnets.values_mut() {
        // Usable ones first: the picture tells nothing by the order of their keys.
        subnet.sort_unstable_by(|a, b| b.cmp(a));
        for eligible in subnet.iter() {
            let Some(at) = cursor.next() else { break 'all };
            canvas.circle(if *eligible { "dot" } else { "dot hollow" }, at, RADIUS);
            drawn += 1;
        }
        cursor.gap();
    }
    if relays.is_empty() {
        canvas.text("label", (0.0, 20.0), Anchor::Start, "no relays are known yet");
    } else if drawn < relays.len() {
        let more = format!("and {} more", relays.len() - drawn);
        canvas.text("label", (WIDTH, HEIGHT - 4.0), Anchor::End, &more);
    }
    canvas.finish()
}

/// The place of the next dot: rows from left to right.
#[derive(Default)]
struct Cursor {
    column: f64,
    row: f64,
}

impl Cursor {
    fn next(&mut self) -> Option<(f64, f64)> {
        if self.column * STEP + 2.0 * RADIUS > WIDTH {
            self.column = 0.0;
            self.row += 1.0;
        }
        let at = (
            self.column * STEP + RADIUS + 1.0,
            self.row * STEP + RADIUS + 1.0,
        );
        self.column += 1.0;
        (at.1 + RADIUS < HEIGHT - NOTE).then_some(at)
    }

    /// Sets the next subnet apart.
    fn gap(&mut self) {
        self.column += GAP;
    }
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 180.0;
/// Room below for what is not drawn.
const NOTE: f64 = 18.0;
const RADIUS: f64 = 4.0;
const STEP: f64 = 11.0;
/// Room between subnets, in steps.
const GAP: f64 = 0.6;
