//! The mail server: public envelopes go into the archive, and what the archive finds goes to the
//! peers that requested it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use circuits::ids::LinkId;
use circuits::time::Now;

use super::archive_queue::ArchiveQueue;
use super::{MailContext, disconnect, packet};
use crate::envelope::{Envelope, EnvelopeHash, ProtocolVersion};
use crate::gossip::OutboundPacket;
use crate::gossip::packet::P2pKind;
use crate::mail::access::AccessPolicy;
use crate::mail::archive::{ArchiveRequest, ArchiveResponse};
use crate::mail::server::{MailPeer, MailServer, ServerAction};
use crate::node::action::Action;
use crate::node::effects::Effects;
use crate::node::output::Output;
use crate::node::peers::Peers;
use crate::node::views::MailView;

/// A mail server.
pub(super) struct MailServerRole {
    server: MailServer,
    archive: ArchiveQueue,
    /// Packets that wait for room on their links.
    outbox: BTreeMap<LinkId, VecDeque<(P2pKind, Vec<u8>)>>,
}

impl MailServerRole {
    /// A server that queues at most `max_waiting_bytes` of envelopes for its archive.
    pub(super) fn new(access: AccessPolicy, max_waiting_bytes: usize) -> Self {
        Self {
            server: MailServer::new(access),
            archive: ArchiveQueue::new(max_waiting_bytes),
            outbox: BTreeMap::new(),
        }
    }

    /// An envelope is public, so the archive may keep it. No client can read one of `shh/5`.
    pub(super) fn offer(&mut self, from: Option<LinkId>, envelope: &Envelope) {
        if envelope.protocol() == ProtocolVersion::V6 {
            self.archive.offer(from, envelope.clone());
        }
    }

    /// Queues the acknowledgements of a packet with these envelopes. Returns those that may be sent
    /// at once.
    pub(super) fn acknowledge(
        &mut self,
        packets: Vec<OutboundPacket>,
        envelopes: &[EnvelopeHash],
    ) -> Vec<OutboundPacket> {
        self.archive.acknowledge(packets, envelopes)
    }

    /// The archive answered.
    pub(super) fn on_archived(
        &mut self,
        fx: &mut Effects,
        response: ArchiveResponse,
        peers: &Peers,
    ) {
        match response {
            ArchiveResponse::Kept(batch, contents) => {
                self.archive.set_contents(contents);
                for packet in self.archive.kept(batch) {
                    fx.request(Action::SendPacket(packet));
                }
            }
            ArchiveResponse::Found(query, found) => {
                let actions = self.server.on_page(query, found);
                self.apply(fx, actions, peers);
            }
        }
    }

    /// A peer requested mail.
    pub(super) fn on_request(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        kind: P2pKind,
        payload: &[u8],
        peers: &Peers,
    ) {
        let key = peers.remote(from).map(|remote| remote.key());
        let (Some(key), Some(connection)) = (key, peers.get(from)) else {
            return;
        };
        let peer = MailPeer {
            link: from,
            key,
            subnet: connection.subnet(),
        };
        let actions = match kind {
            P2pKind::SyncRequest => self.server.on_sync_request(now, peer, payload),
            _ => self.server.on_request(now, peer, payload),
        };
        self.apply(fx, actions, peers);
    }

    /// Writes queued envelopes, and looks for the next pages of requests whose links are idle.
    pub(super) fn poll(&mut self, fx: &mut Effects, context: MailContext<'_>) {
        let pool = context.gossip.pool().iter();
        let of_v6 = pool
            .map(|pooled| &pooled.envelope)
            .filter(|envelope| envelope.protocol() == ProtocolVersion::V6);
        self.archive.catch_up(of_v6);
        while let Some((id, batch)) = self.archive.next_batch() {
            fx.emit(Output::Archive(ArchiveRequest::Keep(id, batch)));
        }
        if self.server.is_waiting() {
            let outbox = &self.outbox;
            let is_idle =
                |link| context.peers.queued_bytes(link) == Some(0) && !outbox.contains_key(&link);
            let actions = self.server.find_next_pages(is_idle);
            self.apply(fx, actions, context.peers);
        }
    }

    fn apply(&mut self, fx: &mut Effects, actions: Vec<ServerAction>, peers: &Peers) {
        let mut links = BTreeSet::new();
        for action in actions {
            match action {
                ServerAction::Find(id, query) => {
                    fx.emit(Output::Archive(ArchiveRequest::Find(id, query)));
                }
                ServerAction::Withdraw(id) => {
                    fx.emit(Output::Archive(ArchiveRequest::Withdraw(id)));
                }
                ServerAction::HangUp(link) => disconnect(fx, link),
                ServerAction::Send(link, kind, payload) => {
                    let outbox = self.outbox.entry(link).or_default();
                    outbox.push_back((kind, payload));
                    links.insert(link);
                }
            }
        }
        for link in links {
            self.pump(fx, link, peers);
        }
    }

    /// Sends waiting packets of a link as far as it has room.
    pub(super) fn pump(&mut self, fx: &mut Effects, link: LinkId, peers: &Peers) {
        let Some(outbox) = self.outbox.get_mut(&link) else {
            return;
        };
        let Some(mut backlog) = peers.queued_bytes(link) else {
            self.outbox.remove(&link);
            return;
        };
        while let Some((_, payload)) = outbox.front() {
            let after = backlog.saturating_add(payload.len());
            if backlog > 0 && after >= MAX_LINK_BACKLOG {
                if outbox.len() > MAX_QUEUED_PACKETS {
                    disconnect(fx, link);
                }
                return;
            }
            backlog = after;
            if let Some((kind, payload)) = outbox.pop_front() {
                fx.request(packet(link, kind, payload));
            }
        }
        self.outbox.remove(&link);
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, fx: &mut Effects, link: LinkId, peers: &Peers) {
        let withdrawn = self.server.close(link);
        self.archive.on_link_closed(link);
        self.outbox.remove(&link);
        self.apply(fx, withdrawn, peers);
    }

    /// The state of the server.
    pub(super) fn view(&self) -> MailView {
        let progress = self.archive.progress();
        MailView {
            kept: progress.durable,
            waiting: progress.waiting,
            bytes: progress.contents.bytes,
            oldest: progress.contents.oldest.map(|oldest| oldest.0),
            answering: self.server.answering(),
            given: self.server.sent(),
        }
    }
}

/// Bytes queued in a link from which on packets wait here.
const MAX_LINK_BACKLOG: usize = 64 * 1024;

/// Maximum number of packets that wait for one link: a page of the shortest envelopes, and every
/// refusal. A peer that lets more accumulate does not read them.
const MAX_QUEUED_PACKETS: usize = 16_384;
