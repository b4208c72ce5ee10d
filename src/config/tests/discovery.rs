//! Discovery: off by default, and refused where it contradicts another setting.

use super::*;

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
fn discovery_is_refused_behind_tor() {
    let text = "[discovery]\nenabled = true\n[tor]\nmode = 'socks'\n";
    let refused = refusal(text);
    assert!(refused.is_policy() && matches!(refused, ConfigError::DiscoveryBesideTor));
}
