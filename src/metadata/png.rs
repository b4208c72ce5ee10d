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
    let mut last = Place::Start;
    for chunk in picture.chunks() {
        if let Some(place) = Place::of(chunk) {
            if !place.may_follow(last) || !has_length(chunk) {
                return Err(damaged(
                    "its chunks are not in order, or not as long as their fields",
                ));
            }
            last = place;
            keep(&mut kept, chunk)?;
        } else if is_critical(chunk) {
            return Err(CleanError::UnknownPart);
        } else {
            let name = String::from_utf8_lossy(&chunk.kind()).into_owned();
            if !removed.contains(&name) {
                removed.push(name);
            }
        }
    }
    if last != Place::End {
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
enum Place {
    Start,
    Header,
    Palette,
    Transparency,
    Pixels,
    End,
}

impl Place {
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

fn keep(kept: &mut Vec<u8>, chunk: &PngChunk) -> Result<(), CleanError> {
    let content = chunk.contents();
    let len = u32::try_from(content.len()).map_err(|_| CleanError::TooLong)?;
    let start = kept.len();
    kept.extend_from_slice(&len.to_be_bytes());
    kept.extend_from_slice(&chunk.kind());
    kept.extend_from_slice(content);
    let covered = kept.get(start.saturating_add(4)..).unwrap_or_default();
    let sum = checksum(covered);
    kept.extend_from_slice(&sum.to_be_bytes());
    Ok(())
}

/// CRC-32 as PNG defines it (annex D).
fn checksum(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    });
    !sum
}

const fn damaged(what: &'static str) -> CleanError {
    CleanError::Damaged("PNG", what)
}
