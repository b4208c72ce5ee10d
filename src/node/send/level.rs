//! Availability of levels: whether a message can be sent at a level now.

use circuits::level::{Insertion, Level};
use circuits::path::RelaxedRules;
use circuits::time::Now;

use super::confirm::MIN_WITNESSES;
use super::message::relaxed_words;
use crate::node::clock_skew::ClockSkew;
use crate::node::command::Refusal;
use crate::node::directory::RelayDirectory;
use crate::node::emission::Emission;
use crate::node::gossip::EnvelopeGossip;
use crate::node::peers::Peers;
use crate::node::receive::Receiver;
use crate::node::stem::Stem;
use crate::node::views::LevelView;

/// What sending needs to know about the other components.
#[derive(Clone, Copy)]
pub(in crate::node) struct SendContext<'a> {
    /// The connections.
    pub(in crate::node) peers: &'a Peers,
    /// The mempool, and the policy on proof of work.
    pub(in crate::node) gossip: &'a EnvelopeGossip,
    /// The stem.
    pub(in crate::node) stem: &'a Stem,
    /// The relays.
    pub(in crate::node) directory: &'a RelayDirectory,
    /// The identities of the user.
    pub(in crate::node) receive: &'a Receiver,
    /// What peers show of this machine's clock.
    pub(in crate::node) clock: &'a ClockSkew,
    /// The slots of our cells.
    pub(in crate::node) emission: &'a Emission,
}

impl SendContext<'_> {
    /// Checks whether a message could be sent at a level now. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the rule that is not satisfied.
    pub(in crate::node) fn check_level(self, now: Now, level: Level) -> Result<(), Refusal> {
        self.relaxed_rules(now, level).map(drop)
    }

    /// The rules of path choice that have to be relaxed for a message at a level now.
    fn relaxed_rules(self, now: Now, level: Level) -> Result<RelaxedRules, Refusal> {
        if !level.is_implemented() {
            return Err(Refusal::policy(
                format!(
                    "level `{level}` is not implemented: it needs cover traffic that never stops"
                ),
                "use `normal`, and read docs/threat-model.md for what it does not protect from",
            ));
        }
        self.clock.check(now)?;
        match level.rules().insertion {
            Insertion::Gossip => Ok(RelaxedRules::default()),
            Insertion::Stem if self.stem.can_stem() => Ok(RelaxedRules::default()),
            Insertion::Stem => Err(Refusal::policy(
                format!("level `{level}` needs two peers that speak onion/1 and that you named"),
                "add whisht nodes with --peer or in the configuration file",
            )),
            Insertion::HeldStem => self.check_lanes(now, level),
        }
    }

    /// Checks whether a peer can take an envelope from this node now. A message of level `open` is
    /// accepted without one, and waits in the pool.
    pub(super) fn check_gossip_peer(self, level: Level) -> Result<(), Refusal> {
        if self.peers.shh6_peers() > 0 {
            return Ok(());
        }
        let named = self.peers.unconnected_static();
        let cause = match named {
            0 => format!("level `{level}` needs a peer, and none is connected"),
            1 => format!(
                "level `{level}` needs a peer; none is connected, 1 named peer is not reached"
            ),
            _ => format!(
                "level `{level}` needs a peer; none is connected, {named} named peers are not reached"
            ),
        };
        Err(Refusal::policy(
            cause,
            "see `whisht peers`, or add a peer with `whisht peers --add ENODE`",
        ))
    }

    fn check_lanes(self, now: Now, level: Level) -> Result<RelaxedRules, Refusal> {
        let peers = self.peers.shh6_peers();
        if peers < MIN_WITNESSES {
            return Err(Refusal::policy(
                format!(
                    "level `{level}` needs {MIN_WITNESSES} connected peers that confirm delivery, and \
                     {peers} {}",
                    if peers == 1 {
                        "is connected"
                    } else {
                        "are connected"
                    }
                ),
                "add peers with --peer or in the configuration file",
            ));
        }
        let lanes = self.directory.preview_lanes(now, level.rules(), self.peers);
        lanes.map(|plan| plan.relaxed).map_err(|error| {
            Refusal::policy(
                format!("level `{level}`: {error}"),
                "wait until more relays are known (`whisht relays`), or choose a lower level yourself",
            )
        })
    }

    /// Whether each level is available now.
    pub(in crate::node) fn level_views(self, now: Now) -> Vec<LevelView> {
        let levels = [
            Level::Open,
            Level::Swift,
            Level::Normal,
            Level::Hush,
            Level::Dark,
        ];
        let senders = self.known_senders();
        levels
            .into_iter()
            .map(|level| self.level_view(now, level, senders))
            .collect()
    }

    fn level_view(self, now: Now, level: Level, senders: usize) -> LevelView {
        let relaxed = self.relaxed_rules(now, level);
        let checked = relaxed.and_then(|relaxed| match level {
            Level::Open => self.check_gossip_peer(level).map(|()| relaxed),
            _ => Ok(relaxed),
        });
        let view = LevelView {
            level,
            implemented: level.is_implemented(),
            missing: None,
            senders: None,
            relaxed: None,
        };
        match checked {
            Ok(relaxed) => LevelView {
                senders: Some(match level {
                    // The first peer that gets the envelope sees that it comes from here.
                    Level::Open => 1,
                    _ => senders,
                }),
                relaxed: relaxed_words(relaxed),
                ..view
            },
            Err(refusal) => LevelView {
                missing: Some(refusal.cause),
                ..view
            },
        }
    }

    /// Number of nodes, this one included, that can send with a stem or through relays as far as this
    /// node knows: the relays of its directory, and its peers that speak `onion/1`. Nodes that neither
    /// relay nor are connected to this one are not counted, because their number is unknown.
    fn known_senders(self) -> usize {
        let mut known = self.directory.relay_ids();
        known.extend(self.peers.onion_ids());
        known.insert(self.directory.own());
        known.len()
    }
}
