//! A QR code. It is black on white under every colour scheme, because readers expect it.

use core::fmt::Write;

use super::svg::{Canvas, Picture, length};
use crate::contact::qr::{QrMatrix, QrTooLong};

/// The QR code of a text.
///
/// # Errors
///
/// [`QrTooLong`] if the text does not fit in a code.
pub(in crate::shell::console) fn qr(text: &str, title: &str) -> Result<Picture, QrTooLong> {
    let code = QrMatrix::new(text)?;
    let side = code.side();
    let mut canvas = Canvas::new(length(side), length(side), title);
    canvas.rect("qr-light", (0.0, 0.0), (length(side), length(side)));
    let mut path = String::new();
    for row in 0..side {
        for (start, end) in runs(&code, row) {
            // Writing to a string does not fail.
            let _ = write!(path, "M{start} {row}h{}v1h-{0}z", end - start);
        }
    }
    canvas.path("qr-dark", &path);
    Ok(canvas.finish())
}

/// The first and the last column, exclusive, of each run of dark modules in a row.
fn runs(code: &QrMatrix, row: usize) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut begun = None;
    // The quiet zone is light, so every run ends within the row.
    for column in 0..code.side() {
        match (code.is_dark(column, row), begun) {
            (true, None) => begun = Some(column),
            (false, Some(start)) => {
                runs.push((start, column));
                begun = None;
            }
            _ => {}
        }
    }
    runs
}
