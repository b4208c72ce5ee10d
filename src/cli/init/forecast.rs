//! How much a node sends and receives in a day.
//!
//! Cover is the part that a node's own settings decide; it is computed from the rates of the streams and
//! the size of a cell on a link. The rest depends on the network: envelopes of others, and the cells that
//! a relay carries.

use circuits::stream::StreamRate;
use serde::Serialize;

use crate::node::Cover;

/// Megabytes a day, each rounded up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Forecast {
    /// Cover that the node sends.
    cover_out: u64,
    /// Cover of its own that returns to it.
    cover_in: u64,
    /// Cells of others in each direction, in the measured network of 600 senders and 60 relays; `None`
    /// without relaying.
    relayed: Option<u64>,
}

impl Forecast {
    /// The forecast for a rate of cover traffic.
    pub(super) fn of(cover: Cover, relays: bool) -> Self {
        let (payload, loops) = cover.rate().map_or((0, 0), |rate: StreamRate| {
            (a_day(rate.payload()), a_day(rate.loops()))
        });
        Self {
            cover_out: megabytes(payload.saturating_add(loops)),
            cover_in: megabytes(loops),
            relayed: relays.then(|| (RELAYED_BYTES_PER_SECOND * SECONDS).div_ceil(MEGABYTE)),
        }
    }

    /// The forecast in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "cover     {} MB a day out, {} MB a day in",
            self.cover_out, self.cover_in
        )];
        lines.extend(self.relayed.map(|relayed| {
            format!(
                "relaying  about {relayed} MB a day in each direction, in a network of 600 senders and 60 relays"
            )
        }));
        lines.push(
            "messages  about 1 MB a day in for each 1,000 messages that the network carries"
                .to_owned(),
        );
        lines
    }
}

/// Cells in a day with this mean time between them.
fn a_day(mean: core::time::Duration) -> u64 {
    u64::try_from(mean.as_millis())
        .ok()
        .and_then(|millis| (SECONDS * 1_000).checked_div(millis))
        .unwrap_or(0)
}

const fn megabytes(cells: u64) -> u64 {
    cells.saturating_mul(CELL_ON_LINK).div_ceil(MEGABYTE)
}

/// A cell in its frame, in bytes (docs/wire.md).
const CELL_ON_LINK: u64 = 976;
/// What a relay carries in each direction:
/// docs/levels-measured.md, section "The price of relaying (question 5)".
const RELAYED_BYTES_PER_SECOND: u64 = 29_000;
const SECONDS: u64 = 86_400;
const MEGABYTE: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forecast_follows_the_rate_of_cover() {
        let full = Forecast::of(Cover::Full, false);
        assert_eq!((full.cover_out, full.cover_in), (43, 5));
        let reduced = Forecast::of(Cover::Reduced, false);
        assert_eq!((reduced.cover_out, reduced.cover_in), (5, 1));
        let off = Forecast::of(Cover::Off, true);
        assert_eq!((off.cover_out, off.relayed), (0, Some(2_506)));
    }
}
