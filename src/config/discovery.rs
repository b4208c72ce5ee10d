//! The table `[discovery]`: whether to look for peers that nobody named, and whom to ask first.
//!
//! Off unless the operator wants it. Discovery tells strangers our address and that we are here,
//! whoever asks and whether or not they speak Whisper; most nodes that it finds do not. Peers that
//! one names are the dependable way to a Whisper network.

use toml::de::DeValue;

use super::toml_value::{EntryError, flag, list, parsed};
use crate::discovery::Contact;

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct DiscoverySettings {
    /// Whether to look for peers, and to be found. Default: no.
    pub enabled: Option<bool>,
    /// Whom to ask first. Default: nobody; whoever asks us first is known.
    pub bootnodes: Option<Vec<Contact>>,
}

/// Every key of the table.
pub(super) const KEYS: [&str; 2] = ["enabled", "bootnodes"];

impl DiscoverySettings {
    /// Takes one entry of the file in.
    pub(super) fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), EntryError> {
        match key {
            "enabled" => self.enabled = Some(flag(value)?),
            "bootnodes" => self.bootnodes = Some(list(value, parsed)?),
            _ => return Err(EntryError::Key),
        }
        Ok(())
    }

    /// What these settings say, and what `weaker` ones say where these are silent.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            enabled: self.enabled.or(weaker.enabled),
            bootnodes: self.bootnodes.or(weaker.bootnodes),
        }
    }
}
