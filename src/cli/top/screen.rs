//! The terminal: drawn on its second screen, and restored however the view ends.

use std::io::{self, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::frame::Frame;
use crate::cli::output::width;

/// A terminal that shows a view; restored on drop.
pub(super) struct Screen {
    /// The modes of the keyboard before; `None` if standard input is not a terminal.
    before: Option<Termios>,
    is_coloured: bool,
}

impl Screen {
    /// Switches to the second screen, and reads keys one by one.
    ///
    /// # Errors
    ///
    /// The error of the terminal.
    pub(super) fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin()).ok();
        let screen = Self {
            before,
            is_coloured: std::env::var_os("NO_COLOR").is_none(),
        };
        if let Some(before) = &screen.before {
            let mut modes = before.clone();
            // Ctrl-C arrives as a key, so that it cannot end the process before the terminal is restored.
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            // A read returns at once, with or without a key.
            modes.special_codes[SpecialCodeIndex::VMIN] = 0;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        }
        write(ENTER)?;
        Ok(screen)
    }

    /// Draws a view over the one before. `local` marks the figures of a local network.
    ///
    /// # Errors
    ///
    /// The error of the terminal.
    pub(super) fn show(&self, frame: &Frame, local: bool) -> io::Result<()> {
        let (rows, columns) = size();
        write(&frame.drawn(rows, columns, self.is_coloured, local))
    }

    /// Whether the user has pressed `q` or Ctrl-C since the last call.
    pub(super) fn is_quit(&self) -> bool {
        if self.before.is_none() {
            return false;
        }
        let mut keys = [0; 32];
        let read = rustix::io::read(io::stdin(), &mut keys).unwrap_or(0);
        let mut pressed = keys.iter().take(read);
        pressed.any(|key| QUIT_KEYS.contains(key))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // No caller can act on the errors: the terminal may be gone.
        let _ = write(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Rows and columns of the terminal; 24 rows if it does not tell.
fn size() -> (usize, usize) {
    let known = rustix::termios::tcgetwinsize(io::stdout());
    let rows = known.map_or(0, |size| usize::from(size.ws_row));
    let rows = if rows == 0 { DEFAULT_ROWS } else { rows };
    (rows, width(&io::stdout()).unwrap_or(DEFAULT_COLUMNS))
}

/// Second screen, cursor hidden.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Cursor shown, first screen.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const QUIT_KEYS: [u8; 3] = [b'q', b'Q', 3];
const DEFAULT_ROWS: usize = 24;
const DEFAULT_COLUMNS: usize = 80;
