//! Read-only questions to the peers, for other components and for views.

use core::time::Duration;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use circuits::ids::{LinkId, RelayId, RelayKey, ShortId};
use circuits::time::Instant;

use super::connection::{LinkPurpose, PeerConnection, RemotePeer};
use super::dialer::StaticPeerState;
use super::inbound_places::{MAX_INBOUND_LINKS, MAX_LINKS_PER_PREFIX, PlaceShortage, Reserve};
use super::traffic::LinkTraffic;
use super::{PeerKnowledge, Peers};
use crate::discovery::Discovery;
use crate::endpoint::Endpoint;
use crate::envelope::ProtocolVersion;
use crate::gossip::PeerInfo;
use crate::link::Capability;
use crate::node::clock_skew::ClockWitness;
use crate::node::emission::GuardLink;
use crate::node::gossip::EnvelopeGossip;
use crate::node::hex;
use crate::node::stem::StemPeer;
use crate::node::views::{InboundView, ListenerFaultView, PeerView, UnreachedPeerView};

impl Peers {
    /// A connection.
    pub(in crate::node) fn get(&self, id: LinkId) -> Option<&PeerConnection> {
        self.table.get(id)
    }

    /// The link to a peer.
    pub(in crate::node) fn to_key(&self, key: RelayKey) -> Option<LinkId> {
        self.table.to_key(key)
    }

    /// The link over which a relay takes cells, if there is one.
    pub(in crate::node) fn to_relay(&self, relay: ShortId) -> Option<LinkId> {
        self.table.to_relay(relay)
    }

    /// The link with this handle, if its peer takes cells.
    pub(in crate::node) fn to_handle(&self, handle: ShortId) -> Option<LinkId> {
        self.table.to_handle(handle)
    }

    /// The link to the guard of this node, if it is up.
    pub(in crate::node) fn guard_link(&self, guard: ShortId) -> Option<GuardLink> {
        let link = self.to_relay(guard)?;
        let handle = self.get(link)?.handle()?;
        Some(GuardLink { link, handle })
    }

    /// Whether a relay is a peer that takes no cells.
    pub(in crate::node) fn refuses_cells(&self, relay: ShortId) -> bool {
        self.table.refuses_cells(relay)
    }

    /// The id in cells of the peer on a link.
    pub(in crate::node) fn relay_at(&self, id: LinkId) -> Option<ShortId> {
        Some(self.table.get(id)?.remote()?.short())
    }

    /// Gossip peers of our own choice that speak `onion/1` and were dialled over TCP: link, key, address.
    pub(in crate::node) fn dialed_peers(
        &self,
    ) -> impl Iterator<Item = (LinkId, RelayKey, SocketAddr)> {
        let chosen = |link: &PeerConnection| {
            link.is_outbound() && link.purpose() == LinkPurpose::Peer && link.is_onion_ready()
        };
        let links = self.table.iter().filter(move |(_, link)| chosen(link));
        links.filter_map(|(id, link)| match link.address()? {
            Endpoint::Tcp(address) => Some((id, link.key()?, address)),
            Endpoint::Onion(..) => None,
        })
    }

    /// The key that a connection to our listener names, before its handshake is complete.
    pub(in crate::node) fn caller(&self, id: LinkId) -> Option<RelayKey> {
        let link = self.table.get(id)?;
        link.named_key()
            .filter(|_| !link.is_outbound() && !link.is_connected())
    }

    /// Bytes queued in a link; `None` if the link is gone.
    pub(in crate::node) fn queued_bytes(&self, id: LinkId) -> Option<usize> {
        self.table.get(id).map(PeerConnection::queued_bytes)
    }

    /// Time that a packet needs one way over our links: the median, so that a few peers that delay
    /// their answers do not move it. `None` without a link.
    pub(in crate::node) fn one_way_delay(&self) -> Option<Duration> {
        let links = self.table.iter();
        let mut trips: Vec<_> = links.filter_map(|(_, link)| link.round_trip()).collect();
        trips.sort_unstable();
        Some(*trips.get(trips.len() / 2)? / 2)
    }

    /// Links over which `onion/1` messages can be sent.
    pub(in crate::node) fn onion_links(&self) -> impl Iterator<Item = LinkId> {
        let links = self.table.iter();
        links
            .filter(|(_, link)| link.is_onion_ready())
            .map(|(id, _)| id)
    }

    /// Number of links that carry gossip of either version.
    pub(in crate::node) fn gossip_peers(&self) -> usize {
        let links = self.table.iter();
        links
            .filter(|(_, link)| link.shh_version().is_some())
            .count()
    }

    /// Number of links that carry envelopes of `shh/6`, as all of ours are.
    pub(in crate::node) fn shh6_peers(&self) -> usize {
        let is_v6 = |link: &PeerConnection| link.shh_version() == Some(ProtocolVersion::V6);
        self.table.iter().filter(|(_, link)| is_v6(link)).count()
    }

    /// Number of peers with a complete handshake.
    pub(in crate::node) fn connected(&self) -> usize {
        let links = self.table.iter();
        links.filter(|(_, link)| link.is_connected()).count()
    }

    /// Relays that we exchange gossip with. None of them may be a rendezvous: it would notice that
    /// this node did not send it the envelope that it rebuilt.
    pub(in crate::node) fn gossip_peer_ids(&self) -> BTreeSet<RelayId> {
        let links = self.table.iter();
        links
            .filter(|(_, link)| link.shh_version().is_some())
            .filter_map(|(_, link)| Some(link.key()?.id()))
            .collect()
    }

    /// Links that may be stem successors: gossip peers with `onion/1` of our own choice, dialled by
    /// us or named by the user. Which side dialled first is chance between two peers that name each
    /// other.
    pub(in crate::node) fn stem_candidates(&self) -> Vec<StemPeer> {
        let chosen = |link: &PeerConnection| {
            (link.is_outbound() && !self.is_discovered(link))
                || link.key().is_some_and(|key| self.dialer.is_static(key))
        };
        let suits = |link: &PeerConnection| {
            chosen(link) && link.is_onion_ready() && link.speaks(Capability::SHH_6)
        };
        let links = self.table.iter().filter(|(_, link)| suits(link));
        links.filter_map(|(id, _)| self.stem_peer(id)).collect()
    }

    /// The peer on a link, as the stem knows it.
    pub(in crate::node) fn stem_peer(&self, link: LinkId) -> Option<StemPeer> {
        let id = self.relay_at(link)?;
        Some(StemPeer { link, id })
    }

    /// Whether the configuration trusts this peer.
    pub(in crate::node) fn is_trusted(&self, key: RelayKey) -> bool {
        self.trusted.contains(&key)
    }

    /// Whether the user named this peer.
    pub(in crate::node) fn is_static(&self, key: RelayKey) -> bool {
        self.dialer.is_static(key)
    }

    /// The peer of a connection as a witness of the time; `None` if the user did not name it.
    pub(in crate::node) fn clock_witness(&self, id: LinkId) -> Option<ClockWitness> {
        let connection = self.table.get(id)?;
        let key = connection.key()?;
        let is_named = self.is_static(key) || self.is_trusted(key);
        is_named.then_some(ClockWitness {
            key,
            subnet: connection.subnet(),
        })
    }

    /// Whether this peer is admitted above the maximum number of peers.
    pub(in crate::node) fn always_admits(&self, key: RelayKey) -> bool {
        self.dialer.always_admits(key)
    }

    /// Whether discovery found the peer of this connection.
    pub(in crate::node) fn is_discovered(&self, link: &PeerConnection) -> bool {
        let dialed = link.dialed();
        link.purpose() == LinkPurpose::Peer
            && dialed.is_some_and(|key| self.dialer.is_discovered(key))
    }

    /// Number of verified nodes in discovery's table; `None` without discovery.
    pub(in crate::node) fn discovery_nodes(&self) -> Option<usize> {
        self.discovery.as_ref().map(Discovery::known)
    }

    /// Number of banned keys and addresses.
    pub(in crate::node) fn banned(&self, now: Instant) -> usize {
        self.bans.banned(now)
    }

    /// What crossed all links since the start.
    pub(in crate::node) const fn traffic(&self) -> LinkTraffic {
        self.traffic
    }

    /// The places of inbound links, by class.
    pub(in crate::node) fn inbound_view(
        &self,
        now: Instant,
        others: PeerKnowledge<'_>,
    ) -> InboundView {
        let mut view = InboundView {
            places: MAX_INBOUND_LINKS,
            named: 0,
            useful: 0,
            relays: 0,
            gossip: 0,
            cells_only: 0,
            unproven: 0,
            full: self.places.shortage(now).map(|shortage| match shortage {
                PlaceShortage::Gossip => {
                    format!("all {} places of gossip peers (max-peers)", self.max_peers)
                }
                PlaceShortage::Prefix => {
                    format!("all {MAX_LINKS_PER_PREFIX} places of one network (a /24 or /48)")
                }
                PlaceShortage::Links => format!("all {MAX_INBOUND_LINKS} places"),
            }),
            displaced: self.places.displaced(),
            turned_away: self.places.refused(),
            unfinished_bytes: self.unfinished.total(),
            overfull: self.unfinished.cut().saturating_add(self.unread.cut()),
            listener_faults: self.listener.faults,
            listener_fault: self
                .listener
                .last
                .as_ref()
                .map(|(at, reason)| ListenerFaultView {
                    reason: reason.clone(),
                    secs_ago: now.since(*at).as_secs(),
                }),
        };
        for (id, link) in self.table.iter().filter(|(_, link)| !link.is_outbound()) {
            let seat = self.seat(now, id, others);
            let class = match (link.key(), seat.and_then(|seat| seat.reserve)) {
                (None, _) => &mut view.unproven,
                (Some(key), _) if self.is_named(key) => &mut view.named,
                (_, Some(Reserve::Proven)) => &mut view.useful,
                (_, Some(Reserve::Relays)) => &mut view.relays,
                _ if link.shh_version().is_some() => &mut view.gossip,
                _ => &mut view.cells_only,
            };
            *class = class.saturating_add(1);
        }
        view
    }

    /// All peers with a complete handshake, for a listing.
    pub(in crate::node) fn peer_views(&self, gossip: &EnvelopeGossip) -> Vec<PeerView> {
        let links = self.table.iter();
        links
            .filter_map(|(id, link)| {
                let info = gossip.machine().peer(id);
                let served = info
                    .as_ref()
                    .is_none_or(|info| !info.has_status || gossip.serves(info));
                self.peer_view(link, info, served)
            })
            .collect()
    }

    /// Peers that the user named, and that are not connected.
    pub(in crate::node) fn unreached_views(&self, now: Instant) -> Vec<UnreachedPeerView> {
        let view = |state: StaticPeerState| UnreachedPeerView {
            key: hex(&state.peer.key.0),
            address: state.peer.endpoint.to_string(),
            next_try_secs: state.next_try.map(|at| at.since(now).as_secs()),
            reason: state.failure,
        };
        self.unreached().map(view).collect()
    }

    /// Number of peers that the user named, and that are not connected.
    pub(in crate::node) fn unconnected_static(&self) -> usize {
        self.unreached().count()
    }

    fn unreached(&self) -> impl Iterator<Item = StaticPeerState> {
        let peers = self.dialer.static_peers();
        peers.filter(move |state| {
            state.peer.key != self.local.key() && !self.table.is_peer(state.peer.key)
        })
    }

    fn peer_view(
        &self,
        link: &PeerConnection,
        info: Option<PeerInfo>,
        served: bool,
    ) -> Option<PeerView> {
        let remote = link.remote()?;
        let gossip = info.as_ref();
        Some(PeerView {
            key: hex(&remote.key().0),
            client: remote.client().to_owned(),
            address: link.address().map(|address| address.to_string()),
            named: self.is_static(remote.key()),
            always_admitted: self.always_admits(remote.key()),
            outbound: link.is_outbound(),
            found: self.is_discovered(link),
            capabilities: remote.shared().iter().map(Capability::to_string).collect(),
            min_pow: gossip.map_or(0.0, |info| info.min_pow),
            pow_rule: gossip.map(|info| info.rule),
            served,
            trusted: gossip.is_some_and(|info| info.trusted),
            pulls: gossip.is_some_and(|info| info.pulls),
            rating: gossip.map_or(0, |info| info.score),
            received: gossip.map_or(0, |info| info.received),
            sent: gossip.map_or(0, |info| info.sent),
        })
    }

    /// Number of connected peers that discovery found.
    pub(in crate::node) fn connected_discovered(&self) -> usize {
        let links = self.table.iter();
        links
            .filter(|(_, link)| link.is_connected() && self.is_discovered(link))
            .count()
    }

    /// Number of peers that speak `onion/1`.
    pub(in crate::node) fn onion_speakers(&self) -> usize {
        let links = self.table.iter();
        links
            .filter(|(_, link)| link.speaks(Capability::ONION_1))
            .count()
    }

    /// The ids of the peers that speak `onion/1`.
    pub(in crate::node) fn onion_ids(&self) -> impl Iterator<Item = RelayId> {
        let links = self.table.iter();
        links
            .filter(|(_, link)| link.speaks(Capability::ONION_1))
            .filter_map(|(_, link)| Some(link.key()?.id()))
    }

    /// The peer on a link, once its handshake is complete.
    pub(in crate::node) fn remote(&self, id: LinkId) -> Option<&RemotePeer> {
        self.table.get(id)?.remote()
    }
}
