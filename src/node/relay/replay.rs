//! Peeling, onion keys and replay tags: a cell is forwarded only after the tag that identifies it
//! is durable (spec M9).

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::cell::HopDelay;
use circuits::circuit::SetupSource;
use circuits::distributions;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, LinkId};
use circuits::keys::OnionSecret;
use circuits::relay::{PeelResult, Peeled, ReplayLog, ReplaySet, ReplayTag};
use circuits::time::{Instant, Now};

use super::rendezvous::PayloadSource;
use super::{MixedCell, Relay, RelayContext};
use crate::node::action::{Action, CircuitAction};
use crate::node::circuits::PeeledCircuit;
use crate::node::durability::Continuation;
use crate::node::effects::{Counter, Effects};
use crate::node::event::{RelayLabel, Trace};
use crate::node::gossip::EnvelopeGossip;
use crate::node::output::Record;

/// A peeled cell whose replay tag is not durable yet.
pub(in crate::node) struct PeeledCell {
    from: LinkId,
    at: Instant,
    peeled: Peeled,
}

/// An onion key with the replay tags of the cells that it has peeled.
pub(in crate::node) struct OnionKey {
    /// The epoch in which it is valid.
    pub(in crate::node) epoch: Epoch,
    /// The secret key.
    pub(in crate::node) secret: OnionSecret,
    /// The end of its tag log.
    pub(in crate::node) log: ReplayLog,
    /// The tags in the log.
    pub(in crate::node) tags: ReplaySet,
}

impl Relay {
    /// Installs the onion key of an epoch.
    pub(in crate::node) fn install_key(&mut self, fx: &Effects, key: OnionKey) {
        let OnionKey {
            epoch,
            secret,
            log,
            tags,
        } = key;
        match self.onion.install_key(epoch, secret, tags) {
            Ok(()) => {
                self.logs.insert(epoch, log);
            }
            Err(_) => fx.bug("an epoch has two onion keys"),
        }
    }

    /// Removes the keys of past epochs from memory; the caller erases their records.
    pub(in crate::node) fn expire_keys(&mut self, now: Now) -> Vec<Epoch> {
        self.arrivals.observe(now, self.mix.len());
        let expired = self.onion.expire(now);
        for epoch in &expired {
            self.logs.remove(epoch);
        }
        expired
    }

    /// Peels queued cells as far as the work budget allows, and stores their replay tags.
    pub(in crate::node) fn peel(&mut self, fx: &mut Effects, now: Now) {
        let mut cells = Vec::new();
        let mut tags: BTreeMap<Epoch, Vec<ReplayTag>> = BTreeMap::new();
        while cells.len() + fx.awaiting_disk() < MAX_AWAITING_DISK {
            let Some(PeelResult { from, outcome }) = self.onion.next_peel(now) else {
                break;
            };
            match &outcome {
                Peeled::Forward { mark, .. }
                | Peeled::Terminal { mark, .. }
                | Peeled::Extend { mark, .. }
                | Peeled::Meet { mark, .. } => {
                    tags.entry(mark.epoch).or_default().push(mark.tag);
                    cells.push(PeeledCell {
                        from,
                        at: now.mono,
                        peeled: outcome,
                    });
                }
                Peeled::Dropped(_) => {
                    fx.count(Counter::CellsDropped);
                }
            }
        }
        for (epoch, tags) in tags {
            if let Some(log) = self.logs.get_mut(&epoch) {
                fx.store(Record::ReplayTags(epoch, log.append(&tags)));
            }
        }
        for cell in cells {
            fx.defer(Continuation::ForwardCell(cell));
        }
        self.arm(fx);
    }

    /// The replay tag of a cell is durable: the cell enters the mix, or its payload the rendezvous.
    pub(in crate::node) fn forward_durable(
        &mut self,
        fx: &mut Effects,
        now: Now,
        cell: PeeledCell,
        context: RelayContext<'_>,
        gossip: &EnvelopeGossip,
    ) {
        let PeeledCell { from, at, peeled } = cell;
        match peeled {
            Peeled::Forward {
                next, delay, cell, ..
            } => {
                fx.trace(|| Trace::Peeled {
                    from: context.relay_label(from),
                    next: RelayLabel(next),
                });
                let mixed = MixedCell { from, next, cell };
                let due = at.after(blur(fx.path_rng(), delay));
                let evicted = self.mix.push(fx.path_rng(), due, from, mixed);
                self.arrivals.observe(now, self.mix.len());
                if evicted.is_some() {
                    fx.count(Counter::CellsDropped);
                }
            }
            Peeled::Terminal {
                hold,
                bulletin,
                delta,
                mark,
            } => {
                let source = PayloadSource {
                    from,
                    label: context.relay_label(from),
                    epoch: mark.epoch,
                    hold,
                    bulletin,
                };
                self.on_payload(fx, now, source, &delta, gossip);
            }
            circuit => request_circuit(fx, from, circuit, context),
        }
        self.arm(fx);
    }
}

/// Hands the setup cell of a circuit to `circuits`. It does not wait in the mix: the stream that follows
/// shows its times anyway.
fn request_circuit(fx: &mut Effects, from: LinkId, peeled: Peeled, context: RelayContext<'_>) {
    let class = context.link_class(from);
    let circuit = |ids, keys| {
        let link = from;
        let source = SetupSource { link, class, ids };
        Box::new(PeeledCircuit { source, keys })
    };
    let action = match peeled {
        Peeled::Extend {
            next,
            cell,
            ids,
            keys,
            ..
        } => CircuitAction::Extend(circuit(ids, keys), next, cell),
        Peeled::Meet {
            cookie, ids, keys, ..
        } => CircuitAction::Meet(circuit(ids, keys), cookie),
        Peeled::Forward { .. } | Peeled::Terminal { .. } | Peeled::Dropped(_) => return,
    };
    fx.request(Action::Circuit(action));
}

/// A delay of a cell, with a random part of one unit. The sender counts delays and holds in units of
/// 10 ms; without this part an observer could pair the cells that arrive and leave by the residue of
/// their difference.
pub(super) fn blur(rng: &mut ErasingRng, delay: Duration) -> Duration {
    delay.saturating_add(distributions::jitter(rng, HopDelay::UNIT))
}

/// Maximum number of peeled cells that wait for the disk; more wait in the ingress queue.
pub(super) const MAX_AWAITING_DISK: usize = 1024;
