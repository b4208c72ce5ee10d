//! The network of the demonstration: relays in a ring with chords, a source, a reader, and a bystander
//! whose only peer is the reader, so that every envelope of the bystander was forwarded by the reader.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use circuits::directory::RelayEndpoint as Advertised;
use circuits::ids::{Profile, ShortId};
use circuits::level::Level;
use circuits::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::cli::{Exit, Failure};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::envelope::Topic;
use crate::link::LinkKey;
use crate::message::{ClientPublic, ClientSecret};
use crate::node::{
    Command, Cover, Event, Identity, LevelPolicy, NodeConfig, NodeKeys, PowGeneration, Recipient,
    Refusal, Reply, Restored, SendRequest,
};
use crate::shell::store::Storage;
use crate::shell::{EventItem, Handle, LinkTransport, Setup, Workers, random, seeded_rng, start};
use crate::state::StateRows;

/// All nodes of the demonstration, and their events.
pub(super) struct Network {
    relays: Vec<Handle>,
    names: Vec<ShortId>,
    entry: Option<PeerAddr>,
    source: Handle,
    reader: Handle,
    bystander: Handle,
    reader_key: ClientPublic,
    events: mpsc::Receiver<(Role, Arc<Event>)>,
}

/// The role of a node.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Role {
    /// The relay of this number, from 0.
    Relay(usize),
    /// The node that sends the message.
    Source,
    /// The node that can decrypt the message.
    Reader,
    /// A node that is connected to the reader only.
    Bystander,
}

/// A node that has a key and a listener, and does not run yet.
struct PlannedNode {
    role: Role,
    key: LinkKey,
    addr: PeerAddr,
    listener: TcpListener,
}

/// Resources that all nodes share.
struct SharedSetup {
    workers: Arc<Workers>,
    tell: mpsc::Sender<(Role, Arc<Event>)>,
    cover: Cover,
}

impl Network {
    /// Starts all nodes, with the cover traffic that a level needs. Listeners are bound first, so that
    /// each node knows the addresses of its peers.
    pub(super) async fn start(count: usize, level: Level) -> Result<Self, Failure> {
        let mut planned = Vec::with_capacity(count);
        for number in 0..count {
            planned.push(PlannedNode::new(Role::Relay(number)).await?);
        }
        let addrs: Vec<PeerAddr> = planned.iter().map(|node| node.addr).collect();
        let names = addrs.iter().map(|addr| addr.key.id().short()).collect();
        let peers = |numbers: &[usize]| -> Vec<PeerAddr> {
            let addr = |number: &usize| addrs.get(number.checked_rem(count)?).copied();
            numbers.iter().filter_map(addr).collect()
        };
        let (tell, events) = mpsc::channel(EVENT_QUEUE);
        let workers = Arc::new(Workers::start(Workers::available()).map_err(failed)?);
        let common = SharedSetup {
            workers,
            tell,
            cover: if level.is_mixing() {
                Cover::Full
            } else {
                Cover::Off
            },
        };

        let mut relays = Vec::with_capacity(count);
        for (number, node) in planned.into_iter().enumerate() {
            let peers = peers(&[1, 2, 5].map(|step| number + step));
            relays.push(node.start(peers, &common)?);
        }
        let spread = |first: usize| {
            let numbers = (0..GOSSIP_PEERS).map(|part| first + part * count / GOSSIP_PEERS);
            peers(&numbers.collect::<Vec<_>>())
        };
        let source = PlannedNode::new(Role::Source).await?;
        let reader = PlannedNode::new(Role::Reader).await?;
        let bystander = PlannedNode::new(Role::Bystander).await?;
        let reader_addr = reader.addr;
        let source = source.start(spread(0), &common)?;
        let reader = reader.start(spread(1), &common)?;
        let bystander = bystander.start(vec![reader_addr], &common)?;

        let secret = ClientSecret::generate(&mut seeded_rng().map_err(failed)?);
        let reader_key = secret.public();
        let identity = Command::AddIdentity("reader".to_owned(), Identity::KeyPair(secret));
        let listening = reader.command(identity).await.map_err(failed)?;
        listening.map_err(failed)?;
        Ok(Self {
            relays,
            names,
            entry: addrs.first().copied(),
            source,
            reader,
            bystander,
            reader_key,
            events,
        })
    }

    /// The next event of a node; `None` if there is none within `wait`.
    pub(super) async fn next(&mut self, wait: Duration) -> Option<(Role, Arc<Event>)> {
        tokio::time::timeout(wait, self.events.recv()).await.ok()?
    }

    /// A relay that another node can name as its peer.
    pub(super) const fn entry(&self) -> Option<PeerAddr> {
        self.entry
    }

    /// Short ids of the relays, by number.
    pub(super) fn names(&self) -> &[ShortId] {
        &self.names
    }

    /// Sends a message from the source to the reader.
    pub(super) async fn send(
        &self,
        level: Level,
        payload: Zeroizing<Vec<u8>>,
    ) -> Result<(), Failure> {
        let topic: [u8; 4] = random().map_err(failed)?;
        let request = SendRequest {
            to: Recipient::Public(self.reader_key, Topic(topic)),
            sign_as: None,
            payload,
            level: Some(level),
            life: LIFE,
            reader: crate::node::ReaderKind::default(),
        };
        let reply = self.source.command(Command::Send(request)).await;
        match reply.map_err(failed)? {
            Ok(_) => Ok(()),
            // The node's own remedy names options of `whisht run`.
            Err(refusal) => Err(Refusal {
                remedy: REMEDY.to_owned(),
                ..refusal
            }
            .into()),
        }
    }

    /// Gives the source or the reader a command; other nodes are not asked anything.
    pub(super) async fn ask(&self, role: Role, command: Command) -> Result<Reply, Failure> {
        let node = match role {
            Role::Source => &self.source,
            Role::Reader => &self.reader,
            Role::Bystander => &self.bystander,
            Role::Relay(_) => return Err(failed("a relay of the demonstration has no user")),
        };
        let reply = node.command(command).await.map_err(failed)?;
        Ok(reply?)
    }

    /// Stops a relay without closing its links.
    pub(super) fn kill(&self, relay: usize) {
        if let Some(handle) = self.relays.get(relay) {
            handle.abort();
        }
    }

    /// Stops all nodes.
    pub(super) async fn stop(&self) {
        let rest = [&self.source, &self.reader, &self.bystander];
        for handle in self.relays.iter().chain(rest) {
            handle.shutdown().await;
        }
    }
}

impl PlannedNode {
    async fn new(role: Role) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?;
        let mut secret = Zeroizing::new(random().map_err(failed)?);
        let key = LinkKey::from_bytes(&mut secret).map_err(failed)?;
        let addr = PeerAddr {
            key: key.public(),
            endpoint: Endpoint::Tcp(port),
        };
        Ok(Self {
            role,
            key,
            addr,
            listener,
        })
    }

    fn start(self, peers: Vec<PeerAddr>, common: &SharedSetup) -> Result<Handle, Failure> {
        let Self {
            role,
            key,
            listener,
            ..
        } = self;
        let port = listener.local_addr().map_err(failed)?.port();
        let config = node_config(role, port, peers, common.cover);
        let guard_seed = Secret::take(&mut random().map_err(failed)?);
        let handle = start(Setup {
            config,
            keys: NodeKeys {
                link: key,
                guard_seed,
                mail_password: None,
            },
            // Nothing is kept, and nothing is locked.
            restored: Restored {
                state: Some(StateRows::default()),
                ..Restored::default()
            },
            storage: Storage::Memory,
            transport: LinkTransport::direct(),
            listeners: vec![listener],
            datagrams: Vec::new(),
            workers: Arc::clone(&common.workers),
            archive: None,
        })
        .map_err(failed)?;
        let (mut events, tell) = (handle.subscribe(), common.tell.clone());
        tokio::spawn(async move {
            while let Some(seen) = events.next().await {
                // A lost event is missing in the report only.
                if let EventItem::Event(event) = seen
                    && tell.send((role, event)).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(handle)
    }
}

/// The configuration of a node that listens on this port. A demonstration reveals its paths.
fn node_config(role: Role, port: u16, peers: Vec<PeerAddr>, cover: Cover) -> NodeConfig {
    NodeConfig {
        profile: Profile::Local,
        network: NETWORK.to_owned(),
        level: Level::Normal,
        levels: LevelPolicy::default(),
        relay: matches!(role, Role::Relay(_)),
        advertise: vec![Advertised::Ip4(Ipv4Addr::LOCALHOST, port)],
        through_tor: false,
        family: Vec::new(),
        listen_port: 0,
        peers,
        trusted_peers: Vec::new(),
        discovery: None,
        listening: Vec::new(),
        max_peers: MAX_PEERS,
        min_pow: MIN_POW,
        card_level: Level::Normal,
        max_file_bytes: 1 << 30,
        pow_generation: PowGeneration::Auto,
        cover,
        bandwidth: crate::bandwidth::BandwidthLimits::default(),
        pool_bytes: POOL_BYTES,
        guard: None,
        signers: None,
        mail: None,
        via_tor: false,
        danger_reveal_paths: true,
        danger_descriptor_effort: None,
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// The name of the network.
pub(super) const NETWORK: &str = "demo";

/// The remedy if the network is too small for the level.
const REMEDY: &str = "use more relays with --relays, or another level with --level";

/// Number of peers of the source and of the reader: enough that several peers return an envelope
/// before the node sends it to them, few enough that most relays can be the rendezvous.
const GOSSIP_PEERS: usize = 5;

/// Lifetime of the message: the shortest class.
const LIFE: Duration = Duration::from_secs(60);

/// Minimum proof of work of the local network: about a millisecond for a short message.
const MIN_POW: f64 = 0.002;

const MAX_PEERS: usize = 25;
const POOL_BYTES: usize = 16 * 1024 * 1024;

/// Maximum number of events that wait for the report.
const EVENT_QUEUE: usize = 4096;
