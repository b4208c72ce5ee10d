//! Plain text: it carries no fields, and passes as it is.
//!
//! A text that another format is written in (HTML, SVG, RTF, PostScript, PDF) is not plain. The line ends
//! and the byte order mark tell the system on which a text was written; they are named and not changed,
//! because a text is often evidence in its bytes.

use zeroize::Zeroizing;

use super::{CleanError, CleanedFile};

/// Whether a file of this name may be plain text.
pub(super) fn is_named(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| {
        let is = |known: &&str| known.eq_ignore_ascii_case(ending);
        ENDINGS.iter().any(is)
    })
}

/// Whether these first bytes of a file are plain text. A character that is cut off at the end is.
pub(super) fn is_plain(head: &[u8]) -> bool {
    let valid = match core::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let whole = head.get(..error.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(whole).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let begin = valid.trim_start_matches('\u{feff}').trim_start();
    let is_other = OTHER_FORMATS.iter().any(|prefix| begin.starts_with(prefix));
    !is_other && !valid.chars().any(is_binary)
}

/// Checks that a whole file is plain text.
pub(super) fn clean(bytes: &[u8]) -> Result<CleanedFile, CleanError> {
    let text = core::str::from_utf8(bytes).map_err(|_| CleanError::Unknown)?;
    if !is_plain(bytes) {
        return Err(CleanError::Unknown);
    }
    let marks = [
        (
            text.starts_with('\u{feff}'),
            "kept the byte order mark at its beginning",
        ),
        (
            text.contains('\r'),
            "kept its line ends, which are those of Windows",
        ),
    ];
    let notes = marks.iter().filter(|(is_there, _)| *is_there);
    Ok(CleanedFile {
        bytes: Zeroizing::new(bytes.to_vec()),
        notes: notes.map(|(_, note)| (*note).to_owned()).collect(),
    })
}

fn is_binary(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}')
}

/// Endings of plain text.
const ENDINGS: [&str; 5] = ["txt", "text", "csv", "log", "md"];
/// How texts of other formats begin.
const OTHER_FORMATS: [&str; 4] = ["<", "{\\rtf", "%PDF", "%!PS"];
