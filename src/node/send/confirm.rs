//! The echo: how the sender learns that its message is out, without a request to any peer.
//!
//! An envelope that comes back by gossip from [`MIN_WITNESSES`] peers has entered the network. One that
//! does not come back in time is replaced by a new one, never sent again: a rendezvous may be
//! keeping the first (spec 6; docs/decisions/0004).

use core::time::Duration;

use circuits::ids::{LinkId, Profile};
use circuits::level::Insertion;
use circuits::time::Now;

use crate::envelope::EnvelopeHash;
use crate::node::Node;
use crate::node::event::{MessageId, Stage};
use crate::node::send::queue::{EchoWatch, MAX_ATTEMPTS, MIN_WITNESSES, QueuedMessage, SendState};

impl Node {
    /// A peer brought an envelope; perhaps it is ours.
    pub(in crate::node) fn on_echo(&mut self, hash: EnvelopeHash) {
        let ours = |message: &QueuedMessage| message.watch.is_some_and(|watch| watch.hash == hash);
        let Some((id, message)) = self
            .outbox
            .messages
            .iter_mut()
            .find(|(_, message)| ours(message))
        else {
            return;
        };
        let id = *id;
        let witnesses = self.gossip.holder_count(hash);
        let Some(watch) = &mut message.watch else {
            return;
        };
        if witnesses <= watch.witnesses {
            return;
        }
        watch.witnesses = witnesses;
        let first_gossip = self.gossip.sent_before_received(hash);
        self.set_stage(
            id,
            Stage::Seen {
                peers: witnesses,
                first_gossip,
            },
        );
        if witnesses >= MIN_WITNESSES {
            self.finish(id, Stage::Delivered);
        }
    }

    /// Whether a peer other than the guard brought an envelope. The guard could feign an echo for
    /// this node alone.
    fn has_honest_echo(&self, watch: EchoWatch) -> bool {
        let other = |link: LinkId| self.connections.relay_at(link) != watch.guard;
        self.gossip.holders(watch.hash).any(other)
    }

    /// The echo did not come in time.
    pub(in crate::node) fn on_echo_timeout(&mut self, now: Now, id: MessageId) {
        let Some(message) = self.outbox.messages.get_mut(&id) else {
            return;
        };
        let watch = message.watch;
        // One peer is enough in the end, unless it is the guard: who brings it first keeps us from
        // hearing it of the others, since we pass it on to them (docs/decisions/0004).
        if watch.is_some_and(|watch| self.has_honest_echo(watch)) {
            return self.finish(id, Stage::Delivered);
        }
        if self.is_isolated(now) {
            return self.extend_deadline(now, id);
        }
        let Some(message) = self.outbox.messages.get_mut(&id) else {
            return;
        };
        let can_retry = message.request.is_some();
        let retries = can_retry && message.level.rules().insertion == Insertion::HeldStem;
        if !retries || message.attempt >= MAX_ATTEMPTS {
            let attempts = message.attempt;
            return self.fail(
                id,
                &format!(
                    "attempt {attempts} got no echo from {MIN_WITNESSES} peers; \
                 see `whisht peers` and `whisht status`, then send it again"
                ),
            );
        }
        message.attempt += 1;
        message.watch = None;
        let attempt = message.attempt;
        let SendState::Confirming = core::mem::replace(&mut message.state, SendState::Ended) else {
            return;
        };
        self.set_stage(id, Stage::Retrying { attempt });
        self.retry(now, id, attempt);
    }

    /// Whether no peer has brought an envelope for a while: then this node is cut off, and new
    /// envelopes would only tell more to the attacker that isolates it (anonymity 3.10). A local
    /// network may have no traffic.
    fn is_isolated(&self, now: Now) -> bool {
        self.config.profile == Profile::Main
            && now.mono.since(self.last_foreign) > ISOLATION_TIMEOUT
    }

    fn extend_deadline(&mut self, now: Now, id: MessageId) {
        if let Some(watch) = self
            .outbox
            .messages
            .get_mut(&id)
            .and_then(|message| message.watch.as_mut())
        {
            watch.deadline = Some(now.mono.after(ISOLATION_TIMEOUT));
        }
    }

    /// Begins an attempt with a new envelope.
    pub(in crate::node) fn retry(&mut self, now: Now, id: MessageId, attempt: u32) {
        let Some(mut message) = self.outbox.messages.remove(&id) else {
            return;
        };
        let Some(request) = &message.request else {
            return self.bug("a message was to be made again that cannot be");
        };
        let begun = self.begin_attempt(now, request, attempt);
        match begun {
            Ok((state, stage)) => {
                message.state = state;
                self.outbox.messages.insert(id, message);
                self.set_stage(id, stage);
            }
            Err(refusal) => {
                self.outbox.messages.insert(id, message);
                self.fail(id, &refusal.to_string());
            }
        }
    }

    /// Plainly gossiped messages have no echo: they are in the network once peers have them.
    pub(in crate::node) fn confirm_gossiped_messages(&mut self) {
        let plain = |message: &QueuedMessage| {
            matches!(message.state, SendState::Confirming)
                && message.level.rules().insertion == Insertion::Gossip
        };
        let watched: Vec<_> = self
            .outbox
            .messages
            .iter()
            .filter(|(_, message)| plain(message))
            .filter_map(|(id, message)| Some((*id, message.watch?)))
            .collect();
        let enough = self.shh6_peers().clamp(1, MIN_WITNESSES);
        for (id, watch) in watched {
            let peers =
                self.gossip.sent_to_count(watch.hash) + self.gossip.holder_count(watch.hash);
            if peers >= enough {
                let first_gossip = self.gossip.sent_before_received(watch.hash);
                self.set_stage(
                    id,
                    Stage::Seen {
                        peers,
                        first_gossip,
                    },
                );
                self.finish(id, Stage::Delivered);
            }
        }
    }
}

/// How long without any foreign envelope means that we are cut off.
const ISOLATION_TIMEOUT: Duration = Duration::from_secs(120);
