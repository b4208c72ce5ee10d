//! The limits of the hand-over, and what a file costs.

use circuits::level::Level;

use super::MAX_LIVE_PER_CONTACT;
use super::record::FileRecord;
use crate::node::circuits::level_without_circuits;
use crate::node::command::Refusal;
use crate::transfer::chunk::{CHUNK_LEN, FileSize};

/// Refuses a level at which files are not handed over. `command` is the one that was given, for the remedy.
///
/// # Errors
///
/// [`Refusal`] with the time that the file would take among cover traffic.
pub(super) fn check_level(
    asked: Option<Level>,
    default: Level,
    size: FileSize,
    command: &str,
) -> Result<(), Refusal> {
    let Some(level) = level_without_circuits(asked, default) else {
        return Ok(());
    };
    if level.is_mixing() {
        let seconds = size.bytes() / SLOT_BYTES_PER_SECOND;
        return Err(Refusal::policy(
            format!(
                "at level `{level}` the slots of the cover traffic carry {SLOT_BYTES_PER_SECOND} bytes a \
                 second, {} for this file, and this version hands files over at level `normal` only",
                time_in_words(seconds)
            ),
            format!(
                "name the level (`{command} --level normal`), at which an observer of both ends recognises the \
                 transfer at once, or exchange small files inside messages"
            ),
        ));
    }
    Err(Refusal::policy(
        format!("files are handed over at level `normal`, not at `{level}`"),
        format!("leave the level out, or name `normal` (`{command} --level normal`)"),
    ))
}

/// Refuses a further file of a contact while others are under way.
///
/// # Errors
///
/// [`Refusal`] with the limit.
pub(super) fn check_live(live: usize, contact: &str) -> Result<(), Refusal> {
    if live < MAX_LIVE_PER_CONTACT {
        return Ok(());
    }
    Err(Refusal::policy(
        format!("{live} files are under way with {contact}, the most at a time"),
        "wait until one is complete, or erase one (`whisht file erase`)",
    ))
}

/// Length of a chunk without the zeros that fill the last one, in bytes.
pub(super) fn chunk_len(size: FileSize, chunk: u32) -> usize {
    let before = u64::from(chunk).saturating_mul(CHUNK_BYTES);
    let left = size.bytes().saturating_sub(before).min(CHUNK_BYTES);
    usize::try_from(left).unwrap_or(CHUNK_LEN)
}

/// Bytes of a file that the receiving end lacks.
pub(super) fn missing_bytes(file: &FileRecord) -> u64 {
    let chunks = file.size.chunks();
    let missing = (0..chunks).filter(|chunk| !file.verified.contains(*chunk));
    u64::try_from(missing.count())
        .unwrap_or(u64::MAX)
        .saturating_mul(CHUNK_BYTES)
}

/// Bytes of a file that the receiving end has.
pub(super) fn verified_bytes(file: &FileRecord) -> u64 {
    let chunks = file.size.chunks();
    let present = (0..chunks).filter(|chunk| file.verified.contains(*chunk));
    let bytes = present.map(|chunk| u64::try_from(chunk_len(file.size, chunk)).unwrap_or(0));
    bytes.fold(0, u64::saturating_add)
}

/// Bytes that the sending end puts on its link, with padding and layers.
pub(super) fn sent_bytes(size: FileSize) -> u64 {
    cells(size).saturating_mul(LINK_BYTES_PER_CELL)
}

/// Seconds that the chunks take at least, at the rate to which relays hold a circuit.
pub(super) fn least_seconds(size: FileSize) -> u64 {
    cells(size).div_ceil(CELLS_PER_SECOND)
}

fn cells(size: FileSize) -> u64 {
    u64::from(size.padded_chunks()).saturating_mul(CELLS_PER_CHUNK)
}

/// A number of seconds in the unit that a user would choose.
fn time_in_words(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

/// Time that a file stays on this node after the last change of its step: 14 days.
pub(super) const RETENTION_SECS: u32 = 14 * 86_400;
/// Bytes of a file that the slots of cover traffic carry in a second: 796 in a cell, 0.3 cells a second.
const SLOT_BYTES_PER_SECOND: u64 = 239;
/// Cells that carry a chunk: 789 bytes in the first, 793 in each of the others.
const CELLS_PER_CHUNK: u64 = 83;
/// A cell in its frame on a link (docs/wire.md, "Frames").
const LINK_BYTES_PER_CELL: u64 = 976;
/// Rate to which relays hold a circuit.
const CELLS_PER_SECOND: u64 = 200;
const CHUNK_BYTES: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_with_cover_is_refused_with_its_time_and_the_option_that_permits_it() {
        let size = FileSize::new(20_000_000).unwrap();
        let check = |asked, default| check_level(asked, default, size, "whisht file accept 3");
        for (asked, default) in [
            (None, Level::Hush),
            (None, Level::Dark),
            (Some(Level::Dark), Level::Normal),
        ] {
            let refused = check(asked, default).unwrap_err();
            assert!(refused.cause.contains("24 h"), "{}", refused.cause);
            let remedy = "whisht file accept 3 --level normal";
            assert!(refused.remedy.contains(remedy), "{}", refused.remedy);
        }
        assert!(check(Some(Level::Swift), Level::Normal).is_err());
        assert!(check(None, Level::Open).is_ok());
        assert!(check(Some(Level::Normal), Level::Dark).is_ok());
    }

    #[test]
    fn last_chunk_has_what_is_left() {
        let size = FileSize::new(65_537).unwrap();
        assert_eq!(chunk_len(size, 0), 65_536);
        assert_eq!(chunk_len(size, 1), 1);
        assert_eq!(chunk_len(size, 2), 0);
    }
}
