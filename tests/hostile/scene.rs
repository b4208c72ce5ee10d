//! A few honest relays, each linked with every other, and a rogue among their neighbours.

use std::time::Duration;

use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::dispersal::Payload;
use circuits::ids::{Epoch, LinkId};
use circuits::keys::OnionSecret;
use whisht::envelope::Envelope;
use whisht::envelope_builder::{Life, dummy};
use whisht::node::{Command, Event};
use whisht::onion_wire::OnionMessage;
use whisht::pow::Generations;

use crate::sim::World;
use crate::sim::rogue::{Line, Manners};

/// The relay that is attacked.
pub(crate) const TARGET: usize = 0;

/// Honest relays in a scene.
pub(crate) const RELAYS: usize = 5;

/// Relays that know each other, each with two peers that it dialled itself.
pub(crate) fn relays_in(mut world: World) -> World {
    for _ in 0..RELAYS {
        world.add(true, &[]);
    }
    for relay in 0..RELAYS {
        name_peers(&mut world, relay);
    }
    world.run(Duration::from_secs(5));
    world
}

/// Gives a relay the two peers that it dials; it does not remember them when it starts anew.
pub(crate) fn name_peers(world: &mut World, relay: usize) {
    for step in 1..=2 {
        let peer = world.addr((relay + step) % RELAYS);
        world.command(relay, Command::AddPeer(peer)).unwrap();
    }
}

/// The relays, and a rogue with a line to one of them.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) rogue: usize,
    pub(crate) line: LinkId,
}

impl Scene {
    /// Messages that have reached the user of the node under attack.
    pub(crate) fn messages(&self) -> usize {
        let events = self.world.events(TARGET).iter();
        events
            .filter(|(_, event)| matches!(event, Event::Message(_)))
            .count()
    }

    pub(crate) fn new() -> Self {
        Self::with(Manners::good())
    }

    pub(crate) fn with(manners: Manners) -> Self {
        Self::in_world(World::new(Duration::from_millis(5)), manners)
    }

    pub(crate) fn in_world(world: World, manners: Manners) -> Self {
        let mut world = relays_in(world);
        let rogue = world.add_rogue(manners);
        let line = world.intrude(rogue, TARGET);
        let mut scene = Self { world, rogue, line };
        if manners.network.is_some() {
            scene.ask_for_relays();
        }
        scene
    }

    /// The rogue learns of the relays as everybody does.
    pub(crate) fn ask_for_relays(&mut self) {
        let epoch = Epoch::at(self.world.clock().unix);
        self.say(&OnionMessage::GetDescriptors {
            epoch,
            bucket: None,
            have: Vec::new(),
        });
        self.run(1);
    }

    pub(crate) fn run(&mut self, secs: u64) {
        self.world.run(Duration::from_secs(secs));
    }

    pub(crate) fn line(&self) -> &Line {
        self.world.rogue(self.rogue).line(self.line)
    }

    pub(crate) fn say(&mut self, message: &OnionMessage) {
        let line = self.line;
        self.world
            .incite(self.rogue, |rogue, now| ((), rogue.say(now, line, message)));
    }

    pub(crate) fn bring(&mut self, cells: &[Cell]) {
        let line = self.line;
        self.world
            .incite(self.rogue, |rogue, now| ((), rogue.bring(now, line, cells)));
    }

    /// An honest relay as a hop.
    pub(crate) fn hop(&self, relay: usize) -> Hop {
        let epoch = Epoch::at(self.world.clock().unix);
        self.line().hop(self.world.addr(relay).key, epoch)
    }

    /// The rogue itself as a hop: whatever the target passes on comes back over the line.
    pub(crate) fn myself(&mut self) -> Hop {
        let id = self.world.addr(self.rogue).key.id();
        let onion = self.world.incite(self.rogue, |rogue, _| {
            (*OnionSecret::generate(&mut rogue.rng).public(), Vec::new())
        });
        Hop { id, onion }
    }

    /// A cell along these hops that says nothing at its end; no relay makes it wait.
    pub(crate) fn cell(&mut self, hops: &[Hop]) -> Cell {
        self.cell_saying(hops, &Payload::Drop)
    }

    pub(crate) fn cell_saying(&mut self, hops: &[Hop], payload: &Payload) -> Cell {
        let epoch = Epoch::at(self.world.clock().unix);
        let layers: Vec<LayerSpec> = hops
            .iter()
            .map(|hop| LayerSpec {
                hop: *hop,
                delay: HopDelay::ZERO,
            })
            .collect();
        self.world.incite(self.rogue, |rogue, _| {
            let delta = payload.emit(&mut rogue.rng);
            let cell = seal(&mut rogue.rng, epoch, &layers, false, &delta).unwrap();
            (cell, Vec::new())
        })
    }

    /// A cell that the target gives back.
    pub(crate) fn echo(&mut self) -> Cell {
        let hops = [self.hop(TARGET), self.myself()];
        self.cell(&hops)
    }

    /// An envelope that is nobody's.
    pub(crate) fn envelope(&mut self) -> Envelope {
        self.envelope_for(600)
    }

    /// One that lives at least so many seconds: the shorter, the less work it is.
    pub(crate) fn envelope_for(&mut self, secs: u64) -> Envelope {
        envelope_of(&mut self.world, self.rogue, secs)
    }

    pub(crate) fn dropped(&mut self) -> u64 {
        self.world.status(TARGET).cells_dropped
    }

    pub(crate) fn forwarded(&mut self) -> u64 {
        self.world.status(TARGET).cells_forwarded
    }
}

/// An envelope that is nobody's, made by a rogue.
pub(crate) fn envelope_of(world: &mut World, rogue: usize, secs: u64) -> Envelope {
    let unix = world.clock().unix;
    world.incite(rogue, |rogue, _| {
        let life = Life::at_least(Duration::from_secs(secs));
        let draft = dummy(&mut rogue.rng, unix, life, 0.002).unwrap();
        let mut search = draft
            .pow_job(Generations::Modern)
            .unwrap()
            .search(&mut rogue.rng);
        let nonce = loop {
            if let Some(nonce) = search.step(8192) {
                break nonce;
            }
        };
        (draft.unmined.with_nonce(nonce), Vec::new())
    })
}
