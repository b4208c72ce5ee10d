//! The width of the terminal.

use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Columns of the terminal behind a stream; `None` if the stream is not a terminal, so that files and
/// pipes get every line whole. A terminal that does not know its size has the columns that the variable
/// `COLUMNS` names, or else 80.
pub(in crate::cli) fn width(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let known = rustix::termios::tcgetwinsize(stream.as_fd())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    let named = || {
        std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok())
            .filter(|columns| *columns > 0)
    };
    Some(
        known
            .or_else(named)
            .unwrap_or(DEFAULT_COLUMNS)
            .max(MIN_COLUMNS),
    )
}

/// The width of a terminal that tells none: that of the VT100.
const DEFAULT_COLUMNS: usize = 80;

/// A narrower terminal gets lines of this width: nothing readable fits.
const MIN_COLUMNS: usize = 20;
