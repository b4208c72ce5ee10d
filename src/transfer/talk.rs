//! A talk line: two users exchange lines of text within seconds, through the circuits and frames of the
//! hand-over.
//!
//! From the moment when both ends have met, each sends one frame a second: a line that waits, or padding.
//! Every frame has the full length, so that neither the number of cells nor their times tell whether a
//! user types. A line waits for the next frame, at most a second if no other one waits before it. The
//! session ends after ten minutes, when a user ends it, or when the other end is silent. It stores nothing,
//! reads no clock and opens no circuit.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use circuits::time::Instant;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::channel::Channel;
use super::fault::TransferFault;
use super::frame::{
    BadFrame, BulkFrame, BulkHello, MAX_CONTENT_LEN, PAYLOAD_LEN, SealedPayload, StopReason,
};
use super::secret::{AttemptKeys, FileEnd};
use super::session::HELLO_TIMEOUT;

/// The longest line, in bytes: what fits into a frame.
pub const MAX_LINE_LEN: usize = MAX_CONTENT_LEN;
/// Time between two frames of one end.
pub const FRAME_INTERVAL: Duration = Duration::from_secs(1);
/// Time from the start of a session to its end: what circuits live, without the time that the last frame
/// takes.
pub const LINE_TIME: Duration = Duration::from_secs(590);
/// How long an end waits for a frame of the other one, which sends one a second.
pub const LINE_SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
/// The most lines that wait for their frames.
pub const MAX_WAITING_LINES: usize = 16;

/// A line of text: 1 to 793 bytes without control characters. Erased on drop, and not shown by `Debug`. Not
/// yet fit for a terminal: it may contain marks that change the direction of text.
pub struct TalkLine(Zeroizing<String>);

impl TalkLine {
    /// The line, if it is in the format.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Option<Self> {
        let fits = (1..=MAX_LINE_LEN).contains(&text.len());
        (fits && !text.contains(char::is_control)).then_some(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadFrame> {
        let text = str::from_utf8(bytes).map_err(|_| BadFrame::Field)?;
        Self::new(Zeroizing::new(text.to_owned())).ok_or(BadFrame::Field)
    }
}

impl fmt::Debug for TalkLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TalkLine(..)")
    }
}

/// What a session reports.
#[derive(Debug)]
pub enum TalkStep {
    /// Both ends have met.
    Opened,
    /// The other user sent a line.
    Line(TalkLine),
    /// The session has ended. Nothing follows but at most one payload, which tells the other end.
    Ended(TransferFault),
}

/// Why a line is not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineRefused {
    /// The ends have not met, or the session has ended.
    #[error("the line is not open")]
    NotOpen,
    /// Too many lines wait.
    #[error("{MAX_WAITING_LINES} lines wait, the most at a time")]
    Full,
}

/// One end of a talk line.
#[derive(Debug)]
pub struct TalkSession {
    channel: Channel,
    begun: Instant,
    heard: Instant,
    opened: Option<Instant>,
    next_frame: Instant,
    is_due: bool,
    received: u64,
    waiting: VecDeque<TalkLine>,
    steps: VecDeque<TalkStep>,
    is_leaving: bool,
    is_over: bool,
    farewell: Option<StopReason>,
}

impl TalkSession {
    /// A session of the end that offered the line ([`FileEnd::Sender`]) or of the other one.
    #[must_use]
    pub fn start(rng: &mut impl CryptoRng, now: Instant, keys: AttemptKeys, own: FileEnd) -> Self {
        let hello = BulkHello { runs: Vec::new() };
        Self {
            channel: Channel::new(rng, keys, own, hello),
            begun: now,
            heard: now,
            opened: None,
            next_frame: now,
            is_due: false,
            received: 0,
            waiting: VecDeque::new(),
            steps: VecDeque::new(),
            is_leaving: false,
            is_over: false,
            farewell: None,
        }
    }

    /// Whether both ends have met, and the session has not ended.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.opened.is_some() && !self.is_over
    }

    /// Puts a line into the queue for the next frames.
    ///
    /// # Errors
    ///
    /// [`LineRefused`]; the line is dropped.
    pub fn say(&mut self, line: TalkLine) -> Result<(), LineRefused> {
        if !self.is_open() || self.is_leaving {
            return Err(LineRefused::NotOpen);
        }
        if self.waiting.len() >= MAX_WAITING_LINES {
            return Err(LineRefused::Full);
        }
        self.waiting.push_back(line);
        Ok(())
    }

    /// Ends the session as its user wants, after the lines that wait.
    pub fn hang_up(&mut self) {
        self.is_leaving = true;
        if !self.is_open() || self.waiting.is_empty() {
            self.stop();
        }
    }

    /// Ends the session at once; lines that wait are dropped.
    pub fn stop(&mut self) {
        self.end(TransferFault::Stopped(StopReason::Cancelled));
    }

    /// A payload arrived.
    pub fn receive(&mut self, now: Instant, payload: &[u8; PAYLOAD_LEN]) {
        if self.is_over {
            return;
        }
        let accepted = match self.opened {
            None => self.accept_hello(now, payload),
            Some(opened) => self.accept_frame(now, opened, payload),
        };
        if let Err(fault) = accepted {
            self.end(fault);
        }
    }

    fn accept_hello(
        &mut self,
        now: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<(), TransferFault> {
        let hello = self.channel.accept_hello(payload)?;
        if !hello.runs.is_empty() {
            return Err(TransferFault::ChunkSet);
        }
        self.heard = now;
        self.opened = Some(now);
        self.next_frame = now.after(FRAME_INTERVAL);
        self.steps.push_back(TalkStep::Opened);
        Ok(())
    }

    fn accept_frame(
        &mut self,
        now: Instant,
        opened: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<(), TransferFault> {
        let frame = self.channel.open(payload)?;
        self.heard = now;
        self.received = self.received.saturating_add(1);
        let decoded = BulkFrame::decode(&frame)?;
        if let BulkFrame::Stop(reason) = decoded {
            return Err(TransferFault::StoppedByPeer(reason));
        }
        if self.received > now.since(opened).as_secs().saturating_add(RATE_ALLOWANCE) {
            return Err(TransferFault::Rate);
        }
        match decoded {
            BulkFrame::Padding => Ok(()),
            BulkFrame::Line(bytes) => {
                let line = TalkLine::decode(bytes)?;
                self.steps.push_back(TalkStep::Line(line));
                Ok(())
            }
            other => Err(TransferFault::Unexpected(other.kind())),
        }
    }

    /// When [`on_time`](Self::on_time) is due; `None` once the session has ended.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let silent = self.silent_at().min(self.begun.after(LINE_TIME));
        Some(if self.opened.is_some() {
            silent.min(self.next_frame)
        } else {
            silent
        })
    }

    fn silent_at(&self) -> Instant {
        let wait = if self.opened.is_some() {
            LINE_SILENCE_TIMEOUT
        } else {
            HELLO_TIMEOUT
        };
        self.heard.after(wait)
    }

    /// The deadline may have passed.
    pub fn on_time(&mut self, now: Instant) {
        if self.is_over {
            return;
        }
        if now >= self.begun.after(LINE_TIME) {
            self.end(TransferFault::Stopped(StopReason::TimeOver));
        } else if now >= self.silent_at() {
            self.end(if self.opened.is_some() {
                TransferFault::Silent {
                    secs: LINE_SILENCE_TIMEOUT.as_secs(),
                }
            } else {
                TransferFault::NoHello {
                    secs: HELLO_TIMEOUT.as_secs(),
                }
            });
        } else if self.opened.is_some() && now >= self.next_frame {
            self.is_due = true;
            self.next_frame = self.next_frame.after(FRAME_INTERVAL);
            if self.next_frame <= now {
                // The process was stopped meanwhile: what is late is left out, and not sent at once.
                self.next_frame = now.after(FRAME_INTERVAL);
            }
        }
    }

    /// What the session reports next.
    pub fn poll_step(&mut self) -> Option<TalkStep> {
        self.steps.pop_front()
    }

    /// The next payload for the circuit: the hello, then one a second, at the end perhaps a last one.
    pub fn poll_payload(&mut self) -> Option<SealedPayload> {
        if let Some(reason) = self.farewell.take() {
            return self.channel.seal(&BulkFrame::Stop(reason));
        }
        if self.is_over {
            return None;
        }
        if let Some(hello) = self.channel.take_hello() {
            return Some(hello);
        }
        if !core::mem::take(&mut self.is_due) {
            return None;
        }
        let Some(line) = self.waiting.pop_front() else {
            return self.channel.seal(&BulkFrame::Padding);
        };
        let payload = self
            .channel
            .seal(&BulkFrame::Line(line.as_str().as_bytes()));
        if self.is_leaving && self.waiting.is_empty() {
            self.end(TransferFault::Stopped(StopReason::Cancelled));
        }
        payload
    }

    /// Ends the session. The other end is told if it broke a rule, or if this end stops.
    fn end(&mut self, fault: TransferFault) {
        if self.is_over {
            return;
        }
        self.farewell = fault.farewell();
        self.is_over = true;
        self.waiting.clear();
        self.steps.push_back(TalkStep::Ended(fault));
    }
}

/// Frames that may arrive beyond one a second: a circuit that stood still brings those of its pause at once.
const RATE_ALLOWANCE: u64 = 32;

#[cfg(test)]
mod tests;
