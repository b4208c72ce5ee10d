//! Dial back: peers dial this node on request, so that its operator learns whether others can reach it.
//!
//! `asking` sends the requests of the operator and collects what peers report; `answering` dials for peers
//! that ask. A dial ends with the first frame of the asking node, which proves its key, and before a Hello
//! of ours: the asking node sees a handshake that was given up, so it neither counts nor displaces a link.
//! The probes are not in the table of peers. Rules and limits: docs/wire.md, section "Dial back".

mod answering;
mod asking;
mod probe;
mod routing;

use core::num::NonZeroU16;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use circuits::directory::RelayEndpoint;
use circuits::ids::{LinkId, Profile, RelayKey};
use circuits::time::{Instant, Now};

pub(super) use self::routing::{on_command, on_message, route};

use self::answering::{Answering, ProbeTarget, RequestDecision};
use self::asking::Asking;
use super::command::Refusal;
use super::config::NodeConfig;
use super::effects::Effects;
use super::input::{CommandId, DialFailure};
use super::local_peer::LocalPeer;
use super::peers::Peers;
use super::timers::TimerId;
use super::views::DialBackView;
use crate::discovery::AddressScope;
use crate::onion_wire::{DialBackNonce, DialBackResult};

/// Requests to be dialled, in both directions.
pub(super) struct DialBack {
    asking: Asking,
    answering: Answering,
}

impl DialBack {
    /// No request yet.
    pub(super) fn new(config: &NodeConfig, local: &Arc<LocalPeer>, now: Instant) -> Self {
        let ports = OwnPorts::of(config);
        Self {
            asking: Asking::new(config.profile, ports),
            answering: Answering::new(config.profile, ports, Arc::clone(local), now),
        }
    }

    /// Asks peers to dial this node, unless some were asked lately, and answers the command when they have
    /// answered.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if this node is not one that peers can dial, or has no peer to ask.
    fn ask(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        peers: &Peers,
    ) -> Result<(), Refusal> {
        let asked = self.asking.ask(fx, now.mono, command, peers);
        self.arm(fx);
        asked
    }

    /// What peers reported that were asked last.
    pub(super) fn view(&self, now: Instant) -> Option<DialBackView> {
        self.asking.view(now)
    }

    /// A connection to our listener names this key.
    fn note_caller(&mut self, key: RelayKey) {
        self.asking.note_caller(key);
    }

    /// A peer answers a request. False if it owes no such answer.
    fn on_answer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (from, nonce): (LinkId, DialBackNonce),
        result: DialBackResult,
    ) -> bool {
        let is_owed = self.asking.on_answer(fx, now.mono, (from, nonce), result);
        self.arm(fx);
        is_owed
    }

    /// What to do about the request of a peer.
    fn judge(
        &mut self,
        now: Instant,
        from: LinkId,
        port: NonZeroU16,
        peers: &Peers,
    ) -> RequestDecision {
        self.answering.judge(now, from, port, peers)
    }

    /// Dials for a peer, over a link with this new id.
    fn dial(
        &mut self,
        fx: &mut Effects,
        now: Now,
        link: LinkId,
        nonce: DialBackNonce,
        target: ProbeTarget,
    ) {
        self.answering.dial(fx, now.mono, link, nonce, target);
        self.arm(fx);
    }

    /// Whether a link is one of the dials for peers.
    fn probes(&self, link: LinkId) -> bool {
        self.answering.probes(link)
    }

    /// The shell established the connection of a dial for a peer.
    fn on_dialed(&mut self, fx: &mut Effects, now: Now, link: LinkId) {
        self.answering.on_dialed(fx, now.mono, link);
        self.arm(fx);
    }

    /// The shell could not establish it.
    fn on_dial_failed(&mut self, fx: &mut Effects, link: LinkId, failure: DialFailure<'_>) {
        self.answering.on_dial_failed(fx, link, failure);
        self.arm(fx);
    }

    /// Bytes arrived over it.
    fn on_received(&mut self, fx: &mut Effects, now: Now, link: LinkId, bytes: &[u8]) {
        self.answering.on_received(fx, now.mono, link, bytes);
        self.arm(fx);
    }

    /// It was closed at the other end.
    fn on_closed(&mut self, fx: &mut Effects, link: LinkId) {
        self.answering.on_closed(fx, link);
        self.arm(fx);
    }

    /// Ends what takes too long.
    pub(super) fn on_timer(&mut self, fx: &mut Effects, now: Now) {
        self.asking.on_timer(fx, now.mono);
        self.answering.on_timer(fx, now.mono);
        self.arm(fx);
    }

    fn arm(&self, fx: &mut Effects) {
        let due = [self.asking.deadline(), self.answering.deadline()];
        fx.arm(TimerId::DialBack, due.into_iter().flatten().min());
    }
}

/// The ports at which others reach this node without Tor, by the family of the address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct OwnPorts {
    v4: Option<NonZeroU16>,
    v6: Option<NonZeroU16>,
}

impl OwnPorts {
    /// The advertised port of each family with a public listener, or the port of the listener. None if links
    /// go through Tor: an address of this machine is not to be known then.
    fn of(config: &NodeConfig) -> Self {
        if config.through_tor {
            return Self::default();
        }
        let advertised = |is_ipv4: bool| {
            let mut endpoints = config.advertise.iter();
            endpoints.find_map(|endpoint| match endpoint {
                RelayEndpoint::Ip4(_, port) if is_ipv4 => Some(*port),
                RelayEndpoint::Ip6(_, port) if !is_ipv4 => Some(*port),
                _ => None,
            })
        };
        let port = |is_ipv4: bool| {
            let mut listeners = config.listening.iter();
            let suits = |listener: &&SocketAddr| {
                let is_loopback = listener.ip().to_canonical().is_loopback();
                listener.is_ipv4() == is_ipv4 && is_loopback == (config.profile == Profile::Local)
            };
            let listener = listeners.find(suits)?;
            NonZeroU16::new(advertised(is_ipv4).unwrap_or_else(|| listener.port()))
        };
        Self {
            v4: port(true),
            v6: port(false),
        }
    }

    /// Whether others can reach this node at all.
    const fn is_empty(self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// The port for a peer that is reached at this address, and so dials an address of the same family.
    const fn for_peer_at(self, ip: IpAddr) -> Option<NonZeroU16> {
        match ip.to_canonical() {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }
}

/// Whether nodes of this profile dial each other at this address: a network on one machine stays there, and
/// an address of a private network would prove nothing about the Internet.
const fn is_dialable(profile: Profile, ip: IpAddr) -> bool {
    matches!(
        (profile, AddressScope::of(ip)),
        (Profile::Main, AddressScope::Global) | (Profile::Local, AddressScope::Loopback)
    )
}

#[cfg(test)]
mod tests;
