//! How a relay is reached: addresses, listeners, onion services.

use super::*;

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
    let config = build("relay = true\nlisten = ['93.184.216.34:1', '10.0.0.1:1']").unwrap();
    assert_eq!(config.node.advertise.len(), 1);
    let config = build("relay = true\nadvertise = ['93.184.216.34:1']").unwrap();
    assert_eq!(config.node.advertise.len(), 1);
}

#[test]
fn relay_publishes_public_addresses_of_the_machine_only_if_none_is_named() {
    let machine = ["10.0.0.1:20819", "93.184.216.34:20819", "[fe80::1]:20819"];
    let machine = machine.map(|address| address.parse().unwrap());
    let advertised = |text: &str| {
        let mut config = build(text).unwrap();
        config.bound(&["0.0.0.0:20819".parse().unwrap()]);
        config.publish(&machine);
        config.node.advertise.len()
    };
    assert_eq!(advertised("relay = true"), 1);
    assert_eq!(advertised("relay = true\nlisten = ['10.0.0.1:20819']"), 1);
    assert_eq!(
        advertised("relay = true\nadvertise = ['93.184.216.35:1']"),
        1
    );
    assert_eq!(advertised("relay = false"), 0);
    // Behind Tor the address of the machine stays unknown.
    assert_eq!(advertised("relay = true\n[tor]\nmode = 'socks'"), 0);
}

/// Every node refuses a descriptor with such an address, after its proof of work has been paid for.
#[test]
fn addresses_that_no_directory_lists_are_not_published_and_warned_of() {
    for address in [
        "100.64.0.1:1",
        "198.18.0.1:1",
        "203.0.113.7:1",
        "10.0.0.1:1",
    ] {
        let listening = format!("relay = true\nlisten = ['{address}']");
        assert_eq!(
            build(&listening).unwrap().node.advertise.len(),
            0,
            "{address}"
        );
        let named = format!("relay = true\nadvertise = ['{address}']");
        let config = build(&named).unwrap();
        let warned = warnings::hints(&config);
        assert!(
            warned
                .iter()
                .any(|warning| warning.text.contains("private or reserved")),
            "{address}"
        );
    }
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
