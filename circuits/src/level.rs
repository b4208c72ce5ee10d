//! Levels of privacy, and what each of them demands.
//!
//! A level is one word that buys protection with time and traffic. Its rules are data
//! ([`LevelRules`]), the same for every node: a parameter that could be set would tell its owner
//! from everybody else. Whether the network as it is now can sustain a level is not judged here, and
//! nothing here ever turns one level into another; where one cannot be had, the caller refuses.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use rand_core::CryptoRng;

use crate::distributions;

/// How well a message is to be protected, weakest first.
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
    /// Plain Whisper; I do not mind being seen to send.
    Open,
    /// Not obviously me.
    Swift,
    /// Nobody should easily learn that it was me.
    Normal,
    /// Someone may be watching my line.
    Hush,
    /// Being identified would harm me.
    Dark,
    /// For what may take an hour: contact cards.
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

    /// The word for it in configuration, commands and output.
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

    /// What it demands.
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

/// The word names no level.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such level; there are open, swift, normal, hush, dark and bulletin")
    }
}

impl core::error::Error for UnknownLevel {}

/// What a level demands (design.md section 7, spec.md M2, M14 and M18).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LevelRules {
    /// Least number of relays on a lane before the rendezvous. Lanes may be longer, never shorter:
    /// a set is as weak as its shortest lane.
    pub relays: u8,
    /// Lanes of one envelope.
    pub lanes: u8,
    /// Mean of the exponential wait at each relay, before [`MAX_WAIT`] is heeded.
    pub delay: Duration,
    /// Mean of the exponential wait at the rendezvous, before [`MAX_WAIT`] is heeded.
    pub hold: Duration,
    /// How a message is taken apart.
    pub dispersal: Dispersal,
    /// When cells leave.
    pub emission: EmissionSchedule,
    /// How an envelope enters the network.
    pub insertion: Insertion,
    /// What the links must run over.
    pub transport: TransportPolicy,
}

impl LevelRules {
    /// Draws how long the rendezvous is to hold an envelope.
    #[must_use]
    pub fn sample_hold(&self, rng: &mut impl CryptoRng) -> Duration {
        distributions::exponential_within(rng, self.hold, MAX_WAIT)
    }
}

/// How a message is taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dispersal {
    /// The envelope becomes shards that meet at one rendezvous.
    Converge,
    /// The envelope travels alone, on no lane.
    None,
    /// The message becomes envelopes of the smallest class, each of which travels whole, in one
    /// cell, to a rendezvous of its own.
    Scatter,
}

/// When cells leave their origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EmissionSchedule {
    /// No cells.
    None,
    /// Each lane's cells follow one another at exponential gaps, once there is something to send.
    OnDemand {
        /// Mean gap between two cells of one lane.
        gap: Duration,
    },
    /// Two independent Poisson streams, used or not. The rates are those of the network, and a node
    /// that may ever send at such a level emits them always.
    Stream {
        /// Mean gap between payload slots, in which a real cell or else a drop cell goes.
        payload: Duration,
        /// Mean gap between loops, which nothing displaces or delays.
        loops: Duration,
    },
}

/// How an envelope enters the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Insertion {
    /// Into the own pool, announced like any other.
    Gossip,
    /// Held by the rendezvous, then onto its stem.
    HeldStem,
    /// Onto the own stem.
    Stem,
}

/// What the links of a node must run over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransportPolicy {
    /// Anything.
    Any,
    /// Tor only; without it nothing is sent.
    TorOnly,
    /// Tor where there is one.
    TorPreferred,
}

/// No cell waits longer anywhere; a longer draw is drawn again, or it would be dropped.
pub const MAX_WAIT: Duration = Duration::from_secs(600);

/// Draws how far the start of an envelope's life lies back when it is sealed.
///
/// The start is public, and what has passed since would show the level. So every level draws the lag
/// from one law, that of the latency of `dark`: the wait for a payload slot, at five relays, and at
/// the rendezvous.
#[must_use]
pub fn sample_lag(rng: &mut impl CryptoRng) -> Duration {
    let relays = (0..DARK.relays).map(|_| DARK.delay);
    [PAYLOAD_GAP, DARK.hold]
        .into_iter()
        .chain(relays)
        .map(|mean| distributions::exponential_within(rng, mean, MAX_WAIT))
        .sum()
}

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

/// .3 payload slots and .2 loops per second.
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
    fn every_level_reads_back_from_its_word() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert_eq!("Dark".parse::<Level>(), Err(UnknownLevel));
        assert_eq!("".parse::<Level>(), Err(UnknownLevel));
    }

    #[test]
    fn a_stronger_level_never_demands_less() {
        let mixed = [Level::Open, Level::Normal, Level::Hush, Level::Dark];
        for pair in mixed.windows(2) {
            let (weak, strong) = (pair[0].rules(), pair[1].rules());
            assert!(weak.relays < strong.relays);
            assert!(weak.delay < strong.delay);
            assert!(weak.hold <= strong.hold);
        }
    }

    #[test]
    fn the_rules_are_those_of_the_documentation() {
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
    fn lanes_fit_into_the_slots_of_a_cell() {
        for level in Level::ALL {
            assert!(usize::from(level.rules().relays) < crate::geometry::MAX_LAYERS);
        }
    }

    #[test]
    fn the_lag_has_the_latency_of_dark() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let mut lags: Vec<_> = (0..4_001).map(|_| sample_lag(&mut rng)).collect();
        lags.sort_unstable();
        // Five waits of 20 s, one of 10 s, one of 3.3 s: mean 113.3 s, median 107 s.
        let mean = lags.iter().sum::<Duration>().as_secs_f64() / 4_001.0;
        assert!((mean - 113.3).abs() < 3.0, "mean {mean}");
        let median = lags[2_000].as_secs_f64();
        assert!((median - 107.0).abs() < 3.5, "median {median}");
    }
}
