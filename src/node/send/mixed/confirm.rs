//! Confirmation at levels with cover traffic: a message is delivered when as many of its parts have
//! come back as its reader needs.
//!
//! Each envelope is watched like that of any message: two peers confirm it at once, one suffices once
//! its time is over, unless it is the guard. If a third of the rendezvous withhold their
//! envelopes, the others are still as many as the reader needs.

use circuits::distributions;
use circuits::erasing_rng::ErasingRng;
use circuits::level::LevelRules;
use circuits::time::Now;
use core::time::Duration;

use super::MixedMessage;
use crate::envelope::EnvelopeHash;
use crate::latency_model::PathModel;
use crate::node::effects::Effects;
use crate::node::event::{Event, MessageId, Stage};
use crate::node::send::confirm::{MIN_WITNESSES, has_honest_echo};
use crate::node::send::emission::link_time;
use crate::node::send::message::{Outgoing, SendState};
use crate::node::send::{SendContext, Sender};

impl MixedMessage {
    /// The time after the last cell in which 999 of 1,000 messages are confirmed, and a random time
    /// more, so that a rendezvous that withholds an envelope cannot predict the retry.
    pub(super) fn patience(
        &self,
        rng: &mut ErasingRng,
        now: Now,
        rules: &LevelRules,
        context: SendContext<'_>,
    ) -> Duration {
        let cells = self.cells();
        let model = PathModel {
            lanes: vec![rules.relays.into(); cells],
            shards: cells,
            // The slowest cell, since its slot was the last.
            needed: cells,
            gap: Duration::ZERO,
            link: link_time(context.peers.one_way_delay()),
            delay: rules.delay.mean(context.directory.mix_network(now).class()),
            hold: rules.hold,
            stem: true,
        };
        let patience = model.latency().p999.max(MIN_PATIENCE);
        patience.saturating_add(distributions::jitter(rng, patience))
    }

    /// Counts the peers that show an envelope. Returns whether enough parts are in the network.
    fn on_echo(&mut self, hash: EnvelopeHash, context: SendContext<'_>) -> bool {
        let machine = context.gossip.machine();
        let peers = machine.holder_count(hash);
        let first_gossip = machine.sent_before_received(hash);
        let Some(part) = self.part_with(hash) else {
            return false;
        };
        let is_first = part.peers == 0;
        part.peers = part.peers.max(peers);
        let is_earlier = part.hashes.last() != Some(&hash);
        part.seen = part.seen
            || peers >= MIN_WITNESSES
            || (is_earlier && has_honest_echo(hash, part.guard, context));
        if is_first {
            self.first_gossip |= first_gossip;
        }
        self.seen() >= self.needed
    }

    /// The time of the echoes is over: one honest peer suffices now.
    fn count_single_echoes(&mut self, context: SendContext<'_>) -> bool {
        for part in &mut self.parts {
            let mut hashes = part.hashes.iter();
            part.seen = part.seen || hashes.any(|hash| has_honest_echo(*hash, part.guard, context));
        }
        self.seen() >= self.needed
    }

    /// Whether the stem of this node still carries one of its envelopes: this node was its rendezvous.
    fn is_in_transit(&self, context: SendContext<'_>) -> bool {
        let parts = self.parts.iter().filter(|part| !part.seen);
        let mut hashes = parts.flat_map(|part| &part.hashes);
        hashes.any(|hash| context.stem.is_in_transit(*hash))
    }
}

impl Sender {
    /// A peer sent or announced an envelope of a message.
    pub(in crate::node::send) fn on_mixed_echo(
        &mut self,
        fx: &mut Effects,
        id: MessageId,
        hash: EnvelopeHash,
        context: SendContext<'_>,
    ) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let before = message.stage();
        let Some(mixed) = message.mixed_mut() else {
            return;
        };
        let is_delivered = mixed.on_echo(hash, context);
        self.settle(fx, id, before.as_ref());
        if is_delivered {
            self.enter(fx, id, SendState::Delivered);
        }
    }

    /// The timer of a message fired: it goes on, or the time of the echoes is over.
    pub(in crate::node::send) fn on_mixed_timer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) {
        let isolated = self.is_isolated(now, context.gossip);
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let (attempt, may_retry) = (message.attempt(), message.may_retry());
        let Some(mixed) = message.mixed_mut() else {
            return;
        };
        mixed.due = None;
        if !mixed.has_left() {
            return self.advance_mixed(fx, now, id, context);
        }
        if mixed.count_single_echoes(context) {
            return self.enter(fx, id, SendState::Delivered);
        }
        if isolated || mixed.is_in_transit(context) {
            mixed.due = Some(now.mono.after(MIN_PATIENCE));
            return self.settle(fx, id, message_stage(self.messages.get(&id)).as_ref());
        }
        if may_retry {
            return self.retry_mixed(fx, now, id, context);
        }
        let (seen, needed) = (mixed.seen(), mixed.needed);
        let reason = format!(
            "attempt {attempt}: {seen} of {needed} needed envelopes came back, which does not prove that \
             it is lost; see `whisht peers` and `whisht status`, then send it again"
        );
        self.fail(fx, id, reason);
    }

    /// Sends the missing parts again, each as a new envelope.
    fn retry_mixed(&mut self, fx: &mut Effects, now: Now, id: MessageId, context: SendContext<'_>) {
        if let Err(refusal) = self.check_limits(now, id, context) {
            return self.fail(fx, id, refusal.to_string());
        }
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        message.count_attempt();
        let attempt = message.attempt();
        if let Some(mixed) = message.mixed_mut() {
            mixed.restart_missing();
        }
        fx.notify(Event::Outgoing(id, Stage::Retrying { attempt }));
        self.advance_mixed(fx, now, id, context);
    }
}

fn message_stage(message: Option<&Outgoing>) -> Option<Stage> {
    message.and_then(Outgoing::stage)
}

/// Shortest patience without its random part: an embargo of the stem has a mean of a minute.
const MIN_PATIENCE: Duration = Duration::from_secs(120);
