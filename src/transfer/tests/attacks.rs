//! Ends that break the rules, and relays that touch what they carry.

use super::*;
use crate::transfer::channel::Channel;
use crate::transfer::frame::{BadFrame, BulkFrame, BulkHello, PAYLOAD_LEN, StopReason};
use crate::transfer::secret::FileEnd;

/// An end that knows the keys and says what the test wants.
struct Hostile {
    channel: Channel,
}

impl Hostile {
    fn new(scene: &mut Scene, own: FileEnd, runs: Vec<u8>) -> Self {
        let keys = scene.keys();
        Self {
            channel: Channel::new(&mut scene.rng, keys, own, BulkHello { runs }),
        }
    }

    /// Exchanges hellos with a receiver.
    fn meet_receiver(scene: &mut Scene) -> (Self, ReceiveSession) {
        let mut own = Self::new(scene, FileEnd::Sender, Vec::new());
        let mut receiver = scene.receiver();
        receiver.receive(NOW, &own.channel.take_hello().unwrap());
        let hello = receiver.poll_frame().unwrap();
        own.channel.accept_hello(&hello).unwrap();
        (own, receiver)
    }

    /// Exchanges hellos with a sender.
    fn meet_sender(scene: &mut Scene, runs: Vec<u8>) -> (Self, SendSession) {
        let mut own = Self::new(scene, FileEnd::Receiver, runs);
        let mut sender = scene.sender();
        let hello = sender.poll_frame().unwrap();
        own.channel.accept_hello(&hello).unwrap();
        sender.receive(NOW, &own.channel.take_hello().unwrap());
        (own, sender)
    }

    fn seal(&mut self, frame: &BulkFrame<'_>) -> SealedPayload {
        self.channel.seal(frame).unwrap()
    }

    /// Sends the true leaves of the file.
    fn send_leaves(&mut self, scene: &Scene, receiver: &mut ReceiveSession) {
        let leaves = scene.list.leaves();
        receiver.receive(NOW, &self.seal(&BulkFrame::Leaves { first: 0, leaves }));
    }

    /// Sends all frames of a chunk under a number.
    fn send_chunk(&mut self, number: u32, chunk: &Chunk, receiver: &mut ReceiveSession) {
        let framed = [&number.to_be_bytes(), chunk.as_bytes()].concat();
        for bytes in framed.chunks(793) {
            receiver.receive(NOW, &self.seal(&BulkFrame::Data(bytes)));
        }
    }
}

fn receiver_fault(receiver: &mut ReceiveSession) -> Option<TransferFault> {
    match receiver.poll_step() {
        Some(ReceiveStep::Failed(fault)) => Some(fault),
        Some(_) => receiver_fault(receiver),
        None => None,
    }
}

fn sender_fault(sender: &mut SendSession) -> Option<TransferFault> {
    match sender.poll_step() {
        Some(SendStep::Failed(fault)) => Some(fault),
        Some(_) => sender_fault(sender),
        None => None,
    }
}

#[test]
fn flipped_bit_ends_session_in_both_directions() {
    for byte in (0..PAYLOAD_LEN).step_by(3) {
        let mut scene = Scene::new(10, 20);
        let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
        let mut hello = sender.poll_frame().unwrap();
        hello[byte] ^= 0x04;
        receiver.receive(NOW, &hello);
        assert_eq!(
            receiver_fault(&mut receiver),
            Some(TransferFault::NotAuthentic)
        );
        hello[byte] ^= 0x04;
        let mut receiver = scene.receiver();
        receiver.receive(NOW, &hello);
        sender.receive(NOW, &receiver.poll_frame().unwrap());
        let mut leaves = sender.poll_frame().unwrap();
        leaves[byte] ^= 0x80;
        receiver.receive(NOW, &leaves);
        assert_eq!(
            receiver_fault(&mut receiver),
            Some(TransferFault::NotAuthentic)
        );

        let mut receiver = scene.receiver();
        let mut other = scene.sender();
        receiver.receive(NOW, &other.poll_frame().unwrap());
        other.receive(NOW, &receiver.poll_frame().unwrap());
        let mut credit = receiver.poll_frame().unwrap();
        credit[byte] ^= 0x01;
        other.receive(NOW, &credit);
        assert_eq!(sender_fault(&mut other), Some(TransferFault::NotAuthentic));
    }
}

#[test]
fn repeated_swapped_and_missing_payloads_end_session() {
    let orders: [&[usize]; 4] = [&[0, 0], &[0, 2, 1], &[0, 2], &[1]];
    for order in orders {
        let mut scene = Scene::new(CHUNK_LEN, 21);
        let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
        let leaves = scene.list.leaves().to_vec();
        let payloads = [
            own.seal(&BulkFrame::Leaves {
                first: 0,
                leaves: &leaves,
            }),
            own.seal(&BulkFrame::Padding),
            own.seal(&BulkFrame::Padding),
        ];
        for at in order {
            receiver.receive(NOW, &payloads[*at]);
        }
        let fault = receiver_fault(&mut receiver);
        assert_eq!(fault, Some(TransferFault::NotAuthentic), "{order:?}");
    }
}

#[test]
fn rendezvous_that_reflects_or_repeats_hello_opens_nothing() {
    let mut scene = Scene::new(10, 22);
    let mut sender = scene.sender();
    let hello = sender.poll_frame().unwrap();
    sender.receive(NOW, &hello);
    assert_eq!(sender_fault(&mut sender), Some(TransferFault::NotAuthentic));

    // The hello of an earlier session of the same attempt opens the channel, and no frame with it.
    let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
    let old = receiver.poll_frame().unwrap();
    receiver.receive(NOW, &sender.poll_frame().unwrap());
    let old_credit = receiver.poll_frame().unwrap();
    let mut victim = scene.sender();
    victim.receive(NOW, &old);
    assert_eq!(sender_fault(&mut victim), None);
    victim.receive(NOW, &old_credit);
    assert_eq!(sender_fault(&mut victim), Some(TransferFault::NotAuthentic));
}

#[test]
fn rendezvous_that_reflects_a_frame_ends_session() {
    let mut scene = Scene::new(10, 25);
    let (mut sender, mut receiver) = (scene.sender(), scene.receiver());
    let hello = receiver.poll_frame().unwrap();
    receiver.receive(NOW, &sender.poll_frame().unwrap());
    sender.receive(NOW, &hello);
    let credit = receiver.poll_frame().unwrap();
    receiver.receive(NOW, &credit);
    let fault = receiver_fault(&mut receiver);
    assert_eq!(fault, Some(TransferFault::NotAuthentic));
}

/// Two answers to one offer have an attempt 0 each.
#[test]
fn hello_of_another_answer_opens_nothing() {
    let mut scene = Scene::new(10, 26);
    let mut channel = |own, start| {
        let attempt = AttemptId::new(UnixSecs(start), 0).unwrap();
        let keys = FileSecret::take(&mut [7; 32]).attempt(attempt);
        Channel::new(&mut scene.rng, keys, own, BulkHello { runs: Vec::new() })
    };
    let hello = channel(FileEnd::Sender, 1_200_000_000)
        .take_hello()
        .unwrap();
    let accepted = |mut receiver: Channel| receiver.accept_hello(&hello).err();
    let (same, other) = (
        channel(FileEnd::Receiver, 1_200_000_000),
        channel(FileEnd::Receiver, 1_200_000_120),
    );
    assert_eq!(accepted(same), None);
    assert_eq!(accepted(other), Some(TransferFault::NotAuthentic));
}

#[test]
fn payload_of_another_attempt_or_file_opens_nothing() {
    let mut scene = Scene::new(10, 23);
    let hello = scene.sender().poll_frame().unwrap();
    scene.attempts += 1;
    let mut receiver = scene.receiver();
    receiver.receive(NOW, &hello);
    assert_eq!(
        receiver_fault(&mut receiver),
        Some(TransferFault::NotAuthentic)
    );
    let hello = Scene::new(10, 24).sender().poll_frame().unwrap();
    let mut receiver = scene.receiver();
    receiver.receive(NOW, &hello);
    assert_eq!(
        receiver_fault(&mut receiver),
        Some(TransferFault::NotAuthentic)
    );
}

#[test]
fn sender_that_ignores_credit_ends_session() {
    let mut scene = Scene::new(20 * CHUNK_LEN, 25);
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    own.send_leaves(&scene, &mut receiver);
    // Nothing is stored and no credit is granted: 64 frames may come, one of which had the leaves.
    let framed = [&0_u32.to_be_bytes(), scene.chunks[0].as_bytes()].concat();
    for (number, bytes) in framed.chunks(793).enumerate() {
        receiver.receive(NOW, &own.seal(&BulkFrame::Data(bytes)));
        let expected = (number >= 63).then_some(TransferFault::Credit { max: 256 });
        assert_eq!(receiver_fault(&mut receiver), expected, "frame {number}");
        if expected.is_some() {
            return;
        }
    }
    panic!("more frames were taken than were granted");
}

#[test]
fn receiver_that_grants_more_than_256_frames_ends_session() {
    for grants in [vec![193], vec![u16::MAX], vec![192, 1]] {
        let mut scene = Scene::new(20 * CHUNK_LEN, 26);
        let (mut own, mut sender) = Hostile::meet_sender(&mut scene, Vec::new());
        for frames in &grants {
            sender.receive(NOW, &own.seal(&BulkFrame::Credit(*frames)));
        }
        let fault = sender_fault(&mut sender);
        assert_eq!(
            fault,
            Some(TransferFault::Credit { max: 256 }),
            "{grants:?}"
        );
    }
}

#[test]
fn list_that_is_not_the_offered_one_ends_session_before_data() {
    let mut scene = Scene::new(2 * CHUNK_LEN, 27);
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    let mut leaves = scene.list.leaves().to_vec();
    leaves[40] ^= 1;
    receiver.receive(
        NOW,
        &own.seal(&BulkFrame::Leaves {
            first: 0,
            leaves: &leaves,
        }),
    );
    assert_eq!(receiver_fault(&mut receiver), Some(TransferFault::Root));
    // The sender is told, and the session stays over.
    assert!(receiver.poll_frame().is_some());
    assert!(receiver.poll_frame().is_none());
}

#[test]
fn leaves_that_are_repeated_skipped_or_too_many_end_session() {
    for (first, count) in [(1, 1), (0, 3), (2, 1)] {
        let mut scene = Scene::new(2 * CHUNK_LEN, 28);
        let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
        let leaves = vec![9; 32 * count];
        receiver.receive(
            NOW,
            &own.seal(&BulkFrame::Leaves {
                first,
                leaves: &leaves,
            }),
        );
        let fault = receiver_fault(&mut receiver);
        assert_eq!(fault, Some(TransferFault::Unexpected("leaves")));
    }
}

#[test]
fn data_before_the_list_ends_session() {
    let mut scene = Scene::new(10, 29);
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    receiver.receive(NOW, &own.seal(&BulkFrame::Data(&[0; 793])));
    assert_eq!(
        receiver_fault(&mut receiver),
        Some(TransferFault::Unexpected("data"))
    );
}

#[test]
fn altered_chunk_reaches_no_disk() {
    let mut scene = Scene::new(CHUNK_LEN, 30);
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    let _credit = receiver.poll_frame().unwrap();
    own.send_leaves(&scene, &mut receiver);
    let mut altered = scene.chunks[0].as_bytes().to_vec();
    *altered.last_mut().unwrap() ^= 1;
    own.send_chunk(0, &Chunk::padded(&altered).unwrap(), &mut receiver);
    match receiver.poll_step() {
        Some(ReceiveStep::Failed(TransferFault::Chunk { number: 0 })) => {}
        step => panic!("{step:?}"),
    }
}

#[test]
fn chunk_out_of_order_or_with_wrong_frame_length_ends_session() {
    let mut scene = Scene::new(2 * CHUNK_LEN, 31);
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    own.send_leaves(&scene, &mut receiver);
    let framed = [&1_u32.to_be_bytes(), scene.chunks[1].as_bytes()].concat();
    receiver.receive(NOW, &own.seal(&BulkFrame::Data(&framed[..793])));
    let order = TransferFault::ChunkOrder {
        found: 1,
        expected: 0,
    };
    assert_eq!(receiver_fault(&mut receiver), Some(order));

    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    own.send_leaves(&scene, &mut receiver);
    receiver.receive(NOW, &own.seal(&BulkFrame::Data(&[0; 792])));
    let length = TransferFault::Frame(BadFrame::Length);
    assert_eq!(receiver_fault(&mut receiver), Some(length));
}

#[test]
fn padding_chunk_with_content_ends_session() {
    let mut scene = Scene::new(17 * CHUNK_LEN, 32);
    for number in 0..17 {
        assert!(scene.durable.insert(number));
    }
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    let _credit = receiver.poll_frame().unwrap();
    own.send_leaves(&scene, &mut receiver);
    own.send_chunk(17, &Chunk::padded(&[1]).unwrap(), &mut receiver);
    assert_eq!(
        receiver_fault(&mut receiver),
        Some(TransferFault::Chunk { number: 17 })
    );
}

#[test]
fn endless_padding_ends_session() {
    let mut scene = Scene::new(10, 33);
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    for number in 0..=1_024 {
        assert_eq!(receiver_fault(&mut receiver), None, "frame {number}");
        receiver.receive(NOW, &own.seal(&BulkFrame::Padding));
    }
    assert_eq!(
        receiver_fault(&mut receiver),
        Some(TransferFault::Padding { max: 1_024 })
    );
    let (mut own, mut sender) = Hostile::meet_sender(&mut scene, Vec::new());
    for _ in 0..=1_024 {
        sender.receive(NOW, &own.seal(&BulkFrame::Padding));
    }
    assert_eq!(
        sender_fault(&mut sender),
        Some(TransferFault::Padding { max: 1_024 })
    );
}

#[test]
fn hostile_chunk_sets_in_hello_end_session() {
    let runs =
        |runs: &[u32]| -> Vec<u8> { runs.iter().flat_map(|run| run.to_be_bytes()).collect() };
    let hostile = [
        runs(&[0, 5]),
        runs(&[u32::MAX, 1]),
        runs(&[u32::MAX, u32::MAX]),
        runs(&[1, 0]),
        runs(&[0, 1, 0, 1]),
        runs(&[1]),
        runs(&[4, 1]),
    ];
    for runs in hostile {
        let mut scene = Scene::new(4 * CHUNK_LEN, 34);
        let (_, mut sender) = Hostile::meet_sender(&mut scene, runs.clone());
        let fault = sender_fault(&mut sender);
        assert_eq!(fault, Some(TransferFault::ChunkSet), "{runs:?}");
    }
    let mut scene = Scene::new(4 * CHUNK_LEN, 34);
    let mut own = Hostile::new(&mut scene, FileEnd::Sender, runs(&[0, 1]));
    let mut receiver = scene.receiver();
    receiver.receive(NOW, &own.channel.take_hello().unwrap());
    assert_eq!(receiver_fault(&mut receiver), Some(TransferFault::ChunkSet));
}

#[test]
fn done_before_all_was_sent_does_not_end_hand_over() {
    let mut scene = Scene::new(CHUNK_LEN, 35);
    let (mut own, mut sender) = Hostile::meet_sender(&mut scene, Vec::new());
    sender.receive(NOW, &own.seal(&BulkFrame::Done));
    assert_eq!(
        sender_fault(&mut sender),
        Some(TransferFault::Unexpected("done"))
    );
}

#[test]
fn data_after_the_last_chunk_ends_session() {
    let mut scene = Scene::new(10, 36);
    assert!(scene.durable.insert(0));
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    own.send_leaves(&scene, &mut receiver);
    receiver.receive(NOW, &own.seal(&BulkFrame::Data(&[0; 793])));
    assert_eq!(
        receiver_fault(&mut receiver),
        Some(TransferFault::Unexpected("data"))
    );
}

#[test]
fn frames_of_the_wrong_end_end_session() {
    let from_sender = [
        BulkFrame::Credit(1),
        BulkFrame::Done,
        BulkFrame::Stop(StopReason::Cancelled),
    ];
    for frame in from_sender {
        let mut scene = Scene::new(10, 37);
        let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
        receiver.receive(NOW, &own.seal(&frame));
        let expected = match frame {
            BulkFrame::Stop(reason) => TransferFault::StoppedByPeer(reason),
            other => TransferFault::Unexpected(other.kind()),
        };
        assert_eq!(receiver_fault(&mut receiver), Some(expected));
    }
    let leaves = [0; 32];
    for frame in [
        BulkFrame::Data(&[1]),
        BulkFrame::Leaves {
            first: 0,
            leaves: &leaves,
        },
    ] {
        let mut scene = Scene::new(10, 38);
        let (mut own, mut sender) = Hostile::meet_sender(&mut scene, Vec::new());
        sender.receive(NOW, &own.seal(&frame));
        let expected = TransferFault::Unexpected(frame.kind());
        assert_eq!(sender_fault(&mut sender), Some(expected));
    }
}

/// What this node's own store reports must not open the window for a peer.
#[test]
fn store_of_a_chunk_that_did_not_arrive_grants_no_credit() {
    let mut scene = Scene::new(20 * CHUNK_LEN, 41);
    let (mut own, mut receiver) = Hostile::meet_receiver(&mut scene);
    own.send_leaves(&scene, &mut receiver);
    while receiver.poll_frame().is_some() {}
    own.send_chunk(0, &scene.chunks[0], &mut receiver);
    assert!(matches!(
        receiver.poll_step(),
        Some(ReceiveStep::StoreChunk(0, _))
    ));
    for number in [1, 19, u32::MAX] {
        receiver.stored(number);
        assert!(receiver.poll_frame().is_none(), "chunk {number}");
    }
    receiver.stored(0);
    assert!(receiver.poll_frame().is_some());
    receiver.stored(0);
    assert!(receiver.poll_frame().is_none(), "a second time");
}

#[test]
fn chunk_that_was_not_asked_for_is_not_sent() {
    let mut scene = Scene::new(3 * CHUNK_LEN, 42);
    let (_, mut sender) = Hostile::meet_sender(&mut scene, Vec::new());
    while sender.poll_frame().is_some() {}
    let Some(SendStep::NeedChunk(0)) = sender.poll_step() else {
        panic!("the first chunk is not asked for");
    };
    sender.chunk(1, &scene.chunks[1]);
    assert!(sender.poll_frame().is_none());
    sender.chunk(0, &scene.chunks[0]);
    assert!(sender.poll_frame().is_some());
    sender.chunk(0, &scene.chunks[0]);
    assert_eq!(sender.sent_chunks(), 0);
}
