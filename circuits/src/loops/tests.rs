use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::distributions::{exponential, index};

fn relay(layer: u8, number: u8) -> ShortId {
    let mut id = [0; 16];
    id[0] = layer;
    id[1] = number;
    ShortId(id)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn departing(number: u8, relays: &[ShortId]) -> DepartingLoop {
    DepartingLoop {
        nonce: LoopNonce([number; 16]),
        relays: relays.to_vec(),
        delay: secs(10),
    }
}

#[test]
fn loop_returns_once() {
    let mut ledger = LoopLedger::new();
    ledger.departed(Instant::ZERO, departing(1, &[relay(0, 0)]));
    let now = Instant::ZERO.after(secs(11));
    assert!(!ledger.returned(now, LoopNonce([2; 16])));
    assert!(ledger.returned(now, LoopNonce([1; 16])));
    assert!(!ledger.returned(now, LoopNonce([1; 16])));
    assert_eq!(ledger.expire(now.after(secs(600))), 0);
    assert_eq!(ledger.counts().returned, 1);
}

#[test]
fn loop_is_lost_a_minute_after_its_delays() {
    let mut ledger = LoopLedger::new();
    ledger.departed(Instant::ZERO, departing(1, &[relay(0, 0)]));
    assert_eq!(ledger.expire(Instant::ZERO.after(secs(69))), 0);
    assert_eq!(ledger.expire(Instant::ZERO.after(secs(70))), 1);
    assert!(!ledger.returned(Instant::ZERO.after(secs(71)), LoopNonce([1; 16])));
    assert_eq!(ledger.counts().lost, 1);
}

#[test]
fn loops_of_a_lost_link_are_not_counted() {
    let mut ledger = LoopLedger::new();
    ledger.departed(Instant::ZERO, departing(1, &[relay(0, 0)]));
    ledger.forget_away();
    assert_eq!(ledger.expire(Instant::ZERO.after(secs(600))), 0);
    assert_eq!(ledger.counts(), LoopCounts::default());
}

#[test]
fn loops_on_their_way_are_bounded() {
    let mut ledger = LoopLedger::new();
    for number in 0..3_000_u16 {
        let mut nonce = [0; 16];
        nonce[..2].copy_from_slice(&number.to_be_bytes());
        ledger.departed(
            Instant::ZERO,
            DepartingLoop {
                nonce: LoopNonce(nonce),
                relays: vec![relay(0, 0)],
                delay: secs(1),
            },
        );
    }
    assert_eq!(ledger.counts().away, MAX_AWAY);
}

/// A relay that drops or delays, in a network of 60 relays whose links lose one cell in a thousand.
#[derive(Clone, Copy)]
struct Fault {
    relay: ShortId,
    loss: f64,
    delay: Duration,
}

/// Sends loops of one client until the relay of the fault is named, at most for `days`; returns the
/// hours and the number of relays that were named by mistake.
fn hours_to_alarm(seed: u64, fault: Option<Fault>, days: u64) -> (Option<f64>, usize) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut unit = move || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let mut draw = ChaCha20Rng::seed_from_u64(seed + 1_000);
    let mut ledger = LoopLedger::new();
    let mut now = Instant::ZERO;
    let mut wrong = std::collections::BTreeSet::new();
    for number in 0_u64.. {
        now = now.after(exponential(&mut draw, secs(20)));
        if now > Instant::ZERO.after(secs(86_400 * days)) {
            return (None, wrong.len());
        }
        let middles = (1..4).map(|layer| {
            let number = index(&mut draw, 12).unwrap();
            relay(layer, u8::try_from(number).unwrap())
        });
        let relays: Vec<ShortId> = std::iter::once(relay(0, 0)).chain(middles).collect();
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        let nonce = LoopNonce(nonce);
        let passed = fault.filter(|fault| relays.contains(&fault.relay));
        let natural = 1.0 - 0.999_f64.powi(6);
        let loss = natural + passed.map_or(0.0, |fault| fault.loss);
        let late = Duration::from_secs_f64(0.3 + 0.3 * unit());
        let late = late + passed.map_or(Duration::ZERO, |fault| fault.delay);
        ledger.departed(
            now,
            DepartingLoop {
                nonce,
                relays,
                delay: secs(10),
            },
        );
        if unit() >= loss {
            ledger.returned(now.after(secs(10)).after(late), nonce);
        } else {
            ledger.expire(now.after(secs(70)));
        }
        if let Some(alarm) = ledger.alarm() {
            if Some(alarm.relay) == fault.map(|fault| fault.relay) {
                let hours = now.since(Instant::ZERO).as_secs_f64() / 3_600.0;
                return (Some(hours), wrong.len());
            }
            wrong.insert(alarm.relay);
        }
    }
    (None, wrong.len())
}

/// The median of the hours to the alarm over a few clients.
fn median(fault: Fault, days: u64) -> f64 {
    let runs = (0..15).map(|seed| hours_to_alarm(seed, Some(fault), days).0);
    let mut hours: Vec<f64> = runs.map(|hours| hours.unwrap_or(f64::INFINITY)).collect();
    hours.sort_by(f64::total_cmp);
    hours[hours.len() / 2]
}

/// How fast a client notices a relay that drops cells.
#[test]
fn dropping_relay_is_named_within_hours() {
    for (layer, name) in [(2, "middle"), (0, "guard")] {
        for (loss, days, limit) in [(1.0, 1, 2.0), (0.5, 2, 3.0), (0.1, 4, 14.0)] {
            let fault = Fault {
                relay: relay(layer, 0),
                loss,
                delay: Duration::ZERO,
            };
            let hours = median(fault, days);
            println!("{name} that drops {loss}: median {hours:.2} h");
            assert!(hours < limit, "{name} that drops {loss}: {hours} h");
        }
    }
}

#[test]
fn delaying_relay_is_named_within_hours() {
    let fault = Fault {
        relay: relay(2, 0),
        loss: 0.0,
        delay: secs(3),
    };
    let hours = median(fault, 2);
    println!("middle that delays by 3 s: median {hours:.2} h");
    assert!(hours < 2.0, "{hours}");
}

#[test]
fn honest_network_names_few_relays_in_a_day() {
    let mut named = 0;
    for seed in 0..15 {
        named += hours_to_alarm(100 + seed, None, 1).1;
    }
    println!("{named} of {} relays named by mistake in a day", 15 * 37);
    assert!(named <= 15 * 37 / 20, "{named}");
}
