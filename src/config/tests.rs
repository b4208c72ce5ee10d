mod declarations;
mod discovery;
mod mistakes;
mod relay;
mod services;
mod syntax;

use std::path::Path;

use super::file::parse;
use crate::node::Cover;

use super::*;

const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                   483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

fn read(text: &str) -> Result<Settings, String> {
    parse(Path::new("config.toml"), text).map_err(|error| error.to_string())
}

fn build(text: &str) -> Result<Config, String> {
    Config::build(read(text).unwrap()).map_err(|error| error.to_string())
}

/// The keys of a table, without its name.
fn keys_of(name: &str) -> Vec<&'static str> {
    let tables = tables().into_iter();
    let table = tables.filter(|table| table.name == name);
    let keys = table
        .flat_map(|table| table.settings)
        .map(|setting| setting.names.key);
    keys.map(|key| key.split_once('.').map_or(key, |(_, key)| key))
        .collect()
}

fn refusal(text: &str) -> ConfigError {
    Config::build(read(text).unwrap()).unwrap_err()
}

const ONION: &str = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";

#[test]
fn file_with_every_key_outside_tables_is_read() {
    let text = format!(
        "profile = 'local'\nnetwork = 'demo'\nlevel = 'swift'\nrelay = true\n\
         listen = ['127.0.0.1:1']\nadvertise = ['127.0.0.1:2']\nfamily = ['{KEY}']\n\
         peers = ['enode://{KEY}@127.0.0.1:3']\n\
         trusted-peers = ['enode://{KEY}@127.0.0.1:4']\nmax-peers = 7\nmin-pow = 1\n\
         pow-generation = 'both'\npool-mb = 2\ncover = 'reduced'\n\
         guard = 'enode://{KEY}@127.0.0.1:3'\nthreads = 4\npassword-file = '/run/password'\n"
    );
    let written: Vec<_> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(written, keys_of(""));
    let config = build(&text).unwrap();
    assert_eq!(config.node.profile, Profile::Local);
    assert_eq!(config.node.network, "demo");
    assert_eq!(config.node.level, Level::Swift);
    assert_eq!(config.node.cover, Cover::Reduced);
    assert_eq!(
        config.listen,
        Listen::At(vec!["127.0.0.1:1".parse().unwrap()])
    );
    assert_eq!(config.node.advertise.len(), 1);
    assert_eq!(
        config.node.family,
        config.node.guard.into_iter().collect::<Vec<_>>()
    );
    assert_eq!(config.node.peers.len(), 1);
    assert_eq!(config.node.trusted_peers.len(), 1);
    assert_eq!((config.node.max_peers, config.threads), (7, Some(4)));
    assert_eq!(
        config.password_file.as_deref(),
        Some(Path::new("/run/password"))
    );
    assert!((config.node.min_pow - 1.0).abs() < f64::EPSILON);
    assert_eq!(config.node.pool_bytes, 2 << 20);
}

#[test]
fn empty_file_means_the_defaults() {
    let config = build("").unwrap();
    assert_eq!(config.node.network, "whisht");
    assert_eq!(config.node.level, Level::Normal);
    assert_eq!(config.listen, Listen::Everywhere);
    assert!(!config.node.relay && config.keeps_link_key());
    assert!((config.node.min_pow - 0.2).abs() < f64::EPSILON);
}

#[test]
fn level_that_hides_in_cover_is_refused_without_it() {
    for level in [Level::Hush, Level::Dark, Level::Bulletin] {
        let text = format!("level = '{level}'\ncover = 'off'\n");
        let error = refusal(&text);
        assert!(
            matches!(error, ConfigError::LevelNeedsCover(named) if named == level),
            "{error}"
        );
        assert!(error.is_policy());
        assert!(build(&format!("level = '{level}'\ncover = 'reduced'\n")).is_ok());
    }
}

#[test]
fn stronger_settings_win_and_lists_replace_lists() {
    let weaker = read("level = 'open'\nmax-peers = 3\nlisten = ['127.0.0.1:1']").unwrap();
    let stronger = read("level = 'swift'\nlisten = []").unwrap();
    let config = Config::build(stronger.or(weaker)).unwrap();
    assert_eq!(
        (config.node.level, config.node.max_peers),
        (Level::Swift, 3)
    );
    assert_eq!(config.listen, Listen::Nowhere);
    assert!(!config.keeps_link_key());
}

#[test]
fn every_level_can_be_the_default_of_a_node() {
    for level in Level::ALL {
        let config = Config::build(read(&format!("level = '{level}'")).unwrap()).unwrap();
        assert_eq!(config.node.level, level);
    }
}

#[test]
fn local_network_has_a_name_and_stays_on_the_machine() {
    assert!(
        build("profile = 'local'")
            .unwrap_err()
            .contains("--network")
    );
    let local = "profile = 'local'\nnetwork = 'demo'\n";
    for setting in [
        "listen = ['0.0.0.0:1']".to_owned(),
        "relay = true\nadvertise = ['192.0.2.1:1']".to_owned(),
        format!("peers = ['enode://{KEY}@192.0.2.1:1']"),
    ] {
        let refusal = build(&format!("{local}{setting}")).unwrap_err();
        assert!(refusal.contains("never leaves this machine"), "{refusal}");
    }
    let config = build(local).unwrap();
    assert_eq!(config.listen, Listen::Loopback);
    assert!((config.node.min_pow - 0.002).abs() < f64::EPSILON);
}
