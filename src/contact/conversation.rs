//! A conversation: two people, one double ratchet, and single-use topics and keys for its envelopes.
//!
//! The initiator writes to a card until something comes back; from then on each attempt of each message
//! uses a step of a chain, and epochs with fresh X-Wing secrets follow one another
//! (docs/wire/contact.md, section Conversations). The conversation computes only. Its owner makes its
//! [record](Conversation::to_bytes) durable before anything that a method returned is acted on: sealed,
//! shown, or acknowledged.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::chain::{Direction, StepKey};
use super::epoch::{ConversationEpoch, EpochSecret};
use super::first_contact::{FirstBox, FirstTicket, Tau};
use super::id::ContactId;
use super::kdf::{Key32, Label, hash};
use super::key_block::KeyBlock;
use super::ratchet::{InitiatorKeys, PreKeys, Ratchet, RatchetError};
use crate::envelope::Topic;

use self::numbers::{ReceivedNumbers, SentNumbers};
use self::rekey::Rekey;
use self::watch::Watch;

pub use self::arrive::{ArrivalOutcome, Arrived, NotAwaited};
pub use self::compose::{ComposeError, ComposedMessage, MAX_OPENING_MESSAGES};
pub use self::continuity::preferred;
pub use self::send::{Attempt, AttemptRefusal};
pub use self::watch::WatchChanges;
pub use super::parts::{ConversationId, Part};
pub use super::watched::{StepRef, StepSlot};

mod arrive;
mod compose;
mod continuity;
mod numbers;
mod record;
mod rekey;
mod send;
#[cfg(test)]
mod tests;
mod watch;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConversationState {
    /// This end wrote first, and nothing has come back.
    Opening,
    /// The other end wrote first, and the user has not accepted.
    Asked,
    /// Both ends can write.
    Open,
    /// The state of this end was restored. It receives, and sends nothing until it is renewed.
    Stale,
    /// Over. Nothing new is written; what is on its way is still received.
    Closed,
}

/// A conversation at one end.
pub struct Conversation {
    id: ConversationId,
    tau: Tau,
    role: Direction,
    state: ConversationState,
    ratchet: Ratchet,
    /// Of the initiator until something comes back, of the reader until epoch 1 is in use.
    first_box: Option<FirstBox>,
    opening: Option<Opening>,
    /// In ascending order of their numbers; never empty, but for a conversation whose keys are erased.
    epochs: Vec<ConversationEpoch>,
    send_epoch: u16,
    /// The carry of epoch 0, which proves this conversation in a later one. No other key hangs on it.
    continuity: Key32,
    rekey: Rekey,
    outgoing: SentNumbers,
    incoming: ReceivedNumbers,
    closed_at: Option<UnixSecs>,
    watch: Watch,
}

/// To whom an initiator writes until something comes back.
struct Opening {
    id: ContactId,
    block: KeyBlock,
    ticket: Option<FirstTicket>,
}

/// A conversation cannot begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConversationError {
    /// The ratchet refuses the keys or the message.
    #[error("the ratchet refuses the first message: {0}")]
    Ratchet(#[from] RatchetError),
    /// The box was used for another conversation.
    #[error("the secret of the first contact was used before: make a new one")]
    UsedBox,
}

impl Conversation {
    /// Begins a conversation with the owner of a card. Its messages need a ticket before they are sent:
    /// [`set_ticket`](Self::set_ticket).
    ///
    /// # Errors
    ///
    /// If the keys of the card have low order, or the box was used before.
    pub fn start(
        unix: UnixSecs,
        block: &KeyBlock,
        id: &ContactId,
        first_box: FirstBox,
    ) -> Result<Self, ConversationError> {
        let (ratchet, keys) = Ratchet::start(block.olm_identity(), block.olm_fallback())?;
        let role = Direction::FromInitiator;
        let mut conversation = Self::begin(unix, role, first_box, ratchet, &keys)?;
        conversation.opening = Some(Opening {
            id: *id,
            block: block.clone(),
            ticket: None,
        });
        Ok(conversation)
    }

    /// Begins the conversation of a first message that came. `content` is that of the opened box.
    ///
    /// A conversation with the same id may exist, if a message was late: its owner must then give the
    /// content to [`arrived_first`](Self::arrived_first) of the existing one, and drop this result.
    ///
    /// # Errors
    ///
    /// If the content is not a first message for these pre-keys.
    pub fn accept(
        rng: &mut impl CryptoRng,
        unix: UnixSecs,
        first_box: FirstBox,
        pre_keys: &mut PreKeys,
        content: &[u8],
    ) -> Result<(Self, Arrived), ConversationError> {
        let (ratchet, keys, text) = pre_keys.accept(content)?;
        let role = Direction::FromReader;
        let mut conversation = Self::begin(unix, role, first_box, ratchet, &keys)?;
        let arrived = conversation.take_in(rng, unix, &text);
        Ok((conversation, arrived))
    }

    fn begin(
        unix: UnixSecs,
        role: Direction,
        mut first_box: FirstBox,
        ratchet: Ratchet,
        keys: &InitiatorKeys,
    ) -> Result<Self, ConversationError> {
        let secret = first_box
            .take_epoch_secret()
            .ok_or(ConversationError::UsedBox)?;
        let secret = EpochSecret::new(secret);
        let tau = *first_box.tau();
        let state = match role {
            Direction::FromInitiator => ConversationState::Opening,
            Direction::FromReader => ConversationState::Asked,
        };
        Ok(Self {
            id: Self::id_of(&tau, keys),
            tau,
            role,
            state,
            ratchet,
            first_box: Some(first_box),
            opening: None,
            epochs: vec![ConversationEpoch::start(0, &secret, role, unix)],
            send_epoch: 0,
            continuity: secret.carry(),
            rekey: Rekey::start(secret.carry(), unix),
            outgoing: SentNumbers::default(),
            incoming: ReceivedNumbers::default(),
            closed_at: None,
            watch: Watch::default(),
        })
    }

    fn id_of(tau: &Tau, keys: &InitiatorKeys) -> ConversationId {
        ConversationId(hash(Label::CONV_ID, &[&tau.0, &keys.identity, &keys.base]))
    }

    /// The id of the conversation that a first message belongs to.
    ///
    /// # Errors
    ///
    /// If the content is not a first message.
    pub fn id_of_first(tau: &Tau, content: &[u8]) -> Result<ConversationId, RatchetError> {
        Ok(Self::id_of(tau, &Ratchet::keys_of_first(content)?))
    }

    /// The id.
    #[must_use]
    pub const fn id(&self) -> ConversationId {
        self.id
    }

    /// The transcript of the first contact, by which the reader finds the conversation of a first message.
    /// It stays valid after the box is erased; a late message is then decapsulated once more.
    #[must_use]
    pub const fn tau(&self) -> &Tau {
        &self.tau
    }

    /// The box of the first contact, while it is kept.
    #[must_use]
    pub const fn first_box(&self) -> Option<&FirstBox> {
        self.first_box.as_ref()
    }

    /// The key block to which an opening conversation writes.
    #[must_use]
    pub fn key_block(&self) -> Option<&KeyBlock> {
        self.opening.as_ref().map(|opening| &opening.block)
    }

    /// Where the conversation stands.
    #[must_use]
    pub const fn state(&self) -> ConversationState {
        self.state
    }

    /// Whether this end wrote first.
    #[must_use]
    pub const fn is_initiator(&self) -> bool {
        matches!(self.role, Direction::FromInitiator)
    }

    /// Number of the newest epoch whose secret this end has.
    #[must_use]
    pub const fn newest_epoch(&self) -> u16 {
        self.rekey.newest()
    }

    /// Number of the epoch in which this end sends.
    #[must_use]
    pub const fn send_epoch(&self) -> u16 {
        self.send_epoch
    }

    /// Whether the ticket is still to be searched for.
    #[must_use]
    pub fn needs_ticket(&self) -> bool {
        let opening = self.opening.as_ref();
        opening.is_some_and(|opening| opening.ticket.is_none())
    }

    /// Sets the ticket, once for all messages to the card.
    pub const fn set_ticket(&mut self, ticket: FirstTicket) {
        if let Some(opening) = &mut self.opening {
            opening.ticket = Some(ticket);
        }
    }

    /// Accepts the request of an initiator: both ends can write.
    pub fn accept_request(&mut self) {
        if self.state == ConversationState::Asked {
            self.state = ConversationState::Open;
        }
    }

    /// Marks a conversation whose state was restored. It stays so; a new conversation replaces it.
    pub fn set_stale(&mut self) {
        if self.state != ConversationState::Closed {
            self.state = ConversationState::Stale;
        }
    }

    /// Ends the conversation at this end.
    pub fn close(&mut self, unix: UnixSecs) {
        self.state = ConversationState::Closed;
        self.closed_at.get_or_insert(unix);
    }

    /// Stops trying a message; the peer is told with the next one that it will not come.
    pub fn give_up(&mut self, number: u64) {
        self.outgoing.give_up(number);
        for chain in self
            .epochs
            .iter_mut()
            .filter_map(ConversationEpoch::send_mut)
        {
            chain.forget(number);
        }
    }

    /// Numbers of the peer below the highest one which have not come.
    #[must_use]
    pub fn missing(&self) -> Vec<u64> {
        self.incoming.missing()
    }

    /// Numbers of the peer that it gave up, the latest of them.
    #[must_use]
    pub fn lost(&self) -> Vec<u64> {
        self.incoming.lost()
    }

    /// Every envelope that is awaited: its topic and its place.
    pub fn watched(&self) -> impl Iterator<Item = (Topic, StepRef)> {
        let watches = match self.state {
            // A request is answered first; until then its sender may write to the card only.
            ConversationState::Asked => &[][..],
            _ => &self.epochs,
        };
        watches.iter().flat_map(|epoch| {
            epoch.steps().flat_map(move |(slot, step)| {
                step.topics().map(move |(shard, topic)| {
                    let at = StepRef {
                        epoch: epoch.number(),
                        slot,
                        shard,
                    };
                    (topic, at)
                })
            })
        })
    }

    /// What was added to and removed from the watch since the last call; all of it at the first call.
    pub fn watch_changes(&mut self) -> WatchChanges {
        let now = self.watched().collect();
        self.watch.changes(now)
    }

    /// The key of an awaited step, for the job that opens its envelopes.
    #[must_use]
    pub fn step_key(&self, at: StepRef) -> Option<StepKey> {
        let epoch = self
            .epochs
            .iter()
            .find(|epoch| epoch.number() == at.epoch)?;
        Some(epoch.step(at.slot)?.key().share())
    }

    /// Notes that a shard of a step named the number of shards: all of them are awaited from now on.
    pub fn await_shards(&mut self, at: StepRef, count: u8) {
        if let Some(epoch) = self.epoch_mut(at.epoch)
            && let Some(step) = epoch.step_mut(at.slot)
        {
            step.await_shards(count);
        }
    }

    fn epoch_mut(&mut self, number: u16) -> Option<&mut ConversationEpoch> {
        let mut epochs = self.epochs.iter_mut();
        epochs.find(|epoch| epoch.number() == number)
    }

    /// Erases keys whose time is over, and follows the day. Returns whether the record has changed.
    pub fn tick(&mut self, unix: UnixSecs) -> bool {
        let before = self.epochs.len();
        let is_over = self
            .closed_at
            .is_some_and(|at| at.after(super::chain::KEEP_SECS) <= unix);
        self.epochs.retain(|epoch| !is_over && !epoch.is_over(unix));
        if is_over {
            self.first_box = None;
            self.opening = None;
        }
        let mut has_changed = self.epochs.len() < before;
        for epoch in &mut self.epochs {
            has_changed |= epoch.tick(unix);
        }
        has_changed
    }

    /// When to call [`tick`](Self::tick) next; tomorrow at the latest.
    #[must_use]
    pub fn next_tick(&self, unix: UnixSecs) -> UnixSecs {
        let expiries = self
            .epochs
            .iter()
            .filter_map(ConversationEpoch::next_expiry);
        let closes = self.closed_at.map(|at| at.after(super::chain::KEEP_SECS));
        let all = expiries.chain(closes.filter(|_| !self.epochs.is_empty()));
        all.chain([super::resync::next_day(unix)])
            .min()
            .unwrap_or(unix)
    }
}
