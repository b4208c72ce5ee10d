//! Availability of levels: whether a message can be sent at a level now.
//!
//! A level whose rules are not satisfied is refused with the rule and the number that is missing. It is
//! never replaced by another one; only the user chooses a lower level.

use circuits::ids::Profile;
use circuits::level::{Insertion, Level, TransportPolicy};
use circuits::mixing::{MixRefusal, MixRule};
use circuits::path::RelaxedRules;
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::confirm::MIN_WITNESSES;
use super::message::relaxed_words;
use crate::node::clock_skew::ClockSkew;
use crate::node::command::Refusal;
use crate::node::config::Cover;
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

    /// The rules that a message at a level goes without now.
    fn relaxed_rules(self, now: Now, level: Level) -> Result<RelaxedRules, Refusal> {
        self.clock.check(now)?;
        match level.rules().insertion {
            Insertion::Gossip => Ok(RelaxedRules::default()),
            Insertion::Stem if self.stem.can_stem() => Ok(RelaxedRules::default()),
            Insertion::Stem => Err(Refusal::policy(
                format!("level `{level}` needs two peers that speak onion/1 and that you named"),
                "add whisht nodes with --peer or in the configuration file",
            )),
            Insertion::HeldStem if level.is_mixing() => self.check_mixing(now, level),
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

    /// Checks the rules of a mixing level: cover, transport, network, and a path for a cell.
    fn check_mixing(self, now: Now, level: Level) -> Result<RelaxedRules, Refusal> {
        let cover = self.check_cover(level)?;
        let tor = self.check_transport(level)?;
        let network = self.directory.mix_network(now);
        level.check_network(&network).map_err(|refusal| {
            let remedy = remedy(&refusal);
            Refusal::policy(format!("level `{level}` {refusal}"), remedy)
        })?;
        self.check_witnesses(level)?;
        // A question draws from a generator of its own.
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let paths = self.directory.mix_paths(now);
        let path = paths.and_then(|(_, paths)| Ok(paths.draw(&mut rng)?));
        path.map_err(|error| Refusal::policy(format!("level `{level}`: {error}"), MORE_RELAYS))?;
        Ok(RelaxedRules {
            tor,
            cover,
            ..RelaxedRules::default()
        })
    }

    /// Checks that this node sends cover traffic, in which the cells of a message hide; returns whether
    /// it sends less of it than others.
    fn check_cover(self, level: Level) -> Result<bool, Refusal> {
        match self.emission.cover() {
            Cover::Full => Ok(false),
            Cover::Reduced => Ok(true),
            Cover::Off => Err(Refusal::policy(
                format!(
                    "level `{level}` hides a message in cover traffic, and this node sends none"
                ),
                "set cover = \"full\" (`--cover full`) and start the node again, or choose another \
                 level yourself",
            )),
        }
    }

    /// Checks the rule on transport; returns whether the level goes without the Tor that it requires
    /// or prefers. On `local`, where all links are on one machine, no level requires Tor.
    fn check_transport(self, level: Level) -> Result<bool, Refusal> {
        let uses_tor = self.directory.dials_through_tor();
        let is_local = self.directory.profile() == Profile::Local;
        match level.rules().transport {
            TransportPolicy::Any => Ok(false),
            TransportPolicy::TorOnly if !uses_tor && !is_local => Err(Refusal::policy(
                format!(
                    "level `{level}` is sent through Tor only, and this node connects without Tor"
                ),
                "set tor.mode (`--tor`), or choose another level yourself",
            )),
            TransportPolicy::TorOnly | TransportPolicy::TorPreferred => Ok(!uses_tor),
        }
    }

    fn check_witnesses(self, level: Level) -> Result<(), Refusal> {
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
        Ok(())
    }

    fn check_lanes(self, now: Now, level: Level) -> Result<RelaxedRules, Refusal> {
        self.check_witnesses(level)?;
        let lanes = self.directory.preview_lanes(now, level.rules(), self.peers);
        lanes
            .map(|plan| plan.relaxed)
            .map_err(|error| Refusal::policy(format!("level `{level}`: {error}"), MORE_RELAYS))
    }

    /// Whether each level is available now.
    pub(in crate::node) fn level_views(self, now: Now) -> Vec<LevelView> {
        let levels = [
            Level::Open,
            Level::Swift,
            Level::Normal,
            Level::Hush,
            Level::Dark,
            Level::Bulletin,
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

/// What the user can do about a network that cannot carry a level.
const fn remedy(refusal: &MixRefusal) -> &'static str {
    match refusal.rule {
        MixRule::Young => {
            "leave this node running for a day, or choose another level yourself: `hush` needs less"
        }
        MixRule::Pool { .. } => {
            "wait until more nodes send cover traffic: relays state the rate of the last twelve hours; \
             or choose another level yourself"
        }
        _ => MORE_RELAYS,
    }
}

const MORE_RELAYS: &str =
    "wait until more relays are known (`whisht relays`), or choose a lower level yourself";

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use circuits::directory::RelayEndpoint;

    use super::*;
    use crate::node::config::NodeConfig;
    use crate::node::directory::RelayState;
    use crate::node::fixture::{Fixture, START};
    use crate::node::peers::LinkPurpose;

    const MIXING: [Level; 3] = [Level::Hush, Level::Dark, Level::Bulletin];

    fn on_main(config: &mut NodeConfig) {
        config.profile = Profile::Main;
        config.cover = Cover::Full;
    }

    fn refusal(test: &mut Fixture, level: Level) -> Refusal {
        let (_, context) = test.sending();
        context.check_level(START, level).unwrap_err()
    }

    /// A local network of this many relays, to which this node is connected.
    fn connected(relays: u8) -> Fixture {
        let mut test = Fixture::new(|config| {
            config.relay = false;
            config.cover = Cover::Full;
        });
        for number in 10..10 + relays {
            test.list_relay(number, RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1));
        }
        for number in 60..60 + u8::try_from(MIN_WITNESSES).unwrap() {
            test.connect(number, LinkPurpose::Peer);
        }
        for secs in [0, 5] {
            let now = Now {
                mono: START.mono.after(Duration::from_secs(secs)),
                unix: START.unix,
            };
            let (directory, peers) = (&mut test.directory, &test.peers);
            directory.turn_epoch(&mut test.fx, now, &[], RelayState::IDLE, peers);
        }
        test
    }

    #[test]
    fn dark_without_tor_is_refused_with_the_rule_and_the_remedy() {
        let mut test = Fixture::new(on_main);
        let refused = refusal(&mut test, Level::Dark);
        assert!(
            refused.cause.contains("through Tor only"),
            "{}",
            refused.cause
        );
        assert!(refused.remedy.contains("tor.mode"), "{}", refused.remedy);
        // The others do not require Tor: what they lack is relays.
        for level in [Level::Hush, Level::Bulletin] {
            let refused = refusal(&mut test, level);
            assert!(!refused.cause.contains("Tor"), "{}", refused.cause);
        }
        let mut test = Fixture::new(|config| {
            on_main(config);
            config.through_tor = true;
        });
        let refused = refusal(&mut test, Level::Dark);
        assert!(
            !refused.cause.contains("through Tor only"),
            "{}",
            refused.cause
        );
    }

    #[test]
    fn mixing_level_in_a_network_without_relays_is_refused_with_the_missing_number() {
        let mut test = Fixture::new(on_main);
        let refused = refusal(&mut test, Level::Hush);
        let expected = "needs at least 25 eligible relays; there are 0, so 25 are missing";
        assert!(refused.cause.contains(expected), "{}", refused.cause);
        assert!(
            refused.remedy.contains("whisht relays"),
            "{}",
            refused.remedy
        );
    }

    #[test]
    fn mixing_levels_on_local_need_a_relay_in_every_layer_and_say_that_tor_is_missing() {
        let mut test = connected(4);
        for level in MIXING {
            let refused = refusal(&mut test, level);
            assert!(refused.cause.contains("layer 5 has 0"), "{}", refused.cause);
        }
        let mut test = connected(6);
        for level in MIXING {
            let (_, context) = test.sending();
            let views = context.level_views(START);
            let view = views.iter().find(|view| view.level == level).unwrap();
            assert_eq!(view.missing, None, "{level}");
            assert_eq!(view.relaxed.as_deref(), Some("links without Tor"));
        }
        let (_, context) = test.sending();
        let views = context.level_views(START);
        let normal = views.iter().find(|view| view.level == Level::Normal);
        assert!(normal.is_some_and(|view| view.relaxed.as_deref() != Some("links without Tor")));
    }

    #[test]
    fn question_for_a_mixing_level_draws_nothing_from_the_generators() {
        use rand_core::Rng;
        let (mut test, mut untouched) = (connected(6), connected(6));
        let (_, context) = test.sending();
        context.check_level(START, Level::Dark).unwrap();
        assert_eq!(test.fx.rng().next_u64(), untouched.fx.rng().next_u64());
        assert_eq!(
            test.fx.path_rng().next_u64(),
            untouched.fx.path_rng().next_u64()
        );
    }
}
