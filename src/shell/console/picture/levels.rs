//! How many nodes can be the sender of a message, for each level.

use super::svg::{Anchor, Canvas, Picture, length};

/// A level in the picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::shell::console) struct LevelBar {
    /// Its word.
    pub(in crate::shell::console) word: &'static str,
    /// The size of its sender set; `None` if it is not available.
    pub(in crate::shell::console) senders: Option<usize>,
}

/// A bar for each level. The scale is logarithmic: a bar that is longer by one mark stands for twice as many
/// possible senders.
pub(in crate::shell::console) fn levels(bars: &[LevelBar]) -> Picture {
    let height = length(bars.len()) * ROW + 4.0;
    let mut canvas = Canvas::new(WIDTH, height, "Possible senders of a message at each level");
    let most = bars.iter().filter_map(|bar| bar.senders).max().unwrap_or(1);
    // At least one mark, so that a set of one node is not drawn as a full bar.
    let marks = bits(most).max(1.0);
    for (row, bar) in bars.iter().enumerate() {
        let top = length(row) * ROW + 2.0;
        let base = top + ROW * 0.68;
        canvas.text("label", (0.0, base), Anchor::Start, bar.word);
        canvas.rect("track", (LEFT, top + 4.0), (BAR, ROW - 10.0));
        match bar.senders {
            None => canvas.text(
                "missing",
                (LEFT + 6.0, base),
                Anchor::Start,
                "not available",
            ),
            Some(senders) => {
                let share = (bits(senders) / marks).clamp(MIN_SHARE, 1.0);
                canvas.rect("bar", (LEFT, top + 4.0), (BAR * share, ROW - 10.0));
                canvas.text("value", (WIDTH, base), Anchor::End, &words(senders));
            }
        }
    }
    canvas.finish()
}

fn words(senders: usize) -> String {
    match senders {
        0 | 1 => "not hidden".to_owned(),
        _ => format!("1 in {senders}"),
    }
}

/// The logarithm to base 2 of a count.
fn bits(count: usize) -> f64 {
    length(count.max(1)).log2()
}

const WIDTH: f64 = 360.0;
const ROW: f64 = 26.0;
/// Where bars begin.
const LEFT: f64 = 72.0;
/// The length of the longest bar.
const BAR: f64 = 200.0;
/// The part of a bar that is drawn for a sender that is not hidden.
const MIN_SHARE: f64 = 0.015;
