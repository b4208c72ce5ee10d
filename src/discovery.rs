//! Finds nodes whose addresses nobody told us: devp2p's discovery, version 4 (protocol sheet 1.8).
//!
//! A machine without sockets: datagrams go in by [`Discovery::receive`] and out by
//! [`Discovery::poll_transmit`], [`Discovery::poll_timeout`] says when to come back. It knows
//! nothing of Whisper, as discovery itself knows nothing: most nodes that it finds do not speak
//! `shh`, and whoever dials them has to remember that.
//!
//! **It tells strangers our address**, which is what it is for; a node has none unless its operator
//! wants it. It writes nothing to a place that it has not been told of by its operator or by a node
//! that it asked, and it tells of others only to those who proved where they are (`endpoint_proof`). Every
//! table, list and rate in it is bounded, in all and for each prefix of addresses.

mod contact;
mod endpoint_proof;
mod lookup;
mod packet;
mod packet_limiter;
mod routing_table;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use circuits::ids::RelayKey;
use circuits::time::{Instant, Now, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use self::contact::MIN_PORT;
use self::endpoint_proof::{EndpointProofs, OWN_PROOF_LIFETIME, PROOF_LIFETIME};
use self::lookup::Lookup;
use self::packet_limiter::PacketLimiter;
use self::routing_table::RoutingTable;
use crate::endpoint::PeerAddr;
use crate::link::{LinkKey, is_on_curve};

pub use contact::{AddressScope, Contact, NodeId};
pub use packet::{BadPacket, DecodedPacket, DiscoveryPacket, decode_packet, encode_packet};

/// What discovery is told at its start.
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// Nodes to ask first.
    pub bootnodes: Vec<Contact>,
    /// Where we take links and datagrams.
    pub own: Vec<SocketAddr>,
    /// Whether to deal with this machine only (spec M17).
    pub loopback_only: bool,
}

/// The machine.
pub struct Discovery {
    config: DiscoveryConfig,
    key: Arc<LinkKey>,
    own: RelayKey,
    rng: ChaCha20Rng,
    table: RoutingTable,
    proofs: EndpointProofs,
    limiter: PacketLimiter,
    lookup: Option<Lookup>,
    /// Pings that were not answered yet, by their hashes.
    pings: BTreeMap<[u8; 32], PendingPing>,
    /// Who was asked for others.
    queries: BTreeMap<RelayKey, PendingQuery>,
    /// Who is asked as soon as it can have a proof of us.
    delayed_queries: VecDeque<(Instant, Contact)>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Whether more nodes are wanted than are known.
    seeking: bool,
    started: bool,
    next_bootstrap: Instant,
    bootstrap_interval: Duration,
    next_lookup: Instant,
    next_check: Instant,
}

#[derive(Debug)]
struct PendingPing {
    contact: Contact,
    due: Instant,
    /// A walk waits for the answer.
    for_lookup: bool,
}

#[derive(Debug)]
struct PendingQuery {
    ip: IpAddr,
    due: Instant,
    named: usize,
}

impl Discovery {
    /// A machine that knows nobody but its bootnodes.
    #[must_use]
    pub fn new(config: DiscoveryConfig, key: Arc<LinkKey>, seed: [u8; 32], now: Instant) -> Self {
        let own = key.public();
        Self {
            config,
            own,
            key,
            rng: ChaCha20Rng::from_seed(seed),
            table: RoutingTable::new(NodeId::of(&own)),
            proofs: EndpointProofs::default(),
            limiter: PacketLimiter::new(now),
            lookup: None,
            pings: BTreeMap::new(),
            queries: BTreeMap::new(),
            delayed_queries: VecDeque::new(),
            transmits: VecDeque::new(),
            seeking: true,
            started: false,
            next_bootstrap: now,
            bootstrap_interval: MIN_BOOTSTRAP_INTERVAL,
            next_lookup: now,
            next_check: now.after(REVALIDATION_INTERVAL),
        }
    }

    /// How many nodes are known to be where they say they are.
    #[must_use]
    pub fn known(&self) -> usize {
        self.table.len()
    }

    /// Nodes that can be dialled, in random order.
    pub fn candidates(&mut self) -> impl Iterator<Item = PeerAddr> {
        let contacts = self.table.shuffled(&mut self.rng).into_iter();
        contacts.filter_map(|contact| contact.peer())
    }

    /// Whether more nodes are wanted: then it looks for them every few seconds instead of twice an
    /// hour.
    pub fn set_seeking(&mut self, seeking: bool, now: Instant) {
        if seeking && !self.seeking {
            self.next_lookup = self.next_lookup.min(now.after(SEEKING_INTERVAL));
        }
        self.seeking = seeking;
    }

    /// The next datagram to send, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let boot = self.wants_bootstrap().then_some(self.next_bootstrap);
        let lookup = (self.lookup.is_none() && self.table.len() > 0).then_some(self.next_lookup);
        let pings = self.pings.values().map(|pinged| pinged.due);
        let asked = self.queries.values().map(|asked| asked.due);
        let delayed_queries = self.delayed_queries.front().map(|(due, _)| *due);
        pings
            .chain(asked)
            .chain(boot)
            .chain(lookup)
            .chain(delayed_queries)
            .fold(self.next_check, Instant::min)
    }

    /// A datagram came. What breaks a rule is dropped without a word.
    pub fn receive(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        let ip = from.ip().to_canonical();
        if !self.is_in_scope(ip) || from.port() == 0 || !self.limiter.spend(ip, now.mono) {
            return;
        }
        let Ok(DecodedPacket {
            hash,
            from: key,
            packet,
        }) = decode_packet(bytes, now.unix)
        else {
            return;
        };
        if key == self.own {
            return;
        }
        let udp = from.port();
        match packet {
            DiscoveryPacket::Ping { tcp, .. } => {
                let contact = Contact { key, ip, udp, tcp };
                self.on_ping(now, contact, hash);
            }
            DiscoveryPacket::Pong { ping, .. } => self.on_pong(now.mono, key, ip, ping),
            DiscoveryPacket::FindNode { target } => {
                let contact = Contact {
                    key,
                    ip,
                    udp,
                    tcp: 0,
                };
                self.on_find_node(now, &contact, &target);
            }
            DiscoveryPacket::Neighbors(contacts) => self.on_neighbors(key, ip, contacts),
        }
        self.advance_lookup(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.expire_pending(now.mono);
        while let Some((due, contact)) = self.delayed_queries.front().copied()
            && due <= now.mono
        {
            self.delayed_queries.pop_front();
            self.send_find_node(now, contact);
        }
        if self.wants_bootstrap() && self.next_bootstrap <= now.mono {
            for contact in self.config.bootnodes.clone() {
                self.send_ping(now, contact, false);
            }
            self.next_bootstrap = now.mono.after(self.bootstrap_interval);
            self.bootstrap_interval = self
                .bootstrap_interval
                .saturating_mul(2)
                .min(MAX_BOOTSTRAP_INTERVAL);
        }
        if self.next_check <= now.mono {
            if let Some(contact) = self.table.stalest(&mut self.rng) {
                self.send_ping(now, contact, false);
            }
            self.next_check = now.mono.after(self.jitter(REVALIDATION_INTERVAL));
        }
        if self.lookup.is_none() && self.table.len() > 0 && self.next_lookup <= now.mono {
            self.start_lookup(now.mono);
        }
        self.advance_lookup(now);
    }

    fn on_ping(&mut self, now: Now, contact: Contact, ping: [u8; 32]) {
        let to = (contact.ip, contact.udp);
        self.send(
            now.unix,
            contact.socket(),
            &DiscoveryPacket::Pong { ping, to },
        );
        if self
            .proofs
            .is_proven(&contact.key, contact.ip, PROOF_LIFETIME, now.mono)
        {
            self.table.answered(contact);
        } else if self.pings.len() < MAX_PENDING_PINGS_BACK {
            // Whoever it is has to answer from there before it is believed.
            self.send_ping(now, contact, false);
        }
    }

    fn on_pong(&mut self, now: Instant, key: RelayKey, ip: IpAddr, ping: [u8; 32]) {
        let fits = |pinged: &PendingPing| pinged.contact.key == key && pinged.contact.ip == ip;
        if !self.pings.get(&ping).is_some_and(fits) {
            return;
        }
        if let Some(PendingPing {
            contact,
            for_lookup,
            ..
        }) = self.pings.remove(&ping)
        {
            self.proofs.add(&contact, now);
            self.table.answered(contact);
            self.bootstrap_interval = MIN_BOOTSTRAP_INTERVAL;
            if for_lookup {
                // Its own ping is on the way, and our answer to that is its proof.
                self.delayed_queries
                    .push_back((now.after(QUERY_DELAY), contact));
            }
        }
    }

    fn on_find_node(&mut self, now: Now, asker: &Contact, target: &RelayKey) {
        if !self
            .proofs
            .is_proven(&asker.key, asker.ip, PROOF_LIFETIME, now.mono)
        {
            return;
        }
        let scope = AddressScope::of(asker.ip);
        let fits = |contact: &Contact| {
            contact.key != asker.key && scope.may_learn_of(AddressScope::of(contact.ip))
        };
        let nearest = self.table.nearest(&NodeId::of(target), MAX_NODES, fits);
        let mut chunks = nearest.chunks(DiscoveryPacket::MAX_NEIGHBORS);
        // Nobody is an answer too.
        let first = chunks.next().unwrap_or_default();
        for contacts in std::iter::once(first).chain(chunks) {
            let packet = DiscoveryPacket::Neighbors(contacts.to_vec());
            self.send(now.unix, asker.socket(), &packet);
        }
    }

    fn on_neighbors(&mut self, key: RelayKey, ip: IpAddr, contacts: Vec<Contact>) {
        let fits = |asked: &&mut PendingQuery| asked.ip == ip;
        let Some(asked) = self.queries.get_mut(&key).filter(fits) else {
            return;
        };
        let left = MAX_NODES.saturating_sub(asked.named);
        asked.named = asked.named.saturating_add(contacts.len());
        let over = asked.named >= MAX_NODES;
        let scope = AddressScope::of(ip);
        for contact in contacts.into_iter().take(left) {
            let may = contact.key != self.own
                && contact.udp > MIN_PORT
                && self.is_in_scope(contact.ip)
                && scope.may_learn_of(AddressScope::of(contact.ip));
            if may
                && is_on_curve(&contact.key)
                && let Some(lookup) = &mut self.lookup
            {
                lookup.add(contact);
            }
        }
        if over {
            self.queries.remove(&key);
            self.step_done();
        }
    }

    /// Forgets what was not answered in time.
    fn expire_pending(&mut self, now: Instant) {
        let late: Vec<[u8; 32]> = self
            .pings
            .iter()
            .filter(|(_, pinged)| pinged.due <= now)
            .map(|(hash, _)| *hash)
            .collect();
        for hash in late {
            let Some(pinged) = self.pings.remove(&hash) else {
                continue;
            };
            self.table.failed(&pinged.contact.key, &mut self.rng);
            if pinged.for_lookup {
                self.step_done();
            }
        }
        let keys: Vec<RelayKey> = self
            .queries
            .iter()
            .filter(|(_, asked)| asked.due <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if self
                .queries
                .remove(&key)
                .is_some_and(|asked| asked.named == 0)
            {
                self.table.failed(&key, &mut self.rng);
            }
            self.step_done();
        }
    }

    /// Begins a walk: the first to ourselves, so that our neighbours come to know us; the others
    /// to anywhere.
    fn start_lookup(&mut self, now: Instant) {
        let mut target = self.own;
        if self.started {
            self.rng.fill_bytes(&mut target.0);
        }
        self.started = true;
        let from = self
            .table
            .nearest(&NodeId::of(&target), MAX_NODES, |_| true);
        self.lookup = Some(Lookup::new(target, from));
        let wait = if self.seeking {
            SEEKING_INTERVAL
        } else {
            IDLE_INTERVAL
        };
        self.next_lookup = now.after(self.jitter(wait));
    }

    /// Goes on with the walk, as far as nobody has to be waited for.
    fn advance_lookup(&mut self, now: Now) {
        while let Some(contact) = self.lookup.as_mut().and_then(Lookup::next) {
            if self
                .proofs
                .is_proven(&contact.key, contact.ip, OWN_PROOF_LIFETIME, now.mono)
            {
                self.send_find_node(now, contact);
            } else if !self.send_ping(now, contact, true) {
                self.step_done();
            }
        }
        if self.lookup.as_ref().is_some_and(Lookup::is_over) {
            self.lookup = None;
        }
    }

    fn step_done(&mut self) {
        if let Some(lookup) = &mut self.lookup {
            lookup.done();
        }
    }

    fn send_find_node(&mut self, now: Now, contact: Contact) {
        let Some(target) = self.lookup.as_ref().map(Lookup::target) else {
            return;
        };
        let asked = PendingQuery {
            ip: contact.ip,
            due: now.mono.after(RESPONSE_TIMEOUT),
            named: 0,
        };
        if self.queries.insert(contact.key, asked).is_some() {
            self.step_done();
        }
        self.send(
            now.unix,
            contact.socket(),
            &DiscoveryPacket::FindNode { target },
        );
    }

    /// Asks whether somebody is there; `false` if that is done already, or too many are asked.
    fn send_ping(&mut self, now: Now, contact: Contact, for_lookup: bool) -> bool {
        let under_way = |pinged: &PendingPing| {
            pinged.contact.key == contact.key && pinged.contact.ip == contact.ip
        };
        let reachable = self.is_in_scope(contact.ip) && contact.key != self.own;
        if !reachable || self.pings.len() >= MAX_PENDING_PINGS || self.pings.values().any(under_way)
        {
            return false;
        }
        let from = self.own_address(contact.ip);
        let ping = DiscoveryPacket::Ping {
            from: (from.ip(), from.port()),
            tcp: from.port(),
            to: (contact.ip, contact.udp),
        };
        let hash = self.send(now.unix, contact.socket(), &ping);
        let pinged = PendingPing {
            contact,
            due: now.mono.after(RESPONSE_TIMEOUT),
            for_lookup,
        };
        self.pings.insert(hash, pinged);
        true
    }

    fn send(&mut self, now: UnixSecs, to: SocketAddr, packet: &DiscoveryPacket) -> [u8; 32] {
        let (bytes, hash) = encode_packet(packet, now.after(PACKET_LIFETIME), &self.key);
        // Whoever polls too seldom loses the newest; it is asked again.
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back((to, bytes));
        }
        hash
    }

    /// Where we are, told to somebody. Our address only as far as they could reach it.
    fn own_address(&self, to: IpAddr) -> SocketAddr {
        let fits = |own: &&SocketAddr| own.is_ipv4() == to.is_ipv4();
        let own = self.config.own.iter().find(fits);
        let own = own.or_else(|| self.config.own.first());
        let ip = own
            .map(SocketAddr::ip)
            .filter(|ip| AddressScope::of(to).may_learn_of(AddressScope::of(*ip)))
            .unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into());
        (ip, own.map_or(0, SocketAddr::port)).into()
    }

    /// Whether this address is any of our business.
    fn is_in_scope(&self, ip: IpAddr) -> bool {
        match AddressScope::of(ip) {
            AddressScope::Unroutable => false,
            AddressScope::Loopback => true,
            AddressScope::Private | AddressScope::Global => !self.config.loopback_only,
        }
    }

    fn wants_bootstrap(&self) -> bool {
        self.table.len() == 0 && !self.config.bootnodes.is_empty()
    }

    /// A wait with a random part, so that nodes that began together do not go on in step.
    fn jitter(&mut self, wait: Duration) -> Duration {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1);
        let extra = Duration::from_micros(self.rng.next_u64() % micros);
        wait.saturating_add(extra)
    }
}

impl core::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Discovery")
            .field("known", &self.table.len())
            .finish_non_exhaustive()
    }
}

/// Seconds that a packet of ours is good for; as go-ethereum.
const PACKET_LIFETIME: u32 = 20;
/// How long an answer may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(750);
/// How long after an answer the other side's own ping has come, too.
const QUERY_DELAY: Duration = Duration::from_millis(100);
/// How often the stalest of a bucket is asked whether it is still there.
const REVALIDATION_INTERVAL: Duration = Duration::from_secs(10);
/// How often a walk begins when peers are wanted, and when they are not.
const SEEKING_INTERVAL: Duration = Duration::from_secs(5);
const IDLE_INTERVAL: Duration = Duration::from_secs(1800);
/// How often bootnodes are asked while nobody else is known.
const MIN_BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(5);
const MAX_BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(300);
/// Nodes named in an answer: Kademlia's k.
const MAX_NODES: usize = 16;
/// Pings not answered yet.
const MAX_PENDING_PINGS: usize = 128;
/// The same where strangers are the reason: the rest is for whom we ask ourselves.
const MAX_PENDING_PINGS_BACK: usize = MAX_PENDING_PINGS / 2;
/// Datagrams that wait to be sent.
const MAX_TRANSMITS: usize = 256;

#[cfg(test)]
mod tests;
