//! What both ends of a session share: the channel, its deadlines, and how it ends.

use core::time::Duration;

use circuits::time::Instant;
use rand_core::CryptoRng;

use super::channel::Channel;
use super::fault::TransferFault;
use super::frame::{BulkFrame, BulkHello, PAYLOAD_LEN, SealedPayload, StopReason};
use super::secret::{AttemptKeys, FileEnd};

/// How long an end waits for the hello of the other one: the time that a relay holds an unpaired circuit.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an end waits for a frame of the other one: the time after which relays drop an idle circuit.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// The most frames of padding that one session takes: one a second for longer than a circuit lives.
pub const MAX_PADDING_FRAMES: u32 = 1_024;
/// Frames that may be sent before the first credit.
pub const FIRST_CREDIT: u16 = 64;
/// The most frames that are sent and not taken. No queue of a relay holds more.
pub const MAX_IN_FLIGHT: u16 = 256;

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Done,
    Failed(TransferFault),
}

/// The common part of both ends.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    heard: Instant,
    padding: u32,
    farewell: Option<StopReason>,
    ending: Option<Ending>,
    reported: bool,
}

impl Session {
    pub(super) fn start(
        rng: &mut impl CryptoRng,
        now: Instant,
        keys: AttemptKeys,
        own: FileEnd,
        hello: BulkHello,
    ) -> Self {
        Self {
            channel: Channel::new(rng, keys, own, hello),
            heard: now,
            padding: 0,
            farewell: None,
            ending: None,
            reported: false,
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        self.ending.is_none()
    }

    /// When [`on_time`](Self::on_time) is due; `None` once the session has ended.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let wait = if self.channel.is_open() {
            SILENCE_TIMEOUT
        } else {
            HELLO_TIMEOUT
        };
        self.is_running().then(|| self.heard.after(wait))
    }

    /// Ends the session if the other end was silent for too long.
    pub(super) fn on_time(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            let fault = if self.channel.is_open() {
                TransferFault::Silent {
                    secs: SILENCE_TIMEOUT.as_secs(),
                }
            } else {
                TransferFault::NoHello {
                    secs: HELLO_TIMEOUT.as_secs(),
                }
            };
            self.fail(fault);
        }
    }

    /// Opens the first payload of the other end.
    pub(super) fn accept_hello(
        &mut self,
        now: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<BulkHello, TransferFault> {
        let hello = self.channel.accept_hello(payload)?;
        self.heard = now;
        Ok(hello)
    }

    /// Opens a later payload and hands its frame on. Padding and stop are the same at both ends.
    pub(super) fn accept_frame(
        &mut self,
        now: Instant,
        payload: &[u8; PAYLOAD_LEN],
    ) -> Result<OpenedFrame, TransferFault> {
        let opened = self.channel.open(payload)?;
        self.heard = now;
        match BulkFrame::decode(&opened)? {
            BulkFrame::Padding => self.count_padding()?,
            BulkFrame::Stop(reason) => return Err(TransferFault::StoppedByPeer(reason)),
            _ => {}
        }
        Ok(opened)
    }

    fn count_padding(&mut self) -> Result<(), TransferFault> {
        self.padding = self.padding.saturating_add(1);
        if self.padding > MAX_PADDING_FRAMES {
            return Err(TransferFault::Padding {
                max: MAX_PADDING_FRAMES,
            });
        }
        Ok(())
    }

    /// Ends the session with a failure. The other end is told if it broke a rule, or if this end stops.
    pub(super) fn fail(&mut self, fault: TransferFault) {
        if !self.is_running() {
            return;
        }
        self.farewell = fault.farewell();
        self.ending = Some(Ending::Failed(fault));
    }

    /// Ends the session with success.
    pub(super) const fn finish(&mut self) {
        if self.is_running() {
            self.ending = Some(Ending::Done);
        }
    }

    /// How the session ended, once.
    pub(super) const fn take_ending(&mut self) -> Option<Ending> {
        if self.reported {
            return None;
        }
        self.reported = self.ending.is_some();
        self.ending
    }

    /// The hello, if it was not sent yet; after a failure the farewell.
    pub(super) fn poll_outer_frame(&mut self) -> Option<SealedPayload> {
        if let Some(reason) = self.farewell.take() {
            return self.channel.seal(&BulkFrame::Stop(reason));
        }
        self.is_running()
            .then(|| self.channel.take_hello())
            .flatten()
    }
}

/// A frame that was opened. Its bytes are erased on drop.
pub(super) type OpenedFrame = zeroize::Zeroizing<[u8; super::frame::FRAME_LEN]>;
