//! Routing: every input goes to its component, and every action to the component that it is for.
//!
//! Decisions are made in the components. This module knows which of them an input or an action
//! concerns, and in which order.

use circuits::ids::{LinkId, RelayKey, ShortId};
use circuits::time::Now;

use super::action::{Action, StemSource};
use super::clock_skew::ShownTime;
use super::effects::Counter;
use super::emission::QueuedCell;
use super::event::{Event, Trace};
use super::gossip::NewPeer;
use super::input::{DialFailure, Input};
use super::jobs::JobOwner;
use super::peers::{BanScope, PeerConnection, PeerKnowledge, RemotePeer};
use super::stem::StemPeer;
use super::timers::TimerId;
use super::{
    Node, circuit_routing, completion_routing, hex, onion_wire_routing, talks, transfer_routing,
};
use crate::envelope::{Envelope, NotExpired};
use crate::gossip::{GossipFault, PacketOutcome};
use crate::link::{Capability, LinkEvent, LinkFault};
use crate::pow::PowChecked;

impl Node {
    /// Hands one input to its component.
    pub(super) fn route(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Timeout => {}
            Input::Accepted(link, from) => self.peers.on_accepted(now, link, from),
            Input::Dialed(link) => self.peers.on_dialed(&mut self.fx, now, link),
            Input::DialFailed(link, DialFailure { reason, .. }) => {
                self.peers.on_dial_failed(&mut self.fx, now, link, reason);
            }
            Input::Received(link, bytes) => self.on_received(now, link, bytes),
            Input::Flushed(link, bytes) => self.peers.on_flushed(link, bytes),
            Input::Closed(link) => self.peers.on_closed(&mut self.fx, now, link),
            Input::ListenerFault(reason) => self.peers.on_listener_fault(now.mono, reason),
            Input::Datagram(from, bytes) => {
                self.peers.on_datagram(&mut self.fx, now, from, bytes);
            }
            Input::Stored(id) => completion_routing::on_stored(self, now, id),
            Input::Working(job, tried) => {
                if let Some(JobOwner::Message(id)) = self.fx.job_owner(job) {
                    self.send.on_progress(&mut self.fx, id, tried);
                }
            }
            Input::TurnTimes(times) => self.turn_times = Some(times),
            Input::HashRate(rate) => self.gossip.set_hash_rate(rate),
            Input::Entropy(entropy) => self.reseed(entropy),
            Input::Archived(response) => {
                self.mail.on_archived(&mut self.fx, response, &self.peers);
            }
            Input::File(id, response) => {
                let (transfers, fx, context) = self.transferring();
                transfers.on_file_response(fx, now, id, response, context);
            }
            Input::Worked(job, result) => completion_routing::on_job_ended(self, now, job, result),
            Input::Connectivity(connectivity) => self.on_connectivity(now, connectivity),
            Input::Command(id, command) => self.on_command(now, id, command),
        }
    }

    // -- actions

    /// Carries out requested actions until there are none.
    pub(super) fn run_actions(&mut self, now: Now) {
        while let Some(action) = self.fx.pop_action() {
            self.run_action(now, action);
        }
    }

    fn run_action(&mut self, now: Now, action: Action) {
        let fx = &mut self.fx;
        match action {
            Action::Dial(peer, purpose) => self.peers.dial(fx, now, peer, purpose),
            Action::ReleaseGuard(relay) => self.peers.release_guard(fx, relay),
            Action::Disconnect(link, reason) => self.peers.disconnect(fx, now, link, reason),
            Action::SendPacket(packet) => _ = self.peers.send_packet(fx, packet),
            Action::SendOnion(link, priority, message) => {
                self.peers.send_onion(fx, link, priority, &message);
            }
            Action::SendCellOver(link, cell) => self.peers.send_cell(fx, now.mono, link, cell),
            Action::Circuit(action) => circuit_routing::run_action(self, now, action),
            Action::LinkClosed {
                link,
                peer,
                unreachable,
            } => self.on_link_closed(now, link, peer, unreachable),
            Action::RelayUnreachable(relay) => self.on_relay_unreachable(now, relay),
            Action::CellsUndeliverable(relay) => self.relay.on_unreachable(fx, relay),
            Action::SendCell(next, cell) => {
                let (relay, fx, context, _) = self.relaying();
                relay.send_own_cell(fx, next, cell, context);
            }
            Action::LoopReturned(nonce) => self.emission.on_loop(fx, now, nonce),
            Action::QueueCells(cells) => self.queue_cells(now, cells),
            Action::WithdrawCells(id) => self.emission.withdraw(id),
            Action::CellLeft(owner) => {
                let (send, fx, context) = self.sending();
                send.on_cell_left(fx, now, owner, context);
            }
            Action::CellExpired(owner) => self.send.on_cell_expired(fx, now, owner),
            Action::BeginAttempt(owner, request) => {
                let (send, fx, context) = self.sending();
                let begun = send.send(fx, now, *request, context);
                let fx = &mut self.fx;
                self.contacts.on_attempt_begun(fx, now, owner, begun);
            }
            Action::CancelAttempt(id) => self.send.cancel_attempt(fx, id),
            Action::Transfer(action) => transfer_routing::run_action(self, now, action),
            Action::Talk(action) => talks::routing::run_action(self, now, action),
            Action::AttemptProgress(id, at) => self.contacts.on_attempt_progress(fx, id, at),
            Action::AttemptLeft(id) => self.contacts.on_attempt_left(fx, id),
            Action::AttemptEnded(id, end) => self.contacts.on_attempt_ended(fx, now, id, end),
            Action::RestoreTicketBits(epoch, bits) => self.relay.restore_ticket_bits(epoch, bits),
            Action::InstallOnionKey(key) => self.relay.install_key(fx, *key),
            Action::InsertByStem(envelope, source) => self.insert_by_stem(now, envelope, source),
            Action::WithdrawStem(hash) => self.stem.withdraw(fx, hash),
            Action::StemBlocked(id) => self.send.on_stem_blocked(fx, id),
            Action::StemFailed(id) => self.send.on_stem_failed(fx, id),
            Action::Diffuse(envelope) => self.diffuse(now, envelope),
            Action::Trust(link, trusted) => self.gossip.set_trusted(link, trusted),
            Action::PlanLanes(id, level) => {
                let (directory, peers) = (&mut self.directory, &self.peers);
                let lanes = directory.pick_lanes(fx, now, level.rules(), peers);
                self.send.on_lanes(fx, id, lanes);
            }
            Action::GuardProven(guard) => self.directory.guard_proven(guard),
            Action::LanesSilent(relays) => self.directory.on_lanes_silent(now.unix, relays),
        }
    }

    fn queue_cells(&mut self, now: Now, cells: Vec<QueuedCell>) {
        let owners: Vec<_> = cells.iter().map(|cell| cell.owner).collect();
        if self.emission.enqueue(&mut self.fx, now, cells).is_err() {
            self.send.on_queue_full(&mut self.fx, now, &owners);
        }
    }

    fn insert_by_stem(&mut self, now: Now, envelope: Envelope, source: StemSource) {
        let (fx, gossip) = (&mut self.fx, &self.gossip);
        if self.stem.insert(fx, now, &envelope, source, gossip) {
            return;
        }
        match source {
            StemSource::Message(id) => self.send.on_no_stem(&mut self.fx, id),
            StemSource::Rendezvous => self.relay.on_no_stem(&mut self.fx, now, envelope),
        }
    }

    fn diffuse(&mut self, now: Now, envelope: Envelope) {
        if let Ok(proofs) = self.gossip.validate(now, &envelope) {
            self.fx.trace(|| Trace::Fluff {
                envelope: hex(&envelope.hash().0),
            });
            self.pool_envelope(now, envelope, proofs, None);
        }
    }

    /// The one way into the mempool, for envelopes of this node and of others.
    pub(super) fn pool_envelope(
        &mut self,
        now: Now,
        envelope: Envelope,
        proofs: (PowChecked, NotExpired),
        from: Option<LinkId>,
    ) {
        let fx = &mut self.fx;
        self.stem.on_public(fx, envelope.hash());
        if let Some(path) = self.gossip.insert(fx, now, &envelope, proofs, from) {
            let evicted = self.gossip.pool().last_evicted();
            self.receive.on_dropped(fx, evicted);
            self.contacts.on_dropped(fx, evicted);
            self.mail.on_pooled(from, &envelope);
            self.receive
                .on_pooled(fx, now, from, &envelope, proofs.0, path);
            self.contacts.on_pooled(fx, now, from, &envelope, proofs.0);
        }
    }

    // -- links

    fn on_received(&mut self, now: Now, link: LinkId, bytes: &[u8]) {
        let fault = self.peers.on_received(&mut self.fx, now, link, bytes);
        while let Some(event) = self.peers.poll_event(link) {
            self.on_link_event(now, link, event);
            self.run_actions(now);
        }
        let Some(fault) = fault else {
            return;
        };
        self.fx.count(Counter::LinkFaults);
        if matches!(&fault, LinkFault::Peer(fault) if fault.is_strike()) {
            self.peers.strike(now, link, BanScope::KeyAndAddress);
        }
        if self.peers.get(link).is_some() {
            self.peers.note_failure(link, fault);
            self.peers.close(&mut self.fx, now, link);
        }
    }

    fn on_link_event(&mut self, now: Now, link: LinkId, event: LinkEvent) {
        match event {
            LinkEvent::Connected {
                remote,
                client_id,
                shared,
            } => self.on_connected(now, link, RemotePeer::new(remote, client_id, shared)),
            LinkEvent::Message {
                capability: Capability::ONION_1,
                code,
                payload,
            } => onion_wire_routing::on_packet(self, now, link, code, &payload),
            LinkEvent::Message { code, payload, .. } => self.on_shh(now, link, code, &payload),
            LinkEvent::Disconnected(reason) => {
                self.peers.on_disconnected(&mut self.fx, now, link, reason);
            }
        }
    }

    fn on_connected(&mut self, now: Now, link: LinkId, remote: RemotePeer) {
        let fx = &mut self.fx;
        let is_relay = |peer| self.directory.contains(peer);
        let others = PeerKnowledge::new(self.gossip.machine(), &is_relay);
        if !self.peers.admit(fx, now, link, remote, others) {
            return;
        }
        if let Some(peer) = NewPeer::of(link, &self.peers) {
            self.gossip.add_peer(fx, now, &peer);
        }
        self.on_peers_changed(now);
    }

    fn on_link_closed(
        &mut self,
        now: Now,
        link: LinkId,
        peer: Option<RelayKey>,
        unreachable: Option<ShortId>,
    ) {
        if let (Some(key), Some(score)) = (peer, self.gossip.machine().peer_score(link)) {
            self.peers.note_usefulness(now.mono, key, score);
        }
        self.gossip.remove_peer(&mut self.fx, now, link);
        self.mail.on_link_closed(&mut self.fx, link, &self.peers);
        self.receive.on_link_closed(link);
        self.contacts.on_link_closed(link);
        self.directory.on_link_closed(link);
        self.stem.on_link_closed(&mut self.fx, link);
        self.relay.on_link_closed(link);
        self.circuits.on_link_closed(&mut self.fx, now, link);
        if let Some(relay) = unreachable {
            self.on_relay_unreachable(now, relay);
        }
        if peer.is_some() {
            self.on_peers_changed(now);
        }
    }

    /// A dial to a relay failed, or it refused `onion/1`: nothing waits for it any longer.
    pub(super) fn on_relay_unreachable(&mut self, now: Now, relay: ShortId) {
        self.relay.on_unreachable(&mut self.fx, relay);
        self.directory.guard_failed(&mut self.fx, now, relay);
    }

    /// Peers came or went, or changed what they can be used for.
    pub(super) fn on_peers_changed(&mut self, now: Now) {
        let candidates = self.peers.stem_candidates();
        let key_of = |peer: &StemPeer| self.peers.get(peer.link).and_then(PeerConnection::key);
        let candidates = self.clock.prefer_right(now, candidates, key_of);
        self.stem
            .set_successor_candidates(&mut self.fx, &candidates);
        if self.stem.can_stem() {
            // A relay publishes its descriptor once it has a stem.
            self.fx.expedite(TimerId::Epoch, now.mono);
        }
        self.fx.notify(Event::Peers(self.peers.connected()));
    }

    fn on_shh(&mut self, now: Now, from: LinkId, code: u16, payload: &[u8]) {
        let Ok(code) = u8::try_from(code) else { return };
        let received = self.gossip.receive(&mut self.fx, now, from, code, payload);
        if let Some(times) = self.gossip.take_envelope_times(from) {
            self.compare_clock(now, from, ShownTime::Envelopes(times));
        }
        match received {
            Ok(outcome) => self.on_shh_outcome(now, from, outcome),
            Err(GossipFault::Peer(fault)) => {
                self.fx.count(Counter::Malformed);
                let scope = match fault {
                    _ if fault.is_incompatible() => Some(BanScope::Key),
                    _ => fault.is_strike().then_some(BanScope::KeyAndAddress),
                };
                self.peers.end_for_violation(&mut self.fx, now, from, scope);
            }
            Err(GossipFault::NoSuchLink) => {}
        }
    }

    fn on_shh_outcome(&mut self, now: Now, from: LinkId, outcome: PacketOutcome) {
        for (envelope, pow, not_expired) in outcome.admitted {
            self.pool_envelope(now, envelope, (pow, not_expired), Some(from));
        }
        let accepted = &outcome.accepted;
        self.mail
            .acknowledge(&mut self.fx, outcome.replies, accepted);
        let (send, fx, context) = self.sending();
        send.on_echoes(fx, outcome.accepted, context);
        let (mail, _, context) = self.mailing();
        let direct = mail.on_direct(now, from, outcome.direct, context);
        for envelope in direct {
            self.receive.on_direct(&mut self.fx, now, from, envelope);
        }
        if let Some((kind, payload)) = outcome.p2p {
            let (mail, fx, context) = self.mailing();
            mail.on_packet(fx, now, from, kind, &payload, context);
        }
    }
}
