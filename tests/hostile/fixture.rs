//! Five honest relays, each linked with every other, and an attacker among their peers.

use std::time::Duration;

use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::directory::DescriptorRequest;
use circuits::dispersal::Payload;
use circuits::ids::{Epoch, LinkId};
use circuits::keys::OnionSecret;
use whisht::envelope::Envelope;
use whisht::node::{Command, Event};
use whisht::onion_wire::OnionMessage;

use crate::sim::World;
use crate::sim::scripted_peer::{PeerBehaviour, PeerSession};

/// The relay that is attacked.
pub(crate) const TARGET: usize = 0;

/// Honest relays in a fixture.
pub(crate) const RELAYS: usize = 5;

/// Relays that know each other, each with two peers that it dialled itself.
pub(crate) fn add_relays(mut world: World) -> World {
    for _ in 0..RELAYS {
        world.add(true, &[]);
    }
    for relay in 0..RELAYS {
        add_named_peers(&mut world, relay);
    }
    world.run(Duration::from_secs(5));
    world
}

/// Names the two peers that a relay dials; the setting does not survive a restart.
pub(crate) fn add_named_peers(world: &mut World, relay: usize) {
    for step in 1..=2 {
        let peer = world.addr((relay + step) % RELAYS);
        world.command(relay, Command::AddPeer(peer)).unwrap();
    }
}

/// The relays, and an attacker with a link to one of them.
pub(crate) struct Fixture {
    pub(crate) world: World,
    pub(crate) attacker: usize,
    pub(crate) link: LinkId,
}

impl Fixture {
    /// Number of messages that reached the user of the node under attack.
    pub(crate) fn messages(&self) -> usize {
        let events = self.world.events(TARGET).iter();
        events
            .filter(|(_, event)| matches!(event, Event::Message(_)))
            .count()
    }

    pub(crate) fn new() -> Self {
        Self::with(PeerBehaviour::relay())
    }

    pub(crate) fn with(behaviour: PeerBehaviour) -> Self {
        Self::in_world(World::new(Duration::from_millis(5)), behaviour)
    }

    pub(crate) fn in_world(world: World, behaviour: PeerBehaviour) -> Self {
        let mut world = add_relays(world);
        let attacker = world.add_scripted_peer(behaviour);
        let link = world.connect_scripted(attacker, TARGET);
        let mut fixture = Self {
            world,
            attacker,
            link,
        };
        if behaviour.network.is_some() {
            fixture.fetch_descriptors();
        }
        fixture
    }

    /// The attacker fetches the descriptors like any node.
    pub(crate) fn fetch_descriptors(&mut self) {
        let epoch = Epoch::at(self.world.clock().unix);
        self.send_onion(&OnionMessage::GetDescriptors(DescriptorRequest {
            epoch,
            bucket: None,
            have: Vec::new(),
        }));
        self.run(1);
    }

    pub(crate) fn run(&mut self, secs: u64) {
        self.world.run(Duration::from_secs(secs));
    }

    pub(crate) fn session(&self) -> &PeerSession {
        self.world.scripted(self.attacker).session(self.link)
    }

    pub(crate) fn send_onion(&mut self, message: &OnionMessage) {
        let link = self.link;
        self.world.act(self.attacker, |attacker, now| {
            ((), attacker.send_onion(now, link, message))
        });
    }

    pub(crate) fn send_cells(&mut self, cells: &[Cell]) {
        let link = self.link;
        self.world.act(self.attacker, |attacker, now| {
            ((), attacker.send_cells(now, link, cells))
        });
    }

    /// An honest relay as a hop.
    pub(crate) fn hop(&self, relay: usize) -> Hop {
        let epoch = Epoch::at(self.world.clock().unix);
        self.session().hop(self.world.addr(relay).key, epoch)
    }

    /// The attacker itself as a hop: cells that the target forwards to it return over the link.
    /// The attacker as a next hop of the target. It is not in the directory, so the handle of
    /// its link names it.
    pub(crate) fn attacker_hop(&mut self) -> Hop {
        let mut id = self.world.addr(self.attacker).key.id();
        if let Some(handle) = self.session().handle() {
            id.0[..16].copy_from_slice(&handle.0);
        }
        let onion = self.world.act(self.attacker, |attacker, _| {
            (
                *OnionSecret::generate(&mut attacker.rng).public(),
                Vec::new(),
            )
        });
        Hop { id, onion }
    }

    /// A cell along these hops with no content at its end and no delays.
    pub(crate) fn cell(&mut self, hops: &[Hop]) -> Cell {
        self.cell_with_payload(hops, &Payload::Drop)
    }

    pub(crate) fn cell_with_payload(&mut self, hops: &[Hop], payload: &Payload) -> Cell {
        let epoch = Epoch::at(self.world.clock().unix);
        let layers: Vec<LayerSpec> = hops
            .iter()
            .map(|hop| LayerSpec {
                hop: *hop,
                delay: HopDelay::ZERO,
            })
            .collect();
        self.world.act(self.attacker, |attacker, _| {
            let delta = payload.emit(&mut attacker.rng);
            let cell = seal(&mut attacker.rng, epoch, &layers, false, &delta).unwrap();
            (cell, Vec::new())
        })
    }

    /// A cell that the target sends back.
    pub(crate) fn echo_cell(&mut self) -> Cell {
        let hops = [self.hop(TARGET), self.attacker_hop()];
        self.cell(&hops)
    }

    /// An envelope that no key of the fixture decrypts.
    pub(crate) fn envelope(&mut self) -> Envelope {
        self.envelope_with_life(600)
    }

    /// An envelope with at least this ttl in seconds: the shorter, the less work it costs.
    pub(crate) fn envelope_with_life(&mut self, secs: u64) -> Envelope {
        self.world.mined_envelope(self.attacker, secs)
    }

    pub(crate) fn cells_dropped(&mut self) -> u64 {
        self.world.status(TARGET).cells_dropped
    }

    pub(crate) fn cells_forwarded(&mut self) -> u64 {
        self.world.status(TARGET).cells_forwarded
    }
}
