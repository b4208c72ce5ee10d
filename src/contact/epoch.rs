//! An epoch of a conversation: both chains and the resync slots, from one secret.
//!
//! The secret is erased once these exist. What remains of it is the carry, which enters the secret of the
//! next epoch together with a fresh X-Wing secret and two seeds that travel inside the ratchet.

use circuits::time::UnixSecs;

use super::chain::{Direction, KEEP_SECS, ReceivingChain, SendingChain, StepKey};
use super::codec::{BadState, StateReader, StateWriter};
use super::kdf::{Key32, Label, expand, extract_under};
use super::resync::ResyncSlots;
use super::watched::{StepRef, StepSlot, WatchedStep};

/// What enters the secret of the next epoch, and what the secret itself then is.
pub(super) struct EpochSecret(Key32);

impl EpochSecret {
    /// The secret of epoch 0, from the first contact.
    pub(super) const fn new(secret: Key32) -> Self {
        Self(secret)
    }

    /// The carry of the epoch.
    pub(super) fn carry(&self) -> Key32 {
        expand::<32>(&self.0, Label::CONV_CARRY, &[])
    }

    /// The secret of the next epoch.
    pub(super) fn next(carry: &Key32, shared: &Key32, offer: &Key32, accept: &Key32) -> Self {
        let parts: [&[u8]; 3] = [shared.as_slice(), offer.as_slice(), accept.as_slice()];
        let secret = extract_under(carry.as_slice(), &parts);
        Self(expand::<32>(&secret, Label::CONV_EPOCH, &[]))
    }
}

/// One epoch at one end.
pub(super) struct ConversationEpoch {
    number: u16,
    /// `None` once this end sends in a later epoch.
    send: Option<SendingChain>,
    receive: ReceivingChain,
    resync: ResyncSlots,
    /// When the epoch is erased, once a later one is in use.
    retire_at: Option<UnixSecs>,
}

impl ConversationEpoch {
    /// Starts an epoch at the end that sends in `role`.
    pub(super) fn start(
        number: u16,
        secret: &EpochSecret,
        role: Direction,
        unix: UnixSecs,
    ) -> Self {
        Self {
            number,
            send: Some(SendingChain::start(&secret.0, role)),
            receive: ReceivingChain::start(&secret.0, role.reverse()),
            resync: ResyncSlots::start(&secret.0, role.reverse(), unix),
            retire_at: None,
        }
    }

    pub(super) const fn number(&self) -> u16 {
        self.number
    }

    pub(super) const fn send_mut(&mut self) -> Option<&mut SendingChain> {
        self.send.as_mut()
    }

    /// The key of a resync slot of today, if one is unused.
    pub(super) fn take_resync(&mut self, unix: UnixSecs) -> Option<StepKey> {
        self.resync.take(unix)
    }

    /// Notes that a later epoch is in use by the peer: this one is erased when its envelopes have expired.
    pub(super) fn retire(&mut self, unix: UnixSecs) {
        self.retire_at.get_or_insert_with(|| unix.after(KEEP_SECS));
    }

    /// Erases the chain on which this end sent.
    pub(super) fn stop_sending(&mut self) {
        self.send = None;
    }

    pub(super) fn is_over(&self, unix: UnixSecs) -> bool {
        self.retire_at.is_some_and(|at| at <= unix)
    }

    /// All envelopes that are awaited.
    pub(super) fn steps(&self) -> impl Iterator<Item = (StepSlot, &WatchedStep)> {
        let chain = self.receive.steps();
        let chain = chain.map(|(index, step)| (StepSlot::Chain(index), step));
        let slots = self.resync.steps();
        chain.chain(slots.map(|(day, slot, step)| (StepSlot::Resync { day, slot }, step)))
    }

    pub(super) fn step(&self, slot: StepSlot) -> Option<&WatchedStep> {
        match slot {
            StepSlot::Chain(index) => self.receive.step(index),
            StepSlot::Resync { day, slot } => self.resync.step(day, slot),
        }
    }

    pub(super) fn step_mut(&mut self, slot: StepSlot) -> Option<&mut WatchedStep> {
        match slot {
            StepSlot::Chain(index) => self.receive.step_mut(index),
            StepSlot::Resync { day, slot } => self.resync.step_mut(day, slot),
        }
    }

    /// Erases the key of an opened step, and moves the window. Returns whether the step was awaited.
    pub(super) fn consume(&mut self, unix: UnixSecs, at: StepRef, resync: Option<u32>) -> bool {
        match at.slot {
            StepSlot::Chain(index) => self.receive.consume(unix, index),
            StepSlot::Resync { day, slot } => {
                let is_awaited = self.resync.consume(day, slot);
                if is_awaited && let Some(next) = resync {
                    self.receive.jump(unix, next);
                }
                is_awaited
            }
        }
    }

    /// Erases what has expired, and follows the day. Returns whether anything changed.
    pub(super) fn tick(&mut self, unix: UnixSecs) -> bool {
        let has_expired = self.receive.expire(unix);
        self.resync.follow(unix) || has_expired
    }

    /// When something of the epoch expires next.
    pub(super) fn next_expiry(&self) -> Option<UnixSecs> {
        let skipped = self.receive.next_expiry();
        skipped.into_iter().chain(self.retire_at).min()
    }

    pub(super) fn write(&self, writer: &mut StateWriter) {
        writer.u16(self.number);
        writer.option(self.send.as_ref(), |w, chain| chain.write(w));
        self.receive.write(writer);
        self.resync.write(writer);
        writer.option(self.retire_at, |w, at| w.u32(at.0));
    }

    pub(super) fn read(reader: &mut StateReader<'_>, role: Direction) -> Result<Self, BadState> {
        Ok(Self {
            number: reader.u16()?,
            send: reader.option(SendingChain::read)?,
            receive: ReceivingChain::read(reader)?,
            resync: ResyncSlots::read(reader, role.reverse())?,
            retire_at: reader.option(|r| r.u32().map(UnixSecs))?,
        })
    }
}
