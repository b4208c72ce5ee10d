//! Settings that are valid and can do harm: they expose the user, or the node does less than its owner expects.
//!
//! Contradictions are errors, in [`super::ConfigError`]; what stands here can be meant. `whisht run`
//! logs what exposes the user, `whisht config check` and `whisht doctor` show all of it.

use circuits::directory::RelayEndpoint;
use circuits::ids::Profile;
use circuits::level::Level;

use super::Config;
use super::console::ConsoleHost;
use super::tor::TorBackend;
use crate::node::Cover;

/// A setting that can do harm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigWarning {
    /// Key of the setting.
    pub setting: &'static str,
    /// What it does, and the remedy.
    pub text: String,
}

/// Settings that expose the user or the keys.
#[must_use]
pub fn exposures(config: &Config) -> Vec<ConfigWarning> {
    let has_tcp = config.rpc.http.is_some() || config.rpc.ws.is_some();
    let found = [
        (
            config.listens_beside_tor(),
            "tor.only",
            "links go out through Tor, but the listener accepts connections without Tor, at this \
             machine's address; tor.only closes it",
        ),
        (
            config.node.min_pow > UNUSUAL_MIN_POW,
            "min-pow",
            "min-pow refuses nearly all messages of the network: go-ethereum and whisht require 0.2",
        ),
        (
            config.rpc.danger_no_token && has_tcp,
            "rpc.danger-no-token",
            "JSON-RPC over TCP requires no token: every program on this machine, of any user, can \
             use this node",
        ),
        (
            config.console.host == ConsoleHost::Loopback,
            "console.host",
            "the console is served under 127.0.0.1: the browser sends the cookie of its session to every \
             port of this machine that a page of it loads",
        ),
        (
            config.rpc.allow_key_export,
            "rpc.allow-key-export",
            "JSON-RPC exports private keys to every client that may call shh",
        ),
    ];
    chosen(found)
}

/// Settings that are valid and protect less, or with which the node does less than it could.
#[must_use]
pub fn hints(config: &Config) -> Vec<ConfigWarning> {
    let mut found = hints_on_privacy(config);
    found.extend(hints_on_operation(config));
    found
}

fn hints_on_privacy(config: &Config) -> Vec<ConfigWarning> {
    let node = &config.node;
    let without_control =
        matches!(&config.tor.backend, TorBackend::Daemon(daemon) if daemon.control.is_none());
    chosen([
        (
            node.discovery.is_some(),
            "discovery.enabled",
            "discovery gives this node's address to every node that asks; peers that you name do not need \
             it",
        ),
        (
            node.cover == Cover::Off,
            "cover",
            "without cover traffic an observer of this machine's connection sees when a message leaves, and \
             the levels hush, dark and bulletin are refused; leave `cover` out",
        ),
        (
            node.level == Level::Open,
            "level",
            "`level` is open: every connected peer sees that this node is the sender; normal hides it",
        ),
        (
            without_control,
            "tor.control",
            "without tor.control this node cannot tell whether the Tor daemon works; set it to \
             127.0.0.1:9051 or to unix:/run/tor/control",
        ),
    ])
}

fn hints_on_operation(config: &Config) -> Vec<ConfigWarning> {
    let node = &config.node;
    let mail = config.mail.as_ref();
    let answers_all =
        mail.is_some_and(|mail| mail.password_file.is_none() && mail.allow.is_empty());
    // A node with a relay list connects to relays of the list.
    let no_peer = node.peers.is_empty()
        && node.trusted_peers.is_empty()
        && node.discovery.is_none()
        && config.relay_list_file.is_none();
    chosen([
        (
            no_peer && config.is_reachable(),
            "peers",
            "no peer is named, so this node has connections only if others connect to it; name two or \
             more below `peers`",
        ),
        (
            no_peer && !config.is_reachable(),
            "peers",
            "no peer is named and this node does not listen, so it has no connections; name two or more below \
             `peers`",
        ),
        (
            node.max_peers < FEW_PEERS,
            "max-peers",
            "a message counts as delivered when two peers show it; allow four peers or more",
        ),
        (
            answers_all,
            "mail.serve",
            "the mail server answers every peer; set mail.password-file or mail.allow to choose",
        ),
        (
            node.pool_bytes < SMALL_POOL,
            "pool-mb",
            "a pool of less than 8 MB drops envelopes of a busy network before they expire; leave `pool-mb` \
             out",
        ),
        (
            node.profile == Profile::Main && node.advertise.iter().any(is_private),
            "advertise",
            "an advertised address is private or reserved, so other nodes refuse the descriptor of this relay; \
             advertise the public address",
        ),
    ])
}

/// The warnings that apply.
fn chosen<const N: usize>(found: [(bool, &'static str, &str); N]) -> Vec<ConfigWarning> {
    let applies = found.into_iter().filter(|(applies, _, _)| *applies);
    applies
        .map(|(_, setting, text)| ConfigWarning {
            setting,
            text: text.to_owned(),
        })
        .collect()
}

/// Whether no node of the main network lists an address.
fn is_private(endpoint: &RelayEndpoint) -> bool {
    !endpoint.allowed(Profile::Main)
}

/// The minimum proof of work from which a setting is probably a mistake: ten times the default of all
/// programs.
const UNUSUAL_MIN_POW: f64 = 2.0;
/// With fewer peers a single failure leaves fewer than the two that confirm a message.
const FEW_PEERS: usize = 4;
/// A pool that a busy network fills within minutes, in bytes.
const SMALL_POOL: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::file::parse;

    fn of(text: &str) -> Vec<&'static str> {
        let config = Config::build(parse(Path::new("c"), text).unwrap()).unwrap();
        let all = exposures(&config).into_iter().chain(hints(&config));
        all.map(|warning| warning.setting).collect()
    }

    const PEER: &str = "peers = ['enode://79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                        483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8@8.8.8.8:1']\n";

    #[test]
    fn node_with_a_peer_and_defaults_has_no_warning() {
        assert_eq!(of(PEER), [""; 0]);
        assert_eq!(of(""), ["peers"]);
        assert_eq!(of("listen = []\n"), ["peers"]);
    }

    #[test]
    fn node_without_peers_is_told_whether_others_can_connect() {
        let hint = |text: &str| {
            let config = Config::build(parse(Path::new("c"), text).unwrap()).unwrap();
            hints(&config).pop().map(|warning| warning.text)
        };
        assert!(hint("").unwrap().contains("only if others connect"));
        let alone = hint("listen = []\n").unwrap();
        assert!(alone.contains("it has no connections"), "{alone}");
        let signer = "ab".repeat(32);
        let list = format!("[directory]\nsigners = ['{signer}']\nfile = '/tmp/relays.list'\n");
        assert_eq!(hint(&list), None);
    }

    #[test]
    fn each_setting_that_hurts_is_named() {
        for (text, setting) in [
            (
                "tor.mode = 'socks'\ntor.control = '127.0.0.1:9051'\n",
                "tor.only",
            ),
            ("min-pow = 20\n", "min-pow"),
            (
                "rpc.danger-no-token = true\nrpc.http = '127.0.0.1:1'\n",
                "rpc.danger-no-token",
            ),
            ("console.host = '127.0.0.1'\n", "console.host"),
            ("rpc.allow-key-export = true\n", "rpc.allow-key-export"),
            ("discovery.enabled = true\n", "discovery.enabled"),
            ("cover = 'off'\n", "cover"),
            ("level = 'open'\n", "level"),
            ("tor.mode = 'socks'\ntor.only = true\n", "tor.control"),
            ("max-peers = 3\n", "max-peers"),
            ("mail.serve = true\n", "mail.serve"),
            ("pool-mb = 7\n", "pool-mb"),
            (
                "relay = true\nadvertise = ['192.168.1.7:20819']\n",
                "advertise",
            ),
        ] {
            assert_eq!(of(&format!("{PEER}{text}")), [setting], "{text}");
        }
    }
}
