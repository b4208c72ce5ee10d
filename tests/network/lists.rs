//! Signed relay lists in whole networks: one node gets a list, every node follows it.

use std::time::Duration;

use circuits::directory::SigningKey;
use circuits::ids::{Epoch, NetworkId, Profile};
use circuits::level::Level;
use circuits::secret::Secret;
use whisht::node::Command;
use whisht::relay_list::{ListDraft, ListedRelay, RelayList, SignerId, SignerSet};

use crate::deliver;
use crate::sim::World;

const RELAYS: usize = 14;
const SOURCE: usize = 14;
const READER: usize = 15;

fn key(number: u8) -> SigningKey {
    SigningKey::new(Secret::init_with(|key| key.fill(number))).unwrap()
}

fn signers() -> SignerSet {
    let ids = [1, 2, 3].map(|number| SignerId::of(&key(number).public()));
    SignerSet::new(2, ids.to_vec()).unwrap()
}

/// Relays and clients that pin the signers.
fn network() -> World {
    let mut world = World::new(Duration::from_millis(5));
    for node in 0..READER + 1 {
        let peers: Vec<usize> = match node {
            SOURCE => vec![0, 3, 6],
            READER => vec![1, 4, 7],
            relay => [1, 2, 5]
                .iter()
                .map(|back| (relay + RELAYS - back) % RELAYS)
                .collect(),
        };
        world.add_with(node < RELAYS, &peers, |config| {
            config.signers = Some(signers());
            config.listening.retain(|_| node < RELAYS);
        });
    }
    world.run(Duration::from_secs(20));
    world
}

/// A list of these relays from the present epoch on.
fn list(world: &World, relays: &[usize]) -> RelayList {
    let from = Epoch::at(world.clock().unix);
    let relay = |number: &usize| ListedRelay {
        key: world.addr(*number).key,
        family: 0,
        hint: None,
    };
    let draft = ListDraft {
        network: NetworkId::new(Profile::Local, "test"),
        from,
        until: Epoch(from.0 + 10),
        signers: signers(),
        next: None,
        relays: relays.iter().map(relay).collect(),
    };
    let mut list = RelayList::draft(draft, None).unwrap();
    for number in [2, 3] {
        list.sign(&key(number)).unwrap();
    }
    list
}

fn publish(world: &mut World, at: usize, list: &RelayList) {
    let command = Command::PublishRelayList(list.encode());
    world.command(at, command).unwrap();
}

/// The ids of the lists in force.
fn in_force(world: &mut World) -> Vec<Option<String>> {
    let list = |node| Some(world.status(node).relay_list?.in_force?.id);
    (0..=READER).map(list).collect()
}

#[test]
fn list_given_to_one_relay_is_followed_by_every_node_and_carries_messages() {
    let mut world = network();
    let eligible = |world: &mut World, node| world.status(node).eligible_relays;
    assert_eq!(world.status(SOURCE).relays, RELAYS);
    assert_eq!(eligible(&mut world, SOURCE), 0, "no list, no relay");
    // All but two relays, which stay in the network.
    let named: Vec<usize> = (0..RELAYS - 2).collect();
    let list = list(&world, &named);
    publish(&mut world, 5, &list);
    world.run(Duration::from_secs(5));
    let id = list.header().id().to_string();
    assert!(
        in_force(&mut world)
            .iter()
            .all(|own| own.as_deref() == Some(&id))
    );
    for node in 0..=READER {
        assert_eq!(eligible(&mut world, node), named.len(), "{node}");
    }
    world.run(Duration::from_secs(20));
    assert!(deliver(
        &mut world,
        SOURCE,
        READER,
        b"by listed relays",
        Level::Normal
    ));
    // A node that lost its power still has it, before any peer answers.
    world.kill(SOURCE);
    world.restart(SOURCE);
    let own = world.status(SOURCE).relay_list.unwrap();
    assert_eq!(own.in_force.map(|list| list.id), Some(id));
}

#[test]
fn two_lists_of_one_epoch_reach_every_node_and_none_is_used() {
    let mut world = network();
    let (one, other) = (
        list(&world, &[0, 1, 2, 3, 4, 5, 6, 7]),
        list(&world, &[6, 7, 8, 9]),
    );
    // A part of the network hears one first, and the rest the other.
    publish(&mut world, 0, &one);
    publish(&mut world, 9, &other);
    world.run(Duration::from_secs(10));
    for node in 0..=READER {
        let view = world.status(node).relay_list.unwrap();
        assert_eq!(view.conflicts.len(), 1, "{node}: {view:?}");
        assert!(view.in_force.is_none(), "{node}: {view:?}");
        assert_eq!(world.status(node).eligible_relays, 0);
    }
}

#[test]
fn network_without_pinned_signers_carries_no_list() {
    let (mut world, source, _) = crate::network(8);
    let list = list(&world, &[0, 1]);
    let command = Command::PublishRelayList(list.encode());
    let refused = world.command(0, command).unwrap_err();
    assert!(
        refused.to_string().contains("directory.signers"),
        "{refused}"
    );
    assert_eq!(world.status(source).eligible_relays, 8);
    assert!(world.status(source).relay_list.is_none());
}
