use std::collections::{BTreeMap, BTreeSet};

use super::pending::MAX_PENDING_PINGS_BACK;
use super::*;

/// Discovery nodes at addresses of their own, and a network that delays their datagrams.
struct Net {
    now: Now,
    machines: Vec<(SocketAddr, Discovery)>,
    /// Delivery time, source, destination, bytes.
    in_flight: VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    /// Datagrams to addresses without a node.
    strays: Vec<(SocketAddr, SocketAddr, usize)>,
    sent: BTreeMap<SocketAddr, usize>,
}

const LATENCY: Duration = Duration::from_millis(20);

fn key(number: u8) -> Arc<LinkKey> {
    Arc::new(LinkKey::from_bytes(&mut [number.max(1); 32]).unwrap())
}

/// Each node is in a network of its own.
fn socket(number: u8) -> SocketAddr {
    ([11, number, 1, 1], 30303).into()
}

fn contact(number: u8) -> Contact {
    let at = socket(number);
    Contact {
        key: key(number).public(),
        ip: at.ip(),
        udp: at.port(),
        tcp: at.port(),
    }
}

fn node(number: u8, bootnodes: &[u8], now: Instant) -> Discovery {
    let config = DiscoveryConfig {
        bootnodes: bootnodes.iter().copied().map(contact).collect(),
        own: vec![socket(number)],
        loopback_only: false,
    };
    Discovery::new(config, key(number), &[number; 32], now)
}

impl Net {
    fn new() -> Self {
        Self {
            now: Now {
                mono: Instant::from_micros(1_000_000),
                unix: UnixSecs(1_795_240_000),
            },
            machines: Vec::new(),
            in_flight: VecDeque::new(),
            strays: Vec::new(),
            sent: BTreeMap::new(),
        }
    }

    fn add(&mut self, number: u8, bootnodes: &[u8]) {
        let node = node(number, bootnodes, self.now.mono);
        self.machines.push((socket(number), node));
    }

    fn node(&mut self, number: u8) -> &mut Discovery {
        let at = socket(number);
        let mut machines = self.machines.iter_mut();
        machines
            .find(|(own, _)| *own == at)
            .map(|(_, node)| node)
            .unwrap()
    }

    /// Advances the clock in steps of ten milliseconds.
    fn run(&mut self, time: Duration) {
        let end = self.now.mono.after(time);
        let (mono, unix) = (self.now.mono, self.now.unix);
        while self.now.mono < end {
            self.now.mono = self.now.mono.after(Duration::from_millis(10));
            let secs = self.now.mono.since(mono).as_secs();
            self.now.unix = unix.after(u32::try_from(secs).unwrap());
            while self
                .in_flight
                .front()
                .is_some_and(|(due, ..)| *due <= self.now.mono)
            {
                let (_, from, to, bytes) = self.in_flight.pop_front().unwrap();
                self.deliver(from, to, &bytes);
            }
            for (_, node) in &mut self.machines {
                if node.poll_timeout() <= self.now.mono {
                    node.handle_timeout(self.now);
                }
            }
            self.collect();
        }
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        match self.machines.iter_mut().find(|(own, _)| *own == to) {
            Some((_, node)) => node.receive(self.now, from, bytes),
            None => self.strays.push((from, to, bytes.len())),
        }
        self.collect();
    }

    fn collect(&mut self) {
        for (own, node) in &mut self.machines {
            while let Some((to, bytes)) = node.poll_transmit() {
                *self.sent.entry(*own).or_default() += bytes.len();
                self.in_flight
                    .push_back((self.now.mono.after(LATENCY), *own, to, bytes));
            }
        }
    }

    /// Sends a forged packet to node 1; returns the immediate answers.
    fn attack(
        &mut self,
        from: SocketAddr,
        who: u8,
        packet: &DiscoveryPacket,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let (bytes, _) = encode_packet(packet, self.now.unix.after(20), &key(who));
        self.throw(from, &bytes)
    }

    fn throw(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let now = self.now;
        let victim = self.node(1);
        victim.receive(now, from, bytes);
        std::iter::from_fn(|| victim.poll_transmit()).collect()
    }

    /// Answers the ping that node 1 sends back, and so proves an address, as an attacker can.
    fn prove(&mut self, from: SocketAddr, who: u8) {
        let back = self.attack(from, who, &ping());
        let asked = back.iter().find_map(|(_, bytes)| {
            let opened = decode_packet(bytes, self.now.unix).unwrap();
            matches!(opened.packet, DiscoveryPacket::Ping { .. }).then_some(opened.hash)
        });
        let pong = DiscoveryPacket::Pong {
            ping: asked.expect("it asks back"),
            to: (socket(1).ip(), 30303),
        };
        self.attack(from, who, &pong);
    }
}

fn ping() -> DiscoveryPacket {
    DiscoveryPacket::Ping {
        from: ([0, 0, 0, 0].into(), 0),
        tcp: 30303,
        to: (socket(1).ip(), 30303),
    }
}

fn find(number: u8) -> DiscoveryPacket {
    DiscoveryPacket::FindNode {
        target: key(number).public(),
    }
}

fn bytes(packets: &[(SocketAddr, Vec<u8>)]) -> usize {
    packets.iter().map(|(_, bytes)| bytes.len()).sum()
}

#[test]
fn nodes_with_one_bootnode_find_each_other() {
    let mut net = Net::new();
    net.add(1, &[]);
    for number in 2..=40 {
        net.add(number, &[1]);
    }
    net.run(Duration::from_secs(60));
    for number in 1..=40 {
        let known = net.node(number).known();
        assert!(known >= 12, "{number} knows {known}");
    }
    assert!(net.strays.is_empty());
}

#[test]
fn stopped_node_is_forgotten() {
    let mut net = Net::new();
    net.add(1, &[]);
    for number in 2..=6 {
        net.add(number, &[1]);
    }
    net.run(Duration::from_secs(30));
    assert_eq!(net.node(1).known(), 5);
    net.machines.retain(|(at, _)| *at != socket(6));
    net.run(Duration::from_secs(1_500));
    assert_eq!(net.node(1).known(), 4);
}

#[test]
fn late_bootnode_is_pinged_again() {
    let mut net = Net::new();
    net.add(2, &[1]);
    net.run(Duration::from_secs(60));
    assert!(net.strays.len() <= 5, "waits grow: {}", net.strays.len());
    net.add(1, &[]);
    net.run(Duration::from_secs(120));
    assert_eq!((net.node(1).known(), net.node(2).known()), (1, 1));
}

#[test]
fn candidates_are_diallable_and_in_random_order() {
    let mut net = Net::new();
    net.add(1, &[]);
    for number in 2..=12 {
        net.add(number, &[1]);
    }
    net.run(Duration::from_secs(30));
    let node = net.node(1);
    let mut order = || node.candidates().map(|peer| peer.key).collect::<Vec<_>>();
    let (one, other) = (order(), order());
    assert_eq!(one.len(), 11);
    assert_ne!(one, other);
    assert_eq!(BTreeSet::from_iter(one), BTreeSet::from_iter(other));
}

#[test]
fn amplification_unproven_address_gets_little_more_than_it_sent() {
    let mut net = Net::new();
    net.add(1, &[]);
    for number in 2..=30 {
        net.add(number, &[1]);
    }
    net.run(Duration::from_secs(30));
    // The attacker forges the victim's address and cannot read the answers.
    let victim = socket(99);
    let (mut asked, mut answered) = (0, 0);
    for round in 0..1_000 {
        let packet = if round % 2 == 0 { ping() } else { find(7) };
        let (bytes_in, _) = encode_packet(&packet, net.now.unix.after(20), &key(200));
        asked += bytes_in.len();
        let back = net.throw(victim, &bytes_in);
        assert!(back.iter().all(|(to, _)| *to == victim));
        answered += bytes(&back);
        net.now.mono = net.now.mono.after(Duration::from_millis(1));
    }
    assert!(answered < asked, "{answered} for {asked}");
    assert!(net.attack(victim, 200, &find(7)).is_empty());
}

#[test]
fn pong_from_other_address_or_without_ping_proves_nothing() {
    let mut net = Net::new();
    net.add(1, &[]);
    let (here, there) = (socket(98), socket(99));
    let back = net.attack(there, 200, &ping());
    let asked = back
        .iter()
        .map(|(_, bytes)| decode_packet(bytes, net.now.unix).unwrap());
    let asked = asked.filter(|opened| matches!(opened.packet, DiscoveryPacket::Ping { .. }));
    let hash = asked.map(|opened| opened.hash).next().unwrap();
    let pong = |ping| DiscoveryPacket::Pong {
        ping,
        to: (socket(1).ip(), 30303),
    };
    net.attack(here, 200, &pong(hash));
    net.attack(there, 201, &pong(hash));
    net.attack(there, 200, &pong([7; 32]));
    assert_eq!(net.node(1).known(), 0);
    net.attack(there, 200, &pong(hash));
    assert_eq!(net.node(1).known(), 1);
}

#[test]
fn table_poisoning_one_subnet_does_not_fill_the_table() {
    let mut net = Net::new();
    net.add(1, &[]);
    for number in 2..=20 {
        net.add(number, &[1]);
    }
    net.run(Duration::from_secs(30));
    let honest = net.node(1).known();
    for who in 100..=250 {
        let from = SocketAddr::from(([66, 6, 6, who], 30303));
        net.prove(from, who);
        net.now.mono = net.now.mono.after(Duration::from_millis(200));
    }
    let known = net.node(1).known();
    assert!(
        known >= honest && known <= honest + 10,
        "{honest} and then {known}"
    );
    let theirs = |peer: &PeerAddr| matches!(peer.endpoint, crate::endpoint::Endpoint::Tcp(at) if at.ip().to_string().starts_with("66."));
    let hostile = net.node(1).candidates().filter(theirs).count();
    assert!(hostile <= 10, "{hostile}");
}

#[test]
fn unrequested_neighbors_packets_are_ignored() {
    let mut net = Net::new();
    net.add(1, &[]);
    net.prove(socket(99), 200);
    let named: Vec<Contact> = (50..62).map(contact).collect();
    for _ in 0..5 {
        assert!(
            net.attack(socket(99), 200, &DiscoveryPacket::Neighbors(named.clone()))
                .is_empty()
        );
    }
    net.run(Duration::from_millis(50));
    assert!(net.strays.iter().all(|(_, to, _)| *to == socket(99)));
}

/// A node that answers every query with the same contacts, many of them.
fn liar(net: &mut Net, named: &[Contact], time: Duration) -> BTreeMap<SocketAddr, usize> {
    let (at, who) = (socket(99), 200);
    net.prove(at, who);
    let mut written: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    let end = net.now.mono.after(time);
    while net.now.mono < end {
        net.now.mono = net.now.mono.after(Duration::from_millis(50));
        let now = net.now;
        let node = net.node(1);
        node.handle_timeout(now);
        let sent: Vec<_> = std::iter::from_fn(|| node.poll_transmit()).collect();
        for (to, bytes) in sent {
            *written.entry(to).or_default() += bytes.len();
            let opened = decode_packet(&bytes, now.unix).unwrap();
            match opened.packet {
                DiscoveryPacket::Ping { .. } if to == at => {
                    let pong = DiscoveryPacket::Pong {
                        ping: opened.hash,
                        to: (socket(1).ip(), 30303),
                    };
                    net.attack(at, who, &pong);
                }
                DiscoveryPacket::FindNode { .. } if to == at => {
                    for part in named.chunks(DiscoveryPacket::MAX_NEIGHBORS) {
                        net.attack(at, who, &DiscoveryPacket::Neighbors(part.to_vec()));
                    }
                }
                _ => {}
            }
        }
    }
    written
}

#[test]
fn neighbors_flood_costs_bounded_number_of_packets() {
    let mut net = Net::new();
    net.add(1, &[]);
    let named: Vec<Contact> = (2..=90).map(contact).collect();
    let written = liar(&mut net, &named, Duration::from_secs(60));
    let others = written.iter().filter(|(to, _)| **to != socket(99));
    // At most sixteen contacts of each answer are used, and lookups start at least 5 s apart.
    assert!(others.clone().count() <= 16, "{}", others.count());
    let most = written.values().max().unwrap();
    assert!(*most < 10_000, "{most}");
    assert_eq!(net.node(1).known(), 1);
}

#[test]
fn private_addresses_system_ports_and_invalid_keys_get_no_packets() {
    let mut net = Net::new();
    net.add(1, &[]);
    let at = |ip: [u8; 4], udp: u16| Contact {
        ip: ip.into(),
        udp,
        ..contact(50)
    };
    let named = [
        at([127, 0, 0, 1], 30303),
        at([10, 0, 0, 1], 30303),
        at([192, 168, 1, 1], 30303),
        at([224, 0, 0, 1], 30303),
        at([0, 0, 0, 0], 30303),
        at([8, 8, 8, 8], 53),
        at([8, 8, 4, 4], 123),
        Contact {
            key: RelayKey([0xff; 64]),
            ..contact(51)
        },
        contact(1),
    ];
    let written = liar(&mut net, &named, Duration::from_secs(30));
    assert_eq!(written.keys().copied().collect::<Vec<_>>(), [socket(99)]);
}

#[test]
fn public_nodes_do_not_learn_private_addresses() {
    let mut net = Net::new();
    net.add(1, &[]);
    let private = SocketAddr::from(([192, 168, 1, 7], 30303));
    net.prove(private, 150);
    net.prove(socket(99), 200);
    net.prove(socket(98), 201);
    let told = |net: &mut Net, from: SocketAddr, who: u8| -> BTreeSet<IpAddr> {
        let unix = net.now.unix;
        let back = net.attack(from, who, &find(7));
        let opened = back
            .iter()
            .map(|(_, bytes)| decode_packet(bytes, unix).unwrap().packet);
        let contacts = opened.filter_map(|packet| match packet {
            DiscoveryPacket::Neighbors(contacts) => Some(contacts),
            _ => None,
        });
        contacts.flatten().map(|contact| contact.ip).collect()
    };
    assert_eq!(
        told(&mut net, socket(99), 200),
        BTreeSet::from([socket(98).ip()])
    );
    let both = BTreeSet::from([socket(98).ip(), socket(99).ip()]);
    assert_eq!(told(&mut net, private, 150), both);
}

#[test]
fn replayed_old_packet_changes_nothing() {
    let mut net = Net::new();
    net.add(1, &[]);
    let (recorded, _) = encode_packet(&ping(), net.now.unix.after(20), &key(200));
    assert_eq!(net.throw(socket(99), &recorded).len(), 2);
    net.now.unix = net.now.unix.after(21);
    assert!(net.throw(socket(99), &recorded).is_empty());
    assert!(net.throw(socket(98), &recorded).is_empty());
}

#[test]
fn flood_from_forged_addresses_leaves_room_for_own_queries() {
    let mut net = Net::new();
    net.add(1, &[]);
    net.add(2, &[1]);
    net.run(Duration::from_secs(2));
    for i in 0..=255_u8 {
        for j in 0..4 {
            net.attack(([77, i, j, 1], 30303).into(), 200, &ping());
        }
    }
    let node = net.node(1);
    assert!(node.pending.pings() <= MAX_PENDING_PINGS_BACK);
    assert!(node.transmits.len() <= MAX_TRANSMITS);
    net.run(Duration::from_secs(30));
    assert_eq!(net.node(1).known(), 1);
}

#[test]
fn loopback_only_node_communicates_with_this_machine_only() {
    let config = DiscoveryConfig {
        bootnodes: vec![contact(9)],
        own: vec![([127, 0, 0, 1], 30303).into()],
        loopback_only: true,
    };
    let net = Net::new();
    let mut node = Discovery::new(config, key(1), &[1; 32], net.now.mono);
    node.handle_timeout(net.now);
    assert!(node.poll_transmit().is_none());
    let (bytes, _) = encode_packet(&ping(), net.now.unix.after(20), &key(2));
    node.receive(net.now, socket(9), &bytes);
    node.receive(net.now, ([192, 168, 1, 1], 30303).into(), &bytes);
    assert!(node.poll_transmit().is_none());
    node.receive(net.now, ([127, 0, 0, 1], 30303).into(), &bytes);
    assert_eq!(std::iter::from_fn(|| node.poll_transmit()).count(), 2);
}

#[test]
fn private_own_address_is_not_sent_to_public_nodes() {
    let net = Net::new();
    let private: SocketAddr = ([192, 168, 1, 1], 30303).into();
    let config = DiscoveryConfig {
        bootnodes: vec![contact(9)],
        own: vec![private],
        loopback_only: false,
    };
    let node = Discovery::new(config, key(1), &[1; 32], net.now.mono);
    let told = |to: [u8; 4]| node.config.own_address(to.into());
    assert_eq!(told([192, 168, 1, 9]), private);
    assert_eq!(told([11, 9, 1, 1]), ([0, 0, 0, 0], 30303).into());
}

#[test]
fn idle_node_sends_few_packets() {
    let mut net = Net::new();
    net.add(1, &[]);
    net.add(2, &[1]);
    net.run(Duration::from_secs(30));
    let now = net.now.mono;
    for number in [1, 2] {
        net.node(number).set_seeking(false, now);
    }
    net.run(Duration::from_secs(10));
    net.sent.clear();
    net.run(Duration::from_secs(600));
    let sent = net.sent.get(&socket(1)).copied().unwrap_or_default();
    // A ping and its answer every ten to twenty seconds, in each direction.
    assert!(sent < 30_000, "{sent}");
}
