//! Who reads, who sends, and when.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::super::seed::{SmallRng, WorldSeed};
use super::super::world::World;
use super::Scenario;
use super::topology::{below, shuffle};
use crate::message::{ClientPublic, ClientSecret};
use crate::node::{Command, Identity, Refusal};

/// A node with an identity.
pub(super) struct ReaderNode {
    node: usize,
    pub(super) public: ClientPublic,
}

/// Gives identities to as many random nodes of `users` as there are messages.
pub(super) fn add_readers(
    world: &mut World,
    messages: usize,
    users: &[usize],
    seed: &WorldSeed,
    rng: &mut SmallRng,
) -> Result<Vec<ReaderNode>, Refusal> {
    let mut nodes = users.to_vec();
    shuffle(&mut nodes, rng);
    let mut readers = Vec::new();
    for node in nodes.into_iter().take(messages) {
        let number = u64::try_from(node).unwrap_or(u64::MAX);
        let mut rng = ChaCha20Rng::from_seed(seed.derive("identity", &[number]));
        let secret = ClientSecret::generate(&mut rng);
        let public = secret.public();
        let identity = Identity::KeyPair(secret);
        world.command(node, Command::AddIdentity("reader".to_owned(), identity))?;
        readers.push(ReaderNode { node, public });
    }
    Ok(readers)
}

/// The messages, latest first: when, by which of `users`, to which reader. The last ones have time to
/// arrive before the end.
pub(super) fn plan(
    scenario: &Scenario,
    readers: &[ReaderNode],
    users: &[usize],
    rng: &mut SmallRng,
) -> Vec<(Duration, usize, usize)> {
    let tail = (scenario.time / 2).min(ARRIVAL_TIME);
    let window = scenario.time.saturating_sub(tail);
    let mut planned: Vec<_> = (0..scenario.messages)
        .filter_map(|message| {
            let reader = message % readers.len().max(1);
            let to = readers.get(reader).map(|reader| reader.node);
            let mut at = below(rng, users.len());
            if to.as_ref() == users.get(at) {
                at = (at + 1) % users.len();
            }
            let from = *users.get(at)?;
            Some((window.mul_f64(rng.unit()), from, reader))
        })
        .collect();
    planned.sort_by(|one, other| other.cmp(one));
    planned
}

/// Time that the last message has to arrive: that of three attempts.
const ARRIVAL_TIME: Duration = Duration::from_secs(300);
