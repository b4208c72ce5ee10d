mod declarations;
mod syntax;

use std::path::Path;

use super::file::parse;
use super::mail::MailStore;
use super::rpc::Module;
use crate::node::Cover;
use circuits::level::Level;

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
fn discovery_is_off_by_default() {
    assert!(build("").unwrap().node.discovery.is_none());
    let on = build("[discovery]\nenabled = true\n").unwrap();
    assert!(
        on.node
            .discovery
            .is_some_and(|bootnodes| bootnodes.is_empty())
    );
    let named =
        format!("[discovery]\nenabled = true\nbootnodes = ['enode://{KEY}@8.8.8.8:1025']\n");
    assert_eq!(build(&named).unwrap().node.discovery.unwrap().len(), 1);
}

#[test]
fn discovery_that_contradicts_other_settings_is_refused() {
    let bootnodes = format!("bootnodes = ['enode://{KEY}@8.8.8.8:1025']\n");
    let off = build(&format!("[discovery]\n{bootnodes}")).unwrap_err();
    assert!(off.contains("--discovery-enabled"), "{off}");
    let deaf = build("listen = []\n[discovery]\nenabled = true\n").unwrap_err();
    assert!(deaf.contains("does not listen"), "{deaf}");
    let local = "profile = 'local'\nnetwork = 'demo'\n[discovery]\nenabled = true\n";
    let far = build(&format!("{local}{bootnodes}")).unwrap_err();
    assert!(far.contains("never leaves this machine"), "{far}");
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
fn unknown_key_names_file_line_and_nearest_key() {
    let refusal = read("level = 'open'\n\nlevle = 'dark'\n").unwrap_err();
    assert_eq!(
        refusal,
        "config.toml:3: there is no setting \"levle\"; did you mean `level`?"
    );
    assert!(read("min_pow = 1").unwrap_err().contains("`min-pow`"));
    assert!(
        read("[tro]\nonly = true")
            .unwrap_err()
            .contains("there is no table [tro]")
    );
    assert!(
        read("qqqqqqqqq = 1")
            .unwrap_err()
            .contains("profile, network, level")
    );
}

#[test]
fn bad_value_names_its_line_and_key() {
    for (text, part) in [
        ("level = 'normall'", "did you mean normal?"),
        ("level = 1", "a text in quotes"),
        ("profile = 'test'", "`main` or `local`"),
        (
            "network = 'A B'",
            "`network` = 'A B': expected 1 to 32 letters",
        ),
        ("relay = 'yes'", "true or false"),
        ("listen = '127.0.0.1:1'", "a list of texts"),
        (
            "listen = ['localhost:1']",
            "\"localhost:1\": expected an IP address and a port",
        ),
        ("peers = ['enode://x']", "the address is missing"),
        (
            "max-peers = 0",
            "`max-peers` = 0: expected a whole number from 1 to 500",
        ),
        (
            "max-peers = 99999999999999999999999999999999999999999",
            "from 1 to 500",
        ),
        ("min-pow = -1", "from 0 upwards"),
        ("min-pow = nan", "from 0 upwards"),
        ("guard = 'me'", "64 hexadecimal digits"),
        ("threads = 1.5", "a whole number"),
        ("level = ", "config.toml:2"),
        ("level = 'open'\nlevel = 'open'", "config.toml:3"),
    ] {
        let refusal = read(&format!("\n{text}")).unwrap_err();
        let start = refusal.starts_with("config.toml:2: ") || refusal.starts_with("config.toml:3");
        assert!(start && refusal.contains(part), "{refusal}");
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

#[test]
fn relay_needs_an_address_that_others_reach() {
    let loopback = build("relay = true\nlisten = ['127.0.0.1:1']");
    assert!(loopback.unwrap_err().contains("--advertise"));
    assert!(
        build("relay = true\nlisten = []")
            .unwrap_err()
            .contains("must listen")
    );
    assert!(
        build("advertise = ['192.0.2.1:1']")
            .unwrap_err()
            .contains("--relay")
    );
    let config = build("relay = true\nlisten = ['203.0.113.7:1', '10.0.0.1:1']").unwrap();
    assert_eq!(config.node.advertise.len(), 1);
    let config = build("relay = true\nadvertise = ['203.0.113.7:1']").unwrap();
    assert_eq!(config.node.advertise.len(), 1);
}

#[test]
fn relay_publishes_public_addresses_of_the_machine_only_if_none_is_named() {
    let machine = ["10.0.0.1:20819", "203.0.113.7:20819", "[fe80::1]:20819"];
    let machine = machine.map(|address| address.parse().unwrap());
    let advertised = |text: &str| {
        let mut config = build(text).unwrap();
        config.bound(&["0.0.0.0:20819".parse().unwrap()]);
        config.publish(&machine);
        config.node.advertise.len()
    };
    assert_eq!(advertised("relay = true"), 1);
    assert_eq!(advertised("relay = true\nlisten = ['10.0.0.1:20819']"), 1);
    assert_eq!(advertised("relay = true\nadvertise = ['203.0.113.9:1']"), 1);
    assert_eq!(advertised("relay = false"), 0);
    // Behind Tor the address of the machine stays unknown.
    assert_eq!(advertised("relay = true\n[tor]\nmode = 'socks'"), 0);
}

#[test]
fn local_relay_advertises_its_bound_listeners() {
    let mut config = build("profile = 'local'\nnetwork = 'demo'\nrelay = true").unwrap();
    config.bound(&[
        "127.0.0.1:20820".parse().unwrap(),
        "[::1]:20820".parse().unwrap(),
    ]);
    assert_eq!(
        (config.node.listen_port, config.node.advertise.len()),
        (20820, 2)
    );
}

#[test]
fn onion_service_without_tor_is_refused() {
    let onion = format!("{ONION}.onion:80");
    let refusal = build(&format!("peers = ['enode://{KEY}@{onion}']")).unwrap_err();
    assert!(refusal.contains("needs Tor"), "{refusal}");
}

#[test]
fn file_with_every_key_of_rpc_is_read() {
    let text = "[rpc]\nhttp = '127.0.0.1:8545'\nws = '[::1]:8546'\nmodules = ['shh', 'admin']\n\
                origins = ['http://localhost:3000']\nallow-key-export = true\n\
                danger-no-token = true\n";
    let written: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(written, keys_of("rpc"));
    let rpc = build(text).unwrap().rpc;
    assert_eq!(rpc.http, Some("127.0.0.1:8545".parse().unwrap()));
    assert_eq!(rpc.ws, Some("[::1]:8546".parse().unwrap()));
    assert_eq!(rpc.modules, [Module::Shh, Module::Admin]);
    assert_eq!(rpc.origins, ["http://localhost:3000".parse().unwrap()]);
    assert!(rpc.allow_key_export && rpc.danger_no_token);
}

#[test]
fn file_with_every_key_of_mail_is_read() {
    let key = "ab".repeat(64);
    let text = format!(
        "[mail]\nserve = true\nstore = 'postgres://mail@db/mail'\nmax-mb = 7\ndays = 3\n\
         password-file = '/run/mail'\nallow = ['enode://{key}@127.0.0.1:3', '{key}']\n"
    );
    let written: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(written, keys_of("mail"));
    let mail = build(&text).unwrap().mail.unwrap();
    assert!(matches!(mail.store, MailStore::Postgres(_)));
    assert_eq!((mail.bytes, mail.age), (7 << 20, 3 * 86_400));
    assert_eq!(mail.password_file.as_deref(), Some(Path::new("/run/mail")));
    assert_eq!(mail.allow.len(), 2);
}

#[test]
fn node_is_not_a_mail_server_by_default() {
    assert!(build("").unwrap().mail.is_none());
    assert!(build("[mail]\nserve = false\n").unwrap().mail.is_none());
    let mail = build("[mail]\nserve = true\n").unwrap().mail.unwrap();
    assert_eq!(mail.store, MailStore::Sqlite);
    assert!(mail.allow.is_empty());
    let error = read("[mail]\nstore = 'mysql://me:secret@db/mail'\n").unwrap_err();
    assert!(error.contains("postgres://USER@HOST/DATABASE"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    for days in ["0", "3651"] {
        assert!(read(&format!("[mail]\ndays = {days}\n")).is_err());
    }
}

#[test]
fn json_rpc_over_tcp_is_off_by_default() {
    let rpc = build("").unwrap().rpc;
    assert_eq!((rpc.http, rpc.ws), (None, None));
    assert_eq!(rpc.modules, [Module::Shh, Module::Net, Module::Web3]);
    assert!(rpc.origins.is_empty() && !rpc.allow_key_export && !rpc.danger_no_token);
    let off = read("rpc.http = 'off'").unwrap();
    let on = read("rpc.http = '127.0.0.1:8545'").unwrap();
    let rpc = Config::build(off.or(on)).unwrap().rpc;
    assert_eq!(rpc.http, None);
}

#[test]
fn json_rpc_on_a_public_address_is_refused() {
    for address in ["0.0.0.0:8545", "[::]:8545", "192.0.2.1:8545"] {
        for key in ["http", "ws"] {
            let text = format!("[rpc]\n{key} = '{address}'");
            let error = Config::build(read(&text).unwrap()).unwrap_err();
            assert!(error.is_policy(), "{error}");
            let error = error.to_string();
            assert!(error.contains(&format!("`rpc.{key}`")) && error.contains("127.0.0.1"));
        }
    }
}

#[test]
fn mistyped_table_or_key_in_it_names_the_nearest() {
    for (text, part) in [
        ("[rcp]\nhttp = '127.0.0.1:1'", "did you mean [rpc]?"),
        (
            "[qqqqqqqq]\nhttp = 1",
            "there is no table [qqqqqqqq]; the tables are",
        ),
        ("rpc = '127.0.0.1:1'", "`rpc` is a table"),
        (
            "[rpc]\nhtttp = '127.0.0.1:1'",
            "config.toml:2: there is no setting \"rpc.htttp\"; did you mean `rpc.http`?",
        ),
        ("origins = []", "did you mean `rpc.origins`?"),
        ("[rpc.http]\nport = 1", "`rpc.http`: expected a text"),
        ("[rpc]\nhttp = 'localhost:8545'", "such as 127.0.0.1:8545"),
        ("[rpc]\nmodules = ['ssh']", "did you mean shh?"),
        ("[rpc]\norigins = ['*']", "name each page's origin"),
        ("[rpc]\norigins = ['null']", "name each page's origin"),
        (
            "[rpc]\norigins = ['http://localhost:3000/']",
            "without a path",
        ),
        (
            "[rpc]\norigins = ['localhost']",
            "\"localhost\": expected an origin",
        ),
        ("[rpc]\nallow-key-export = 1", "true or false"),
    ] {
        let refusal = read(text).unwrap_err();
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn relay_behind_tor_needs_its_onion_service_only() {
    let onion = format!("{ONION}.onion:20819");
    let daemon =
        |more: &str| format!("relay = true\n{more}[tor]\nmode = 'socks'\nonion = '{onion}'\n");
    let config = build(&daemon("")).unwrap();
    assert_eq!(config.node.advertise.len(), 1);
    assert_eq!(config.listen, Listen::Everywhere);
    let refused = refusal(&daemon("listen = []\n"));
    assert!(
        matches!(refused, ConfigError::RelayNeedsListener),
        "{refused}"
    );

    let only = refusal("relay = true\n[tor]\nmode = 'socks'\nonly = true\n");
    assert!(matches!(only, ConfigError::RelayNeedsOnion), "{only}");
    let clear = "relay = true\nadvertise = ['192.0.2.1:20819']\n\
                 [tor]\nmode = 'socks'\nonly = true\n";
    let clear = refusal(clear);
    assert!(clear.is_policy() && matches!(clear, ConfigError::AdvertisesBesideTor(_)));
}

#[cfg(feature = "tor")]
#[test]
fn relay_with_arti_learns_its_onion_service_later() {
    let mut config = build("relay = true\n[tor]\nmode = 'arti'\nonly = true\n").unwrap();
    assert!(config.node.advertise.is_empty() && config.listen == Listen::Nowhere);
    config.bound(&[]);
    let onion = format!("{ONION}.onion:20819");
    config.reached_by(Some(onion.parse().unwrap()));
    assert_eq!(config.node.advertise.len(), 1);
    assert_eq!(config.node.listen_port, 0);
}

#[test]
fn discovery_is_refused_behind_tor() {
    let text = "[discovery]\nenabled = true\n[tor]\nmode = 'socks'\n";
    let refused = refusal(text);
    assert!(refused.is_policy() && matches!(refused, ConfigError::DiscoveryBesideTor));
}

#[test]
fn setting_that_needs_another_is_refused_without_it() {
    for (text, setting, needs) in [
        ("[mail]\nstore = 'sqlite'\n", "mail.store", "mail.serve"),
        ("[mail]\nmax-mb = 8\n", "mail.max-mb", "mail.serve"),
        ("[mail]\ndays = 8\n", "mail.days", "mail.serve"),
        (
            "[mail]\npassword-file = '/run/password'\n",
            "mail.password-file",
            "mail.serve",
        ),
        (
            "[rpc]\norigins = ['http://localhost:3000']\n",
            "rpc.origins",
            "rpc.http",
        ),
    ] {
        let refusal = refusal(text);
        assert!(!refusal.is_policy(), "{refusal}");
        let cause = format!("`{setting}` has no effect without `{needs}`");
        assert!(refusal.to_string().starts_with(&cause), "{refusal}");
    }
    let allow = format!("[mail]\nallow = ['{KEY}']\n");
    assert!(refusal(&allow).to_string().contains("`mail.allow`"));
}

#[test]
fn reader_of_a_service_that_does_not_exist_is_refused() {
    let text = "listen = []\n[tor]\nmode = 'arti'\nreaders = ['me=descriptor:x25519:ABC']\n";
    if cfg!(feature = "tor") {
        assert!(
            refusal(text)
                .to_string()
                .contains("`tor.readers` has no effect")
        );
    }
}
