//! Payloads and a small rendezvous under a script of hostile steps.
//!
//! A step is one byte that selects the action. A fuzzer finds no tickets, so the target provides
//! some.

use core::time::Duration;
use std::sync::OnceLock;

use circuits::dispersal::{Class, Cookie, Payload, Shard, disperse};
use circuits::geometry::{DELTA_LEN, SHARD_LEN};
use circuits::ids::{Epoch, LinkId, RelayId};
use circuits::rendezvous::{Rendezvous, RendezvousLimits, ShardOutcome, TicketBits, TicketSearch};
use circuits::time::{Instant, Now, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Runs one script. Panics if a rule is broken.
pub fn shard(data: &[u8]) {
    let mut script = data.iter().copied();
    let mut world = RendezvousWorld::new();
    while let Some(step) = script.next() {
        let mut next = || script.next().unwrap_or(0);
        match step % 4 {
            0 => {
                let mut delta = [0; DELTA_LEN];
                delta.fill_with(next);
                world.payload(&delta);
            }
            1 => {
                let (set, row, index, fill) = (next(), next(), next(), next());
                world.forged(set, row, index, fill, next());
            }
            2 => {
                let (set, index) = (next(), next());
                world.honest(set, index, next());
            }
            _ => {
                let secs = u16::from_be_bytes([next(), next()]);
                world.wait(secs.into());
            }
        }
    }
    world.end();
}

struct RendezvousWorld {
    rendezvous: Rendezvous,
    now: Now,
}

impl RendezvousWorld {
    fn new() -> Self {
        let limits = RendezvousLimits {
            bytes: BOUND,
            ..RendezvousLimits::default()
        };
        Self {
            rendezvous: Rendezvous::new(RELAY, limits),
            now: Now {
                mono: Instant::ZERO,
                unix: EPOCH.start(),
            },
        }
    }

    /// Arbitrary bytes: a parsed payload must survive encoding and parsing.
    fn payload(&mut self, delta: &[u8; DELTA_LEN]) {
        let Ok(payload) = Payload::parse(delta) else {
            return;
        };
        let emitted = payload.emit(&mut ChaCha20Rng::from_seed([0; 32]));
        assert_eq!(Payload::parse(&emitted).as_ref(), Ok(&payload));
        if let Payload::Shard(shard) = payload {
            assert_eq!(&*emitted, delta);
            let _ = self.accept(0, shard);
        }
    }

    /// A random shard under one of the provided tickets.
    fn forged(&mut self, set: u8, row: u8, index: u8, fill: u8, from: u8) {
        let class = Class::ALL[usize::from(row) % Class::ALL.len()];
        let shard = Shard {
            class,
            index: index % class.n(),
            bytes: Box::new([fill; SHARD_LEN]),
            ..set_with_ticket(set).shards[0].clone()
        };
        let _ = self.accept(from, shard);
    }

    /// A shard of one of the provided sets.
    fn honest(&mut self, set: u8, index: u8, from: u8) {
        let set_with_ticket = set_with_ticket(set);
        let shard = &set_with_ticket.shards[usize::from(index) % set_with_ticket.shards.len()];
        if let ShardOutcome::Complete { envelope, .. } = self.accept(from, shard.clone()) {
            assert_eq!(envelope, set_with_ticket.envelope);
        }
    }

    fn accept(&mut self, from: u8, shard: Shard) -> ShardOutcome {
        let from = LinkId(from.into());
        let verdict = self
            .rendezvous
            .accept(self.now, from, EPOCH, Duration::ZERO, false, shard);
        assert!(self.rendezvous.bytes() <= BOUND);
        verdict
    }

    fn wait(&mut self, secs: u32) {
        self.now = Now {
            mono: self.now.mono.after(Duration::from_secs(secs.into())),
            unix: UnixSecs(self.now.unix.0.saturating_add(secs)),
        };
        self.rendezvous.expire(self.now);
        let due = self.rendezvous.next_due();
        assert!(due.is_none_or(|due| due > self.now.mono));
    }

    fn end(&mut self) {
        self.wait(30 * 60);
        assert_eq!(self.rendezvous.bytes(), 0);
        assert_eq!(self.rendezvous.next_due(), None);
    }
}

/// A set with a valid ticket.
struct TicketedSet {
    envelope: Vec<u8>,
    shards: Vec<Shard>,
}

fn set_with_ticket(number: u8) -> &'static TicketedSet {
    static LENT: [OnceLock<TicketedSet>; SETS] = [const { OnceLock::new() }; SETS];
    let number = usize::from(number) % SETS;
    LENT[number].get_or_init(|| mine_set(Class::ALL[number]))
}

fn mine_set(class: Class) -> TicketedSet {
    let mut rng = ChaCha20Rng::from_seed([class.k(); 32]);
    let cookie = Cookie([class.k(); 16]);
    let bits = TicketBits::MIN.for_class(class);
    let mut search = TicketSearch::new(&mut rng, &RELAY, EPOCH, cookie, bits);
    let ticket = search.step(u32::MAX).unwrap();
    let envelope = vec![class.k(); class.capacity()];
    let pieces = disperse(&mut rng, class, &envelope).unwrap();
    let shard = |(index, bytes)| Shard {
        cookie,
        class,
        index,
        ticket,
        bytes,
    };
    TicketedSet {
        shards: (0..).zip(pieces).map(shard).collect(),
        envelope,
    }
}

const RELAY: RelayId = RelayId([0x52; 32]);
const EPOCH: Epoch = Epoch(40_000);
const BOUND: usize = 100_000;
const SETS: usize = 6;
