//! Offers, answers, frames, sets of chunks: what is written is read again, and nothing else is.

use circuits::ids::RelayId;

use super::*;
use crate::transfer::answer::{FileAnswer, FileVerdict};
use crate::transfer::chunk::{ChunkRoot, padme};
use crate::transfer::frame::{BadFrame, BulkFrame, FRAME_LEN, StopReason};
use crate::transfer::offer::{FileName, FileOffer};
use crate::transfer::schedule::{AttemptSchedule, RelayPlaces};

fn offer(name: &str, relays: &[u8]) -> FileOffer {
    FileOffer {
        id: FileId([1; 16]),
        secret: FileSecret::take(&mut [2; 32]),
        size: FileSize::new(20_000_000).unwrap(),
        root: ChunkRoot([3; 32]),
        name: FileName::new(name).unwrap(),
        relays: relays.iter().map(|byte| RelayId([*byte; 32])).collect(),
    }
}

#[test]
fn offer_is_read_as_it_was_written() {
    let long = "n".repeat(64);
    for (name, relays) in [("a", &[9][..]), (&long, &[6, 7, 8, 9])] {
        let bytes = offer(name, relays).encode();
        let read = FileOffer::decode(&bytes).unwrap();
        assert_eq!(read.encode(), bytes);
        assert_eq!(
            (read.name.as_str(), read.relays.len()),
            (name, relays.len())
        );
        assert_eq!((read.size.chunks(), read.size.padded_chunks()), (306, 320));
        assert_eq!(read.secret.expose(), &[2; 32]);
        for len in 0..bytes.len() {
            assert!(FileOffer::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(FileOffer::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn offer_with_field_out_of_range_is_refused() {
    let refused = |alter: fn(&mut Vec<u8>)| {
        let mut bytes = offer("abcd", &[8, 9]).encode().to_vec();
        alter(&mut bytes);
        FileOffer::decode(&bytes).unwrap_err()
    };
    assert_eq!(refused(|b| b[48..56].fill(0)), BadFilePart::Field("size"));
    assert_eq!(refused(|b| b[48] = 1), BadFilePart::Field("size"));
    let chunks = BadFilePart::Field("number of chunks");
    assert_eq!(refused(|b| b[59] ^= 1), chunks);
    for byte in [0, b'/', b'\\', b'\n', 0xff] {
        let mut bytes = offer("abcd", &[8, 9]).encode().to_vec();
        bytes[94] = byte;
        let name = Err(BadFilePart::Field("name"));
        assert_eq!(FileOffer::decode(&bytes).map(|_| ()), name, "{byte}");
    }
    let twice = BadFilePart::Field("a relay is named twice");
    assert_eq!(refused(|b| b[98..].fill(8)), twice);
    assert_eq!(refused(|b| b.truncate(97)), BadFilePart::Length);
    let none = |b: &mut Vec<u8>| {
        b.truncate(98);
        b[97] = 0;
    };
    assert_eq!(refused(none), BadFilePart::Field("no relay"));
    assert_eq!(
        refused(|b| b[97] = 5),
        BadFilePart::Field("more than four relays")
    );
}

#[test]
fn name_that_could_name_another_place_is_refused() {
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a\0",
        "\u{85}",
        &"x".repeat(65),
    ] {
        assert!(FileName::new(name).is_none(), "{name:?}");
    }
    assert!(FileName::new("Bericht 3.pdf").is_some());
}

#[test]
fn answer_is_read_as_it_was_written() {
    let schedule =
        AttemptSchedule::new(UnixSecs(1_800_000_000), RelayPlaces::new([3, 1]).unwrap()).unwrap();
    let verdicts = [
        FileVerdict::Declined,
        FileVerdict::OtherRelays(vec![RelayId([4; 32]), RelayId([5; 32])]),
        FileVerdict::Accepted(schedule),
        FileVerdict::Received,
    ];
    for verdict in verdicts {
        let answer = FileAnswer {
            id: FileId([6; 16]),
            verdict,
        };
        let bytes = answer.encode();
        assert_eq!(FileAnswer::decode(&bytes), Ok(answer));
        for len in 0..bytes.len() {
            assert!(FileAnswer::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(FileAnswer::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn answer_with_field_out_of_range_is_refused() {
    let decode = |rest: &[u8]| FileAnswer::decode(&[&[6; 16], rest].concat()).unwrap_err();
    assert_eq!(decode(&[3]), BadFilePart::Field("verdict"));
    let yes = |start: u64, places: [u8; 2]| [&[1][..], &start.to_be_bytes(), &places].concat();
    assert_eq!(
        decode(&yes(1_800_000_001, [0, 1])),
        BadFilePart::Field("start")
    );
    assert_eq!(decode(&yes(1 << 40, [0, 1])), BadFilePart::Field("start"));
    for places in [[4, 0], [0, 4]] {
        let refused = decode(&yes(1_800_000_000, places));
        assert_eq!(refused, BadFilePart::Field("place of a relay"));
    }
}

#[test]
fn frame_is_read_as_it_was_written() {
    let leaves = [5; 24 * 32];
    let frames = [
        BulkFrame::Leaves {
            first: 70_000,
            leaves: &leaves,
        },
        BulkFrame::Leaves {
            first: 0,
            leaves: &leaves[..32],
        },
        BulkFrame::Data(&[7; 793]),
        BulkFrame::Data(&[7]),
        BulkFrame::Credit(1),
        BulkFrame::Credit(u16::MAX),
        BulkFrame::Done,
        BulkFrame::Stop(StopReason::Cancelled),
        BulkFrame::Stop(StopReason::Gone),
        BulkFrame::Padding,
    ];
    for frame in frames {
        let bytes = frame.encode().unwrap();
        assert!(BulkFrame::decode(&bytes) == Ok(frame), "{frame:?}");
        // The rest is zero: a frame has no room for what its reader does not see.
        if bytes[FRAME_LEN - 1] == 0 {
            let mut altered = bytes.clone();
            altered[FRAME_LEN - 1] = 1;
            assert_eq!(BulkFrame::decode(&altered).err(), Some(BadFrame::Rest));
        }
    }
    assert!(BulkFrame::Data(&[7; 794]).encode().is_none());
}

#[test]
fn frame_outside_its_format_is_refused() {
    let decode = |head: &[u8]| {
        let mut frame = [0; FRAME_LEN];
        frame[..head.len()].copy_from_slice(head);
        BulkFrame::decode(&frame).map(|_| ()).unwrap_err()
    };
    assert_eq!(decode(&[0, 0, 0]), BadFrame::Kind(0));
    assert_eq!(decode(&[1, 0, 0]), BadFrame::Kind(1));
    assert_eq!(decode(&[99, 0, 0]), BadFrame::Kind(99));
    assert_eq!(decode(&[2, 0, 4]), BadFrame::Length);
    assert_eq!(decode(&[2, 0, 35]), BadFrame::Length);
    assert_eq!(decode(&[3, 0, 0]), BadFrame::Length);
    assert_eq!(decode(&[3, 3, 26]), BadFrame::Length);
    assert_eq!(decode(&[4, 0, 1, 5]), BadFrame::Length);
    assert_eq!(decode(&[4, 0, 2]), BadFrame::Field);
    assert_eq!(decode(&[4, 0, 3, 0, 1]), BadFrame::Length);
    assert_eq!(decode(&[5, 0, 1]), BadFrame::Length);
    assert_eq!(decode(&[6, 0, 1]), BadFrame::Field);
    assert_eq!(decode(&[6, 0, 1, 200]), BadFrame::Field);
    assert_eq!(decode(&[7, 0, 1]), BadFrame::Length);
}

#[test]
fn padme_adds_at_most_twelve_percent() {
    let known = [
        (1, 1),
        (2, 2),
        (3, 3),
        (7, 7),
        (9, 10),
        (17, 18),
        (306, 320),
        (16_384, 16_384),
    ];
    for (number, padded) in known {
        assert_eq!(padme(number), padded, "{number}");
    }
    for number in 1..20_000_u32 {
        let padded = padme(number);
        assert!(
            padded >= number && (padded - number) * 100 <= number * 12,
            "{number}"
        );
        assert_eq!(padme(padded), padded);
    }
    let largest = FileSize::new(16 << 30).unwrap();
    assert_eq!(
        (largest.chunks(), largest.padded_chunks()),
        (262_144, 262_144)
    );
    assert!(FileSize::new(0).is_none() && FileSize::new((16 << 30) + 1).is_none());
}

#[test]
fn list_of_chunks_depends_on_every_chunk_and_on_the_size() {
    let root = |bytes: &[u8], id: u8| {
        let size = FileSize::new(bytes.len().try_into().unwrap()).unwrap();
        let mut list = ChunkList::new(FileId([id; 16]), size);
        for chunk in bytes.chunks(CHUNK_LEN) {
            assert!(list.root().is_none());
            assert!(list.push(&Chunk::padded(chunk).unwrap()));
        }
        assert!(!list.push(&Chunk::zeros()));
        let again = ChunkList::from_leaves(list.id(), size, list.leaves()).unwrap();
        assert!(again == list && again.is_complete());
        list.root().unwrap()
    };
    let base = root(&[1; CHUNK_LEN + 5], 1);
    assert!(base == root(&[1; CHUNK_LEN + 5], 1));
    assert!(base != root(&[1; CHUNK_LEN + 5], 2));
    // A zero more at the end has the same chunks, and another size.
    assert!(root(&[0; 5], 1) != root(&[0; 6], 1));
    let mut altered = [1; CHUNK_LEN + 5];
    altered[CHUNK_LEN + 4] = 2;
    assert!(base != root(&altered, 1));
}

proptest! {
    #[test]
    fn set_of_chunks_survives_store_and_hello(
        chunks in 1_u64..3_000,
        numbers in prop::collection::vec(0_u32..3_100, 0..60),
    ) {
        let size = FileSize::new(chunks * 65_536).unwrap();
        let mut set = ChunkSet::new(size);
        for number in &numbers {
            let fresh = *number < set.total() && !set.contains(*number);
            prop_assert_eq!(set.insert(*number), fresh);
        }
        let stored = ChunkSet::from_bytes(size, set.to_bytes()).unwrap();
        prop_assert!(stored == set);
        // 60 chunks are at most 60 runs of present ones.
        prop_assert!(ChunkSet::from_runs(size, &set.to_runs()).unwrap() == set);
        let missing = (0..set.total()).find(|number| !set.contains(*number));
        prop_assert_eq!(set.missing_from(0), missing);
        for number in &numbers {
            set.remove(*number);
        }
        prop_assert!(set == ChunkSet::new(size));
    }
}

#[test]
fn set_with_more_runs_than_a_hello_holds_is_announced_in_part() {
    let size = FileSize::new(1_000 * 65_536).unwrap();
    let mut set = ChunkSet::new(size);
    for number in (1..1_000).step_by(2) {
        assert!(set.insert(number));
    }
    let runs = set.to_runs();
    assert_eq!(runs.len(), 128 * 4);
    let announced = ChunkSet::from_runs(size, &runs).unwrap();
    assert_eq!(announced.count(), 64);
    assert!((0..set.total()).all(|number| set.contains(number) || !announced.contains(number)));
}

#[test]
fn stored_set_of_another_length_or_with_spare_bits_is_refused() {
    let size = FileSize::new(3 * 65_536).unwrap();
    assert!(ChunkSet::from_bytes(size, &[0xe0]).unwrap().is_full());
    for bytes in [&[][..], &[0xf0], &[0, 0], &[1]] {
        assert!(ChunkSet::from_bytes(size, bytes).is_none(), "{bytes:?}");
    }
}
