//! The table `[discovery]` as flags and environment variables.

use crate::config::discovery::DiscoverySettings;
use crate::discovery::Contact;

/// Flags of discovery.
#[derive(Debug, clap::Args)]
#[group(id = "discovery")]
#[command(next_help_heading = "Discovery")]
pub(super) struct Options {
    /// Look for peers that nobody named, and be found: tells strangers this node's address
    #[arg(
        long, env = "WHISHT_DISCOVERY_ENABLED", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    discovery_enabled: Option<bool>,
    /// Ask this node first; may be repeated
    #[arg(
        long,
        env = "WHISHT_DISCOVERY_BOOTNODES",
        value_name = "ENODE",
        value_delimiter = ','
    )]
    discovery_bootnodes: Option<Vec<Contact>>,
}

impl From<Options> for DiscoverySettings {
    fn from(options: Options) -> Self {
        let Options {
            discovery_enabled,
            discovery_bootnodes,
        } = options;
        Self {
            enabled: discovery_enabled,
            bootnodes: discovery_bootnodes,
        }
    }
}
