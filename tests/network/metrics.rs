//! The metrics of a node do not show whether its user sends.

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::ClientSecret;
use whisht::metrics::render;
use whisht::node::{Command, Recipient, Reply};

use crate::sim::World;
use crate::{add_recipient, network, request};

fn metrics(world: &mut World, at: usize) -> String {
    match world.command(at, Command::Metrics) {
        Ok(Reply::Metrics(view)) => render(&view),
        other => panic!("{other:?}"),
    }
}

/// The recipient that `add_recipient` adds.
fn recipient() -> Recipient {
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    Recipient::Public(secret.public(), Topic([1, 2, 3, 4]))
}

/// The value of a series.
fn value(text: &str, series: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn own_messages_change_no_metric_until_they_come_back_like_those_of_others() {
    let (mut world, source, reader) = network(6);
    let _first = add_recipient(&mut world, reader);
    world.run(Duration::from_secs(60));
    let before = metrics(&mut world, source);
    for number in 0..3 {
        let send = request(recipient(), vec![number; 20], Level::Normal);
        world.command(source, send).unwrap();
    }
    assert_eq!(metrics(&mut world, source), before);

    world.run(Duration::from_secs(120));
    let (own, other) = (metrics(&mut world, source), metrics(&mut world, reader));
    let first = "whisper_envelopes_cached_total{cache=\"miss\"}";
    let gained = value(&own, first) - value(&before, first);
    assert!(gained >= 3, "{gained}: {own}");
    assert_eq!(value(&own, first), value(&other, first), "{own}\n{other}");
    for series in ["p2p_peers", "whisht_mix_cells", "whisht_circuits_relayed"] {
        assert_eq!(value(&own, series), value(&before, series), "{series}");
    }
}
