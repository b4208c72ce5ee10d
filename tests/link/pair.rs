//! Two connected links, over a wire that splits data at random.

use circuits::time::Instant;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use whisht::link::limits::CELL_PAYLOAD;
use whisht::link::{Capability, DisconnectReason, Link, LinkEvent, Packing, Priority, SendError};

use crate::{BOTH, at, config, events, key, rng};

/// Both ends and the bytes in transit between them.
struct LinkPair {
    dialler: Link,
    acceptor: Link,
    wire: [Vec<u8>; 2],
    rng: ChaCha20Rng,
    /// Longest chunk that the wire delivers at once.
    chunk: u32,
}

impl LinkPair {
    fn new(chunk: u32, seed: u64, theirs: &[Capability]) -> Self {
        let mut rng = rng(seed);
        let remote = key(2).public();
        let dialler = Link::dial(config(&BOTH), key(1), remote, &mut rng, Instant::ZERO).unwrap();
        Self {
            dialler,
            acceptor: Link::accept(config(theirs), key(2), Instant::ZERO),
            wire: [Vec::new(), Vec::new()],
            rng,
            chunk,
        }
    }

    /// A connected pair whose wire does not split.
    fn open() -> Self {
        let mut pair = Self::new(u32::MAX, 1, &BOTH);
        pair.run(Instant::ZERO);
        assert!(pair.dialler.is_open() && pair.acceptor.is_open());
        events(&mut pair.dialler);
        events(&mut pair.acceptor);
        pair
    }

    /// Moves bytes until both ends are silent.
    fn run(&mut self, now: Instant) {
        loop {
            let sent =
                [&mut self.dialler, &mut self.acceptor].map(|end| end.poll_transmit(now, 1_400));
            let idle = sent.iter().all(Option::is_none) && self.wire.iter().all(Vec::is_empty);
            if idle {
                return;
            }
            for (wire, bytes) in self.wire.iter_mut().zip(sent) {
                wire.extend(bytes.unwrap_or_default());
            }
            for (wire, end) in self
                .wire
                .iter_mut()
                .zip([&mut self.acceptor, &mut self.dialler])
            {
                let chunk = 1 + self.rng.next_u32() % self.chunk;
                let len = wire.len().min(usize::try_from(chunk).unwrap());
                let chunk: Vec<u8> = wire.drain(..len).collect();
                end.receive(now, &mut self.rng, &chunk).unwrap();
            }
        }
    }

    /// Queues at the dialler.
    fn send(&mut self, priority: Priority, code: u16, payload: Vec<u8>) -> Result<(), SendError> {
        let (capability, packing) = match priority {
            Priority::Cell => (Capability::ONION_1, Packing::Literal),
            _ => (Capability::SHH_6, Packing::Snappy),
        };
        self.dialler
            .send(priority, capability, code, payload, packing)
    }
}

#[test]
fn handshake_gives_both_ends_identity_and_shared_capabilities() {
    for (theirs, shared) in [
        (&BOTH[..], vec![Capability::ONION_1, Capability::SHH_6]),
        (
            &[Capability::SHH_5, Capability::SHH_6],
            vec![Capability::SHH_6],
        ),
    ] {
        let mut pair = LinkPair::new(100, 7, theirs);
        pair.run(Instant::ZERO);
        let open = |remote| LinkEvent::Connected {
            remote,
            client_id: "whisht/test".into(),
            shared: shared.clone(),
        };
        assert_eq!(events(&mut pair.dialler), [open(key(2).public())]);
        assert_eq!(events(&mut pair.acceptor), [open(key(1).public())]);
        assert_eq!(pair.dialler.remote(), Some(key(2).public()));
    }
}

#[test]
fn link_handle_is_equal_at_both_ends_and_fresh() {
    let handles = [1, 2].map(|seed| {
        let mut pair = LinkPair::new(1_000, seed, &BOTH);
        assert_eq!(pair.dialler.handle(), None);
        pair.run(Instant::ZERO);
        assert_eq!(pair.dialler.handle(), pair.acceptor.handle());
        pair.dialler.handle().unwrap()
    });
    assert_ne!(handles[0], handles[1]);
}

#[test]
fn cell_frame_is_always_976_bytes() {
    let mut pair = LinkPair::open();
    let mut random = vec![0; CELL_PAYLOAD];
    pair.rng.fill_bytes(&mut random);
    for payload in [random, vec![0; CELL_PAYLOAD], b"whisht".repeat(153)] {
        pair.send(Priority::Cell, 3, payload.clone()).unwrap();
        let wire = pair.dialler.poll_transmit(Instant::ZERO, 976).unwrap();
        assert_eq!(wire.len(), 976);
        pair.acceptor
            .receive(Instant::ZERO, &mut pair.rng, &wire)
            .unwrap();
        let cell = LinkEvent::Message {
            capability: Capability::ONION_1,
            code: 3,
            payload,
        };
        assert_eq!(events(&mut pair.acceptor), [cell]);
    }
}

#[test]
fn transmit_budget_limits_cells_per_write() {
    let mut pair = LinkPair::open();
    for _ in 0..12 {
        pair.send(Priority::Cell, 3, vec![9; CELL_PAYLOAD]).unwrap();
    }
    for cells in [7, 5] {
        let wire = pair.dialler.poll_transmit(Instant::ZERO, 7 * 976 + 975);
        assert_eq!(wire.unwrap().len(), cells * 976);
    }
}

#[test]
fn cell_overtakes_queued_gossip() {
    let mut pair = LinkPair::open();
    for code in 1..=10 {
        pair.send(Priority::Gossip, code, vec![7; 16_000]).unwrap();
    }
    let first = pair.dialler.poll_transmit(Instant::ZERO, 1).unwrap();
    pair.send(Priority::Cell, 3, vec![9; CELL_PAYLOAD]).unwrap();
    let second = pair.dialler.poll_transmit(Instant::ZERO, 1).unwrap();
    assert_eq!(second.len(), 976);
    for wire in [first, second] {
        pair.acceptor
            .receive(Instant::ZERO, &mut pair.rng, &wire)
            .unwrap();
    }
    let codes: Vec<(Capability, u16)> = events(&mut pair.acceptor)
        .into_iter()
        .map(|event| match event {
            LinkEvent::Message {
                capability, code, ..
            } => (capability, code),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, [(Capability::SHH_6, 1), (Capability::ONION_1, 3)]);
}

#[test]
fn event_debug_output_hides_payload() {
    let event = LinkEvent::Message {
        capability: Capability::SHH_6,
        code: 1,
        payload: vec![0xab; 3],
    };
    assert_eq!(format!("{event:?}"), "Message(shh/6 1, 3 bytes)");
}

#[test]
fn transmit_budget_is_respected_and_zero_sends_nothing() {
    let mut pair = LinkPair::open();
    let mut payload = vec![0; 1_000];
    for _ in 0..20 {
        pair.rng.fill_bytes(&mut payload);
        pair.send(Priority::Gossip, 1, payload.clone()).unwrap();
    }
    assert_eq!(pair.dialler.poll_transmit(Instant::ZERO, 0), None);
    while let Some(wire) = pair.dialler.poll_transmit(Instant::ZERO, 5_000) {
        assert!((1_000..=5_000).contains(&wire.len()), "{}", wire.len());
    }
    assert_eq!(pair.dialler.queued_bytes(), 0);
}

#[test]
fn unsendable_message_is_refused_with_reason() {
    let mut pair = LinkPair::new(u32::MAX, 1, &[Capability::SHH_6]);
    let early = pair.send(Priority::Gossip, 1, vec![]);
    assert_eq!(early, Err(SendError::NotConnected));
    pair.run(Instant::ZERO);
    let cell = pair.send(Priority::Cell, 3, vec![0; CELL_PAYLOAD]);
    assert_eq!(cell, Err(SendError::NotShared));
    let code = pair.send(Priority::Gossip, 128, vec![]);
    assert_eq!(code, Err(SendError::CodeOutOfRange));
    let long = pair.send(Priority::Gossip, 1, vec![0; 14_000_001]);
    assert_eq!(long, Err(SendError::PayloadTooLong));
    pair.send(Priority::Gossip, 1, vec![0; 300_000]).unwrap();
    let full = pair.send(Priority::Gossip, 1, vec![]);
    assert_eq!(full, Err(SendError::QueueFull));
}

#[test]
fn disconnect_is_delivered_and_drops_queue() {
    let mut pair = LinkPair::open();
    pair.send(Priority::Gossip, 1, vec![0; 5_000]).unwrap();
    pair.dialler.disconnect(DisconnectReason::Quitting);
    assert!(pair.dialler.is_closing());
    assert_eq!(pair.dialler.poll_timeout(), None);
    pair.run(Instant::ZERO);
    let disconnect = LinkEvent::Disconnected(DisconnectReason::Quitting);
    assert_eq!(events(&mut pair.acceptor), [disconnect]);
    assert!(pair.acceptor.is_closing());
    assert_eq!(pair.acceptor.poll_transmit(Instant::ZERO, 1), None);
    let late = pair.send(Priority::Gossip, 1, vec![]);
    assert_eq!(late, Err(SendError::NotConnected));
}

#[test]
fn pings_keep_idle_link_open() {
    let mut pair = LinkPair::open();
    for secs in 1..=200 {
        let now = at(secs);
        for end in [&mut pair.dialler, &mut pair.acceptor] {
            if end.poll_timeout().unwrap() <= now {
                end.handle_timeout(now).unwrap();
            }
        }
        pair.run(now);
    }
    assert!(pair.dialler.is_open() && pair.acceptor.is_open());
    assert_eq!(events(&mut pair.dialler), []);
}

#[test]
fn largest_message_passes_queue_and_limits() {
    let mut pair = LinkPair::open();
    // Frames become long with the first message of Whisper.
    pair.send(Priority::Gossip, 0, vec![0xc0]).unwrap();
    pair.run(Instant::ZERO);
    events(&mut pair.acceptor);
    let mut payload = vec![0; 2 * 1024 * 1024];
    pair.rng.fill_bytes(&mut payload);
    pair.send(Priority::Gossip, 1, payload.clone()).unwrap();
    pair.run(Instant::ZERO);
    let message = LinkEvent::Message {
        capability: Capability::SHH_6,
        code: 1,
        payload,
    };
    assert!(events(&mut pair.acceptor) == [message]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn messages_arrive_in_order_for_any_fragmentation(
        seed: u64,
        chunk in prop_oneof![1_u32..40, 40_u32..3_000],
        messages in prop::collection::vec((0_u16..128, 0_usize..3_000, any::<bool>()), 0..40),
    ) {
        let mut pair = LinkPair::new(chunk, seed, &BOTH);
        pair.run(Instant::ZERO);
        events(&mut pair.acceptor);
        let mut sent = [Vec::new(), Vec::new()];
        for (index, (code, len, cell)) in messages.into_iter().enumerate() {
            let (priority, capability, code, len) = if cell {
                (Priority::Cell, Capability::ONION_1, 3, CELL_PAYLOAD)
            } else {
                (Priority::Gossip, Capability::SHH_6, code, len)
            };
            let payload = vec![u8::try_from(index).unwrap(); len];
            pair.send(priority, code, payload.clone()).unwrap();
            sent[usize::from(cell)].push(LinkEvent::Message { capability, code, payload });
        }
        pair.run(Instant::ZERO);
        let seen = events(&mut pair.acceptor);
        let (cells, gossip): (Vec<_>, Vec<_>) = seen.into_iter().partition(|event| {
            matches!(event, LinkEvent::Message { capability: Capability::ONION_1, .. })
        });
        prop_assert_eq!(gossip, sent[0].clone());
        prop_assert_eq!(cells, sent[1].clone());
    }
}
