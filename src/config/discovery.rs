//! The table `[discovery]`: whether to find peers that the user did not name, and which nodes to ask
//! first.
//!
//! Discovery is off by default: it gives this node's address to every node that asks, and most nodes
//! that it finds do not speak Whisper. Peers that the user names are the reliable way into a Whisper
//! network.

use super::setting::{List, Switch, settings};
use super::value::parsed;
use crate::discovery::Contact;

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct DiscoverySettings, "discovery", "Discovery", |all| &mut all.discovery;

    /// Find further peers by discovery, which gives this node's address to every node that asks
    enabled: bool = false;
        "discovery.enabled" "discovery-enabled" "WHISHT_DISCOVERY_ENABLED";
        Switch, "BOOL" "false";
        "";

    /// Ask this node first, by enode URL
    bootnodes: Vec<Contact> = Vec::new();
        "discovery.bootnodes" "discovery-bootnodes" "WHISHT_DISCOVERY_BOOTNODES";
        List(parsed), "ENODE" "[]";
        "`?discport=` names the UDP port if it is not the port of links";
}
