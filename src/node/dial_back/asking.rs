//! The asking side: up to three peers that this node dialled are asked to dial it.
//!
//! A peer that this node dialled was chosen by it, and did not prove by its own link that this node can be
//! reached. A report of success counts only if a connection in the name of that peer arrived here meanwhile;
//! any other report is the peer's word. Nothing is asked without a command of the operator.

use core::num::NonZeroU16;
use core::time::Duration;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use circuits::directory::Subnet;
use circuits::distributions;
use circuits::ids::{LinkId, Profile, RelayKey};
use circuits::time::Instant;
use rand_core::Rng;

use super::{OwnPorts, is_dialable};
use crate::link::Priority;
use crate::node::action::Action;
use crate::node::command::{Refusal, Reply};
use crate::node::effects::Effects;
use crate::node::hex;
use crate::node::input::CommandId;
use crate::node::peers::Peers;
use crate::node::views::{DialBackOutcome, DialBackView, DialedBackView};
use crate::onion_wire::{DialBackMessage, DialBackNonce, DialBackResult, OnionMessage};

/// Requests of this node.
pub(super) struct Asking {
    profile: Profile,
    ports: OwnPorts,
    /// The round that runs, or the last one.
    round: Option<Round>,
    /// Commands to answer when the round ends.
    waiting: Vec<CommandId>,
}

/// Peers that were asked together.
struct Round {
    begun: Instant,
    /// Whether all have answered, or their time is over.
    is_over: bool,
    asked: Vec<AskedPeer>,
}

struct AskedPeer {
    link: LinkId,
    key: RelayKey,
    port: NonZeroU16,
    nonce: DialBackNonce,
    /// Whether a connection that names its key arrived.
    has_called: bool,
    /// `None` until it answers.
    outcome: Option<DialBackOutcome>,
}

impl Asking {
    pub(super) const fn new(profile: Profile, ports: OwnPorts) -> Self {
        Self {
            profile,
            ports,
            round: None,
            waiting: Vec::new(),
        }
    }

    /// Asks peers, or answers with what peers reported within the last ten minutes.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if peers cannot dial this node, if there is no peer to ask, or if too many commands wait.
    pub(super) fn ask(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        command: CommandId,
        peers: &Peers,
    ) -> Result<(), Refusal> {
        if self.ports.is_empty() {
            return Err(Refusal::policy(
                "this node accepts no connections without Tor, so peers are not asked to dial it",
                "ask the operator of another node for a connection through Tor, or set `listen`",
            ));
        }
        let is_recent = |round: &Round| now.since(round.begun) < ASK_INTERVAL;
        if self.round.as_ref().is_none_or(|round| !is_recent(round)) {
            let asked = self.choose(fx, peers);
            if asked.is_empty() {
                return Err(Refusal::policy(
                    "no peer that this node dialled can dial it: none has a public address and onion/1",
                    "name relays with an IP address below `peers`, and wait until they are connected",
                ));
            }
            for peer in &asked {
                let (nonce, port) = (peer.nonce, peer.port);
                let request = OnionMessage::DialBack(DialBackMessage::Request { nonce, port });
                fx.request(Action::SendOnion(peer.link, Priority::Control, request));
            }
            self.round = Some(Round {
                begun: now,
                is_over: false,
                asked,
            });
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(Refusal::policy(
                "too many programs wait for the answers of peers",
                "try again in half a minute",
            ));
        }
        self.waiting.push(command);
        self.report(fx, now);
        Ok(())
    }

    /// Peers in different subnets, in random order. The subnets of a local network are one.
    fn choose(&self, fx: &mut Effects, peers: &Peers) -> Vec<AskedPeer> {
        let mut candidates: Vec<(LinkId, RelayKey, SocketAddr)> = peers.dialed_peers().collect();
        distributions::shuffle(fx.rng(), &mut candidates);
        let mut subnets = BTreeSet::new();
        let mut chosen = Vec::new();
        for (link, key, address) in candidates {
            let Some(port) = self.ports.for_peer_at(address.ip()) else {
                continue;
            };
            let is_new = self.profile == Profile::Local || {
                let subnet = Subnet::of(address.ip());
                subnets.insert(subnet)
            };
            if !is_dialable(self.profile, address.ip()) || !is_new {
                continue;
            }
            let mut nonce = DialBackNonce([0; 8]);
            fx.rng().fill_bytes(&mut nonce.0);
            chosen.push(AskedPeer {
                link,
                key,
                port,
                nonce,
                has_called: false,
                outcome: None,
            });
            if chosen.len() == MAX_ASKED {
                break;
            }
        }
        chosen
    }

    /// A connection to our listener names this key.
    pub(super) fn note_caller(&mut self, key: RelayKey) {
        let Some(round) = self.round.as_mut().filter(|round| !round.is_over) else {
            return;
        };
        for peer in round.asked.iter_mut().filter(|peer| peer.key == key) {
            peer.has_called = true;
        }
    }

    /// A peer answers. False if it owes no such answer.
    pub(super) fn on_answer(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        (from, nonce): (LinkId, DialBackNonce),
        result: DialBackResult,
    ) -> bool {
        let round = self.round.as_mut();
        let asked = round.map_or(&mut [][..], |round| &mut round.asked);
        let mut peers = asked.iter_mut();
        let owed =
            peers.find(|peer| peer.link == from && peer.nonce == nonce && peer.outcome.is_none());
        let Some(peer) = owed else {
            return false;
        };
        peer.outcome = Some(outcome(result, peer.has_called));
        self.report(fx, now);
        true
    }

    /// Peers that have not answered in time are silent.
    pub(super) fn on_timer(&mut self, fx: &mut Effects, now: Instant) {
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        if let Some(round) = &mut self.round {
            for peer in &mut round.asked {
                peer.outcome.get_or_insert(DialBackOutcome::Silent);
            }
        }
        self.report(fx, now);
    }

    /// When the peers have to have answered; `None` if no answer is awaited.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let round = self.round.as_ref().filter(|round| !round.is_over)?;
        Some(round.begun.after(ANSWER_TIMEOUT))
    }

    /// What the peers of the last round reported; `None` before the first round has ended.
    pub(super) fn view(&self, now: Instant) -> Option<DialBackView> {
        let round = self.round.as_ref().filter(|round| round.is_over)?;
        let peers = round.asked.iter().map(|peer| DialedBackView {
            peer: hex(&peer.key.0),
            port: peer.port.get(),
            outcome: peer.outcome.unwrap_or(DialBackOutcome::Silent),
        });
        Some(DialBackView {
            secs_ago: now.since(round.begun).as_secs(),
            peers: peers.collect(),
        })
    }

    /// Answers the commands that wait if every peer has answered.
    fn report(&mut self, fx: &mut Effects, now: Instant) {
        if let Some(round) = &mut self.round {
            round.is_over = round.asked.iter().all(|peer| peer.outcome.is_some());
        }
        let Some(view) = self.view(now) else {
            return;
        };
        for command in self.waiting.drain(..) {
            fx.reply(command, Ok(Reply::DialBack(view.clone())));
        }
    }
}

/// What a report of a peer means, with what this node saw itself.
const fn outcome(result: DialBackResult, has_called: bool) -> DialBackOutcome {
    match result {
        DialBackResult::Reached if has_called => DialBackOutcome::Reached,
        DialBackResult::Reached => DialBackOutcome::Contradicted,
        DialBackResult::NoAnswer => DialBackOutcome::NoAnswer,
        DialBackResult::Refused => DialBackOutcome::Refused,
        DialBackResult::OtherKey => DialBackOutcome::OtherKey,
        DialBackResult::Busy => DialBackOutcome::Busy,
        DialBackResult::NeverDials => DialBackOutcome::NeverDials,
        DialBackResult::AddressNotDialed => DialBackOutcome::AddressNotDialed,
        DialBackResult::PortNotDialed => DialBackOutcome::PortNotDialed,
    }
}

/// Maximum number of peers that are asked together.
const MAX_ASKED: usize = 3;
/// Minimum time from one round to the next. Peers dial once in this time for one node.
const ASK_INTERVAL: Duration = Duration::from_secs(600);
/// Time for an answer: the dial of the peer takes 10 s at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum number of commands that wait for one round.
const MAX_WAITING: usize = 16;
