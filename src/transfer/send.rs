//! The sender's end of an attempt: gives the receiver the hashes, then the chunks that it misses.
//!
//! The session asks for one chunk ahead of the one that it sends, so it holds two at most. It sends a frame
//! only while the receiver granted credit for it. It reads no disk: [`SendStep::NeedChunk`] asks.

use core::fmt;
use std::collections::VecDeque;

use circuits::time::Instant;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::chunk::{Chunk, ChunkList, LEAF_LEN};
use super::chunk_set::ChunkSet;
use super::fault::TransferFault;
use super::frame::{
    BulkFrame, BulkHello, MAX_CONTENT_LEN, MAX_LEAVES, PAYLOAD_LEN, SealedPayload, StopReason,
};
use super::secret::{AttemptKeys, FileEnd};
use super::session::{Ending, FIRST_CREDIT, MAX_IN_FLIGHT, Session};

/// What a sending session needs, or how it ended.
#[derive(Debug)]
pub enum SendStep {
    /// The chunk of this number, by [`SendSession::chunk`].
    NeedChunk(u32),
    /// The receiver has the whole file, and it is durable.
    Done,
    /// The attempt is over.
    Failed(TransferFault),
}

/// A session that sends a file.
pub struct SendSession {
    session: Session,
    list: ChunkList,
    /// The chunks that the receiver has; `None` before its hello.
    present: Option<ChunkSet>,
    /// The next chunk to ask for; `None` if none is left.
    next: Option<u32>,
    wanted: Option<u32>,
    asked: bool,
    chunks: VecDeque<OutgoingChunk>,
    leaves_sent: u32,
    credit: u16,
}

impl SendSession {
    /// Begins an attempt. The list is complete: that of the file as it was offered.
    #[must_use]
    pub fn start(
        rng: &mut impl CryptoRng,
        now: Instant,
        keys: AttemptKeys,
        list: ChunkList,
    ) -> Self {
        let hello = BulkHello { runs: Vec::new() };
        Self {
            session: Session::start(rng, now, keys, FileEnd::Sender, hello),
            list,
            present: None,
            next: None,
            wanted: None,
            asked: false,
            chunks: VecDeque::new(),
            leaves_sent: 0,
            credit: FIRST_CREDIT,
        }
    }

    /// A payload arrived by the circuit.
    pub fn receive(&mut self, now: Instant, payload: &[u8; PAYLOAD_LEN]) {
        if !self.session.is_running() {
            return;
        }
        let accepted = if self.session.channel.is_open() {
            self.accept_frame(now, payload)
        } else {
            self.accept_hello(now, payload)
        };
        if let Err(fault) = accepted {
            self.fail(fault);
        }
    }

    /// The chunk that was asked for. Another one is ignored.
    pub fn chunk(&mut self, number: u32, chunk: &Chunk) {
        if self.wanted == Some(number) {
            self.wanted = None;
            self.asked = false;
            self.chunks.push_back(OutgoingChunk::new(number, chunk));
        }
    }

    /// Ends the attempt, and tells the other end why.
    pub fn stop(&mut self, reason: StopReason) {
        self.fail(TransferFault::Stopped(reason));
    }

    /// When [`on_time`](Self::on_time) is due; `None` once the session has ended.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    /// The deadline may have passed.
    pub fn on_time(&mut self, now: Instant) {
        self.session.on_time(now);
    }

    /// What the session needs next, or how it ended; `None` if nothing new.
    pub fn poll_step(&mut self) -> Option<SendStep> {
        if let Some(ending) = self.session.take_ending() {
            return Some(match ending {
                Ending::Done => SendStep::Done,
                Ending::Failed(fault) => SendStep::Failed(fault),
            });
        }
        self.want_chunk();
        let wanted = self.wanted.filter(|_| !self.asked)?;
        self.asked = true;
        Some(SendStep::NeedChunk(wanted))
    }

    /// The next payload for the circuit; `None` if there is none now. To be called while the circuit takes
    /// more.
    pub fn poll_frame(&mut self) -> Option<SealedPayload> {
        if let Some(frame) = self.session.poll_outer_frame() {
            return Some(frame);
        }
        if !self.session.is_running() || self.credit == 0 || self.is_all_sent() {
            return None;
        }
        let sealed = if self.leaves_sent < self.list.len() {
            self.seal_leaves()
        } else {
            self.seal_data()
        }?;
        self.credit = self.credit.saturating_sub(1);
        Some(sealed)
    }

    /// Whether the receiver has answered.
    #[must_use]
    pub const fn has_met(&self) -> bool {
        self.present.is_some()
    }

    /// Number of chunks, padding included, that the receiver has or that were sent; 0 before its hello.
    #[must_use]
    pub fn sent_chunks(&self) -> u32 {
        self.present.as_ref().map_or(0, ChunkSet::count)
    }

    fn accept_hello(
        &mut self,
        now: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<(), TransferFault> {
        let hello = self.session.accept_hello(now, payload)?;
        let present = ChunkSet::from_runs(self.list.size(), &hello.runs);
        let present = present.ok_or(TransferFault::ChunkSet)?;
        self.next = present.missing_from(0);
        if self.next.is_none() {
            self.leaves_sent = self.list.len();
        }
        self.present = Some(present);
        Ok(())
    }

    fn accept_frame(
        &mut self,
        now: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<(), TransferFault> {
        let opened = self.session.accept_frame(now, payload)?;
        match BulkFrame::decode(&opened)? {
            BulkFrame::Credit(frames) => self.add_credit(frames),
            BulkFrame::Done if self.is_all_sent() => {
                self.session.finish();
                Ok(())
            }
            BulkFrame::Padding => Ok(()),
            other => Err(TransferFault::Unexpected(other.kind())),
        }
    }

    fn add_credit(&mut self, frames: u16) -> Result<(), TransferFault> {
        let credit = self.credit.saturating_add(frames);
        if credit > MAX_IN_FLIGHT {
            return Err(TransferFault::Credit { max: MAX_IN_FLIGHT });
        }
        self.credit = credit;
        Ok(())
    }

    /// Whether the receiver has everything, as far as this end knows.
    fn is_all_sent(&self) -> bool {
        self.present.as_ref().is_some_and(ChunkSet::is_full)
    }

    /// Chooses the next chunk to ask for, or makes one of padding.
    fn want_chunk(&mut self) {
        let free = self.wanted.is_none() && self.chunks.len() < MAX_CHUNKS_HELD;
        let Some(number) = self.next.filter(|_| free && self.session.is_running()) else {
            return;
        };
        self.next = self
            .present
            .as_ref()
            .and_then(|present| present.missing_from(number.saturating_add(1)));
        if number < self.list.len() {
            self.wanted = Some(number);
        } else {
            let padding = OutgoingChunk::new(number, &Chunk::zeros());
            self.chunks.push_back(padding);
        }
    }

    fn seal_leaves(&mut self) -> Option<SealedPayload> {
        // Before the hello of the receiver there is no key.
        self.present.as_ref()?;
        let first = self.leaves_sent;
        let at = usize::try_from(first).ok()?.checked_mul(LEAF_LEN)?;
        let rest = self.list.leaves().get(at..)?;
        let len = rest.len().min(MAX_LEAVES * LEAF_LEN);
        let leaves = rest.get(..len)?;
        let sealed = self
            .session
            .channel
            .seal(&BulkFrame::Leaves { first, leaves })?;
        let count = u32::try_from(len / LEAF_LEN).ok()?;
        self.leaves_sent = first.saturating_add(count);
        Some(sealed)
    }

    fn seal_data(&mut self) -> Option<SealedPayload> {
        self.want_chunk();
        let chunk = self.chunks.front_mut()?;
        let sealed = self.session.channel.seal(&BulkFrame::Data(chunk.next()?))?;
        if chunk.advance() {
            let number = chunk.number;
            self.chunks.pop_front();
            if let Some(present) = &mut self.present {
                let _added = present.insert(number);
            }
        }
        Some(sealed)
    }

    fn fail(&mut self, fault: TransferFault) {
        self.session.fail(fault);
        self.chunks.clear();
    }
}

impl fmt::Debug for SendSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendSession({:?})", self.present)
    }
}

/// A chunk on its way: `number 4 | chunk`, and how much of it was sent.
struct OutgoingChunk {
    number: u32,
    bytes: Zeroizing<Vec<u8>>,
    sent: usize,
}

impl OutgoingChunk {
    fn new(number: u32, chunk: &Chunk) -> Self {
        let bytes = [&number.to_be_bytes(), chunk.as_bytes()].concat();
        Self {
            number,
            bytes: Zeroizing::new(bytes),
            sent: 0,
        }
    }

    /// The bytes of the next frame.
    fn next(&self) -> Option<&[u8]> {
        let rest = self.bytes.get(self.sent..)?;
        rest.get(..rest.len().min(MAX_CONTENT_LEN))
    }

    /// The next frame was sent; whether it was the last.
    fn advance(&mut self) -> bool {
        self.sent = self.sent.saturating_add(MAX_CONTENT_LEN);
        self.sent >= self.bytes.len()
    }
}

/// One chunk that is sent, and one that is read meanwhile.
const MAX_CHUNKS_HELD: usize = 2;
