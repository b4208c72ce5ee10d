//! The echo: how the sender learns that its message is out, without asking anybody.
//!
//! An envelope that comes back by gossip from [`WITNESSES`] peers has entered the network. One that
//! does not come back in time is replaced by a new one, never sent again: a rendezvous may be
//! keeping the first (spec 6; docs/decisions/0004).

use core::time::Duration;

use circuits::ids::{LinkId, Profile};
use circuits::level::Insertion;
use circuits::time::Now;

use super::Node;
use super::event::{MessageId, Stage};
use super::outbox::{ATTEMPTS, Outgoing, State, WITNESSES, Watch};
use crate::envelope::EnvelopeHash;

impl Node {
    /// A peer brought an envelope; perhaps it is ours.
    pub(super) fn on_echo(&mut self, hash: EnvelopeHash) {
        let ours = |outgoing: &Outgoing| outgoing.watch.is_some_and(|watch| watch.hash == hash);
        let Some((id, outgoing)) = self
            .outbox
            .messages
            .iter_mut()
            .find(|(_, outgoing)| ours(outgoing))
        else {
            return;
        };
        let id = *id;
        let witnesses = self.gossip.holder_count(hash);
        let Some(watch) = &mut outgoing.watch else {
            return;
        };
        if witnesses <= watch.witnesses {
            return;
        }
        watch.witnesses = witnesses;
        let first_gossip = self.gossip.sent_before_received(hash);
        self.stage(
            id,
            Stage::Seen {
                peers: witnesses,
                first_gossip,
            },
        );
        if witnesses >= WITNESSES {
            self.end(id, Stage::Delivered);
        }
    }

    /// Whether anybody but the guard, who could feign an echo for us alone, brought an envelope.
    fn has_honest_echo(&self, watch: Watch) -> bool {
        let other = |link: LinkId| self.connections.relay_at(link) != watch.guard;
        self.gossip.holders(watch.hash).any(other)
    }

    /// The echo did not come in time.
    pub(super) fn on_silence(&mut self, now: Now, id: MessageId) {
        let Some(outgoing) = self.outbox.messages.get_mut(&id) else {
            return;
        };
        let watch = outgoing.watch;
        // One peer is enough in the end, unless it is the guard: who brings it first keeps us from
        // hearing it of the others, since we pass it on to them (docs/decisions/0004).
        if watch.is_some_and(|watch| self.has_honest_echo(watch)) {
            return self.end(id, Stage::Delivered);
        }
        if self.hears_nothing(now) {
            return self.wait_on(now, id);
        }
        let Some(outgoing) = self.outbox.messages.get_mut(&id) else {
            return;
        };
        let can_retry = outgoing.request.is_some();
        let retries = can_retry && outgoing.level.rules().insertion == Insertion::HeldStem;
        if !retries || outgoing.attempt >= ATTEMPTS {
            let attempts = outgoing.attempt;
            return self.fail(
                id,
                &format!(
                    "attempt {attempts} got no echo from {WITNESSES} peers; \
                 see `whisht peers` and `whisht status`, then send it again"
                ),
            );
        }
        outgoing.attempt += 1;
        outgoing.watch = None;
        let attempt = outgoing.attempt;
        let State::Watching = core::mem::replace(&mut outgoing.state, State::Ended) else {
            return;
        };
        self.stage(id, Stage::Retrying { attempt });
        self.retry(now, id, attempt);
    }

    /// Whether nobody has brought us anything for a while: then it is we who are cut off, and new
    /// envelopes would only tell more to whoever cut us off (anonymity 3.10). A local network may
    /// well have nothing to say.
    fn hears_nothing(&self, now: Now) -> bool {
        self.config.profile == Profile::Main && now.mono.since(self.last_foreign) > SILENCE
    }

    fn wait_on(&mut self, now: Now, id: MessageId) {
        if let Some(watch) = self
            .outbox
            .messages
            .get_mut(&id)
            .and_then(|outgoing| outgoing.watch.as_mut())
        {
            watch.deadline = Some(now.mono.after(SILENCE));
        }
    }

    /// Begins an attempt with a new envelope.
    pub(super) fn retry(&mut self, now: Now, id: MessageId, attempt: u32) {
        let Some(mut outgoing) = self.outbox.messages.remove(&id) else {
            return;
        };
        let Some(request) = &outgoing.request else {
            return self.bug("a message was to be made again that cannot be");
        };
        let begun = self.begin_attempt(now, request, attempt);
        match begun {
            Ok((state, stage)) => {
                outgoing.state = state;
                self.outbox.messages.insert(id, outgoing);
                self.stage(id, stage);
            }
            Err(refusal) => {
                self.outbox.messages.insert(id, outgoing);
                self.fail(id, &refusal.to_string());
            }
        }
    }

    /// Plainly gossiped messages have no echo: they are in the network once peers have them.
    pub(super) fn watch_open_messages(&mut self) {
        let plain = |outgoing: &Outgoing| {
            matches!(outgoing.state, State::Watching)
                && outgoing.level.rules().insertion == Insertion::Gossip
        };
        let watched: Vec<_> = self
            .outbox
            .messages
            .iter()
            .filter(|(_, outgoing)| plain(outgoing))
            .filter_map(|(id, outgoing)| Some((*id, outgoing.watch?)))
            .collect();
        let enough = self.shh6_peers().clamp(1, WITNESSES);
        for (id, watch) in watched {
            let peers =
                self.gossip.sent_to_count(watch.hash) + self.gossip.holder_count(watch.hash);
            if peers >= enough {
                let first_gossip = self.gossip.sent_before_received(watch.hash);
                self.stage(
                    id,
                    Stage::Seen {
                        peers,
                        first_gossip,
                    },
                );
                self.end(id, Stage::Delivered);
            }
        }
    }
}

/// How long without any foreign envelope means that we are cut off.
const SILENCE: Duration = Duration::from_secs(120);
