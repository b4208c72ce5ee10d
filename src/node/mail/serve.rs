//! The mail server's side: what enters the pool goes to the archive, what the archive finds goes to
//! who asked.
//!
//! Envelopes go out in batches, few of them under way at a time, so that a busy archive gets large
//! ones. A peer that wants its packets acknowledged is told only once all that it brought would
//! survive a crash: an acknowledgement of a mail server means that the mail is kept. If the
//! archive falls so far behind that envelopes are lost to it, nothing is acknowledged until the
//! whole pool has been offered again.

use std::collections::{BTreeMap, VecDeque};

use circuits::ids::LinkId;
use circuits::time::Now;

use super::super::output::Output;
use super::super::views::MailView;
use super::Node;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::gossip::OutboundPacket;
use crate::gossip::packet::P2pKind;
use crate::mail::access::AccessPolicy;
use crate::mail::archive::{ArchiveRequest, ArchiveResponse, BatchId, Contents};
use crate::mail::server::{MailServer, ServerAction};

/// A mail server.
pub(in super::super) struct MailServerRole {
    server: MailServer,
    archive_queue: ArchiveQueue,
    /// Packets that wait for room on their link.
    outbox: BTreeMap<LinkId, VecDeque<(P2pKind, Vec<u8>)>>,
}

impl MailServerRole {
    pub(in super::super) fn new(access: AccessPolicy, max_waiting_bytes: usize) -> Self {
        Self {
            server: MailServer::new(access),
            archive_queue: ArchiveQueue::new(max_waiting_bytes),
            outbox: BTreeMap::new(),
        }
    }

    pub(super) fn close(&mut self, link: LinkId) {
        self.server.close(link);
        self.outbox.remove(&link);
    }

    fn view(&self) -> MailView {
        let contents = self.archive_queue.contents.unwrap_or_default();
        MailView {
            kept: self.archive_queue.durable,
            waiting: self
                .archive_queue
                .offered
                .saturating_sub(self.archive_queue.durable),
            bytes: contents.bytes,
            oldest: contents.oldest.map(|oldest| oldest.0),
            answering: self.server.answering(),
            given: self.server.sent(),
        }
    }
}

/// What is on its way into the archive.
struct ArchiveQueue {
    waiting: VecDeque<Envelope>,
    waiting_bytes: usize,
    max_waiting_bytes: usize,
    /// Envelopes offered since the start, and how many of them are durable.
    offered: u64,
    durable: u64,
    /// Batches under way, each with the number of its last envelope.
    batches: VecDeque<(BatchId, u64)>,
    last_batch: u64,
    taken: u64,
    /// Answers to peers, each with the number of the envelope that it waits for.
    acknowledgements: VecDeque<(u64, Vec<OutboundPacket>)>,
    acknowledgement_bytes: usize,
    /// The archive missed some: the pool has to be offered again, up to this number.
    gap: ArchiveGap,
    contents: Option<Contents>,
}

/// Whether the archive has missed something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ArchiveGap {
    None,
    /// It has.
    Missed,
    /// It will have caught up when this envelope is durable.
    Closing(u64),
}

impl ArchiveQueue {
    const fn new(max_waiting_bytes: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            max_waiting_bytes,
            offered: 0,
            durable: 0,
            batches: VecDeque::new(),
            last_batch: 0,
            taken: 0,
            acknowledgements: VecDeque::new(),
            acknowledgement_bytes: 0,
            gap: ArchiveGap::None,
            contents: None,
        }
    }

    fn offer(&mut self, envelope: Envelope) {
        let bytes = self.waiting_bytes.saturating_add(cost(&envelope));
        if bytes > self.max_waiting_bytes {
            if self.gap == ArchiveGap::None {
                tracing::warn!(
                    "the mail archive falls behind; nothing is acknowledged until it has caught up"
                );
            }
            self.gap = ArchiveGap::Missed;
            return;
        }
        self.waiting_bytes = bytes;
        self.offered = self.offered.saturating_add(1);
        self.waiting.push_back(envelope);
    }

    /// The next batch for the archive, if it can take one.
    fn next_batch(&mut self) -> Option<(BatchId, Vec<Envelope>)> {
        if self.waiting.is_empty() || self.batches.len() >= MAX_BATCHES {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while batch.len() < MAX_BATCH_ENVELOPES && bytes < MAX_BATCH_BYTES {
            let Some(envelope) = self.waiting.pop_front() else {
                break;
            };
            bytes = bytes.saturating_add(cost(&envelope));
            batch.push(envelope);
        }
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.taken = self
            .taken
            .saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        self.last_batch = self.last_batch.saturating_add(1);
        let id = BatchId(self.last_batch);
        self.batches.push_back((id, self.taken));
        Some((id, batch))
    }

    /// Every batch up to this one is durable; gives the answers that waited for it.
    fn kept(&mut self, id: BatchId) -> Vec<OutboundPacket> {
        let durable = self.batches.partition_point(|(batch, _)| *batch <= id);
        for (_, last) in self.batches.drain(..durable) {
            self.durable = self.durable.max(last);
        }
        if matches!(self.gap, ArchiveGap::Closing(last) if last <= self.durable) {
            self.gap = ArchiveGap::None;
        }
        let waited = |(last, _): &(u64, Vec<OutboundPacket>)| *last <= self.durable;
        let count = self.acknowledgements.partition_point(waited);
        let ready: Vec<OutboundPacket> = self
            .acknowledgements
            .drain(..count)
            .flat_map(|(_, sends)| sends)
            .collect();
        self.acknowledgement_bytes = self.acknowledgement_bytes.saturating_sub(weight(&ready));
        ready
    }

    /// Takes the answer to a packet, and gives back what may be said at once.
    fn acknowledge(&mut self, sends: Vec<OutboundPacket>) -> Vec<OutboundPacket> {
        let bytes = self.acknowledgement_bytes.saturating_add(weight(&sends));
        if sends.is_empty() || self.gap != ArchiveGap::None || bytes > MAX_ACKNOWLEDGEMENT_BYTES {
            return Vec::new();
        }
        if self.durable == self.offered {
            return sends;
        }
        self.acknowledgement_bytes = bytes;
        self.acknowledgements.push_back((self.offered, sends));
        Vec::new()
    }

    /// Whether the pool has to be offered again, and there is room for it.
    fn wants_pool(&self) -> bool {
        self.gap == ArchiveGap::Missed && self.waiting.is_empty() && self.batches.is_empty()
    }
}

impl Node {
    /// How the mail server is, if there is one.
    pub(in super::super) fn mail_view(&self) -> Option<MailView> {
        self.mail.serving.as_ref().map(|serving| serving.view())
    }

    /// An envelope is in the public pool: everybody has it, so the archive may. Those of `shh/5` no
    /// client could read.
    pub(in super::super) fn archive_envelope(&mut self, envelope: &Envelope) {
        if let Some(serving) = &mut self.mail.serving
            && envelope.protocol() == ProtocolVersion::V6
        {
            serving.archive_queue.offer(envelope.clone());
        }
    }

    /// What is to be said to a peer about a packet of envelopes, once they are kept.
    pub(in super::super) fn acknowledge_mail(&mut self, replies: Vec<OutboundPacket>) {
        let replies = match &mut self.mail.serving {
            Some(serving) => serving.archive_queue.acknowledge(replies),
            None => replies,
        };
        self.queue_shh(replies);
    }

    /// The archive says something.
    pub(in super::super) fn on_archived(&mut self, now: Now, word: ArchiveResponse) {
        let Some(serving) = &mut self.mail.serving else {
            return;
        };
        match word {
            ArchiveResponse::Kept(batch, contents) => {
                serving.archive_queue.contents = contents.or(serving.archive_queue.contents);
                let replies = serving.archive_queue.kept(batch);
                self.queue_shh(replies);
            }
            ArchiveResponse::Found(query, found) => {
                let actions = serving.server.on_page(query, found);
                self.apply_actions(now, actions);
            }
        }
    }

    pub(super) fn on_mail_request(
        &mut self,
        now: Now,
        from: LinkId,
        kind: P2pKind,
        payload: &[u8],
    ) {
        let connection = self.connections.get(from);
        let remote = connection.and_then(|connection| connection.remote.as_ref());
        let (Some(serving), Some(remote)) = (&mut self.mail.serving, remote) else {
            return;
        };
        let actions = match kind {
            P2pKind::SyncRequest => serving
                .server
                .on_sync_request(now, from, remote.key, payload),
            _ => serving.server.on_request(now, from, remote.key, payload),
        };
        self.apply_actions(now, actions);
    }

    /// Fills the archive, empties the outboxes, and looks for the next pages.
    pub(super) fn serve_mail(&mut self, now: Now) {
        if self.mail.serving.is_none() {
            return;
        }
        self.pump_outboxes(now);
        let Some(serving) = &mut self.mail.serving else {
            return;
        };
        if serving.archive_queue.wants_pool() {
            serving.archive_queue.gap = ArchiveGap::None;
            for pooled in self.pool.iter() {
                if pooled.envelope.protocol() == ProtocolVersion::V6 {
                    serving.archive_queue.offer(pooled.envelope.clone());
                }
            }
            if serving.archive_queue.gap == ArchiveGap::None {
                serving.archive_queue.gap = ArchiveGap::Closing(serving.archive_queue.offered);
            }
        }
        while let Some((id, batch)) = serving.archive_queue.next_batch() {
            self.outputs
                .push_back(Output::Archive(ArchiveRequest::Keep(id, batch)));
        }
        if serving.server.is_waiting() {
            let (connections, outbox) = (&self.connections, &serving.outbox);
            let actions = serving.server.find_next_pages(|link| {
                let backlog = connections.get(link).map(|link| link.link.queued_bytes());
                backlog == Some(0) && !outbox.contains_key(&link)
            });
            self.apply_actions(now, actions);
        }
    }

    fn apply_actions(&mut self, now: Now, actions: Vec<ServerAction>) {
        for action in actions {
            match action {
                ServerAction::Find(id, query) => {
                    self.outputs
                        .push_back(Output::Archive(ArchiveRequest::Find(id, query)));
                }
                ServerAction::HangUp(link) => self.hang_up(now, link),
                ServerAction::Send(link, kind, payload) => {
                    if let Some(serving) = &mut self.mail.serving {
                        let outbox = serving.outbox.entry(link).or_default();
                        outbox.push_back((kind, payload));
                    }
                }
            }
        }
        self.pump_outboxes(now);
    }

    /// Sends what waits, as far as links have room. Who lets thousands of packets pile up does not
    /// read them.
    fn pump_outboxes(&mut self, now: Now) {
        let Some(serving) = &mut self.mail.serving else {
            return;
        };
        let outboxes = core::mem::take(&mut serving.outbox);
        for (link, mut outbox) in outboxes {
            while let Some((kind, payload)) = outbox.pop_front() {
                let room = self.direct_backlog(link).is_some_and(|backlog| {
                    backlog == 0 || backlog.saturating_add(payload.len()) < MAX_LINK_BACKLOG
                });
                if !room {
                    outbox.push_front((kind, payload));
                    break;
                }
                self.send_direct_packet(link, kind, payload);
            }
            if outbox.len() > MAX_QUEUED_PACKETS {
                self.hang_up(now, link);
            } else if !outbox.is_empty()
                && self.connections.get(link).is_some()
                && let Some(serving) = &mut self.mail.serving
            {
                serving.outbox.insert(link, outbox);
            }
        }
    }
}

fn cost(envelope: &Envelope) -> usize {
    envelope.as_rlp().len().saturating_add(ENVELOPE_OVERHEAD)
}

fn weight(sends: &[OutboundPacket]) -> usize {
    sends.iter().map(|send| send.payload.len()).sum()
}

/// What an envelope in line costs beside its bytes.
const ENVELOPE_OVERHEAD: usize = 128;
/// Batches under way at once: one being written, one that shares the next commit.
const MAX_BATCHES: usize = 2;
/// Envelopes of one batch.
const MAX_BATCH_ENVELOPES: usize = 2_048;
/// Bytes of one batch, the last envelope apart.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Bytes of acknowledgements that may wait; others are not sent.
const MAX_ACKNOWLEDGEMENT_BYTES: usize = 1 << 20;
/// Bytes that may wait on a link before packets wait here.
const MAX_LINK_BACKLOG: usize = 64 * 1024;
/// Packets that may wait for one link: a page of the shortest envelopes, and every refusal.
const MAX_QUEUED_PACKETS: usize = 16_384;
