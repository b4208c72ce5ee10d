//! Routing: every input goes to its component, and every action to the component that it is for.
//!
//! Decisions are made in the components. This module knows which of them an input or an action
//! concerns, and in which order.

use circuits::cell::{Cell, CellError};
use circuits::ids::{LinkId, RelayKey, ShortId};
use circuits::time::Now;

use super::action::{Action, StemSource};
use super::clock_skew::ShownTime;
use super::durability::{Continuation, StateContinuation};
use super::effects::Counter;
use super::emission::QueuedCell;
use super::event::{Event, Trace};
use super::gossip::NewPeer;
use super::input::{DialFailure, Input, StoreId};
use super::jobs::{JobId, JobOwner, JobResult};
use super::peers::{BanScope, OnionHandshake, PeerConnection, PeerKnowledge, RemotePeer};
use super::stem::StemPeer;
use super::timers::TimerId;
use super::{Node, circuit_routing, dial_back, emission_routing, hex, talks, transfer_routing};
use crate::envelope::{Envelope, NotExpired};
use crate::envelope_validation::StemRejected;
use crate::gossip::{GossipFault, PacketOutcome};
use crate::link::{Capability, LinkEvent, LinkFault};
use crate::onion_wire::OnionMessage;
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
            Input::Stored(id) => self.on_stored(now, id),
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
            Input::Worked(job, result) => self.on_job_ended(now, job, result),
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
            } => self.on_onion_packet(now, link, code, &payload),
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

    fn on_onion_packet(&mut self, now: Now, link: LinkId, code: u16, payload: &[u8]) {
        let Some(state) = self.peers.get(link).map(PeerConnection::onion_handshake) else {
            return;
        };
        let message = u8::try_from(code).map(|code| OnionMessage::decode(code, payload));
        let message = match message {
            Ok(Ok(Some(message))) => message,
            // A reserved code: a later version may use it.
            Ok(Ok(None)) => return self.peers.on_unread(&mut self.fx, now, link),
            Ok(Err(_)) | Err(_) => return self.peers.on_malformed(&mut self.fx, now, link),
        };
        match (state, message) {
            (OnionHandshake::Ready, message) => self.on_onion_message(now, link, message),
            // Also after the timeout: over Tor a pause may last longer.
            (
                _,
                OnionMessage::Status {
                    network,
                    epoch,
                    time,
                },
            ) => {
                self.compare_clock(now, link, ShownTime::Status(epoch, time));
                let outcome = self.peers.on_onion_status(&mut self.fx, now, link, network);
                self.on_onion_outcome(now, link, outcome);
            }
            // Before the handshake, no other message is accepted.
            (OnionHandshake::Off | OnionHandshake::AwaitingStatus, _) => {
                self.peers.on_unread(&mut self.fx, now, link);
            }
        }
    }

    fn on_onion_message(&mut self, now: Now, from: LinkId, message: OnionMessage) {
        let fx = &mut self.fx;
        match message {
            OnionMessage::Descriptors(_)
            | OnionMessage::GetDescriptors(_)
            | OnionMessage::RelayList(_)
            | OnionMessage::RelayListPart(_) => {
                let (directory, peers) = (&mut self.directory, &self.peers);
                directory.on_message(fx, now, from, message, peers);
            }
            OnionMessage::Cell(bytes) => self.on_cell(now, from, Cell::from_box(bytes)),
            OnionMessage::Stem(envelope) => self.on_stem(now, from, &envelope),
            OnionMessage::Announce(hashes) => {
                let known = self.gossip.on_announced(fx, now, from, hashes);
                let (send, fx, context) = self.sending();
                send.on_echoes(fx, known, context);
            }
            OnionMessage::GetEnvelopes(hashes) => self.gossip.on_requested(fx, now, from, hashes),
            OnionMessage::DialBack(message) => dial_back::on_message(self, now, from, message),
            OnionMessage::CircuitCell(cell) => circuit_routing::on_cell(self, now, from, &cell),
            // A second status carries no information.
            OnionMessage::Status { .. } => self.peers.on_unread(fx, now, from),
        }
    }

    fn on_stem(&mut self, now: Now, from: LinkId, envelope: &Envelope) {
        let Some(peer) = self.peers.stem_peer(from) else {
            return;
        };
        let fx = &mut self.fx;
        let passed_on = self.stem.on_stem(fx, now, peer, envelope, &self.gossip);
        if passed_on.is_err_and(StemRejected::is_strike) {
            self.peers
                .end_for_violation(fx, now, from, Some(BanScope::KeyAndAddress));
        }
    }

    fn on_cell(&mut self, now: Now, from: LinkId, cell: Result<Cell, CellError>) {
        let Ok(cell) = cell else {
            return self.fx.count(Counter::CellsDropped);
        };
        let taken = if self.relay.is_enabled() {
            let (relay, fx, context, _) = self.relaying();
            relay.on_cell(fx, now, from, cell, context)
        } else {
            let (emission, fx, context) = emission_routing::emitting(self, now, None);
            emission.on_cell(fx, now, from, context.link, cell)
        };
        if taken {
            self.peers.note_received_cell(now.mono, from);
        }
    }

    fn on_stored(&mut self, now: Now, id: StoreId) {
        let was_congested = self.fx.state_is_congested();
        for continuation in self.fx.stored(id) {
            match continuation {
                Continuation::ForwardCell(cell) => {
                    let (relay, fx, context, gossip) = self.relaying();
                    relay.forward_durable(fx, now, cell, context, gossip);
                }
                Continuation::PublishDescriptor(raw) => {
                    let fx = &mut self.fx;
                    self.directory.publish_own(fx, now, &raw, &self.peers);
                }
                Continuation::State(continuation) => self.on_state_stored(now, continuation),
            }
        }
        if was_congested && !self.fx.state_is_congested() {
            self.receive.on_state_stored(&mut self.fx, now);
        }
    }

    fn on_state_stored(&mut self, now: Now, continuation: StateContinuation) {
        match continuation {
            StateContinuation::Notify(event) => self.fx.notify(event),
            StateContinuation::BeginMessage(id) => {
                let (send, fx, context) = self.sending();
                send.on_message_stored(fx, now, id, context);
            }
            StateContinuation::Contact(continuation) => {
                let (contacts, fx, context) = self.contacting();
                contacts.on_stored(fx, now, continuation, context);
            }
            StateContinuation::Transfer(continuation) => {
                let (transfers, fx, context) = self.transferring();
                transfers.on_stored(fx, now, continuation, context);
            }
            StateContinuation::Reply(command, reply) => self.fx.reply(command, reply),
        }
    }

    fn on_job_ended(&mut self, now: Now, job: JobId, result: Option<JobResult>) {
        let owner = self.fx.end_job(job);
        match (owner, result) {
            (Some(JobOwner::Message(id)), Some(JobResult::Nonce(nonce))) => {
                let (send, fx, context) = self.sending();
                send.on_nonce(fx, now, id, nonce, context);
            }
            (Some(JobOwner::Message(id)), Some(JobResult::Ticket(ticket))) => {
                let (send, fx, context) = self.sending();
                send.on_ticket(fx, now, id, ticket, context);
            }
            (Some(JobOwner::MailRequest), Some(JobResult::Nonce(nonce))) => {
                self.mail.on_request_nonce(&mut self.fx, now, job, nonce);
            }
            (Some(JobOwner::Descriptor), Some(JobResult::Puzzle(solution))) => {
                let publisher = self.directory.publisher_mut();
                publisher.on_puzzle(&mut self.fx, job, solution);
            }
            (Some(JobOwner::Dummy), result) => {
                let nonce = match result {
                    Some(JobResult::Nonce(nonce)) => nonce.ok(),
                    _ => None,
                };
                let (send, fx, context) = self.sending();
                send.on_dummy_nonce(fx, now, job, nonce, context);
            }
            (Some(JobOwner::Post), result) => self.on_post_nonce(now, job, result),
            (Some(JobOwner::Trials), result) => {
                let (fx, pool) = (&mut self.fx, self.gossip.pool());
                let messages = self.receive.on_tried(fx, now, job, result, pool);
                self.mail.on_direct_messages(messages);
            }
            (Some(JobOwner::Contact), result) => {
                let (contacts, fx, context) = self.contacting();
                contacts.on_job_ended(fx, now, job, result, context);
            }
            (Some(JobOwner::Emission), result) => {
                self.emission.on_sealed(&mut self.fx, job, result);
            }
            (Some(JobOwner::RelayList), result) => {
                let (fx, peers) = (&mut self.fx, &self.peers);
                self.directory.on_list_checked(fx, now, job, result, peers);
            }
            // The job was cancelled, or stopped by the shell.
            _ => {}
        }
    }
}
