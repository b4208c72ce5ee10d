//! The answering side: dials for peers that ask, within limits.
//!
//! A peer can make this node open a TCP connection only to the address from which its own link comes, at a
//! port from 1,024 on, once in ten minutes; the limits of a prefix bound what many keys at one address, or
//! behind one NAT, get together. Each request that is answered costs one message, each dial one handshake.

use core::num::NonZeroU16;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use circuits::ids::{LinkId, Profile, RelayKey};
use circuits::rate_limit::{KeyedLimiter, Quota, TokenBucket};
use circuits::time::Instant;

use super::probe::{Probe, ProbeProgress};
use super::{OwnPorts, is_dialable};
use crate::endpoint::{Endpoint, Prefix};
use crate::link::Priority;
use crate::node::action::Action;
use crate::node::effects::Effects;
use crate::node::input::DialFailure;
use crate::node::local_peer::LocalPeer;
use crate::node::output::Output;
use crate::node::peers::{LinkPurpose, PeerConnection, Peers};
use crate::onion_wire::{DialBackMessage, DialBackNonce, DialBackResult, OnionMessage};

/// Dials for peers.
pub(super) struct Answering {
    profile: Profile,
    local: Arc<LocalPeer>,
    /// Whether this node can be dialled itself: only such a node dials for others.
    dials: bool,
    by_key: KeyedLimiter<RelayKey>,
    by_prefix: KeyedLimiter<Prefix>,
    overall: TokenBucket,
    probes: BTreeMap<LinkId, PendingProbe>,
}

/// A dial for a peer, until its answer.
struct PendingProbe {
    target: ProbeTarget,
    nonce: DialBackNonce,
    deadline: Instant,
    /// `None` until the connection is established.
    probe: Option<Probe>,
}

/// Where a peer is dialled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ProbeTarget {
    /// The link over which the peer asked.
    asker: LinkId,
    key: RelayKey,
    address: SocketAddr,
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestDecision {
    /// Dial.
    Dial(ProbeTarget),
    /// Answer with the reason for which this node does not dial.
    Decline(DialBackResult),
    /// The peer asks too often, and gets no answer.
    Excess,
}

impl Answering {
    pub(super) const fn new(
        profile: Profile,
        ports: OwnPorts,
        local: Arc<LocalPeer>,
        now: Instant,
    ) -> Self {
        Self {
            profile,
            local,
            dials: !ports.is_empty(),
            by_key: KeyedLimiter::new(KEY_QUOTA, MAX_REMEMBERED),
            by_prefix: KeyedLimiter::new(PREFIX_QUOTA, MAX_REMEMBERED),
            overall: TokenBucket::full(now),
            probes: BTreeMap::new(),
        }
    }

    /// What to do about the request of the peer on a link. Whatever the answer, the next one of this peer is
    /// ten minutes away.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        from: LinkId,
        port: NonZeroU16,
        peers: &Peers,
    ) -> RequestDecision {
        let Some(link) = peers.get(from) else {
            return RequestDecision::Excess;
        };
        let Some(key) = link.key().filter(|key| self.by_key.take(*key, now)) else {
            return RequestDecision::Excess;
        };
        if !self.dials {
            return RequestDecision::Decline(DialBackResult::NeverDials);
        }
        let Some(ip) = self.address_of(link) else {
            return RequestDecision::Decline(DialBackResult::AddressNotDialed);
        };
        if port < MIN_PORT {
            return RequestDecision::Decline(DialBackResult::PortNotDialed);
        }
        let has_room = self.probes.len() < MAX_PROBES;
        if !has_room
            || !self.by_prefix.take(Prefix::of(ip), now)
            || !self.overall.take(OVERALL_QUOTA, now)
        {
            return RequestDecision::Decline(DialBackResult::Busy);
        }
        RequestDecision::Dial(ProbeTarget {
            asker: from,
            key,
            address: SocketAddr::new(ip, port.get()),
        })
    }

    /// The address from which a peer opened its link, if it is one that this node dials.
    fn address_of(&self, link: &PeerConnection) -> Option<IpAddr> {
        if link.is_outbound() {
            return None;
        }
        let ip = match (link.address(), self.profile) {
            (Some(Endpoint::Tcp(address)), _) => address.ip(),
            // Shells do not name loopback addresses, and all of a local network is on this machine.
            (None, Profile::Local) => Ipv4Addr::LOCALHOST.into(),
            (None, Profile::Main) | (Some(Endpoint::Onion(..)), _) => return None,
        };
        is_dialable(self.profile, ip).then_some(ip)
    }

    /// Dials for a peer.
    pub(super) fn dial(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        link: LinkId,
        nonce: DialBackNonce,
        target: ProbeTarget,
    ) {
        fx.emit(Output::Dial(link, Endpoint::Tcp(target.address)));
        let pending = PendingProbe {
            target,
            nonce,
            deadline: now.after(PROBE_TIMEOUT),
            probe: None,
        };
        self.probes.insert(link, pending);
    }

    /// Whether a link is one of these dials.
    pub(super) fn probes(&self, link: LinkId) -> bool {
        self.probes.contains_key(&link)
    }

    /// The connection is established: the handshake begins.
    pub(super) fn on_dialed(&mut self, fx: &mut Effects, now: Instant, link: LinkId) {
        let Some(pending) = self.probes.get_mut(&link) else {
            return;
        };
        let hello = self.local.hello(LinkPurpose::Cells);
        let (key, remote) = (self.local.link_key(), pending.target.key);
        let begun = Probe::begin(hello, key, remote, fx.key_rng(), now);
        let Some((probe, auth)) = begun else {
            return self.finish(fx, link, DialBackResult::OtherKey);
        };
        pending.probe = Some(probe);
        fx.emit(Output::Send(link, auth));
    }

    /// The connection could not be established.
    pub(super) fn on_dial_failed(
        &mut self,
        fx: &mut Effects,
        link: LinkId,
        failure: DialFailure<'_>,
    ) {
        let result = if failure.is_refused {
            DialBackResult::Refused
        } else {
            DialBackResult::NoAnswer
        };
        self.answer(fx, link, result);
    }

    /// The other end sent bytes.
    pub(super) fn on_received(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        link: LinkId,
        bytes: &[u8],
    ) {
        let pending = self.probes.get_mut(&link);
        let Some(probe) = pending.and_then(|pending| pending.probe.as_mut()) else {
            return;
        };
        match probe.receive(now, fx.key_rng(), bytes) {
            ProbeProgress::Unproven => {}
            ProbeProgress::Proven => self.finish(fx, link, DialBackResult::Reached),
            ProbeProgress::Failed => self.finish(fx, link, DialBackResult::OtherKey),
        }
    }

    /// The other end closed the connection before it proved its key.
    pub(super) fn on_closed(&mut self, fx: &mut Effects, link: LinkId) {
        self.answer(fx, link, DialBackResult::OtherKey);
    }

    /// Ends dials that take too long.
    pub(super) fn on_timer(&mut self, fx: &mut Effects, now: Instant) {
        let probes = self.probes.iter();
        let late: Vec<(LinkId, DialBackResult)> = probes
            .filter(|(_, pending)| pending.deadline <= now)
            .map(|(link, pending)| match pending.probe {
                None => (*link, DialBackResult::NoAnswer),
                Some(_) => (*link, DialBackResult::OtherKey),
            })
            .collect();
        for (link, result) in late {
            self.finish(fx, link, result);
        }
    }

    /// When the next dial takes too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.probes.values().map(|pending| pending.deadline).min()
    }

    /// Closes the connection of a dial and answers the peer.
    fn finish(&mut self, fx: &mut Effects, link: LinkId, result: DialBackResult) {
        fx.emit(Output::Close(link));
        self.answer(fx, link, result);
    }

    fn answer(&mut self, fx: &mut Effects, link: LinkId, result: DialBackResult) {
        if let Some(PendingProbe { target, nonce, .. }) = self.probes.remove(&link) {
            let answer = OnionMessage::DialBack(DialBackMessage::Answer { nonce, result });
            fx.request(Action::SendOnion(target.asker, Priority::Control, answer));
        }
    }
}

/// Requests of one key: one in ten minutes. A peer that keeps to that may be half a minute early, because
/// messages take time.
const KEY_QUOTA: Quota =
    Quota::new(1, Duration::from_secs(600)).with_slack(Duration::from_secs(30));
/// Dials to one /24 or /48: four at once, and four in ten minutes.
const PREFIX_QUOTA: Quota = Quota::new(4, Duration::from_secs(150));
/// Dials in all: one a second.
const OVERALL_QUOTA: Quota = Quota::per_second(1, 1);
/// Maximum number of dials at a time.
const MAX_PROBES: usize = 4;
/// Maximum number of keys, and of prefixes, whose last request is remembered.
const MAX_REMEMBERED: usize = 1_024;
/// Time for a dial, handshake included.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Ports below this one belong to system services, which this node sends nothing to.
const MIN_PORT: NonZeroU16 = NonZeroU16::MIN.saturating_add(1_023);
