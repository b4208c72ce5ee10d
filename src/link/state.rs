//! The states of a link, one type each.
//!
//! `ExpectAuth` or `ExpectAck`, then `ExpectHello`, then `Connected`. Each state contains what its
//! phase needs, and parses only what its phase permits. Checks borrow a state and may fail;
//! transitions between states take them by value and cannot fail.

use std::sync::Arc;
use std::time::Duration;

use circuits::ids::{RelayKey, ShortId};
use circuits::time::Instant;
use rand_core::CryptoRng;

use super::capability::{BASE_CODES, Capability, SharedCapabilities};
use super::disconnect::DisconnectReason;
use super::fault::PeerFault;
use super::frame::{FrameReader, MAX_CODE_LEN, MAX_CONTENT, Sealer, wire_len};
use super::handshake::{self, Auth, Initiator, Reading, RlpxSession};
use super::hello::{self, Hello};
use super::key::LinkKey;
use super::limits::{FrameLimit, LinkLimits};
use super::queue::{CONGESTION_TIMEOUT, Priority, QueueFull, SendQueue, UnsentMessage};
use super::snappy::{self, Packing};
use super::{LinkConfig, LinkEvent, SendError};

/// The state of a link.
pub(super) enum LinkState {
    /// Accepted; the peer sends first.
    ExpectAuth(ExpectAuth),
    /// Dialled; our auth packet is sent or queued.
    ExpectAck(Box<Initiator>),
    /// Encrypted; both Hellos are under way.
    ExpectHello(Box<ExpectHello>),
    /// In use.
    Connected(Box<Connected>),
    /// Ended: input is ignored; a last message may be left to send.
    Closing,
}

/// The dialled end.
pub(super) struct ExpectAuth {
    pub(super) key: Arc<LinkKey>,
}

impl ExpectAuth {
    /// Reads the auth packet; returns the answer and the session.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Reading<(Vec<u8>, RlpxSession)>, PeerFault> {
        match Auth::read(&self.key, bytes)? {
            Reading::Needs(total) => Ok(Reading::Needs(total)),
            Reading::Done(auth, format) => handshake::respond(&self.key, &auth, format, bytes, rng)
                .map(|answer| Reading::Done(answer, format)),
        }
    }
}

/// Encrypted, before the peer's Hello.
pub(super) struct ExpectHello {
    pub(super) remote: RelayKey,
    pub(super) handle: ShortId,
    writer: MessageWriter,
    pub(super) reader: FrameReader,
}

/// The messages that may precede a Hello.
pub(super) enum FirstMessage {
    Hello(HelloIntroduction),
    Disconnect(DisconnectReason),
}

/// Proof that a Hello was checked against the handshake; only [`ExpectHello::read`] creates one.
pub(super) struct HelloIntroduction {
    client_id: String,
    shared: SharedCapabilities,
}

impl ExpectHello {
    pub(super) fn new(session: RlpxSession) -> Self {
        Self {
            remote: session.remote,
            handle: session.handle,
            writer: MessageWriter {
                sealer: session.sealer,
                compressed: true,
            },
            reader: FrameReader::new(session.opener),
        }
    }

    /// Appends our Hello to `wire`.
    pub(super) fn send_hello(&mut self, config: &LinkConfig, us: &RelayKey, wire: &mut Vec<u8>) {
        let payload = hello::encode(
            &config.client_id,
            config.listen_port,
            &config.capabilities,
            us,
        );
        self.writer.write_raw(HELLO, &payload, wire);
    }

    /// Takes the next part of a frame.
    pub(super) fn read(
        &mut self,
        part: &mut [u8],
        config: &LinkConfig,
        us: &RelayKey,
    ) -> Result<Option<FirstMessage>, PeerFault> {
        let longest = hello::MAX_PAYLOAD + 1; // the code of a Hello is one byte
        let Some((code, payload)) = self.reader.read(part, longest)? else {
            return Ok(None);
        };
        match code {
            HELLO => {
                let hello = Hello::decode(payload)?;
                self.writer.compressed = hello.speaks_snappy();
                let introduction = self.judge(hello, config, us)?;
                Ok(Some(FirstMessage::Hello(introduction)))
            }
            DISCONNECT => Ok(Some(FirstMessage::Disconnect(DisconnectReason::decode(
                payload, false,
            )))),
            _ => Err(PeerFault::HelloMissing),
        }
    }

    fn judge(
        &self,
        hello: Hello,
        config: &LinkConfig,
        us: &RelayKey,
    ) -> Result<HelloIntroduction, PeerFault> {
        if hello.id != self.remote {
            return Err(PeerFault::IdentityUnexpected);
        }
        if hello.id == *us {
            return Err(PeerFault::ConnectedToSelf);
        }
        let shared = SharedCapabilities::negotiate(&config.capabilities, &hello.capabilities);
        if shared.is_empty() {
            return Err(PeerFault::NothingShared);
        }
        Ok(HelloIntroduction {
            client_id: hello.client_id,
            shared,
        })
    }

    /// Connects the link.
    pub(super) fn open(
        self,
        introduction: HelloIntroduction,
        limits: &LinkLimits,
        now: Instant,
        handshake_time: Duration,
    ) -> (Connected, LinkEvent) {
        let event = LinkEvent::Connected {
            remote: self.remote,
            client_id: introduction.client_id,
            shared: introduction.shared.iter().collect(),
        };
        let open = Connected {
            handle: self.handle,
            remote: self.remote,
            writer: self.writer,
            reader: self.reader,
            shared: introduction.shared,
            frames: FrameLimit::Short,
            max_content_len: limits.max_content_len(FrameLimit::Short),
            queue: SendQueue::new(limits.queue),
            heard: now,
            next_ping: now.after(PING_INTERVAL),
            round_trip: handshake_time,
            pinged: None,
            ping_due: false,
            pong_due: false,
        };
        (open, event)
    }

    pub(super) fn send_disconnect(&mut self, reason: DisconnectReason, wire: &mut Vec<u8>) {
        self.writer
            .write(DISCONNECT, &reason.encode(), Packing::Literal, wire);
    }
}

/// A connected link.
pub(super) struct Connected {
    pub(super) handle: ShortId,
    pub(super) remote: RelayKey,
    writer: MessageWriter,
    pub(super) reader: FrameReader,
    shared: SharedCapabilities,
    frames: FrameLimit,
    /// What [`Self::frames`] permits.
    max_content_len: usize,
    pub(super) queue: SendQueue,
    heard: Instant,
    next_ping: Instant,
    /// Smoothed time from a ping to its pong; at first, the time that the handshake took.
    round_trip: Duration,
    /// When the ping was sent whose pong is awaited.
    pinged: Option<Instant>,
    ping_due: bool,
    pong_due: bool,
}

impl Connected {
    /// Takes the next part of a frame; returns the frame's message to the node, if there is one.
    pub(super) fn read(
        &mut self,
        now: Instant,
        part: &mut [u8],
        limits: &LinkLimits,
    ) -> Result<Option<LinkEvent>, PeerFault> {
        let Some((code, payload)) = self.reader.read(part, self.max_content_len)? else {
            return Ok(None);
        };
        self.heard = now;
        match code {
            DISCONNECT => {
                let reason = DisconnectReason::decode(payload, self.writer.compressed);
                return Ok(Some(LinkEvent::Disconnected(reason)));
            }
            PING => self.pong_due = true,
            PONG => self.measure(now),
            // A second Hello, and codes that are reserved.
            0..BASE_CODES => {}
            _ => {
                let (capability, code) =
                    self.shared.locate(code).ok_or(PeerFault::CodeOutOfRange)?;
                let lengths = limits.lengths(capability, code, self.frames);
                let payload = if self.writer.compressed {
                    snappy::unpack(payload, &lengths)?
                } else if lengths.contains(&payload.len()) {
                    payload.to_vec()
                } else {
                    return Err(PeerFault::PayloadLength);
                };
                self.allow_frames_after(capability, limits);
                return Ok(Some(LinkEvent::Message {
                    capability,
                    code,
                    payload,
                }));
            }
        }
        Ok(None)
    }

    /// Permits long frames after the first message of a capability that has them.
    fn allow_frames_after(&mut self, capability: Capability, limits: &LinkLimits) {
        let frames = self.frames.after(capability);
        if frames != self.frames {
            self.frames = frames;
            self.max_content_len = limits.max_content_len(frames);
        }
    }

    /// Queues a message.
    pub(super) fn send(
        &mut self,
        priority: Priority,
        capability: Capability,
        code: u16,
        payload: Vec<u8>,
        packing: Packing,
    ) -> Result<(), SendError> {
        let offset = self.shared.offset(capability).ok_or(SendError::NotShared)?;
        if code >= capability.codes() {
            return Err(SendError::CodeOutOfRange);
        }
        if payload.len() > MAX_PAYLOAD_LEN {
            return Err(SendError::PayloadTooLong);
        }
        let message = UnsentMessage {
            // Negotiation assigns no range that exceeds the integer type.
            code: offset.saturating_add(code),
            payload,
            packing,
        };
        self.queue
            .push(priority, message)
            .map_err(|QueueFull| SendError::QueueFull)
    }

    /// Makes frames of queued messages, as long as they fit `budget`; at least one.
    pub(super) fn transmit(
        &mut self,
        now: Instant,
        budget: usize,
        gossip: bool,
        wire: &mut Vec<u8>,
    ) {
        if std::mem::take(&mut self.pong_due) {
            self.writer.write(PONG, &EMPTY_LIST, Packing::Literal, wire);
        }
        if std::mem::take(&mut self.ping_due) {
            self.writer.write(PING, &EMPTY_LIST, Packing::Literal, wire);
            self.pinged = Some(now);
        }
        while let Some(next) = self.queue.peek(gossip) {
            let packed = snappy::max_packed_len(next.payload.len(), next.packing);
            let frame = wire_len(packed.saturating_add(MAX_CODE_LEN));
            if !wire.is_empty() && wire.len().saturating_add(frame) > budget {
                break;
            }
            if let Some(message) = self.queue.pop(gossip) {
                self.writer
                    .write(message.code, &message.payload, message.packing, wire);
            }
        }
        self.queue.observe(now);
    }

    /// Bytes arrived, if not a whole frame: the peer is not silent.
    pub(super) const fn note_heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Whether gossip waits.
    pub(super) fn has_gossip(&self) -> bool {
        self.queue.has_gossip()
    }

    /// Smoothed round-trip time, with the delay of what was queued before the ping.
    pub(super) const fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// The pong of our ping arrived: a new measurement counts an eighth, as in TCP (RFC 6298).
    fn measure(&mut self, now: Instant) {
        if let Some(sent) = self.pinged.take() {
            let earlier = self.round_trip.saturating_mul(7);
            self.round_trip = earlier.saturating_add(now.since(sent)) / 8;
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn deadline(&self) -> Instant {
        let silent = self.heard.after(SILENCE_TIMEOUT);
        let next = self.next_ping.min(silent);
        self.queue.deadline().map_or(next, |full| full.min(next))
    }

    /// This node read nothing for some time, so the peer was not silent.
    pub(super) fn excuse_absence(&mut self, absence: Duration) {
        self.heard = self.heard.after(absence);
        self.queue.excuse_absence(absence);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerFault> {
        self.queue.observe(now);
        let full_since = self.queue.full_since();
        if full_since.is_some_and(|since| now.since(since) >= CONGESTION_TIMEOUT) {
            return Err(PeerFault::ReadsTooSlowly);
        }
        if now.since(self.heard) >= SILENCE_TIMEOUT {
            return Err(PeerFault::Idle);
        }
        if now >= self.next_ping {
            self.next_ping = now.after(PING_INTERVAL);
            self.ping_due = true;
        }
        Ok(())
    }

    pub(super) fn send_disconnect(&mut self, reason: DisconnectReason, wire: &mut Vec<u8>) {
        self.writer
            .write(DISCONNECT, &reason.encode(), Packing::Literal, wire);
    }
}

/// Writes messages, compressed if both ends agreed on it.
struct MessageWriter {
    sealer: Sealer,
    /// Whether the peer expects compressed payloads after the Hello. The peer reads our Hello
    /// first, so it does unless its own Hello declares that it never compresses.
    compressed: bool,
}

impl MessageWriter {
    fn write(&mut self, code: u16, payload: &[u8], packing: Packing, wire: &mut Vec<u8>) {
        if self.compressed {
            self.write_raw(code, &snappy::pack(payload, packing), wire);
        } else {
            self.write_raw(code, payload, wire);
        }
    }

    fn write_raw(&mut self, code: u16, payload: &[u8], wire: &mut Vec<u8>) {
        #[expect(
            clippy::expect_used,
            reason = "payloads end at MAX_PAYLOAD_LEN, base messages far below"
        )]
        self.sealer.seal(code, payload, wire).expect("fits a frame");
    }
}

// Codes of the base protocol.
const HELLO: u16 = 0x00;
const DISCONNECT: u16 = 0x01;
const PING: u16 = 0x02;
const PONG: u16 = 0x03;

/// Payload of Ping and Pong.
const EMPTY_LIST: [u8; 1] = [0xc0];
/// Longest payload that fits a frame after the worst compression (a sixth and 32 bytes more).
const MAX_PAYLOAD_LEN: usize = 14_000_000;
const _: () = assert!(MAX_PAYLOAD_LEN + MAX_PAYLOAD_LEN / 6 + 32 + MAX_CODE_LEN <= MAX_CONTENT);

/// geth's interval; peers disconnect after twice this silence.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Maximum time without a complete frame.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
