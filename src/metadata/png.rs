//! Rebuilds a PNG from the chunks that a viewer needs.
//!
//! Kept: header, palette, transparency, pixels, end. Removed: every other chunk that a viewer may leave out
//! (texts, times, EXIF, XMP, colour profile, the further pictures of an animation), and everything
//! behind the end. A chunk that a viewer may not leave out, and whose meaning is unknown, is refused.

use img_parts::Bytes;
use img_parts::png::{Png, PngChunk};
use zeroize::Zeroizing;

use super::{CleanError, CleanedFile, trailing};

/// How a file begins.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Cleans a picture.
pub(super) fn clean(bytes: &[u8]) -> Result<CleanedFile, CleanError> {
    let picture = Png::from_bytes(Bytes::copy_from_slice(bytes));
    let picture = picture.map_err(|_| damaged("a chunk is cut off or has a wrong checksum"))?;
    let behind = trailing(bytes.len().saturating_sub(picture.len()));
    let mut removed = Vec::new();
    let mut kept = Zeroizing::new(Vec::with_capacity(bytes.len()));
    kept.extend_from_slice(SIGNATURE);
    let mut last = ChunkPlace::Start;
    for chunk in picture.chunks() {
        if !chunk.kind().iter().all(u8::is_ascii_alphabetic) {
            return Err(damaged("the name of a chunk is not of letters"));
        }
        if let Some(place) = ChunkPlace::of(chunk) {
            if !place.may_follow(last) || !has_length(chunk) {
                return Err(damaged(
                    "its chunks are not in order, or not as long as their fields",
                ));
            }
            last = place;
            // Its checksum was checked when it was read.
            kept.extend_from_slice(&chunk.clone().encoder().bytes());
        } else if is_critical(chunk) {
            return Err(CleanError::UnknownPart);
        } else {
            let name = String::from_utf8_lossy(&chunk.kind()).into_owned();
            if removed.len() < MAX_NAMED && !removed.contains(&name) {
                removed.push(name);
            }
        }
    }
    if last != ChunkPlace::End {
        return Err(damaged("it ends too early"));
    }
    let removed =
        (!removed.is_empty()).then(|| format!("removed the chunks {}", removed.join(", ")));
    Ok(CleanedFile {
        bytes: kept,
        notes: removed.into_iter().chain(behind).collect(),
    })
}

/// Where a kept chunk stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum ChunkPlace {
    Start,
    Header,
    Palette,
    Transparency,
    Pixels,
    End,
}

impl ChunkPlace {
    fn of(chunk: &PngChunk) -> Option<Self> {
        Some(match &chunk.kind() {
            b"IHDR" => Self::Header,
            b"PLTE" => Self::Palette,
            b"tRNS" => Self::Transparency,
            b"IDAT" => Self::Pixels,
            b"IEND" => Self::End,
            _ => return None,
        })
    }

    fn may_follow(self, last: Self) -> bool {
        match (last, self) {
            (Self::Start, next) => next == Self::Header,
            (Self::Pixels, Self::Pixels) => true,
            (last, Self::End) => last == Self::Pixels,
            (last, next) => next > last,
        }
    }
}

/// Whether a chunk is as long as its fields permit (PNG specification, section 11).
fn has_length(chunk: &PngChunk) -> bool {
    let len = chunk.contents().len();
    match &chunk.kind() {
        b"IHDR" => len == 13,
        b"PLTE" => len.is_multiple_of(3) && (3..=768).contains(&len),
        b"tRNS" => len <= 256,
        b"IEND" => len == 0,
        _ => true,
    }
}

/// Whether a viewer must understand a chunk: its name begins with a capital letter.
fn is_critical(chunk: &PngChunk) -> bool {
    let [first, ..] = chunk.kind();
    !first.is_ascii_lowercase()
}

const fn damaged(what: &'static str) -> CleanError {
    CleanError::Damaged("PNG", what)
}

/// Number of kinds of chunks that are named to the user.
const MAX_NAMED: usize = 16;
