//! The receiver's end of an attempt: says which chunks it has, checks what comes, and grants credit.
//!
//! Hashes are checked against the offer before any chunk, and each chunk against its hash before the disk
//! gets it. Credit for a chunk returns when the chunk is durable, so 256 frames bound what waits here, and
//! a kill costs the chunks that were not durable. The sender sends the missing chunks in ascending order;
//! any other order ends the session.

use core::fmt;
use std::collections::{BTreeSet, VecDeque};

use circuits::time::Instant;
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::FileId;
use super::chunk::{CHUNK_LEN, Chunk, ChunkList, ChunkRoot, FileSize};
use super::chunk_set::ChunkSet;
use super::fault::TransferFault;
use super::frame::{
    BadFrame, BulkFrame, BulkHello, MAX_CONTENT_LEN, PAYLOAD_LEN, SealedPayload, StopReason,
};
use super::secret::{AttemptKeys, FileEnd};
use super::session::{Ending, FIRST_CREDIT, MAX_IN_FLIGHT, Session};

/// What a receiving session needs, or how it ended.
#[derive(Debug)]
pub enum ReceiveStep {
    /// A chunk has its hash. To be stored, then marked in the stored set, then reported by
    /// [`ReceiveSession::stored`] once both are durable.
    StoreChunk(u32, Chunk),
    /// A chunk of padding came. To be marked in the stored set, then reported by
    /// [`ReceiveSession::stored`].
    MarkPadding(u32),
    /// Every chunk is durable, and the sender was told.
    Done,
    /// The attempt is over.
    Failed(TransferFault),
}

/// What a receiver knows of a file.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedFile {
    /// Names the file.
    pub id: FileId,
    /// Its size.
    pub size: FileSize,
    /// The hash over its list of chunks.
    pub root: ChunkRoot,
}

/// A session that receives a file.
pub struct ReceiveSession {
    session: Session,
    file: ExpectedFile,
    list: ChunkList,
    /// The chunks that the hello named, and those that came since.
    present: ChunkSet,
    /// The chunk that comes next; `None` if none is missing.
    next: Option<u32>,
    /// `number 4 | chunk` of the next chunk, as far as it came.
    incoming: Zeroizing<Vec<u8>>,
    arrived: VecDeque<(u32, Chunk)>,
    storing: BTreeSet<u32>,
    credit: ReceiverCredit,
    told_done: bool,
}

impl ReceiveSession {
    /// Begins an attempt. `durable` has the chunks that are stored.
    #[must_use]
    pub fn start(
        rng: &mut impl CryptoRng,
        now: Instant,
        keys: AttemptKeys,
        file: ExpectedFile,
        durable: &ChunkSet,
    ) -> Self {
        let runs = durable.to_runs();
        // A set with too many runs is announced in part; what is left out comes again.
        let present = ChunkSet::from_runs(file.size, &runs);
        let present = present.unwrap_or_else(|| ChunkSet::new(file.size));
        let hello = BulkHello { runs };
        Self {
            session: Session::start(rng, now, keys, FileEnd::Receiver, hello),
            list: ChunkList::new(file.id, file.size),
            next: present.missing_from(0),
            present,
            file,
            incoming: Zeroizing::new(Vec::with_capacity(FRAMED_CHUNK_LEN)),
            arrived: VecDeque::new(),
            storing: BTreeSet::new(),
            credit: ReceiverCredit::new(),
            told_done: false,
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

    /// A chunk and its mark are durable. Others than those of the last steps are ignored.
    pub fn stored(&mut self, number: u32) {
        if self.storing.remove(&number) {
            self.credit.release(FRAMES_PER_CHUNK);
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
    pub fn poll_step(&mut self) -> Option<ReceiveStep> {
        if let Some(ending) = self.session.take_ending() {
            return Some(match ending {
                Ending::Done => ReceiveStep::Done,
                Ending::Failed(fault) => ReceiveStep::Failed(fault),
            });
        }
        let (number, chunk) = self.arrived.pop_front()?;
        self.storing.insert(number);
        Some(if number < self.file.size.chunks() {
            ReceiveStep::StoreChunk(number, chunk)
        } else {
            ReceiveStep::MarkPadding(number)
        })
    }

    /// The next payload for the circuit; `None` if there is none now. To be called while the circuit takes
    /// more. After the last one the circuit stays open until the sender, or its idle time, ends it.
    pub fn poll_frame(&mut self) -> Option<SealedPayload> {
        if let Some(frame) = self.session.poll_outer_frame() {
            return Some(frame);
        }
        if !self.session.is_running() || !self.session.channel.is_open() {
            return None;
        }
        if self.is_durable() && !self.told_done {
            let sealed = self.session.channel.seal(&BulkFrame::Done)?;
            self.told_done = true;
            self.session.finish();
            return Some(sealed);
        }
        let frames = self.credit.grant()?;
        self.session.channel.seal(&BulkFrame::Credit(frames))
    }

    /// Whether the sender has answered.
    #[must_use]
    pub const fn has_met(&self) -> bool {
        self.session.channel.is_open()
    }

    /// Number of chunks, padding included, that came in this attempt or before.
    #[must_use]
    pub const fn present_chunks(&self) -> u32 {
        self.present.count()
    }

    /// Whether every chunk came and is durable.
    fn is_durable(&self) -> bool {
        self.next.is_none() && self.arrived.is_empty() && self.storing.is_empty()
    }

    fn accept_hello(
        &mut self,
        now: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<(), TransferFault> {
        let hello = self.session.accept_hello(now, payload)?;
        if !hello.runs.is_empty() {
            return Err(TransferFault::ChunkSet);
        }
        self.credit.open();
        Ok(())
    }

    fn accept_frame(
        &mut self,
        now: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<(), TransferFault> {
        let opened = self.session.accept_frame(now, payload)?;
        match BulkFrame::decode(&opened)? {
            BulkFrame::Leaves { first, leaves } => self.accept_leaves(first, leaves),
            BulkFrame::Data(bytes) => self.accept_data(bytes),
            BulkFrame::Padding => Ok(()),
            other => Err(TransferFault::Unexpected(other.kind())),
        }
    }

    fn accept_leaves(&mut self, first: u32, leaves: &[u8]) -> Result<(), TransferFault> {
        self.credit.take()?;
        if first != self.list.len() || !self.list.append(leaves) {
            return Err(TransferFault::Unexpected("leaves"));
        }
        self.credit.release(1);
        let root = self.list.root();
        if root.is_some_and(|root| root != self.file.root) {
            return Err(TransferFault::Root);
        }
        Ok(())
    }

    fn accept_data(&mut self, bytes: &[u8]) -> Result<(), TransferFault> {
        self.credit.take()?;
        let Some(expected) = self.next.filter(|_| self.list.is_complete()) else {
            return Err(TransferFault::Unexpected("data"));
        };
        let left = FRAMED_CHUNK_LEN.saturating_sub(self.incoming.len());
        if bytes.len() != left.min(MAX_CONTENT_LEN) {
            return Err(BadFrame::Length.into());
        }
        if self.incoming.is_empty() {
            check_number(bytes, expected)?;
        }
        self.incoming.extend_from_slice(bytes);
        if self.incoming.len() == FRAMED_CHUNK_LEN {
            self.accept_chunk(expected)?;
        }
        Ok(())
    }

    fn accept_chunk(&mut self, number: u32) -> Result<(), TransferFault> {
        let chunk = self.incoming.get(NUMBER_LEN..).and_then(Chunk::padded);
        self.incoming.zeroize();
        let is_expected = |chunk: &Chunk| {
            if number < self.file.size.chunks() {
                self.list.verifies(number, chunk)
            } else {
                chunk.is_zero()
            }
        };
        let chunk = chunk.filter(is_expected);
        let chunk = chunk.ok_or(TransferFault::Chunk { number })?;
        self.arrived.push_back((number, chunk));
        let _added = self.present.insert(number);
        self.next = self.present.missing_from(number.saturating_add(1));
        Ok(())
    }

    fn fail(&mut self, fault: TransferFault) {
        self.session.fail(fault);
        self.incoming.zeroize();
        self.arrived.clear();
    }
}

impl fmt::Debug for ReceiveSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiveSession({:?})", self.present)
    }
}

/// The first data frame of a chunk names it.
fn check_number(bytes: &[u8], expected: u32) -> Result<(), TransferFault> {
    let (number, _) = bytes.split_first_chunk().ok_or(BadFrame::Length)?;
    let found = u32::from_be_bytes(*number);
    if found == expected {
        Ok(())
    } else {
        Err(TransferFault::ChunkOrder { found, expected })
    }
}

/// The credit that a receiver grants: what may come, what is held, what may be granted again. Their sum
/// never exceeds [`MAX_IN_FLIGHT`].
#[derive(Debug)]
struct ReceiverCredit {
    open: u16,
    to_grant: u16,
}

impl ReceiverCredit {
    const fn new() -> Self {
        Self {
            open: FIRST_CREDIT,
            to_grant: 0,
        }
    }

    /// The other end is there: the whole window opens.
    const fn open(&mut self) {
        self.to_grant = MAX_IN_FLIGHT - FIRST_CREDIT;
    }

    /// A frame came.
    fn take(&mut self) -> Result<(), TransferFault> {
        self.open = self
            .open
            .checked_sub(1)
            .ok_or(TransferFault::Credit { max: MAX_IN_FLIGHT })?;
        Ok(())
    }

    /// Frames are no longer held.
    const fn release(&mut self, frames: u16) {
        self.to_grant = self.to_grant.saturating_add(frames);
    }

    /// What to grant now: nothing if it is little and the other end can still send.
    const fn grant(&mut self) -> Option<u16> {
        let worth_it = self.to_grant >= MIN_GRANT || (self.open == 0 && self.to_grant > 0);
        if !worth_it {
            return None;
        }
        let frames = self.to_grant;
        self.open = self.open.saturating_add(frames);
        self.to_grant = 0;
        Some(frames)
    }
}

const NUMBER_LEN: usize = 4;
/// A chunk with its number before it, as the data frames carry it.
const FRAMED_CHUNK_LEN: usize = NUMBER_LEN + CHUNK_LEN;
/// Data frames of one chunk.
const FRAMES_PER_CHUNK: u16 = 83;
/// Below this credit is kept back, so that credit frames stay few.
const MIN_GRANT: u16 = 32;

const _: () = assert!(FRAMED_CHUNK_LEN.div_ceil(MAX_CONTENT_LEN) == 83);
