//! Sets and tickets at one rendezvous.
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

/// `secs` seconds after the start, by both clocks.
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

/// All shards of one envelope, with a valid ticket.
fn set(rng: &mut impl CryptoRng, class: Class, envelope: &[u8]) -> Vec<Shard> {
    let mut cookie = Cookie([0; 16]);
    rng.fill_bytes(&mut cookie.0);
    let ticket = find_ticket(rng, cookie, TicketBits::MIN.for_class(class));
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

/// Delivers a shard with the default link, epoch and hold.
fn deliver(rendezvous: &mut Rendezvous, shard: &Shard) -> ShardOutcome {
    rendezvous.accept(START, LINK, EPOCH, HOLD, false, shard.clone())
}

fn deliver_all(rendezvous: &mut Rendezvous, shards: &[Shard], which: Range<usize>) {
    for shard in &shards[which] {
        let outcome = deliver(rendezvous, shard);
        assert!(matches!(
            outcome,
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
fn kth_shard_completes_set_of_every_class() {
    let mut rng = rng(1);
    for class in Class::ALL {
        let envelope = vec![0x42; class.capacity()];
        let mut shards = set(&mut rng, class, &envelope);
        shards.reverse();
        let k = usize::from(class.k());
        let mut rendezvous = rendezvous();
        deliver_all(&mut rendezvous, &shards, 0..k - 1);
        assert_eq!(
            deliver(&mut rendezvous, &shards[k - 1]),
            complete(&envelope)
        );
    }
}

#[test]
fn late_shard_of_complete_set_is_ignored_until_timeout() {
    let shards = small_set(&mut rng(2));
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(deliver(&mut rendezvous, &shards[1]), complete(&[0x42; 563]));
    assert_eq!(rendezvous.bytes(), SET_COST);

    let late = |rendezvous: &mut Rendezvous, secs| {
        rendezvous.accept(at(secs), LINK, EPOCH, HOLD, false, shards[2].clone())
    };
    assert_eq!(late(&mut rendezvous, 0), ShardOutcome::Ignored);
    assert_eq!(late(&mut rendezvous, 30 * 60 - 1), ShardOutcome::Ignored);
    assert_eq!(late(&mut rendezvous, 30 * 60), ShardOutcome::Opened);
}

#[test]
fn single_cell_package_needs_no_ticket_and_is_not_stored() {
    let mut rng = rng(3);
    let mut shards = set(&mut rng, Class::whole(), &[0x42; 563]);
    let mut rendezvous = rendezvous();
    assert_eq!(deliver(&mut rendezvous, &shards[0]), complete(&[0x42; 563]));
    assert_eq!(rendezvous.bytes(), 0);
    assert_eq!(rendezvous.next_due(), None);

    shards[0].ticket.0[0] ^= 1;
    assert_eq!(deliver(&mut rendezvous, &shards[0]), complete(&[0x42; 563]));
    shards[0].bytes[100] ^= 1;
    assert_eq!(deliver(&mut rendezvous, &shards[0]), ShardOutcome::Poisoned);
    assert_eq!(rendezvous.bytes(), 0);
}

#[test]
fn ticket_is_bound_to_relay_epoch_and_cookie() {
    let shards = small_set(&mut rng(4));
    let rejected = ShardOutcome::Rejected(ShardRejection::BadTicket);

    let mut elsewhere = Rendezvous::new(RelayId([0x78; 32]), RendezvousLimits::default());
    assert_eq!(deliver(&mut elsewhere, &shards[0]), rejected);

    let mut rendezvous = rendezvous();
    for epoch in [EPOCH.previous(), EPOCH.next()] {
        let outcome = rendezvous.accept(START, LINK, epoch, HOLD, false, shards[0].clone());
        assert_eq!(outcome, rejected);
    }
    let mut other = shards[0].clone();
    other.cookie.0[15] ^= 1;
    assert_eq!(deliver(&mut rendezvous, &other), rejected);
    assert_eq!(rendezvous.bytes(), 0);
    assert_eq!(deliver(&mut rendezvous, &shards[0]), ShardOutcome::Opened);
}

#[test]
fn shard_that_disagrees_with_set_is_rejected_without_effect() {
    let mut rng = rng(5);
    let shards = small_set(&mut rng);
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
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
        let outcome = rendezvous.accept(START, LINK, epoch, hold, false, shard.clone());
        assert_eq!(outcome, ShardOutcome::Rejected(reason));
        assert_eq!(rendezvous.bytes(), before);
    }
    assert_eq!(deliver(&mut rendezvous, &shards[1]), complete(&[0x42; 563]));
}

#[test]
fn shards_of_set_may_arrive_over_any_link() {
    let shards = small_set(&mut rng(6));
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
    let outcome = rendezvous.accept(START, LinkId(9), EPOCH, HOLD, true, shards[2].clone());
    assert_eq!(outcome, complete(&[0x42; 563]));
}

#[test]
fn duplicate_shard_is_ignored() {
    let shards = small_set(&mut rng(7));
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
    let before = rendezvous.bytes();
    assert_eq!(deliver(&mut rendezvous, &shards[0]), ShardOutcome::Ignored);
    assert_eq!(rendezvous.bytes(), before);
    assert_eq!(deliver(&mut rendezvous, &shards[2]), complete(&[0x42; 563]));
}

#[test]
fn same_index_with_other_bytes_poisons_set() {
    let shards = small_set(&mut rng(8));
    let mut forged = shards[0].clone();
    forged.bytes[614] ^= 0x80;
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(deliver(&mut rendezvous, &forged), ShardOutcome::Poisoned);
    assert_eq!(rendezvous.bytes(), SET_COST);
    for shard in &shards {
        assert_eq!(deliver(&mut rendezvous, shard), ShardOutcome::Ignored);
    }
}

#[test]
fn altered_shard_poisons_set_after_one_decode() {
    let mut rng = rng(9);
    let class = Class::converge(4_868).unwrap();
    let envelope = vec![0x42; 4_868];
    let mut shards = set(&mut rng, class, &envelope);
    shards[3].bytes[7] ^= 1;
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..7);
    assert_eq!(deliver(&mut rendezvous, &shards[7]), ShardOutcome::Poisoned);
    // The four remaining good shards would suffice if the set were decoded again.
    for shard in &shards[8..] {
        assert_eq!(deliver(&mut rendezvous, shard), ShardOutcome::Ignored);
        assert_eq!(rendezvous.bytes(), SET_COST);
    }
}

#[test]
fn shards_of_two_packages_under_one_cookie_poison_set() {
    let mut rng = rng(10);
    let mut shards = small_set(&mut rng);
    let other = disperse(&mut rng, shards[0].class, &[0x42; 563]).unwrap();
    shards[1].bytes = other[1].clone();
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(deliver(&mut rendezvous, &shards[1]), ShardOutcome::Poisoned);
}

#[test]
fn shard_with_index_beyond_n_poisons_set() {
    // Payload::parse accepts no such shard; a caller that builds it directly gets no further.
    let mut shards = small_set(&mut rng(11));
    shards[1].index = 3;
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(deliver(&mut rendezvous, &shards[1]), ShardOutcome::Poisoned);
}

#[test]
fn incomplete_set_expires_after_30_minutes_or_75_for_bulletin() {
    let mut rng = rng(12);
    let [hush, bulletin] = [(); 2].map(|()| small_set(&mut rng).remove(0));
    let mut rendezvous = rendezvous();
    for (shard, flag) in [(hush, false), (bulletin, true)] {
        let outcome = rendezvous.accept(START, LINK, EPOCH, HOLD, flag, shard);
        assert_eq!(outcome, ShardOutcome::Opened);
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
fn load_of_epoch_raises_difficulty_of_next_epoch() {
    let mut rng = rng(13);
    // The free load is a quarter of 2,000 bytes, 24 times per epoch.
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
        assert_eq!(deliver(&mut rendezvous, &shard), ShardOutcome::Opened);
    }
    assert_eq!(rendezvous.required_bits(), TicketBits::MIN);
    rendezvous.expire(at(Epoch::SECS));
    assert_eq!(rendezvous.required_bits().get(), 18);
    rendezvous.expire(at(2 * Epoch::SECS));
    assert_eq!(rendezvous.required_bits(), TicketBits::MIN);
}

#[test]
fn ticket_must_meet_lower_difficulty_of_two_epochs() {
    let mut difficulty = TicketDifficulty::new(1_000);
    let epoch = |number| Epoch(number).start();
    difficulty.advance_epoch(epoch(10));
    difficulty.count(4_001);
    difficulty.advance_epoch(epoch(11));
    difficulty.count(2_000);
    difficulty.advance_epoch(epoch(12));

    let bits = [9, 10, 11, 12, 13, 14].map(|number| difficulty.for_epoch(Epoch(number)).get());
    // Difficulties: 17 in epoch 10, 20 in 11 after four times the free load, 18 in 12 after twice.
    assert_eq!(bits, [17, 17, 17, 18, 18, 17]);
    difficulty.count(usize::MAX);
    difficulty.advance_epoch(epoch(13));
    assert_eq!(difficulty.current(), TicketBits::MAX);
}

#[test]
fn ticket_one_bit_short_is_refused() {
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
fn ticket_of_a_larger_class_costs_its_share_of_the_table() {
    let bits = Class::ALL.map(|class| TicketBits::MIN.for_class(class).get());
    assert_eq!(bits, [17, 17, 18, 19, 20, 21, 22, 23]);
    let hardest = TicketBits::MAX.for_class(Class::converge(65_536).unwrap());
    assert_eq!(hardest.get(), 30);
    // A ticket for two shards opens no set of more.
    let mut rng = rng(21);
    let class = Class::converge(4_868).unwrap();
    let mut shards = set(&mut rng, class, &[0x42; 4_868]);
    let cheap =
        core::iter::repeat_with(|| find_ticket(&mut rng, shards[0].cookie, TicketBits::MIN)).find(
            |ticket| {
                let bits = TicketBits::MIN.for_class(class);
                !verify_ticket(&ID, EPOCH, shards[0].cookie, *ticket, bits)
            },
        );
    shards[0].ticket = cheap.unwrap();
    assert_eq!(
        deliver(&mut rendezvous(), &shards[0]),
        ShardOutcome::Rejected(ShardRejection::BadTicket)
    );
}

#[test]
fn restart_keeps_the_price_that_the_descriptor_states() {
    let mut restarted = rendezvous();
    restarted.restore_difficulty(EPOCH, TicketBits::new(20).unwrap());
    restarted.restore_difficulty(EPOCH.previous(), TicketBits::new(21).unwrap());
    restarted.expire(START);
    assert_eq!(restarted.required_bits().get(), 20);
    let cheap = small_set(&mut rng(22)).remove(0);
    assert_eq!(
        deliver(&mut restarted, &cheap),
        ShardOutcome::Rejected(ShardRejection::BadTicket)
    );
}

#[test]
fn ticket_search_starts_at_random_and_stops_after_max_tries() {
    let cookie = Cookie([6; 16]);
    let [one, other] = [15, 16].map(|seed| find_ticket(&mut rng(seed), cookie, TicketBits::MIN));
    assert_ne!(one, other);

    let mut search = TicketSearch::new(&mut rng(17), &ID, EPOCH, cookie, TicketBits::MAX);
    assert_eq!(search.step(0), None);
    assert_eq!(search.step(1_000), None);
    // A search in steps gives the same result as a search at once.
    let [mut whole, mut halves] =
        [(); 2].map(|()| TicketSearch::new(&mut rng(18), &ID, EPOCH, cookie, TicketBits::MIN));
    let stepwise = core::iter::repeat_with(|| halves.step(1_000)).find_map(|found| found);
    assert_eq!(stepwise, whole.step(u32::MAX));
}

#[test]
fn ticket_bits_outside_17_to_24_are_refused() {
    assert_eq!(TicketBits::new(16), None);
    assert_eq!(TicketBits::new(17), Some(TicketBits::MIN));
    assert_eq!(TicketBits::new(24), Some(TicketBits::MAX));
    assert_eq!(TicketBits::new(25), None);
    assert_eq!(TicketBits::new(u8::MAX), None);
}

#[test]
fn rendezvous_debug_shows_neither_sets_nor_envelopes() {
    let shards = small_set(&mut rng(19));
    let mut rendezvous = rendezvous();
    deliver_all(&mut rendezvous, &shards, 0..1);
    assert_eq!(
        format!("{rendezvous:?}"),
        "Rendezvous { id: ShortId(77777777..), bytes: 1168, .. }"
    );
    let outcome = deliver(&mut rendezvous, &shards[1]);
    assert_eq!(format!("{outcome:?}"), "Complete(..)");
}
