//! Admission: which peers may stay after the handshake, and bans for those that violate the
//! protocol.

use std::net::IpAddr;

use circuits::ids::{LinkId, RelayKey, ShortId};
use circuits::time::{Instant, Now};

use super::bans::{BanScope, MAX_BACKOFF};
use super::connection::{PeerConnection, RemotePeer};
use super::inbound_places::{
    LinkWorth, MAX_INBOUND_LINKS, MAX_LINKS_PER_PREFIX, PlaceShortage, Reserve, Seat, choose_victim,
};
use super::{CELL_LINK_IDLE_TIMEOUT, Peers};
use crate::endpoint::{Endpoint, Prefix};
use crate::gossip::Gossip;
use crate::link::{Capability, DisconnectReason};
use crate::node::effects::{Counter, Effects};
use crate::node::output::Output;

impl Peers {
    /// A handshake is complete. Returns whether the link stays; otherwise it is disconnected.
    pub(in crate::node) fn admit(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        remote: RemotePeer,
        others: PeerKnowledge<'_>,
    ) -> bool {
        let key = remote.key();
        if let Some(older) = self.table.identify(id, remote) {
            if self.keeps_older_link(older, id, key) {
                self.table.prefer(older);
                self.disconnect(fx, now, id, DisconnectReason::AlreadyConnected);
                return false;
            }
            self.disconnect(fx, now, older, DisconnectReason::AlreadyConnected);
        }
        if self.is_banned(now, id, key) {
            self.disconnect(fx, now, id, DisconnectReason::UselessPeer);
            return false;
        }
        // A link that we dialled takes a place above the maximum.
        if self.get(id).is_some_and(PeerConnection::is_kept_inbound) {
            if !self.make_room(fx, now, id, key, others) {
                self.disconnect(fx, now, id, DisconnectReason::TooManyPeers);
                return false;
            }
            fx.emit(Output::Keep(id));
        }
        if self.table.is_peer(key) {
            self.dialer.connected(key);
        }
        self.await_status(fx, now, id);
        true
    }

    /// The peer ended this link, for this reason.
    pub(in crate::node) fn on_disconnected(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        reason: DisconnectReason,
    ) {
        self.note_failure(id, format_args!("the peer disconnected: {reason}"));
        let key = self.get(id).and_then(PeerConnection::key);
        if reason == DisconnectReason::AlreadyConnected
            && let Some(key) = key.filter(|key| self.dialer.has_dialed(*key))
            && self.table.to_key(key) == Some(id)
        {
            self.dialer.note_replaced(now.mono);
        }
        self.close(fx, now, id);
    }

    /// Whether another node seems to use this node's key.
    pub(in crate::node) fn is_key_in_use(&self, now: Instant) -> bool {
        self.dialer.is_key_in_use(now)
    }

    /// Of two links to one peer, the one that the lower key dialled stays, so that both sides
    /// decide alike. A link with gossip is never replaced by a link for cells or an older version.
    fn keeps_older_link(&self, older: LinkId, younger: LinkId, key: RelayKey) -> bool {
        let (Some(older), Some(younger)) = (self.get(older), self.get(younger)) else {
            return false;
        };
        let (gossip_older, gossip_younger) = (older.shh_version(), younger.shh_version());
        if gossip_older != gossip_younger {
            return gossip_older > gossip_younger;
        }
        if older.is_outbound() == younger.is_outbound() {
            return false;
        }
        let ours_stays = self.local.key() < key;
        older.is_outbound() == ours_stays
    }

    /// Bans the peer on this link, whose link is about to end.
    pub(in crate::node) fn strike(&mut self, now: Now, id: LinkId, scope: BanScope) {
        let Some(connection) = self.table.get(id) else {
            return;
        };
        let Some(key) = connection.key() else {
            return;
        };
        let address = remote_ip(connection).filter(|_| scope == BanScope::KeyAndAddress);
        let until = self.bans.strike(now.mono, key, address);
        self.dialer
            .backoff_until(key, until.min(now.mono.after(MAX_BACKOFF)));
    }

    /// Ends the link of a peer that violated the protocol; with a scope, the peer is struck as well.
    pub(in crate::node) fn end_for_violation(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        scope: Option<BanScope>,
    ) {
        if let Some(scope) = scope {
            self.strike(now, id, scope);
        }
        self.disconnect(fx, now, id, DisconnectReason::SubprotocolError);
    }

    /// A peer sent a packet that this node does not read. A peer that sends far more of them than any
    /// honest one is disconnected.
    pub(in crate::node) fn on_unread(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        if !self.bans.tolerates_unread(now.mono, id) {
            self.on_malformed(fx, now, id);
        }
    }

    /// A peer sent a malformed packet.
    pub(in crate::node) fn on_malformed(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        fx.count(Counter::Malformed);
        self.end_for_violation(fx, now, id, Some(BanScope::KeyAndAddress));
    }

    /// Whether a peer that connected to us is banned. A peer that we dialled is admitted.
    fn is_banned(&self, now: Now, id: LinkId, key: RelayKey) -> bool {
        let Some(connection) = self.table.get(id) else {
            return false;
        };
        let named = self.is_named(key);
        let until = || {
            let address = remote_ip(connection);
            self.bans.banned_until(now.mono, key, address, named)
        };
        !connection.is_outbound() && until().is_some()
    }

    /// Whether the user named this peer, as a peer or to be admitted always.
    pub(super) fn is_named(&self, key: RelayKey) -> bool {
        self.dialer.is_static(key) || self.dialer.always_admits(key)
    }

    /// Finds places for an inbound link; other links make room where places are short. False if the
    /// newcomer is refused, which a peer that the user named never is.
    fn make_room(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        key: RelayKey,
        others: PeerKnowledge<'_>,
    ) -> bool {
        let is_named = self.is_named(key);
        for shortage in PlaceShortage::ALL {
            let Some(rivals) = self.rivals(id, shortage) else {
                continue;
            };
            // A peer that the user named takes a place above the maximum, but for descriptors.
            if is_named && shortage != PlaceShortage::Links {
                continue;
            }
            let capacity = match shortage {
                PlaceShortage::Gossip => self.max_peers,
                PlaceShortage::Prefix => MAX_LINKS_PER_PREFIX,
                PlaceShortage::Links => MAX_INBOUND_LINKS,
            };
            let seat = |link| self.seat(now.mono, link, others);
            let seats: Vec<Seat> = rivals.into_iter().filter_map(seat).collect();
            let newcomer = seat(id).map(|seat| Seat {
                worth: LinkWorth::NEWCOMER,
                reserve: seat.reserve.or_else(|| is_named.then_some(Reserve::Proven)),
                ..seat
            });
            let victim = newcomer.and_then(|newcomer| choose_victim(capacity, seats, &newcomer));
            if let Some(victim) = victim {
                self.places.note_displaced(now.mono, shortage);
                self.disconnect(fx, now, victim, DisconnectReason::TooManyPeers);
            } else if !is_named {
                self.places.note_refused(now.mono, shortage);
                return false;
            }
        }
        true
    }

    /// The links that compete with a newcomer for places that are short; `None` if they are not.
    /// Peers that the user named do not compete.
    fn rivals(&self, id: LinkId, shortage: PlaceShortage) -> Option<Vec<LinkId>> {
        let newcomer = self.table.get(id)?;
        let prefix = remote_prefix(newcomer);
        let gossips = newcomer.shh_version().is_some();
        let competes = |link: &PeerConnection| match shortage {
            PlaceShortage::Gossip => gossips && link.shh_version().is_some(),
            PlaceShortage::Prefix => prefix.is_some() && remote_prefix(link) == prefix,
            PlaceShortage::Links => true,
        };
        let inbound = self.table.iter().filter(|(_, link)| link.is_kept_inbound());
        let rivals: Vec<LinkId> = inbound
            .filter(|(other, link)| {
                *other != id && competes(link) && !link.key().is_some_and(|key| self.is_named(key))
            })
            .map(|(other, _)| other)
            .collect();
        let is_short = match shortage {
            PlaceShortage::Gossip => gossips && self.gossip_peers() > self.max_peers,
            PlaceShortage::Prefix => rivals.len() >= MAX_LINKS_PER_PREFIX,
            PlaceShortage::Links => self.inbound_links() > MAX_INBOUND_LINKS,
        };
        is_short.then_some(rivals)
    }

    /// The claim of an inbound link to a place.
    pub(super) fn seat(&self, now: Instant, id: LinkId, others: PeerKnowledge<'_>) -> Option<Seat> {
        let link = self.table.get(id)?;
        let remote = link.remote()?;
        let score = others.gossip.peer_score(id).unwrap_or(0);
        let worth = match score {
            ..0 => LinkWorth::Faulty,
            1.. => LinkWorth::Gossip,
            0 if link.carried_cell_since(now, CELL_LINK_IDLE_TIMEOUT) => LinkWorth::Cells,
            0 if link.shh_version().is_some() => LinkWorth::IdleGossip,
            0 => LinkWorth::IdleCells,
        };
        let was_useful = score >= MIN_USEFUL_SCORE || self.bans.is_useful(remote.key());
        let is_relay = link.speaks(Capability::ONION_1) && (others.is_relay)(remote.short());
        let reserve = if was_useful && score >= 0 {
            Some(Reserve::Proven)
        } else {
            is_relay.then_some(Reserve::Relays)
        };
        Some(Seat {
            link: id,
            worth,
            reserve,
            subnet: link.subnet(),
            since: link.opened(),
        })
    }

    /// Number of inbound links with a complete handshake.
    pub(super) fn inbound_links(&self) -> usize {
        let links = self.table.iter();
        links.filter(|(_, link)| link.is_kept_inbound()).count()
    }

    /// A peer with this score is gone. Remembers whether it was useful.
    pub(in crate::node) fn note_usefulness(&mut self, now: Instant, key: RelayKey, score: i8) {
        let required = if self.dialer.has_dialed(key) {
            MIN_USEFUL_SCORE_DIALED
        } else {
            MIN_USEFUL_SCORE
        };
        if score >= required {
            self.bans.was_useful(now, key);
        }
    }
}

/// The address that a peer connected from; `None` if we dialled it, or if its address is unknown.
fn remote_ip(connection: &PeerConnection) -> Option<IpAddr> {
    match connection.address()? {
        Endpoint::Tcp(address) if !connection.is_outbound() => Some(address.ip()),
        _ => None,
    }
}

/// The prefix that a peer connected from; `None` if it is unknown or shared, as that of a Tor daemon.
fn remote_prefix(connection: &PeerConnection) -> Option<Prefix> {
    let ip = remote_ip(connection)?.to_canonical();
    (!ip.is_loopback()).then(|| Prefix::of(ip))
}

/// What other components know of peers.
#[derive(Clone, Copy)]
pub(in crate::node) struct PeerKnowledge<'a> {
    gossip: &'a Gossip,
    is_relay: &'a dyn Fn(ShortId) -> bool,
}

impl<'a> PeerKnowledge<'a> {
    /// The scores of peers, and whether one is a relay of the directory, by its id in cells.
    pub(in crate::node) const fn new(
        gossip: &'a Gossip,
        is_relay: &'a dyn Fn(ShortId) -> bool,
    ) -> Self {
        Self { gossip, is_relay }
    }
}

/// Minimum score of a useful peer.
const MIN_USEFUL_SCORE: i8 = 20;
/// The same, for a peer that this node chose to dial.
const MIN_USEFUL_SCORE_DIALED: i8 = 1;
