//! Whole attempts between two sessions, over a circuit that ends where the test wants it.

use std::collections::BTreeMap;

use circuits::time::{Instant, UnixSecs};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::chunk::{CHUNK_LEN, Chunk, ChunkList, FileSize};
use super::chunk_set::ChunkSet;
use super::fault::TransferFault;
use super::frame::SealedPayload;
use super::receive::{ExpectedFile, ReceiveSession, ReceiveStep};
use super::schedule::AttemptId;
use super::secret::{AttemptKeys, FileSecret};
use super::send::{SendSession, SendStep};
use super::*;

mod attacks;
mod codec;
mod schedule;

const NOW: Instant = Instant::from_micros(5_000_000);

/// A file and what both ends know of it.
struct Scene {
    rng: ChaCha20Rng,
    secret: [u8; 32],
    chunks: Vec<Chunk>,
    list: ChunkList,
    /// What the receiver's disk has, and the durable set.
    disk: BTreeMap<u32, Vec<u8>>,
    durable: ChunkSet,
    attempts: u8,
}

impl Scene {
    fn new(bytes: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let mut content = vec![0; bytes];
        rng.fill_bytes(&mut content);
        let size = FileSize::new(u64::try_from(bytes).unwrap()).unwrap();
        let mut list = ChunkList::new(FileId([7; 16]), size);
        let chunks: Vec<Chunk> = content
            .chunks(CHUNK_LEN)
            .map(|bytes| Chunk::padded(bytes).unwrap())
            .collect();
        assert!(chunks.iter().all(|chunk| list.push(chunk)));
        Self {
            rng,
            secret,
            chunks,
            list,
            disk: BTreeMap::new(),
            durable: ChunkSet::new(size),
            attempts: 0,
        }
    }

    fn keys(&self) -> AttemptKeys {
        let attempt = AttemptId::new(UnixSecs(1_200_000_000), self.attempts % 10).unwrap();
        let mut secret = self.secret;
        FileSecret::take(&mut secret).attempt(attempt)
    }

    fn file(&self) -> ExpectedFile {
        ExpectedFile {
            id: self.list.id(),
            size: self.list.size(),
            root: self.list.root().unwrap(),
        }
    }

    fn sender(&mut self) -> SendSession {
        let keys = self.keys();
        SendSession::start(&mut self.rng, NOW, keys, self.list.clone())
    }

    fn receiver(&mut self) -> ReceiveSession {
        let (keys, file) = (self.keys(), self.file());
        ReceiveSession::start(&mut self.rng, NOW, keys, file, &self.durable)
    }

    fn is_whole(&self) -> bool {
        let expected = self.chunks.iter().map(Chunk::as_bytes);
        self.durable.is_full() && self.disk.values().map(Vec::as_slice).eq(expected)
    }

    /// One attempt over a circuit that ends after so many payloads.
    fn attempt(&mut self, payloads: usize) -> Outcome {
        let (mut sender, mut receiver) = (self.sender(), self.receiver());
        self.attempts += 1;
        let mut outcome = Outcome::default();
        loop {
            let before = outcome.payloads;
            self.serve_sender(&mut sender, &mut outcome);
            self.serve_receiver(&mut receiver, &mut outcome);
            while let Some(payload) = sender.poll_frame() {
                if outcome.payloads == payloads {
                    return outcome;
                }
                outcome.payloads += 1;
                receiver.receive(NOW, &payload);
                self.serve_receiver(&mut receiver, &mut outcome);
            }
            while let Some(payload) = receiver.poll_frame() {
                if outcome.payloads == payloads {
                    return outcome;
                }
                outcome.payloads += 1;
                sender.receive(NOW, &payload);
            }
            if outcome.payloads == before && outcome.asked == outcome.answered {
                return outcome;
            }
            outcome.answered = outcome.asked;
        }
    }

    fn serve_sender(&self, sender: &mut SendSession, outcome: &mut Outcome) {
        while let Some(step) = sender.poll_step() {
            match step {
                SendStep::NeedChunk(number) => {
                    outcome.asked += 1;
                    sender.chunk(number, &self.chunks[usize::try_from(number).unwrap()]);
                }
                SendStep::Done => outcome.sender = Some(Ok(())),
                SendStep::Failed(fault) => outcome.sender = Some(Err(fault)),
            }
        }
    }

    fn serve_receiver(&mut self, receiver: &mut ReceiveSession, outcome: &mut Outcome) {
        while let Some(step) = receiver.poll_step() {
            match step {
                ReceiveStep::StoreChunk(number, chunk) => {
                    self.disk.insert(number, chunk.as_bytes().to_vec());
                    assert!(self.durable.insert(number));
                    receiver.stored(number);
                }
                ReceiveStep::MarkPadding(number) => {
                    assert!(self.durable.insert(number));
                    receiver.stored(number);
                }
                ReceiveStep::Done => outcome.receiver = Some(Ok(())),
                ReceiveStep::Failed(fault) => outcome.receiver = Some(Err(fault)),
            }
        }
    }
}

/// What happened in an attempt.
#[derive(Debug, Default)]
struct Outcome {
    payloads: usize,
    asked: usize,
    answered: usize,
    sender: Option<Result<(), TransferFault>>,
    receiver: Option<Result<(), TransferFault>>,
}

#[test]
fn file_of_any_size_arrives_in_one_attempt() {
    let sizes = [
        1,
        2,
        CHUNK_LEN - 1,
        CHUNK_LEN,
        CHUNK_LEN + 1,
        5 * CHUNK_LEN,
        17 * CHUNK_LEN,
    ];
    for bytes in sizes {
        let mut scene = Scene::new(bytes, 1);
        let outcome = scene.attempt(usize::MAX);
        assert_eq!(outcome.sender, Some(Ok(())), "{bytes}");
        assert_eq!(outcome.receiver, Some(Ok(())), "{bytes}");
        assert!(scene.is_whole(), "{bytes}");
    }
}

#[test]
fn padding_chunks_travel_and_are_not_stored() {
    let mut scene = Scene::new(17 * CHUNK_LEN, 2);
    assert_eq!((scene.durable.total(), scene.chunks.len()), (18, 17));
    let outcome = scene.attempt(usize::MAX);
    assert_eq!((scene.disk.len(), outcome.asked), (17, 17));
    assert!(outcome.payloads > 18 * 83);
}

#[test]
fn circuit_that_dies_at_any_payload_costs_only_what_was_not_durable() {
    let bytes = CHUNK_LEN + 10;
    let whole = Scene::new(bytes, 3).attempt(usize::MAX).payloads;
    assert!(whole > 2 * 83);
    for cut in 0..whole {
        let mut scene = Scene::new(bytes, 3);
        let _first = scene.attempt(cut);
        let missing = 2 - usize::try_from(scene.durable.count()).unwrap();
        let second = scene.attempt(usize::MAX);
        assert_eq!(
            (second.sender, second.receiver),
            (Some(Ok(())), Some(Ok(())))
        );
        assert!(scene.is_whole(), "cut at {cut}");
        assert_eq!(second.asked, missing, "cut at {cut}");
    }
}

#[test]
fn chunk_that_was_not_durable_before_a_kill_comes_again() {
    let mut scene = Scene::new(3 * CHUNK_LEN, 4);
    let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
    let mut outcome = Outcome::default();
    let mut stored = 0;
    while stored == 0 {
        scene.serve_sender(&mut sender, &mut outcome);
        while let Some(payload) = receiver.poll_frame() {
            sender.receive(NOW, &payload);
        }
        while let Some(payload) = sender.poll_frame() {
            receiver.receive(NOW, &payload);
        }
        while let Some(step) = receiver.poll_step() {
            assert!(matches!(step, ReceiveStep::StoreChunk(..)));
            stored += 1;
        }
    }
    // The node dies before the disk answers: the next attempt begins at the first chunk.
    scene.attempts += 1;
    let second = scene.attempt(usize::MAX);
    assert_eq!(second.asked, 3);
    assert!(scene.is_whole());
}

#[test]
fn receiver_that_has_everything_ends_hand_over_without_data() {
    let mut scene = Scene::new(3 * CHUNK_LEN, 5);
    scene.attempt(usize::MAX);
    let again = scene.attempt(usize::MAX);
    assert_eq!((again.sender, again.receiver), (Some(Ok(())), Some(Ok(()))));
    assert!(again.payloads < 6 && again.asked == 0, "{again:?}");
}

#[test]
fn receiver_that_stores_nothing_holds_at_most_256_frames() {
    let mut scene = Scene::new(20 * CHUNK_LEN, 6);
    let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
    let (mut outcome, mut frames, mut held) = (Outcome::default(), 0, 0);
    for _ in 0..50 {
        scene.serve_sender(&mut sender, &mut outcome);
        while let Some(payload) = receiver.poll_frame() {
            sender.receive(NOW, &payload);
        }
        while let Some(payload) = sender.poll_frame() {
            receiver.receive(NOW, &payload);
            frames += 1;
        }
        while let Some(step) = receiver.poll_step() {
            assert!(matches!(step, ReceiveStep::StoreChunk(..)), "{step:?}");
            held += 1;
        }
    }
    // Hello and leaves are taken at once; the data stops at the window.
    assert!(
        frames <= 2 + 256 && held == 3,
        "{frames} frames, {held} chunks"
    );
    assert_eq!(outcome.sender, None);
}

#[test]
fn silent_ends_give_up_at_their_deadlines() {
    let mut scene = Scene::new(10, 7);
    let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
    let deadline = sender.deadline().unwrap();
    assert_eq!(deadline.since(NOW).as_secs(), 120);
    sender.on_time(deadline.before(core::time::Duration::from_micros(1)));
    assert!(sender.poll_step().is_none());
    sender.on_time(deadline);
    let failed = sender.poll_step().unwrap();
    assert!(matches!(
        failed,
        SendStep::Failed(TransferFault::NoHello { secs: 120 })
    ));
    assert!(sender.poll_step().is_none() && sender.deadline().is_none());
    assert!(sender.poll_frame().is_none());

    let mut other = scene.sender();
    receiver.receive(NOW, &other.poll_frame().unwrap());
    let deadline = receiver.deadline().unwrap();
    assert_eq!(deadline.since(NOW).as_secs(), 60);
    receiver.on_time(deadline);
    let failed = receiver.poll_step().unwrap();
    assert!(matches!(
        failed,
        ReceiveStep::Failed(TransferFault::Silent { secs: 60 })
    ));
}

#[test]
fn end_that_stops_tells_the_other_one_why() {
    let mut scene = Scene::new(10, 8);
    let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
    receiver.receive(NOW, &sender.poll_frame().unwrap());
    sender.receive(NOW, &receiver.poll_frame().unwrap());
    receiver.stop(frame::StopReason::Disk);
    let last = receiver.poll_frame().unwrap();
    assert!(receiver.poll_frame().is_none());
    sender.receive(NOW, &last);
    let disk = frame::StopReason::Disk;
    let told = TransferFault::StoppedByPeer(disk);
    assert!(matches!(sender.poll_step(), Some(SendStep::Failed(fault)) if fault == told));
    let own = TransferFault::Stopped(disk);
    assert!(matches!(receiver.poll_step(), Some(ReceiveStep::Failed(fault)) if fault == own));
}

#[test]
fn attempt_that_is_made_twice_uses_no_key_twice() {
    let mut scene = Scene::new(10, 9);
    let first = first_frames(&mut scene);
    let second = first_frames(&mut scene);
    for (one, other) in first.iter().zip(&second) {
        // Equal plaintexts under one key and one counter would differ in no byte.
        let equal = one.iter().zip(other.iter()).filter(|(a, b)| a == b).count();
        assert!(equal < 40, "{equal} bytes are equal");
    }
}

/// The hello and the first frame of a sender in the same attempt.
fn first_frames(scene: &mut Scene) -> [SealedPayload; 2] {
    let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
    let hello = sender.poll_frame().unwrap();
    sender.receive(NOW, &receiver.poll_frame().unwrap());
    [hello, sender.poll_frame().unwrap()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn file_arrives_whole_whatever_circuits_die(
        bytes in 1_usize..6 * CHUNK_LEN,
        cuts in prop::collection::vec(0_usize..400, 0..6),
        seed: u64,
    ) {
        let mut scene = Scene::new(bytes, seed);
        let mut known = 0;
        for cut in cuts {
            let _outcome = scene.attempt(cut);
            prop_assert!(scene.durable.count() >= known);
            known = scene.durable.count();
        }
        let last = scene.attempt(usize::MAX);
        prop_assert_eq!((last.sender, last.receiver), (Some(Ok(())), Some(Ok(()))));
        prop_assert!(scene.is_whole());
    }
}
