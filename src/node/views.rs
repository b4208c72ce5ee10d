//! Views: what the node answers to queries, as plain values for tables and JSON.
//!
//! A view leaves the node only on the user's request, and is never logged.
//!
//! The command line reads the same types from the node's replies, so a missing key or a wrong type
//! is an error there: an optional field has to be present, as `null` if it has no value. Numbers with
//! a fraction inside a tagged enum are only read from a [`serde_json::Value`], because serde buffers
//! them.

mod circuit;
mod condition;
mod dial_back;
mod emission;
mod flow;
mod levels;
mod metrics;
mod relay_list;

use circuits::ids::Profile;
use circuits::level::Level;
use serde::{Deserialize, Serialize};

pub use self::circuit::CircuitsView;
pub use self::condition::{ClockView, InboundView, ListenerFaultView, TurnTimes};
pub use self::dial_back::{DialBackOutcome, DialBackView, DialedBackView};
pub use self::emission::{EmissionView, LoopAlarmView};
pub(super) use self::flow::bytes_per_day;
pub use self::flow::{FlowView, own_bytes_per_day, settings_bytes_per_day};
pub use self::levels::{
    CustomLevelView, EstimateView, LevelView, LevelsView, LinkedView, MixingView, ProtectionView,
};
pub use self::metrics::{ArchiveMetrics, MetricsView};
pub use self::relay_list::{ListInForceView, RelayListView};
use super::command::IdentityKind;
use super::event::MessageId;
use crate::gossip::PowRule;

/// A received message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MessageView {
    /// Its id: the hash of its envelope (32 bytes, hexadecimal).
    pub id: String,
    /// When this node received it (seconds since 1970). If the node keeps nothing, that is later after a
    /// restart.
    pub received: u32,
    /// The identity that it was received with.
    pub to: String,
    /// The signer's public key (65 bytes, hexadecimal), if it is signed.
    #[serde(deserialize_with = "Option::deserialize")]
    pub from: Option<String>,
    /// The envelope's topic, hexadecimal.
    pub topic: String,
    /// When it was made, according to its sender (seconds since 1970, rounded).
    pub made: u32,
    /// When the envelope expires (seconds since 1970).
    pub expires: u32,
    /// The payload, hexadecimal.
    pub payload: String,
}

/// An identity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IdentityView {
    /// Its name.
    pub name: String,
    /// A key pair or a shared key.
    pub kind: IdentityKind,
    /// The public key (65 bytes, hexadecimal), of a key pair.
    #[serde(deserialize_with = "Option::deserialize")]
    pub public_key: Option<String>,
    /// The topic, of a shared key.
    #[serde(deserialize_with = "Option::deserialize")]
    pub topic: Option<String>,
    /// Whether its key is locked: it can neither read nor sign until it is unlocked.
    pub locked: bool,
}

/// An outgoing message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OutgoingView {
    /// Its number.
    pub id: MessageId,
    /// Its level.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Its stage.
    pub stage: super::event::Stage,
    /// What it costs, as estimated when it was first sent.
    #[serde(deserialize_with = "Option::deserialize")]
    pub price: Option<PriceView>,
}

/// The estimated price of a message, without its proof of work.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PriceView {
    /// Bytes of its cells over all hops.
    pub bytes: u64,
    /// Time until the network has it, in seconds: 95 of 100 messages need at most this.
    pub seconds: u64,
}

impl PriceView {
    /// The price in an estimate.
    pub(in crate::node) const fn of(estimate: &EstimateView) -> Self {
        Self {
            bytes: estimate.network_bytes,
            seconds: estimate.p95_ms.div_ceil(1_000),
        }
    }
}

/// A peer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PeerView {
    /// Its link key (64 bytes, hexadecimal).
    pub key: String,
    /// Its client name.
    pub client: String,
    /// The dialled address, or the remote address with port 0, if it is known.
    #[serde(deserialize_with = "Option::deserialize")]
    pub address: Option<String>,
    /// Whether we dialled it.
    pub outbound: bool,
    /// Whether discovery found it.
    pub found: bool,
    /// Whether the user named it; then it is dialled again when it disconnects.
    pub named: bool,
    /// Whether it is admitted above the maximum number of peers.
    pub always_admitted: bool,
    /// Capabilities in use, such as `shh/6`.
    pub capabilities: Vec<String>,
    /// Its minimum proof of work.
    pub min_pow: f64,
    /// The proof-of-work rule that it is assumed to apply.
    #[serde(with = "pow_rule_word")]
    pub pow_rule: Option<PowRule>,
    /// Whether it accepts our hidden messages, as far as its proof-of-work rule and minimum are known.
    /// They spread through other peers otherwise.
    pub served: bool,
    /// Whether its direct messages are accepted without checks.
    pub trusted: bool,
    /// Whether it is sent hashes and requests envelopes, as whisht nodes do.
    pub pulls: bool,
    /// Its score from -100 to 100: the work of the envelopes that it sent, less its faults.
    pub rating: i8,
    /// Number of envelopes received from it.
    pub received: u64,
    /// Number of envelopes sent to it.
    pub sent: u64,
}

/// A peer that the user named, and that is not connected.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UnreachedPeerView {
    /// Its link key (64 bytes, hexadecimal).
    pub key: String,
    /// Its address.
    pub address: String,
    /// Seconds until it is dialled again; `None` while it is being dialled.
    #[serde(deserialize_with = "Option::deserialize")]
    pub next_try_secs: Option<u64>,
    /// Why the last dial failed or the last link ended; `None` before the first result.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
}

/// The node as its peers see it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NodeView {
    /// Its link key (64 bytes, hexadecimal).
    pub key: String,
    /// Name and version.
    pub client: String,
    /// Its advertised addresses.
    pub advertised: Vec<String>,
    /// Whether discovery runs on its listening ports.
    pub discovery: bool,
    /// The proof of work that it requires.
    pub min_pow: f64,
    /// Size of the largest envelope that it accepts.
    pub max_message_size: usize,
}

/// A relay in the directory.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RelayView {
    /// Its id (32 bytes, hexadecimal), for `--guard` and `--family`.
    pub id: String,
    /// Its subnet group.
    pub subnet: String,
    /// Whether paths can use it now.
    pub eligible: bool,
    /// Whether it is our guard.
    pub guard: bool,
    /// Difficulty of its tickets, in bits.
    pub ticket_bits: u8,
}

/// An exchange with a mail server that has just started.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FetchView {
    /// Its number.
    pub fetch: super::event::FetchId,
    /// The server's key (64 bytes, hexadecimal).
    pub server: String,
    /// Beginning of the requested range (seconds since 1970), rounded down to hide the user's
    /// choice.
    pub since: u32,
    /// End of the requested range.
    pub until: u32,
    /// The requested share of all topics: the server learns that ours are among them.
    pub share: f64,
}

/// The state of the mail server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MailView {
    /// Number of envelopes made durable since the start.
    pub kept: u64,
    /// Number of envelopes that wait for the archive.
    pub waiting: u64,
    /// Size of the archive in bytes.
    pub bytes: u64,
    /// When the oldest envelope was sent (seconds since 1970), if there is one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub oldest: Option<u32>,
    /// Number of requests being answered.
    pub answering: usize,
    /// Number of envelopes sent since the start.
    pub given: u64,
}

/// The part of [`StatusView`] that every command reads, also from a node of another version.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ProfileView {
    /// `main` or `local`.
    #[serde(with = "profile_word")]
    pub profile: Profile,
}

/// The state of the node.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StatusView {
    /// Name and version.
    pub client: String,
    /// `main` or `local`; figures of `local` do not hold for the real network.
    #[serde(with = "profile_word")]
    pub profile: Profile,
    /// The default level of messages.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Our link key (64 bytes, hexadecimal).
    pub key: String,
    /// Seconds since start.
    pub uptime_secs: u64,
    /// Number of connected peers.
    pub peers: usize,
    /// Number of these that speak `onion/1`.
    pub dark_peers: usize,
    /// Peers that the user named, and that are not connected.
    pub unreached_peers: Vec<UnreachedPeerView>,
    /// Number of gossip peers that do not accept our hidden messages, by their rule or minimum.
    pub unserved_peers: usize,
    /// Number of banned keys and addresses.
    pub refused: usize,
    /// Whether another node seems to use the key of this one.
    pub key_in_use: bool,
    /// The places of inbound links, and the listeners.
    pub inbound: InboundView,
    /// What peers last reported that dialled this node on request; `None` if none was asked.
    #[serde(deserialize_with = "Option::deserialize")]
    pub dial_back: Option<DialBackView>,
    /// Number of known relays.
    pub relays: usize,
    /// Number of relays that paths can use now.
    pub eligible_relays: usize,
    /// Whether the directory is old enough to judge relays by.
    pub directory: DirectoryAge,
    /// The signed list that decides which relays paths may use; `None` without pinned signers.
    #[serde(deserialize_with = "Option::deserialize")]
    pub relay_list: Option<RelayListView>,
    /// Whether it relays cells of other nodes.
    pub relay: bool,
    /// Whether it is listed in the directory for this epoch, or why not.
    pub listed: String,
    /// While draining, the seconds until no path leads through this relay any more.
    #[serde(deserialize_with = "Option::deserialize")]
    pub drained_in_secs: Option<u32>,
    /// How far this machine's clock is from those of its peers; `None` if no named peer shows it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub clock: Option<ClockView>,
    /// Number of envelopes in the mempool.
    pub pool_envelopes: usize,
    /// Size of the mempool in bytes.
    pub pool_bytes: usize,
    /// Number of envelopes, requests and announced hashes that had no room in a queue of the gossip
    /// since the start. Envelopes follow later from the mempool.
    pub gossip_displaced: u64,
    /// Number of packets dropped since the start, because a peer reads too slowly.
    pub packets_dropped: u64,
    /// Number of envelopes that our keys have not been tried on yet.
    pub untried: usize,
    /// Number of envelopes that expired or were evicted before our keys were tried on them, since the
    /// start. Messages for this user may have been among them.
    pub pool_untried: u64,
    /// Number of direct envelopes of trusted peers that were dropped before our keys were tried on
    /// them, since the start.
    pub direct_untried: u64,
    /// How long the turns of the node took; `None` if the shell does not measure them.
    #[serde(deserialize_with = "Option::deserialize")]
    pub turns: Option<TurnTimes>,
    /// Number of cells forwarded since the start.
    pub cells_forwarded: u64,
    /// Number of cells dropped since the start.
    pub cells_dropped: u64,
    /// Number of envelopes rebuilt here as a rendezvous.
    pub rebuilt: u64,
    /// The circuits of this node and of others.
    pub circuits: CircuitsView,
    /// The cover traffic of this node.
    pub emission: EmissionView,
    /// The traffic of all links, and what waits.
    pub flow: FlowView,
    /// Number of messages in flight.
    pub outgoing: usize,
    /// Number of verified nodes in discovery; `None` without discovery.
    #[serde(deserialize_with = "Option::deserialize")]
    pub discovery: Option<usize>,
    /// Number of peers that discovery found.
    pub found_peers: usize,
    /// The mail server, if the node is one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub mail: Option<MailView>,
    /// Whether contacts and messages of earlier runs are locked.
    pub state_locked: bool,
    /// Why cards of own addresses that are due cannot be published now; `None` if none waits.
    #[serde(deserialize_with = "Option::deserialize")]
    pub cards_wait: Option<String>,
    /// Whether Tor carries the links.
    pub tor: bool,
    /// Why no link can be opened now, such as the state of Tor; `None` if links can be opened.
    #[serde(deserialize_with = "Option::deserialize")]
    pub shut: Option<String>,
    /// Why it is unknown whether links can be opened; `None` if it is known, or was shown by a link.
    #[serde(deserialize_with = "Option::deserialize")]
    pub unverified: Option<String>,
    /// The onion services of this relay.
    pub onion: Vec<String>,
    /// Whether each level is available.
    pub levels: Vec<LevelView>,
}

/// [`StatusView::listed`] of a relay that is listed.
pub const LISTED: &str = "yes";

/// The age of the directory.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryAge {
    /// At least a day old.
    Settled,
    /// Less than a day old.
    Young,
}

impl DirectoryAge {
    /// The age of a directory that is young, or is not.
    pub(super) const fn of(is_young: bool) -> Self {
        if is_young { Self::Young } else { Self::Settled }
    }
}

/// A level as its word.
pub(super) mod level_word {
    use circuits::level::Level;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub(in crate::node) fn serialize<S: Serializer>(
        level: &Level,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(level.word())
    }

    pub(in crate::node) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Level, D::Error> {
        let word = String::deserialize(from)?;
        word.parse()
            .map_err(|_| de::Error::custom(format_args!("there is no level {word:?}")))
    }
}

/// A profile as its word.
mod profile_word {
    use circuits::ids::Profile;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub(super) fn serialize<S: Serializer>(profile: &Profile, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(profile.label())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Profile, D::Error> {
        let word = String::deserialize(from)?;
        [Profile::Main, Profile::Local]
            .into_iter()
            .find(|profile| profile.label() == word)
            .ok_or_else(|| de::Error::custom(format_args!("there is no profile {word:?}")))
    }
}

/// A rule of proof of work as a word; `none` for a peer without gossip.
mod pow_rule_word {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::gossip::PowRule;

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub(super) fn serialize<S: Serializer>(
        rule: &Option<PowRule>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(rule.map_or(NONE, PowRule::label))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PowRule>, D::Error> {
        let word = String::deserialize(from)?;
        if word == NONE {
            return Ok(None);
        }
        PowRule::ALL
            .into_iter()
            .find(|rule| rule.label() == word)
            .map(Some)
            .ok_or_else(|| de::Error::custom(format_args!("there is no rule {word:?}")))
    }

    const NONE: &str = "none";
}

#[cfg(test)]
mod tests;
