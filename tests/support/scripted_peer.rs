//! A peer that speaks every protocol correctly and obeys none of their rules.
//!
//! It has the interface of a node, so that the world runs it like one. By itself it completes
//! handshakes and, depending on its behaviour, sends a status; the test decides everything else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::directory::{
    Descriptor, DescriptorDraft, EndpointKinds, PuzzleSearch, RelayEndpoint, Requirements,
    SigningKey, VerifiedDescriptor,
};
use circuits::ids::{Epoch, LinkId, NetworkId, Profile, RelayKey, ShortId};
use circuits::keys::OnionSecret;
use circuits::mixing::ArrivalRate;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::bloom::Bloom;
use whisht::discovery::{Discovery, DiscoveryConfig};
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::envelope::{Envelope, EnvelopeHash, ProtocolVersion};
use whisht::gossip::packet::{MinPow, ShhPacket, code, outgoing, v5};
use whisht::link::{
    Capability, DisconnectReason, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing,
    Priority,
};
use whisht::node::{Input, Output};
use whisht::onion_wire::{MAX_HASHES, OnionMessage};
use whisht::sim::Actor;

#[path = "behaviour.rs"]
mod behaviour;

pub(crate) use behaviour::PeerBehaviour;

/// A malicious peer.
pub(crate) struct ScriptedPeer {
    pub(crate) behaviour: PeerBehaviour,
    pub(crate) rng: ChaCha20Rng,
    key: Arc<LinkKey>,
    config: Arc<LinkConfig>,
    last: u64,
    dialing: BTreeMap<LinkId, RelayKey>,
    sessions: BTreeMap<LinkId, PeerSession>,
    /// Answers in discovery; asks nothing.
    discovery: Option<Discovery>,
}

/// One end of a connection.
#[derive(Default)]
pub(crate) struct PeerSession {
    link: Option<Link>,
    pub(crate) open: bool,
    /// The reason that the other side gave.
    pub(crate) disconnect_reason: Option<DisconnectReason>,
    pub(crate) closed: bool,
    pub(crate) received: Vec<ReceivedMessage>,
}

/// A received message.
pub(crate) struct ReceivedMessage {
    pub(crate) at: Instant,
    pub(crate) capability: Capability,
    pub(crate) code: u16,
    pub(crate) payload: Vec<u8>,
}

impl ReceivedMessage {
    /// The message, if it is one of `onion/1`.
    fn onion_message(&self) -> Option<OnionMessage> {
        if self.capability != Capability::ONION_1 {
            return None;
        }
        let code = u8::try_from(self.code).ok()?;
        OnionMessage::decode(code, &self.payload).ok()?
    }

    /// Hashes that are announced in it.
    fn announced(&self) -> Vec<EnvelopeHash> {
        match self.onion_message() {
            Some(OnionMessage::Announce(hashes)) => hashes,
            _ => Vec::new(),
        }
    }
}

impl Actor for ScriptedPeer {
    fn new_link(&mut self) -> LinkId {
        self.last += 1;
        LinkId(self.last)
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Vec<Output> {
        match input {
            Input::Accepted(id, _) => {
                let link = Link::accept(Arc::clone(&self.config), Arc::clone(&self.key), now.mono);
                self.sessions.entry(id).or_default().link = Some(link);
            }
            Input::Dialed(id) => {
                let (config, key) = (Arc::clone(&self.config), Arc::clone(&self.key));
                let link = Link::dial(config, key, self.dialing[&id], &mut self.rng, now.mono);
                self.sessions.entry(id).or_default().link = link.ok();
            }
            Input::DialFailed(id, _) | Input::Closed(id) => {
                self.sessions.entry(id).or_default().closed = true;
            }
            Input::Received(id, bytes) if self.behaviour.handshakes => {
                self.receive(now, id, bytes);
            }
            Input::Datagram(from, bytes) => return self.answer(now, from, bytes),
            _ => {}
        }
        self.transmit(now)
    }
}

impl ScriptedPeer {
    pub(super) fn new(key: LinkKey, behaviour: PeerBehaviour) -> Self {
        let mut capabilities = Vec::new();
        if behaviour.onion && behaviour.shh != Some(ProtocolVersion::V5) {
            capabilities.push(Capability::ONION_1);
        }
        capabilities.extend(behaviour.shh.map(shh));
        let mut seed = [0x66; 32];
        seed[0] = key.public().0[0];
        Self {
            behaviour,
            rng: ChaCha20Rng::from_seed(seed),
            key: Arc::new(key),
            config: Arc::new(LinkConfig {
                client_id: behaviour.client.to_owned(),
                listen_port: 0,
                capabilities,
                limits: LinkLimits::default(),
            }),
            last: 0,
            dialing: BTreeMap::new(),
            sessions: BTreeMap::new(),
            discovery: None,
        }
    }

    /// A peer that discovery finds.
    pub(super) fn discoverable(key: LinkKey, addr: PeerAddr, behaviour: PeerBehaviour) -> Self {
        let Endpoint::Tcp(own) = addr.endpoint else {
            panic!("the world has sockets only")
        };
        let config = DiscoveryConfig {
            bootnodes: Vec::new(),
            own: vec![own],
            loopback_only: true,
        };
        let mut peer = Self::new(key, behaviour);
        let key = Arc::clone(&peer.key);
        peer.discovery = Some(Discovery::new(config, key, &[7; 32], Instant::ZERO));
        peer
    }

    /// The datagrams that answer a received one.
    fn answer(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) -> Vec<Output> {
        let Some(discovery) = &mut self.discovery else {
            return Vec::new();
        };
        discovery.receive(now, from, bytes);
        std::iter::from_fn(|| discovery.poll_transmit())
            .map(|(to, bytes)| Output::Datagram(to, bytes))
            .collect()
    }

    pub(crate) fn dial(&mut self, peer: PeerAddr) -> (LinkId, Vec<Output>) {
        let id = self.new_link();
        self.dialing.insert(id, peer.key);
        self.sessions.insert(id, PeerSession::default());
        (id, vec![Output::Dial(id, peer.endpoint)])
    }

    fn receive(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        let session = self.sessions.get_mut(&id).expect("a session of ours");
        let Some(link) = &mut session.link else {
            return;
        };
        let _fault = link.receive(now.mono, &mut self.rng, bytes);
        let mut opened = false;
        let mut wanted = Vec::new();
        while let Some(event) = link.poll_event() {
            match event {
                LinkEvent::Connected { .. } => opened = true,
                LinkEvent::Message {
                    capability,
                    code,
                    payload,
                } => {
                    let received = ReceivedMessage {
                        at: now.mono,
                        capability,
                        code,
                        payload,
                    };
                    wanted.extend(received.announced());
                    session.received.push(received);
                }
                LinkEvent::Disconnected(reason) => session.disconnect_reason = Some(reason),
            }
        }
        session.open |= opened;
        if opened {
            self.send_status(now, id);
        }
        if self.behaviour.requests_announced && !wanted.is_empty() {
            for some in wanted.chunks(MAX_HASHES) {
                self.queue_onion(id, &OnionMessage::GetEnvelopes(some.to_vec()));
            }
        }
    }

    fn send_status(&mut self, now: Now, id: LinkId) {
        if let Some(network) = self.behaviour.network {
            let epoch = Epoch::at(now.unix);
            self.queue_onion(
                id,
                &OnionMessage::Status {
                    network,
                    epoch,
                    time: None,
                },
            );
        }
        if let Some(protocol) = self.behaviour.shh {
            let min_pow = MinPow::new(self.behaviour.min_pow).expect("it is finite");
            let status = match protocol {
                ProtocolVersion::V5 => v5::status(),
                ProtocolVersion::V6 if self.behaviour.wants_confirmations => {
                    vec![0xc5, 6, 0x80, 0x80, 0x80, 1]
                }
                ProtocolVersion::V6 => outgoing::status(min_pow, &Bloom::FULL, false),
            };
            self.queue(id, shh(protocol), u16::from(code::STATUS), status);
        }
    }

    fn queue_onion(&mut self, id: LinkId, message: &OnionMessage) {
        let payload = message.encode().expect("the message has a form");
        self.queue(id, Capability::ONION_1, message.code().into(), payload);
    }

    fn queue(&mut self, id: LinkId, capability: Capability, code: u16, payload: Vec<u8>) {
        if let Some(link) = self
            .sessions
            .get_mut(&id)
            .and_then(|session| session.link.as_mut())
        {
            let sent = link.send(
                Priority::Control,
                capability,
                code,
                payload,
                Packing::Literal,
            );
            assert!(sent.is_ok() || !link.is_open(), "{sent:?}");
        }
    }

    fn transmit(&mut self, now: Now) -> Vec<Output> {
        let mut outputs = Vec::new();
        for (id, session) in &mut self.sessions {
            let Some(link) = &mut session.link else {
                continue;
            };
            while let Some(bytes) = link.poll_transmit(now.mono, usize::MAX) {
                outputs.push(Output::Send(*id, bytes));
            }
        }
        outputs
    }

    /// Sends a message of `onion/1`.
    pub(crate) fn send_onion(
        &mut self,
        now: Now,
        link: LinkId,
        message: &OnionMessage,
    ) -> Vec<Output> {
        self.queue_onion(link, message);
        self.transmit(now)
    }

    /// Sends cells.
    pub(crate) fn send_cells(&mut self, now: Now, link: LinkId, cells: &[Cell]) -> Vec<Output> {
        let mut outputs = Vec::new();
        for cell in cells {
            let message = OnionMessage::Cell(Box::new(*cell.as_bytes()));
            outputs.extend(self.send_onion(now, link, &message));
        }
        outputs
    }

    /// Sends an arbitrary message.
    pub(crate) fn send_raw(
        &mut self,
        now: Now,
        link: LinkId,
        (capability, code): (Capability, u16),
        payload: Vec<u8>,
    ) -> Vec<Output> {
        self.queue(link, capability, code, payload);
        self.transmit(now)
    }

    /// Sends an envelope by the gossip of `shh/5`.
    pub(crate) fn send_envelope_v5(
        &mut self,
        now: Now,
        link: LinkId,
        envelope: &Envelope,
    ) -> Vec<Output> {
        let code = u16::from(v5::code::MESSAGE);
        let payload = v5::message(envelope);
        self.send_raw(now, link, (Capability::SHH_5, code), payload)
    }

    /// Sends envelopes by gossip.
    pub(crate) fn send_envelopes(
        &mut self,
        now: Now,
        link: LinkId,
        envelopes: &[Envelope],
    ) -> Vec<Output> {
        let payload = outgoing::messages(envelopes);
        let code = u16::from(code::MESSAGES);
        self.send_raw(now, link, (Capability::SHH_6, code), payload)
    }

    pub(crate) fn session(&self, link: LinkId) -> &PeerSession {
        &self.sessions[&link]
    }

    /// All sessions, inbound ones included.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &PeerSession> {
        self.sessions.values()
    }

    /// The peer's descriptor for an epoch, with an onion key that the peer keeps.
    pub(crate) fn descriptor(
        &mut self,
        now: Now,
        endpoints: Vec<RelayEndpoint>,
        salt: u8,
    ) -> Vec<u8> {
        let network = NetworkId::new(Profile::Local, "test");
        let terms = Requirements::new(network, Profile::Local);
        let epoch = Epoch::at(now.unix);
        let key = self.key.public();
        let mut search = PuzzleSearch::new(network, key, epoch, terms.effort, &mut self.rng);
        let puzzle = loop {
            if let Some(puzzle) = search.step() {
                break puzzle;
            }
        };
        let mut onion = || *OnionSecret::generate(&mut self.rng).public().as_bytes();
        let draft = DescriptorDraft {
            epoch,
            onion: onion(),
            onion_next: onion(),
            endpoints,
            dials: EndpointKinds::IP,
            family: Vec::new(),
            arrivals: ArrivalRate::from_byte(salt).expect("it is on the scale"),
            ticket_bits: 17,
        };
        let signing = SigningKey::new(self.key.to_bytes()).expect("a key signs");
        let descriptor = Descriptor::sign(draft, puzzle, &signing, network).expect("it is short");
        descriptor.raw().to_vec()
    }
}

impl PeerSession {
    /// The name of the link in cells.
    pub(crate) fn handle(&self) -> Option<ShortId> {
        self.link.as_ref()?.handle()
    }

    /// Whether the session is open at the other end.
    pub(crate) fn is_open(&self) -> bool {
        self.open && !self.closed && self.disconnect_reason.is_none()
    }

    /// The received messages of `onion/1`, with their times.
    pub(crate) fn onion_messages(&self) -> impl Iterator<Item = (Instant, OnionMessage)> {
        let received = self.received.iter();
        received.filter_map(|received| Some((received.at, received.onion_message()?)))
    }

    /// The times of received cells.
    pub(crate) fn cells(&self) -> Vec<Instant> {
        self.onion_messages()
            .filter(|(_, message)| matches!(message, OnionMessage::Cell(_)))
            .map(|(at, _)| at)
            .collect()
    }

    /// The envelopes received on stems.
    pub(crate) fn stems(&self) -> Vec<EnvelopeHash> {
        self.onion_messages()
            .filter_map(|(_, message)| match message {
                OnionMessage::Stem(envelope) => Some(envelope.hash()),
                _ => None,
            })
            .collect()
    }

    /// The envelopes received by gossip.
    pub(crate) fn gossiped(&self) -> Vec<(Instant, EnvelopeHash)> {
        let mut hashes = Vec::new();
        for received in &self.received {
            if received.capability != Capability::SHH_6 {
                continue;
            }
            let code = u8::try_from(received.code).unwrap();
            if let Ok(ShhPacket::Messages(envelopes)) = ShhPacket::decode(code, &received.payload) {
                hashes.extend(envelopes.filter_map(|one| Some((received.at, one.ok()?.hash()))));
            }
        }
        hashes
    }

    /// The announced hashes, with their times.
    pub(crate) fn announced(&self) -> Vec<(Instant, EnvelopeHash)> {
        let all = self.received.iter();
        all.flat_map(|received| {
            let hashes = received.announced().into_iter();
            hashes.map(|hash| (received.at, hash)).collect::<Vec<_>>()
        })
        .collect()
    }

    /// The envelopes received by the gossip of `shh/5`.
    pub(crate) fn gossiped_v5(&self) -> Vec<EnvelopeHash> {
        let packets = self.received.iter();
        packets
            .filter(|received| received.capability == Capability::SHH_5)
            .filter_map(|received| {
                let code = u8::try_from(received.code).unwrap();
                match ShhPacket::decode_v5(code, &received.payload) {
                    Ok(ShhPacket::Messages(mut envelopes)) => {
                        Some(envelopes.next()?.unwrap().hash())
                    }
                    _ => None,
                }
            })
            .collect()
    }

    /// The relays in the received descriptors.
    pub(crate) fn relays(&self) -> Vec<VerifiedDescriptor> {
        let network = NetworkId::new(Profile::Local, "test");
        let terms = Requirements::new(network, Profile::Local);
        self.onion_messages()
            .filter_map(|(_, message)| match message {
                OnionMessage::Descriptors(raw) => Some(raw),
                _ => None,
            })
            .flatten()
            .filter_map(|raw| Descriptor::decode(&raw).ok()?.verify(&terms).ok())
            .collect()
    }

    /// A relay as a hop of a path, by a received descriptor.
    pub(crate) fn hop(&self, relay: RelayKey, epoch: Epoch) -> Hop {
        let id = relay.id();
        let onion = self
            .relays()
            .iter()
            .filter(|descriptor| descriptor.id() == id)
            .find_map(|descriptor| descriptor.onion(epoch).copied());
        Hop {
            id,
            onion: onion.expect("the relay stands in the directory"),
        }
    }
}

/// The capability of a version of Whisper.
fn shh(protocol: ProtocolVersion) -> Capability {
    match protocol {
        ProtocolVersion::V5 => Capability::SHH_5,
        ProtocolVersion::V6 => Capability::SHH_6,
    }
}
