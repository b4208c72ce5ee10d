//! How machines come into a world: their keys, addresses and first configuration, and their return
//! after a power failure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use circuits::directory::{BadSigningKey, RelayEndpoint};
use circuits::ids::Profile;
use circuits::level::Level;
use circuits::secret::Secret;
use circuits::time::Instant;

use super::super::archive::SimArchive;
use super::super::disk::SimDisk;
use super::super::files::SimFiles;
use super::super::machine::{Actor, Machine, Process, WakeUp};
use super::super::network::Uplink;
use super::effects::SimEvent;
use super::{World, wide};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::link::LinkKey;
use crate::message::SymKey;
use crate::node::{Cover, LevelPolicy, Node, NodeConfig, NodeKeys, PowGeneration, simulation};

impl World {
    /// Adds a node that dials `peers` from `start` on; gives its number. The peers may be machines
    /// that are added later. `change` gets the last word on the configuration.
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`], with a probability of 2^-128.
    pub fn add_node(
        &mut self,
        relay: bool,
        peers: &[usize],
        start: Instant,
        change: impl FnOnce(&mut NodeConfig),
    ) -> Result<usize, BadSigningKey> {
        let number = self.machines.len();
        let (key, addr, socket) = self.identity(number);
        let mut config = NodeConfig {
            profile: Profile::Local,
            network: "test".to_owned(),
            level: Level::Normal,
            levels: LevelPolicy::default(),
            relay,
            advertise: vec![match socket {
                SocketAddr::V4(own) => RelayEndpoint::Ip4(*own.ip(), own.port()),
                SocketAddr::V6(own) => RelayEndpoint::Ip6(*own.ip(), own.port()),
            }],
            through_tor: false,
            family: Vec::new(),
            listen_port: 0,
            peers: peers.iter().map(|peer| self.future_addr(*peer)).collect(),
            trusted_peers: Vec::new(),
            discovery: None,
            listening: vec![socket],
            max_peers: 25,
            min_pow: 0.002,
            card_level: Level::Normal,
            max_file_bytes: 1 << 30,
            pow_generation: PowGeneration::Auto,
            cover: Cover::Off,
            bandwidth: crate::bandwidth::BandwidthLimits::default(),
            pool_bytes: 1 << 24,
            guard: None,
            signers: None,
            mail: None,
            via_tor: false,
            danger_reveal_paths: true,
            danger_descriptor_effort: None,
        };
        change(&mut config);
        let disk = SimDisk::new(self.config.disk);
        let process = self.boot(number, 0, key, &config, &disk)?;
        self.place(process, addr, Some(config), disk);
        let start = start.max(self.now);
        self.queue.push(start, (number, SimEvent::Start));
        Ok(number)
    }

    /// Adds a machine that runs another program; gives its number. The program is made from the
    /// machine's link key and address.
    pub fn add_actor(&mut self, make: impl FnOnce(LinkKey, PeerAddr) -> Box<dyn Actor>) -> usize {
        let number = self.machines.len();
        let (key, addr, _) = self.identity(number);
        let process = Process::Actor(make(key, addr));
        self.place(process, addr, None, SimDisk::new(self.config.disk));
        number
    }

    fn place(
        &mut self,
        process: Process,
        addr: PeerAddr,
        config: Option<NodeConfig>,
        disk: SimDisk,
    ) {
        let number = self.machines.len();
        self.by_endpoint.insert(addr.endpoint, number);
        self.machines.push(Machine {
            process,
            addr,
            config,
            starts: 1,
            disk,
            archive: SimArchive::default(),
            files: SimFiles::default(),
            links: BTreeMap::new(),
            uplink: Uplink::default(),
            jobs: BTreeSet::new(),
            mining: self.config.seed.small_rng("mining", &[wide(number)]),
            wake: WakeUp::default(),
            dials: 0,
            behind_nat: false,
            clock_ahead: 0,
        });
    }

    /// The power of a node comes back: it has what was durable, and nothing else. A machine that
    /// runs another program stays as it is.
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`], which the first start would have given.
    pub fn restart(&mut self, at: usize) -> Result<(), BadSigningKey> {
        let machine = self.machine_mut(at);
        let Some(config) = machine.config.clone() else {
            return Ok(());
        };
        let starts = machine.starts;
        machine.starts += 1;
        machine.wake = WakeUp::default();
        machine.jobs.clear();
        let mut disk = core::mem::take(&mut machine.disk);
        disk.lose_power();
        self.machine_mut(at).files.lose_power();
        let (key, ..) = self.identity(at);
        let process = self.boot(at, starts, key, &config, &disk)?;
        let machine = self.machine_mut(at);
        machine.process = process;
        machine.disk = disk;
        self.queue.push(self.now, (at, SimEvent::Resume));
        Ok(())
    }

    /// A node in its `start`th run; each run draws other random numbers.
    fn boot(
        &self,
        number: usize,
        start: u64,
        link: LinkKey,
        config: &NodeConfig,
        disk: &SimDisk,
    ) -> Result<Process, BadSigningKey> {
        let seed = &self.config.seed;
        let mail_password = self
            .mail_password
            .and_then(|key| SymKey::new(Secret::init_with(|own| *own = key)).ok());
        let keys = NodeKeys {
            link,
            guard_seed: seed.secret("guards", &[wide(number)]),
            mail_password,
        };
        let run = seed.derive("run", &[wide(number), start]);
        let mut node = Node::new(config.clone(), keys, disk.restored(), &run, self.clock())?;
        if self.config.fast {
            simulation::share_descriptors(&mut node, self.descriptors.clone());
        }
        Ok(Process::Node(Box::new(node)))
    }

    /// The link key and the address of a machine. Addresses are loopback, as the profile `local`
    /// demands. 64 machines share a /16, since a directory takes no more relays from one.
    fn identity(&self, number: usize) -> (LinkKey, PeerAddr, SocketAddr) {
        let key = self.config.seed.link_key(wide(number));
        let key = key.with_arithmetic(self.arithmetic());
        let subnet = number / MACHINES_PER_SUBNET;
        let octet = |number: usize| u8::try_from(number % 256).unwrap_or(0);
        let port = u16::try_from(number % PORTS_PER_HOST).unwrap_or(0);
        let host = [127, octet(subnet), octet(subnet / 256), 1];
        let socket = SocketAddr::from((host, FIRST_PORT.saturating_add(port)));
        let addr = PeerAddr {
            key: key.public(),
            endpoint: Endpoint::Tcp(socket),
        };
        (key, addr, socket)
    }

    /// The address of a machine that is perhaps added later.
    fn future_addr(&self, number: usize) -> PeerAddr {
        match self.machines.get(number) {
            Some(machine) => machine.addr,
            None => self.identity(number).1,
        }
    }
}

/// Machines whose addresses share the first two numbers.
const MACHINES_PER_SUBNET: usize = 64;
/// Ports in use, more than there are machines at one address.
const PORTS_PER_HOST: usize = 40_000;
const FIRST_PORT: u16 = 20_000;
