//! The settings outside of the tables, and the list of all settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use circuits::ids::{Profile, RelayId};
use circuits::level::Level;

use super::bandwidth::BandwidthSettings;
use super::console::ConsoleSettings;
use super::contact::ContactSettings;
use super::directory::DirectorySettings;
use super::discovery::DiscoverySettings;
use super::levels::LevelSettings;
use super::log::LogSettings;
use super::mail::MailSettings;
use super::metrics::MetricsSettings;
use super::rpc::RpcSettings;
use super::setting::{Count, List, Number, One, Place, Switch, Table, settings};
use super::state::StateSettings;
use super::tor::TorSettings;
use super::value::{self, NetworkName, parsed};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::node::{Cover, PowGeneration};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct Settings, "", "", |all| all;

    /// Rules that apply: main, or local for a network that never leaves this machine
    profile: Profile = Profile::Main;
        "profile" "profile" "WHISHT_PROFILE";
        One(value::profile), "PROFILE" "\"main\"";
        "`\"local\"` lifts the rules on subnets, age and number of relays, and marks every figure \
         `LOCAL`";

    /// Name of the network to join
    network: NetworkName;
        "network" "network" "WHISHT_NETWORK";
        One(parsed), "NAME" "whisht";
        "A local network must have a name of its own";

    /// Privacy level of messages that name none, to recipients without a level of their own
    level: Level = Level::Normal;
        "level" "level" "WHISHT_LEVEL";
        One(value::level), "LEVEL" "\"normal\"";
        "";

    /// Relay cells for others, and publish a descriptor with an address
    relay: bool = false;
        "relay" "relay" "WHISHT_RELAY";
        Switch, "BOOL" "false";
        "";

    /// Listen on this address
    listen: Vec<SocketAddr>;
        "listen" "listen" "WHISHT_LISTEN";
        List(value::socket_address), "ADDRESS:PORT" "every address, port 20819 or one of the next nine";
        "`[\"0.0.0.0:20819\"]`; `[]` (or `--no-listen`) accepts no connections";

    /// Address where others reach this relay
    advertise: Vec<Endpoint> = Vec::new();
        "advertise" "advertise" "WHISHT_ADVERTISE";
        List(parsed), "ADDRESS:PORT" "[]";
        "Public addresses of this machine that `listen` covers are advertised without this setting; a \
         relay without any is not listed";

    /// Relay of the same operator, by id or enode URL
    family: Vec<RelayId> = Vec::new();
        "family" "family" "WHISHT_FAMILY";
        List(value::relay), "RELAY" "[]";
        "No path uses two relays of a family";

    /// Stay connected to this peer
    peers: Vec<PeerAddr> = Vec::new();
        "peers" "peer" "WHISHT_PEER";
        List(parsed), "ENODE" "[]";
        "";

    /// Stay connected to this peer, and accept its direct messages without any check
    trusted_peers: Vec<PeerAddr> = Vec::new();
        "trusted-peers" "trusted-peer" "WHISHT_TRUSTED_PEER";
        List(parsed), "ENODE" "[]";
        "For mail servers. The trust holds at every connection; trust given by a command ends with \
         the connection";

    /// Maximum number of peers
    max_peers: usize = 25;
        "max-peers" "max-peers" "WHISHT_MAX_PEERS";
        Count(value::PEERS), "COUNT" "25";
        "As go-ethereum";

    /// Minimum proof of work of an accepted envelope
    min_pow: f64;
        "min-pow" "min-pow" "WHISHT_MIN_POW";
        Number(value::min_pow), "POW" "0.2, in a local network 0.002";
        "0.2 is go-ethereum's default";

    /// Proof-of-work rule of messages that hide no sender: auto, both, legacy or modern
    pow_generation: PowGeneration = PowGeneration::Auto;
        "pow-generation" "pow-generation" "WHISHT_POW_GENERATION";
        One(value::pow_generation), "RULE" "\"auto\"";
        "These are messages of level `open` and messages of `shh_*` clients. `\"modern\"` is \
         go-ethereum from 1.9, `\"legacy\"` up to 1.8, `\"both\"` costs the product of the two, \
         `\"auto\"` satisfies the connected peers. Hidden messages are always modern";

    /// Maximum size of the envelope pool in megabytes
    pool_mb: usize = 64;
        "pool-mb" "pool-mb" "WHISHT_POOL_MB";
        Count(value::POOL_MB), "MB" "64";
        "";

    /// Send cover traffic: full, reduced or off
    cover: Cover = Cover::Full;
        "cover" "cover" "WHISHT_COVER";
        One(value::cover), "RATE" "\"full\"";
        "A cell every two seconds on average, from start to exit, 0.5 KB/s. `\"reduced\"` is a tenth \
         of it; its senders are a smaller set of their own. `\"off\"` refuses the levels `hush`, \
         `dark` and `bulletin`";

    /// Use this relay as the guard, by id or enode URL
    guard: RelayId;
        "guard" "guard" "WHISHT_GUARD";
        One(value::relay), "RELAY" "the first of the guard seed's ranking";
        "";

    /// Number of threads for proof of work
    threads: usize;
        "threads" "threads" "WHISHT_THREADS";
        Count(value::THREADS), "COUNT" "one per core";
        "They run at the lowest priority";

    /// File whose first line is the password of the identities
    password_file: PathBuf;
        "password-file" "password-file" "WHISHT_PASSWORD_FILE";
        Place, "FILE" "ask at the terminal";
        "";

    tables {
        /// The table `[bandwidth]`.
        bandwidth: BandwidthSettings,
        /// The table `[console]`.
        console: ConsoleSettings,
        /// The table `[contact]`.
        contact: ContactSettings,
        /// The table `[directory]`.
        directory: DirectorySettings,
        /// The table `[discovery]`.
        discovery: DiscoverySettings,
        /// The table `[levels]`.
        levels: LevelSettings,
        /// The table `[log]`.
        log: LogSettings,
        /// The table `[mail]`.
        mail: MailSettings,
        /// The table `[metrics]`.
        metrics: MetricsSettings,
        /// The table `[rpc]`.
        rpc: RpcSettings,
        /// The table `[state]`.
        state: StateSettings,
        /// The table `[tor]`.
        tor: TorSettings,
    }
}

/// All tables; the first one holds the settings outside of tables.
pub(crate) fn tables() -> [Table; 13] {
    [
        Settings::declared(),
        BandwidthSettings::declared(),
        ConsoleSettings::declared(),
        ContactSettings::declared(),
        DirectorySettings::declared(),
        DiscoverySettings::declared(),
        LevelSettings::declared(),
        LogSettings::declared(),
        MailSettings::declared(),
        MetricsSettings::declared(),
        RpcSettings::declared(),
        StateSettings::declared(),
        TorSettings::declared(),
    ]
}
