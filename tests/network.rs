//! Whole networks of nodes in simulated time: real links, real cells, real envelopes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::Topic;
use whisht::message::ClientSecret;
use whisht::node::{
    Command, Event, Identity, Recipient, RelayLabel, Reply, SendRequest, Stage, Trace,
};

#[path = "network/clock.rs"]
mod clock;
#[path = "network/guard.rs"]
mod guard;
#[path = "network/kills.rs"]
mod kills;
#[path = "network/lists.rs"]
mod lists;
#[path = "network/metrics.rs"]
mod metrics;
#[path = "network/sending.rs"]
mod sending;
#[path = "support/sim.rs"]
mod sim;

use sim::World;

/// Relays in a ring with chords, then a source and a reader.
fn network(relays: usize) -> (World, usize, usize) {
    network_over(World::new(Duration::from_millis(5)), relays)
}

/// The same in a world with links of its own.
fn network_over(world: World, relays: usize) -> (World, usize, usize) {
    (populate(world, relays, &[]), relays, relays + 1)
}

/// The same, where the clocks of some machines are so many seconds ahead from the start.
fn network_with_clocks(relays: usize, ahead: &[(usize, i64)]) -> World {
    populate(World::new(Duration::from_millis(5)), relays, ahead)
}

fn populate(mut world: World, relays: usize, ahead: &[(usize, i64)]) -> World {
    let set_clock = |world: &mut World, machine| {
        for (_, secs) in ahead.iter().filter(|(skewed, _)| *skewed == machine) {
            world.set_clock_ahead(machine, *secs);
        }
    };
    for relay in 0..relays {
        let peers: Vec<usize> = [1, 2, 5]
            .iter()
            .filter_map(|back| relay.checked_sub(*back))
            .collect();
        world.add(true, &peers);
        set_clock(&mut world, relay);
    }
    // The first relays had no peers to dial when they started.
    for relay in 0..5 {
        let peers = [relays - 1 - relay, relays - 2 - relay].into_iter();
        for peer in peers.filter(|peer| *peer != relay) {
            let peer = world.addr(peer);
            world.command(relay, Command::AddPeer(peer)).unwrap();
        }
    }
    for peers in [[0, 3, 6], [1, 4, 7]] {
        let client = world.add(false, &peers);
        set_clock(&mut world, client);
    }
    world.run(Duration::from_secs(20));
    world
}

fn request(to: Recipient, payload: Vec<u8>, level: Level) -> Command {
    Command::Send(SendRequest {
        to,
        sign_as: None,
        payload: payload.into(),
        level: Some(level),
        life: Duration::from_secs(600),
        reader: whisht::node::ReaderKind::default(),
    })
}

/// Gives the reader a key, and returns the recipient for the source.
fn add_recipient(world: &mut World, reader: usize) -> Recipient {
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    let to = Recipient::Public(secret.public(), Topic([1, 2, 3, 4]));
    let identity = Identity::KeyPair(secret);
    world
        .command(reader, Command::AddIdentity("me".to_owned(), identity))
        .unwrap();
    to
}

/// Sends at a level and waits until the reader has the message.
fn deliver(world: &mut World, source: usize, reader: usize, payload: &[u8], level: Level) -> bool {
    let to = add_recipient(world, reader);
    deliver_to(world, source, reader, to, payload, level)
}

/// The same to a recipient whose key the reader has already.
fn deliver_to(
    world: &mut World,
    source: usize,
    reader: usize,
    to: Recipient,
    payload: &[u8],
    level: Level,
) -> bool {
    let reply = world
        .command(source, request(to, payload.to_vec(), level))
        .unwrap();
    assert!(matches!(reply, Reply::Accepted(_)));
    let hex = hex::encode(payload);
    let got = |world: &World| {
        world
            .events(reader)
            .iter()
            .any(|(_, event)| matches!(event, Event::Message(message) if message.payload == hex))
    };
    world.run_until(Duration::from_secs(120), got)
}

fn stages(world: &World, at: usize) -> Vec<Stage> {
    let stage = |(_, event): &(_, Event)| match event {
        Event::Outgoing(_, stage) => Some(stage.clone()),
        _ => None,
    };
    world.events(at).iter().filter_map(stage).collect()
}

/// The lanes that a source chose for its first attempt.
fn lanes(world: &World, source: usize) -> Option<Vec<Vec<RelayLabel>>> {
    let mut events = world.events(source).iter();
    events.find_map(|(_, event)| match event {
        Event::Trace(Trace::Lanes { lanes }) => Some(lanes.clone()),
        _ => None,
    })
}

#[test]
fn pow_search_reports_estimate_and_progress() {
    let mut world = World::new(Duration::from_millis(5));
    let source = world.add_with(false, &[], |config| config.min_pow = 0.2);
    world.run(Duration::from_secs(1));
    let send = || {
        let somebody = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
        let to = Recipient::Public(somebody.public(), Topic([1, 2, 3, 4]));
        request(to, b"hard".to_vec(), Level::Open)
    };
    let Command::Send(wanted) = send() else {
        panic!("not a request to send")
    };
    let Reply::Estimate(estimate) = world.command(source, Command::Estimate(wanted)).unwrap()
    else {
        panic!("not an estimate")
    };
    let millis = estimate.expected_hashes * 1e3 / f64::from(sim::HASHES_PER_SECOND);
    assert_eq!(estimate.sealing_ms.unwrap().to_string(), millis.to_string());

    world.command(source, send()).unwrap();
    world.run(Duration::from_secs(1));
    let stages = stages(&world, source);
    let [
        Stage::Sealing {
            expected_hashes,
            expected_seconds,
            ..
        },
        Stage::Searching {
            tried,
            expected_hashes: wanted,
        },
        Stage::Sealed { .. },
        ..,
    ] = &stages[..]
    else {
        panic!("{stages:?}")
    };
    assert_eq!(
        expected_seconds.unwrap().to_string(),
        (millis / 1e3).to_string()
    );
    assert!(*tried > 0);
    assert_eq!(expected_hashes.to_bits(), wanted.to_bits());
}

#[test]
fn normal_message_is_delivered_through_onion_lanes() {
    let (mut world, source, reader) = network(12);
    assert!(deliver(&mut world, source, reader, b"hush", Level::Normal));
    world.run(Duration::from_secs(5));
    let stages = stages(&world, source);
    assert!(stages.contains(&Stage::Delivered), "{stages:?}");
    let Some(Stage::Planned { lanes, k, n, .. }) = stages
        .iter()
        .find(|stage| matches!(stage, Stage::Planned { .. }))
    else {
        panic!("no lanes were planned");
    };
    assert_eq!((*k, *n, lanes.len()), (2, 3, 3));
    assert!(lanes.iter().all(|relays| (3..=5).contains(relays)));
    assert!(
        lanes.iter().min() < lanes.iter().max(),
        "lanes differ in length: {lanes:?}"
    );
}

#[test]
fn send_never_dials_the_guard() {
    let (mut world, source, reader) = network(11);
    let guard = world.addr(9).key.id();
    let pinned = world.add_with(false, &[0, 3, 6], |config| config.guard = Some(guard));
    let sources = [source, world.add(false, &[0, 3, 6]), pinned];
    world.run(Duration::from_secs(60));
    // From here on no link is lost, so no node has a reason to dial.
    let quiet = world.clock().mono;
    add_recipient(&mut world, reader);
    for round in 1..=2 {
        world.run(Duration::from_secs(1_300));
        for source in sources {
            // The key of `add_recipient`.
            let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
            let to = Recipient::Public(secret.public(), Topic([1, 2, 3, 4]));
            let message = request(to, vec![7; 40], Level::Normal);
            world.command(source, message).unwrap();
        }
        world.run(Duration::from_secs(120));
        let events = world.events(reader).iter();
        let messages = events.filter(|(_, event)| matches!(event, Event::Message(_)));
        assert!(messages.count() >= 3 * round, "round {round}");
    }
    for source in sources {
        let dials = world.dials(source);
        let late: Vec<_> = dials.iter().filter(|(at, _)| *at > quiet).collect();
        assert!(late.is_empty(), "node {source} dialled {late:?}");
        assert!(dials.len() >= 3, "node {source} has no links");
    }
    let guarded = |(_, to): &(_, usize)| *to == 9;
    assert!(world.dials(pinned).iter().any(guarded), "pin not dialled");
}

#[test]
fn lost_guard_is_redialled_by_its_own_clock() {
    let (mut world, _, _) = network(11);
    let guard = world.addr(9).key.id();
    let source = world.add_with(false, &[0, 3, 6], |config| config.guard = Some(guard));
    world.run(Duration::from_secs(30));
    let dials = |world: &World| {
        let dials = world.dials(source).into_iter();
        dials.filter(|(_, to)| *to == 9).count()
    };
    assert_eq!(dials(&world), 1);
    world.kill(9);
    world.run(Duration::from_secs(1));
    world.restart(9);
    world.run(Duration::from_secs(1_200));
    // A restart cuts the link once; a mean of a minute makes twenty minutes without a dial one
    // case in 10^8.
    assert!((2..=3).contains(&dials(&world)), "{}", dials(&world));
}

#[test]
fn source_is_not_first_to_gossip_own_envelope() {
    let (mut world, source, reader) = network(12);
    assert!(deliver(
        &mut world,
        source,
        reader,
        b"not me",
        Level::Normal
    ));
    world.run(Duration::from_secs(5));
    for stage in stages(&world, source) {
        if let Stage::Seen { first_gossip, .. } = stage {
            assert!(!first_gossip);
        }
    }
    let first = (0..14)
        .filter_map(|node| {
            let gossiped =
                |(_, event): &&(_, Event)| matches!(event, Event::Trace(Trace::Gossiped { .. }));
            Some((world.events(node).iter().find(gossiped)?.0, node))
        })
        .min();
    assert!(
        first.is_some_and(|(_, node)| node != source && node != reader),
        "{first:?}"
    );
}

#[test]
fn swift_and_open_messages_arrive() {
    for level in [Level::Swift, Level::Open] {
        let (mut world, source, reader) = network(8);
        assert!(
            deliver(&mut world, source, reader, b"quick", level),
            "{level}"
        );
    }
}

#[test]
fn open_message_that_one_peer_took_is_handed_over_and_not_delivered() {
    let mut world = World::new(Duration::from_millis(5));
    let reader = world.add(false, &[]);
    let source = world.add(false, &[reader]);
    world.run(Duration::from_secs(5));
    assert!(deliver(&mut world, source, reader, b"quick", Level::Open));
    world.run(Duration::from_secs(2));
    let stages = stages(&world, source);
    assert_eq!(
        stages.last(),
        Some(&Stage::HandedOver { peers: 1 }),
        "{stages:?}"
    );
    let claims = |stage: &Stage| matches!(stage, Stage::Delivered | Stage::Seen { .. });
    assert!(!stages.iter().any(claims), "{stages:?}");
}

#[test]
fn named_peer_that_is_offline_is_listed_with_reason() {
    let mut world = World::new(Duration::from_millis(5));
    let host = world.add(false, &[]);
    let node = world.add(false, &[host]);
    world.run(Duration::from_secs(5));
    assert!(world.status(node).unreached_peers.is_empty());
    world.kill(host);
    world.run(Duration::from_secs(120));
    let status = world.status(node);
    let [unreached] = status.unreached_peers.as_slice() else {
        panic!("{:?}", status.unreached_peers);
    };
    assert_eq!(unreached.key, hex::encode(world.addr(host).key.0));
    assert!(unreached.reason.is_some(), "{unreached:?}");
    let open = &status.levels[0];
    assert!(
        open.missing.as_ref().unwrap().contains("1 named peer"),
        "{open:?}"
    );
}

#[test]
fn message_survives_loss_of_middle_relay() {
    let (mut world, source, reader) = network(12);
    let to = add_recipient(&mut world, reader);
    world
        .command(source, request(to, vec![5; 3000], Level::Normal))
        .unwrap();
    assert!(world.run_until(Duration::from_secs(60), |world| {
        lanes(world, source).is_some()
    }));
    let victim = lanes(&world, source).unwrap()[0][1];
    let victim = (0..12)
        .find(|relay| world.addr(*relay).key.id().short() == victim.0)
        .unwrap();
    world.kill(victim);
    let got = |world: &World| {
        world
            .events(reader)
            .iter()
            .any(|(_, event)| matches!(event, Event::Message(_)))
    };
    assert!(world.run_until(Duration::from_secs(120), got));
}

#[test]
fn too_small_network_is_refused_with_requirement() {
    let mut small = World::new(Duration::from_millis(5));
    for relay in 0..3_usize {
        let peers: Vec<usize> = (0..relay).collect();
        small.add(true, &peers);
    }
    let source_of_small = small.add(false, &[0, 1, 2]);
    small.run(Duration::from_secs(10));
    let secret = ClientSecret::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    let to = Recipient::Public(secret.public(), Topic([1, 2, 3, 4]));
    let refusal = small
        .command(source_of_small, request(to, vec![1], Level::Normal))
        .expect_err("three relays do not suffice");
    assert_eq!(refusal.kind, whisht::node::RefusalKind::Policy);
    assert!(refusal.cause.contains("needs at least"), "{refusal}");
}

#[test]
fn lost_rendezvous_causes_retry_with_new_envelope() {
    let (mut world, source, reader) = network(12);
    let to = add_recipient(&mut world, reader);
    world
        .command(source, request(to, vec![7; 100], Level::Normal))
        .unwrap();
    assert!(world.run_until(Duration::from_secs(60), |world| {
        lanes(world, source).is_some()
    }));
    let rendezvous = *lanes(&world, source).unwrap()[0].last().unwrap();
    let victim = (0..12).find(|relay| world.addr(*relay).key.id().short() == rendezvous.0);
    world.kill(victim.unwrap());
    let ended = |world: &World| {
        let end = |stage: &Stage| matches!(stage, Stage::Delivered | Stage::Failed { .. });
        stages(world, source).iter().any(end)
    };
    assert!(world.run_until(Duration::from_secs(180), ended));

    let stages = stages(&world, source);
    assert!(
        stages.contains(&Stage::Retrying { attempt: 2 }),
        "{stages:?}"
    );
    assert_eq!(stages.last(), Some(&Stage::Delivered), "{stages:?}");
    let envelopes: Vec<&String> = stages
        .iter()
        .filter_map(|stage| match stage {
            Stage::Sealed { envelope, .. } => Some(envelope),
            _ => None,
        })
        .collect();
    assert!(envelopes.len() >= 2 && envelopes[0] != envelopes[1]);
    let planned = stages
        .iter()
        .filter(|stage| matches!(stage, Stage::Planned { .. }));
    assert_eq!(planned.count(), envelopes.len(), "each attempt used lanes");
}

#[test]
fn named_peer_gets_gossip_beside_existing_cell_link() {
    let (mut world, source, reader) = network(12);
    assert!(deliver(
        &mut world,
        source,
        reader,
        &[7; 3_000],
        Level::Normal
    ));
    let spoken = |world: &mut World, at: usize, key| match world.ask(at, Command::Peers).unwrap() {
        Reply::Peers(peers) => {
            let links = peers.into_iter().filter(|peer| peer.key == key);
            links.flat_map(|peer| peer.capabilities).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let mut met = 0;
    for at in 0..12 {
        for other in 0..12 {
            let peer = world.addr(other);
            let key = hex::encode(peer.key.0);
            if spoken(&mut world, at, key.clone()) != ["onion/1"] {
                continue;
            }
            world.command(at, Command::AddPeer(peer)).unwrap();
            world.run(Duration::from_secs(5));
            let both = ["onion/1", "shh/6"];
            assert_eq!(spoken(&mut world, at, key), both, "{at} and {other}");
            met += 1;
        }
    }
    assert!(met > 0, "no link carries cells only");
}

#[test]
fn draining_relay_serves_until_no_path_uses_it() {
    let (mut world, source, reader) = network(12);
    let relays = |world: &mut World, at| world.status(at).eligible_relays;
    assert_eq!(relays(&mut world, source), 12);
    assert_eq!(world.status(3).drained_in_secs, None);
    world.command(3, Command::Drain(true)).unwrap();
    let left = world.status(3).drained_in_secs.unwrap();
    assert!((13 * 3_600..=25 * 3_600).contains(&left), "{left}");
    assert!(deliver(
        &mut world,
        source,
        reader,
        b"still there",
        Level::Normal
    ));

    world.jump_clock(left - 3_600);
    world.run(Duration::from_secs(120));
    assert_eq!(relays(&mut world, source), 11, "the others are listed anew");
    world.jump_clock(3_600);
    world.run(Duration::from_secs(1));
    let status = world.status(3);
    assert_eq!(status.drained_in_secs, Some(0), "{}", status.listed);
    world.command(3, Command::Drain(false)).unwrap();
    world.run(Duration::from_secs(60));
    assert_eq!(relays(&mut world, source), 12);
    let refused = world.command(source, Command::Drain(true));
    assert!(refused.unwrap_err().to_string().contains("not a relay"));
}
