//! Finds nodes whose addresses are not configured: devp2p discovery, version 4 (protocol sheet
//! 1.8).
//!
//! A state machine without sockets: datagrams enter by [`Discovery::receive`] and leave by
//! [`Discovery::poll_transmit`]; [`Discovery::poll_timeout`] says when to call back. It knows
//! nothing of Whisper: most nodes that discovery finds do not speak `shh`, and the code that dials
//! them has to expect that.
//!
//! **Discovery publishes our address to unknown nodes**, which is its purpose; a node runs it only
//! if its operator enables it. It sends only to addresses named by its operator or by a node that
//! it asked, and it names other nodes only to nodes that proved their endpoint
//! (`endpoint_proof`). Every table, list and rate is bounded, in total and per address prefix.

mod config;
mod contact;
mod endpoint_proof;
mod lookup;
mod packet;
mod packet_limiter;
mod pending;
mod routing_table;

use core::time::Duration;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use circuits::backoff::Backoff;
use circuits::distributions;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::RelayKey;
use circuits::time::{Instant, Now, UnixSecs};
use rand_core::Rng;

use self::contact::MIN_PORT;
use self::endpoint_proof::{EndpointProofs, OWN_PROOF_LIFETIME, PROOF_LIFETIME};
use self::lookup::Lookup;
use self::packet_limiter::PacketLimiter;
use self::pending::{MAX_NODES, PendingRequests};
use self::routing_table::RoutingTable;
use crate::endpoint::PeerAddr;
use crate::link::{LinkKey, is_on_curve};

pub use config::DiscoveryConfig;
pub use contact::{AddressScope, Contact, NodeId};
pub use packet::{BadPacket, DecodedPacket, DiscoveryPacket, decode_packet, encode_packet};

/// The discovery state machine.
pub struct Discovery {
    config: DiscoveryConfig,
    key: Arc<LinkKey>,
    own: RelayKey,
    rng: ErasingRng,
    table: RoutingTable,
    proofs: EndpointProofs,
    limiter: PacketLimiter,
    lookup: Option<Lookup>,
    pending: PendingRequests,
    /// Queries that wait until the queried node has an endpoint proof of us.
    delayed_queries: VecDeque<(Instant, Contact)>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Whether the node needs more peers than it has.
    seeking: bool,
    started: bool,
    next_bootstrap: Instant,
    /// Number of times that the bootnodes were pinged.
    bootstraps: u32,
    next_lookup: Instant,
    next_check: Instant,
}

impl Discovery {
    /// A state machine that knows only its bootnodes.
    #[must_use]
    pub fn new(config: DiscoveryConfig, key: Arc<LinkKey>, seed: &[u8; 32], now: Instant) -> Self {
        let own = key.public();
        Self {
            config,
            own,
            key,
            rng: ErasingRng::from_seed(seed),
            table: RoutingTable::new(NodeId::of(&own)),
            proofs: EndpointProofs::new(),
            limiter: PacketLimiter::new(now),
            lookup: None,
            pending: PendingRequests::default(),
            delayed_queries: VecDeque::new(),
            transmits: VecDeque::new(),
            seeking: true,
            started: false,
            next_bootstrap: now,
            bootstraps: 0,
            next_lookup: now,
            next_check: now.after(REVALIDATION_INTERVAL),
        }
    }

    /// Mixes entropy into the generator of lookups and their order.
    pub fn reseed(&mut self, entropy: &[u8; 32]) {
        self.rng.reseed(entropy);
    }

    /// Number of nodes with a proven endpoint.
    #[must_use]
    pub fn known(&self) -> usize {
        self.table.len()
    }

    /// Nodes that can be dialled, in random order.
    pub fn candidates(&mut self) -> impl Iterator<Item = PeerAddr> {
        let contacts = self.table.shuffled(&mut self.rng).into_iter();
        contacts.filter_map(|contact| contact.peer())
    }

    /// Sets whether the node needs more peers. If so, lookups run every 5 s instead of every 30
    /// minutes.
    pub fn set_seeking(&mut self, seeking: bool, now: Instant) {
        if seeking && !self.seeking {
            self.next_lookup = self.next_lookup.min(now.after(SEEKING_INTERVAL));
        }
        self.seeking = seeking;
    }

    /// The next datagram to send, and its destination.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let boot = self.wants_bootstrap().then_some(self.next_bootstrap);
        let lookup = (self.lookup.is_none() && self.table.len() > 0).then_some(self.next_lookup);
        let delayed_queries = self.delayed_queries.front().map(|(due, _)| *due);
        let pending = self.pending.next_due().into_iter();
        pending
            .chain(boot)
            .chain(lookup)
            .chain(delayed_queries)
            .fold(self.next_check, Instant::min)
    }

    /// Handles a received datagram. An invalid one is dropped without an answer.
    pub fn receive(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        let ip = from.ip().to_canonical();
        if !self.config.is_in_scope(ip) || from.port() == 0 || !self.limiter.spend(ip, now.mono) {
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

    /// Runs due timers.
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
            self.next_bootstrap = now.mono.after(BOOTSTRAP.wait(self.bootstraps));
            self.bootstraps = self.bootstraps.saturating_add(1);
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
        } else if self.pending.may_ping_back() {
            // The sender has to answer a ping at this address before it enters the table.
            self.send_ping(now, contact, false);
        }
    }

    fn on_pong(&mut self, now: Instant, key: RelayKey, ip: IpAddr, ping: [u8; 32]) {
        let Some(ping) = self.pending.answered_ping(&ping, &key, ip) else {
            return;
        };
        self.proofs.add(&ping.contact, now);
        self.table.answered(ping.contact);
        self.bootstraps = 0;
        if ping.for_lookup {
            // The node's own ping is on its way; our answer to it is its proof of us.
            self.delayed_queries
                .push_back((now.after(QUERY_DELAY), ping.contact));
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
        // An empty list is an answer too.
        let first = chunks.next().unwrap_or_default();
        for contacts in std::iter::once(first).chain(chunks) {
            let packet = DiscoveryPacket::Neighbors(contacts.to_vec());
            self.send(now.unix, asker.socket(), &packet);
        }
    }

    fn on_neighbors(&mut self, key: RelayKey, ip: IpAddr, contacts: Vec<Contact>) {
        let Some(quota) = self.pending.answered_query(&key, ip, contacts.len()) else {
            return;
        };
        let scope = AddressScope::of(ip);
        for contact in contacts.into_iter().take(quota.nodes) {
            let may = contact.key != self.own
                && contact.udp > MIN_PORT
                && self.config.is_in_scope(contact.ip)
                && scope.may_learn_of(AddressScope::of(contact.ip));
            if may
                && is_on_curve(&contact.key)
                && let Some(lookup) = &mut self.lookup
            {
                lookup.add(contact);
            }
        }
        if quota.is_last {
            self.step_done();
        }
    }

    /// Drops pings and queries that were not answered in time.
    fn expire_pending(&mut self, now: Instant) {
        for ping in self.pending.overdue_pings(now) {
            self.table.failed(&ping.contact.key, &mut self.rng);
            if ping.for_lookup {
                self.step_done();
            }
        }
        for query in self.pending.overdue_queries(now) {
            if query.is_unanswered {
                self.table.failed(&query.key, &mut self.rng);
            }
            self.step_done();
        }
    }

    /// Starts a lookup: the first for our own key, so that the nodes nearest to us learn of us; the
    /// others for a random key.
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

    /// Sends as many queries of the lookup as may run in parallel.
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
        if self.pending.queried(now.mono, &contact) {
            self.step_done();
        }
        self.send(
            now.unix,
            contact.socket(),
            &DiscoveryPacket::FindNode { target },
        );
    }

    /// Pings a node; `false` if a ping is pending already or too many are.
    fn send_ping(&mut self, now: Now, contact: Contact, for_lookup: bool) -> bool {
        let reachable = self.config.is_in_scope(contact.ip) && contact.key != self.own;
        if !reachable || !self.pending.may_ping(&contact.key, contact.ip) {
            return false;
        }
        let from = self.config.own_address(contact.ip);
        let ping = DiscoveryPacket::Ping {
            from: (from.ip(), from.port()),
            tcp: from.port(),
            to: (contact.ip, contact.udp),
        };
        let hash = self.send(now.unix, contact.socket(), &ping);
        self.pending.pinged(now.mono, hash, contact, for_lookup);
        true
    }

    fn send(&mut self, now: UnixSecs, to: SocketAddr, packet: &DiscoveryPacket) -> [u8; 32] {
        let (bytes, hash) = encode_packet(packet, now.after(PACKET_LIFETIME), &self.key);
        // The newest datagram is dropped if the caller polls too slowly; its query is repeated.
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back((to, bytes));
        }
        hash
    }

    fn wants_bootstrap(&self) -> bool {
        self.table.len() == 0 && !self.config.bootnodes.is_empty()
    }

    /// `wait` with random jitter, so that nodes that started together do not stay in step.
    fn jitter(&mut self, wait: Duration) -> Duration {
        wait.saturating_add(distributions::jitter(&mut self.rng, wait))
    }
}

impl core::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Discovery")
            .field("known", &self.table.len())
            .finish_non_exhaustive()
    }
}

/// Seconds until a packet of ours expires; as in go-ethereum.
const PACKET_LIFETIME: u32 = 20;
/// Delay between a node's answer and our query, in which the node's own ping arrives.
const QUERY_DELAY: Duration = Duration::from_millis(100);
/// Interval between liveness checks of the least recently seen node of a random bucket.
const REVALIDATION_INTERVAL: Duration = Duration::from_secs(10);
/// Interval between lookups while peers are needed, and while they are not.
const SEEKING_INTERVAL: Duration = Duration::from_secs(5);
const IDLE_INTERVAL: Duration = Duration::from_secs(1800);
/// Interval between pings of the bootnodes while no other node is known.
const BOOTSTRAP: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));
/// Datagrams queued for sending.
const MAX_TRANSMITS: usize = 256;

#[cfg(test)]
mod tests;
