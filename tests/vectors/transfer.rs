//! Offers, answers, chunks and whole sessions of a hand-over, against an independent program.

use circuits::ids::RelayId;
use circuits::time::{Instant, UnixSecs};
use serde_json::Value;
use sha2::{Digest, Sha256};
use whisht::transfer::FileId;
use whisht::transfer::answer::{FileAnswer, FileVerdict};
use whisht::transfer::chunk::{CHUNK_LEN, Chunk, ChunkList, ChunkRoot, FileSize, padme};
use whisht::transfer::chunk_set::ChunkSet;
use whisht::transfer::frame::SealedPayload;
use whisht::transfer::offer::FileOffer;
use whisht::transfer::receive::{ExpectedFile, ReceiveSession, ReceiveStep};
use whisht::transfer::schedule::{AttemptId, AttemptSchedule, RelayPlaces};
use whisht::transfer::secret::{AttemptKeys, FileSecret};
use whisht::transfer::send::{SendSession, SendStep};

use crate::contact_first::RecordedRng;
use crate::{array, bytes, cases, int, text};

const FILE: &str = "transfer";
const NOW: Instant = Instant::ZERO;

#[test]
fn padded_numbers_of_chunks_are_the_recorded_ones() {
    for case in cases(FILE, "padme") {
        assert_eq!(padme(int(&case[0])), int::<u32>(&case[1]), "{case}");
    }
}

/// The content of a recorded file.
fn content(length: usize) -> Vec<u8> {
    let blocks = (0_u32..).flat_map(|block| {
        let digest = Sha256::new_with_prefix(b"content");
        let digest: [u8; 32] = digest.chain_update(block.to_be_bytes()).finalize().into();
        digest
    });
    blocks.take(length).collect()
}

fn chunks(case: &Value) -> Vec<Chunk> {
    let content = content(int(&case["length"]));
    let chunks = content.chunks(CHUNK_LEN);
    chunks.map(|bytes| Chunk::padded(bytes).unwrap()).collect()
}

fn list(case: &Value) -> ChunkList {
    let size = FileSize::new(int(&case["length"])).unwrap();
    let mut list = ChunkList::new(FileId(array(&case["id"])), size);
    assert!(chunks(case).iter().all(|chunk| list.push(chunk)));
    list
}

#[test]
fn leaves_and_root_of_recorded_file_are_the_recorded_ones() {
    for case in cases(FILE, "files") {
        let list = list(&case);
        assert_eq!(list.leaves(), bytes(&case["leaves"]));
        assert_eq!(list.root(), Some(ChunkRoot(array(&case["root"]))));
        let padded = list.size().padded_chunks();
        assert_eq!(padded, int::<u32>(&case["padded_chunks"]));
        let mut altered = list.leaves().to_vec();
        altered[0] ^= 1;
        let altered = ChunkList::from_leaves(list.id(), list.size(), &altered).unwrap();
        assert_ne!(altered.root(), list.root());
    }
}

#[test]
fn recorded_offer_is_read_and_written() {
    for case in cases(FILE, "offers") {
        let recorded = bytes(&case["bytes"]);
        let offer = FileOffer::decode(&recorded).unwrap();
        assert_eq!(offer.encode().as_slice(), recorded);
        assert_eq!(offer.id, FileId(array(&case["id"])));
        assert_eq!(offer.secret.expose(), &array(&case["secret"]));
        assert_eq!(offer.size.bytes(), int::<u64>(&case["length"]));
        assert_eq!(offer.root, ChunkRoot(array(&case["root"])));
        assert_eq!(offer.name.as_str(), text(&case["name"]));
        let relays = case["relays"].as_array().unwrap().iter();
        let relays: Vec<RelayId> = relays.map(|relay| RelayId(array(relay))).collect();
        assert_eq!(offer.relays, relays);
    }
}

#[test]
fn recorded_answer_is_read_and_written() {
    for case in cases(FILE, "answers") {
        let recorded = bytes(&case["bytes"]);
        let answer = FileAnswer::decode(&recorded).unwrap();
        assert_eq!(answer.encode(), recorded);
        assert_eq!(answer.id, FileId(array(&case["id"])));
        let expected = match text(&case["verdict"]) {
            "declined" => FileVerdict::Declined,
            "other relays" => {
                let relays = case["relays"].as_array().unwrap().iter();
                FileVerdict::OtherRelays(relays.map(|relay| RelayId(array(relay))).collect())
            }
            "accepted" => {
                let start = UnixSecs(int(&case["start"]));
                let places = RelayPlaces::new([int(&case["places"][0]), int(&case["places"][1])]);
                let schedule = AttemptSchedule::new(start, places.unwrap());
                FileVerdict::Accepted(schedule.unwrap())
            }
            _ => FileVerdict::Received,
        };
        assert_eq!(answer.verdict, expected);
    }
}

fn keys(case: &Value) -> AttemptKeys {
    let attempt = AttemptId::new(UnixSecs(int(&case["start"])), int(&case["number"]));
    FileSecret::take(&mut array(&case["secret"])).attempt(attempt.unwrap())
}

#[test]
fn cookie_of_recorded_attempt_is_the_recorded_one() {
    for case in cases(FILE, "attempts") {
        assert_eq!(keys(&case).cookie(), array(&case["cookie"]));
    }
}

fn sender(case: &Value) -> SendSession {
    let mut salt = RecordedRng::new(bytes(&case["salts"][0]));
    SendSession::start(&mut salt, NOW, keys(case), list(case))
}

fn receiver(case: &Value) -> ReceiveSession {
    let list = list(case);
    let file = ExpectedFile {
        id: list.id(),
        size: list.size(),
        root: ChunkRoot(array(&case["root"])),
    };
    let mut durable = ChunkSet::new(list.size());
    for number in 0..int(&case["present"]) {
        assert!(durable.insert(number));
    }
    let mut salt = RecordedRng::new(bytes(&case["salts"][1]));
    ReceiveSession::start(&mut salt, NOW, keys(case), file, &durable)
}

fn payload(value: &Value) -> SealedPayload {
    Box::new(array(value))
}

#[test]
fn recorded_session_is_made_again_by_both_ends() {
    for case in cases(FILE, "sessions") {
        let (mut sender, mut receiver) = (sender(&case), receiver(&case));
        let chunks = chunks(&case);
        let from_sender = |at: usize| payload(&case["sender"][at]);
        let from_receiver = |at: usize| payload(&case["receiver"][at]);

        assert_eq!(sender.poll_frame(), Some(from_sender(0)));
        assert_eq!(receiver.poll_frame(), Some(from_receiver(0)));
        sender.receive(NOW, &from_receiver(0));
        receiver.receive(NOW, &from_sender(0));
        assert_eq!(receiver.poll_frame(), Some(from_receiver(1)));
        sender.receive(NOW, &from_receiver(1));
        assert_eq!(sender.poll_frame(), Some(from_sender(1)));
        receiver.receive(NOW, &from_sender(1));

        let (mut frames, mut digest) = (0_u64, Sha256::new());
        loop {
            while let Some(SendStep::NeedChunk(number)) = sender.poll_step() {
                sender.chunk(number, &chunks[usize::try_from(number).unwrap()]);
            }
            let Some(data) = sender.poll_frame() else {
                break;
            };
            frames += 1;
            digest.update(data.as_slice());
            receiver.receive(NOW, &data);
        }
        assert_eq!(frames, int::<u64>(&case["data_frames"]));
        assert_eq!(digest.finalize().as_slice(), bytes(&case["data_hash"]));

        let steps = core::iter::from_fn(|| receiver.poll_step());
        let stored: Vec<u32> = steps
            .map(|step| match step {
                ReceiveStep::StoreChunk(number, _) => number,
                step => panic!("{step:?}"),
            })
            .collect();
        assert_eq!(stored, (int(&case["present"])..2).collect::<Vec<u32>>());
        stored.iter().for_each(|number| receiver.stored(*number));
        assert_eq!(receiver.poll_frame(), Some(from_receiver(2)));
        sender.receive(NOW, &from_receiver(2));
        assert!(matches!(sender.poll_step(), Some(SendStep::Done)));
        assert!(matches!(receiver.poll_step(), Some(ReceiveStep::Done)));
    }
}

#[test]
fn recorded_payload_with_one_altered_byte_is_refused() {
    for case in cases(FILE, "sessions") {
        for at in (0..812).step_by(11) {
            let mut altered = payload(&case["receiver"][0]);
            altered[at] ^= 0x20;
            let mut sender = sender(&case);
            sender.receive(NOW, &altered);
            assert!(
                matches!(sender.poll_step(), Some(SendStep::Failed(_))),
                "{at}"
            );
            let mut altered = payload(&case["sender"][0]);
            altered[at] ^= 0x20;
            let mut receiver = receiver(&case);
            receiver.receive(NOW, &altered);
            assert!(
                matches!(receiver.poll_step(), Some(ReceiveStep::Failed(_))),
                "{at}"
            );
        }
    }
}
