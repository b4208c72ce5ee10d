//! The rendezvous role: shards become envelopes, which are held before they enter the network.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::dispersal::Payload;
use circuits::geometry::DELTA_LEN;
use circuits::ids::{Epoch, LinkId};
use circuits::loops::LoopNonce;
use circuits::rendezvous::ShardOutcome;
use circuits::time::{Instant, Now};

use super::Relay;
use super::replay::blur;
use crate::envelope::Envelope;
use crate::node::action::{Action, StemSource};
use crate::node::effects::{Counter, Effects};
use crate::node::event::{RelayLabel, Trace};
use crate::node::gossip::EnvelopeGossip;
use crate::node::hex;

/// How a payload arrived.
pub(super) struct PayloadSource {
    pub(super) from: LinkId,
    pub(super) label: Option<RelayLabel>,
    pub(super) epoch: Epoch,
    pub(super) hold: Duration,
    pub(super) bulletin: bool,
}

/// Rebuilt envelopes that wait for the end of their hold.
#[derive(Default)]
pub(super) struct DelayedInsertions {
    waiting: BTreeMap<(Instant, u64), Envelope>,
    last: u64,
    bytes: usize,
}

impl DelayedInsertions {
    fn push(&mut self, due: Instant, envelope: Envelope) -> bool {
        let bytes = self.bytes.saturating_add(envelope.size());
        if bytes > MAX_DELAYED_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.last = self.last.saturating_add(1);
        self.waiting.insert((due, self.last), envelope);
        true
    }

    fn pop_due(&mut self, now: Instant) -> Option<Envelope> {
        let entry = self
            .waiting
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let envelope = entry.remove();
        self.bytes = self.bytes.saturating_sub(envelope.size());
        Some(envelope)
    }

    /// When the next hold ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }
}

impl Relay {
    /// The payload of a cell whose last layer was peeled here.
    pub(super) fn on_payload(
        &mut self,
        fx: &mut Effects,
        now: Now,
        source: PayloadSource,
        delta: &[u8; DELTA_LEN],
        gossip: &EnvelopeGossip,
    ) {
        let Ok(payload) = Payload::parse(delta) else {
            return fx.count(Counter::CellsDropped);
        };
        let shard = match payload {
            Payload::Shard(shard) => shard,
            Payload::Loop { nonce } => {
                return fx.request(Action::LoopReturned(LoopNonce(nonce)));
            }
            Payload::Drop | Payload::Meet(_) => return,
        };
        let (k, n) = (shard.class.k(), shard.class.n());
        let outcome = self.rendezvous.accept(
            now,
            source.from,
            source.epoch,
            source.hold,
            source.bulletin,
            shard,
        );
        let from = source.label;
        match outcome {
            ShardOutcome::Opened | ShardOutcome::Counted => {
                fx.trace(|| Trace::Terminal { from, k, n });
            }
            ShardOutcome::Complete { envelope, hold } => {
                fx.trace(|| Trace::Terminal { from, k, n });
                self.on_rebuilt(fx, now, &envelope, hold, gossip);
            }
            ShardOutcome::Ignored => {}
            ShardOutcome::Poisoned | ShardOutcome::Rejected(_) => fx.count(Counter::CellsDropped),
        }
    }

    /// The shards form an envelope. It is validated like any other on a stem, and held.
    fn on_rebuilt(
        &mut self,
        fx: &mut Effects,
        now: Now,
        bytes: &[u8],
        hold: Duration,
        gossip: &EnvelopeGossip,
    ) {
        let envelope = Envelope::decode(bytes)
            .ok()
            .filter(|envelope| gossip.validate_stem(now, envelope).is_ok());
        let Some(envelope) = envelope else {
            return fx.count(Counter::Malformed);
        };
        fx.count(Counter::Rebuilt);
        fx.trace(|| Trace::Rebuilt {
            envelope: hex(&envelope.hash().0),
            hold_ms: u64::try_from(hold.as_millis()).unwrap_or(u64::MAX),
        });
        let due = now.mono.after(blur(fx.path_rng(), hold));
        if !self.delayed.push(due, envelope) {
            fx.count(Counter::CellsDropped);
        }
    }

    /// Sends envelopes whose hold has ended along the stem, like our own.
    pub(in crate::node) fn release_delayed(
        &mut self,
        fx: &mut Effects,
        now: Now,
        gossip: &EnvelopeGossip,
    ) {
        while let Some(envelope) = self.delayed.pop_due(now.mono) {
            if gossip.validate_stem(now, &envelope).is_ok() {
                fx.request(Action::InsertByStem(envelope, StemSource::Rendezvous));
            }
        }
        self.arm(fx);
    }

    /// No stem exists now. The envelope waits: flooding it from here would reveal the rendezvous.
    pub(in crate::node) fn on_no_stem(&mut self, fx: &mut Effects, now: Now, envelope: Envelope) {
        let due = now.mono.after(STEM_RETRY_INTERVAL);
        if !self.delayed.push(due, envelope) {
            fx.count(Counter::CellsDropped);
        }
        self.arm(fx);
    }

    /// Drops shard sets that were not completed in time.
    pub(in crate::node) fn expire_shard_sets(&mut self, fx: &mut Effects, now: Now) {
        self.rendezvous.expire(now);
        self.arm(fx);
    }
}

/// Maximum size of all held envelopes; as much as the open shard sets may take.
const MAX_DELAYED_BYTES: usize = 16 * 1024 * 1024;

/// Time after which an envelope without a stem is tried again.
const STEM_RETRY_INTERVAL: Duration = Duration::from_secs(5);
