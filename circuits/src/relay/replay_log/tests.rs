use super::*;
use crate::keys::OnionSecret;
use crate::relay::ReplaySetError;
use crate::secret::Secret;

const EPOCH: Epoch = Epoch(7);

fn key(seed: u8) -> OnionPublic {
    *OnionSecret::from_secret(Secret::init_with(|bytes| bytes.fill(seed))).public()
}

fn tags(range: core::ops::Range<u8>) -> Vec<ReplayTag> {
    range.map(|number| ReplayTag([number; 16])).collect()
}

/// A log of three blocks, and the offset at which each of them ends.
fn sample() -> (Vec<u8>, Vec<usize>) {
    let (mut log, mut file) = ReplayLog::create(EPOCH, &key(1));
    let mut ends = vec![file.len()];
    for range in [0..3, 3..4, 4..40] {
        file.extend(log.append(&tags(range)));
        ends.push(file.len());
    }
    (file, ends)
}

fn read(file: &[u8]) -> Result<(ReplayLog, ReplaySet), ReplayLogError> {
    ReplayLog::read(file, EPOCH, &key(1), 1_000)
}

#[test]
fn log_read_returns_all_tags_and_can_be_continued() {
    let (mut file, _) = sample();
    let (mut log, _) = read(&file).unwrap();
    file.extend(log.append(&tags(40..50)));
    let (_, mut seen) = read(&file).unwrap();
    assert_eq!(seen.len(), 50);
    for tag in tags(0..50) {
        assert_eq!(seen.insert(tag), Err(ReplaySetError::Seen));
    }
}

#[test]
fn log_append_without_tags_writes_nothing() {
    let (mut log, header) = ReplayLog::create(EPOCH, &key(1));
    assert!(log.append(&[]).is_empty());
    assert!(read(&header).unwrap().1.is_empty());
}

#[test]
fn log_truncated_within_block_is_refused() {
    let (file, ends) = sample();
    for len in (0..file.len()).filter(|len| !ends.contains(len)) {
        assert!(read(&file[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn log_with_any_flipped_bit_is_refused() {
    let (file, _) = sample();
    for bit in 0..file.len() * 8 {
        let mut bad = file.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn log_with_missing_or_moved_block_is_refused() {
    let (file, ends) = sample();
    let block = |n: usize| &file[ends[n - 1]..ends[n]];
    let header = &file[..ends[0]];
    for order in [&[2, 3][..], &[1, 3], &[2, 1, 3], &[1, 1, 2, 3]] {
        let blocks = order.iter().map(|n| block(*n));
        let bad = std::iter::once(header)
            .chain(blocks)
            .collect::<Vec<_>>()
            .concat();
        assert_eq!(
            read(&bad).unwrap_err(),
            ReplayLogError::Corrupt,
            "{order:?}"
        );
    }
}

/// The length to which the log must be cut.
fn torn_at(file: &[u8]) -> Option<usize> {
    ReplayLog::torn_at(file, EPOCH, &key(1))
}

#[test]
fn log_interrupted_in_mid_write_keeps_all_blocks_before() {
    let (file, ends) = sample();
    assert_eq!(torn_at(&file), None, "a complete log is not cut");
    for len in ends[0]..file.len() {
        let torn = file.get(..len).unwrap();
        let sound = *ends.iter().rfind(|end| **end <= len).unwrap();
        if sound == len {
            assert_eq!(torn_at(torn), None, "{len} bytes");
            continue;
        }
        assert_eq!(torn_at(torn), Some(sound), "{len} bytes");
        let (_, seen) = read(file.get(..sound).unwrap()).unwrap();
        let blocks = ends.iter().position(|end| *end == sound).unwrap();
        assert_eq!(Some(&seen.len()), [0, 3, 4, 40].get(blocks));
    }
}

#[test]
fn log_lengthened_by_zeros_is_refused_but_can_be_cut() {
    // A file system may lengthen a file before it writes the content.
    let (file, ends) = sample();
    let end = |n: usize| *ends.get(n).unwrap();
    for (kept, sound) in [
        (end(3), end(3)),
        (end(2), end(2)),
        (end(2) + 8, end(2)),
        (end(2) + 8 + 16 * 9, end(2)),
    ] {
        let mut lengthened = file.clone();
        lengthened.truncate(kept);
        lengthened.resize(file.len().max(kept) + 4_096, 0);
        assert!(read(&lengthened).is_err(), "{kept} bytes");
        assert_eq!(torn_at(&lengthened), Some(sound), "{kept} bytes");
    }
}

#[test]
fn log_with_any_flipped_bit_is_never_cut() {
    let (file, _) = sample();
    for bit in 0..file.len() * 8 {
        let mut bad = file.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(torn_at(&bad), None, "bit {bit}");
    }
}

#[test]
fn log_of_format_1_is_read_and_continued_but_never_cut() {
    let old_header = header(Format::One, EPOCH, &key(1));
    let mut old = ReplayLog::after_header(Format::One, &old_header);
    let mut file = old_header;
    file.extend(old.append(&tags(0..5)));
    let (mut log, seen) = read(&file).unwrap();
    assert_eq!(seen.len(), 5);
    file.extend(log.append(&tags(5..9)));
    assert_eq!(read(&file).unwrap().1.len(), 9);
    // 1 count of 2 bytes, tags of 16 bytes, and a check of 16 bytes in each block.
    assert_eq!(file.len(), HEADER_LEN + 2 * (2 + 16) + 9 * 16);
    file.pop();
    assert!(read(&file).is_err());
    assert_eq!(torn_at(&file), None);
}

#[test]
fn log_of_other_key_or_epoch_is_refused() {
    let (file, _) = sample();
    for (epoch, seed) in [(Epoch(8), 1), (EPOCH, 2)] {
        let result = ReplayLog::read(&file, epoch, &key(seed), 1_000);
        assert_eq!(result.unwrap_err(), ReplayLogError::Foreign);
    }
}

#[test]
fn log_longer_than_limit_gives_full_set_with_all_tags() {
    let (file, _) = sample();
    let (_, mut seen) = ReplayLog::read(&file, EPOCH, &key(1), 10).unwrap();
    assert_eq!(seen.len(), 40);
    assert!(seen.is_full());
    assert_eq!(seen.insert(ReplayTag([39; 16])), Err(ReplaySetError::Seen));
    assert_eq!(seen.insert(ReplayTag([99; 16])), Err(ReplaySetError::Full));
}

#[test]
fn log_append_splits_tags_over_block_limit() {
    let (mut log, mut file) = ReplayLog::create(EPOCH, &key(1));
    let many: Vec<_> = (0..65_600_u32)
        .map(|number| {
            let mut tag = ReplayTag([0; 16]);
            tag.0[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
            tag
        })
        .collect();
    file.extend(log.append(&many));
    assert_eq!(read(&file).unwrap().1.len(), many.len());
}
