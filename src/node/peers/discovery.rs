//! Peers that nobody named: what discovery found, dialled as far as there is room.
//!
//! They are for gossip. A third of all peers may be found ones, as in go-ethereum, so that whoever
//! fills our table with its own nodes does not fill our neighbourhood; and none of them is given
//! stems, which need peers of our own choice. Most nodes found do not speak `shh`: what came of a
//! dial is remembered, and the next one waits.

use std::net::SocketAddr;

use circuits::time::Now;

use crate::node::peers::table::{LinkPurpose, PeerConnection};
use crate::node::{Node, Output};

impl Node {
    /// A datagram came for discovery. Without discovery nobody asked for one.
    pub(in crate::node) fn on_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        if let Some(discovery) = &mut self.discovery {
            discovery.receive(now, from, bytes);
        }
    }

    /// Lets discovery do what is due, and hands its datagrams to the shell.
    pub(in crate::node) fn run_discovery(&mut self, now: Now) {
        let Some(discovery) = &mut self.discovery else {
            return;
        };
        if discovery.poll_timeout() <= now.mono {
            discovery.handle_timeout(now);
        }
        while let Some((to, bytes)) = discovery.poll_transmit() {
            self.outputs.push_back(Output::Datagram(to, bytes));
        }
    }

    /// Dials nodes that were found, a few at a time, while there is room for their kind.
    pub(in crate::node) fn dial_discovered(&mut self, now: Now) {
        let most = (self.config.max_peers / 3).max(1);
        let room = most
            .saturating_sub(self.discovered_peers())
            .min(self.config.max_peers.saturating_sub(self.gossip_peers()));
        let Some(discovery) = &mut self.discovery else {
            return;
        };
        discovery.set_seeking(room > 0, now.mono);
        if room == 0 {
            return;
        }
        let candidates: Vec<_> = discovery.candidates().collect();
        let new = candidates.into_iter().filter(|peer| {
            peer.key != self.local.key
                && self.connections.to_key(peer.key).is_none()
                && !self.connections.is_dialing(peer.key)
                && self.dialer.may_dial_discovered(peer.key, now.mono)
        });
        let chosen: Vec<_> = new.take(room.min(MAX_DIALS_PER_ROUND)).collect();
        for peer in chosen {
            self.dialer.note_discovered_dial(peer.key, now.mono);
            self.dial(peer, LinkPurpose::Peer);
        }
    }

    /// Links to peers that were found, and dials under way to such.
    pub(in crate::node) fn discovered_peers(&self) -> usize {
        let links = self.connections.iter();
        let links = links.filter(|(_, link)| self.is_discovered(link));
        let dials = self.connections.dialing();
        let dials = dials.filter(|dial| self.dialer.is_discovered(dial.peer.key));
        links.count().saturating_add(dials.count())
    }

    /// Whether a connection exists because discovery named its other end.
    pub(in crate::node) fn is_discovered(&self, link: &PeerConnection) -> bool {
        link.purpose == LinkPurpose::Peer
            && link
                .dialed
                .is_some_and(|key| self.dialer.is_discovered(key))
    }
}

/// Dials begun in one second.
const MAX_DIALS_PER_ROUND: usize = 4;
