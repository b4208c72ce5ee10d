//! Links from the outside: against each other, against recorded sessions, against hostile peers.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "an unexpected result is a failed test"
)]

#[path = "link/hello.rs"]
mod hello;
#[path = "link/hostile.rs"]
mod hostile;
#[path = "link/pair.rs"]
mod pair;
#[path = "link/raw.rs"]
mod raw;
#[path = "link/recorded.rs"]
mod recorded;
#[path = "link/script.rs"]
mod script;

use std::sync::Arc;
use std::time::Duration;

use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::link::{Capability, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits};

/// A link key that depends on one byte only.
fn key(byte: u8) -> Arc<LinkKey> {
    Arc::new(LinkKey::from_bytes(&mut [byte; 32]).unwrap())
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A node with these capabilities.
fn config(capabilities: &[Capability]) -> Arc<LinkConfig> {
    Arc::new(LinkConfig {
        client_id: "whisht/test".into(),
        listen_port: 0,
        capabilities: capabilities.to_vec(),
        limits: LinkLimits::default(),
    })
}

/// The events of a link since the last call.
fn events(link: &mut Link) -> Vec<LinkEvent> {
    std::iter::from_fn(|| link.poll_event()).collect()
}

/// This many seconds after the start.
fn at(secs: u64) -> Instant {
    Instant::ZERO.after(Duration::from_secs(secs))
}

const BOTH: [Capability; 2] = [Capability::SHH_6, Capability::ONION_1];
