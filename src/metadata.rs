//! Removes what files say about the person who made them, before they are handed over.
//!
//! Pictures in JPEG and PNG are rebuilt from the parts that a viewer needs to show them; plain text passes as
//! it is. Every other kind needs a program of its own, which only a shell can run. What cannot be read
//! with certainty is refused, never passed on.
//!
//! The promise is [`PROMISE`], and no more. Nothing here decodes a picture: what is visible in it stays.

mod jpeg;
mod png;
mod text;

use zeroize::Zeroizing;

/// What cleaning does and does not do, in the words that users read.
pub const PROMISE: &str = "removes fields in which these formats carry names, places, times and devices. \
     Does not remove: what is visible or audible, watermarks, printer dots, sensor noise, a copy's \
     individual wording, style.";

/// The largest picture that is cleaned, in bytes. A picture is cleaned in memory.
pub const MAX_PICTURE: usize = 256 << 20;

/// The kind of a file, as far as cleaning goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// A picture in JPEG.
    Jpeg,
    /// A picture in PNG.
    Png,
    /// Plain text.
    Text,
    /// Any other kind.
    Other,
}

impl FileKind {
    /// The kind of a file with this name that begins with these bytes. The bytes decide: a name can
    /// only make a file plain text that has no beginning of another kind.
    #[must_use]
    pub fn of(name: &str, head: &[u8]) -> Self {
        if head.starts_with(jpeg::SIGNATURE) {
            Self::Jpeg
        } else if head.starts_with(png::SIGNATURE) {
            Self::Png
        } else if text::is_named(name) && text::is_plain(head) {
            Self::Text
        } else {
            Self::Other
        }
    }

    /// The ending of a file of this kind, if it has one of its own.
    #[must_use]
    pub const fn extension(self) -> Option<&'static str> {
        match self {
            Self::Jpeg => Some("jpg"),
            Self::Png => Some("png"),
            Self::Text => Some("txt"),
            Self::Other => None,
        }
    }
}

/// A file without what it said about the person who made it.
#[derive(Clone, Eq, PartialEq)]
pub struct CleanedFile {
    /// The content.
    pub bytes: Zeroizing<Vec<u8>>,
    /// What was removed, and what a reader of plain text can see of the machine that wrote it.
    pub notes: Vec<String>,
}

impl core::fmt::Debug for CleanedFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CleanedFile")
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// Cleans a file of this kind.
///
/// # Errors
///
/// [`CleanError`] if the file is not what its beginning claims, or cannot be cleaned with certainty.
pub fn clean(kind: FileKind, bytes: &[u8]) -> Result<CleanedFile, CleanError> {
    if bytes.len() > MAX_PICTURE {
        return Err(CleanError::TooLong);
    }
    match kind {
        FileKind::Jpeg => jpeg::clean(bytes),
        FileKind::Png => png::clean(bytes),
        FileKind::Text => text::clean(bytes),
        FileKind::Other => Err(CleanError::Unknown),
    }
}

/// Why a file is not cleaned.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CleanError {
    /// The kind is not one of those that this module knows.
    #[error("this kind of file is not one that whisht cleans by itself")]
    Unknown,
    /// The file is too long to be cleaned in memory.
    #[error("the file is longer than 256 MiB, the most that is cleaned")]
    TooLong,
    /// The file ends before its end, or does not follow its format.
    #[error("the {0} is damaged, or follows its format only in part: {1}")]
    Damaged(&'static str, &'static str),
    /// The colours of the picture depend on a field that is removed.
    #[error(
        "the picture is in CMYK or plain RGB, whose colours depend on a field of Adobe's that is \
         removed; save it as an ordinary JPEG or as PNG"
    )]
    Colours,
    /// A part of the picture has an unknown meaning, without which it may not be readable.
    #[error("the picture needs a part that whisht does not know; save it as an ordinary PNG")]
    UnknownPart,
}

/// A note about bytes behind the end of a picture.
fn trailing(len: usize) -> Option<String> {
    (len > 0).then(|| format!("removed {len} bytes behind the end of the picture"))
}

#[cfg(test)]
mod tests;
