//! Finds nodes whose addresses nobody told us: devp2p's discovery, version 4 (protocol sheet 1.8).
//!
//! A machine without sockets: datagrams go in by [`Discovery::receive`] and out by
//! [`Discovery::poll_transmit`], [`Discovery::poll_timeout`] says when to come back. It knows
//! nothing of Whisper, as discovery itself knows nothing: most nodes that it finds do not speak
//! `shh`, and whoever dials them has to remember that.
//!
//! **It tells strangers our address**, which is what it is for; a node has none unless its operator
//! wants it. It writes nothing to a place that it has not been told of by its operator or by a node
//! that it asked, and it tells of others only to those who proved where they are (`proof`). Every
//! table, list and rate in it is bounded, in all and for each prefix of addresses.

mod budget;
mod contact;
mod lookup;
mod packet;
mod proof;
mod table;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use circuits::ids::RelayKey;
use circuits::time::{Instant, Now, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use self::budget::Budget;
use self::contact::LOWEST_PORT;
use self::lookup::Lookup;
use self::proof::{ANSWERED_FOR, ASKED_FOR, Proofs};
use self::table::Table;
use crate::endpoint::PeerAddr;
use crate::link::{LinkKey, is_on_curve};

pub use contact::{Contact, Place, Reach};
pub use packet::{BadPacket, Opened, Packet, open, seal};

/// What discovery is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes to ask first.
    pub bootnodes: Vec<Contact>,
    /// Where we take links and datagrams.
    pub own: Vec<SocketAddr>,
    /// Whether to deal with this machine only (spec M17).
    pub loopback_only: bool,
}

/// The machine.
pub struct Discovery {
    config: Config,
    key: Arc<LinkKey>,
    own: RelayKey,
    rng: ChaCha20Rng,
    table: Table,
    proofs: Proofs,
    budget: Budget,
    lookup: Option<Lookup>,
    /// Pings that were not answered yet, by their hashes.
    pings: BTreeMap<[u8; 32], Pinged>,
    /// Who was asked for others.
    asked: BTreeMap<RelayKey, Asked>,
    /// Who is asked as soon as it can have a proof of us.
    settling: VecDeque<(Instant, Contact)>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Whether more nodes are wanted than are known.
    hungry: bool,
    begun: bool,
    next_boot: Instant,
    boot_wait: Duration,
    next_lookup: Instant,
    next_check: Instant,
}

#[derive(Debug)]
struct Pinged {
    contact: Contact,
    due: Instant,
    /// A walk waits for the answer.
    for_lookup: bool,
}

#[derive(Debug)]
struct Asked {
    ip: IpAddr,
    due: Instant,
    named: usize,
}

impl Discovery {
    /// A machine that knows nobody but its bootnodes.
    #[must_use]
    pub fn new(config: Config, key: Arc<LinkKey>, seed: [u8; 32], now: Instant) -> Self {
        let own = key.public();
        Self {
            config,
            own,
            key,
            rng: ChaCha20Rng::from_seed(seed),
            table: Table::new(Place::of(&own)),
            proofs: Proofs::default(),
            budget: Budget::new(now),
            lookup: None,
            pings: BTreeMap::new(),
            asked: BTreeMap::new(),
            settling: VecDeque::new(),
            transmits: VecDeque::new(),
            hungry: true,
            begun: false,
            next_boot: now,
            boot_wait: FIRST_BOOT,
            next_lookup: now,
            next_check: now.after(CHECK),
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
    pub fn set_hungry(&mut self, hungry: bool, now: Instant) {
        if hungry && !self.hungry {
            self.next_lookup = self.next_lookup.min(now.after(HUNGRY));
        }
        self.hungry = hungry;
    }

    /// The next datagram to send, and where to.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let boot = self.wants_boot().then_some(self.next_boot);
        let lookup = (self.lookup.is_none() && self.table.len() > 0).then_some(self.next_lookup);
        let pings = self.pings.values().map(|pinged| pinged.due);
        let asked = self.asked.values().map(|asked| asked.due);
        let settling = self.settling.front().map(|(due, _)| *due);
        pings
            .chain(asked)
            .chain(boot)
            .chain(lookup)
            .chain(settling)
            .fold(self.next_check, Instant::min)
    }

    /// A datagram came. What breaks a rule is dropped without a word.
    pub fn receive(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        let ip = from.ip().to_canonical();
        if !self.deals_with(ip) || from.port() == 0 || !self.budget.spend(ip, now.mono) {
            return;
        }
        let Ok(Opened {
            hash,
            from: key,
            packet,
        }) = open(bytes, now.unix)
        else {
            return;
        };
        if key == self.own {
            return;
        }
        let udp = from.port();
        match packet {
            Packet::Ping { tcp, .. } => {
                let contact = Contact { key, ip, udp, tcp };
                self.on_ping(now, contact, hash);
            }
            Packet::Pong { ping, .. } => self.on_pong(now.mono, key, ip, ping),
            Packet::FindNode { target } => {
                let contact = Contact {
                    key,
                    ip,
                    udp,
                    tcp: 0,
                };
                self.on_find_node(now, &contact, &target);
            }
            Packet::Neighbours(contacts) => self.on_neighbours(key, ip, contacts),
        }
        self.walk(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.give_up(now.mono);
        while let Some((due, contact)) = self.settling.front().copied()
            && due <= now.mono
        {
            self.settling.pop_front();
            self.ask(now, contact);
        }
        if self.wants_boot() && self.next_boot <= now.mono {
            for contact in self.config.bootnodes.clone() {
                self.ping(now, contact, false);
            }
            self.next_boot = now.mono.after(self.boot_wait);
            self.boot_wait = self.boot_wait.saturating_mul(2).min(LAST_BOOT);
        }
        if self.next_check <= now.mono {
            if let Some(contact) = self.table.stalest(&mut self.rng) {
                self.ping(now, contact, false);
            }
            self.next_check = now.mono.after(self.spread(CHECK));
        }
        if self.lookup.is_none() && self.table.len() > 0 && self.next_lookup <= now.mono {
            self.begin_lookup(now.mono);
        }
        self.walk(now);
    }

    fn on_ping(&mut self, now: Now, contact: Contact, ping: [u8; 32]) {
        let to = (contact.ip, contact.udp);
        self.send(now.unix, contact.socket(), &Packet::Pong { ping, to });
        if self
            .proofs
            .holds(&contact.key, contact.ip, ANSWERED_FOR, now.mono)
        {
            self.table.answered(contact);
        } else if self.pings.len() < MOST_PINGS_BACK {
            // Whoever it is has to answer from there before it is believed.
            self.ping(now, contact, false);
        }
    }

    fn on_pong(&mut self, now: Instant, key: RelayKey, ip: IpAddr, ping: [u8; 32]) {
        let fits = |pinged: &Pinged| pinged.contact.key == key && pinged.contact.ip == ip;
        if !self.pings.get(&ping).is_some_and(fits) {
            return;
        }
        if let Some(Pinged {
            contact,
            for_lookup,
            ..
        }) = self.pings.remove(&ping)
        {
            self.proofs.add(&contact, now);
            self.table.answered(contact);
            self.boot_wait = FIRST_BOOT;
            if for_lookup {
                // Its own ping is on the way, and our answer to that is its proof.
                self.settling.push_back((now.after(SETTLE), contact));
            }
        }
    }

    fn on_find_node(&mut self, now: Now, asker: &Contact, target: &RelayKey) {
        if !self
            .proofs
            .holds(&asker.key, asker.ip, ANSWERED_FOR, now.mono)
        {
            return;
        }
        let reach = Reach::of(asker.ip);
        let fits = |contact: &Contact| {
            contact.key != asker.key && reach.may_hear_of(Reach::of(contact.ip))
        };
        let nearest = self.table.nearest(&Place::of(target), MOST_NAMED, fits);
        let mut chunks = nearest.chunks(Packet::MOST_NEIGHBOURS);
        // Nobody is an answer too.
        let first = chunks.next().unwrap_or_default();
        for contacts in std::iter::once(first).chain(chunks) {
            let packet = Packet::Neighbours(contacts.to_vec());
            self.send(now.unix, asker.socket(), &packet);
        }
    }

    fn on_neighbours(&mut self, key: RelayKey, ip: IpAddr, contacts: Vec<Contact>) {
        let fits = |asked: &&mut Asked| asked.ip == ip;
        let Some(asked) = self.asked.get_mut(&key).filter(fits) else {
            return;
        };
        let left = MOST_NAMED.saturating_sub(asked.named);
        asked.named = asked.named.saturating_add(contacts.len());
        let over = asked.named >= MOST_NAMED;
        let reach = Reach::of(ip);
        for contact in contacts.into_iter().take(left) {
            let may = contact.key != self.own
                && contact.udp > LOWEST_PORT
                && self.deals_with(contact.ip)
                && reach.may_hear_of(Reach::of(contact.ip));
            if may
                && is_on_curve(&contact.key)
                && let Some(lookup) = &mut self.lookup
            {
                lookup.name(contact);
            }
        }
        if over {
            self.asked.remove(&key);
            self.step_done();
        }
    }

    /// Forgets what was not answered in time.
    fn give_up(&mut self, now: Instant) {
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
            .asked
            .iter()
            .filter(|(_, asked)| asked.due <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if self
                .asked
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
    fn begin_lookup(&mut self, now: Instant) {
        let mut target = self.own;
        if self.begun {
            self.rng.fill_bytes(&mut target.0);
        }
        self.begun = true;
        let from = self
            .table
            .nearest(&Place::of(&target), MOST_NAMED, |_| true);
        self.lookup = Some(Lookup::new(target, from));
        let wait = if self.hungry { HUNGRY } else { SATED };
        self.next_lookup = now.after(self.spread(wait));
    }

    /// Goes on with the walk, as far as nobody has to be waited for.
    fn walk(&mut self, now: Now) {
        while let Some(contact) = self.lookup.as_mut().and_then(Lookup::next) {
            if self
                .proofs
                .holds(&contact.key, contact.ip, ASKED_FOR, now.mono)
            {
                self.ask(now, contact);
            } else if !self.ping(now, contact, true) {
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

    fn ask(&mut self, now: Now, contact: Contact) {
        let Some(target) = self.lookup.as_ref().map(Lookup::target) else {
            return;
        };
        let asked = Asked {
            ip: contact.ip,
            due: now.mono.after(PATIENCE),
            named: 0,
        };
        if self.asked.insert(contact.key, asked).is_some() {
            self.step_done();
        }
        self.send(now.unix, contact.socket(), &Packet::FindNode { target });
    }

    /// Asks whether somebody is there; `false` if that is done already, or too many are asked.
    fn ping(&mut self, now: Now, contact: Contact, for_lookup: bool) -> bool {
        let under_way =
            |pinged: &Pinged| pinged.contact.key == contact.key && pinged.contact.ip == contact.ip;
        let reachable = self.deals_with(contact.ip) && contact.key != self.own;
        if !reachable || self.pings.len() >= MOST_PINGS || self.pings.values().any(under_way) {
            return false;
        }
        let from = self.own_address(contact.ip);
        let ping = Packet::Ping {
            from: (from.ip(), from.port()),
            tcp: from.port(),
            to: (contact.ip, contact.udp),
        };
        let hash = self.send(now.unix, contact.socket(), &ping);
        let pinged = Pinged {
            contact,
            due: now.mono.after(PATIENCE),
            for_lookup,
        };
        self.pings.insert(hash, pinged);
        true
    }

    fn send(&mut self, now: UnixSecs, to: SocketAddr, packet: &Packet) -> [u8; 32] {
        let (bytes, hash) = seal(packet, now.after(EXPIRY), &self.key);
        // Whoever polls too seldom loses the newest; it is asked again.
        if self.transmits.len() < MOST_TRANSMITS {
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
            .filter(|ip| Reach::of(to).may_hear_of(Reach::of(*ip)))
            .unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into());
        (ip, own.map_or(0, SocketAddr::port)).into()
    }

    /// Whether this address is any of our business.
    fn deals_with(&self, ip: IpAddr) -> bool {
        match Reach::of(ip) {
            Reach::Nowhere => false,
            Reach::Loopback => true,
            Reach::Private | Reach::Public => !self.config.loopback_only,
        }
    }

    fn wants_boot(&self) -> bool {
        self.table.len() == 0 && !self.config.bootnodes.is_empty()
    }

    /// A wait with a random part, so that nodes that began together do not go on in step.
    fn spread(&mut self, wait: Duration) -> Duration {
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
const EXPIRY: u32 = 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(750);
/// How long after an answer the other side's own ping has come, too.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the stalest of a bucket is asked whether it is still there.
const CHECK: Duration = Duration::from_secs(10);
/// How often a walk begins when peers are wanted, and when they are not.
const HUNGRY: Duration = Duration::from_secs(5);
const SATED: Duration = Duration::from_secs(1800);
/// How often bootnodes are asked while nobody else is known.
const FIRST_BOOT: Duration = Duration::from_secs(5);
const LAST_BOOT: Duration = Duration::from_secs(300);
/// Nodes named in an answer: Kademlia's k.
const MOST_NAMED: usize = 16;
/// Pings not answered yet.
const MOST_PINGS: usize = 128;
/// The same where strangers are the reason: the rest is for whom we ask ourselves.
const MOST_PINGS_BACK: usize = MOST_PINGS / 2;
/// Datagrams that wait to be sent.
const MOST_TRANSMITS: usize = 256;

#[cfg(test)]
mod tests;
