//! Admission: which peers may stay after the handshake, and bans for those that violate the
//! protocol.

use std::net::IpAddr;

use circuits::ids::{LinkId, RelayKey};
use circuits::time::{Instant, Now};

use super::Peers;
use super::bans::{BanScope, MAX_BACKOFF};
use super::connection::{PeerConnection, RemotePeer};
use crate::endpoint::Endpoint;
use crate::gossip::Gossip;
use crate::link::{Capability, DisconnectReason};
use crate::node::effects::Effects;

impl Peers {
    /// A handshake is complete. Returns whether the link stays; otherwise it is disconnected.
    /// `gossip` knows the scores of the other peers.
    pub(in crate::node) fn admit(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        remote: RemotePeer,
        gossip: &Gossip,
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
        let gossips = self
            .get(id)
            .is_some_and(|link| link.shh_version().is_some());
        if gossips && !self.has_room(fx, now, id, key, gossip) {
            self.disconnect(fx, now, id, DisconnectReason::TooManyPeers);
            return false;
        }
        if self.table.is_peer(key) {
            self.dialer.connected(key);
        }
        if self.speaks_onion(id) {
            self.start_onion_handshake(fx, now, id);
        }
        true
    }

    fn speaks_onion(&self, id: LinkId) -> bool {
        self.get(id)
            .is_some_and(|link| link.speaks(Capability::ONION_1))
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
    fn is_named(&self, key: RelayKey) -> bool {
        self.dialer.is_static(key) || self.dialer.always_admits(key)
    }

    /// Whether there is room for a gossip peer. A peer that we dialled or always admit takes a slot
    /// above the maximum; for any other, an unlisted peer with a negative score is disconnected.
    fn has_room(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        key: RelayKey,
        gossip: &Gossip,
    ) -> bool {
        let dialed = self.get(id).is_some_and(PeerConnection::is_outbound);
        if dialed || self.dialer.always_admits(key) || self.gossip_peers() <= self.max_peers {
            return true;
        }
        let unlisted = |link: &PeerConnection| {
            !link.is_outbound() && !link.key().is_some_and(|key| self.is_named(key))
        };
        let worst = self
            .table
            .iter()
            .filter(|(_, link)| unlisted(link))
            .filter_map(|(id, _)| Some((gossip.peer_score(id)?, id)))
            .min()
            .filter(|(score, _)| *score < 0);
        if let Some((_, worst)) = worst {
            self.disconnect(fx, now, worst, DisconnectReason::TooManyPeers);
        }
        worst.is_some()
    }

    /// A peer with this score is gone. Remembers whether it was useful.
    pub(in crate::node) fn note_usefulness(&mut self, now: Instant, key: RelayKey, score: i8) {
        if score >= MIN_USEFUL_SCORE {
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

/// Minimum score of a useful peer.
const MIN_USEFUL_SCORE: i8 = 20;
