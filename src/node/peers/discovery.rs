//! Discovered peers: nodes that discovery found, dialled as far as there is room.
//!
//! They are used for gossip. At most a third of all peers are discovered ones, as in go-ethereum,
//! so an attacker that fills our table with its own nodes does not fill our peer slots. None of
//! them is a stem successor, since successors must be of our own choice. Most discovered nodes do
//! not speak `shh`: the result of a dial is remembered, and the next dial waits.

use std::net::SocketAddr;

use circuits::ids::Profile;
use circuits::time::{Instant, Now};

use super::Peers;
use super::connection::LinkPurpose;
use crate::discovery::{Discovery, DiscoveryConfig};
use crate::node::config::NodeConfig;
use crate::node::effects::Effects;
use crate::node::local_peer::LocalPeer;
use crate::node::output::Output;
use crate::node::timers::TimerId;

/// Discovery, if the configuration enables it.
pub(in crate::node) fn discovery(
    config: &NodeConfig,
    local: &LocalPeer,
    seed: &[u8; 32],
    now: Instant,
) -> Option<Discovery> {
    let bootnodes = config.discovery.clone()?;
    let config = DiscoveryConfig {
        bootnodes,
        own: config.listening.clone(),
        loopback_only: config.profile == Profile::Local,
    };
    Some(Discovery::new(config, local.link_key(), seed, now))
}

impl Peers {
    /// Mixes entropy into the generator of discovery.
    pub(in crate::node) fn reseed(&mut self, entropy: &[u8; 32]) {
        if let Some(discovery) = &mut self.discovery {
            discovery.reseed(entropy);
        }
    }

    /// A datagram arrived for discovery. Without discovery it is ignored.
    pub(in crate::node) fn on_datagram(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        if let Some(discovery) = &mut self.discovery {
            discovery.receive(now, from, bytes);
        }
        self.run_discovery(fx, now);
    }

    /// Runs discovery if it is due, and emits its datagrams.
    pub(in crate::node) fn run_discovery(&mut self, fx: &mut Effects, now: Now) {
        let Some(discovery) = &mut self.discovery else {
            return;
        };
        if discovery.poll_timeout() <= now.mono {
            discovery.handle_timeout(now);
        }
        while let Some((to, bytes)) = discovery.poll_transmit() {
            fx.emit(Output::Datagram(to, bytes));
        }
        fx.arm(TimerId::Discovery, Some(discovery.poll_timeout()));
    }

    /// Dials discovered nodes, a few at a time, while there is room for them.
    pub(in crate::node) fn dial_discovered(&mut self, fx: &mut Effects, now: Now) {
        if self.discovery.is_none() {
            return;
        }
        let max_discovered = (self.max_peers / 3).max(1);
        let room = max_discovered
            .saturating_sub(self.discovered_peers())
            .min(self.max_peers.saturating_sub(self.gossip_peers()));
        let Some(discovery) = &mut self.discovery else {
            return;
        };
        discovery.set_seeking(room > 0, now.mono);
        let chosen: Vec<_> = if room == 0 {
            Vec::new()
        } else {
            let candidates: Vec<_> = discovery.candidates().collect();
            let new = candidates.into_iter().filter(|peer| {
                peer.key != self.local.key()
                    && self.table.to_key(peer.key).is_none()
                    && !self.table.is_dialing(peer.key)
                    && self.dialer.may_dial_discovered(peer.key, now.mono)
            });
            new.take(room.min(MAX_DIALS_PER_ROUND)).collect()
        };
        for peer in chosen {
            self.dialer.note_discovered_dial(peer.key, now.mono);
            self.dial(fx, now, peer, LinkPurpose::Peer);
        }
        self.run_discovery(fx, now);
    }

    /// Number of links to discovered peers, and of pending dials to such.
    fn discovered_peers(&self) -> usize {
        let links = self.table.iter();
        let links = links.filter(|(_, link)| self.is_discovered(link));
        let dials = self.table.dialing();
        let dials = dials.filter(|(peer, _)| self.dialer.is_discovered(peer.key));
        links.count().saturating_add(dials.count())
    }
}

/// Maximum number of dials per second.
const MAX_DIALS_PER_ROUND: usize = 4;
