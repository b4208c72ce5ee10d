use core::ops::Range;

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};

use super::table::{SET_COST, SHARD_COST};
use super::*;
use crate::dispersal::{Cookie, Ticket, disperse};

mod flood;

const ID: RelayId = RelayId([0x77; 32]);
const EPOCH: Epoch = Epoch(40_000);
const HOLD: Duration = Duration::from_secs(12);
const LINK: LinkId = LinkId(1);
const START: Now = Now {
    mono: Instant::ZERO,
    unix: EPOCH.start(),
};

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn rendezvous() -> Rendezvous {
    Rendezvous::new(ID, RendezvousLimits::default())
}

/// That many seconds after the start, by both clocks.
fn at(secs: u32) -> Now {
    Now {
        mono: START.mono.after(Duration::from_secs(secs.into())),
        unix: START.unix.after(secs),
    }
}

fn find_ticket(rng: &mut impl CryptoRng, cookie: Cookie, bits: TicketBits) -> Ticket {
    let mut search = TicketSearch::new(rng, &ID, EPOCH, cookie, bits);
    search.step(u32::MAX).unwrap()
}

/// All shards of one envelope, with an honest ticket.
fn set(rng: &mut impl CryptoRng, class: Class, envelope: &[u8]) -> Vec<Shard> {
    let mut cookie = Cookie([0; 16]);
    rng.fill_bytes(&mut cookie.0);
    let ticket = find_ticket(rng, cookie, TicketBits::MIN);
    let shards = disperse(rng, class, envelope).unwrap();
    let shard = |(index, bytes)| Shard {
        cookie,
        class,
        index,
        ticket,
        bytes,
    };
    (0..).zip(shards).map(shard).collect()
}

fn small_set(rng: &mut impl CryptoRng) -> Vec<Shard> {
    set(rng, Class::converge(563).unwrap(), &[0x42; 563])
}

/// Hands over a shard with everything else as usual.
fn give(rendezvous: &mut Rendezvous, shard: &Shard) -> ShardOutcome {
    rendezvous.accept(START, LINK, EPOCH, HOLD, false, shard.clone())
}

fn give_all(rendezvous: &mut Rendezvous, shards: &[Shard], which: Range<usize>) {
    for shard in &shards[which] {
        let verdict = give(rendezvous, shard);
        assert!(matches!(
            verdict,
            ShardOutcome::Opened | ShardOutcome::Counted
        ));
    }
}

fn complete(envelope: &[u8]) -> ShardOutcome {
    ShardOutcome::Complete {
        envelope: envelope.to_vec(),
        hold: HOLD,
    }
}

#[test]
fn the_kth_shard_completes_a_set_in_every_class() {
    let mut rng = rng(1);
    for class in Class::ALL {
        let envelope = vec![0x42; class.capacity()];
        let mut shards = set(&mut rng, class, &envelope);
        shards.reverse();
        let k = usize::from(class.k());
        let mut rendezvous = rendezvous();
        give_all(&mut rendezvous, &shards, 0..k - 1);
        assert_eq!(give(&mut rendezvous, &shards[k - 1]), complete(&envelope));
    }
}

#[test]
fn late_shards_of_a_completed_set_are_swallowed_until_it_would_have_timed_out() {
    let shards = small_set(&mut rng(2));
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(give(&mut rendezvous, &shards[1]), complete(&[0x42; 563]));
    assert_eq!(rendezvous.bytes(), SET_COST);

    let late = |rendezvous: &mut Rendezvous, secs| {
        rendezvous.accept(at(secs), LINK, EPOCH, HOLD, false, shards[2].clone())
    };
    assert_eq!(late(&mut rendezvous, 0), ShardOutcome::Ignored);
    assert_eq!(late(&mut rendezvous, 30 * 60 - 1), ShardOutcome::Ignored);
    assert_eq!(late(&mut rendezvous, 30 * 60), ShardOutcome::Opened);
}

#[test]
fn a_package_that_travels_whole_keeps_nothing_but_needs_a_ticket() {
    let mut rng = rng(3);
    let mut shards = set(&mut rng, Class::whole(), &[0x42; 563]);
    let mut rendezvous = rendezvous();
    assert_eq!(give(&mut rendezvous, &shards[0]), complete(&[0x42; 563]));
    assert_eq!(rendezvous.bytes(), 0);
    assert_eq!(rendezvous.next_due(), None);

    shards[0].bytes[100] ^= 1;
    assert_eq!(give(&mut rendezvous, &shards[0]), ShardOutcome::Poisoned);
    shards[0].ticket.0[0] ^= 1;
    let rejected = ShardOutcome::Rejected(ShardRejection::BadTicket);
    assert_eq!(give(&mut rendezvous, &shards[0]), rejected);
    assert_eq!(rendezvous.bytes(), 0);
}

#[test]
fn a_ticket_serves_at_one_relay_in_one_epoch_for_one_cookie() {
    let shards = small_set(&mut rng(4));
    let rejected = ShardOutcome::Rejected(ShardRejection::BadTicket);

    let mut elsewhere = Rendezvous::new(RelayId([0x78; 32]), RendezvousLimits::default());
    assert_eq!(give(&mut elsewhere, &shards[0]), rejected);

    let mut rendezvous = rendezvous();
    for epoch in [EPOCH.previous(), EPOCH.next()] {
        let verdict = rendezvous.accept(START, LINK, epoch, HOLD, false, shards[0].clone());
        assert_eq!(verdict, rejected);
    }
    let mut other = shards[0].clone();
    other.cookie.0[15] ^= 1;
    assert_eq!(give(&mut rendezvous, &other), rejected);
    assert_eq!(rendezvous.bytes(), 0);
    assert_eq!(give(&mut rendezvous, &shards[0]), ShardOutcome::Opened);
}

#[test]
fn a_shard_that_disagrees_with_its_set_is_rejected_and_does_the_set_no_harm() {
    let mut rng = rng(5);
    let shards = small_set(&mut rng);
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    let before = rendezvous.bytes();

    let mut other_ticket = shards[1].clone();
    other_ticket.ticket = find_ticket(&mut rng, shards[1].cookie, TicketBits::MIN);
    assert_ne!(other_ticket.ticket, shards[1].ticket);
    let mut other_class = shards[1].clone();
    other_class.class = Class::converge(2_408).unwrap();
    for (shard, epoch, hold, reason) in [
        (&other_ticket, EPOCH, HOLD, ShardRejection::OtherTicket),
        (&other_class, EPOCH, HOLD, ShardRejection::OtherClass),
        (&shards[1], EPOCH.next(), HOLD, ShardRejection::OtherEpoch),
        (&shards[1], EPOCH, 2 * HOLD, ShardRejection::OtherHold),
    ] {
        let verdict = rendezvous.accept(START, LINK, epoch, hold, false, shard.clone());
        assert_eq!(verdict, ShardOutcome::Rejected(reason));
        assert_eq!(rendezvous.bytes(), before);
    }
    assert_eq!(give(&mut rendezvous, &shards[1]), complete(&[0x42; 563]));
}

#[test]
fn the_shards_of_a_set_may_come_over_any_links() {
    let shards = small_set(&mut rng(6));
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    let verdict = rendezvous.accept(START, LinkId(9), EPOCH, HOLD, true, shards[2].clone());
    assert_eq!(verdict, complete(&[0x42; 563]));
}

#[test]
fn the_same_shard_again_changes_nothing() {
    let shards = small_set(&mut rng(7));
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    let before = rendezvous.bytes();
    assert_eq!(give(&mut rendezvous, &shards[0]), ShardOutcome::Ignored);
    assert_eq!(rendezvous.bytes(), before);
    assert_eq!(give(&mut rendezvous, &shards[2]), complete(&[0x42; 563]));
}

#[test]
fn the_same_index_with_other_bytes_frees_the_set_for_good() {
    let shards = small_set(&mut rng(8));
    let mut forged = shards[0].clone();
    forged.bytes[614] ^= 0x80;
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(give(&mut rendezvous, &forged), ShardOutcome::Poisoned);
    assert_eq!(rendezvous.bytes(), SET_COST);
    for shard in &shards {
        assert_eq!(give(&mut rendezvous, shard), ShardOutcome::Ignored);
    }
}

#[test]
fn an_altered_shard_costs_one_decode_and_the_set() {
    let mut rng = rng(9);
    let class = Class::converge(4_868).unwrap();
    let envelope = vec![0x42; 4_868];
    let mut shards = set(&mut rng, class, &envelope);
    shards[3].bytes[7] ^= 1;
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..7);
    assert_eq!(give(&mut rendezvous, &shards[7]), ShardOutcome::Poisoned);
    // Four good ones more would rebuild it, if anybody looked for the bad one.
    for shard in &shards[8..] {
        assert_eq!(give(&mut rendezvous, shard), ShardOutcome::Ignored);
        assert_eq!(rendezvous.bytes(), SET_COST);
    }
}

#[test]
fn shards_of_two_packages_under_one_cookie_are_caught() {
    let mut rng = rng(10);
    let mut shards = small_set(&mut rng);
    let other = disperse(&mut rng, shards[0].class, &[0x42; 563]).unwrap();
    shards[1].bytes = other[1].clone();
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(give(&mut rendezvous, &shards[1]), ShardOutcome::Poisoned);
}

#[test]
fn an_index_beyond_the_set_is_never_rebuilt() {
    // Payload::parse admits none; a caller that makes its own shards gets no further either.
    let mut shards = small_set(&mut rng(11));
    shards[1].index = 3;
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(give(&mut rendezvous, &shards[1]), ShardOutcome::Poisoned);
}

#[test]
fn unfinished_sets_are_forgotten_after_half_an_hour_or_with_the_bulletin_flag_after_75_minutes() {
    let mut rng = rng(12);
    let [hush, bulletin] = [(); 2].map(|()| small_set(&mut rng).remove(0));
    let mut rendezvous = rendezvous();
    for (shard, flag) in [(hush, false), (bulletin, true)] {
        let verdict = rendezvous.accept(START, LINK, EPOCH, HOLD, flag, shard);
        assert_eq!(verdict, ShardOutcome::Opened);
    }
    assert_eq!(rendezvous.bytes(), 2 * (SET_COST + SHARD_COST));

    assert_eq!(rendezvous.next_due(), Some(at(30 * 60).mono));
    rendezvous.expire(at(30 * 60 - 1));
    assert_eq!(rendezvous.bytes(), 2 * (SET_COST + SHARD_COST));
    rendezvous.expire(at(30 * 60));
    assert_eq!(rendezvous.bytes(), SET_COST + SHARD_COST);
    assert_eq!(rendezvous.next_due(), Some(at(75 * 60).mono));
    rendezvous.expire(at(75 * 60));
    assert_eq!(rendezvous.bytes(), 0);
    assert_eq!(rendezvous.next_due(), None);
}

#[test]
fn a_busy_epoch_makes_tickets_dearer_in_the_next_one() {
    let mut rng = rng(13);
    // A quarter of 2,000 bytes, 24 times per epoch, is the load that costs nothing.
    let mut rendezvous = Rendezvous::new(
        ID,
        RendezvousLimits {
            bytes: 2_000,
            ..RendezvousLimits::default()
        },
    );
    let free = 500 * 24 / SHARD_LEN;
    for _ in 0..2 * free {
        let shard = small_set(&mut rng).remove(0);
        assert_eq!(give(&mut rendezvous, &shard), ShardOutcome::Opened);
    }
    assert_eq!(rendezvous.required_bits(), TicketBits::MIN);
    rendezvous.expire(at(Epoch::SECS));
    assert_eq!(rendezvous.required_bits().get(), 18);
    rendezvous.expire(at(2 * Epoch::SECS));
    assert_eq!(rendezvous.required_bits(), TicketBits::MIN);
}

#[test]
fn a_ticket_is_judged_by_the_lower_of_the_prices_its_sender_can_have_read() {
    let mut demand = TicketDifficulty::new(1_000);
    let epoch = |number| Epoch(number).start();
    demand.advance_epoch(epoch(10));
    demand.count(4_001);
    demand.advance_epoch(epoch(11));
    demand.count(2_000);
    demand.advance_epoch(epoch(12));

    let bits = [9, 10, 11, 12, 13, 14].map(|number| demand.for_epoch(Epoch(number)).get());
    // Prices: 17 in epoch 10, 20 in 11 after four times the free load, 18 in 12 after twice.
    assert_eq!(bits, [17, 17, 17, 18, 18, 17]);
    demand.count(usize::MAX);
    demand.advance_epoch(epoch(13));
    assert_eq!(demand.current(), TicketBits::MAX);
}

#[test]
fn a_ticket_that_falls_one_bit_short_does_not_serve() {
    let mut rng = rng(14);
    let cookie = Cookie([5; 16]);
    let harder = TicketBits::new(18).unwrap();
    let short = core::iter::repeat_with(|| find_ticket(&mut rng, cookie, TicketBits::MIN))
        .find(|ticket| !verify_ticket(&ID, EPOCH, cookie, *ticket, harder))
        .unwrap();
    assert!(verify_ticket(&ID, EPOCH, cookie, short, TicketBits::MIN));
    let enough = find_ticket(&mut rng, cookie, harder);
    assert!(verify_ticket(&ID, EPOCH, cookie, enough, harder));
}

#[test]
fn a_search_starts_at_random_and_stops_when_told() {
    let cookie = Cookie([6; 16]);
    let [one, other] = [15, 16].map(|seed| find_ticket(&mut rng(seed), cookie, TicketBits::MIN));
    assert_ne!(one, other);

    let mut search = TicketSearch::new(&mut rng(17), &ID, EPOCH, cookie, TicketBits::MAX);
    assert_eq!(search.step(0), None);
    assert_eq!(search.step(1_000), None);
    // A search continued is the same search.
    let [mut whole, mut halves] =
        [(); 2].map(|()| TicketSearch::new(&mut rng(18), &ID, EPOCH, cookie, TicketBits::MIN));
    let stepwise = core::iter::repeat_with(|| halves.step(1_000)).find_map(|found| found);
    assert_eq!(stepwise, whole.step(u32::MAX));
}

#[test]
fn descriptors_cannot_demand_what_no_sender_should_pay() {
    assert_eq!(TicketBits::new(16), None);
    assert_eq!(TicketBits::new(17), Some(TicketBits::MIN));
    assert_eq!(TicketBits::new(24), Some(TicketBits::MAX));
    assert_eq!(TicketBits::new(25), None);
    assert_eq!(TicketBits::new(u8::MAX), None);
}

#[test]
fn debug_shows_neither_sets_nor_envelopes() {
    let shards = small_set(&mut rng(19));
    let mut rendezvous = rendezvous();
    give_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(
        format!("{rendezvous:?}"),
        "Rendezvous { id: ShortId(77777777..), bytes: 1168, .. }"
    );
    let verdict = give(&mut rendezvous, &shards[1]);
    assert_eq!(format!("{verdict:?}"), "Complete(..)");
}
