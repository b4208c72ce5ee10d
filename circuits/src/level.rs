//! Levels of privacy and their rules.
//!
//! A level trades time and traffic for protection. Its rules are data ([`LevelRules`]), the same
//! for every node: a configurable parameter would distinguish the nodes that set it. This module
//! does not decide whether the current network can sustain a level, and it never replaces one level
//! by another: if a level is not available, the caller refuses the message.

mod lag;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use rand_core::CryptoRng;

pub use self::lag::{mean_lag, sample_lag};

use crate::distributions;
use crate::mixing::{DelayClass, MixNetwork, MixRefusal, MixRequirements};

/// How well a message is protected, weakest level first.
///
/// ```
/// use circuits::level::{Level, TransportPolicy};
///
/// let level: Level = "dark".parse()?;
/// assert_eq!(level.rules().transport, TransportPolicy::TorOnly);
/// # Ok::<(), circuits::level::UnknownLevel>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Plain gossip, without any relay: observers may see that I send.
    Open,
    /// It is not obvious that I am the sender.
    Swift,
    /// No observer learns easily that I am the sender.
    Normal,
    /// An observer may be watching my connection.
    Hush,
    /// Identification would harm me.
    Dark,
    /// For messages that may take an hour, such as contact cards.
    Bulletin,
}

impl Level {
    /// Every level, in the order of the table in the documentation.
    pub const ALL: [Self; 6] = [
        Self::Open,
        Self::Swift,
        Self::Normal,
        Self::Hush,
        Self::Dark,
        Self::Bulletin,
    ];

    /// Whether messages of the level travel among cover, through the layers of the mixing network.
    #[must_use]
    pub const fn is_mixing(self) -> bool {
        self.rules().mixing.is_some()
    }

    /// Checks whether the network can carry the level. A level without mixing is not restricted here.
    ///
    /// # Errors
    ///
    /// [`MixRefusal`] with the rule and what is missing.
    pub fn check_network(self, network: &MixNetwork) -> Result<(), MixRefusal> {
        let required = self.rules().mixing.as_ref();
        required.map_or(Ok(()), |required| network.check(required))
    }

    /// The name of the level in configuration, commands and output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Swift => "swift",
            Self::Normal => "normal",
            Self::Hush => "hush",
            Self::Dark => "dark",
            Self::Bulletin => "bulletin",
        }
    }

    /// The rules of the level.
    #[must_use]
    pub const fn rules(self) -> &'static LevelRules {
        match self {
            Self::Open => &OPEN,
            Self::Swift => &SWIFT,
            Self::Normal => &NORMAL,
            Self::Hush => &HUSH,
            Self::Dark => &DARK,
            Self::Bulletin => &BULLETIN,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(word: &str) -> Result<Self, UnknownLevel> {
        Self::ALL
            .into_iter()
            .find(|level| level.word() == word)
            .ok_or(UnknownLevel)
    }
}

/// The word is not the name of a level.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown level; expected open, swift, normal, hush, dark or bulletin")
    }
}

impl core::error::Error for UnknownLevel {}

/// The rules of a level (design.md section 7, spec.md M2, M14 and M18).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LevelRules {
    /// Number of relays on a path before the rendezvous. It is exact at mixing levels. Lanes of
    /// other levels may be longer, never shorter: a set is as weak as its shortest lane.
    pub relays: u8,
    /// Number of lanes of one envelope. At mixing levels, every cell has a path of its own.
    pub lanes: u8,
    /// The exponential delay at each relay, before truncation to 600 s.
    pub delay: RelayDelay,
    /// Mean of the exponential hold at the rendezvous, before truncation to 600 s.
    pub hold: Duration,
    /// How a message is dispersed.
    pub dispersal: Dispersal,
    /// When cells leave the origin.
    pub emission: EmissionSchedule,
    /// How an envelope enters the network.
    pub insertion: Insertion,
    /// The transport that the links must use.
    pub transport: TransportPolicy,
    /// What a mixing level requires of the network.
    pub mixing: Option<MixRequirements>,
}

impl LevelRules {
    /// Draws the hold of an envelope at the rendezvous.
    #[must_use]
    pub fn sample_hold(&self, rng: &mut impl CryptoRng) -> Duration {
        distributions::exponential_within(rng, self.hold, MAX_WAIT)
    }

    /// The means of the waits of one cell: for its slot, at the rendezvous, at each relay.
    fn waits(&self, class: DelayClass) -> [Duration; MAX_WAITS] {
        let slot = match self.emission {
            EmissionSchedule::None => Duration::ZERO,
            EmissionSchedule::OnDemand { gap } => gap,
            EmissionSchedule::Stream { payload, .. } => payload,
        };
        let mut waits = [Duration::ZERO; MAX_WAITS];
        let relays = core::iter::repeat_n(self.delay.mean(class), self.relays.into());
        let own = [slot, self.hold].into_iter().chain(relays);
        for (wait, mean) in waits.iter_mut().zip(own) {
            *wait = mean;
        }
        waits
    }
}

/// How long cells wait at a relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelayDelay {
    /// This mean, in every network.
    Fixed(Duration),
    /// The delay class of the epoch, which all mixing levels and all cover share.
    Mixing,
}

impl RelayDelay {
    /// The mean in an epoch of this class.
    #[must_use]
    pub const fn mean(self, class: DelayClass) -> Duration {
        match self {
            Self::Fixed(mean) => mean,
            Self::Mixing => class.mean(),
        }
    }
}

/// How a message is dispersed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dispersal {
    /// An envelope that fits travels in one cell. A larger message is scattered if its recipient reads
    /// with whisht, and converges otherwise.
    ByRecipient,
    /// The envelope becomes shards that meet at one rendezvous.
    Converge,
    /// The envelope is not dispersed and uses no lane.
    None,
    /// An envelope that fits travels in one cell. A larger one converges.
    OneCellOrConverge,
    /// The message becomes envelopes of the smallest class. Each travels in a single cell to its
    /// own rendezvous.
    Scatter,
}

/// When cells leave their origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EmissionSchedule {
    /// No cells.
    None,
    /// The cells of each lane leave at exponential intervals, while there is something to send.
    OnDemand {
        /// Mean gap between two cells of one lane.
        gap: Duration,
    },
    /// Two independent Poisson streams that run with or without messages. The rates are the same in
    /// the whole network. A node that may ever send at such a level always emits both streams.
    Stream {
        /// Mean interval between payload slots; each slot sends a real cell or a drop cell.
        payload: Duration,
        /// Mean interval between loops, which no other traffic displaces or delays.
        loops: Duration,
    },
}

/// How an envelope enters the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Insertion {
    /// Into the node's own pool, announced like every other envelope.
    Gossip,
    /// Held by the rendezvous, then onto the stem of the rendezvous.
    HeldStem,
    /// Onto the node's own stem.
    Stem,
}

/// The transport that the links of a node must use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransportPolicy {
    /// Any transport.
    Any,
    /// Tor only; without Tor nothing is sent.
    TorOnly,
    /// Tor if it is available.
    TorPreferred,
}

/// Maximum wait of a cell at any place. A longer draw is redrawn; the relay would drop the cell.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// Number of waits of the longest path: payload slot, hold, delays at the relays.
const MAX_WAITS: usize = 7;
const _: () = assert!(
    DARK.relays == 5,
    "MAX_WAITS is 2 more than the relays of `dark`"
);

const OPEN: LevelRules = LevelRules {
    relays: 0,
    lanes: 0,
    delay: RelayDelay::Fixed(Duration::ZERO),
    hold: Duration::ZERO,
    dispersal: Dispersal::None,
    emission: EmissionSchedule::None,
    insertion: Insertion::Gossip,
    transport: TransportPolicy::Any,
    mixing: None,
};

const SWIFT: LevelRules = LevelRules {
    insertion: Insertion::Stem,
    ..OPEN
};

const NORMAL: LevelRules = LevelRules {
    relays: 3,
    lanes: 3,
    delay: RelayDelay::Fixed(Duration::from_millis(100)),
    hold: Duration::from_secs(1),
    dispersal: Dispersal::Converge,
    emission: EmissionSchedule::OnDemand {
        gap: Duration::from_millis(250),
    },
    insertion: Insertion::HeldStem,
    transport: TransportPolicy::Any,
    mixing: None,
};

const HUSH: LevelRules = LevelRules {
    relays: 5,
    lanes: 1,
    delay: RelayDelay::Mixing,
    hold: Duration::from_secs(5),
    dispersal: Dispersal::ByRecipient,
    emission: STREAM,
    transport: TransportPolicy::TorPreferred,
    mixing: Some(MixRequirements {
        pool: 20,
        relays: 25,
        smallest_layer: 3,
        settled: false,
    }),
    ..NORMAL
};

const DARK: LevelRules = LevelRules {
    hold: Duration::from_secs(10),
    dispersal: Dispersal::Scatter,
    transport: TransportPolicy::TorOnly,
    mixing: Some(MixRequirements {
        pool: 36,
        relays: 50,
        smallest_layer: 5,
        settled: true,
    }),
    ..HUSH
};

const BULLETIN: LevelRules = LevelRules {
    dispersal: Dispersal::OneCellOrConverge,
    transport: TransportPolicy::TorPreferred,
    ..DARK
};

/// Half a cell a second: payload slots, and loops that are a tenth of all cells.
const STREAM: EmissionSchedule = EmissionSchedule::Stream {
    payload: Duration::from_millis(2_200),
    loops: Duration::from_secs(20),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_parses_from_its_word() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert_eq!("Dark".parse::<Level>(), Err(UnknownLevel));
        assert_eq!("".parse::<Level>(), Err(UnknownLevel));
    }

    #[test]
    fn mixing_levels_share_route_delay_and_emission() {
        let dark = Level::Dark.rules();
        for level in Level::ALL {
            let rules = level.rules();
            let is_stream = matches!(rules.emission, EmissionSchedule::Stream { .. });
            assert_eq!(level.is_mixing(), is_stream);
            if level.is_mixing() {
                let route = |rules: &LevelRules| (rules.relays, rules.delay, rules.emission);
                assert_eq!(route(rules), route(dark), "{level}");
            }
        }
    }

    #[test]
    fn stronger_level_requires_more_of_the_network() {
        let [hush, dark] = [Level::Hush, Level::Dark].map(|level| level.rules().mixing.unwrap());
        assert!(hush.pool < dark.pool && hush.relays < dark.relays);
        assert!(hush.smallest_layer < dark.smallest_layer);
        assert!(dark.settled && !hush.settled);
        assert!(Level::Normal.rules().relays < Level::Hush.rules().relays);
    }

    #[test]
    fn level_rules_match_documentation() {
        let rows: String = Level::ALL
            .into_iter()
            .map(|level| {
                let LevelRules {
                    relays,
                    lanes,
                    delay,
                    hold,
                    dispersal,
                    emission,
                    insertion,
                    transport,
                    mixing,
                } = level.rules();
                let delay = match delay {
                    RelayDelay::Fixed(mean) => format!("{mean:?}"),
                    RelayDelay::Mixing => "D".to_owned(),
                };
                let network = mixing.map_or_else(String::new, |required| {
                    let MixRequirements {
                        pool,
                        relays,
                        smallest_layer,
                        ..
                    } = required;
                    format!(" {pool}/{relays}/{smallest_layer}")
                });
                let emission = match emission {
                    EmissionSchedule::None => "none".to_owned(),
                    EmissionSchedule::OnDemand { gap } => format!("{gap:?}"),
                    EmissionSchedule::Stream { payload, loops } => {
                        format!("{payload:.1?}+{loops:?}")
                    }
                };
                format!(
                    "{level:8} {relays} {lanes} {delay} {hold:?} \
                     {dispersal:?} {emission} {insertion:?} {transport:?}{network}\n"
                )
            })
            .collect();
        assert_eq!(
            rows,
            "\
open     0 0 0ns 0ns None none Gossip Any
swift    0 0 0ns 0ns None none Stem Any
normal   3 3 100ms 1s Converge 250ms HeldStem Any
hush     5 1 D 5s ByRecipient 2.2s+20s HeldStem TorPreferred 20/25/3
dark     5 1 D 10s Scatter 2.2s+20s HeldStem TorOnly 36/50/5
bulletin 5 1 D 10s OneCellOrConverge 2.2s+20s HeldStem TorPreferred 36/50/5
"
        );
    }

    #[test]
    fn lanes_of_every_level_fit_into_cell_slots() {
        for level in Level::ALL {
            assert!(usize::from(level.rules().relays) < crate::geometry::MAX_LAYERS);
        }
    }

    /// A rendezvous sees the hold of what it inserts, whose mean is 5 s at `hush` and 10 s at the other mixing
    /// levels. The longer of two holds is of `dark` in two of three cases. Everything else that a rendezvous
    /// sees of one cell is equal at the mixing levels.
    #[test]
    fn hold_tells_hush_from_dark_in_two_of_three_cases() {
        use rand_chacha::ChaCha20Rng;
        use rand_core::SeedableRng;
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        let mut rate = |one: Level, other: Level| {
            let longer = (0..20_000).filter(|_| {
                let [one, other] = [one, other].map(|level| level.rules().sample_hold(&mut rng));
                other > one
            });
            f64::from(u32::try_from(longer.count()).unwrap()) / 20_000.0
        };
        // A deviation of .0034.
        let told = rate(Level::Hush, Level::Dark);
        assert!((told - 2.0 / 3.0).abs() < 0.012, "{told}");
        let told = rate(Level::Bulletin, Level::Dark);
        assert!((told - 0.5).abs() < 0.012, "{told}");
    }
}
