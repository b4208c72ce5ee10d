//! A running node under a crowd of hostile strangers, peers and local programs.
//!
//! The program itself is attacked, in a process of its own, by a bounded number of attackers that
//! draw one attack after another from a seed: what they do and every byte that they choose repeats
//! with the seed, only its timing does not. Meanwhile two honest nodes talk to each other through
//! the node under attack, an honest relay has it pass cells on, and its memory, descriptors,
//! threads and files are measured from outside. The run fails if a message does not arrive, the
//! node does not answer, or anything grows without a bound.
//!
//! `SOAK_SECONDS` is how long it lasts: a short form runs with every `cargo test`, the real thing
//! takes an hour (CONTRIBUTING.md, section "Soaking"). `SOAK_SEED` repeats a run,
//! `SOAK_PEERS` is the number of attackers.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, wait, and read the clock; the report is for the terminal"
)]

#[path = "soak/arena.rs"]
mod arena;
#[path = "soak/crowd.rs"]
mod crowd;
#[path = "soak/doors.rs"]
mod doors;
#[path = "soak/envelopes.rs"]
mod envelopes;
#[path = "soak/frames.rs"]
mod frames;
#[path = "soak/gauge.rs"]
mod gauge;
#[path = "soak/honest.rs"]
mod honest;
#[path = "soak/locals.rs"]
mod locals;
#[path = "soak/mail.rs"]
mod mail;
#[path = "corpus/mutate.rs"]
#[allow(dead_code, reason = "the corpus test uses more of it")]
mod mutate;
#[path = "processes/node.rs"]
mod node;
#[path = "soak/onions.rs"]
mod onions;
#[path = "soak/strangers.rs"]
mod strangers;
#[path = "soak/wire.rs"]
mod wire;

use std::time::Duration;

use arena::Arena;
use crowd::Crowd;
use gauge::{Gauge, Usage};
use honest::{CellEcho, Pair};

/// How the run is set up.
#[derive(Clone, Copy)]
struct Settings {
    time: Duration,
    seed: u64,
    attackers: usize,
}

impl Settings {
    fn from_environment() -> Self {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
            Err(_) => default,
        };
        Self {
            time: Duration::from_secs(number("SOAK_SECONDS", SHORT)),
            seed: number("SOAK_SEED", 1),
            attackers: usize::try_from(number("SOAK_PEERS", 16)).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_under_attack_keeps_serving_and_stays_bounded() {
    let Settings {
        time,
        seed,
        attackers,
    } = Settings::from_environment();
    println!(
        "soak: SOAK_SEED={seed} SOAK_SECONDS={} SOAK_PEERS={attackers}",
        time.as_secs()
    );

    let arena = Arena::start().await;
    let target = arena.target();
    let mut pair = Pair::new(&arena).await;
    pair.exchange().await;
    let quiet = Usage::of(&arena);

    let crowd = Crowd::unleash(&target, seed, attackers);
    let honest = tokio::spawn(pair.talk(time));
    let echo = tokio::spawn(CellEcho::new(&target, seed).keep_asking(time));
    let gauge = Gauge::watch(&arena, attackers, time).await;
    let pair = honest.await.unwrap();
    let echoes = echo.await.unwrap();
    let tally = crowd.call_off().await;

    println!("{tally}");
    println!("{pair}");
    println!("{echoes}");
    println!("{gauge}");
    tally.every_attack_was_made(time);
    echoes.came_back();
    gauge.judge();
    arena.is_as_before(&quiet).await;
    arena.gives_mail_out();
    arena.logged_no_bug();
}

/// Seconds of the short form.
const SHORT: u64 = 20;
