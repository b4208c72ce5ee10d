//! Confirmation: how the sender learns that its message is public, without a request to any peer.
//!
//! An envelope that comes back by gossip from [`MIN_WITNESSES`] peers has entered the network. An
//! envelope of an earlier attempt confirms the message as well.
//!
//! A message that has ended stays as it ended. A message that was given up or cancelled may be in
//! the network all the same; an echo that comes afterwards is not reported, because what a script was
//! told once must stay true. "given up" says only that this node waits no longer.

use core::time::Duration;

use circuits::ids::{LinkId, Profile, ShortId};
use circuits::level::Insertion;
use circuits::time::Now;

use super::attempt::EarlierAttempt;
use super::message::{Departure, EchoWatch, Outgoing, SendState};
use super::{SendContext, Sender};
use crate::envelope::EnvelopeHash;
use crate::node::action::Action;
use crate::node::effects::Effects;
use crate::node::event::MessageId;
use crate::node::gossip::EnvelopeGossip;

impl Sender {
    /// A peer sent or announced these envelopes; some may be ours.
    pub(in crate::node) fn on_echoes(
        &mut self,
        fx: &mut Effects,
        hashes: Vec<EnvelopeHash>,
        context: SendContext<'_>,
    ) {
        for hash in hashes {
            self.on_echo(fx, hash, context);
        }
    }

    /// Gossip brought an envelope back, perhaps one of this node.
    pub(super) fn on_echo(
        &mut self,
        fx: &mut Effects,
        hash: EnvelopeHash,
        context: SendContext<'_>,
    ) {
        let Some(id) = self.by_hash.get(&hash).copied() else {
            return;
        };
        let peers = context.gossip.machine().holder_count(hash);
        let message = self.messages.get(&id);
        if message.is_some_and(|message| message.mixed().is_some()) {
            return self.on_mixed_echo(fx, id, hash, context);
        }
        match message.and_then(|message| message.earlier().get(hash)) {
            Some(attempt) => self.on_late_echo(fx, id, attempt, context),
            None => {
                self.report_peers(fx, id, peers, context.gossip);
                if peers >= MIN_WITNESSES {
                    self.deliver(fx, id);
                }
            }
        }
    }

    /// An envelope of an earlier attempt came back. Its confirmation time is over, so one honest peer
    /// suffices.
    fn on_late_echo(
        &mut self,
        fx: &mut Effects,
        id: MessageId,
        attempt: EarlierAttempt,
        context: SendContext<'_>,
    ) {
        let EarlierAttempt { hash, guard } = attempt;
        let machine = context.gossip.machine();
        let peers = machine.holder_count(hash);
        let watch = EchoWatch::new(hash, guard, None);
        if peers < MIN_WITNESSES && !has_honest_echo(hash, guard, context) {
            return;
        }
        let watch = watch.seen_by(peers, machine.sent_before_received(hash));
        if let Some(message) = self.messages.get_mut(&id) {
            message.take_relays();
        }
        self.enter(fx, id, SendState::Confirming(watch, Departure::Cells(0)));
        self.deliver(fx, id);
    }

    /// Reports how many peers have the envelope of a message, if there are more than before.
    fn report_peers(
        &mut self,
        fx: &mut Effects,
        id: MessageId,
        peers: usize,
        gossip: &EnvelopeGossip,
    ) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let before = message.stage();
        if let Some(watch) = message.state_mut().watch_mut()
            && watch.peers() < peers
        {
            let first_gossip = gossip.machine().sent_before_received(watch.hash());
            *watch = watch.seen_by(peers, first_gossip);
        }
        self.settle(fx, id, before.as_ref());
    }

    fn deliver(&mut self, fx: &mut Effects, id: MessageId) {
        let message = self.messages.get(&id);
        let guard = message.and_then(|message| message.state().watch()?.guard());
        if let Some(guard) = guard {
            fx.request(Action::GuardProven(guard));
        }
        self.enter(fx, id, SendState::Delivered);
    }

    /// The timer of a message fired: a cell is due, or the confirmation time is over.
    pub(in crate::node) fn on_timer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) {
        match self.messages.get(&id).map(Outgoing::state) {
            Some(SendState::Emitting(..)) => self.emit_cells(fx, now, id, context),
            Some(SendState::Mixed(_)) => self.on_mixed_timer(fx, now, id, context),
            Some(SendState::Confirming(watch, _)) => {
                let watch = *watch;
                self.on_echo_timeout(fx, now, id, watch, context);
            }
            _ => {}
        }
    }

    /// No echo from [`MIN_WITNESSES`] peers came in time.
    fn on_echo_timeout(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        watch: EchoWatch,
        context: SendContext<'_>,
    ) {
        // One peer suffices now, unless it is the guard: the first peer that sends it keeps us from
        // hearing it from the others, since we forward it to them (docs/decisions/0004).
        if has_honest_echo(watch.hash(), watch.guard(), context) {
            return self.deliver(fx, id);
        }
        if self.is_isolated(now, context.gossip) {
            return self.extend_deadline(fx, now, id);
        }
        // The stem reports when it is blocked, and when it gives up.
        if context.stem.is_in_transit(watch.hash()) {
            return self.extend_deadline(fx, now, id);
        }
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        if let Some(relays) = message.take_relays()
            && hears_gossip(now, context.gossip)
        {
            fx.request(Action::LanesSilent(relays));
        }
        let hidden = message.level().rules().insertion == Insertion::HeldStem;
        let attempts = message.attempt();
        if hidden && message.may_retry() {
            return self.retry(fx, now, id, context);
        }
        if let SendState::Confirming(_, Departure::Pooled(reason)) = message.state() {
            let reason = format!("no peer has taken it: {reason}");
            return self.fail(fx, id, reason);
        }
        let reason = format!(
            "attempt {attempts} got no echo from {MIN_WITNESSES} peers, which does not prove that it is \
             lost; see `whisht peers` and `whisht status`, then send it again"
        );
        self.fail(fx, id, reason);
    }

    /// Whether no peer has sent an envelope for a while. Then this node is cut off, and a new
    /// envelope would only reveal more to the attacker that isolates it (anonymity 3.10). A local
    /// network may have no traffic.
    pub(super) fn is_isolated(&self, now: Now, gossip: &EnvelopeGossip) -> bool {
        self.profile == Profile::Main && !hears_gossip(now, gossip)
    }

    fn extend_deadline(&mut self, fx: &mut Effects, now: Now, id: MessageId) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let before = message.stage();
        if let Some(watch) = message.state_mut().watch_mut() {
            *watch = watch.until(now.mono.after(ISOLATION_TIMEOUT));
        }
        self.settle(fx, id, before.as_ref());
    }

    /// Ends messages at level `open` once enough peers have them. A peer that took an envelope from us
    /// does not send it back, so an echo cannot be awaited; and bytes that were written to a link may
    /// not have been read. Without another peer that shows the envelope, it was only handed over.
    pub(in crate::node) fn confirm_gossiped(&mut self, fx: &mut Effects, context: SendContext<'_>) {
        let waiting = self.messages.iter().filter_map(|(id, message)| {
            let plain = message.level().rules().insertion == Insertion::Gossip;
            match message.state() {
                SendState::Confirming(watch, _) if plain => Some((*id, watch.hash())),
                _ => None,
            }
        });
        let waiting: Vec<(MessageId, EnvelopeHash)> = waiting.collect();
        if waiting.is_empty() {
            return;
        }
        let enough = context.peers.shh6_peers().clamp(1, MIN_WITNESSES);
        let gossip = context.gossip.machine();
        for (id, hash) in waiting {
            let (sent, holders) = (gossip.sent_to_count(hash), gossip.holder_count(hash));
            if holders >= enough {
                self.report_peers(fx, id, holders, context.gossip);
                self.deliver(fx, id);
            } else if sent.saturating_add(holders) >= enough {
                let peers = sent.saturating_add(holders);
                self.enter(fx, id, SendState::HandedOver(peers));
            }
        }
    }
}

/// Whether a peer has sent an envelope of another node lately.
fn hears_gossip(now: Now, gossip: &EnvelopeGossip) -> bool {
    now.mono.since(gossip.last_foreign()) <= ISOLATION_TIMEOUT
}

/// Whether a peer other than the guard sent the envelope. The guard could fake an echo for this
/// node alone.
pub(super) fn has_honest_echo(
    hash: EnvelopeHash,
    guard: Option<ShortId>,
    context: SendContext<'_>,
) -> bool {
    let other = |link: LinkId| context.peers.relay_at(link) != guard;
    let mut holders = context.gossip.machine().holders(hash);
    holders.any(other)
}

/// Number of peers that must send an envelope back: the guard alone could lie (anonymity 3.10).
pub(super) const MIN_WITNESSES: usize = 2;

/// Time without a foreign envelope after which this node considers itself cut off.
const ISOLATION_TIMEOUT: Duration = Duration::from_secs(120);
