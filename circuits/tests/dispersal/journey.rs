//! Dispersal of envelopes, interleaved transport of their shards, and rebuilding.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::dispersal::{Class, Cookie, Payload, Shard, disperse};
use circuits::distributions;
use circuits::geometry::DELTA_LEN;
use circuits::ids::{Epoch, LinkId, RelayId};
use circuits::rendezvous::{
    Rendezvous, RendezvousLimits, ShardOutcome, TicketBits, TicketSearch, verify_ticket,
};
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

const RELAY: RelayId = RelayId([0x31; 32]);
const EPOCH: Epoch = Epoch(40_000);

/// The bodies of all cells of one envelope, as the origin builds them.
fn bodies(rng: &mut ChaCha20Rng, envelope: &[u8]) -> Vec<[u8; DELTA_LEN]> {
    let class = Class::converge(envelope.len()).unwrap();
    let mut cookie = Cookie([0; 16]);
    rng.fill_bytes(&mut cookie.0);
    let bits = TicketBits::MIN.for_class(class);
    let mut search = TicketSearch::new(rng, &RELAY, EPOCH, cookie, bits);
    let ticket = core::iter::repeat_with(|| search.step(4_096))
        .find_map(|found| found)
        .unwrap();
    assert!(verify_ticket(&RELAY, EPOCH, cookie, ticket, bits));
    let shards = disperse(rng, class, envelope).unwrap();
    (0..)
        .zip(shards)
        .map(|(index, bytes)| {
            let shard = Shard {
                cookie,
                class,
                index,
                ticket,
                bytes,
            };
            *Payload::Shard(shard).emit(rng)
        })
        .collect()
}

#[test]
fn envelopes_of_every_class_rebuild_with_interleaving_and_cell_loss() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let lengths = [
        563, 563, 1_178, 1_178, 2_408, 4_868, 9_788, 19_628, 39_308, 65_536,
    ];
    let mut sent = BTreeMap::new();
    let mut cells = Vec::new();
    for (number, length) in (0_u64..).zip(lengths) {
        let mut envelope = vec![0; length];
        rng.fill_bytes(&mut envelope);
        let mut bodies = bodies(&mut rng, &envelope);
        for _ in 0..bodies.len() / 3 {
            let lost = distributions::below(&mut rng, u32::try_from(bodies.len()).unwrap());
            bodies.swap_remove(usize::try_from(lost).unwrap());
        }
        let hold = Duration::from_secs(number);
        cells.extend(bodies.into_iter().map(|body| (hold, body)));
        sent.insert(hold, envelope);
    }

    let mut rendezvous = Rendezvous::new(RELAY, RendezvousLimits::default());
    let now = Now {
        unix: EPOCH.start(),
        ..Now::default()
    };
    let mut arrived = BTreeMap::new();
    while !cells.is_empty() {
        let next = distributions::below(&mut rng, u32::try_from(cells.len()).unwrap());
        let (hold, body) = cells.swap_remove(usize::try_from(next).unwrap());
        let Ok(Payload::Shard(shard)) = Payload::parse(&body) else {
            panic!("every body is a shard");
        };
        let from = LinkId(distributions::below(&mut rng, 9).into());
        match rendezvous.accept(now, from, EPOCH, hold, false, shard) {
            ShardOutcome::Complete { envelope, hold } => {
                assert_eq!(arrived.insert(hold, envelope), None);
            }
            // 162 is more than 3/2 of 107: one shard more than needed may arrive.
            ShardOutcome::Counted | ShardOutcome::Opened | ShardOutcome::Ignored => {}
            outcome => panic!("{outcome:?}"),
        }
    }
    assert_eq!(arrived, sent);
}
