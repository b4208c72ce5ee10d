//! The relays of the directory, and which of them paths can use.

use std::collections::BTreeMap;

use super::svg::{Anchor, Canvas, Picture};
use crate::node::RelayView;

/// A dot for each relay, those of one subnet side by side: filled if paths can use it. Which of them is the
/// guard is not shown.
pub(in crate::shell::console) fn relays(relays: &[RelayView]) -> Picture {
    let mut subnets: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for relay in relays {
        let subnet = subnets.entry(&relay.subnet).or_default();
        subnet.push(relay.eligible);
    }
    let mut cursor = DotCursor::new(if relays.len() > CROWDED { 11.0 } else { 18.0 });
    let mut dots = Vec::new();
    'all: for subnet in subnets.values_mut() {
        // Usable ones first: the picture tells nothing by the order of their keys.
        subnet.sort_unstable_by(|a, b| b.cmp(a));
        for eligible in subnet.iter() {
            let Some(at) = cursor.next() else { break 'all };
            dots.push((at, *eligible));
        }
        cursor.gap();
    }
    draw(&dots, relays.len(), &cursor)
}

fn draw(dots: &[((f64, f64), bool)], known: usize, cursor: &DotCursor) -> Picture {
    let height = (cursor.row + 1.0) * cursor.step + NOTE;
    let title = "Relays by subnet; filled: paths can use it";
    let mut canvas = Canvas::new(WIDTH, height, title);
    for (at, eligible) in dots {
        let class = if *eligible { "dot" } else { "dot hollow" };
        canvas.circle(class, *at, cursor.radius());
    }
    if known == 0 {
        canvas.text(
            "label",
            (0.0, 20.0),
            Anchor::Start,
            "no relays are known yet",
        );
    } else if dots.len() < known {
        let more = format!("and {} more", known - dots.len());
        canvas.text("label", (WIDTH - 2.0, height - 4.0), Anchor::End, &more);
    }
    canvas.finish()
}

/// The place of the next dot: rows from left to right.
struct DotCursor {
    step: f64,
    left: f64,
    row: f64,
}

impl DotCursor {
    const fn new(step: f64) -> Self {
        Self {
            step,
            left: 0.0,
            row: 0.0,
        }
    }

    fn radius(&self) -> f64 {
        self.step * 0.38
    }

    /// `None` if the picture is full.
    fn next(&mut self) -> Option<(f64, f64)> {
        let is_row_full = self.left + self.step > WIDTH;
        if is_row_full && (self.row + 2.0) * self.step > MAX_ROWS_HEIGHT {
            return None;
        }
        if is_row_full {
            self.left = 0.0;
            self.row += 1.0;
        }
        let at = (
            self.left + self.step / 2.0,
            self.row * self.step + self.step / 2.0,
        );
        self.left += self.step;
        Some(at)
    }

    /// Sets the next subnet apart.
    fn gap(&mut self) {
        self.left += self.step * GAP;
    }
}

const WIDTH: f64 = 360.0;
/// Height of all rows together, at most.
const MAX_ROWS_HEIGHT: f64 = 160.0;
/// Room below for what is not drawn.
const NOTE: f64 = 18.0;
/// With more relays than this, dots are smaller.
const CROWDED: usize = 100;
/// Room between subnets, in steps.
const GAP: f64 = 0.5;
