//! What a counter did in each of the last minutes.

use super::svg::{Anchor, Canvas, Picture, length};

/// A row of the picture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::shell::console) struct Series {
    /// What is counted.
    pub(in crate::shell::console) name: &'static str,
    /// The count of each minute, the oldest first.
    pub(in crate::shell::console) minutes: Vec<u64>,
}

/// A row of bars for each counter, a bar for each minute, the present at the right. Each row has a scale of
/// its own; the number at its end is the last minute, the one above it the highest.
pub(in crate::shell::console) fn history(rows: &[Series]) -> Picture {
    let height = length(rows.len()) * ROW + 16.0;
    let mut canvas = Canvas::new(WIDTH, height, "Counts of the last hour, by minute");
    for (index, row) in rows.iter().enumerate() {
        series(&mut canvas, length(index) * ROW, row);
    }
    if rows.iter().all(|row| row.minutes.is_empty()) {
        let middle = (LEFT + length(MINUTES) * BAR / 2.0, height - 3.0);
        canvas.text(
            "axis",
            middle,
            Anchor::Middle,
            "the first minute is not over yet",
        );
    }
    let base = height - 3.0;
    canvas.text("axis", (LEFT, base), Anchor::Start, "an hour ago");
    canvas.text(
        "axis",
        (LEFT + length(MINUTES) * BAR, base),
        Anchor::End,
        "now",
    );
    canvas.finish()
}

fn series(canvas: &mut Canvas, top: f64, row: &Series) {
    let floor = top + ROW - 6.0;
    canvas.text("label", (0.0, floor - 4.0), Anchor::Start, row.name);
    canvas.line(
        "floor",
        (LEFT, floor),
        (LEFT + length(MINUTES) * BAR, floor),
    );
    let shown = row.minutes.len().min(MINUTES);
    let recent = row.minutes.iter().rev().take(MINUTES);
    let most = recent.clone().copied().max().unwrap_or(0);
    for (ago, count) in recent.enumerate().filter(|(_, count)| **count > 0) {
        // A count above 0 is visible.
        let tall = (ratio(*count, most) * (ROW - 12.0)).max(1.0);
        let x = LEFT + length(MINUTES - 1 - ago) * BAR;
        canvas.rect("bar", (x, floor - tall), (BAR - 0.8, tall));
    }
    let right = LEFT + length(MINUTES) * BAR + 6.0;
    match row.minutes.last().filter(|_| shown > 0) {
        None => canvas.text("value", (right, floor - 2.0), Anchor::Start, "-"),
        Some(last) => {
            canvas.text(
                "axis",
                (right, top + 14.0),
                Anchor::Start,
                &format!("max {most}"),
            );
            canvas.text(
                "value",
                (right, floor - 2.0),
                Anchor::Start,
                &last.to_string(),
            );
        }
    }
}

/// A part of a whole, 0 to 1. Rounding of large counts does not show.
fn ratio(part: u64, whole: u64) -> f64 {
    let share = u128::from(part) * 10_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(share).unwrap_or(10_000).min(10_000)) / 10_000.0
}

const WIDTH: f64 = 640.0;
const ROW: f64 = 40.0;
/// Where the bars begin.
const LEFT: f64 = 110.0;
/// Width of a minute.
const BAR: f64 = 7.4;
/// Minutes that are drawn.
const MINUTES: usize = 60;
