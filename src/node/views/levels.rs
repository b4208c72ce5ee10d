//! Views of levels: what a message costs, whether a level can be used, and what it protects from.

use circuits::ids::Profile;
use circuits::level::Level;
use serde::{Deserialize, Serialize};

use super::{RelayListView, level_word, profile_word};

/// The levels, and the network that mixes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LevelsView {
    /// Whether each level is available.
    pub levels: Vec<LevelView>,
    /// The custom levels of the configuration.
    pub custom: Vec<CustomLevelView>,
    /// The network of the mixing levels; `None` while it is not known.
    #[serde(deserialize_with = "Option::deserialize")]
    pub mixing: Option<MixingView>,
    /// The signed list that decides which relays paths may use; `None` without pinned signers.
    #[serde(deserialize_with = "Option::deserialize")]
    pub relay_list: Option<RelayListView>,
}

/// A custom level.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CustomLevelView {
    /// Its name.
    pub name: String,
    /// The level that it is based on.
    #[serde(with = "level_word")]
    pub base: Level,
}

/// The network that mixes, as its relays report it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct MixingView {
    /// Mean delay at each relay in seconds, the same for all mixing levels and for cover.
    pub delay_secs: u64,
    /// Cells that a relay receives per second; a quarter of the relays report less.
    pub rate: f64,
    /// Cells that wait at such a relay.
    pub pool: f64,
    /// Number of relays that paths can use.
    pub relays: usize,
    /// Number of these in the smallest layer.
    pub smallest_layer: usize,
    /// Number of senders that make this traffic.
    pub senders: u32,
    /// What is known about an adversary's success, for each assumed share of hostile relays; empty if the
    /// simulator's table has no network that is as small.
    pub protection: Vec<ProtectionView>,
}

/// An adversary's success against a message of a mixing level.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProtectionView {
    /// The assumed share of relays that disclose which cell became which.
    pub hostile: f64,
    /// The best guess of the sender is right once in so many messages.
    pub one_in: u32,
    /// Share of messages whose sender the adversary names with a probability above 0.1.
    pub above_tenth: f64,
    /// Share of messages whose sender it names with a probability above 0.5.
    pub above_half: f64,
    /// The same for several messages that the adversary knows to be of one sender.
    pub linked: Vec<LinkedView>,
    /// Number of senders of the simulated network that the figures come from.
    pub senders: u32,
    /// Number of its relays.
    pub relays: u32,
    /// Its mean delay at each relay in seconds.
    pub delay_secs: u64,
}

/// An adversary's success against linked messages.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LinkedView {
    /// Number of messages that the adversary knows to be of one sender.
    pub messages: u32,
    /// The best guess is right for one in so many senders.
    pub one_in: u32,
}

/// Whether a level is available.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LevelView {
    /// The level.
    #[serde(with = "level_word")]
    pub level: Level,
    /// The missing condition, if it is not available.
    #[serde(deserialize_with = "Option::deserialize")]
    pub missing: Option<String>,
    /// Size of the sender set: the nodes, this one included, that can have sent a message of this level
    /// as far as this node knows. 1 means that the sender is not hidden. `None` if the level is not
    /// available.
    #[serde(deserialize_with = "Option::deserialize")]
    pub senders: Option<usize>,
    /// The rules of path choice that the profile `local` relaxes now, if any.
    #[serde(deserialize_with = "Option::deserialize")]
    pub relaxed: Option<String>,
}

/// The estimated cost of a message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EstimateView {
    /// Its level.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Size of an envelope in bytes.
    pub envelope_bytes: usize,
    /// Number of envelopes.
    pub envelopes: usize,
    /// Mean number of hashes for the proof of work of all envelopes.
    pub expected_hashes: f64,
    /// Mean duration of that proof of work in milliseconds, at the measured hash rate.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sealing_ms: Option<u64>,
    /// Number of cells that leave this node.
    pub cells: usize,
    /// Bytes that this node sends for the message and would not send without it. Cells of a mixing level
    /// leave in place of cover, and add nothing.
    pub own_bytes: u64,
    /// Bytes of cells over all hops. At a mixing level they replace cover.
    pub network_bytes: u64,
    /// Bytes that every node of the network receives: the envelopes.
    pub flood_bytes: u64,
    /// Mean time in milliseconds until the first cell leaves.
    pub wait_ms: u64,
    /// Median time in milliseconds from the end of the proof of work until it is in the network.
    pub median_ms: u64,
    /// 95th percentile of the same.
    pub p95_ms: u64,
    /// Share of first attempts that arrive, if each hop loses a fiftieth of the cells; the times are
    /// those of attempts that arrive. `None` at levels that do not mix.
    #[serde(deserialize_with = "Option::deserialize")]
    pub first_attempt: Option<f64>,
    /// The profile for which the figures hold.
    #[serde(with = "profile_word")]
    pub profile: Profile,
}
