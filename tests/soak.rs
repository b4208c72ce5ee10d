//! A running node under attack by many peers and local programs.
//!
//! The program runs in a process of its own. A bounded number of attackers draw one attack after
//! another from a seed: their actions and bytes repeat with the seed, their timing does not.
//! Meanwhile two honest nodes exchange messages through the attacked node, an honest relay sends
//! cells through it, and its memory, descriptors, threads and files are measured from outside. The
//! run fails if a message does not arrive, the node does not answer, or a resource grows without a
//! bound.
//!
//! `SOAK_SECONDS` is the duration: a short form runs with every `cargo test`, a full run takes an
//! hour (CONTRIBUTING.md, section "Soaking"). `SOAK_SEED` repeats a run, `SOAK_PEERS` is the number
//! of attackers.

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

#[path = "soak/attackers.rs"]
mod attackers;
#[path = "soak/availability_attacks.rs"]
mod availability_attacks;
#[path = "soak/connection.rs"]
mod connection;
#[path = "soak/envelope_attacks.rs"]
mod envelope_attacks;
#[path = "soak/frame_attacks.rs"]
mod frame_attacks;
#[path = "soak/handshake_attacks.rs"]
mod handshake_attacks;
#[path = "soak/honest_peers.rs"]
mod honest_peers;
#[path = "soak/ipc_attacks.rs"]
mod ipc_attacks;
#[path = "soak/mail_attacks.rs"]
mod mail_attacks;
#[path = "corpus/mutate.rs"]
#[allow(dead_code, reason = "the corpus test uses more of it")]
mod mutate;
#[path = "processes/node.rs"]
mod node;
#[path = "soak/onion_attacks.rs"]
mod onion_attacks;
#[path = "soak/resource_usage.rs"]
mod resource_usage;
#[path = "soak/rpc_attacks.rs"]
mod rpc_attacks;
#[path = "soak/testbed.rs"]
mod testbed;

use std::time::Duration;

use attackers::AttackerPool;
use honest_peers::{CellEcho, MessageExchange};
use resource_usage::{ResourceUsage, UsageMonitor};
use testbed::Testbed;

/// The parameters of the run.
#[derive(Clone, Copy)]
struct SoakSettings {
    time: Duration,
    seed: u64,
    attackers: usize,
}

impl SoakSettings {
    fn from_environment() -> Self {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text
                .parse()
                .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
            Err(_) => default,
        };
        Self {
            time: Duration::from_secs(number("SOAK_SECONDS", DEFAULT_SECONDS)),
            seed: number("SOAK_SEED", 1),
            attackers: usize::try_from(number("SOAK_PEERS", 16)).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_under_attack_keeps_serving_within_limits() {
    let SoakSettings {
        time,
        seed,
        attackers,
    } = SoakSettings::from_environment();
    println!(
        "soak: SOAK_SEED={seed} SOAK_SECONDS={} SOAK_PEERS={attackers}",
        time.as_secs()
    );

    let testbed = Testbed::start().await;
    let target = testbed.target();
    let mut exchange = MessageExchange::new(&testbed).await;
    exchange.exchange().await;
    let quiet = ResourceUsage::of(&testbed);

    let attacker_pool = AttackerPool::start(&target, seed, attackers);
    let honest = tokio::spawn(exchange.run(time));
    let echo = tokio::spawn(CellEcho::new(&target, seed).run(time));
    let monitor = UsageMonitor::watch(&testbed, attackers, time).await;
    let exchange = honest.await.unwrap();
    let echoes = echo.await.unwrap();
    let counts = attacker_pool.stop().await;

    println!("{counts}");
    println!("{exchange}");
    println!("{echoes}");
    println!("{monitor}");
    counts.assert_every_attack_ran(time);
    echoes.assert_returned();
    monitor.assert_within_limits();
    testbed.assert_recovered(&quiet).await;
    testbed.assert_serves_mail();
    testbed.assert_no_bug_logged();
}

/// Seconds of the short form.
const DEFAULT_SECONDS: u64 = 20;
