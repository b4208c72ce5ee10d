//! Levels of privacy and their rules.
//!
//! A level trades time and traffic for protection. Its rules are data ([`LevelRules`]), the same
//! for every node: a configurable parameter would distinguish the nodes that set it. This module
//! does not decide whether the current network can sustain a level, and it never replaces one level
//! by another: if a level is not available, the caller refuses the message.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use rand_core::CryptoRng;

use crate::distributions;

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

    /// The levels that this version implements. The others need cover traffic that it does not send.
    pub const IMPLEMENTED: [Self; 3] = [Self::Open, Self::Swift, Self::Normal];

    /// Whether this version implements the level.
    #[must_use]
    pub const fn is_implemented(self) -> bool {
        matches!(self, Self::Open | Self::Swift | Self::Normal)
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
        f.write_str("unknown level; expected open, swift or normal")
    }
}

impl core::error::Error for UnknownLevel {}

/// The rules of a level (design.md section 7, spec.md M2, M14 and M18).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LevelRules {
    /// Minimum number of relays on a lane before the rendezvous. Lanes may be longer, never
    /// shorter: a set is as weak as its shortest lane.
    pub relays: u8,
    /// Number of lanes of one envelope.
    pub lanes: u8,
    /// Mean of the exponential delay at each relay, before truncation to 600 s.
    pub delay: Duration,
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
}

impl LevelRules {
    /// Draws the hold of an envelope at the rendezvous.
    #[must_use]
    pub fn sample_hold(&self, rng: &mut impl CryptoRng) -> Duration {
        distributions::exponential_within(rng, self.hold, MAX_WAIT)
    }

    /// The means of the waits of one cell: for its slot, at the rendezvous, at each relay.
    fn waits(&self) -> [Duration; MAX_WAITS] {
        let slot = match self.emission {
            EmissionSchedule::None => Duration::ZERO,
            EmissionSchedule::OnDemand { gap } => gap,
            EmissionSchedule::Stream { payload, .. } => payload,
        };
        let mut waits = [Duration::ZERO; MAX_WAITS];
        let relays = core::iter::repeat_n(self.delay, self.relays.into());
        let own = [slot, self.hold].into_iter().chain(relays);
        for (wait, mean) in waits.iter_mut().zip(own) {
            *wait = mean;
        }
        waits
    }
}

/// How a message is dispersed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dispersal {
    /// The envelope becomes shards that meet at one rendezvous.
    Converge,
    /// The envelope is not dispersed and uses no lane.
    None,
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

/// Draws the lag: how long before its composition the lifetime of an envelope starts.
///
/// The start of a lifetime is public, and the time from there to the insertion would reveal the
/// level. At every level that time follows one law, that of the latency of `dark`: the wait for a
/// payload slot, the delays at five relays, the hold. The path draws its own waits later; the lag is
/// only what they lack to the law, one draw per wait.
///
/// The completion is exact. With `m` the mean of the own wait and `M` that of the law, an exponential
/// wait of mean `M` is the sum of an exponential wait of mean `m` and, with probability `1 - m/M`,
/// another one of mean `M`. A wait that is longer than that of the law (`bulletin`) gets no addition.
/// One path is assumed: where several shards must arrive, the last of them decides, which at
/// `normal` is a matter of a second.
#[must_use]
pub fn sample_lag(rng: &mut impl CryptoRng, rules: &LevelRules) -> Duration {
    let law = LAG_LAW.waits();
    let pairs = law.into_iter().zip(rules.waits());
    pairs.map(|(law, own)| missing_wait(rng, law, own)).sum()
}

/// Mean time from the start of a lifetime to the insertion, where the level's own latency is not
/// longer.
#[must_use]
pub fn mean_lag(rules: &LevelRules) -> Duration {
    let law = LAG_LAW.waits();
    let pairs = law.into_iter().zip(rules.waits());
    pairs.map(|(law, own)| law.max(own)).sum()
}

/// What completes an exponential wait of mean `own` to one of mean `law`.
fn missing_wait(rng: &mut impl CryptoRng, law: Duration, own: Duration) -> Duration {
    let micros = |mean: Duration| u32::try_from(mean.as_micros()).unwrap_or(u32::MAX);
    if own >= law || distributions::below(rng, micros(law)) < micros(own) {
        return Duration::ZERO;
    }
    distributions::exponential_within(rng, law, MAX_WAIT)
}

/// The level whose latency every lag completes.
const LAG_LAW: &LevelRules = &DARK;

/// Number of waits of the longest path: payload slot, hold, delays at the relays.
const MAX_WAITS: usize = 7;
const _: () = assert!(
    DARK.relays == 5,
    "MAX_WAITS is 2 more than the relays of `dark`"
);

const OPEN: LevelRules = LevelRules {
    relays: 0,
    lanes: 0,
    delay: Duration::ZERO,
    hold: Duration::ZERO,
    dispersal: Dispersal::None,
    emission: EmissionSchedule::None,
    insertion: Insertion::Gossip,
    transport: TransportPolicy::Any,
};

const SWIFT: LevelRules = LevelRules {
    insertion: Insertion::Stem,
    ..OPEN
};

const NORMAL: LevelRules = LevelRules {
    relays: 3,
    lanes: 3,
    delay: Duration::from_millis(100),
    hold: Duration::from_secs(1),
    dispersal: Dispersal::Converge,
    emission: EmissionSchedule::OnDemand {
        gap: Duration::from_millis(250),
    },
    insertion: Insertion::HeldStem,
    transport: TransportPolicy::Any,
};

const HUSH: LevelRules = LevelRules {
    relays: 4,
    delay: Duration::from_secs(10),
    hold: Duration::from_secs(10),
    emission: STREAM,
    transport: TransportPolicy::TorPreferred,
    ..NORMAL
};

const DARK: LevelRules = LevelRules {
    relays: 5,
    lanes: 1,
    delay: Duration::from_secs(20),
    dispersal: Dispersal::Scatter,
    transport: TransportPolicy::TorOnly,
    ..HUSH
};

const BULLETIN: LevelRules = LevelRules {
    relays: 5,
    delay: Duration::from_secs(300),
    hold: Duration::from_secs(60),
    ..HUSH
};

/// 0.3 payload slots and 0.2 loops per second.
const STREAM: EmissionSchedule = EmissionSchedule::Stream {
    payload: PAYLOAD_GAP,
    loops: Duration::from_secs(5),
};
const PAYLOAD_GAP: Duration = Duration::from_nanos(3_333_333_333);

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

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
    fn implemented_levels_are_those_without_cover_traffic() {
        for level in Level::ALL {
            let listed = Level::IMPLEMENTED.contains(&level);
            let streams = matches!(level.rules().emission, EmissionSchedule::Stream { .. });
            assert_eq!((level.is_implemented(), listed), (!streams, !streams));
        }
        let error = UnknownLevel.to_string();
        assert!(
            !error.contains("hush") && !error.contains("bulletin"),
            "{error}"
        );
    }

    #[test]
    fn stronger_level_has_more_relays_and_delay() {
        let mixed = [Level::Open, Level::Normal, Level::Hush, Level::Dark];
        for pair in mixed.windows(2) {
            let (weak, strong) = (pair[0].rules(), pair[1].rules());
            assert!(weak.relays < strong.relays);
            assert!(weak.delay < strong.delay);
            assert!(weak.hold <= strong.hold);
        }
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
                } = level.rules();
                let emission = match emission {
                    EmissionSchedule::None => "none".to_owned(),
                    EmissionSchedule::OnDemand { gap } => format!("{gap:?}"),
                    EmissionSchedule::Stream { payload, loops } => {
                        format!("{payload:.1?}+{loops:?}")
                    }
                };
                format!(
                    "{level:8} {relays} {lanes} {delay:?} {hold:?} \
                     {dispersal:?} {emission} {insertion:?} {transport:?}\n"
                )
            })
            .collect();
        assert_eq!(
            rows,
            "\
open     0 0 0ns 0ns None none Gossip Any
swift    0 0 0ns 0ns None none Stem Any
normal   3 3 100ms 1s Converge 250ms HeldStem Any
hush     4 3 10s 10s Converge 3.3s+5s HeldStem TorPreferred
dark     5 1 20s 10s Scatter 3.3s+5s HeldStem TorOnly
bulletin 5 3 300s 60s Converge 3.3s+5s HeldStem TorPreferred
"
        );
    }

    #[test]
    fn lanes_of_every_level_fit_into_cell_slots() {
        for level in Level::ALL {
            assert!(usize::from(level.rules().relays) < crate::geometry::MAX_LAYERS);
        }
    }

    /// Times from the start of a lifetime to the insertion, of many messages: what the lag adds, and
    /// the waits of the path, drawn as senders draw them.
    fn insertions(level: Level, seed: u8) -> Vec<Duration> {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let rules = level.rules();
        let path = |rng: &mut ChaCha20Rng| -> Duration {
            let waits = rules.waits().into_iter();
            waits
                .map(|mean| distributions::exponential_within(rng, mean, MAX_WAIT))
                .sum()
        };
        let mut times: Vec<_> = (0..SAMPLES)
            .map(|_| sample_lag(&mut rng, rules) + path(&mut rng))
            .collect();
        times.sort_unstable();
        times
    }

    /// The largest difference between the empirical distributions of two sorted samples.
    fn kolmogorov_smirnov(one: &[Duration], other: &[Duration]) -> f64 {
        let below = |sample: &[Duration], time| sample.partition_point(|at| *at <= time);
        let gap = |time: &Duration| below(one, *time).abs_diff(below(other, *time));
        let widest = one.iter().chain(other).map(gap).max().unwrap_or(0);
        f64::from(u32::try_from(widest).unwrap()) / f64::from(SAMPLES)
    }

    const SAMPLES: u32 = 20_000;

    #[test]
    fn time_from_start_to_insertion_does_not_show_the_level() {
        let dark = insertions(Level::Dark, 1);
        // Five waits of 20 s, one of 10 s, one of 3.3 s: mean 113.3 s.
        let mean = dark.iter().sum::<Duration>().as_secs_f64() / f64::from(SAMPLES);
        assert!((mean - 113.3).abs() < 1.5, "mean {mean}");
        assert!((mean - mean_lag(&DARK).as_secs_f64()).abs() < 1.5);
        let levels = [
            Level::Open,
            Level::Swift,
            Level::Normal,
            Level::Hush,
            Level::Dark,
        ];
        for (seed, level) in (2..).zip(levels) {
            let distance = kolmogorov_smirnov(&dark, &insertions(level, seed));
            // Two samples of one distribution differ by less than 0.0195 in 999 of 1,000 cases.
            assert!(distance < 0.0195, "{level}: {distance}");
            assert!(mean_lag(level.rules()) == mean_lag(&DARK), "{level}");
        }
    }

    #[test]
    fn level_slower_than_the_law_gets_no_lag_for_its_delays() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        assert_eq!(sample_lag(&mut rng, &DARK), Duration::ZERO);
        assert_eq!(sample_lag(&mut rng, &BULLETIN), Duration::ZERO);
        assert!(mean_lag(&BULLETIN) > mean_lag(&DARK));
    }
}
