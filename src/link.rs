//! One connection to a neighbour: RLPx and the devp2p base protocol as a state machine.
//!
//! A [`Link`] is fed the bytes that a socket delivered and asked for the bytes that it may send; it
//! owns no socket and reads no clock. It proves both ends' keys, introduces them to each other,
//! keeps the connection alive, and hands over whole messages of the sub-protocols that both speak,
//! without knowing what they mean.
//!
//! Memory is bounded in both directions: no length that a peer announces is believed before it was
//! compared with what the present phase allows, and what waits to be sent is bounded per lane. Cells
//! overtake gossip, because nothing is encrypted before the socket has room for it.
//!
//! Methods come in groups: [`Link::receive`], [`Link::handle_timeout`], [`Link::send`] and
//! [`Link::disconnect`] change the link; after any of them drain [`Link::poll_event`], take what
//! [`Link::poll_transmit`] gives as the socket allows, and ask [`Link::poll_timeout`] when to come
//! back. Once [`Link::is_closing`], send what is left and close the socket.

pub mod capability;
pub mod disconnect;
pub mod fault;
pub mod frame;
pub mod handshake;
pub mod hello;
mod key;
pub mod limits;
mod queue;
pub mod secrets;
mod snappy;
mod state;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use circuits::ids::{RelayKey, ShortId};
use circuits::time::Instant;
use rand_core::CryptoRng;
use thiserror::Error;

pub use self::capability::Capability;
pub use self::disconnect::DisconnectReason;
pub use self::fault::{LinkFault, LocalFault, PeerFault};
pub use self::key::{InvalidLinkKey, LinkKey};
pub(crate) use self::key::{is_on_curve, to_relay_key};
pub use self::limits::LinkLimits;
pub use self::queue::{Priority, QueueBudgets};
pub use self::snappy::Packing;

use self::handshake::{Auth, Initiator, Reading, RlpxSession};
use self::state::{ExpectAuth, ExpectHello, FirstMessage, Introduction, LinkState};

/// One connection to a neighbour.
pub struct Link {
    config: Arc<LinkConfig>,
    us: RelayKey,
    started: Instant,
    state: LinkState,
    /// The unit that is coming in: a handshake packet, a frame's header, or its body.
    inbox: Vec<u8>,
    /// How long that unit is.
    needs: usize,
    /// Bytes whose place in the stream is settled.
    outbox: Vec<u8>,
    events: VecDeque<LinkEvent>,
}

/// What a node says of itself on its links, and what it takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkConfig {
    /// Name of the program, as peers see it. Cut to 128 printable ASCII characters.
    pub client_id: String,
    /// Port that Hello claims we listen on; 0 says nothing.
    pub listen_port: u16,
    /// What we speak.
    pub capabilities: Vec<Capability>,
    /// Bounds.
    pub limits: LinkLimits,
}

/// What happened on a link.
#[derive(Clone, Eq, PartialEq)]
pub enum LinkEvent {
    /// Handshake and Hello are done; messages may be sent.
    Connected {
        /// The peer's key, proved.
        remote: RelayKey,
        /// Name of the peer's program: at most 128 characters of printable ASCII.
        client_id: String,
        /// What both speak, sorted by name.
        shared: Vec<Capability>,
    },
    /// A message came.
    Message {
        /// Whose message.
        capability: Capability,
        /// Its code within the capability.
        code: u16,
        /// Its payload, inflated, of a length that the limits allow.
        payload: Vec<u8>,
    },
    /// The peer ended the connection. This is the last event.
    Disconnected(DisconnectReason),
}

impl fmt::Debug for LinkEvent {
    /// Shows the length of a payload, not the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected {
                remote,
                client_id,
                shared,
            } => f
                .debug_struct("Connected")
                .field("remote", remote)
                .field("client_id", client_id)
                .field("shared", shared)
                .finish(),
            Self::Message {
                capability,
                code,
                payload,
            } => write!(f, "Message({capability} {code}, {} bytes)", payload.len()),
            Self::Disconnected(reason) => f.debug_tuple("Disconnected").field(reason).finish(),
        }
    }
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The capability has fewer codes.
    #[error("message code is not the capability's")]
    CodeOutOfRange,
    /// The link is not open yet, or not any more.
    #[error("link is not open")]
    NotConnected,
    /// The peer does not speak this capability, or another version of it.
    #[error("capability is not shared with the peer")]
    NotShared,
    /// More than 14,000,000 bytes.
    #[error("payload is too long for a frame")]
    PayloadTooLong,
    /// The lane has no room: the peer reads more slowly than we send.
    #[error("send queue is full")]
    QueueFull,
}

impl Link {
    /// Begins a link on a connection that we opened to the holder of `remote`.
    ///
    /// # Errors
    ///
    /// [`LocalFault`] if `remote` is no key, or our own.
    pub fn dial(
        config: Arc<LinkConfig>,
        key: Arc<LinkKey>,
        remote: RelayKey,
        rng: &mut impl CryptoRng,
        now: Instant,
    ) -> Result<Self, LocalFault> {
        let us = key.public();
        if remote == us {
            return Err(LocalFault::DialsSelf);
        }
        let initiator = Initiator::new(key, remote, rng)?;
        let auth = initiator.auth().to_vec();
        let state = LinkState::ExpectAck(Box::new(initiator));
        Ok(Self::new(config, us, state, now, handshake::Ack::LEN, auth))
    }

    /// Begins a link on a connection that was opened to us.
    #[must_use]
    pub fn accept(config: Arc<LinkConfig>, key: Arc<LinkKey>, now: Instant) -> Self {
        let us = key.public();
        let state = LinkState::ExpectAuth(ExpectAuth { key });
        Self::new(config, us, state, now, Auth::LEN, Vec::new())
    }

    const fn new(
        config: Arc<LinkConfig>,
        us: RelayKey,
        state: LinkState,
        now: Instant,
        needs: usize,
        outbox: Vec<u8>,
    ) -> Self {
        Self {
            config,
            us,
            started: now,
            state,
            inbox: Vec::new(),
            needs,
            outbox,
            events: VecDeque::new(),
        }
    }

    /// Takes bytes that the socket delivered, in whatever pieces. `rng` is drawn from only while
    /// the link answers a handshake. Bytes for a closing link are ignored.
    ///
    /// # Errors
    ///
    /// The first fault found. The link is closing then; events from before the fault still wait.
    pub fn receive(
        &mut self,
        now: Instant,
        rng: &mut impl CryptoRng,
        bytes: &[u8],
    ) -> Result<(), LinkFault> {
        let mut left = bytes;
        while !left.is_empty() && !self.is_closing() {
            let missing = self.needs.saturating_sub(self.inbox.len());
            let (head, tail) = left.split_at(missing.min(left.len()));
            self.inbox.extend_from_slice(head);
            left = tail;
            if self.inbox.len() == self.needs {
                self.take_unit(now, rng)
                    .inspect_err(|fault| self.fail(*fault))?;
            }
        }
        Ok(())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// Queues a message for the peer.
    ///
    /// Order is kept within a priority only. `packing` matters only to peers with which payloads
    /// are compressed.
    ///
    /// # Errors
    ///
    /// [`SendError`]; the message is dropped.
    pub fn send(
        &mut self,
        priority: Priority,
        capability: Capability,
        code: u16,
        payload: Vec<u8>,
        packing: Packing,
    ) -> Result<(), SendError> {
        match &mut self.state {
            LinkState::Connected(open) => open.send(priority, capability, code, payload, packing),
            _ => Err(SendError::NotConnected),
        }
    }

    /// Gives bytes to write to the socket: whole frames, as many as fit `budget` and at least one,
    /// if anything waits and the budget is not zero. What was given out cannot be overtaken any
    /// more, so a good budget is what the socket takes at once.
    pub fn poll_transmit(&mut self, now: Instant, budget: usize) -> Option<Vec<u8>> {
        if budget == 0 {
            return None;
        }
        let mut wire = std::mem::take(&mut self.outbox);
        if let LinkState::Connected(open) = &mut self.state {
            open.transmit(now, budget, &mut wire);
        }
        (!wire.is_empty()).then_some(wire)
    }

    /// Ends the link: drops what waits and tells the peer why, if there is a way to tell it.
    pub fn disconnect(&mut self, reason: DisconnectReason) {
        match &mut self.state {
            LinkState::ExpectHello(state) => state.send_disconnect(reason, &mut self.outbox),
            LinkState::Connected(open) => open.send_disconnect(reason, &mut self.outbox),
            LinkState::ExpectAuth(_) | LinkState::ExpectAck(_) => self.outbox.clear(),
            LinkState::Closing => {}
        }
        self.close();
    }

    /// When [`Self::handle_timeout`] should be called; `None` once the link is closing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            LinkState::Connected(open) => Some(open.deadline()),
            LinkState::Closing => None,
            _ => Some(self.started.after(HANDSHAKE_TIMEOUT)),
        }
    }

    /// Does what is due at `now`: pings, and gives up on a peer that is silent or does not read.
    ///
    /// # Errors
    ///
    /// [`PeerFault::HandshakeTimeout`], [`PeerFault::Idle`] or [`PeerFault::ReadsTooSlowly`]. The
    /// link is closing then.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), LinkFault> {
        let verdict = match &mut self.state {
            LinkState::Connected(open) => open.handle_timeout(now),
            LinkState::Closing => Ok(()),
            _ if now.since(self.started) >= HANDSHAKE_TIMEOUT => Err(PeerFault::HandshakeTimeout),
            _ => Ok(()),
        };
        verdict
            .map_err(LinkFault::from)
            .inspect_err(|fault| self.fail(*fault))
    }

    /// The name of this link in the slots of cells, which both ends compute and neither sends;
    /// `None` before the keys agree and after the link closed.
    #[must_use]
    pub fn handle(&self) -> Option<ShortId> {
        match &self.state {
            LinkState::ExpectHello(state) => Some(state.handle),
            LinkState::Connected(open) => Some(open.handle),
            _ => None,
        }
    }

    /// The peer's key, proved; `None` before the keys agree and after the link closed.
    #[must_use]
    pub fn remote(&self) -> Option<RelayKey> {
        match &self.state {
            LinkState::ExpectHello(state) => Some(state.remote),
            LinkState::Connected(open) => Some(open.remote),
            _ => None,
        }
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        let queued = match &self.state {
            LinkState::Connected(open) => open.queue.bytes(),
            _ => 0,
        };
        queued.saturating_add(self.outbox.len())
    }

    /// Since when a lane of the send queue has been full, as far as seen by
    /// [`Self::poll_transmit`] and [`Self::handle_timeout`].
    #[must_use]
    pub fn congested_since(&self) -> Option<Instant> {
        match &self.state {
            LinkState::Connected(open) => open.queue.full_since(),
            _ => None,
        }
    }

    /// Whether messages may be sent.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, LinkState::Connected(_))
    }

    /// Whether the link is over: nothing is read any more, and the socket should be closed when
    /// [`Self::poll_transmit`] has nothing left.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        matches!(self.state, LinkState::Closing)
    }

    /// Works on a complete unit and says how long the next one is.
    fn take_unit(&mut self, now: Instant, rng: &mut impl CryptoRng) -> Result<(), LinkFault> {
        match &mut self.state {
            LinkState::ExpectAuth(state) => match state.read(&self.inbox, rng)? {
                Reading::Needs(total) => self.needs = total,
                Reading::Done((ack, session), _) => {
                    self.outbox.extend(ack);
                    self.send_hello(session);
                }
            },
            LinkState::ExpectAck(state) => match state.read_ack(&self.inbox)? {
                Reading::Needs(total) => self.needs = total,
                Reading::Done(session, _) => self.send_hello(session),
            },
            LinkState::ExpectHello(state) => {
                let first = state.read(&mut self.inbox, &self.config, &self.us)?;
                let needs = state.reader.needs();
                self.expect(needs);
                match first {
                    None => {}
                    Some(FirstMessage::Disconnect(reason)) => self.end(reason),
                    Some(FirstMessage::Hello(introduction)) => self.open(introduction, now),
                }
            }
            LinkState::Connected(open) => {
                let event = open.read(now, &mut self.inbox, &self.config.limits)?;
                let needs = open.reader.needs();
                self.expect(needs);
                match event {
                    None => {}
                    Some(LinkEvent::Disconnected(reason)) => self.end(reason),
                    Some(event) => self.events.push_back(event),
                }
            }
            LinkState::Closing => {}
        }
        Ok(())
    }

    /// The keys agree: our Hello goes out at once, the peer's is awaited.
    fn send_hello(&mut self, session: RlpxSession) {
        let mut state = ExpectHello::new(session);
        state.send_hello(&self.config, &self.us, &mut self.outbox);
        self.expect(state.reader.needs());
        self.state = LinkState::ExpectHello(Box::new(state));
    }

    /// The peer is introduced.
    fn open(&mut self, introduction: Introduction, now: Instant) {
        if let LinkState::ExpectHello(state) =
            std::mem::replace(&mut self.state, LinkState::Closing)
        {
            let (open, event) = state.open(introduction, &self.config.limits, now);
            self.state = LinkState::Connected(Box::new(open));
            self.events.push_back(event);
        }
    }

    /// The peer said farewell.
    fn end(&mut self, reason: DisconnectReason) {
        self.events.push_back(LinkEvent::Disconnected(reason));
        self.outbox.clear();
        self.close();
    }

    /// A fault was found: tells the peer, where there is something to tell, and closes.
    fn fail(&mut self, fault: LinkFault) {
        match fault.reason() {
            Some(reason) => self.disconnect(reason),
            None => self.close(),
        }
    }

    fn close(&mut self) {
        self.state = LinkState::Closing;
        self.inbox = Vec::new();
    }

    /// Makes room for the next unit.
    fn expect(&mut self, len: usize) {
        self.needs = len;
        self.inbox.clear();
        self.inbox.shrink_to(MAX_IDLE_BUFFER);
    }
}

/// Handshake and Hello, from the first byte, may take so long (geth's limit).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A read buffer that grew beyond this is given back after use.
const MAX_IDLE_BUFFER: usize = 16 * 1024;
