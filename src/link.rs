//! One connection to a peer: RLPx and the devp2p base protocol as a state machine.
//!
//! The caller passes received bytes to a [`Link`] and writes the bytes that the link returns. A
//! link owns no socket and reads no clock. It authenticates the keys of both ends, exchanges
//! Hellos, keeps the connection alive, and returns whole messages of the shared sub-protocols. It
//! must not interpret them.
//!
//! Memory is bounded in both directions. A length that a peer announces is compared with the limit
//! of the present phase before memory is reserved. The send queue has a budget per priority. Cells
//! overtake gossip, because messages are encrypted only when the socket has room.
//!
//! Methods come in groups: [`Link::receive`], [`Link::handle_timeout`], [`Link::send`] and
//! [`Link::disconnect`] change the link. After each of them the caller drains [`Link::poll_event`],
//! writes what [`Link::poll_transmit`] returns, and sets a timer by [`Link::poll_timeout`]. If
//! [`Link::is_closing`] is true, the caller writes the remaining bytes and closes the socket.

pub mod capability;
pub mod disconnect;
mod event;
pub mod fault;
pub mod frame;
pub mod handshake;
pub mod hello;
mod key;
mod limited;
pub mod limits;
mod queue;
pub mod secrets;
mod snappy;
mod state;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use circuits::ids::{RelayKey, ShortId};
use circuits::time::Instant;
use rand_core::CryptoRng;
use thiserror::Error;

pub use self::capability::Capability;
pub use self::disconnect::DisconnectReason;
pub use self::event::LinkEvent;
pub use self::fault::{LinkFault, LocalFault, PeerFault};
pub use self::key::{InvalidLinkKey, LinkKey};
pub(crate) use self::key::{is_on_curve, to_relay_key};
pub use self::limits::{CELL_PAYLOAD, LinkLimits};
pub use self::queue::{Priority, QueueBudgets};
pub use self::snappy::Packing;

use self::handshake::{Auth, Initiator, Reading, RlpxSession};
use self::state::{ExpectAuth, ExpectHello, FirstMessage, HelloIntroduction, LinkState};

/// One connection to a peer.
pub struct Link {
    config: Arc<LinkConfig>,
    us: RelayKey,
    started: Instant,
    state: LinkState,
    /// The part that is being received: a handshake packet, a frame's header, or its body.
    inbox: Vec<u8>,
    /// The length of that part.
    needs: usize,
    /// Bytes whose order in the stream is fixed.
    outbox: Vec<u8>,
    events: VecDeque<LinkEvent>,
}

/// What a node announces on its links, and its limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkConfig {
    /// Name of the program, as peers see it. Cut to 128 printable ASCII characters.
    pub client_id: String,
    /// Listening port in our Hello; 0 if there is none.
    pub listen_port: u16,
    /// The capabilities that we offer.
    pub capabilities: Vec<Capability>,
    /// Limits of memory.
    pub limits: LinkLimits,
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The code exceeds the range of the capability.
    #[error("message code is not the capability's")]
    CodeOutOfRange,
    /// The link is not connected yet, or not any more.
    #[error("link is not connected")]
    NotConnected,
    /// The peer does not speak this capability, or another version of it.
    #[error("capability is not shared with the peer")]
    NotShared,
    /// More than 14,000,000 bytes.
    #[error("payload is too long for a frame")]
    PayloadTooLong,
    /// The queue of this priority is full: the peer reads more slowly than we send.
    #[error("send queue is full")]
    QueueFull,
}

impl Link {
    /// Starts a link on a connection that we opened to the owner of the key `remote`.
    ///
    /// # Errors
    ///
    /// [`LocalFault`] if `remote` is not a valid key, or is our own.
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

    /// Starts a link on an inbound connection.
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

    /// Takes bytes from the socket, in chunks of any length. Draws from `rng` only while the link
    /// answers a handshake. Ignores bytes for a closing link.
    ///
    /// # Errors
    ///
    /// The first fault. The link is closing then; events from before the fault remain queued.
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
            self.reserve(head.len());
            self.inbox.extend_from_slice(head);
            left = tail;
            if self.inbox.len() == self.needs {
                self.take_unit(now, rng)
                    .inspect_err(|fault| self.fail(*fault))?;
            }
        }
        Ok(())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// Queues a message for the peer.
    ///
    /// Order is kept within a priority only. `packing` applies only if payloads to this peer are
    /// compressed.
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

    /// Returns bytes to write to the socket: whole frames, as many as fit `budget` and at least
    /// one, if a message is queued and the budget is not zero. Returned frames cannot be overtaken,
    /// so the budget should be what the socket accepts at once.
    pub fn poll_transmit(&mut self, now: Instant, budget: usize) -> Option<Vec<u8>> {
        self.poll_transmit_of(now, budget, true)
    }

    /// Ends the link: drops queued messages and sends the reason, if the link can carry it.
    pub fn disconnect(&mut self, reason: DisconnectReason) {
        match &mut self.state {
            LinkState::ExpectHello(state) => state.send_disconnect(reason, &mut self.outbox),
            LinkState::Connected(open) => open.send_disconnect(reason, &mut self.outbox),
            LinkState::ExpectAuth(_) | LinkState::ExpectAck(_) => self.outbox.clear(),
            LinkState::Closing => {}
        }
        self.close();
    }

    /// When to call [`Self::handle_timeout`]; `None` once the link is closing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            LinkState::Connected(open) => Some(open.deadline()),
            LinkState::Closing => None,
            _ => Some(self.started.after(HANDSHAKE_TIMEOUT)),
        }
    }

    /// Runs what is due at `now`: sends pings, and fails if the peer is silent or does not read.
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

    /// Does not count some time against the peer: this node read nothing meanwhile.
    pub fn excuse_absence(&mut self, absence: Duration) {
        self.started = self.started.after(absence);
        if let LinkState::Connected(open) = &mut self.state {
            open.excuse_absence(absence);
        }
    }

    /// The name of this link in the next-hop fields of cells. Both ends derive it and neither sends
    /// it. `None` before the keys agree and after the link closed.
    #[must_use]
    pub fn handle(&self) -> Option<ShortId> {
        match &self.state {
            LinkState::ExpectHello(state) => Some(state.handle),
            LinkState::Connected(open) => Some(open.handle),
            _ => None,
        }
    }

    /// The peer's authenticated key; `None` before the keys agree and after the link closed.
    #[must_use]
    pub fn remote(&self) -> Option<RelayKey> {
        match &self.state {
            LinkState::ExpectHello(state) => Some(state.remote),
            LinkState::Connected(open) => Some(open.remote),
            _ => None,
        }
    }

    /// Bytes queued for sending.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        let queued = match &self.state {
            LinkState::Connected(open) => open.queue.bytes(),
            _ => 0,
        };
        queued.saturating_add(self.outbox.len())
    }

    /// Number of payloads of so many bytes that fit into the queue of circuits now.
    #[must_use]
    pub fn circuit_room(&self, payload: usize) -> usize {
        match &self.state {
            LinkState::Connected(open) => open.queue.circuit_room(payload),
            _ => 0,
        }
    }

    /// Smoothed round-trip time; `None` before the link is connected. The peer can lengthen it.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        match &self.state {
            LinkState::Connected(open) => Some(open.round_trip()),
            _ => None,
        }
    }

    /// Bytes in memory of a part that has not arrived whole: a handshake packet or a frame.
    #[must_use]
    pub const fn unfinished_bytes(&self) -> usize {
        if self.inbox.is_empty() {
            0
        } else {
            self.inbox.capacity()
        }
    }

    /// The time since which a send queue has been full, as observed by [`Self::poll_transmit`] and
    /// [`Self::handle_timeout`].
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

    /// Whether the link has ended. It ignores input, and the socket should be closed once
    /// [`Self::poll_transmit`] returns `None`.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        matches!(self.state, LinkState::Closing)
    }

    /// Processes a complete part and sets the length of the next one.
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

    /// Sends our Hello at once after the keys agree, and expects the peer's.
    fn send_hello(&mut self, session: RlpxSession) {
        let mut state = ExpectHello::new(session);
        state.send_hello(&self.config, &self.us, &mut self.outbox);
        self.expect(state.reader.needs());
        self.state = LinkState::ExpectHello(Box::new(state));
    }

    /// Connects after the peer's Hello.
    fn open(&mut self, introduction: HelloIntroduction, now: Instant) {
        if let LinkState::ExpectHello(state) =
            std::mem::replace(&mut self.state, LinkState::Closing)
        {
            let handshake_time = now.since(self.started);
            let (open, event) = state.open(introduction, &self.config.limits, now, handshake_time);
            self.state = LinkState::Connected(Box::new(open));
            self.events.push_back(event);
        }
    }

    /// Handles the peer's Disconnect.
    fn end(&mut self, reason: DisconnectReason) {
        self.events.push_back(LinkEvent::Disconnected(reason));
        self.outbox.clear();
        self.close();
    }

    /// Reports a fault to the peer, where a message can carry it, and closes.
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

    /// Makes room for further bytes of a part: twice as much as has arrived, so that the memory of a
    /// part follows the bytes that the peer sent, and no more than the part needs.
    fn reserve(&mut self, len: usize) {
        let wanted = self.inbox.len().saturating_add(len);
        if wanted > self.inbox.capacity() {
            let room = wanted.saturating_mul(2).min(self.needs);
            self.inbox
                .reserve_exact(room.saturating_sub(self.inbox.len()));
        }
    }

    /// Prepares the buffer for the next part.
    fn expect(&mut self, len: usize) {
        self.needs = len;
        self.inbox.clear();
        self.inbox.shrink_to(MAX_IDLE_BUFFER);
    }
}

/// Limit for handshake and Hello, from the first byte (geth's value).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A read buffer above this size is released after use.
const MAX_IDLE_BUFFER: usize = 16 * 1024;
