//! Two counts as parts of one bar.

use super::svg::{Anchor, Canvas, Picture};

/// A bar that is filled for `part` of `part + rest`, with both numbers in words.
pub(in crate::shell::console) fn share(
    title: &str,
    (part, part_word): (u32, &str),
    (rest, rest_word): (u32, &str),
) -> Picture {
    let mut canvas = Canvas::new(WIDTH, 40.0, title);
    canvas.rect("track", (0.0, 2.0), (WIDTH, 14.0));
    let whole = f64::from(part) + f64::from(rest);
    if whole > 0.0 {
        canvas.rect("bar", (0.0, 2.0), (WIDTH * f64::from(part) / whole, 14.0));
    }
    let words = |count: u32, word: &str| format!("{count} {word}");
    canvas.text("value", (0.0, 33.0), Anchor::Start, &words(part, part_word));
    canvas.text(
        "value",
        (WIDTH - 2.0, 33.0),
        Anchor::End,
        &words(rest, rest_word),
    );
    canvas.finish()
}

const WIDTH: f64 = 360.0;
