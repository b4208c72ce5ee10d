//! What commands show: plain values, ready for a table or for JSON.
//!
//! These leave the node on the user's own request and never reach a log.
//!
//! The command line reads the same types from the node's replies, so a missing key or a wrong type
//! is an error there: an optional field has to be present, as `null` if it has no value. Numbers with
//! a fraction inside a tagged enum are only read from a [`serde_json::Value`], because serde buffers
//! them.

use circuits::ids::Profile;
use circuits::level::Level;
use serde::{Deserialize, Serialize};

use super::command::IdentityKind;
use super::event::MessageId;
use crate::gossip::PowRule;

/// A received message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MessageView {
    /// Counts upwards from 1 while the node runs.
    pub number: u64,
    /// The identity that could read it.
    pub to: String,
    /// The signer's public key (65 bytes, hexadecimal), if it is signed.
    #[serde(deserialize_with = "Option::deserialize")]
    pub from: Option<String>,
    /// The envelope's topic, hexadecimal.
    pub topic: String,
    /// The envelope's hash, hexadecimal.
    pub envelope: String,
    /// When it was made, as its sender says (seconds since 1970, on a coarse lattice).
    pub made: u32,
    /// When the envelope expires (seconds since 1970).
    pub expires: u32,
    /// The payload, hexadecimal.
    pub payload: String,
}

/// An identity that the node listens for, or would if its key were not locked away.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IdentityView {
    /// The name the user gave it.
    pub name: String,
    /// A key pair or a shared key.
    pub kind: IdentityKind,
    /// The public key (65 bytes, hexadecimal), of a key pair.
    #[serde(deserialize_with = "Option::deserialize")]
    pub public_key: Option<String>,
    /// The topic it goes with, of a shared key.
    #[serde(deserialize_with = "Option::deserialize")]
    pub topic: Option<String>,
    /// Whether its key is locked away: nothing is read or signed with it until it is unlocked.
    pub locked: bool,
}

/// A message on its way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OutgoingView {
    /// Its number.
    pub id: MessageId,
    /// Its level.
    #[serde(with = "level_word")]
    pub level: Level,
    /// The last stage it reached.
    pub stage: super::event::Stage,
}

/// A peer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PeerView {
    /// Its link key (64 bytes, hexadecimal).
    pub key: String,
    /// What it calls itself.
    pub client: String,
    /// Where it was reached, or came from (then with port 0), if that shows.
    #[serde(deserialize_with = "Option::deserialize")]
    pub address: Option<String>,
    /// Whether we dialled it.
    pub outbound: bool,
    /// Whether discovery named it, rather than the user.
    pub found: bool,
    /// Whether the user named it, so that it is dialled whenever it is lost.
    pub named: bool,
    /// Whether the user wants it let in however many there are.
    pub always_admitted: bool,
    /// Capabilities in use, such as `shh/6`.
    pub capabilities: Vec<String>,
    /// The least proof of work it wants.
    pub min_pow: f64,
    /// Which proof-of-work rule it is judged to follow.
    #[serde(with = "pow_rule_word")]
    pub pow_rule: Option<PowRule>,
    /// Whether it takes our hidden messages, as far as is known: neither its rule nor the work that it
    /// asks for is in the way. They reach others all the same.
    pub served: bool,
    /// Whether what it hands over directly is taken past all checks.
    pub trusted: bool,
    /// Whether it is told hashes and asks for what it lacks, as whisht nodes do.
    pub pulls: bool,
    /// From -100 to 100: what it brought, by its work, less what it did wrong.
    pub rating: i8,
    /// Envelopes it brought.
    pub received: u64,
    /// Envelopes it was given.
    pub sent: u64,
}

/// The node itself, as peers meet it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NodeView {
    /// Its link key (64 bytes, hexadecimal).
    pub key: String,
    /// Name and version.
    pub client: String,
    /// Where it tells others that it can be reached.
    pub advertised: Vec<String>,
    /// Whether discovery runs, at the ports where it listens.
    pub discovery: bool,
    /// The work that it asks peers for.
    pub min_pow: f64,
    /// The largest envelope that it accepts.
    pub max_message_size: usize,
}

/// A relay in the directory.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RelayView {
    /// Its id (32 bytes, hexadecimal), as `--guard` and `--family` take it.
    pub id: String,
    /// Its subnet group.
    pub subnet: String,
    /// Whether paths may use it now.
    pub eligible: bool,
    /// Whether it is our guard.
    pub guard: bool,
    /// Ticket bits it asks for as a rendezvous.
    pub ticket_bits: u8,
}

/// An exchange with a mail server, as it begins.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FetchView {
    /// Its number.
    pub fetch: super::event::FetchId,
    /// The server's key (64 bytes, hexadecimal).
    pub server: String,
    /// The first second that is asked for (since 1970); earlier than what was wanted.
    pub since: u32,
    /// The last second that is asked for.
    pub until: u32,
    /// The share of all topics that is asked for: what the server learns is that we want something
    /// in it.
    pub share: f64,
}

/// How a mail server is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MailView {
    /// Envelopes that were made durable since the start.
    pub kept: u64,
    /// Envelopes that wait for the archive.
    pub waiting: u64,
    /// Bytes that the archive takes, as of the last envelope.
    pub bytes: u64,
    /// When the life of the oldest began (seconds since 1970), if there is one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub oldest: Option<u32>,
    /// Requests being answered now.
    pub answering: usize,
    /// Envelopes given out since the start.
    pub given: u64,
}

/// How the node is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StatusView {
    /// Name and version.
    pub client: String,
    /// `main` or `local`; a figure from `local` says nothing about the real network.
    #[serde(with = "profile_word")]
    pub profile: Profile,
    /// Level used where a message does not name one.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Our link key (64 bytes, hexadecimal).
    pub key: String,
    /// Seconds since start.
    pub uptime_secs: u64,
    /// Peers past the handshake.
    pub peers: usize,
    /// Of these, peers that speak `onion/1`.
    pub dark_peers: usize,
    /// Gossip peers that do not take our hidden messages, by their rule or the work they ask for.
    pub unserved_peers: usize,
    /// Keys and addresses that are not let in for a while.
    pub refused: usize,
    /// Relays known, and usable for paths.
    pub relays: usize,
    /// Relays usable for paths now.
    pub eligible_relays: usize,
    /// Whether the directory is old enough to judge relays by.
    pub directory: DirectoryAge,
    /// Whether we relay cells for others.
    pub relay: bool,
    /// Whether we stand in the directory for this epoch, or why not.
    pub listed: String,
    /// While draining, the seconds until nobody has a path through us any more.
    #[serde(deserialize_with = "Option::deserialize")]
    pub drained_in_secs: Option<u32>,
    /// Envelopes in the pool.
    pub pool_envelopes: usize,
    /// Bytes in the pool.
    pub pool_bytes: usize,
    /// Cells passed on since start.
    pub cells_forwarded: u64,
    /// Cells dropped since start.
    pub cells_dropped: u64,
    /// Envelopes rebuilt here as a rendezvous.
    pub rebuilt: u64,
    /// Messages on their way.
    pub outgoing: usize,
    /// Nodes that discovery knows to be where they say; nothing if there is no discovery.
    #[serde(deserialize_with = "Option::deserialize")]
    pub discovery: Option<usize>,
    /// Of the peers, those that discovery named.
    pub found_peers: usize,
    /// The mail server, if the node is one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub mail: Option<MailView>,
    /// Why nothing can leave this machine; absent if something can.
    #[serde(deserialize_with = "Option::deserialize")]
    pub shut: Option<String>,
    /// The onion services that lead to this relay.
    pub onion: Vec<String>,
    /// For each level that is not available now, why.
    pub levels: Vec<LevelView>,
}

/// Whether a level can be used now.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LevelView {
    /// The level.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Why not, if not.
    #[serde(deserialize_with = "Option::deserialize")]
    pub missing: Option<String>,
}

/// What a message would cost.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EstimateView {
    /// The level it would be sent at.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Size of the envelope in bytes.
    pub envelope_bytes: usize,
    /// Mean number of hashes for its proof of work.
    pub expected_hashes: f64,
    /// Mean time for them in milliseconds, at the rate measured on this machine.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sealing_ms: Option<u64>,
    /// Cells that leave this node.
    pub cells: usize,
    /// Bytes of cells over all hops.
    pub network_bytes: u64,
    /// Half of such messages reach the network within this time after sealing, milliseconds.
    pub median_ms: u64,
    /// All but one in twenty do, milliseconds.
    pub p95_ms: u64,
    /// The profile the figures hold for.
    #[serde(with = "profile_word")]
    pub profile: Profile,
}

/// The age of the directory.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryAge {
    /// At least a day old.
    Settled,
    /// Less than a day old.
    Young,
}

/// A level as the word that users know it by.
mod level_word {
    use circuits::level::Level;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub(super) fn serialize<S: Serializer>(level: &Level, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(level.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Level, D::Error> {
        let word = String::deserialize(from)?;
        word.parse()
            .map_err(|_| de::Error::custom(format_args!("there is no level {word:?}")))
    }
}

/// A profile as the word that users know it by.
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
