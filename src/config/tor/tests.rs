//! The table `[tor]`: which settings fit together.

use super::*;

fn build(settings: TorSettings) -> Result<TorConfig, TorConfigError> {
    TorConfig::build(settings, Profile::Main)
}

fn socks() -> TorSettings {
    TorSettings {
        mode: Some(TorMode::Socks),
        ..TorSettings::default()
    }
}

#[test]
fn tor_without_settings_is_off() {
    let config = build(TorSettings::default()).unwrap();
    assert!(!config.is_on() && !config.only);
}

#[test]
fn only_without_tor_is_refused() {
    let settings = TorSettings {
        only: Some(true),
        ..TorSettings::default()
    };
    assert_eq!(build(settings), Err(TorConfigError::OnlyNeedsTor));
}

#[test]
fn setting_without_tor_mode_is_refused_and_names_the_mode() {
    let mut tried = 0;
    for mode in ["", "mode = 'off'\n"] {
        for (entry, wanted) in [
            ("bridges = ['obfs4 192.0.2.7:443']", "arti"),
            ("transports = ['obfs4=/usr/bin/obfs4proxy']", "arti"),
            ("keys = '/etc/keys'", "arti"),
            ("readers = ['me=descriptor:x25519:ABC']", "arti"),
            ("network = '/nothing/here'", "arti"),
            ("onion-port = 20819", "arti"),
            ("socks = '127.0.0.1:9050'", "socks"),
            ("control = '127.0.0.1:9051'", "socks"),
            (
                "onion = 'duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion:1'",
                "socks",
            ),
            ("private-daemon = true", "socks"),
        ] {
            let text = format!("[tor]\n{mode}{entry}\n");
            let path = std::path::Path::new("config.toml");
            let settings = crate::config::file::parse(path, &text).unwrap().tor;
            for profile in [Profile::Main, Profile::Local] {
                let refusal = TorConfig::build(settings.clone(), profile).unwrap_err();
                let refusal = refusal.to_string();
                let key = entry.split(' ').next().unwrap();
                assert!(refusal.starts_with(&format!("`tor.{key}` ")), "{refusal}");
                assert!(refusal.contains(&format!("\"{wanted}\"")), "{refusal}");
                tried += 1;
            }
        }
    }
    let declared = TorSettings::declared().settings.len();
    // `mode` itself, and `only`, which has a test of its own.
    assert_eq!(tried, (declared - 2) * 4);
    assert!(
        build(TorSettings {
            bridges: Some(Vec::new()),
            ..TorSettings::default()
        })
        .is_ok()
    );
}

#[test]
fn daemon_on_another_machine_is_refused() {
    let far = "192.0.2.1:9050".parse().unwrap();
    let settings = TorSettings {
        socks: Some(far),
        ..socks()
    };
    assert_eq!(
        build(settings),
        Err(TorConfigError::SocksLeavesMachine(far))
    );
}

#[test]
fn setting_of_the_other_mode_is_refused() {
    let settings = TorSettings {
        bridges: Some(vec!["obfs4 192.0.2.1:443".to_owned()]),
        ..socks()
    };
    assert_eq!(build(settings), Err(TorConfigError::ArtiOnly));
}

#[test]
fn local_network_accepts_private_tor_only() {
    assert_eq!(
        TorConfig::build(socks(), Profile::Local),
        Err(TorConfigError::LocalNeedsPrivateTor)
    );
    let vouched = TorSettings {
        private_daemon: Some(true),
        ..socks()
    };
    assert!(TorConfig::build(vouched, Profile::Local).unwrap().is_on());
}

#[test]
fn transport_and_reader_are_read_from_their_text() {
    let transport: PluggableTransport = "obfs4,meek_lite=/usr/bin/obfs4proxy".parse().unwrap();
    assert_eq!(transport.protocols, ["obfs4", "meek_lite"]);
    assert!("obfs4".parse::<PluggableTransport>().is_err());
    assert!(
        "alice=descriptor:x25519:ABC"
            .parse::<ServiceReader>()
            .is_ok()
    );
    assert!("alice=ABC".parse::<ServiceReader>().is_err());
}
